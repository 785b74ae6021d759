extension RequestHead {
  /// What the head as a whole must satisfy, and what it says about the message and the connection.
  mutating func readMeaning(_ base: UnsafeRawPointer) throws(HTTPError) {
    try checkHost(base)
    body = try framing(base)
    try readExpectation(base)
    readConnection(base)
  }

  private func text(_ base: UnsafeRawPointer, _ run: ByteRun) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + run.start, count: run.count)
  }

  /// RFC 9112, section 3.2. Repeated Host lines are refused where they stand.
  private func checkHost(_ base: UnsafeRawPointer) throws(HTTPError) {
    guard let run = self[.host] else {
      guard minorVersion == 0 else { throw .missingHost }
      return
    }
    let host = text(base, run)
    _ = try Authority.check(host)
    // The target would win by section 3.2.2; a proxy that looks at Host alone would have routed it elsewhere.
    if !authority.isEmpty, !ASCII.equalIgnoringCase(host, text(base, authority)) {
      throw .hostMismatch
    }
  }

  /// RFC 9112, section 6.3, with every doubt refused: request smuggling lives there.
  private func framing(_ base: UnsafeRawPointer) throws(HTTPError) -> BodyFraming {
    if let coding = self[.transferEncoding] {
      guard minorVersion > 0 else { throw .codingInOldVersion }
      guard !has(.contentLength) else { throw .lengthAndCoding }
      let value = text(base, coding)
      guard !ASCII.equalIgnoringCase(value, "chunked") else { return .chunked }
      throw otherCoding(value)
    }
    guard let run = self[.contentLength] else { return .none }
    let digits = text(base, run)
    guard !digits.isEmpty else { throw .invalidContentLength }
    var length: UInt64 = 0
    for digit in digits {
      guard ASCII.isDigit(digit) else { throw .invalidContentLength }
      let (tens, over) = length.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(UInt64(digit &- 0x30))
      guard !over, !carry else { throw .invalidContentLength }
      length = sum
    }
    return .length(length)
  }

  /// Codings that end in one `chunked` frame the body, but can't be undone here (501); anything else does not
  /// say where the body ends (400).
  private func otherCoding(_ value: UnsafeRawBufferPointer) -> HTTPError {
    var members = ListMembers(value)
    var chunked = 0
    var last = false
    while let member = members.next() {
      last = ASCII.equalIgnoringCase(member, "chunked")
      if last { chunked += 1 }
    }
    return last && chunked == 1 && value.last != UInt8(ascii: ",") && value.first != UInt8(ascii: ",")
      ? .unsupportedTransferCoding : .invalidTransferCoding
  }

  /// RFC 9110, section 10.1.1.
  private mutating func readExpectation(_ base: UnsafeRawPointer) throws(HTTPError) {
    var line = index(of: .expect)
    guard line != nil else { return }
    while let place = line {
      guard ASCII.equalIgnoringCase(text(base, value(at: place)), "100-continue") else {
        throw .unsupportedExpectation
      }
      line = index(of: .expect, after: place)
    }
    expectsContinue = minorVersion > 0 && body != .none && body != .length(0)
  }

  /// RFC 9112, section 9.3. `close` wins over `keep-alive`; the peer of a CONNECT would send no second request.
  private mutating func readConnection(_ base: UnsafeRawPointer) {
    var close = false
    var keep = false
    var upgrade = false
    var line = index(of: .connection)
    while let place = line {
      var members = ListMembers(text(base, value(at: place)))
      while let member = members.next() {
        close = close || ASCII.equalIgnoringCase(member, "close")
        keep = keep || ASCII.equalIgnoringCase(member, "keep-alive")
        upgrade = upgrade || ASCII.equalIgnoringCase(member, "upgrade")
      }
      line = index(of: .connection, after: place)
    }
    keepAlive = !close && (keep || minorVersion > 0) && method != .connect
    // RFC 9110, section 7.8: an Upgrade in HTTP/1.0 is ignored.
    asksUpgrade = upgrade && minorVersion > 0 && has(.upgrade)
  }
}
