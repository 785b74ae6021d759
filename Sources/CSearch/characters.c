// What each character does to a text. `unicode61` says which characters make words, and folds case and diacritics;
// what it doesn't know of scripts without spaces, of other spellings and of signs is added here.
#include "internal.h"

#include <string.h>

enum { PAGE = 256, PAGES = 0x110000 / PAGE };

struct characters {
  fts5_tokenizer unicode61;
  // What makes words and symbols; what are marks; what are symbols. And, as unicode61 takes characters that it doesn't
  // know (Han among them) for whatever it is asked, what it doesn't know.
  Fts5Tokenizer *words, *marks, *symbols, *unknown;
  uint32_t *pages[PAGES];
};

typedef struct {
  uint32_t first, last;
} range;

static int is_in(const range *ranges, size_t count, uint32_t code) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (code > ranges[middle].last) {
      low = middle + 1;
    } else if (code < ranges[middle].first) {
      high = middle;
    } else {
      return 1;
    }
  }
  return 0;
}
#define IS_IN(ranges, code) is_in(ranges, sizeof(ranges) / sizeof(ranges)[0], code)

// Written without spaces, or with spaces that aren't between words: Thai, Lao, Myanmar, Khmer and their neighbours,
// Han, kana, Hangul, bopomofo, Yi. All that unicode61 takes for no word there (punctuation) separates all the same.
static const range paired[] = {
    {0x0E00, 0x0EFF},   {0x1000, 0x109F},   {0x1100, 0x11FF},   {0x1780, 0x17FF},   {0x1950, 0x19DF},
    {0x1A20, 0x1AAF},   {0x2E80, 0x2FDF},   {0x3005, 0x3007},   {0x3021, 0x3029},   {0x3031, 0x3035},
    {0x3038, 0x303C},   {0x3041, 0x318F},   {0x31A0, 0x31BF},   {0x31F0, 0x31FF},   {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xA9E0, 0xA9FF},   {0xAA60, 0xAADF},
    {0xAC00, 0xD7FF},   {0xF900, 0xFAFF},   {0x16FE0, 0x18DFF}, {0x1AFF0, 0x1B2FF}, {0x20000, 0x3FFFD},
};

// What a searcher neither sees nor types: soft hyphen, joiners, directions, variation selectors, vowel points of Arabic
// and Hebrew, tatweel, nukta, accents that stand beside their letter, skin tones of emoji, keycaps.
static const range ignored[] = {
    {0x00AD, 0x00AD},   {0x0300, 0x036F},   {0x0483, 0x0489},   {0x0591, 0x05BD},   {0x05BF, 0x05BF},
    {0x05C1, 0x05C2},   {0x05C4, 0x05C5},   {0x05C7, 0x05C7},   {0x0610, 0x061A},   {0x061C, 0x061C},
    {0x0640, 0x0640},   {0x064B, 0x065F},   {0x0670, 0x0670},   {0x06D6, 0x06DC},   {0x06DF, 0x06E4},
    {0x06E7, 0x06E8},   {0x06EA, 0x06ED},   {0x08D3, 0x08E1},   {0x08E3, 0x08FF},   {0x093C, 0x093C},
    {0x09BC, 0x09BC},   {0x0A3C, 0x0A3C},   {0x0ABC, 0x0ABC},   {0x0B3C, 0x0B3C},   {0x0CBC, 0x0CBC},
    {0x180B, 0x180F},   {0x1AB0, 0x1AFF},   {0x1DC0, 0x1DFF},   {0x200C, 0x200F},   {0x202A, 0x202E},
    {0x2060, 0x206F},   {0x20D0, 0x20F0},   {0x3099, 0x309A},   {0xFE00, 0xFE0F},   {0xFE20, 0xFE2F},
    {0xFEFF, 0xFEFF},   {0x1F3FB, 0x1F3FF}, {0xE0000, 0xE01EF},
};

// Decimal digits, by their zeros: a number is found whichever digits it is written in.
static const uint32_t zeros[] = {
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0,
    0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
};

// Other spellings of letters, after unicode61 has folded them: what unicode61 leaves a diacritic on, and what people
// type for one another. In another normalization form the marks stand beside the letter, and are ignored.
static const struct {
  uint32_t first, last, to;
} spellings[] = {
    {0x0131, 0x0131, 'i'}, {0x0142, 0x0142, 'l'}, {0x0111, 0x0111, 'd'}, {0x00F8, 0x00F8, 'o'}, {0x0127, 0x0127, 'h'},
    {0x0167, 0x0167, 't'}, {0x0180, 0x0180, 'b'}, {0x01E1, 0x01E1, 'a'}, {0x01FF, 0x01FF, 'o'}, {0x023C, 0x023C, 'c'},
    {0x0247, 0x0247, 'e'}, {0x017F, 0x017F, 's'}, {0x1E9B, 0x1E9B, 's'},
    // Greek
    {0x0390, 0x0390, 0x03B9}, {0x03AC, 0x03AC, 0x03B1}, {0x03AD, 0x03AD, 0x03B5}, {0x03AE, 0x03AE, 0x03B7},
    {0x03AF, 0x03AF, 0x03B9}, {0x03B0, 0x03B0, 0x03C5}, {0x03C2, 0x03C2, 0x03C3}, {0x03CA, 0x03CA, 0x03B9},
    {0x03CB, 0x03CB, 0x03C5}, {0x03CC, 0x03CC, 0x03BF}, {0x03CD, 0x03CD, 0x03C5}, {0x03CE, 0x03CE, 0x03C9},
    {0x03D3, 0x03D4, 0x03D2}, {0x1F00, 0x1F07, 0x03B1}, {0x1F10, 0x1F15, 0x03B5}, {0x1F20, 0x1F27, 0x03B7},
    {0x1F30, 0x1F37, 0x03B9}, {0x1F40, 0x1F45, 0x03BF}, {0x1F50, 0x1F57, 0x03C5}, {0x1F60, 0x1F67, 0x03C9},
    {0x1F70, 0x1F71, 0x03B1}, {0x1F72, 0x1F73, 0x03B5}, {0x1F74, 0x1F75, 0x03B7}, {0x1F76, 0x1F77, 0x03B9},
    {0x1F78, 0x1F79, 0x03BF}, {0x1F7A, 0x1F7B, 0x03C5}, {0x1F7C, 0x1F7D, 0x03C9}, {0x1F80, 0x1F87, 0x03B1},
    {0x1F90, 0x1F97, 0x03B7}, {0x1FA0, 0x1FA7, 0x03C9}, {0x1FB0, 0x1FB7, 0x03B1}, {0x1FBE, 0x1FBE, 0x03B9},
    {0x1FC2, 0x1FC7, 0x03B7}, {0x1FD0, 0x1FD7, 0x03B9}, {0x1FE0, 0x1FE3, 0x03C5}, {0x1FE4, 0x1FE5, 0x03C1},
    {0x1FE6, 0x1FE7, 0x03C5}, {0x1FF2, 0x1FF7, 0x03C9},
    // Cyrillic
    {0x0439, 0x0439, 0x0438}, {0x0450, 0x0451, 0x0435}, {0x0453, 0x0453, 0x0433}, {0x0457, 0x0457, 0x0456},
    {0x045C, 0x045C, 0x043A}, {0x045D, 0x045D, 0x0438}, {0x045E, 0x045E, 0x0443}, {0x0477, 0x0477, 0x0475},
    {0x04C2, 0x04C2, 0x0436}, {0x04D1, 0x04D1, 0x0430}, {0x04D3, 0x04D3, 0x0430}, {0x04D7, 0x04D7, 0x0435},
    {0x04DB, 0x04DB, 0x04D9}, {0x04DD, 0x04DD, 0x0436}, {0x04DF, 0x04DF, 0x0437}, {0x04E3, 0x04E3, 0x0438},
    {0x04E5, 0x04E5, 0x0438}, {0x04E7, 0x04E7, 0x043E}, {0x04EB, 0x04EB, 0x04E9}, {0x04ED, 0x04ED, 0x044D},
    {0x04EF, 0x04EF, 0x0443}, {0x04F1, 0x04F1, 0x0443}, {0x04F3, 0x04F3, 0x0443}, {0x04F5, 0x04F5, 0x0447},
    {0x04F9, 0x04F9, 0x044B},
    // Arabic: alef and its carriers, yeh, kaf, heh and teh marbuta; Persian and Urdu keyboards differ.
    {0x0622, 0x0623, 0x0627}, {0x0625, 0x0625, 0x0627}, {0x0671, 0x0671, 0x0627}, {0x0624, 0x0624, 0x0648},
    {0x0626, 0x0626, 0x064A}, {0x0649, 0x0649, 0x064A}, {0x06CC, 0x06CC, 0x064A}, {0x06A9, 0x06A9, 0x0643},
    {0x0629, 0x0629, 0x0647}, {0x06BE, 0x06BE, 0x0647}, {0x06C0, 0x06C2, 0x0647}, {0x06D5, 0x06D5, 0x0647},
    {0x06D3, 0x06D3, 0x06D2},
    // Devanagari and its neighbours without nukta
    {0x0929, 0x0929, 0x0928}, {0x0931, 0x0931, 0x0930}, {0x0934, 0x0934, 0x0933}, {0x0958, 0x0959, 0x0915},
    {0x095A, 0x095A, 0x0917}, {0x095B, 0x095B, 0x091C}, {0x095C, 0x095D, 0x0921}, {0x095E, 0x095E, 0x092B},
    {0x095F, 0x095F, 0x092F}, {0x09DC, 0x09DD, 0x09A1}, {0x09DF, 0x09DF, 0x09AF}, {0x0A33, 0x0A33, 0x0A32},
    {0x0A36, 0x0A36, 0x0A38}, {0x0A59, 0x0A59, 0x0A16}, {0x0A5A, 0x0A5A, 0x0A17}, {0x0A5B, 0x0A5B, 0x0A1C},
    {0x0A5E, 0x0A5E, 0x0A2B}, {0x0B5C, 0x0B5D, 0x0B21},
};

// Characters that are also written as several: the first and the others.
static const struct {
  uint32_t from, first;
  const char *others;
} several[] = {
    {0x00DF, 's', "s"}, {0x1E9E, 's', "s"}, {0x00E6, 'a', "e"}, {0x00C6, 'a', "e"}, {0x01E2, 'a', "e"},
    {0x01E3, 'a', "e"}, {0x01FC, 'a', "e"}, {0x01FD, 'a', "e"}, {0x0153, 'o', "e"}, {0x0152, 'o', "e"},
    {0x0133, 'i', "j"}, {0x0132, 'i', "j"}, {0xFB00, 'f', "f"}, {0xFB01, 'f', "i"}, {0xFB02, 'f', "l"},
    {0xFB03, 'f', "fi"}, {0xFB04, 'f', "fl"}, {0xFB05, 's', "t"}, {0xFB06, 's', "t"},
    // Vowels around a consonant, of Bengali, Oriya, Tamil, Telugu, Kannada, Malayalam and Sinhala
    {0x09CB, 0x09C7, "\u09BE"}, {0x09CC, 0x09C7, "\u09D7"}, {0x0B48, 0x0B47, "\u0B56"}, {0x0B4B, 0x0B47, "\u0B3E"},
    {0x0B4C, 0x0B47, "\u0B57"}, {0x0B94, 0x0B92, "\u0BD7"}, {0x0BCA, 0x0BC6, "\u0BBE"}, {0x0BCB, 0x0BC7, "\u0BBE"},
    {0x0BCC, 0x0BC6, "\u0BD7"}, {0x0C48, 0x0C46, "\u0C56"}, {0x0CC0, 0x0CBF, "\u0CD5"}, {0x0CC7, 0x0CC6, "\u0CD5"},
    {0x0CC8, 0x0CC6, "\u0CD6"}, {0x0CCA, 0x0CC6, "\u0CC2"}, {0x0CCB, 0x0CC6, "\u0CC2\u0CD5"},
    {0x0D4A, 0x0D46, "\u0D3E"}, {0x0D4B, 0x0D47, "\u0D3E"}, {0x0D4C, 0x0D46, "\u0D57"}, {0x0DDA, 0x0DD9, "\u0DCA"},
    {0x0DDC, 0x0DD9, "\u0DCF"}, {0x0DDD, 0x0DD9, "\u0DCF\u0DCA"}, {0x0DDE, 0x0DD9, "\u0DDF"},
};

// Halfwidth katakana U+FF66..U+FF9D as the wide ones.
static const uint16_t wide_kana[] = {
    0x30F2, 0x30A1, 0x30A3, 0x30A5, 0x30A7, 0x30A9, 0x30E3, 0x30E5, 0x30E7, 0x30C3, 0x30FC, 0x30A2, 0x30A4, 0x30A6,
    0x30A8, 0x30AA, 0x30AB, 0x30AD, 0x30AF, 0x30B1, 0x30B3, 0x30B5, 0x30B7, 0x30B9, 0x30BB, 0x30BD, 0x30BF, 0x30C1,
    0x30C4, 0x30C6, 0x30C8, 0x30CA, 0x30CB, 0x30CC, 0x30CD, 0x30CE, 0x30CF, 0x30D2, 0x30D5, 0x30D8, 0x30DB, 0x30DE,
    0x30DF, 0x30E0, 0x30E1, 0x30E2, 0x30E4, 0x30E6, 0x30E8, 0x30E9, 0x30EA, 0x30EB, 0x30EC, 0x30ED, 0x30EF, 0x30F3,
};

const char *characters_tail(uint32_t code) {
  for (size_t i = 0; i < sizeof several / sizeof several[0]; i++) {
    if (several[i].from == code) return several[i].others;
  }
  return "";
}

uint32_t kana_voiced(uint32_t kana, uint32_t mark) {
  int half = mark == 0x309A || mark == 0xFF9F;
  uint32_t hiragana = kana >= 0x30A1 && kana <= 0x30FE ? kana - 0x60 : kana;
  uint32_t shift = kana - hiragana;
  if (hiragana >= 0x306F && hiragana <= 0x307B && (hiragana - 0x306F) % 3 == 0) return kana + (half ? 2 : 1);
  if (half) return 0;
  if (hiragana >= 0x304B && hiragana <= 0x3061 && (hiragana & 1)) return kana + 1;
  if (hiragana == 0x3064 || hiragana == 0x3066 || hiragana == 0x3068) return kana + 1;
  if (hiragana == 0x3046) return 0x3094 + shift;
  if (hiragana == 0x309D) return kana + 1;
  if (shift && hiragana >= 0x308F && hiragana <= 0x3092) return kana + 8;
  return 0;
}

static int is_upper(uint32_t code, uint32_t folded) {
  if (code < 0x80) return code >= 'A' && code <= 'Z';
  if (code == folded || code < 0xC0) return 0;
  // Capitals of Latin, Greek, Cyrillic and Armenian; elsewhere nobody joins words by capitals. In the blocks where
  // capital and small letter take turns, the few that break the rhythm cost a part more or less.
  if (code <= 0xDE) return code != 0xD7;
  if (code >= 0x139 && code <= 0x148) return code & 1;
  if (code >= 0x179 && code <= 0x17E) return code & 1;
  if ((code >= 0x100 && code <= 0x24F) || (code >= 0x460 && code <= 0x52F) || (code >= 0x1E00 && code <= 0x1EFF)) {
    return !(code & 1);
  }
  return (code >= 0x386 && code <= 0x3AB) || (code >= 0x400 && code <= 0x42F) || (code >= 0x531 && code <= 0x556);
}

static int is_lower(uint32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z';
  return (code >= 0xDF && code <= 0x24F && code != 0xF7) || (code >= 0x3AC && code <= 0x3CE) ||
         (code >= 0x430 && code <= 0x52F) || (code >= 0x561 && code <= 0x587) || (code >= 0x1E00 && code <= 0x1EFF);
}

// What a letter is written as, after unicode61 has folded it.
static uint32_t spelling(uint32_t folded) {
  if (folded < 0x80) return folded;
  for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
    if (folded >= spellings[i].first && folded <= spellings[i].last) {
      uint32_t to = spellings[i].to;
      // Two letters with nukta in a row have two letters in a row.
      return to >= 0x0900 && to < 0x1000 ? to + folded - spellings[i].first : to;
    }
  }
  // Georgian capitals, younger than unicode61.
  return folded >= 0x1C90 && folded <= 0x1CBF ? folded - 0xBC0 : folded;
}

// What unicode61 said of a page: the folded characters, 0 where there is no token.
typedef struct {
  uint32_t code, first;
  uint32_t answers[PAGE];
} page_answers;

enum { EMPTY = 0xFFFFFFFF, STRIDE = 5 };

static int page_token(void *context, int flags, const char *token, int bytes, int start, int end) {
  (void)flags, (void)end;
  page_answers *page = context;
  const uint8_t *at = (const uint8_t *)token;
  uint32_t code = EMPTY;
  if (bytes == 1) code = at[0];
  if (bytes == 2) code = (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu);
  if (bytes == 3) code = (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
  if (bytes == 4) code = (at[0] & 7u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
  page->answers[start / STRIDE] = code;
  return SQLITE_OK;
}

// Each character of the page stands alone, at a fixed distance from the next.
static void page_text(uint32_t first, char text[PAGE * STRIDE]) {
  memset(text, ' ', PAGE * STRIDE);
  for (uint32_t i = 0; i < PAGE; i++) {
    uint32_t code = first + i;
    char *at = text + i * STRIDE;
    if (code < 0x80) {
      at[0] = (char)code;
    } else if (code < 0x800) {
      at[0] = (char)(0xC0 | code >> 6), at[1] = (char)(0x80 | (code & 0x3F));
    } else if (code >= 0xD800 && code < 0xE000) {
      // Surrogates are no characters.
    } else if (code < 0x10000) {
      at[0] = (char)(0xE0 | code >> 12), at[1] = (char)(0x80 | (code >> 6 & 0x3F)), at[2] = (char)(0x80 | (code & 0x3F));
    } else {
      at[0] = (char)(0xF0 | code >> 18), at[1] = (char)(0x80 | (code >> 12 & 0x3F));
      at[2] = (char)(0x80 | (code >> 6 & 0x3F)), at[3] = (char)(0x80 | (code & 0x3F));
    }
  }
}

static uint32_t answer(uint32_t code, uint32_t folded, int is_mark, int is_symbol) {
  uint32_t mark = is_mark ? CHARACTER_MARK : 0;
  if (IS_IN(ignored, code)) return CHARACTER_IGNORED | mark;
  // Lines and blocks that programs draw with are no words.
  if (code >= 0x2500 && code <= 0x259F) return CHARACTER_SEPARATOR;
  for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++) {
    if (code - zeros[i] < 10) return CHARACTER_WORD | ('0' + code - zeros[i]);
  }
  if (code >= 0xFF01 && code <= 0xFF5E) {
    uint32_t narrow = code - 0xFF01 + 0x21, lower = narrow | 0x20;
    if (lower < 'a' || lower > 'z') return CHARACTER_SEPARATOR;
    return CHARACTER_WORD | lower | (narrow == lower ? CHARACTER_LOWER : CHARACTER_UPPER);
  }
  if (code >= 0xFF66 && code <= 0xFF9D) return CHARACTER_PAIRED | wide_kana[code - 0xFF66];
  if (code == 0xFF9E || code == 0xFF9F) return CHARACTER_IGNORED | CHARACTER_MARK;
  // Planes of Han and the emoji grow with each Unicode; unicode61 knows those of its time.
  if (code >= 0x20000 && code <= 0x3FFFD && (code & 0xFFFE) != 0xFFFE) return CHARACTER_PAIRED | code;
  if (code >= 0x1F000 && code <= 0x1FBFF) return CHARACTER_SYMBOL | code;
  if (folded == 0) return CHARACTER_SEPARATOR;
  if (folded == EMPTY) return CHARACTER_IGNORED | mark;
  if (IS_IN(paired, code)) return CHARACTER_PAIRED | folded | mark;
  // Braille is written in words.
  if (is_symbol && (code < 0x2800 || code > 0x28FF)) return CHARACTER_SYMBOL | folded;
  uint32_t cased = is_upper(code, folded) ? CHARACTER_UPPER : is_lower(code) ? CHARACTER_LOWER : 0;
  for (size_t i = 0; i < sizeof several / sizeof several[0]; i++) {
    if (several[i].from == code) return CHARACTER_WORD | CHARACTER_SEVERAL | several[i].first | cased | mark;
  }
  return CHARACTER_WORD | spelling(folded) | cased | mark;
}

const uint32_t *characters_page(characters *all, uint32_t code) {
  uint32_t *page = all->pages[code / PAGE];
  if (page != NULL) return page;
  page = sqlite3_malloc(PAGE * sizeof *page);
  if (page == NULL) return NULL;
  uint32_t first = code / PAGE * PAGE;
  char text[PAGE * STRIDE];
  page_text(first, text);
  page_answers words = {0}, marks = {0}, symbols = {0}, unknown = {0};
  const fts5_tokenizer *ask = &all->unicode61;
  int code1 = ask->xTokenize(all->words, &words, FTS5_TOKENIZE_AUX, text, sizeof text, page_token);
  int code2 = ask->xTokenize(all->marks, &marks, FTS5_TOKENIZE_AUX, text, sizeof text, page_token);
  int code3 = ask->xTokenize(all->symbols, &symbols, FTS5_TOKENIZE_AUX, text, sizeof text, page_token);
  int code4 = ask->xTokenize(all->unknown, &unknown, FTS5_TOKENIZE_AUX, text, sizeof text, page_token);
  if (code1 != SQLITE_OK || code2 != SQLITE_OK || code3 != SQLITE_OK || code4 != SQLITE_OK) {
    sqlite3_free(page);
    return NULL;
  }
  for (uint32_t i = 0; i < PAGE; i++) {
    int is_known = unknown.answers[i] == 0;
    page[i] = answer(first + i, words.answers[i], is_known && marks.answers[i], is_known && symbols.answers[i]);
  }
  all->pages[code / PAGE] = page;
  return page;
}

int characters_open(const fts5_tokenizer *unicode61, void *context, characters **out) {
  const char *words[] = {"remove_diacritics", "2", "categories", "L* N* Co Mn Mc So"};
  const char *marks[] = {"remove_diacritics", "0", "categories", "Mn Mc Me"};
  const char *symbols[] = {"remove_diacritics", "0", "categories", "So Co"};
  const char *unknown[] = {"remove_diacritics", "0", "categories", "Zp"};
  *out = NULL;
  characters *all = sqlite3_malloc(sizeof *all);
  if (all == NULL) return SQLITE_NOMEM;
  memset(all, 0, sizeof *all);
  all->unicode61 = *unicode61;
  int code = unicode61->xCreate(context, words, 4, &all->words);
  if (code == SQLITE_OK) code = unicode61->xCreate(context, marks, 4, &all->marks);
  if (code == SQLITE_OK) code = unicode61->xCreate(context, symbols, 4, &all->symbols);
  if (code == SQLITE_OK) code = unicode61->xCreate(context, unknown, 4, &all->unknown);
  if (code != SQLITE_OK) {
    characters_close(all);
    return code;
  }
  *out = all;
  return SQLITE_OK;
}

void characters_close(characters *all) {
  if (all == NULL) return;
  if (all->words != NULL) all->unicode61.xDelete(all->words);
  if (all->marks != NULL) all->unicode61.xDelete(all->marks);
  if (all->symbols != NULL) all->unicode61.xDelete(all->symbols);
  if (all->unknown != NULL) all->unicode61.xDelete(all->unknown);
  for (size_t i = 0; i < PAGES; i++) sqlite3_free(all->pages[i]);
  sqlite3_free(all);
}
