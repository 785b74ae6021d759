#pragma once
// How Engram's full-text index takes text apart: the FTS5 tokenizer `engram` on top of `unicode61`.
// The same sources are a loadable extension (`.load ./engram`) for the sqlite3 command line and for Python; in
// Sources/CSearch:
//   cc -O2 -fPIC -shared -DENGRAM_EXTENSION -Iinclude -o engram.so tokenizer.c characters.c register.c
#include <stdint.h>

#include "CSearchPages.h"
#include "CSearchScore.h"

typedef struct sqlite3 sqlite3;

// Makes the tokenizer known to this connection: to be called before a table that uses it is touched.
// Returns an SQLite result code; SQLITE_ERROR if this SQLite has no FTS5.
int engram_search_register(sqlite3 *database);

enum {
  // Text as it stands: what is searched for, and what is looked at for highlights.
  ENGRAM_TEXT = 1,
  // A body as it is inserted: \x01TAG\x01TAG\x02TEXT, where \x03 in TEXT keeps phrases from spanning it.
  ENGRAM_BODY = 2,
};

enum {
  // At the same position as the token before (FTS5_TOKEN_COLOCATED).
  ENGRAM_COLOCATED = 0x0001,
  // The whole of a word like getUserName, colocated with the first of its parts.
  ENGRAM_WHOLE = 0x0100,
  // A part of such a word; the first one is followed by the whole.
  ENGRAM_PART = 0x0200,
  // A word with the signs that make it another: c++, c#. Colocated with the word.
  ENGRAM_SIGNED = 0x0400,
  // Two neighbouring characters of a script that is written without spaces.
  ENGRAM_PAIR = 0x0800,
  // The last character of a run of such a script, alone.
  ENGRAM_LAST = 0x1000,
  // A tag of a body, or the gap between two of its parts: not text.
  ENGRAM_TAG = 0x2000,
};

// Longest token, in bytes. Words are cut there, at a character's end, in texts and in queries alike.
#define ENGRAM_TOKEN_BYTES_MAX 256

// One token: folded bytes (valid during the call only) and where in the text it stands. Anything but 0
// (SQLITE_OK) ends the run: SQLITE_DONE (101) as success.
typedef int (*engram_token)(void *context, int flags, const char *token, int bytes, int start, int end);

// A tokenizer outside of any table. One thread at a time.
typedef struct engram_tokenizer engram_tokenizer;

int engram_tokenizer_open(engram_tokenizer **tokenizer);
void engram_tokenizer_close(engram_tokenizer *tokenizer);
// Calls `token` for each token in the order of the text. `mode` is ENGRAM_TEXT or ENGRAM_BODY. Any bytes will do;
// what is no UTF-8 separates words. Returns 0, what `token` returned, or SQLITE_NOMEM.
int engram_tokenizer_run(engram_tokenizer *tokenizer, int mode, const char *text, int bytes, void *context,
                         engram_token token);
// The same without the short path for ASCII: for the test that both agree.
int engram_tokenizer_run_slowly(engram_tokenizer *tokenizer, int mode, const char *text, int bytes, void *context,
                                engram_token token);
