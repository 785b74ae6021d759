// The tokenizer `engram` as FTS5, the sqlite3 command line and Swift see it.
#include "internal.h"

#include <string.h>

#ifdef ENGRAM_EXTENSION
SQLITE_EXTENSION_INIT1
#endif

// What FTS5 keeps for each connection.
typedef struct {
  fts5_tokenizer unicode61;
  void *context;
} module;

// https://sqlite.org/fts5.html, section 7: how an extension comes by FTS5's interface.
int find_unicode61(sqlite3 *database, fts5_api **api, fts5_tokenizer *unicode61, void **context) {
  sqlite3_stmt *statement = NULL;
  *api = NULL;
  int code = sqlite3_prepare_v2(database, "SELECT fts5(?1)", -1, &statement, NULL);
  if (code != SQLITE_OK) return code;
  sqlite3_bind_pointer(statement, 1, (void *)api, "fts5_api_ptr", NULL);
  sqlite3_step(statement);
  code = sqlite3_finalize(statement);
  if (code != SQLITE_OK) return code;
  if (*api == NULL || (*api)->iVersion < 2) return SQLITE_ERROR;
  return (*api)->xFindTokenizer(*api, "unicode61", context, unicode61);
}

static int engram_create(void *context, const char **arguments, int count, Fts5Tokenizer **out) {
  (void)arguments;
  // No options: texts of one index must all have been taken apart in one way.
  if (count != 0) return SQLITE_ERROR;
  const module *mine = context;
  scanner *state = NULL;
  int code = scanner_open(&mine->unicode61, mine->context, &state);
  *out = (Fts5Tokenizer *)state;
  return code;
}

static void engram_delete(Fts5Tokenizer *tokenizer) { scanner_close((scanner *)tokenizer); }

static int engram_tokenize(Fts5Tokenizer *tokenizer, void *context, int flags, const char *text, int bytes,
                           int (*token)(void *, int, const char *, int, int, int)) {
  // Expressions are made of tokens by whoever asks: each string of one is a token as it stands.
  if (flags & FTS5_TOKENIZE_QUERY) return bytes > 0 ? token(context, 0, text, bytes, 0, bytes) : SQLITE_OK;
  int mode = (flags & FTS5_TOKENIZE_DOCUMENT) ? ENGRAM_BODY : ENGRAM_TEXT;
  int code = scanner_run((scanner *)tokenizer, mode, 0, text, bytes, context, token);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int engram_search_register(sqlite3 *database) {
  fts5_api *api;
  module *mine = sqlite3_malloc(sizeof *mine);
  if (mine == NULL) return SQLITE_NOMEM;
  int code = find_unicode61(database, &api, &mine->unicode61, &mine->context);
  if (code != SQLITE_OK) {
    sqlite3_free(mine);
    return code;
  }
  fts5_tokenizer engram = {engram_create, engram_delete, engram_tokenize};
  code = api->xCreateTokenizer(api, "engram", mine, &engram, sqlite3_free);
  if (code != SQLITE_OK) sqlite3_free(mine);
  return code;
}

#ifdef ENGRAM_EXTENSION
// The command line looks for a name made of the file's, everybody for the general one.
int sqlite3_extension_init(sqlite3 *database, char **message, const sqlite3_api_routines *routines) {
  (void)message;
  SQLITE_EXTENSION_INIT2(routines);
  return engram_search_register(database);
}

int sqlite3_engram_init(sqlite3 *database, char **message, const sqlite3_api_routines *routines) {
  return sqlite3_extension_init(database, message, routines);
}
#else
// The connection is there for its FTS5 only.
struct engram_tokenizer {
  sqlite3 *database;
  scanner *state;
};

int engram_tokenizer_open(engram_tokenizer **out) {
  *out = NULL;
  engram_tokenizer *tokenizer = sqlite3_malloc(sizeof *tokenizer);
  if (tokenizer == NULL) return SQLITE_NOMEM;
  memset(tokenizer, 0, sizeof *tokenizer);
  fts5_api *api;
  fts5_tokenizer unicode61;
  void *context;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(":memory:", &tokenizer->database, flags, NULL);
  if (code == SQLITE_OK) code = find_unicode61(tokenizer->database, &api, &unicode61, &context);
  if (code == SQLITE_OK) code = scanner_open(&unicode61, context, &tokenizer->state);
  if (code != SQLITE_OK) {
    engram_tokenizer_close(tokenizer);
    return code;
  }
  *out = tokenizer;
  return SQLITE_OK;
}

void engram_tokenizer_close(engram_tokenizer *tokenizer) {
  if (tokenizer == NULL) return;
  scanner_close(tokenizer->state);
  sqlite3_close(tokenizer->database);
  sqlite3_free(tokenizer);
}

int engram_tokenizer_run(engram_tokenizer *tokenizer, int mode, const char *text, int bytes, void *context,
                         engram_token token) {
  int code = scanner_run(tokenizer->state, mode, 0, text, bytes, context, token);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int engram_tokenizer_run_slowly(engram_tokenizer *tokenizer, int mode, const char *text, int bytes, void *context,
                                engram_token token) {
  int code = scanner_run(tokenizer->state, mode, 1, text, bytes, context, token);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}
#endif
