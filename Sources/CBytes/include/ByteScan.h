#pragma once
#include <stddef.h>
#include <stdint.h>

// Scans over HTTP heads, inlined into Swift. Each looks at bytes[from ..< to], reads nothing beyond `to`, and
// returns the index of the first byte that it was asked to stop at, or `to`. SSE2 and NEON are the baseline of
// x86-64 and AArch64, so nothing is chosen at run time.

/// What a byte may be part of: the bits below.
extern const uint8_t engram_byte_classes[256];
/// A token (RFC 9110, section 5.6.2).
#define ENGRAM_TOKEN_BYTE 1
/// A registered name in a URI, percent-encoding left out (RFC 3986, section 3.2.2).
#define ENGRAM_HOST_BYTE 2

#if defined(__SSE2__) || defined(__ARM_NEON)
typedef uint8_t engram_v16 __attribute__((vector_size(16), aligned(1), may_alias));

#if defined(__SSE2__)
/// One bit for each lane that is all ones.
static inline uint32_t engram_lane_bits(engram_v16 lanes) {
  typedef char engram_c16 __attribute__((vector_size(16)));
  return (uint32_t)__builtin_ia32_pmovmskb128((engram_c16)lanes);
}

// 32 bytes to a step where there are as many: most lines end in the first.
#define ENGRAM_SCAN_LANES(STOP)                                                                  \
  while (to - from >= 32) {                                                                      \
    engram_v16 lane = *(const engram_v16 *)(bytes + from);                                       \
    uint32_t bits = engram_lane_bits((engram_v16)(STOP));                                        \
    lane = *(const engram_v16 *)(bytes + from + 16);                                             \
    bits |= engram_lane_bits((engram_v16)(STOP)) << 16;                                          \
    if (bits) return from + (size_t)__builtin_ctz(bits);                                         \
    from += 32;                                                                                  \
  }                                                                                              \
  if (to - from >= 16) {                                                                         \
    engram_v16 lane = *(const engram_v16 *)(bytes + from);                                       \
    uint32_t bits = engram_lane_bits((engram_v16)(STOP));                                        \
    if (bits) return from + (size_t)__builtin_ctz(bits);                                         \
    from += 16;                                                                                  \
  }
#else
/// The place of the first lane that is all ones, or 16.
static inline size_t engram_first_lane(engram_v16 lanes) {
  typedef uint64_t engram_w2 __attribute__((vector_size(16)));
  engram_w2 words = (engram_w2)lanes;
  if (words[0]) return (size_t)__builtin_ctzll(words[0]) / 8;
  return words[1] ? 8 + (size_t)__builtin_ctzll(words[1]) / 8 : 16;
}

#define ENGRAM_SCAN_LANES(STOP)                                                                  \
  for (; to - from >= 16; from += 16) {                                                          \
    engram_v16 lane = *(const engram_v16 *)(bytes + from);                                       \
    size_t first = engram_first_lane((engram_v16)(STOP));                                        \
    if (first < 16) return from + first;                                                         \
  }
#endif
#else
#define ENGRAM_SCAN_LANES(STOP)
#endif

/// Stops at a control character other than HTAB (so at CR, LF, NUL, DEL): the end of a line, or a fault in it.
static inline size_t engram_scan_line(const void *base, size_t from, size_t to) {
  const uint8_t *bytes = (const uint8_t *)base;
  ENGRAM_SCAN_LANES(((lane < 0x20) & (lane != 0x09)) | (lane == 0x7f))
  for (; from < to; from++)
    if ((bytes[from] < 0x20 && bytes[from] != 0x09) || bytes[from] == 0x7f) return from;
  return to;
}

/// Stops at a byte that can't stand in a request target: outside '!' ... '~', or '#'.
static inline size_t engram_scan_target(const void *base, size_t from, size_t to) {
  const uint8_t *bytes = (const uint8_t *)base;
  ENGRAM_SCAN_LANES((lane < 0x21) | (lane > 0x7e) | (lane == 0x23))
  for (; from < to; from++)
    if (bytes[from] < 0x21 || bytes[from] > 0x7e || bytes[from] == 0x23) return from;
  return to;
}

/// Stops at `wanted`.
static inline size_t engram_scan_byte(const void *base, size_t from, size_t to, uint8_t wanted) {
  const uint8_t *bytes = (const uint8_t *)base;
  ENGRAM_SCAN_LANES(lane == wanted)
  for (; from < to; from++)
    if (bytes[from] == wanted) return from;
  return to;
}

/// Stops at a byte that is not of a token.
static inline size_t engram_scan_token(const void *base, size_t from, size_t to) {
  const uint8_t *bytes = (const uint8_t *)base;
  while (from < to && engram_byte_classes[bytes[from]] & ENGRAM_TOKEN_BYTE) from++;
  return from;
}

/// Stops at a byte that is not of a registered name: ':' among them, and '%'.
static inline size_t engram_scan_host(const void *base, size_t from, size_t to) {
  const uint8_t *bytes = (const uint8_t *)base;
  while (from < to && engram_byte_classes[bytes[from]] & ENGRAM_HOST_BYTE) from++;
  return from;
}

#undef ENGRAM_SCAN_LANES
