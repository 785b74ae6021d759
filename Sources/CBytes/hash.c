#include "CBytesText.h"
#include <string.h>

// Four lanes take blocks of four little-endian words; every word enters two lanes by a 64 × 64 → 128
// multiplication whose halves are folded together, so that both halves of the digest depend on it by
// different keys. A lane keeps what it was beside the product: a factor of zero loses nothing older.
// The end mixes in the length, which also tells a short last block from one that ends in zeros.
// Keys: the first 64-bit words of the fraction of π.

#define K0 0x243f6a8885a308d3ull
#define K1 0x13198a2e03707344ull
#define K2 0xa4093822299f31d0ull
#define K3 0x082efa98ec4e6c89ull
#define K4 0x452821e638d01377ull
#define K5 0xbe5466cf34e90c6cull
#define K6 0xc0ac29b7c97c50ddull
#define K7 0x3f84d5b5b5470917ull

static inline uint64_t fold(uint64_t a, uint64_t b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t rotate(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the content hash reads words of memory as they stand on disk: little-endian"
#endif

static inline void take(uint64_t *lane, const uint64_t *word) {
  lane[0] = rotate(lane[0], 29) + fold(word[0] ^ K0, word[1] ^ lane[0]);
  lane[1] = rotate(lane[1], 29) + fold(word[2] ^ K1, word[3] ^ lane[1]);
  lane[2] = rotate(lane[2], 29) + fold(word[3] ^ K2, word[0] ^ lane[2]);
  lane[3] = rotate(lane[3], 29) + fold(word[1] ^ K3, word[2] ^ lane[3]);
}

static inline void block(uint64_t *lane, const void *from) {
  uint64_t word[4];
  memcpy(word, from, 32);
  take(lane, word);
}

// Up to 8 bytes as a word, the rest zeros, without a call and without reading past them.
static inline uint64_t part(const uint8_t *from, size_t length) {
  if (length >= 8) {
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
  }
  if (length >= 4) {
    uint32_t first, last;
    memcpy(&first, from, 4);
    memcpy(&last, from + length - 4, 4);
    return first | (uint64_t)last << 8 * (length - 4);
  }
  if (!length) return 0;
  size_t middle = length / 2;
  return from[0] | (uint64_t)from[middle] << 8 * middle | (uint64_t)from[length - 1] << 8 * (length - 1);
}

// The last block, of 1 to 31 bytes.
static inline void last_block(uint64_t *lane, const uint8_t *from, size_t length) {
  uint64_t word[4];
  for (int n = 0; n < 4; n++) {
    size_t some = length < 8 ? length : 8;
    word[n] = part(from, some);
    from += some;
    length -= some;
  }
  take(lane, word);
}

static inline void blocks(uint64_t *lanes, const uint8_t *from, size_t count) {
  uint64_t lane[4] = {lanes[0], lanes[1], lanes[2], lanes[3]};
  for (size_t n = 0; n < count; n++) block(lane, from + 32 * n);
  memcpy(lanes, lane, sizeof lane);
}

void engram_hash_begin(engram_hash *hash, uint64_t seed) {
  *hash = (engram_hash){.lane = {seed ^ K4, seed ^ K5, seed ^ K6, seed ^ K7}};
}

void engram_hash_add(engram_hash *hash, const void *bytes, size_t length) {
  if (!length) return;
  const uint8_t *from = bytes;
  size_t held = hash->total % 32;
  hash->total += length;
  if (held) {
    size_t some = length < 32 - held ? length : 32 - held;
    memcpy((uint8_t *)hash->tail + held, from, some);
    if (held + some < 32) return;
    block(hash->lane, hash->tail);
    memset(hash->tail, 0, 32);
    from += some;
    length -= some;
  }
  blocks(hash->lane, from, length / 32);
  memcpy(hash->tail, from + length / 32 * 32, length % 32);
}

static inline engram_digest end(const uint64_t *lane, uint64_t total) {
  uint64_t a = fold(lane[0] ^ K4 ^ total, lane[1] ^ K5), b = fold(lane[2] ^ K6, lane[3] ^ K7 ^ total);
  uint64_t c = fold(lane[0] + lane[2], lane[1] ^ K0 ^ rotate(lane[3], 32));
  return (engram_digest){fold(a ^ K1, b ^ c ^ K2), fold(b ^ K3, rotate(a, 32) ^ (c + total) ^ K0) ^ c};
}

engram_digest engram_hash_end(const engram_hash *hash) {
  uint64_t lane[4];
  memcpy(lane, hash->lane, sizeof lane);
  if (hash->total % 32) block(lane, hash->tail);
  return end(lane, hash->total);
}

engram_digest engram_hash_of(const void *bytes, size_t length, uint64_t seed) {
  uint64_t lane[4] = {seed ^ K4, seed ^ K5, seed ^ K6, seed ^ K7};
  blocks(lane, bytes, length / 32);
  if (length % 32) last_block(lane, (const uint8_t *)bytes + length / 32 * 32, length % 32);
  return end(lane, length);
}
