internal import EventLoop
public import Model

/// Segments between their lives: made ahead, trimmed, used again, removed. None of it is in the way of a
/// commit.
extension LocalLog {
  public func trim(through position: Position) {
    var freed: [SpareFile] = []
    while segments.count > 1, segments[1].header.firstPosition.rawValue - 1 <= position.rawValue {
      let oldest = segments.removeFirst()
      freed.append(
        SpareFile(
          name: oldest.name, file: oldest.file, bytes: oldest.header.segmentBytes, salt: oldest.header.salt))
    }
    guard !freed.isEmpty else { return }
    recycle(freed)
    roomFound()
  }

  /// Makes spares again after a failure to make one. Call it each second or so.
  public func tick() { replenish() }

  /// The oldest position that `tail(after:)` can still read.
  public var firstPosition: Position { segments.first?.header.firstPosition ?? tail.lastPosition.next }

  public func tail(after position: Position, _ body: (Batch) -> Void) throws(LogError) -> LogTail {
    guard position < tail.lastPosition else { return tail }
    guard firstPosition.rawValue - 1 <= position.rawValue else { throw .trimmed(first: firstPosition) }
    let from = segments.lastIndex { $0.header.firstPosition.rawValue - 1 <= position.rawValue } ?? 0
    for segment in segments[from...] {
      var scanner = SegmentScanner(
        disk: disk, file: segment.file, fileBytes: segment.end, salt: segment.header.salt,
        scanBytes: configuration.scanBytes)
      var offset = UInt64(LogFormat.segmentHeaderBytes)
      while offset < segment.end {
        let (_, batch) = try reading { () throws(DiskError) in try scanner.look(at: offset) }
        guard let batch else {
          throw .damage(
            LogDamage(
              row: .brokenBeforeEnd, file: segment.name, offset: offset,
              position: segment.header.firstPosition,
              detail: "a durable batch can't be read"))
        }
        offset += UInt64(batch.paddedBytes)
        if batch.count > 0, batch.lastPosition > position { body(batch) }
      }
    }
    return tail
  }

  /// Keeps what fits as spares, and removes the rest in the background.
  func recycle(_ files: [SpareFile]) {
    for file in files {
      if file.bytes == configuration.segmentBytes, spares.count < configuration.sparesMax {
        spares.append(file)
      } else {
        discard(file)
      }
    }
  }

  /// Removal may fail, or be lost in a crash: the next start sees a spare, or a segment below the chain.
  private func discard(_ spare: SpareFile) {
    let disk = Confined(disk)
    disk.value.background({
      disk.value.close(spare.file)
      do throws(DiskError) {
        try disk.value.remove(spare.name)
        try disk.value.synchronizeDirectory()
        return nil
      } catch {
        return error
      }
    }) { _ in }
  }

  /// Makes one spare in the background, unless there are enough; the next one when it is done.
  func replenish() {
    guard !isCreating, failure == nil, spares.count < configuration.sparesMin else { return }
    isCreating = true
    highestName += 1
    let name = SegmentName.make(highestName)
    let bytes = configuration.segmentBytes
    let disk = Confined(disk)
    let log = Confined(self)
    let made = Made()
    disk.value.background({
      do throws(DiskError) {
        made.file = try Self.createSpare(disk.value, name, bytes)
        return nil
      } catch {
        return error
      }
    }) { _ in
      log.value.created(made.file, name)
    }
  }

  private func created(_ file: DiskFile?, _ name: String) {
    isCreating = false
    creationFailed = file == nil
    guard let file else { return }
    spares.append(SpareFile(name: name, file: file, bytes: configuration.segmentBytes))
    roomFound()
    replenish()
  }

  private func roomFound() {
    guard isStarved, !spares.isEmpty else { return }
    isStarved = false
    onRoom?()
  }

  /// At the start, when there is none: blocks.
  func createFirstSpare() throws(DiskError) {
    highestName += 1
    let name = SegmentName.make(highestName)
    do throws(DiskError) {
      let file = try Self.createSpare(disk, name, configuration.segmentBytes)
      spares.append(SpareFile(name: name, file: file, bytes: configuration.segmentBytes))
    } catch {
      guard error.code == DiskError.noSpace else { throw error }
      creationFailed = true
    }
  }

  /// Leaves nothing behind if it throws and the disk lets it.
  private static func createSpare(_ disk: any Disk, _ name: String, _ bytes: UInt64) throws(DiskError)
    -> DiskFile
  {
    do throws(DiskError) {
      try disk.create(name, bytes: bytes)
      return try disk.open(name, writable: true)
    } catch {
      do { try disk.remove(name) } catch
      { /* Wasn't made, or is a blank file of the wrong size to the next start. */  }
      throw error
    }
  }
}

/// What the background thread made, read on the home thread after it is done.
private final class Made: @unchecked Sendable {
  var file: DiskFile?
}
