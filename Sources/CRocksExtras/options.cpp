#include <rocksdb/options.h>

#include "CRocksExtras.h"

// As c.cc of RocksDB has it.
struct rocksdb_flushoptions_t {
  rocksdb::FlushOptions rep;
};

struct rocksdb_options_t {
  rocksdb::Options rep;
};

void engram_set_delayed_write_rate(void *options, unsigned long bytes_per_second) {
  static_cast<rocksdb_options_t *>(options)->rep.delayed_write_rate = bytes_per_second;
}

void engram_flush_at_once(void *flush_options) {
  static_cast<rocksdb_flushoptions_t *>(flush_options)->rep.allow_write_stall = true;
}
