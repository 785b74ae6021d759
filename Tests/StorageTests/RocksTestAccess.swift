import CRocksDB
import Glibc
import Testing

@testable import Storage

// Reaches below the store, to make what only a crash or a fault makes.

func put(_ store: RocksStore, _ family: StoreFamily, _ key: [UInt8], _ value: [UInt8]) throws {
  try put(store.database, family, key, value)
}

func put(_ database: RocksDatabase, _ family: StoreFamily, _ key: [UInt8], _ value: [UInt8]) throws {
  try write(database) { batch in
    key.withUnsafeBytes { key in
      value.withUnsafeBytes { value in
        engram_batch_put(
          batch, database.handle(family), key.baseAddress, key.count, value.baseAddress, value.count)
      }
    }
  }
}

private func write(_ database: RocksDatabase, _ fill: (OpaquePointer) -> Void) throws {
  let batch: OpaquePointer = rocksdb_writebatch_create()
  defer { rocksdb_writebatch_destroy(batch) }
  fill(batch)
  try database.write(batch, for: "test")
}

/// Everything in a family, in order.
func dump(_ database: RocksDatabase, _ family: StoreFamily) throws -> [[[UInt8]]] {
  let cursor = RocksCursor(
    database, family, from: [], to: [UInt8](repeating: 0xff, count: 20), .disk, for: "test")
  var entries: [[[UInt8]]] = []
  cursor.seek([])
  while cursor.isValid {
    entries.append([Array(cursor.key), Array(cursor.value)])
    cursor.next()
  }
  _ = try cursor.end()
  return entries
}

/// Takes a family back to what `dump` said.
func restore(_ store: RocksStore, _ family: StoreFamily, _ entries: [[[UInt8]]]) throws {
  let database = store.database
  let now = try dump(database, family)
  try write(database) { batch in
    for entry in now {
      entry[0].withUnsafeBufferPointer { key in
        key.withMemoryRebound(to: CChar.self) { key in
          rocksdb_writebatch_delete_cf(batch, database.handle(family), key.baseAddress, key.count)
        }
      }
    }
  }
  for entry in entries { try put(database, family, entry[0], entry[1]) }
}

func flip(_ path: String, at offset: off_t) throws {
  let file = open(path, O_RDWR)
  try #require(file >= 0)
  defer { close(file) }
  var byte: UInt8 = 0
  try #require(pread(file, &byte, 1, offset) == 1)
  byte ^= 0x55
  try #require(pwrite(file, &byte, 1, offset) == 1)
}

extension TestDirectory {
  /// This process's open descriptors of files below `path`.
  static func linksTo(_ path: String) -> Int {
    names(in: "/proc/self/fd").count { name in
      var target = [CChar](repeating: 0, count: 4096)
      let count = readlink("/proc/self/fd/\(name)", &target, target.count - 1)
      return count > 0
        && String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self).hasPrefix(path)
    }
  }
}

/// Compacts a family whole, down to the last level.
func compact(_ database: RocksDatabase, _ family: StoreFamily) {
  rocksdb_compact_range_cf(database.db, database.handle(family), nil, 0, nil, 0)
}
