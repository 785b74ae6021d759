#pragma once
// TLS for servers, by OpenSSL, over memory: the caller brings ciphertext and takes ciphertext away.
//
// A context is shared by all threads (OpenSSL counts its references atomically); a session belongs to one thread. Nothing
// here blocks or reads a file, and no call leaves an error in OpenSSL's queue.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct engram_tls_context engram_tls_context;
typedef struct engram_tls_session engram_tls_session;
typedef struct engram_tls_tickets engram_tls_tickets;

/// Why a call failed, for an operator: OpenSSL's reason, cut to fit. Never from a peer's text.
typedef struct {
  char reason[160];
} engram_tls_fault;

// MARK: Ticket keys

/// The keys that session tickets are sealed with: a new one each hour, the one before it still opens what it sealed.
/// Any thread. NULL when memory or randomness is short.
engram_tls_tickets *engram_tls_tickets_new(void);
void engram_tls_tickets_release(engram_tls_tickets *tickets);
/// Makes a new key now, as if the hour were over. False without randomness: then the keys stay.
bool engram_tls_tickets_rotate(engram_tls_tickets *tickets);

// MARK: Contexts

typedef enum {
  ENGRAM_TLS_MADE,
  ENGRAM_TLS_NO_MEMORY,
  ENGRAM_TLS_BAD_CERTIFICATE,
  ENGRAM_TLS_BAD_KEY,
  ENGRAM_TLS_KEY_NEEDS_PASSPHRASE,
  ENGRAM_TLS_KEY_OF_OTHER_CERTIFICATE,
  ENGRAM_TLS_BAD_CLIENT_CA,
} engram_tls_making;

typedef struct {
  /// PEM: the certificate, then those that lead to a root.
  const void *certificate;
  size_t certificate_bytes;
  /// PEM.
  const void *key;
  size_t key_bytes;
  /// What the key is encrypted with; NULL: it isn't.
  const char *passphrase;
  /// PEM: the authorities of client certificates. NULL: none are asked for.
  const void *client_ca;
  size_t client_ca_bytes;
  /// With `client_ca`: whether a client without certificate is refused.
  bool client_required;
  /// TLS 1.2 is refused.
  bool only_13;
  /// Whether clients get tickets to come back with.
  bool resumption;
} engram_tls_options;

/// A context of TLS 1.2 and 1.3 with ECDHE and AEAD suites, ALPN `http/1.1`, no renegotiation, no compression and no early
/// data. It holds `tickets` and copies the rest. NULL with `made` and `fault` on failure.
engram_tls_context *engram_tls_context_new(
    const engram_tls_options *options, engram_tls_tickets *tickets, engram_tls_making *made, engram_tls_fault *fault);
void engram_tls_context_free(engram_tls_context *context);
/// When the server's certificate ends, in seconds since 1970; 0 if that can't be told.
int64_t engram_tls_context_expires(const engram_tls_context *context);
/// Whether each authority of clients' certificates of `earlier` is one of `context` too: what was verified against those
/// is good here.
bool engram_tls_context_keeps_authorities(const engram_tls_context *context, const engram_tls_context *earlier);

// MARK: Sessions

/// Takes bytes: ciphertext to send, in order. Called inside the functions below only.
typedef void (*engram_tls_sink)(void *owner, const void *bytes, size_t count);

typedef enum {
  /// The handshake is over; bytes were read.
  ENGRAM_TLS_DONE,
  /// All that was fed is used up.
  ENGRAM_TLS_WANTS_INPUT,
  /// The peer's close_notify: nothing more comes from it.
  ENGRAM_TLS_ENDED,
  /// Over. An alert may have gone to the sink.
  ENGRAM_TLS_FAILED,
} engram_tls_result;

/// What a session failed of.
typedef enum {
  ENGRAM_TLS_NO_FAILURE,
  /// Not TLS, or not as the RFCs have it.
  ENGRAM_TLS_MALFORMED,
  /// A request in plain HTTP.
  ENGRAM_TLS_PLAIN_HTTP,
  /// No version, suite or group in common.
  ENGRAM_TLS_NOTHING_IN_COMMON,
  /// ALPN without `http/1.1`.
  ENGRAM_TLS_NO_PROTOCOL,
  /// The client showed no certificate, and must.
  ENGRAM_TLS_NO_CLIENT_CERTIFICATE,
  /// The client's certificate is not good, or not its own.
  ENGRAM_TLS_CLIENT_CERTIFICATE,
  /// The peer sent an alert: it refuses us.
  ENGRAM_TLS_PEER_ALERT,
  /// Memory, or a bug.
  ENGRAM_TLS_INTERNAL,
} engram_tls_failure;

/// A session of a server that awaits a client's hello. NULL without memory.
engram_tls_session *engram_tls_session_new(engram_tls_context *context);
/// Where the session's ciphertext goes. Before anything else is called.
void engram_tls_session_attach(engram_tls_session *session, engram_tls_sink sink, void *owner);
void engram_tls_session_free(engram_tls_session *session);
/// Lends ciphertext that was received, until it is used up or `engram_tls_session_feed(session, NULL, 0)`.
void engram_tls_session_feed(engram_tls_session *session, const void *bytes, size_t count);
/// What was fed and is not used up.
size_t engram_tls_session_rest(const engram_tls_session *session, const void **bytes);
/// Whether there is more to read without more being fed.
bool engram_tls_session_has_input(const engram_tls_session *session);
engram_tls_result engram_tls_handshake(engram_tls_session *session);
/// Reads plaintext, at most one record's. `room` > 0.
engram_tls_result engram_tls_read(engram_tls_session *session, void *buffer, size_t room, size_t *got);
/// Seals 1 to 16,384 bytes into one record. False: the session is over.
bool engram_tls_write(engram_tls_session *session, const void *bytes, size_t count);
/// Seals a close_notify; nothing can be written any more. Of no effect before the handshake is over.
void engram_tls_close(engram_tls_session *session);
engram_tls_failure engram_tls_session_failure(const engram_tls_session *session);
/// Whether the session goes on from an earlier one, by its ticket.
bool engram_tls_session_is_resumed(const engram_tls_session *session);
bool engram_tls_session_is_13(const engram_tls_session *session);

/// The verified certificate of the peer, in DER, by the sink `found`. False: the peer showed none.
bool engram_tls_session_peer(const engram_tls_session *session, engram_tls_sink found, void *owner);

// MARK: The kernel's TLS

/// Whether the kernel seals and opens records of a TCP connection (setsockopt(TCP_ULP, "tls")): 0, or the errno it gave.
/// Makes a connection on the loopback. Blocking, cold.
int engram_ktls_probe(void);
