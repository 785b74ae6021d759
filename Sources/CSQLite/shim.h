#pragma once
// SQLite's C API as Swift is to see it: macros that aren't imported, and calls with a variable number of arguments.
#include <sqlite3.h>

// The bytes stay as they are until the statement is stepped or bound anew (sqlite3_bind_text).
static inline int engram_bind_text_static(sqlite3_stmt *statement, int index, const void *bytes, int count) {
  return sqlite3_bind_text(statement, index, (const char *)bytes, count, SQLITE_STATIC);
}

static inline int engram_bind_blob_static(sqlite3_stmt *statement, int index, const void *bytes, int count) {
  return sqlite3_bind_blob(statement, index, bytes, count, SQLITE_STATIC);
}
