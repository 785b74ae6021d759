#pragma once
#include <sqlite3.h>

// A file system for SQLite (a VFS above the default one) whose database files carry a checksum at the end of each
// page: a page that isn't what was written is SQLITE_IOERR_DATA, and one behind the file's end is too. SQLite's
// own checksums guard the write-ahead log, and nothing guards its pages once they are moved into the file.
#define ENGRAM_PAGES_VFS "engram-pages"
// Bytes at the end of each page that SQLite must leave alone (SQLITE_FCNTL_RESERVE_BYTES).
#define ENGRAM_PAGES_RESERVED 8

// Makes it known to SQLite, once for the process. Returns a result code.
int engram_pages_register(void);
// For a new database, before its first page is written.
int engram_pages_reserve(sqlite3 *database);
