internal import CIOUring
internal import COpenSSL
internal import Glibc

/// Why TLS can't be had from these settings: an operator's mistake, or the machine's.
public struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Cause: Sendable, Equatable {
    /// A file can't be read: the call that failed, and its errno.
    case unreadable(String, Int32)
    case notAFile
    case tooLarge
    /// Others may read the key; its mode.
    case keyIsPublic(UInt32)
    case badCertificate(String)
    case badKey(String)
    case keyNeedsPassphrase
    case keyOfOtherCertificate
    case badClientCA(String)
    /// Client certificates are asked for, and no authority is named.
    case clientCAMissing
    case outOfMemory(String)
  }

  public let cause: Cause
  /// The file that is at fault.
  public let path: String

  init(_ cause: Cause, _ path: String) {
    self.cause = cause
    self.path = path
  }

  public var description: String {
    switch cause {
    case .unreadable(let call, let code): "\(path): \(String(cString: strerror(code))) (\(call))"
    case .notAFile: "\(path): not a regular file"
    case .tooLarge: "\(path): larger than \(PEMFile.bytesMax >> 10) KiB"
    case .keyIsPublic(let mode):
      "\(path): the key may be read by everybody (mode \(String(mode, radix: 8))): chmod 600 \(path)"
    case .badCertificate(let reason): "\(path): no usable PEM certificate (\(reason))"
    case .badKey(let reason): "\(path): no usable PEM private key (\(reason))"
    case .keyNeedsPassphrase: "\(path): the key is encrypted, and no passphrase is given"
    case .keyOfOtherCertificate: "\(path): not the key of the certificate"
    case .badClientCA(let reason): "\(path): no usable PEM certificates of authorities (\(reason))"
    case .clientCAMissing: "client certificates are asked for, but no file names their authorities"
    case .outOfMemory(let reason): "OpenSSL can't make a context (\(reason))"
    }
  }
}

/// A file of certificates or a key, read whole. Its memory is cleared when it is let go: it may hold a key.
struct PEMFile: ~Copyable {
  /// A chain of a dozen certificates is 20 KiB; a bundle of all public authorities, 220.
  static let bytesMax = 1 << 20

  let bytes: UnsafeMutableRawBufferPointer

  /// Blocking. Follows links: secrets are mounted as such.
  /// - Parameter isSecret: refuse it if everybody may read it, by the mode of what was opened.
  init(_ path: String, isSecret: Bool) throws(TLSError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw TLSError(.unreadable("open", errno), path) }
    defer { close(descriptor) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw TLSError(.unreadable("fstat", errno), path) }
    guard facts.st_mode & S_IFMT == S_IFREG else { throw TLSError(.notAFile, path) }
    if isSecret, facts.st_mode & 0o007 != 0 { throw TLSError(.keyIsPublic(facts.st_mode & 0o777), path) }
    guard facts.st_size <= PEMFile.bytesMax else { throw TLSError(.tooLarge, path) }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(facts.st_size), alignment: 16)
    var done = 0
    while done < memory.count {
      let count = read(descriptor, memory.baseAddress?.advanced(by: done), memory.count - done)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        let code = errno
        PEMFile.discard(memory)
        throw TLSError(.unreadable("read", code), path)
      }
      if count == 0 { break }
      done += count
    }
    // It got shorter meanwhile: a line end is nothing to PEM.
    UnsafeMutableRawBufferPointer(rebasing: memory[done...]).initializeMemory(as: UInt8.self, repeating: 0x0A)
    bytes = memory
  }

  deinit { PEMFile.discard(bytes) }

  private static func discard(_ bytes: UnsafeMutableRawBufferPointer) {
    if let base = bytes.baseAddress { explicit_bzero(base, bytes.count) }
    bytes.deallocate()
  }
}
