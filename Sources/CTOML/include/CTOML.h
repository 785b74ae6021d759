#pragma once
// A TOML document, read by toml++ (Debian: libtomlplusplus-dev), as C and so Swift can walk it: one array of nodes in
// the order of a walk, each with the line that it stands on. Nothing is thrown through C.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ENGRAM_TOML_TABLE,
  ENGRAM_TOML_ARRAY,
  ENGRAM_TOML_TEXT,
  ENGRAM_TOML_INTEGER,
  ENGRAM_TOML_REAL,
  ENGRAM_TOML_FLAG,
  /// A date, a time, or both.
  ENGRAM_TOML_TIME
};

/// A table or array is followed by its children, each with its own behind it. Texts lie in the document, UTF-8.
typedef struct {
  int32_t kind;
  uint32_t children;
  /// NULL for elements of arrays and for the document's root.
  const char *key;
  size_t key_count;
  /// From 1; 0 where toml++ knows none (a table that is only implied).
  uint32_t key_line;
  uint32_t line;
  const char *text;
  size_t text_count;
  /// Of an integer; 0 or 1 of a flag.
  int64_t integer;
} engram_toml_node;

/// Why a text is no TOML. The message ends with a zero.
typedef struct {
  uint32_t line;
  uint32_t column;
  char message[512];
} engram_toml_fault;

typedef struct engram_toml_document engram_toml_document;

/// The version of TOML that is read, as in `1.0.0`. A constant.
const char *engram_toml_version(void);

/// Reads a text. NULL, and `fault` filled, if it is no TOML. Recursive: who calls bounds the depth of dotted keys
/// (toml++ 3.3 bounds only that of arrays and inline tables, here to 16).
engram_toml_document *engram_toml_parse(const char *bytes, size_t count, engram_toml_fault *fault);

size_t engram_toml_count(const engram_toml_document *document);

/// The nodes, the root first. They live as long as the document.
const engram_toml_node *engram_toml_nodes(const engram_toml_document *document);

void engram_toml_free(engram_toml_document *document);

#ifdef __cplusplus
}
#endif
