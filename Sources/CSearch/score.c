#include "CSearchScore.h"

// SQLite keeps the pointer to the name.
static const char RANKING[] = "engram_ranking";
static const double K1 = 1.2;
static const double B = 0.75;

static fts5_api *api_of(sqlite3 *database) {
  fts5_api *api = 0;
  sqlite3_stmt *statement = 0;
  if (sqlite3_prepare_v2(database, "SELECT fts5(?1)", -1, &statement, 0) == SQLITE_OK) {
    sqlite3_bind_pointer(statement, 1, (void *)&api, "fts5_api_ptr", 0);
    sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  return api;
}

// The sum over the terms of the best of their phrases.
static double sum(const engram_ranking *ranking, const int *frequencies, double norm) {
  double total = 0, best = 0;
  for (int n = 0; n < ranking->count; n++) {
    if (n > 0 && ranking->terms[n] != ranking->terms[n - 1]) {
      total += best;
      best = 0;
    }
    if (frequencies[n] == 0) continue;
    double part = ranking->weights[n] * (frequencies[n] * (K1 + 1) / (frequencies[n] + norm));
    if (part > best) best = part;
  }
  return total + best;
}

static void score(const Fts5ExtensionApi *api, Fts5Context *context, sqlite3_context *out, int count,
                  sqlite3_value **arguments) {
  const engram_ranking *ranking = count == 1 ? sqlite3_value_pointer(arguments[0], RANKING) : 0;
  if (!ranking || ranking->count < 0 || ranking->count > ENGRAM_RANKING_PHRASES_MAX ||
      ranking->count > api->xPhraseCount(context)) {
    sqlite3_result_error_code(out, SQLITE_MISUSE);
    return;
  }
  int frequencies[ENGRAM_RANKING_PHRASES_MAX];
  for (int n = 0; n < ranking->count; n++) {
    Fts5PhraseIter place;
    int column, offset, frequency = 0;
    int result = api->xPhraseFirst(context, n, &place, &column, &offset);
    if (result != SQLITE_OK) {
      sqlite3_result_error_code(out, result);
      return;
    }
    for (; column >= 0; api->xPhraseNext(context, &place, &column, &offset)) frequency++;
    frequencies[n] = frequency;
  }
  // The longer a unit is, the less it scores: this is more than any length gives, the last digits included.
  if (sum(ranking, frequencies, K1 * (1 - B)) * 1.000001 < ranking->floor) {
    sqlite3_result_null(out);
    return;
  }
  int length = 0;
  int result = api->xColumnSize(context, 0, &length);
  if (result != SQLITE_OK) {
    sqlite3_result_error_code(out, result);
    return;
  }
  if (length < 0) length = 0;
  sqlite3_result_double(out, sum(ranking, frequencies, K1 * (1 - B + B * (length / ranking->average_length))));
}

static void tokens(const Fts5ExtensionApi *api, Fts5Context *context, sqlite3_context *out, int count,
                   sqlite3_value **arguments) {
  (void)count;
  (void)arguments;
  sqlite3_int64 total = 0;
  int result = api->xColumnTotalSize(context, -1, &total);
  if (result == SQLITE_OK) sqlite3_result_int64(out, total);
  else sqlite3_result_error_code(out, result);
}

int engram_score_register(sqlite3 *database) {
  fts5_api *api = api_of(database);
  if (!api || api->iVersion < 2) return SQLITE_ERROR;
  int result = api->xCreateFunction(api, "engram_score", 0, score, 0);
  if (result != SQLITE_OK) return result;
  return api->xCreateFunction(api, "engram_tokens", 0, tokens, 0);
}

int engram_bind_ranking(sqlite3_stmt *statement, int index, engram_ranking *ranking) {
  return sqlite3_bind_pointer(statement, index, ranking, RANKING, 0);
}
