// One pass over a text: words, their parts, signs and pairs.
//
// - A word is a run of letters, digits and what belongs to them; everything else separates. Words stand at consecutive
//   positions, so that snake_case, a.b.c and /etc/hosts are phrases of their words.
// - A word like getUserName or HTTPServer is its parts at consecutive positions, and the whole at the first one's.
//   A small letter before a capital ends a part, and so does what stands before a capital that two small letters
//   follow. E1234 is one word, and so is one with more than PARTS_MAX parts or more than SPLIT_MAX characters.
// - C++, C#, F#: the word, and at its position the word with its signs.
// - Han, kana, Hangul, Thai and their like: each two neighbouring characters, at consecutive positions, then the last
//   one alone. Marks stick to their character.
// - A symbol (emoji) is a token by itself.
#include "internal.h"
#include "utf8.h"

#include <string.h>

enum {
  PARTS_MAX = 12,
  SPLIT_MAX = 64,
  // Folded bytes of one character of a script that is written without spaces, with its marks: vowels, tones. More
  // marks than fit say nothing.
  CLUSTER_MAX = 48,
  SIGNED_MAX = 16,
  HASH_MAX = 4,
};

enum { SEPARATES = 0, SMALL = 1, CAPITAL = 2, DIGIT = 3, BEYOND = 4 };

// What each byte is, as long as nothing beyond ASCII is near.
static const uint8_t kinds[256] = {
    ['0' ... '9'] = DIGIT, ['A' ... 'Z'] = CAPITAL, ['a' ... 'z'] = SMALL, [0x80 ... 0xFF] = BEYOND};

struct scanner {
  characters *characters;
  const uint8_t *text;
  int bytes;
  void *context;
  engram_token token;
  // The word at hand, folded; room for signs and for a character of four bytes behind it.
  uint8_t word[ENGRAM_TOKEN_BYTES_MAX + 8];
  // Its first characters: what each is, and where it stands in the text and in `word`.
  uint8_t cases[SPLIT_MAX];
  int starts[SPLIT_MAX], folds[SPLIT_MAX];
};

// A word's extent: where it stands in the text, and how long it is. `characters` counts all of them.
typedef struct {
  int start, end, folded, characters;
} extent;

int scanner_open(const fts5_tokenizer *unicode61, void *context, scanner **out) {
  *out = NULL;
  scanner *state = sqlite3_malloc(sizeof *state);
  if (state == NULL) return SQLITE_NOMEM;
  memset(state, 0, sizeof *state);
  int code = characters_open(unicode61, context, &state->characters);
  if (code != SQLITE_OK) {
    sqlite3_free(state);
    return code;
  }
  *out = state;
  return SQLITE_OK;
}

void scanner_close(scanner *state) {
  if (state == NULL) return;
  characters_close(state->characters);
  sqlite3_free(state);
}

static inline int emit(scanner *state, int flags, const uint8_t *token, int bytes, int start, int end) {
  return state->token(state->context, flags, (const char *)token, bytes, start, end);
}

// What the character at `at` is; 0 (it separates) for what is no UTF-8. -1: no memory.
static inline int64_t look_up(scanner *state, int at, int *length, uint32_t *code) {
  *code = decode(state->text, at, state->bytes, length);
  const uint32_t *page = characters_page(state->characters, *code);
  return page == NULL ? -1 : (int64_t)page[*code & 0xFF];
}

// Where the parts of a word begin, as indices of characters; the first is 0. Returns how many there are.
static int split(const scanner *state, int count, int parts[PARTS_MAX]) {
  const uint8_t *kind = state->cases;
  int found = 1;
  parts[0] = 0;
  for (int i = 1; i < count; i++) {
    if (kind[i] != CAPITAL) continue;
    int ends = kind[i - 1] == SMALL;
    int begins = i + 2 < count && kind[i + 1] == SMALL && kind[i + 2] == SMALL &&
                 (kind[i - 1] == CAPITAL || kind[i - 1] == DIGIT);
    if (!ends && !begins) continue;
    if (found == PARTS_MAX) return 1;
    parts[found++] = i;
  }
  return found;
}

static int emit_parts(scanner *state, extent word, const int parts[PARTS_MAX], int count) {
  for (int i = 0; i < count; i++) {
    int last = i + 1 == count;
    int from = state->folds[parts[i]], to = last ? word.folded : state->folds[parts[i + 1]];
    int end = last ? word.end : state->starts[parts[i + 1]];
    int code = emit(state, ENGRAM_PART, state->word + from, to - from, state->starts[parts[i]], end);
    if (code != SQLITE_OK) return code;
    if (i > 0) continue;
    code = emit(state, ENGRAM_COLOCATED | ENGRAM_WHOLE, state->word, word.folded, word.start, word.end);
    if (code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

// How many signs behind the word belong to it: C++, C#, F#.
static inline int signs(const scanner *state, extent word) {
  const uint8_t *text = state->text;
  int left = state->bytes - word.end;
  if (left < 1 || word.folded > SIGNED_MAX || kinds[state->word[0]] != SMALL) return 0;
  uint8_t first = text[word.end], second = left > 1 ? text[word.end + 1] : ' ', third = left > 2 ? text[word.end + 2] : ' ';
  if (first == '+') return second == '+' && third != '+' ? 2 : 0;
  if (first != '#' || word.folded > HASH_MAX || second == '#') return 0;
  // C# in a Chinese sentence, but not the fragment of page#part.
  return kinds[second] == SEPARATES || kinds[second] == BEYOND ? 1 : 0;
}

// A word that lies folded in `word`. `cases` and the like are filled in if it may have parts.
static inline int emit_word(scanner *state, extent word, int may_split) {
  if (word.folded == 0) return SQLITE_OK;
  if (may_split && word.characters <= SPLIT_MAX) {
    int parts[PARTS_MAX];
    int count = split(state, word.characters, parts);
    if (count > 1) return emit_parts(state, word, parts, count);
  }
  int code = emit(state, 0, state->word, word.folded, word.start, word.end);
  int more = signs(state, word);
  if (code != SQLITE_OK || more == 0) return code;
  memcpy(state->word + word.folded, state->text + word.end, (size_t)more);
  int flags = ENGRAM_COLOCATED | ENGRAM_SIGNED;
  return emit(state, flags, state->word, word.folded + more, word.start, word.end + more);
}

// A word of ASCII from `at` on. Returns where it ends, or -1 if something beyond ASCII is in it; then nothing is emitted.
static inline int scan_ascii(scanner *state, int at, int *code) {
  const uint8_t *text = state->text;
  int end = at, folded = 0, capitals = 0, small = 0;
  while (end < state->bytes) {
    uint8_t kind = kinds[text[end]];
    if (kind == SEPARATES) break;
    if (kind == BEYOND) return -1;
    if (folded < ENGRAM_TOKEN_BYTES_MAX) {
      state->word[folded++] = kind == CAPITAL ? text[end] | 0x20 : text[end];
    }
    capitals += kind == CAPITAL && end > at;
    small += kind == SMALL;
    end++;
  }
  int characters = end - at, may_split = capitals > 0 && small > 0 && characters <= SPLIT_MAX;
  if (may_split) {
    for (int i = 0; i < characters; i++) {
      state->cases[i] = kinds[text[at + i]];
      state->starts[i] = at + i;
      state->folds[i] = i;
    }
  }
  *code = emit_word(state, (extent){at, end, folded, characters}, may_split);
  return end;
}

static inline int is_part_of_word(int64_t is) {
  return (is & CHARACTER_CLASS) == CHARACTER_WORD || (is & CHARACTER_CLASS) == CHARACTER_IGNORED;
}

// A word of any characters from `at` on, where one stands. Returns where it ends.
static int scan_word(scanner *state, int at, int *result) {
  extent word = {at, at, 0, 0};
  int is_full = 0;
  while (word.end < state->bytes) {
    int length;
    uint32_t code;
    int64_t is = look_up(state, word.end, &length, &code);
    if (is < 0) {
      *result = SQLITE_NOMEM;
      return word.end;
    }
    if (!is_part_of_word(is)) break;
    int start = word.end;
    word.end += length;
    if ((is & CHARACTER_CLASS) == CHARACTER_IGNORED) continue;
    if (word.characters < SPLIT_MAX) {
      int i = word.characters;
      state->cases[i] = is & CHARACTER_UPPER ? CAPITAL : is & CHARACTER_LOWER ? SMALL : DIGIT;
      state->starts[i] = start;
      state->folds[i] = word.folded;
    }
    word.characters++;
    uint8_t bytes[12];
    int count = encode(bytes, (uint32_t)is & CHARACTER_FOLD);
    if (is & CHARACTER_SEVERAL) {
      for (const char *tail = characters_tail(code); *tail; tail++) bytes[count++] = (uint8_t)*tail;
    }
    // Once something is cut off, nothing that comes after it belongs to the token.
    is_full |= word.folded + count > ENGRAM_TOKEN_BYTES_MAX;
    if (is_full) continue;
    memcpy(state->word + word.folded, bytes, (size_t)count);
    word.folded += count;
  }
  *result = emit_word(state, word, !is_full);
  return word.end;
}

// One character of a script without spaces, with its marks.
typedef struct {
  int start, end, folded;
  uint8_t bytes[CLUSTER_MAX];
} cluster;

// Hangul written as its letters is the same syllable (The Unicode Standard, section 3.12), kana with a mark beside it
// the voiced one. Returns the character that both are, or 0.
static uint32_t composed(uint32_t base, uint32_t next) {
  if (base >= 0x1100 && base <= 0x1112 && next >= 0x1161 && next <= 0x1175) {
    return 0xAC00 + ((base - 0x1100) * 21 + next - 0x1161) * 28;
  }
  if (base >= 0xAC00 && base <= 0xD7A3 && (base - 0xAC00) % 28 == 0 && next >= 0x11A8 && next <= 0x11C2) {
    return base + next - 0x11A7;
  }
  if (next == 0x3099 || next == 0x309A || next == 0xFF9E || next == 0xFF9F) return kana_voiced(base, next);
  return 0;
}

// Reads the character at `at`, which is of such a script, into `out`. -1: no memory.
static int read_cluster(scanner *state, int at, cluster *out) {
  int length;
  uint32_t code;
  int64_t is = look_up(state, at, &length, &code);
  if (is < 0) return -1;
  uint32_t base = (uint32_t)is & CHARACTER_FOLD;
  out->start = at;
  out->end = at + length;
  out->folded = encode(out->bytes, base);
  int is_bare = 1;
  while (out->end < state->bytes) {
    is = look_up(state, out->end, &length, &code);
    if (is < 0) return -1;
    uint32_t whole = is_bare ? composed(base, code) : 0;
    int is_ignored = (is & CHARACTER_CLASS) == CHARACTER_IGNORED;
    if (whole == 0 && !is_ignored && !(is & CHARACTER_MARK)) break;
    out->end += length;
    if (whole != 0) {
      base = whole;
      out->folded = encode(out->bytes, base);
    } else if (!is_ignored) {
      is_bare = 0;
      if (out->folded + 4 <= CLUSTER_MAX) {
        out->folded += encode(out->bytes + out->folded, (uint32_t)is & CHARACTER_FOLD);
      }
    }
  }
  return 0;
}

// A run of such characters from `at` on. Returns where it ends.
static int scan_pairs(scanner *state, int at, int *result) {
  cluster two[2];
  int now = 0;
  if (read_cluster(state, at, &two[now]) < 0) goto no_memory;
  while (two[now].end < state->bytes) {
    int length;
    uint32_t code;
    cluster *before = &two[now], *after = &two[1 - now];
    int64_t is = look_up(state, before->end, &length, &code);
    if (is < 0) goto no_memory;
    if ((is & CHARACTER_CLASS) != CHARACTER_PAIRED) break;
    if (read_cluster(state, before->end, after) < 0) goto no_memory;
    memcpy(state->word, before->bytes, (size_t)before->folded);
    memcpy(state->word + before->folded, after->bytes, (size_t)after->folded);
    *result = emit(state, ENGRAM_PAIR, state->word, before->folded + after->folded, before->start, after->end);
    if (*result != SQLITE_OK) return after->end;
    now = 1 - now;
  }
  *result = emit(state, ENGRAM_LAST, two[now].bytes, two[now].folded, two[now].start, two[now].end);
  return two[now].end;
no_memory:
  *result = SQLITE_NOMEM;
  return at;
}

static int scan_symbol(scanner *state, int at, int64_t is, int length, int *result) {
  int end = at + length;
  while (end < state->bytes) {
    uint32_t code;
    int64_t next = look_up(state, end, &length, &code);
    if (next < 0) {
      *result = SQLITE_NOMEM;
      return end;
    }
    if ((next & CHARACTER_CLASS) != CHARACTER_IGNORED) break;
    end += length;
  }
  int bytes = encode(state->word, (uint32_t)is & CHARACTER_FOLD);
  *result = emit(state, 0, state->word, bytes, at, end);
  return end;
}

// Whatever begins at `at`. Returns where to go on.
static int scan_any(scanner *state, int at, int *result) {
  int length;
  uint32_t code;
  int64_t is = look_up(state, at, &length, &code);
  if (is < 0) {
    *result = SQLITE_NOMEM;
    return at;
  }
  switch (is & CHARACTER_CLASS) {
    case CHARACTER_WORD:
      return scan_word(state, at, result);
    case CHARACTER_PAIRED:
      return scan_pairs(state, at, result);
    case CHARACTER_SYMBOL:
      return scan_symbol(state, at, is, length, result);
    default:
      return at + length;
  }
}

// The tags in front of a body: each a token as it stands, all at one position. Returns where the text begins.
static int scan_header(scanner *state, int *result) {
  const uint8_t *text = state->text;
  int at = 0, is_first = 1;
  while (at < state->bytes && text[at] == 1) {
    int end = at + 1;
    while (end < state->bytes && text[end] > 2) end++;
    int bytes = end - at < ENGRAM_TOKEN_BYTES_MAX ? end - at : ENGRAM_TOKEN_BYTES_MAX;
    if (bytes > 1) {
      int flags = ENGRAM_TAG | (is_first ? 0 : ENGRAM_COLOCATED);
      *result = emit(state, flags, text + at, bytes, at, end);
      if (*result != SQLITE_OK) return end;
      is_first = 0;
    }
    at = end;
  }
  return at < state->bytes && text[at] == 2 ? at + 1 : at;
}

int scanner_run(scanner *state, int mode, int slowly, const char *text, int bytes, void *context, engram_token token) {
  static const uint8_t gap = 3;
  state->text = (const uint8_t *)text;
  state->bytes = bytes;
  state->context = context;
  state->token = token;
  int result = SQLITE_OK;
  int at = mode == ENGRAM_BODY ? scan_header(state, &result) : 0;
  while (at < bytes && result == SQLITE_OK) {
    uint8_t byte = state->text[at];
    if (kinds[byte] == SEPARATES) {
      if (byte == gap && mode == ENGRAM_BODY) result = emit(state, ENGRAM_TAG, &gap, 1, at, at + 1);
      at++;
    } else if (kinds[byte] == BEYOND || slowly) {
      at = scan_any(state, at, &result);
    } else {
      int end = scan_ascii(state, at, &result);
      at = end >= 0 ? end : scan_any(state, at, &result);
    }
  }
  return result;
}
