import Model
import Testing

@testable import Search

/// A small world of agents at work, and what they would look for in it.
@Suite struct SearchRelevanceTests {
  /// What each unit says, oldest first.
  private static let corpus: [(name: String, text: String)] = [
    (
      "goal",
      "Goal: migrate the billing service from MySQL to PostgreSQL without downtime. Keep both in sync until the cut-over."
    ),
    (
      "plan",
      "Plan: 1. dual writes behind a feature flag 2. backfill old invoices 3. compare checksums 4. switch reads 5. drop MySQL"
    ),
    ("ask-owner", "Who owns the billing schema? I need a review before I touch the invoices table."),
    ("owner", "Dana owns billing. She reviews schema changes on Tuesdays, write to her in #billing-db."),
    (
      "ddl",
      "CREATE TABLE invoices (id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL, total NUMERIC(12,2), created_at TIMESTAMPTZ);"
    ),
    ("ddl-error", "psql:schema.sql:14: ERROR:  syntax error at or near \"AUTO_INCREMENT\" SQLSTATE 42601"),
    ("ddl-fix", "AUTO_INCREMENT is MySQL only. In PostgreSQL use GENERATED ALWAYS AS IDENTITY instead."),
    ("flag", "Added the feature flag billing.dual_write, off by default, in config/flags.yaml"),
    (
      "dual",
      "func saveInvoice(_ invoice: Invoice) async throws { try await mysql.insert(invoice); if flags.dualWrite { try await postgres.insert(invoice) } }"
    ),
    (
      "race",
      "I see a race: two workers may insert the same invoice, and the second one fails with a duplicate key after MySQL has committed."
    ),
    (
      "race-fix",
      "Made the insert idempotent: INSERT ... ON CONFLICT (id) DO NOTHING. The race is gone in 10,000 runs."
    ),
    (
      "backfill",
      "Backfill job reads 5000 invoices per batch, oldest first, and stores its cursor in backfill_state."
    ),
    (
      "backfill-slow",
      "The backfill is slow: 300 rows per second. The index on created_at is missing, so that each batch scans the table."
    ),
    ("backfill-index", "Created index invoices_created_at_idx. Backfill runs at 9,000 rows per second now."),
    ("oom", "backfill worker killed: Out of memory (exit code 137). RSS was 2.1 GiB, limit 2 GiB."),
    (
      "oom-fix",
      "The driver buffers whole result sets. Switched to a server-side cursor with fetch size 500; memory stays at 180 MiB."
    ),
    (
      "checksum",
      "Checksums differ for 17 invoices of 2,400,311. All of them have totals with three decimals in MySQL."
    ),
    (
      "rounding",
      "Root cause of the different checksums: MySQL rounds half up, our importer truncated. Fixed with round(total, 2)."
    ),
    ("tests", "swift test --filter BillingTests: 212 tests passed, 0 failed, 3 skipped in 48.2 seconds"),
    (
      "tests-red",
      "Test Case 'BillingTests.testRefundTwice' failed: XCTAssertEqual failed: (\"200\") is not equal to (\"409\")"
    ),
    (
      "refund",
      "A refund that is sent twice must be answered 409 Conflict, but the handler forgets the idempotency key after a retry."
    ),
    (
      "refund-fix",
      "Keep the idempotency key of a refund for 24 hours in the table refund_keys. testRefundTwice passes."
    ),
    (
      "http",
      "curl -i -X POST https://billing.internal/refunds -d '{\"invoice\": 42}' → HTTP/1.1 502 Bad Gateway"
    ),
    (
      "http-cause",
      "502 came from nginx: upstream prematurely closed connection while reading response header. The pod was restarting."
    ),
    ("probe", "Readiness probe hits /healthz which is true before migrations ran. Use /readyz instead."),
    (
      "deploy",
      "Deployed billing 4.7.0 to staging. kubectl rollout status deployment/billing: successfully rolled out"
    ),
    ("rollback", "Rolled back billing 4.7.0: p99 latency of GET /invoices went from 40 ms to 900 ms."),
    (
      "latency",
      "Latency: the planner chose a sequential scan, because statistics were never gathered. Ran ANALYZE invoices, p99 is 35 ms."
    ),
    (
      "cutover",
      "Cut-over done at 03:12 UTC. Reads come from PostgreSQL, MySQL is read only. No invoice lost."
    ),
    ("drop", "Dropped the MySQL database after two quiet weeks. The migration is finished."),
    ("ui-goal", "Goal: dark mode for the settings page."),
    (
      "ui-css",
      ":root[data-theme=dark] { --background: #111; --text: #eee; } .settings-panel { background: var(--background); }"
    ),
    (
      "ui-bug",
      "The date picker stays white in dark mode, because its colors are hard coded in DatePicker.tsx"
    ),
    ("ui-fix", "DatePicker.tsx takes its colors from CSS variables now. Screenshot attached."),
    (
      "flaky", "testReconnectAfterTimeout is flaky: it failed 3 of 50 runs on CI. It sleeps 100 ms and hopes."
    ),
    (
      "flaky-fix",
      "Replaced the sleep by a manual clock: testReconnectAfterTimeout passed 2,000 of 2,000 runs."
    ),
    ("lock", "Waiting for the lock repo/web/package.json, held by agent frontend-2 for 40 s."),
    ("lock-got", "Got the lock repo/web/package.json with token 8812."),
    (
      "npm",
      "npm ERR! code ERESOLVE npm ERR! ERESOLVE unable to resolve dependency tree: react@19 required by app, react@18 by date-fns-picker"
    ),
    ("npm-fix", "Pinned react to 18.3.1 in package.json until date-fns-picker supports 19."),
    (
      "swift-error",
      "error: call to actor-isolated instance method 'refresh()' in a synchronous nonisolated context [#ActorIsolatedCall]"
    ),
    (
      "swift-fix", "Marked refreshAll() async and awaited store.refresh(); the actor isolation error is gone."
    ),
    (
      "segv",
      "Program crashed: Bad pointer dereference at 0x0000000000000018 in RingBuffer.pop() at Sources/Queue/RingBuffer.swift:88"
    ),
    (
      "segv-cause",
      "RingBuffer.pop() reads the slot after the head has moved: with one reader too many it is freed memory."
    ),
    (
      "tls",
      "x509: certificate has expired or is not yet valid: current time 2026-03-01T00:00:12Z is after 2026-02-28T23:59:59Z"
    ),
    ("tls-fix", "Renewed the certificate with certbot and added an alert 14 days before it expires."),
    ("disk", "No space left on device while writing /var/lib/engram/wal/000000000000002a.seg (errno 28)"),
    ("disk-fix", "Removed 80 GB of old core dumps below /var/crash; the disk is at 41 % now."),
    (
      "regex",
      "The regex ^(a+)+$ takes exponential time on 'aaaaaaaaaaaaaaaaaaaaaaaa!': catastrophic backtracking. Use RE2."
    ),
    (
      "unicode",
      "Ein Kunde heißt Müller-Lüdenscheidt; die Rechnung zeigt M\u{FFFD}ller. Die Datei war Latin-1, nicht UTF-8."
    ),
    ("japanese", "東京リージョンのレイテンシが高い。キャッシュの設定を確認してください。"),
    ("chinese", "北京机房的备份任务失败了，磁盘空间不足。"),
    ("french", "Le déploiement à l'été dernier a échoué à cause d'une clé expirée."),
    ("docs", "README: run `make test` before each commit, `make run` starts the server on port 8080."),
    (
      "review",
      "Review: please don't catch and ignore the error in saveInvoice, return it. Otherwise looks good."
    ),
    ("review-ok", "Approved. Merge when CI is green."),
    ("standup", "Standup: migration finished, dark mode in review, flaky tests next."),
    ("cpp", "The C++ client leaks a socket per reconnect; close(fd) is missing in ~Connection()"),
    ("csharp", "The C# client retries forever. Added exponential backoff with jitter, at most 30 s."),
    (
      "go-client",
      "go vet ./... found a copied mutex in the Go client: func (c Client) Do passes lock by value"
    ),
    ("cron", "cron: 0 3 * * * /usr/local/bin/backup.sh --full > /var/log/backup.log 2>&1"),
    ("secret", "The API key in config/prod.env is committed to git. Rotated it and rewrote history."),
  ]

  /// What is typed, and the unit that must stand first, or among the first three.
  private static let cases: [(text: String, best: String, within: Int)] = [
    ("postgresql migration goal", "", 0), ("migrate billing", "goal", 1),
    ("who owns billing schema", "ask-owner", 1),
    ("AUTO_INCREMENT", "ddl-fix", 3), ("SQLSTATE 42601", "ddl-error", 1), ("feature flag", "flag", 3),
    ("saveInvoice", "dual", 3), ("race duplicate key", "race", 1), ("backfill slow", "backfill-slow", 1),
    ("out of memory", "oom", 1), ("exit code 137", "oom", 1), ("checksums differ", "checksum", 1),
    ("rounding OR rounds", "", 0), ("testRefundTwice", "tests-red", 3),
    ("idempotency key refund", "refund-fix", 3),
    ("502 bad gateway", "http", 1), ("readiness probe", "probe", 1), ("sequential scan", "latency", 1),
    ("dark mode", "ui-goal", 3), ("DatePicker.tsx", "ui-fix", 3), ("flaky", "flaky", 3),
    ("manual clock", "flaky-fix", 1),
    ("ERESOLVE", "npm", 1), ("actor isolation", "swift-fix", 1), ("RingBuffer.pop", "segv-cause", 3),
    ("certificate expired", "tls", 1), ("\"no space left\"", "disk", 1), ("errno 28", "disk", 1),
    ("catastrophic backtracking", "regex", 1), ("muller", "unicode", 3), ("東京", "japanese", 1),
    ("备份", "chinese", 1),
    ("ete", "french", 1), ("c++", "cpp", 1), ("c#", "csharp", 1), ("go vet", "go-client", 1),
    ("backup.sh", "cron", 1),
    ("/var/crash", "disk-fix", 1), ("config/prod.env", "secret", 1), ("lock package.json", "lock-got", 3),
    ("migration -goal", "drop", 3), ("refund* 409", "refund", 2),
  ]

  @Test func theBestUnitStandsFirst() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    for (number, unit) in Self.corpus.enumerated() {
      try index.add(TestUnit(position: UInt64(number + 1), payload: unit.text))
    }
    try index.commit(through: UInt64(Self.corpus.count))
    let reader = try SearchReader(directory: directory.path)
    var query = SearchQuery()
    query.order = .relevance
    for (text, best, within) in Self.cases {
      let found = try reader.positions(text, query).prefix(5).map { Self.corpus[Int($0) - 1].name }
      if best.isEmpty {
        #expect(found == [], "'\(text)'")
      } else {
        #expect(found.prefix(within).contains(best), "'\(text)' found \(found)")
      }
    }
  }
}
