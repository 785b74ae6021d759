#pragma once
// What the files of this target share.
#ifdef ENGRAM_EXTENSION
#include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;
#else
#include <sqlite3.h>
#endif
#include <stddef.h>
#include <stdint.h>

#include "CSearch.h"

// What is known of a character: its folded form in the low 21 bits, and what it does to a text.
enum {
  CHARACTER_FOLD = 0x1FFFFF,
  // Separates words. (No class bit is set.)
  CHARACTER_SEPARATOR = 0,
  // Part of a word.
  CHARACTER_WORD = 1 << 21,
  // Of a script without spaces: indexed in pairs.
  CHARACTER_PAIRED = 2 << 21,
  // A token by itself.
  CHARACTER_SYMBOL = 3 << 21,
  // Not there, as far as searching goes: it neither separates nor counts.
  CHARACTER_IGNORED = 4 << 21,
  CHARACTER_CLASS = 7 << 21,
  // A mark that belongs to the character before it.
  CHARACTER_MARK = 1 << 24,
  CHARACTER_UPPER = 1 << 25,
  CHARACTER_LOWER = 1 << 26,
  // The folded form is several characters: characters_tail has the others.
  CHARACTER_SEVERAL = 1 << 27,
};

// FTS5's unicode61, which says what each character is, and our answers made from that. They are asked for by the
// page of 256 characters when a text first has one of these.
typedef struct characters characters;

// `unicode61` and `context` are what xFindTokenizer gave; they outlive this.
int characters_open(const fts5_tokenizer *unicode61, void *context, characters **out);
void characters_close(characters *all);
// The page of 256 answers that this character is on; NULL if there is no memory. `code` <= 0x10FFFF.
const uint32_t *characters_page(characters *all, uint32_t code);
// What follows the first character of one that folds to several: at most 6 bytes of UTF-8.
const char *characters_tail(uint32_t code);

// A kana with a voicing mark (U+3099 or U+309A), or 0 if there is no such character.
uint32_t kana_voiced(uint32_t kana, uint32_t mark);

typedef struct scanner scanner;
int scanner_open(const fts5_tokenizer *unicode61, void *context, scanner **out);
void scanner_close(scanner *state);
int scanner_run(scanner *state, int mode, int slowly, const char *text, int bytes, void *context, engram_token token);

// Finds FTS5 and its unicode61 in this connection.
int find_unicode61(sqlite3 *database, fts5_api **api, fts5_tokenizer *unicode61, void **context);
