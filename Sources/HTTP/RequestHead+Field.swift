internal import CBytes

extension RequestHead {
  /// Notes the field line `start ..< end`, whose bytes are known to hold no control character but HTAB
  /// (RFC 9112, section 5). Up to `view` bytes may be looked at.
  @inline(__always) mutating func readField(
    _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ view: Int, _ fieldsMax: Int
  ) throws(HTTPError) {
    guard !isBlank(base, start) else { throw .foldedField }
    guard fieldCount < fieldsMax else { throw .tooManyFields }
    // To `view` and not to `end`, so that even a short line is scanned by lanes.
    let colon = engram_scan_byte(base, start, view, UInt8(ascii: ":"))
    guard colon < end else { throw .missingColon }
    let nameLength = colon &- start
    guard nameLength > 0 else { throw .malformedFieldName }
    let field = names.match(base + start, nameLength)
    if field == RequestHead.absent {
      try checkName(base, start, colon)
    } else if known[Int(field)] == RequestHead.absent {
      known[Int(field)] = UInt8(truncatingIfNeeded: fieldCount)
    } else if field == KnownField.host.rawValue || field == KnownField.contentLength.rawValue
      || field == KnownField.transferEncoding.rawValue
    {
      // They decide whom the message is for and where it ends.
      throw .repeatedField
    }
    var valueStart = colon &+ 1
    var valueEnd = end
    while valueStart < valueEnd, isBlank(base, valueStart) { valueStart &+= 1 }
    while valueEnd > valueStart, isBlank(base, valueEnd &- 1) { valueEnd &-= 1 }
    fields[fieldCount] = Field(
      name: UInt16(truncatingIfNeeded: start), value: UInt16(truncatingIfNeeded: valueStart),
      valueLength: UInt16(truncatingIfNeeded: valueEnd &- valueStart),
      nameLength: UInt8(truncatingIfNeeded: nameLength), known: field)
    fieldCount &+= 1
  }

  private func checkName(_ base: UnsafeRawPointer, _ start: Int, _ colon: Int) throws(HTTPError) {
    guard engram_scan_token(base, start, colon) == colon else {
      throw isBlank(base, colon - 1) ? .spaceBeforeColon : .malformedFieldName
    }
    guard colon - start <= HTTPLimits.fieldNameBytesMax else { throw .fieldNameTooLong }
  }

  @inline(__always) private func isBlank(_ base: UnsafeRawPointer, _ offset: Int) -> Bool {
    let byte = base.load(fromByteOffset: offset, as: UInt8.self)
    return byte == ASCII.space || byte == ASCII.tab
  }
}
