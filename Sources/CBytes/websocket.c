#include "ByteScan.h"
#include "CBytesWebSocket.h"
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the masking key is turned as a little-endian word"
#endif

void engram_websocket_unmask(void *destination, const void *source, size_t length, uint32_t key) {
  uint8_t *to = destination;
  const uint8_t *from = source;
  size_t at = 0;
#if defined(__SSE2__) || defined(__ARM_NEON)
  typedef uint32_t four __attribute__((vector_size(16)));
  engram_v16 keys = (engram_v16)(four){key, key, key, key};
  for (; length - at >= 16; at += 16) *(engram_v16 *)(to + at) = *(const engram_v16 *)(from + at) ^ keys;
#endif
  for (; length - at >= 4; at += 4) {
    uint32_t word;
    memcpy(&word, from + at, 4);
    word ^= key;
    memcpy(to + at, &word, 4);
  }
  // A word at a time up to here, so the key's first byte is next.
  for (; at < length; at++, key >>= 8) to[at] = from[at] ^ (uint8_t)key;
}

static inline uint32_t turn(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

static inline uint32_t big(const uint8_t *from) {
  return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

// One block of 64 bytes (RFC 3174, section 6.1).
static void sha1_block(uint32_t *hash, const uint8_t *block) {
  uint32_t word[80];
  for (int t = 0; t < 16; t++) word[t] = big(block + 4 * t);
  for (int t = 16; t < 80; t++) word[t] = turn(word[t - 3] ^ word[t - 8] ^ word[t - 14] ^ word[t - 16], 1);
  uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
  for (int t = 0; t < 80; t++) {
    uint32_t mixed = t < 20   ? ((b & c) | (~b & d)) + 0x5a827999u
                     : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1u
                     : t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu
                              : (b ^ c ^ d) + 0xca62c1d6u;
    uint32_t next = turn(a, 5) + mixed + e + word[t];
    e = d;
    d = c;
    c = turn(b, 30);
    b = a;
    a = next;
  }
  hash[0] += a;
  hash[1] += b;
  hash[2] += c;
  hash[3] += d;
  hash[4] += e;
}

void engram_sha1(uint8_t *digest, const void *source, size_t length) {
  const uint8_t *from = source;
  uint32_t hash[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
  size_t whole = length / 64 * 64, rest = length - whole;
  for (size_t at = 0; at < whole; at += 64) sha1_block(hash, from + at);
  // The rest, a 1 bit, zeros, and the length in bits as 64 bits (section 4): one block, or two.
  uint8_t last[128] = {0};
  if (rest) memcpy(last, from + whole, rest);
  last[rest] = 0x80;
  size_t end = rest < 56 ? 64 : 128;
  uint64_t bits = (uint64_t)length * 8;
  for (int n = 0; n < 8; n++) last[end - 1 - (size_t)n] = (uint8_t)(bits >> 8 * n);
  for (size_t at = 0; at < end; at += 64) sha1_block(hash, last + at);
  for (int n = 0; n < 20; n++) digest[n] = (uint8_t)(hash[n / 4] >> (24 - 8 * (n % 4)));
}
