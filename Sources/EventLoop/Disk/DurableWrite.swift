internal import CIOUring
internal import Glibc

/// One durable write in flight: kept by the loop until its last completion, then used again.
final class DurableWrite: Resident {
  private let disk: RingDisk
  private var completion: (any DiskCompletion)?
  private var tag: UInt64 = 0
  private var file: Int32 = -1
  private var bytes: Int32 = 0
  private var syncsAfter = false
  private var slot: UInt32 = 0
  private var generation: UInt32 = 0

  init(_ disk: RingDisk) { self.disk = disk }

  func submit(
    _ file: DiskFile, at offset: UInt64, from run: UnsafeRawBufferPointer, registration: Int32,
    _ completion: any DiskCompletion, tag: UInt64
  ) {
    let loop = disk.loop
    guard let place = loop.slots.insert(self) else { fatalError("more than 2^24 operations in flight") }
    (slot, generation) = place
    self.completion = completion
    self.tag = tag
    self.file = file.id
    bytes = Int32(run.count)
    syncsAfter = disk.primitive == .writeThenDatasync
    engram_prep_write(
      loop.countedSubmission(), file.id, run.baseAddress, UInt32(run.count), offset, registration,
      !syncsAfter,
      Tag(.diskWrite, slot: slot, generation: generation).raw)
  }

  func completed(_ kind: Tag.Kind, _ result: Int32, _ flags: UInt32) {
    let loop = disk.loop
    if kind == .diskWrite, syncsAfter, result == bytes {
      // Only now: a sync that overtakes a short write's rest would vouch for bytes that are not there.
      engram_prep_datasync(
        loop.countedSubmission(), file, Tag(.diskSync, slot: slot, generation: generation).raw)
      return
    }
    let outcome = kind == .diskSync && result == 0 ? bytes : result
    let completion = completion
    self.completion = nil
    loop.slots.remove(slot)
    disk.idleWrites.append(self)
    completion?.diskWriteCompleted(tag: tag, result: outcome)
  }

  /// A write that was started is finished.
  func loopIsStopping() {}
}

extension RingDisk {
  public func writeDurably(
    _ file: DiskFile, at offset: UInt64, from bytes: UnsafeRawBufferPointer, registration: Int32,
    _ completion: any DiskCompletion, tag: UInt64
  ) {
    loop.assertOnLoop()
    precondition(bytes.count <= Int(Int32.max), "one write takes at most 2 GiB")
    let write = idleWrites.popLast() ?? DurableWrite(self)
    write.submit(file, at: offset, from: bytes, registration: registration, completion, tag: tag)
  }
}
