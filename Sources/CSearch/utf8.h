#pragma once
// Characters of UTF-8, read from any bytes and written.
#include <stdint.h>

// The character at `at`, and how many bytes it has. 0 for what is no UTF-8: one byte, which separates.
static inline uint32_t decode(const uint8_t *text, int at, int end, int *length) {
  uint32_t lead = text[at];
  int left = end - at;
  *length = 1;
  if (lead < 0x80) return lead;
#define FOLLOWS(n) ((text[at + (n)] & 0xC0) == 0x80)
#define BITS(n) (text[at + (n)] & 0x3Fu)
  if (lead >= 0xC2 && lead <= 0xDF && left >= 2 && FOLLOWS(1)) {
    *length = 2;
    return (lead & 0x1F) << 6 | BITS(1);
  }
  if ((lead & 0xF0) == 0xE0 && left >= 3 && FOLLOWS(1) && FOLLOWS(2)) {
    uint32_t code = (lead & 0x0F) << 12 | BITS(1) << 6 | BITS(2);
    if (code < 0x800 || (code & 0xF800) == 0xD800) return 0;
    *length = 3;
    return code;
  }
  if (lead >= 0xF0 && lead <= 0xF4 && left >= 4 && FOLLOWS(1) && FOLLOWS(2) && FOLLOWS(3)) {
    uint32_t code = (lead & 7) << 18 | BITS(1) << 12 | BITS(2) << 6 | BITS(3);
    if (code < 0x10000 || code > 0x10FFFF) return 0;
    *length = 4;
    return code;
  }
#undef FOLLOWS
#undef BITS
  return 0;
}

static inline int encode(uint8_t *out, uint32_t code) {
  if (code < 0x80) {
    out[0] = (uint8_t)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (uint8_t)(0xC0 | code >> 6), out[1] = (uint8_t)(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (uint8_t)(0xE0 | code >> 12), out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    out[2] = (uint8_t)(0x80 | (code & 0x3F));
    return 3;
  }
  out[0] = (uint8_t)(0xF0 | code >> 18), out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
  out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F)), out[3] = (uint8_t)(0x80 | (code & 0x3F));
  return 4;
}
