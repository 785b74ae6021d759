#pragma once
#include <sqlite3.h>

// What `engram_score` computes with: lent by `engram_bind_ranking`, and only read.
typedef struct {
  // A row that can't reach this score is answered with NULL, without a look at its length.
  double floor;
  // Tokens of a unit, on average; at least 1.
  double average_length;
  // The first phrases of the match expression rank: how many, their inverse document frequencies, and the terms that
  // they belong to, in order. Of a term's phrases the one counts that scores best.
  int count;
  const float *weights;
  const int *terms;
} engram_ranking;

#define ENGRAM_RANKING_PHRASES_MAX 512

// Adds the auxiliary functions to the connection's FTS5:
//   engram_score(table, ranking)  the row's BM25 (Robertson and Zaragoza 2009, k1 1.2, b 0.75), or NULL
//   engram_tokens(table)          tokens of all rows of the table
// Returns a result code of SQLite.
int engram_score_register(sqlite3 *database);

// The ranking must live until the statement is reset.
int engram_bind_ranking(sqlite3_stmt *statement, int index, engram_ranking *ranking);
