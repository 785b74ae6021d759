#include "CBytesText.h"
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// The byte at which plain ASCII inside a string token ends: a quote, a backslash, a control character or
// the first byte of anything beyond ASCII. As signed bytes the last two are one comparison.
static inline size_t plain_ascii(const uint8_t *base, size_t from, size_t count) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
  for (; count - from >= 16; from += 16) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(base + from));
    __m128i found = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)),
                                 _mm_cmplt_epi8(bytes, space));
    int mask = _mm_movemask_epi8(found);
    if (mask) return from + (size_t)__builtin_ctz((unsigned)mask);
  }
#elif defined(__ARM_NEON)
  for (; count - from >= 16; from += 16) {
    int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(base + from));
    uint8x16_t found = vorrq_u8(vorrq_u8(vceqq_s8(bytes, vdupq_n_s8('"')), vceqq_s8(bytes, vdupq_n_s8('\\'))),
                                vcltq_s8(bytes, vdupq_n_s8(0x20)));
    uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(found), 4)), 0);
    if (mask) return from + (size_t)__builtin_ctzll(mask) / 4;
  }
#endif
  while (from < count && base[from] >= 0x20 && base[from] < 0x80 && base[from] != '"' && base[from] != '\\') from++;
  return from;
}

// The same without minding what is beyond ASCII, for text known to be valid UTF-8.
static inline size_t plain_text(const uint8_t *base, size_t from, size_t count) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), last = _mm_set1_epi8(0x1f);
  for (; count - from >= 16; from += 16) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(base + from));
    __m128i found = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)),
                                 _mm_cmpeq_epi8(_mm_min_epu8(bytes, last), bytes));
    int mask = _mm_movemask_epi8(found);
    if (mask) return from + (size_t)__builtin_ctz((unsigned)mask);
  }
#endif
  while (from < count && base[from] >= 0x20 && base[from] != '"' && base[from] != '\\') from++;
  return from;
}

// Length of the valid UTF-8 sequence of 2 to 4 bytes at `at`, or 0 (RFC 3629, section 4).
static inline size_t sequence(const uint8_t *at, size_t left) {
  uint8_t first = at[0];
  if (first < 0xc2) return 0;
  if (first < 0xe0) return left >= 2 && (at[1] & 0xc0) == 0x80 ? 2 : 0;
  if (first < 0xf0) {
    if (left < 3 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80) return 0;
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] >= 0xa0)) return 0;
    return 3;
  }
  if (first > 0xf4 || left < 4) return 0;
  if ((at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80 || (at[3] & 0xc0) != 0x80) return 0;
  if ((first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] >= 0x90)) return 0;
  return 4;
}

static inline int digit(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 0x20;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// The code unit of the four hexadecimal digits at `at`, or -1.
static inline int32_t unit(const uint8_t *at, size_t left) {
  if (left < 4) return -1;
  int a = digit(at[0]), b = digit(at[1]), c = digit(at[2]), d = digit(at[3]);
  return (a | b | c | d) < 0 ? -1 : (int32_t)(a << 12 | b << 8 | c << 4 | d);
}

// What one escape stands for: its scalar, and its length from the backslash on; or a status.
typedef struct {
  uint32_t scalar;
  uint32_t length;
  uint32_t status;
} escape;

// What the escapes of one character stand for; 0 for all others.
static const uint8_t short_escape[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

static inline escape read_escape(const uint8_t *at, size_t left) {
  if (left < 2) return (escape){0, 0, ENGRAM_JSON_UNEXPECTED_END};
  if (short_escape[at[1]]) return (escape){short_escape[at[1]], 2, 0};
  if (at[1] != 'u') return (escape){0, 0, ENGRAM_JSON_BAD_ESCAPE};
  int32_t first = unit(at + 2, left - 2);
  if (first < 0) return (escape){0, 0, left < 6 ? ENGRAM_JSON_UNEXPECTED_END : ENGRAM_JSON_BAD_ESCAPE};
  if (first < 0xd800 || first > 0xdfff) return (escape){(uint32_t)first, 6, 0};
  if (first > 0xdbff || left < 12 || at[6] != '\\' || at[7] != 'u') return (escape){0, 0, ENGRAM_JSON_LONE_SURROGATE};
  int32_t second = unit(at + 8, left - 8);
  if (second < 0) return (escape){0, 0, ENGRAM_JSON_BAD_ESCAPE};
  if (second < 0xdc00 || second > 0xdfff) return (escape){0, 0, ENGRAM_JSON_LONE_SURROGATE};
  return (escape){0x10000 + ((uint32_t)(first - 0xd800) << 10) + (uint32_t)(second - 0xdc00), 12, 0};
}

static inline uint32_t encoded_length(uint32_t scalar) {
  return scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
}

engram_json_token engram_json_string(const void *memory, size_t count, size_t start) {
  const uint8_t *base = memory;
  size_t at = start, saved = 0;
  for (;;) {
    at = plain_ascii(base, at, count);
    if (at >= count) return (engram_json_token){(uint32_t)count, 0, ENGRAM_JSON_UNEXPECTED_END};
    uint8_t byte = base[at];
    if (byte == '"') return (engram_json_token){(uint32_t)at, (uint32_t)(at - start - saved), ENGRAM_JSON_OK};
    if (byte == '\\') {
      if (count - at >= 2 && short_escape[base[at + 1]]) {
        saved++;
        at += 2;
        continue;
      }
      escape found = read_escape(base + at, count - at);
      if (found.status) return (engram_json_token){(uint32_t)at, 0, found.status};
      saved += found.length - encoded_length(found.scalar);
      at += found.length;
    } else if (byte < 0x20) {
      return (engram_json_token){(uint32_t)at, 0, ENGRAM_JSON_CONTROL_CHARACTER};
    } else {
      do {
        size_t length = sequence(base + at, count - at);
        if (!length) return (engram_json_token){(uint32_t)at, 0, ENGRAM_JSON_INVALID_UTF8};
        at += length;
      } while (at < count && base[at] >= 0x80);
    }
  }
}

static inline size_t encode(uint8_t *to, uint32_t scalar) {
  switch (encoded_length(scalar)) {
    case 1: to[0] = (uint8_t)scalar; return 1;
    case 2:
      to[0] = (uint8_t)(0xc0 | scalar >> 6);
      to[1] = (uint8_t)(0x80 | (scalar & 0x3f));
      return 2;
    case 3:
      to[0] = (uint8_t)(0xe0 | scalar >> 12);
      to[1] = (uint8_t)(0x80 | (scalar >> 6 & 0x3f));
      to[2] = (uint8_t)(0x80 | (scalar & 0x3f));
      return 3;
    default:
      to[0] = (uint8_t)(0xf0 | scalar >> 18);
      to[1] = (uint8_t)(0x80 | (scalar >> 12 & 0x3f));
      to[2] = (uint8_t)(0x80 | (scalar >> 6 & 0x3f));
      to[3] = (uint8_t)(0x80 | (scalar & 0x3f));
      return 4;
  }
}

engram_text_step engram_json_unescape(void *memory, size_t room, const void *source, size_t length) {
  uint8_t *to = memory;
  const uint8_t *from = source;
  size_t read = 0, written = 0;
  for (;;) {
#if defined(__SSE2__)
    // Copies whole vectors and keeps of them what stands before the backslash.
    while (length - read >= 16 && room - written >= 16) {
      __m128i bytes = _mm_loadu_si128((const __m128i *)(from + read));
      _mm_storeu_si128((__m128i *)(to + written), bytes);
      int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
      size_t some = mask ? (size_t)__builtin_ctz((unsigned)mask) : 16;
      read += some;
      written += some;
      if (mask) break;
    }
#endif
    while (read < length && written < room && from[read] != '\\') to[written++] = from[read++];
    if (read == length || written == room) break;
    if (length - read >= 2 && short_escape[from[read + 1]]) {
      to[written++] = short_escape[from[read + 1]];
      read += 2;
      continue;
    }
    escape found = read_escape(from + read, length - read);
    if (found.status || encoded_length(found.scalar) > room - written) break;
    written += encode(to + written, found.scalar);
    read += found.length;
  }
  return (engram_text_step){read, written};
}

size_t engram_json_plain(const void *from, size_t length) { return plain_text(from, 0, length); }

int engram_has_control(const void *memory, size_t length) {
  const uint8_t *from = memory;
  uint8_t unusual = 0;
  for (size_t n = 0; n < length; n++) unusual |= (uint8_t)(from[n] - 0x20) >= 0x5f;
  if (!unusual) return 0;
  for (size_t n = 0; n < length; n++) {
    if (from[n] < 0x20 || from[n] == 0x7f) return 1;
    if (from[n] == 0xc2 && n + 1 < length && from[n + 1] < 0xa0) return 1;
  }
  return 0;
}

int engram_utf8_valid(const void *memory, size_t length) {
  const uint8_t *from = memory;
  size_t at = 0;
  while (at < length) {
    if (from[at] < 0x80) {
      at++;
      continue;
    }
    size_t found = sequence(from + at, length - at);
    if (!found) return 0;
    at += found;
  }
  return 1;
}

// A state inside a character: how many bytes are missing, and between which bounds the next one lies.
#define INSIDE(missing, low, high) ((uint32_t)(missing) | (uint32_t)(low) << 8 | (uint32_t)(high) << 16)

// The state after a first byte beyond ASCII (RFC 3629, section 4).
static inline uint32_t inside(uint8_t first) {
  if (first < 0xc2 || first > 0xf4) return ENGRAM_UTF8_BAD;
  if (first < 0xe0) return INSIDE(1, 0x80, 0xbf);
  if (first < 0xf0) return INSIDE(2, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
  return INSIDE(3, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
}

static inline uint32_t next_inside(uint32_t state, uint8_t byte) {
  if (byte < (uint8_t)(state >> 8) || byte > (uint8_t)(state >> 16)) return ENGRAM_UTF8_BAD;
  uint8_t missing = (uint8_t)state;
  return missing == 1 ? ENGRAM_UTF8_WHOLE : INSIDE(missing - 1, 0x80, 0xbf);
}

uint32_t engram_utf8_follow(uint32_t state, const void *memory, size_t length) {
  const uint8_t *from = memory;
  size_t at = 0;
  while (at < length && state != ENGRAM_UTF8_BAD) {
    if (state != ENGRAM_UTF8_WHOLE) {
      state = next_inside(state, from[at++]);
      continue;
    }
#if defined(__SSE2__)
    while (length - at >= 16 && !_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(from + at)))) at += 16;
#endif
    while (at < length && from[at] < 0x80) at++;
    if (at == length) break;
    size_t whole = sequence(from + at, length - at);
    if (whole) {
      at += whole;
    } else {
      // Cut off by the end, or bad: byte by byte, to tell which.
      state = inside(from[at++]);
    }
  }
  return state;
}

uint64_t engram_name_hash(const void *memory, size_t length) {
  const uint8_t *from = memory;
  if (length > 16) return engram_hash_of(memory, length, 0).low;
  uint64_t first = 0, last = 0;
  if (length >= 8) {
    memcpy(&first, from, 8);
    memcpy(&last, from + length - 8, 8);
  } else if (length >= 4) {
    uint32_t a, b;
    memcpy(&a, from, 4);
    memcpy(&b, from + length - 4, 4);
    first = a;
    last = b;
  } else if (length) {
    first = from[0] | (uint64_t)from[length / 2] << 8 | (uint64_t)from[length - 1] << 16;
  }
  unsigned __int128 product = (unsigned __int128)(first ^ 0x9e3779b97f4a7c15ull) * (last ^ 0xc2b2ae3d27d4eb4full ^ length);
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

int engram_compare(const void *a, const void *b, size_t length) { return memcmp(a, b, length); }

// Each table holds a digit's six bits where they belong in the 24 of a group, and bit 31 for any other byte.
static uint32_t base64_table[4][256];

__attribute__((constructor)) static void prepare_base64(void) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int place = 0; place < 4; place++) {
    for (int byte = 0; byte < 256; byte++) base64_table[place][byte] = 1u << 31;
    for (uint32_t value = 0; value < 64; value++)
      base64_table[place][(uint8_t)alphabet[value]] = value << (18 - 6 * place);
  }
}

size_t engram_base64_decode(void *memory, const void *source, size_t length, int last) {
  uint8_t *to = memory;
  const uint8_t *from = source;
  if (length % 4) return ENGRAM_BASE64_BAD;
  size_t whole = length, written = 0;
  if (last && length && from[length - 1] == '=') whole -= 4;
  for (size_t n = 0; n < whole; n += 4) {
    uint32_t group = base64_table[0][from[n]] | base64_table[1][from[n + 1]] | base64_table[2][from[n + 2]] |
                     base64_table[3][from[n + 3]];
    if (group >> 31) return ENGRAM_BASE64_BAD;
    to[written] = (uint8_t)(group >> 16);
    to[written + 1] = (uint8_t)(group >> 8);
    to[written + 2] = (uint8_t)group;
    written += 3;
  }
  if (whole == length) return written;
  from += whole;
  uint32_t group = base64_table[0][from[0]] | base64_table[1][from[1]];
  int two = from[2] != '=';
  if (two) group |= base64_table[2][from[2]];
  // The bits that padding leaves over are zero, so that bytes have one spelling (RFC 4648, section 3.5).
  if (group >> 31 || (group & (two ? 0xff : 0xffff))) return ENGRAM_BASE64_BAD;
  to[written++] = (uint8_t)(group >> 16);
  if (two) to[written++] = (uint8_t)(group >> 8);
  return written;
}
