#pragma once
#include <stddef.h>
#include <stdint.h>

/// Asks for a line of memory that will be read or written soon. Any address will do.
static inline void engram_prefetch(const void *at) { __builtin_prefetch(at); }

// JSON string tokens (RFC 8259, section 7), UTF-8 (RFC 3629), base64 (RFC 4648) and a 128-bit content hash.
// No function here reads outside `length` or `count`, whatever the bytes are.

/// Why a scan of a string token ended. The numbers are those of `JSONError.Reason`.
enum {
  ENGRAM_JSON_OK = 0,
  ENGRAM_JSON_UNEXPECTED_END = 1,
  ENGRAM_JSON_CONTROL_CHARACTER = 2,
  ENGRAM_JSON_BAD_ESCAPE = 3,
  ENGRAM_JSON_LONE_SURROGATE = 4,
  ENGRAM_JSON_INVALID_UTF8 = 5,
};

/// `end`: offset of the closing quote, or of the byte at fault. `decoded`: bytes after unescaping, as UTF-8.
typedef struct {
  uint32_t end;
  uint32_t decoded;
  uint32_t status;
} engram_json_token;

/// Scans a string token of `base[0..<count]`, `count` < 2^32, from `start`, the byte behind its opening quote.
engram_json_token engram_json_string(const void *base, size_t count, size_t start);

typedef struct {
  size_t consumed;
  size_t written;
} engram_text_step;

/// Unescapes from `from` into `to` until the input is used up or the next character doesn't fit into `room`.
/// `consumed < length` with 4 bytes of room to spare means that the input is no valid token.
engram_text_step engram_json_unescape(void *to, size_t room, const void *from, size_t length);

/// How many leading bytes need no escape inside a JSON string.
size_t engram_json_plain(const void *from, size_t length);

/// 1 if valid UTF-8 `from` holds U+0000–001F, 007F or 0080–009F.
int engram_has_control(const void *from, size_t length);

/// 1 if `from` is valid UTF-8 (RFC 3629).
int engram_utf8_valid(const void *from, size_t length);

/// Nothing is open: what was read so far is whole characters.
#define ENGRAM_UTF8_WHOLE 0u
/// What was read can't become UTF-8, whatever follows. Stays.
#define ENGRAM_UTF8_BAD 0xffffffffu

/// Reads UTF-8 (RFC 3629) in pieces that may end inside a character: from the state after the piece before, at first
/// ENGRAM_UTF8_WHOLE, to the state after this one. Says ENGRAM_UTF8_BAD in the very piece in which the first byte
/// stands that no valid text goes on with.
uint32_t engram_utf8_follow(uint32_t state, const void *from, size_t length);

/// A hash that tells names of members apart cheaply, for as long as the process lives. Equal hashes prove nothing.
uint64_t engram_name_hash(const void *from, size_t length);

/// As memcmp.
int engram_compare(const void *a, const void *b, size_t length);

#define ENGRAM_BASE64_BAD ((size_t)-1)

/// Decodes strict base64 with padding. Only the last part may hold `=`; every other is a multiple of 4 long.
/// Returns the bytes written (at most length / 4 × 3), or ENGRAM_BASE64_BAD (-1 in Swift).
size_t engram_base64_decode(void *to, const void *from, size_t length, int last);

typedef struct {
  uint64_t high;
  uint64_t low;
} engram_digest;

typedef struct {
  uint64_t lane[4];
  uint64_t total;
  uint64_t tail[4];
} engram_hash;

/// A 128-bit hash of a stream of bytes: the same however the stream is cut. Not cryptographic. Its values
/// stand on disk: it never changes.
void engram_hash_begin(engram_hash *hash, uint64_t seed);
void engram_hash_add(engram_hash *hash, const void *bytes, size_t length);
engram_digest engram_hash_end(const engram_hash *hash);
engram_digest engram_hash_of(const void *bytes, size_t length, uint64_t seed);
