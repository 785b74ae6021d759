#include <rocksdb/options.h>

#include "CRocksExtras.h"

// As c.cc of RocksDB has it.
struct rocksdb_flushoptions_t {
  rocksdb::FlushOptions rep;
};

void engram_flush_at_once(void *flush_options) {
  static_cast<rocksdb_flushoptions_t *>(flush_options)->rep.allow_write_stall = true;
}
