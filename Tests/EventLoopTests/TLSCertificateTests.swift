import Access
import Bytes
import CTLSTesting
import EventLoop
import Glibc
import Synchronization
import Testing

private let urn = Array("urn:agent:anna".utf8)

/// Clients' certificates, and the files of the server's.
extension WithRing {
  @Suite struct TLSCertificateTests {
    private func settings(
      _ wanted: TLSSettings.ClientCertificates, _ authority: String = "ca.pem"
    ) -> TLSSettings {
      Certificates.settings {
        $0.clientCertificates = wanted
        $0.clientCA = Certificates.file(authority)
      }
    }

    private final class Seen: Sendable {
      let certificate = Shared<PeerCertificate?>(nil)
      let authorities = Shared<UInt64?>(nil)
    }

    private func with(_ context: TLSContext, _ body: (EventLoop, Server, Seen) throws -> Void) throws {
      try EventLoop.with { loop in
        let server = try Server.secure(loop, context)
        let seen = Seen()
        server.onReceive = { _, socket, bytes, _ in
          seen.certificate.set(
            socket.peerCertificate.flatMap { der in der.withUnsafeBytes { PeerCertificate(der: $0) } })
          seen.authorities.set(socket.authorityGeneration)
          socket.output.write(UnsafeRawBufferPointer(bytes))
          return .returned
        }
        try body(loop, server.start(), seen)
      }
    }

    private func visit(_ server: Server, _ options: ClientOptions) throws -> TLSClient? {
      let client = try TLSClient(port: server.port, options)
      guard client.handshake(), client.send([42]), client.receive(1) == [42] else { return nil }
      client.close()
      _ = client.readToEnd()
      return client
    }

    private static let versions: [ClientOptions] = [.v12, .v13]
    private static let wishes: [TLSSettings.ClientCertificates] = [.optional, .required]

    @Test(arguments: versions, wishes) func `a good certificate's names are told`(
      _ options: ClientOptions, _ wanted: TLSSettings.ClientCertificates
    ) throws {
      try with(TLSContext(settings(wanted))) { _, server, seen in
        var options = options
        options.certificate = "client"
        try #expect(visit(server, options) != nil)
        let names = try #require(seen.certificate.value)
        #expect(names.commonNames == [Array("anna".utf8)])
        #expect(names.uris == [urn])
        #expect(names.dnsNames == [Array("anna.example".utf8)])
        #expect(names.emails == [Array("anna@example.org".utf8)])
        #expect(names.notAfter.map { abs(Int64($0) - Int64(time(nil)) - 86_400) < 300 } == true)
      }
    }

    @Test func `several names and names with a NUL are told as they are`() throws {
      try with(TLSContext(settings(.required))) { _, server, seen in
        try #expect(visit(server, ClientOptions(certificate: "twins")) != nil)
        #expect(seen.certificate.value?.uris.count == 2)
        try #expect(visit(server, ClientOptions(certificate: "nul")) != nil)
        #expect(seen.certificate.value?.dnsNames == [Array("good\0evil".utf8)])
      }
    }

    @Test(arguments: versions, wishes) func `no certificate will do only where it is optional`(
      _ options: ClientOptions, _ wanted: TLSSettings.ClientCertificates
    ) throws {
      try with(TLSContext(settings(wanted))) { loop, server, seen in
        try #expect((visit(server, options) != nil) == (wanted == .optional))
        #expect(seen.certificate.value == nil)
        #expect(
          eventually { loop.counters.tls.failures(.clientCertificate) == (wanted == .optional ? 0 : 1) })
        #expect(eventually { server.refused.value == (wanted == .optional ? [] : [true]) })
      }
    }

    @Test(arguments: versions, ["foreign", "expired"]) func `a bad certificate won't do at all`(
      _ options: ClientOptions, _ name: String
    ) throws {
      for wanted in TLSCertificateTests.wishes {
        try with(TLSContext(settings(wanted))) { loop, server, seen in
          var options = options
          options.certificate = name
          try #expect(visit(server, options) == nil)
          #expect(eventually { loop.counters.tls.failures(.clientCertificate) == 1 })
          #expect(eventually { server.refused.value == [false] })
          #expect(server.received.load(ordering: .relaxed) == 0)
        }
      }
    }

    @Test func `what fails of something else is no refused certificate`() throws {
      try with(TLSContext(settings(.required))) { _, server, _ in
        try #expect(visit(server, ClientOptions(certificate: "client", versions: 0x0302...0x0302)) == nil)
        try #expect(visit(server, ClientOptions(certificate: "client", protocols: ["h2"])) == nil)
        let noise = try #require(Client(port: server.port))
        // A record with a message that no client begins with.
        noise.send([22, 3, 1, 0, 5, 9, 0, 0, 1, 0])
        noise.shutdownSending()
        _ = noise.receive(100)
        #expect(eventually { server.closed.value.count == 3 })
        #expect(server.refused.value == [])
      }
    }

    @Test func `where none is asked for, none is told`() throws {
      try with(TLSContext(Certificates.settings())) { _, server, seen in
        try #expect(visit(server, ClientOptions(certificate: "client")) != nil)
        #expect(seen.certificate.value == nil)
      }
    }

    @Test(arguments: versions) func `a session that goes on keeps its certificate`(_ options: ClientOptions)
      throws
    {
      try with(TLSContext(settings(.required))) { loop, server, seen in
        var options = options
        options.certificate = "client"
        options.session = try #require(try visit(server, options)?.session.ticket)
        seen.certificate.set(nil)
        options.certificate = nil
        try #expect(visit(server, options)?.session.isResumed == true)
        #expect(seen.certificate.value?.uris == [urn])
      }
    }

    @Test(arguments: versions) func `a ticket doesn't outlive its certificate`(_ options: ClientOptions)
      throws
    {
      try with(TLSContext(settings(.required))) { _, server, _ in
        var options = options
        options.certificate = "brief"
        let ends = time(nil) + 2
        try #require(testing_make_certificate(Certificates.directory, "brief", 2))
        let first = try #require(try visit(server, options))
        options.session = first.session.ticket
        #expect(eventually { time(nil) > ends + 1 })
        try #expect(visit(server, options) == nil)
      }
    }

    @Test(arguments: versions) func `a ticket is worth nothing where clients must show something else`(
      _ options: ClientOptions
    ) throws {
      let open = try TLSContext(settings(.optional))
      try with(open) { loop, server, _ in
        var options = options
        options.session = try #require(try visit(server, options)?.session.ticket)
        let strict = try TLSContext(settings(.required), succeeding: open)
        _ = loop.sync { server.context = strict }
        try #expect(visit(server, options) == nil)
        // Another authority than the one that the ticket's certificate was verified by.
        options.certificate = "client"
        options.session = nil
        options.session = try #require(try visit(server, options)?.session.ticket)
        let foreign = try TLSContext(settings(.required, "foreign-ca.pem"), succeeding: strict)
        _ = loop.sync { server.context = foreign }
        try #expect(visit(server, options) == nil)
      }
    }

    @Test func `the authorities have another number once one of them is gone`() throws {
      func text(_ name: String) -> String {
        let file = SecretBytes.of(Certificates.file(name))
        return withExtendedLifetime(file) { String(decoding: file.bytes, as: UTF8.self) }
      }
      let (own, foreign) = (text("ca.pem"), text("foreign-ca.pem"))
      let file = "authorities.pem"
      func context(_ authorities: String?, after earlier: TLSContext?) throws -> TLSContext {
        guard let authorities else { return try TLSContext(Certificates.settings(), succeeding: earlier) }
        try write(authorities, Certificates.file(file))
        return try TLSContext(settings(.optional, file), succeeding: earlier)
      }
      var latest = try context(own, after: nil)
      #expect(latest.authorityGeneration == 0)
      for (authorities, number) in [
        (own, 0), ("# Renewed, and told so\n" + own, 0), (own + foreign, 0), (foreign + own + own, 0),
        (foreign, 1), (own, 2), (nil, 3), (nil, 3), (own, 3), (own + foreign, 3), (own, 4),
      ] as [(String?, UInt64)] {
        latest = try context(authorities, after: latest)
        #expect(latest.authorityGeneration == number)
      }
      // The demand is another, and what was verified is as good as before.
      try #expect(TLSContext(settings(.required, file), succeeding: latest).authorityGeneration == 4)
    }

    @Test(arguments: versions) func `a connection tells by which authorities it was made`(
      _ options: ClientOptions
    ) throws {
      let first = try TLSContext(settings(.required, "foreign-ca.pem"))
      let second = try TLSContext(settings(.required), succeeding: first)
      try with(second) { loop, server, seen in
        var options = options
        options.certificate = "client"
        options.session = try #require(try visit(server, options)?.session.ticket)
        #expect(seen.authorities.value == 1)
        // The ticket brings a certificate to a context whose authorities have come back meanwhile.
        let between = try TLSContext(settings(.required, "foreign-ca.pem"), succeeding: second)
        let third = try TLSContext(settings(.required), succeeding: between)
        _ = loop.sync { server.context = third }
        try #expect(visit(server, options)?.session.isResumed == true)
        #expect(seen.authorities.value == 3)
      }
    }

    // MARK: Files

    @Test func `files that don't fit together make no context`() throws {
      func cause(_ change: (inout TLSSettings) -> Void) -> TLSError.Cause? {
        do throws(TLSError) {
          _ = try TLSContext(Certificates.settings("server", change))
          return nil
        } catch { return error.cause }
      }
      #expect(cause { _ in } == nil)
      #expect(cause { $0.key = Certificates.file("other.key") } == .keyOfOtherCertificate)
      #expect(cause { $0.key = Certificates.file("locked.key") } == .keyNeedsPassphrase)
      let unlocked = cause {
        $0.key = Certificates.file("locked.key")
        $0.keyPassphrase = "secret"
      }
      #expect(unlocked == nil)
      let wrong = cause {
        $0.key = Certificates.file("locked.key")
        $0.keyPassphrase = "Secret"
      }
      if case .badKey = wrong {} else { Issue.record("\(String(describing: wrong))") }
      #expect(cause { $0.clientCertificates = .required } == .clientCAMissing)
      let odd = Certificates.file("odd.pem")
      for (name, text) in [
        ("empty", ""), ("text", "not PEM\n"), ("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
      ] {
        try write(text, odd)
        for cause in [
          cause { $0.certificate = odd }, cause { $0.key = odd },
          cause {
            $0.clientCertificates = .optional
            $0.clientCA = odd
          },
        ] {
          switch cause {
          case .badCertificate, .badKey, .badClientCA: break
          default: Issue.record("\(name): \(String(describing: cause))")
          }
        }
      }
    }

    @Test func `a context says when its certificate ends`() throws {
      let context = try TLSContext(Certificates.settings())
      #expect(abs(context.certificateExpires - Int64(time(nil)) - 86_400) < 300)
    }

    @Test func `the probe of the kernel's TLS says yes or an errno`() {
      if let code = KernelTLS.probe() { #expect(code > 0) }
    }

    private func write(_ text: String, _ path: String) throws {
      let file = try #require(fopen(path, "w"))
      fputs(text, file)
      fclose(file)
      chmod(path, 0o600)
    }
  }
}
