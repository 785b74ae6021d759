import Bytes
import EventLoop
import Glibc
import Testing

extension WithRing {
  @Suite struct RingDiskTests {
    /// A directory of the test's own on a real disk, removed with its files.
    final class Directory {
      let path: String

      init() {
        var template = Array("engram-disk-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "."
      }

      deinit {
        guard let stream = opendir(path) else { return }
        while let entry = readdir(stream) {
          let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
          }
          unlink("\(path)/\(name)")
        }
        closedir(stream)
        rmdir(path)
      }
    }

    final class Completion: DiskCompletion, @unchecked Sendable {
      let gate = Gate()
      let results = Shared<[[Int64]]>([])
      func diskWriteCompleted(tag: UInt64, result: Int32) {
        results.change { $0.append([Int64(tag), Int64(result)]) }
        gate.open()
      }
    }

    private func with(_ body: (RingDisk, EventLoop) throws -> Void) throws {
      let directory = Directory()
      try EventLoop.with { loop in
        let disk = try RingDisk(path: directory.path, loop: loop)
        disk.createPause = 0
        defer { disk.shutDown() }
        try body(disk, loop)
      }
    }

    @Test func `a new file is all zeros, and there only once`() throws {
      try with { disk, _ in
        try disk.create("a", bytes: 3 << 20)
        #expect(try disk.list() == ["a"])
        let file = try disk.open("a", writable: false)
        defer { disk.close(file) }
        #expect(try disk.size(file) == 3 << 20)
        let slab = Slab(capacity: 4 << 20)
        let into = UnsafeMutableRawBufferPointer(start: slab.base, count: slab.capacity)
        #expect(try disk.read(file, at: 0, into: into) == 3 << 20)
        #expect(into.prefix(3 << 20).allSatisfy { $0 == 0 })
        #expect(throws: DiskError(code: EEXIST, operation: "open", file: "a")) {
          try disk.create("a", bytes: 4096)
        }
      }
    }

    @Test(arguments: DurablePrimitive.allCases, [false, true])
    func `a durable write is there when it completes`(_ primitive: DurablePrimitive, _ registered: Bool)
      throws
    {
      let directory = Directory()
      let loop = try EventLoop(index: 0)
      let pool = SlabPool(slabBytes: 65_536, keptMax: 4)
      if registered {
        #expect(loop.registerSlabs(pool, count: 2) == SlabRegistration(registered: 2, reason: nil))
      }
      loop.start()
      defer {
        loop.stop()
        loop.join()
      }
      let disk = try RingDisk(path: directory.path, loop: loop)
      disk.primitive = primitive
      try disk.create("log", bytes: 1 << 20)
      let file = try disk.open("log", writable: true)
      let completion = Completion()
      let bytes = pattern(8192)
      let slab = pool.take()
      #expect((slab.registration >= 0) == registered)
      slab.base.copyMemory(from: bytes, byteCount: bytes.count)
      let kept = Unchecked(value: disk)
      _ = loop.sync {
        kept.value.writeDurably(
          file, at: 4096, from: UnsafeRawBufferPointer(start: slab.base, count: bytes.count),
          registration: slab.registration, completion, tag: 42)
      }
      #expect(completion.gate.wait())
      #expect(completion.results.value == [[42, 8192]])
      let back = Slab(capacity: 8192)
      #expect(
        try disk.read(file, at: 4096, into: UnsafeMutableRawBufferPointer(start: back.base, count: 8192))
          == 8192)
      #expect(Array(UnsafeRawBufferPointer(start: back.base, count: 8192)) == bytes)
      disk.close(file)
    }

    @Test func `a failed write says why, by its errno`() throws {
      try with { disk, loop in
        try disk.create("a", bytes: 4096)
        let file = try disk.open("a", writable: false)
        let completion = Completion()
        let slab = Slab(capacity: 4096)
        let kept = Unchecked(value: disk)
        _ = loop.sync {
          kept.value.writeDurably(
            file, at: 0, from: UnsafeRawBufferPointer(start: slab.base, count: 4096), registration: -1,
            completion,
            tag: 1)
        }
        #expect(completion.gate.wait())
        #expect(completion.results.value == [[1, Int64(-EBADF)]])
        disk.close(file)
      }
    }

    @Test func `a write in flight when the loop is stopped still completes`() throws {
      let directory = Directory()
      let loop = try EventLoop(index: 0)
      loop.start()
      let disk = try RingDisk(path: directory.path, loop: loop)
      try disk.create("a", bytes: 1 << 20)
      let file = try disk.open("a", writable: true)
      let completion = Completion()
      let slab = Slab(capacity: 1 << 20)
      memset(slab.base, 1, 1 << 20)
      let kept = Unchecked(value: disk)
      loop.perform {
        kept.value.writeDurably(
          file, at: 0, from: UnsafeRawBufferPointer(start: slab.base, count: 1 << 20), registration: -1,
          completion,
          tag: 1)
        loop.stop()
      }
      loop.join()
      #expect(completion.results.value == [[1, 1 << 20]])
      disk.close(file)
    }

    @Test func `blocking writes, renames and removals`() throws {
      try with { disk, _ in
        try disk.create("a", bytes: 8192)
        let file = try disk.open("a", writable: true)
        let slab = Slab(capacity: 4096)
        slab.base.storeBytes(of: 77, as: UInt8.self)
        try disk.write(file, at: 4096, from: UnsafeRawBufferPointer(start: slab.base, count: 4096))
        try disk.synchronize(file)
        let back = Slab(capacity: 8192)
        #expect(
          try disk.read(file, at: 4096, into: UnsafeMutableRawBufferPointer(start: back.base, count: 8192))
            == 4096)
        #expect(back.base.load(as: UInt8.self) == 77)
        disk.close(file)
        try disk.rename("a", to: "b")
        try disk.synchronizeDirectory()
        #expect(try disk.list() == ["b"])
        try disk.remove("b")
        #expect(try disk.list() == [])
        #expect(throws: DiskError(code: ENOENT, operation: "open", file: "b")) {
          try disk.open("b", writable: true)
        }
      }
    }

    @Test(arguments: ["../a", "a/b", "", ".", ".."]) func `no name leads out of the directory`(_ name: String)
      throws
    {
      try with { disk, _ in
        #expect(throws: DiskError(code: EINVAL, operation: "name", file: name)) {
          try disk.create(name, bytes: 0)
        }
      }
    }

    @Test func `the probe measures both primitives once, and remembers`() throws {
      try with { disk, loop in
        try disk.create("spare", bytes: 65_536)
        let measured = try disk.probe(on: "spare")
        #expect(measured.directSync > 0 && measured.writeThenDatasync > 0 && !measured.isCached)
        var remembered = measured
        remembered.isCached = true
        let again = try RingDisk(path: disk.path, loop: loop)
        #expect(try again.probe(on: "gone") == remembered)
        #expect(again.primitive == measured.primitive)
      }
    }

    @Test func `background work runs off the loop, and its end on it`() throws {
      try with { disk, loop in
        let gate = Gate()
        let places = Shared<[Bool]>([])
        disk.background {
          places.change { $0.append(loop.isOnLoop) }
          return DiskError(code: 1, operation: "x", file: "y")
        } _: { error in
          places.change { $0.append(loop.isOnLoop && error?.code == 1) }
          gate.open()
        }
        #expect(gate.wait())
        #expect(places.value == [false, true])
      }
    }

    @Test func `slabs beyond the table are not registered, and it says so`() throws {
      var options = LoopOptions()
      options.registeredBuffersMax = 2
      let loop = try EventLoop(index: 0, options: options)
      let pool = SlabPool(slabBytes: 4096, keptMax: 4)
      let registration = loop.registerSlabs(pool, count: 3)
      #expect(registration.registered == 2)
      #expect(registration.reason?.contains("registeredBuffersMax") == true)
    }
  }
}
