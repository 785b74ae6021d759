#pragma once
// What c.h of RocksDB 7.8 lacks.

// RocksDB's own diary, db/LOG, kept by us: the logger that RocksDB 7.8 brings aborts the process when a line can't be
// written (an assertion in WritableFileWriter, in a library that Debian builds with assertions), so that a full file
// system would end the server. This one drops such a line.
#ifdef __cplusplus
extern "C" {
#endif

// A diary at `path` (null: none is kept): lines of `level` (rocksdb::InfoLogLevel) and above. At `bytes_max` the file becomes `path`.old and
// another one is begun. Gives a `rocksdb_logger_t *`; the options that it is set in share it.
void *engram_diary_create(const char *path, int level, unsigned long bytes_max);
void engram_diary_destroy(void *diary);

// Lets a flush begin at once (`FlushOptions::allow_write_stall`, for which c.h of 7.8 has no function). Otherwise it waits,
// and its caller with it, while it would slow writes: for as long as compaction needs to take level 0 below its limit.
void engram_flush_at_once(void *flush_options);

// The rate at which writes begin to be slowed (`DBOptions::delayed_write_rate`, bytes per second; `options` is a
// `rocksdb_options_t *`). RocksDB finds the sustainable rate from there; its own default is the rate limiter's.
void engram_set_delayed_write_rate(void *options, unsigned long bytes_per_second);

// Has the C library's allocator map allocations of so many bytes and more one by one, and give free memory at the end of a
// heap back from so many on (mallopt(3)). 0: it was refused.
int engram_keep_freed_memory(int mapped_from, int trimmed_from);

#ifdef __cplusplus
}
#endif
