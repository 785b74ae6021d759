#pragma once
// RocksDB's C API as Swift is to see it: keys and values as `const void *`, because `char` is signed on
// x86_64 and unsigned on aarch64, and Swift's CChar follows it.
#include <rocksdb/c.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

// `rocksdb::ReadTier` (options.h of 7.8.3); c.h takes the bare number.
enum {
  engram_read_all_tier = 0,
  engram_read_block_cache_tier = 1,
  engram_read_persisted_tier = 2,
};

static inline void engram_batch_put(
    rocksdb_writebatch_t *batch, rocksdb_column_family_handle_t *family, const void *key, size_t key_bytes,
    const void *value, size_t value_bytes) {
  rocksdb_writebatch_put_cf(batch, family, (const char *)key, key_bytes, (const char *)value, value_bytes);
}

static inline void engram_batch_delete(
    rocksdb_writebatch_t *batch, rocksdb_column_family_handle_t *family, const void *key, size_t key_bytes) {
  rocksdb_writebatch_delete_cf(batch, family, (const char *)key, key_bytes);
}

// One value in two parts, without joining them first.
static inline void engram_batch_put2(
    rocksdb_writebatch_t *batch, rocksdb_column_family_handle_t *family, const void *key, size_t key_bytes,
    const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
  const char *keys[1] = {(const char *)key};
  const size_t key_sizes[1] = {key_bytes};
  const char *values[2] = {(const char *)first, (const char *)second};
  const size_t value_sizes[2] = {first_bytes, second_bytes};
  rocksdb_writebatch_putv_cf(batch, family, 1, keys, key_sizes, 2, values, value_sizes);
}

static inline rocksdb_pinnableslice_t *engram_get(
    rocksdb_t *db, const rocksdb_readoptions_t *options, rocksdb_column_family_handle_t *family,
    const void *key, size_t key_bytes, char **error) {
  return rocksdb_get_pinned_cf(db, options, family, (const char *)key, key_bytes, error);
}

// `keys` is `count` keys end to end, `sizes` their lengths. `slices` and `errors` have room for `count`.
static inline void engram_get_many(
    rocksdb_t *db, const rocksdb_readoptions_t *options, rocksdb_column_family_handle_t *family, size_t count,
    const void *keys, const size_t *sizes, const char **pointers, rocksdb_pinnableslice_t **slices,
    char **errors) {
  const char *next = (const char *)keys;
  for (size_t i = 0; i < count; i++) {
    pointers[i] = next;
    next += sizes[i];
    slices[i] = NULL;
    errors[i] = NULL;
  }
  rocksdb_batched_multi_get_cf(db, options, family, count, pointers, sizes, slices, errors, false);
}

static inline const void *engram_slice(const rocksdb_pinnableslice_t *slice, size_t *bytes) {
  return rocksdb_pinnableslice_value(slice, bytes);
}

static inline void engram_set_bounds(
    rocksdb_readoptions_t *options, const void *lower, size_t lower_bytes, const void *upper,
    size_t upper_bytes) {
  rocksdb_readoptions_set_iterate_lower_bound(options, (const char *)lower, lower_bytes);
  rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)upper, upper_bytes);
}

static inline void engram_iterator_seek(rocksdb_iterator_t *iterator, const void *key, size_t key_bytes) {
  rocksdb_iter_seek(iterator, (const char *)key, key_bytes);
}

static inline void engram_iterator_seek_for_prev(
    rocksdb_iterator_t *iterator, const void *key, size_t key_bytes) {
  rocksdb_iter_seek_for_prev(iterator, (const char *)key, key_bytes);
}

static inline const void *engram_iterator_key(const rocksdb_iterator_t *iterator, size_t *bytes) {
  return rocksdb_iter_key(iterator, bytes);
}

static inline const void *engram_iterator_value(const rocksdb_iterator_t *iterator, size_t *bytes) {
  return rocksdb_iter_value(iterator, bytes);
}

// The prefix of a key of `units`: namespace, length of the context's id, the id. STORE.md draws it.
// Its name stands in every table file: change what it does, and it needs another name.
static inline size_t engram_context_prefix_bytes(const char *key, size_t bytes) {
  const uint8_t *at = (const uint8_t *)key;
  if (bytes < 4 || (at[0] == 0xff && at[1] == 0xff)) return 0;
  size_t prefix = 4 + (((size_t)at[2] << 8) | at[3]);
  return prefix <= bytes ? prefix : 0;
}

static inline char *engram_context_prefix_transform(
    void *state, const char *key, size_t bytes, size_t *prefix_bytes) {
  (void)state;
  *prefix_bytes = engram_context_prefix_bytes(key, bytes);
  return (char *)key;
}

static inline unsigned char engram_context_prefix_in_domain(void *state, const char *key, size_t bytes) {
  (void)state;
  return engram_context_prefix_bytes(key, bytes) > 0;
}

static inline unsigned char engram_context_prefix_in_range(void *state, const char *key, size_t bytes) {
  (void)state;
  return engram_context_prefix_bytes(key, bytes) == bytes;
}

static inline const char *engram_context_prefix_name(void *state) {
  (void)state;
  return "engram.context.1";
}

static inline void engram_context_prefix_destroy(void *state) { (void)state; }

static inline rocksdb_slicetransform_t *engram_context_prefix_create(void) {
  return rocksdb_slicetransform_create(
      NULL, engram_context_prefix_destroy, engram_context_prefix_transform, engram_context_prefix_in_domain,
      engram_context_prefix_in_range, engram_context_prefix_name);
}

// Lets compaction forget entries of `idempotency`, whose values end with their log time (STORE.md), once they are
// `kept` microseconds old. `now` is written by the apply thread and read by RocksDB's.
typedef struct {
  uint64_t now;
  uint64_t kept;
} engram_expiry;

static inline void engram_expiry_set(engram_expiry *expiry, uint64_t now) {
  __atomic_store_n(&expiry->now, now, __ATOMIC_RELAXED);
}

static inline unsigned char engram_expiry_drops(
    void *state, int level, const char *key, size_t key_bytes, const char *value, size_t value_bytes,
    char **new_value, size_t *new_value_bytes, unsigned char *value_changed) {
  (void)level, (void)new_value, (void)new_value_bytes;
  *value_changed = 0;
  const engram_expiry *expiry = (const engram_expiry *)state;
  if (key_bytes < 2 || ((uint8_t)key[0] == 0xff && (uint8_t)key[1] == 0xff) || value_bytes < 40) return 0;
  uint64_t time;
  memcpy(&time, value + 32, sizeof time);
  uint64_t now = __atomic_load_n(&expiry->now, __ATOMIC_RELAXED);
  return now > time && now - time >= expiry->kept;
}

static inline const char *engram_expiry_name(void *state) {
  (void)state;
  return "engram.expiry.1";
}

static inline void engram_expiry_destroy(void *state) { (void)state; }

static inline rocksdb_compactionfilter_t *engram_expiry_create(engram_expiry *expiry) {
  return rocksdb_compactionfilter_create(
      expiry, engram_expiry_destroy, engram_expiry_drops, engram_expiry_name);
}

// prctl(2), PR_SET_NAME: at most 15 bytes. Variadic, so that Swift can't call it.
static inline void engram_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
