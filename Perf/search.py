"""The rows of search and the graph. What they post, index and ask for is made by `corpus.py`."""

import contextlib
import http.client
import json
import pathlib
import random
import resource
import shutil
import socket
import sqlite3
import subprocess
import time

import servers
from corpus import PLANTED, Corpus, body, line, text_bytes
from measure import ROOT, Failed, median, program, wrk
from rows import CONNECTIONS, MEBIBYTE, Row, alternate, client, finished, percentile, settle, thousands
from servers import Engram, Postgres, harness

BATCH = 200
CAUGHT_UP_SECONDS = 900


# -- asking --------------------------------------------------------------------------------------------------------


class Asker:
    """One connection that asks and is timed: from the send to the last byte."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, path, value=None, status=200):
        """(seconds, what it says)."""
        data = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        begun = time.perf_counter()
        self.connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        said = answer.read()
        seconds = time.perf_counter() - begun
        if answer.status != status:
            raise Failed(f"{method} {path}: {answer.status} {said[:200]!r}")
        return seconds, json.loads(said)

    def search(self, **query):
        return self.ask("POST", "/search", query)


def fill(server, units):
    """Posts units in batches. Returns (how many, bytes of text, position of the last)."""
    count = size = position = 0
    with Asker(server) as asker:
        connection, batch = asker.connection, []

        def flush():
            nonlocal position, batch
            connection.request("POST", "/workunits", "[" + ",".join(batch) + "]", {
                "Content-Type": "application/json", "Prefer": "return=minimal"})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 201:
                raise Failed(f"a batch: {answer.status} {said[:200]!r}")
            position, batch = json.loads(said)["work_units"][-1]["position"], []

        for unit in units:
            batch.append(line(unit))
            count, size = count + 1, size + text_bytes(unit)
            if len(batch) == BATCH:
                flush()
        if batch:
            flush()
    return count, size, position


def caught_up(server, position, seconds=CAUGHT_UP_SECONDS):
    """Waits until everything up to a position is indexed."""
    deadline = time.monotonic() + seconds
    with Asker(server) as asker:
        while True:
            try:
                page = asker.search(limit=1, min_position=position, wait_seconds=5)[1]
                if page["indexed_position"] >= position and not page["partial"]:
                    return
            except Failed as error:
                if ": 503 " not in str(error):
                    raise
                asker.connection.close()
                time.sleep(0.02)
            if time.monotonic() > deadline:
                raise Failed(f"not indexed after {seconds} s: {metrics(server)}")


def metrics(server):
    """The figures of search, by name."""
    with server.client() as reader:
        text = reader.get("/metrics").body.decode()
    return {
        name: float(value) for name, _, value in (line.partition(" ") for line in text.splitlines())
        if name.startswith("engram_search_") and "{" not in name and value}


def index_bytes(server):
    folder = pathlib.Path(server.directory, "search")
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.exists() else 0


def bodies_file(corpus, count):
    servers.SCRATCH.mkdir(parents=True, exist_ok=True)
    path = servers.SCRATCH / f"bodies-{count}"
    if not path.exists():
        path.write_text("".join(line(unit) + "\n" for unit in corpus.units(count)))
    return path


def milliseconds(latencies, share):
    return percentile(sorted(latencies), share) * 1e3


# -- index: what it costs those who post -----------------------------------------------------------------------------


def index(size):
    """Posts with the index and without it; how soon a unit can be found under a steady load."""
    corpus = Corpus()
    path = bodies_file(corpus, size.bodies)

    def measured(*flags):
        with Engram(*flags) as server:
            def load(seconds):
                return wrk(
                    server.url("/workunit"), seconds, CONNECTIONS, script="bodies.lua", settings={"ENGRAM_BODIES": str(path)})

            load(size.warm_seconds)
            before = server.processor()
            posted = load(size.seconds)
            used, threads = server.processor().since(before)
            found = {
                "per_second": posted.rate, "p50": posted.percentiles[50], "p99": posted.percentiles[99], "server_seconds": used,
                "threads": threads}
            if not flags:
                with Asker(server) as asker:
                    last = asker.ask("POST", "/workunit", corpus.unit(0), 201)[1]["work_unit"]["position"]
                found["lag"] = metrics(server)["engram_search_lag_positions"]
                begun = time.monotonic()
                caught_up(server, last)
                found["caught_up_seconds"] = time.monotonic() - begun
            return found

    ons, offs = alternate(size.rounds, measured, lambda: measured("--no-search"))
    raw, rows = {"with": ons, "without": offs}, []
    one, two = (median([item["per_second"] for item in results]) for results in (ons, offs))
    lag, behind = (median([item[name] for item in ons]) for name in ("lag", "caught_up_seconds"))
    rows.append(Row(
        "index-rate", "durable POST /workunit, 1 KB of varied text, 64 connections, indexed",
        f"{thousands(one)} /s ({thousands(lag)} behind at the end, caught up {behind:.1f} s later)",
        f"--no-search {thousands(two)} /s", one / two, "≥", 0.75, raw))
    one, two = (median([item["p99"] for item in results]) for results in (ons, offs))
    rows.append(Row(
        "index-p99", "the same, p99", f"{one * 1e3:.1f} ms", f"--no-search {two * 1e3:.1f} ms", one / two, "≤", 1.3, raw))
    return rows + [_freshness(size, corpus)]


def _freshness(size, corpus):
    """From the answer to a post until a search finds it, one after the other, while others post at a steady rate."""
    files = []
    for number in range(64):
        path = servers.SCRATCH / f"fresh-{number}.json"
        path.write_text(line(corpus.unit(number)))
        files.append(str(path))
    ages = []
    with Engram() as server:
        posters = [
            client("post", server.port, size.fresh_rate / 2, size.fresh_seconds + 1, 16, *files) for _ in range(2)]
        try:
            time.sleep(0.5)
            end = time.monotonic() + size.fresh_seconds
            with Asker(server) as asker:
                while time.monotonic() < end:
                    ages.append(_post_and_find(asker, corpus, len(ages))[1])
            posts = [finished(poster, 60) for poster in posters]
        finally:
            for poster in posters:
                if poster.poll() is None:
                    poster.kill()
                    poster.wait()
    rate = sum(item["answered"] / item["seconds"] for item in posts)
    # A smoke judges nothing, and runs on machines that keep up nothing.
    if any(item["refused"] for item in posts) or size.rounds > 1 and rate < 0.95 * size.fresh_rate:
        raise Failed(f"{rate:.0f} posts/s of {size.fresh_rate} were kept up: freshness is not what it should be")
    return Row(
        "index-fresh", f"from a post's answer until it is found, at {rate:,.0f} posts/s, p99 (ms)",
        f"{milliseconds(ages, 99):.1f} ms (p50 {milliseconds(ages, 50):.1f}, {len(ages)} times)", "limit 1000 ms",
        milliseconds(ages, 99), "≤", 1000, {"seconds": ages, "posts": posts})


def _post_and_find(asker, corpus, number):
    """Posts a unit with a word of its own and asks for it. Returns seconds (of both, from the post's answer on)."""
    unit = corpus.unit(number, "fresh")
    word = f"unique{number:09d}x"
    unit["payload"] += " " + word
    before = time.perf_counter()
    posted = asker.ask("POST", "/workunit", unit, 201)[1]["work_unit"]
    answered = time.perf_counter()
    page = asker.search(query=word, context_id="fresh", min_position=posted["position"], wait_seconds=30)[1]
    found = time.perf_counter()
    if [item["work_unit"]["id"] for item in page["results"]] != [posted["id"]] or page["partial"]:
        raise Failed(f"{word} was posted, and not found: {str(page)[:200]}")
    return found - before, found - answered


# -- index-load: the index alone ---------------------------------------------------------------------------------------


def tokenizer():
    """The tokenizer as a loadable extension, by the line that its header gives."""
    source = ROOT / "Sources" / "CSearch"
    header = (source / "include" / "CSearch.h").read_text()
    command = next(
        (found.strip(" /") for found in header.splitlines() if found.strip(" /").startswith("cc ")), None)
    if not command:
        raise Failed("CSearch.h doesn't say how the tokenizer is built")
    servers.SCRATCH.mkdir(parents=True, exist_ok=True)
    words = command.split()
    path = servers.SCRATCH / "engram.so"
    words[words.index("-o") + 1] = str(path)
    done = subprocess.run(words, cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failed(f"the tokenizer doesn't build: {done.stdout[-300:]}")
    return path


SQLITE = """
.bail on
.load {tokenizer}
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -65536;
PRAGMA wal_autocheckpoint = 0;
PRAGMA temp_store = MEMORY;
ATTACH '{bodies}' AS source;
CREATE VIRTUAL TABLE units USING fts5(body, content='', detail=full, columnsize=1, tokenize='engram');
INSERT INTO units(units, rank) VALUES ('hashsize', 33554432), ('automerge', 8), ('crisismerge', 64), ('usermerge', 4), ('pgsz', 1000);
INSERT INTO units(rowid, body) SELECT rowid, body FROM source.bodies;
PRAGMA wal_checkpoint(TRUNCATE);
SELECT count(*) FROM units('{word}');
"""


def index_load(size):
    """The index caught up from the store, against the sqlite3 command line with the same texts, and PostgreSQL's GIN."""
    corpus, extension = Corpus(), tokenizer()
    folder = pathlib.Path(servers.scratch("sqlite"))
    bodies = folder / "bodies.db"
    with contextlib.closing(sqlite3.connect(bodies)) as database, database:
        database.execute("CREATE TABLE bodies(body TEXT)")
        database.executemany("INSERT INTO bodies VALUES (?)", ((body(unit),) for unit in corpus.units(size.loaded)))
    hits = sum(PLANTED[0] in corpus.text(number) for number in range(0, size.loaded, 10))

    def sqlite():
        target = folder / "index.db"
        for path in folder.glob("index.db*"):
            path.unlink()
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [program("sqlite3"), str(target)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            input=SQLITE.format(tokenizer=extension, bodies=bodies, word=PLANTED[0]))
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode != 0 or done.stdout.split()[-1:] != [str(hits)]:
            raise Failed(f"sqlite3: {done.stdout.strip()[-300:]} ({hits} wanted)")
        return {
            "seconds": wall, "processor_seconds": used, "per_second": size.loaded / wall, "per_processor": size.loaded / used,
            "bytes": target.stat().st_size}

    directory = servers.scratch("engram")
    try:
        with contextlib.closing(Served("--no-search", directory=directory)) as server:
            count, text, last = fill(server, corpus.units(size.loaded))
            settle(server, 5 if size.rounds == 1 else 60)
            server.terminate()

        def engram():
            shutil.rmtree(pathlib.Path(directory, "search"), ignore_errors=True)
            begun = time.monotonic()
            with contextlib.closing(Served(directory=directory)) as server:
                caught_up(server, last)
                wall, threads = time.monotonic() - begun, server.processor().threads
                used = threads.get("engram-index", 0)
                with Asker(server) as asker:
                    page = asker.search(query=PLANTED[0], limit=1)[1]
                if used <= 0 or page["total_is_exact"] and page["total_count"] != hits:
                    raise Failed(f"{hits} hits wanted: {str(page)[:200]}; index thread {used} s")
                settle(server, 5 if size.rounds == 1 else 120)
                settled = server.processor().threads.get("engram-index", 0)
                server.terminate()
                return {
                    "seconds": wall, "processor_seconds": used, "settled_processor_seconds": settled,
                    "per_second": count / wall, "per_processor": count / used, "bytes": index_bytes(server), "threads": threads}

        ours, theirs = alternate(min(size.rounds, 3), engram, sqlite)
        postgres = _postgres_load(corpus, size.loaded)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    one, two = (median([item["per_processor"] for item in results]) for results in (ours, theirs))
    walls = [median([item["per_second"] for item in results]) for results in (ours, theirs)]
    small = median([item["bytes"] for item in ours])
    raw = {"engram": ours, "sqlite": theirs, "postgres": postgres, "text_bytes": text}
    return [
        Row("index-load", f"{count:,} units of 1 KB indexed from the store, per CPU-second of the index thread",
            f"{thousands(one)} units ({thousands(walls[0])} /s)",
            f"sqlite3 {thousands(two)} ({thousands(walls[1])} /s); postgres {thousands(postgres['per_processor'])} "
            f"({thousands(postgres['per_second'])} /s)", one / two, "≥", 0.9, raw),
        Row("index-size", "the index once it is settled, to the text's bytes", f"{small / MEBIBYTE:,.1f} MiB",
            f"text {text / MEBIBYTE:,.1f} MiB; sqlite3 {median([item['bytes'] for item in theirs]) / MEBIBYTE:,.1f}, "
            f"postgres {postgres['bytes'] / MEBIBYTE:,.1f} MiB", small / text, "≤", 0.6, {})]


class Served(Engram):
    """A server whose directory is somebody else's: closed, it leaves that."""

    def close(self):
        self.kill()


def escaped(text):
    """A value of `COPY` in its text format."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _postgres_fill(server, corpus, count):
    server.sql("CREATE TABLE texts(id bigint, context text, agent text, tenant text, body text)")
    server.sql("COPY texts FROM STDIN", (
        "\t".join([str(number), unit["context_id"], unit["agent_id"], unit["metadata"]["tenant"],
                   escaped(" ".join([unit["payload"], *unit["metadata"].values()]))]) + "\n"
        for number, unit in enumerate(corpus.units(count))))


def _postgres_load(corpus, count):
    with Postgres() as server:
        _postgres_fill(server, corpus, count)
        server.sql(
            "CREATE TABLE units(id bigint, words tsvector); CREATE INDEX units_words ON units USING gin(words)")
        # The session's process has gone when its time is read: its parent has it.
        ended, before, begun = server.ended(), server.processor(), time.monotonic()
        server.sql(
            "INSERT INTO units SELECT id, to_tsvector('simple', body) FROM texts; "
            "SELECT gin_clean_pending_list('units_words')")
        wall = time.monotonic() - begun
        used = server.processor().since(before)[0] + server.ended() - ended
        return {
            "seconds": wall, "processor_seconds": used, "per_second": count / wall, "per_processor": count / used,
            "bytes": int(server.sql("SELECT pg_total_relation_size('units')"))}


# -- search ------------------------------------------------------------------------------------------------------------


def _asked(asker, times, make, check=lambda page: None):
    """Latencies of so many searches; each must be whole."""
    latencies = []
    for number in range(times + 10):
        seconds, page = asker.search(**make(number))
        if page["partial"]:
            raise Failed(f"partial: {make(number)}")
        check(page)
        if number >= 10:
            latencies.append(seconds)
    return latencies


def _wants(low, high=None):
    def check(page):
        if not low <= len(page["results"]) <= (high or low):
            raise Failed(f"{len(page['results'])} results where {low} are wanted")
    return check


RANKED = """\\set n random(1, 10)
SELECT id, ts_rank(words, query) AS rank
FROM units, to_tsquery('simple', (ARRAY[{words}])[:n]) AS query WHERE words @@ query ORDER BY rank DESC LIMIT 20;
"""


def search(size):
    """Searches of a million units, one after the other, beside nothing else; PostgreSQL with the same texts."""
    corpus, chance = Corpus(), random.Random(5)
    rows, full = [], min(20, size.indexed // 100)
    with contextlib.ExitStack() as stack:
        server, peer = stack.enter_context(Engram()), stack.enter_context(Postgres())
        count, _, last = fill(server, corpus.units(size.indexed))
        caught_up(server, last, 4 * CAUGHT_UP_SECONDS)
        _postgres_fill(peer, corpus, size.indexed)
        peer.sql(
            "CREATE TABLE units AS SELECT id, to_tsvector('simple', body) AS words FROM texts; "
            "CREATE INDEX ON units USING gin(words)")
        peer.sql("VACUUM ANALYZE units")
        settle(server, 5 if size.rounds == 1 else 300)
        # Not sooner: a connection that says nothing for as long as PostgreSQL loads is closed.
        asker = stack.enter_context(Asker(server))

        def row(name, work, latencies, budget, share=99):
            rows.append(Row(
                name, f"{count:,} units: {work}, p{share} (ms)",
                f"{milliseconds(latencies, share):.2f} ms (p50 {milliseconds(latencies, 50):.2f}, "
                f"most {max(latencies) * 1e3:.2f})", f"limit {budget} ms", milliseconds(latencies, share), "≤", budget,
                {"seconds": latencies}))

        # A word of the first 300 and one of the first 5000: from nearly every unit of the context to next to none.
        row("search-two", "two words in one of 200 contexts", _asked(asker, size.queries, lambda _: {
            "query": f"{corpus.words[chance.randrange(300)]} {corpus.words[chance.randrange(5000)]}",
            "context_id": f"corpus-{chance.randrange(200)}"}), 10)
        row("search-common", "the most common word, newest 20", _asked(
            asker, size.queries, lambda _: {"query": corpus.words[0], "order": "recent", "limit": 20}, _wants(20)), 20)
        row("search-metadata", "a metadata pair and no text", _asked(asker, size.queries, lambda _: {
            "metadata": {"tenant": f"tenant-{chance.randrange(500)}"}}, _wants(0, 20)), 10)

        def ranked():
            return _asked(asker, size.queries // size.rounds, lambda _: {
                "query": chance.choice(PLANTED), "order": "relevance", "limit": 20}, _wants(full))

        script = RANKED.format(words=", ".join(f"'{word}'" for word in PLANTED))
        peer.latencies(script, 20)
        ones, twos = alternate(size.rounds, ranked, lambda: peer.latencies(script, size.queries // size.rounds))
        one, two = (median([median(latencies) for latencies in results]) for results in (ones, twos))
        rows.append(Row(
            "search-ranked", f"{count:,} units: best 20 of {count // 100:,} hits, p50", f"{one * 1e3:.2f} ms",
            f"postgres {two * 1e3:.2f} ms", one / two, "≤", 0.5, {"engram": ones, "postgres": twos}))
        own = [_post_and_find(asker, corpus, number)[0] for number in range(size.queries // 2)]
        row("search-own", "a post, then a search with its min_position: both together", own, 50)
    return rows


# -- graph -------------------------------------------------------------------------------------------------------------


def graph(size):
    """What depends on a unit, three steps deep: a tree of equal branches."""
    branches = next(number for number in range(2, 1000) if number + number**2 + number**3 >= size.edges)
    with Engram() as server, Asker(server) as asker:
        layer, edges = [harness.uuid7()], 0
        root = layer[0]
        fill(server, [harness.unit("graph", "the root", id=root) | {"metadata": {}}])
        while edges < size.edges:
            next_layer, units = [], []
            for parent in layer:
                for _ in range(branches):
                    if edges == size.edges:
                        break
                    edges += 1
                    next_layer.append(harness.uuid7())
                    units.append(harness.unit(
                        "graph", f"edge {edges}", id=next_layer[-1],
                        relationships=[{"target_id": parent, "type": "DEPENDS_ON"}]) | {"metadata": {}})
            fill(server, units)
            layer = next_layer
        # Flushes, compactions and the index go on for a while.
        settle(server, 5 if size.rounds == 1 else 60)
        limit, latencies = min(1000, edges), []
        for number in range(size.queries + 10):
            seconds, page = asker.ask(
                "GET", f"/workunit/{root}/relationships?depth=3&direction=incoming&limit={limit}")
            distances = [item["distance"] for item in page["results"]]
            if len(distances) != limit or distances != sorted(distances) or distances.count(1) != branches:
                raise Failed(f"{len(distances)} of {limit} units around the root, nearest first")
            if number >= 10:
                latencies.append(seconds)
    return [Row(
        "graph", f"depth 3 over {edges:,} edges, {limit} nearest units, p99 (ms)",
        f"{milliseconds(latencies, 99):.2f} ms (p50 {milliseconds(latencies, 50):.2f})", "limit 20 ms",
        milliseconds(latencies, 99), "≤", 20, {"seconds": latencies})]


ROWS = {"index": index, "index-load": index_load, "search": search, "graph": graph}
