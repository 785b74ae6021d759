/// What comes back with a completion: whose it is, and of which life of that slot.
///
/// Bits 0-7 are the kind, 8-31 the slot, 32-63 the generation of the slot.
struct Tag {
  enum Kind: UInt8 {
    /// An operation nobody waits for; it completes only when it failed, and that is harmless.
    case ignored
    case wakeRead
    /// Another loop's message: there is something in the inbox or a mailbox.
    case wakeMessage
    /// A message of ours that could not be delivered.
    case wakeFailed
    case receive
    case send
    case socketCancel
    case socketClose
    case accept
    case listenerCancel
    case diskWrite
    case diskSync
  }

  static let slotMax = (1 << 24) - 1

  let raw: UInt64

  init(raw: UInt64) { self.raw = raw }

  init(_ kind: Kind, slot: UInt32 = 0, generation: UInt32 = 0) {
    raw = UInt64(kind.rawValue) | UInt64(slot) << 8 | UInt64(generation) << 32
  }

  var kind: Kind { Kind(rawValue: UInt8(truncatingIfNeeded: raw)) ?? .ignored }
  var slot: UInt32 { UInt32(truncatingIfNeeded: raw >> 8) & UInt32(Tag.slotMax) }
  var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) }
}
