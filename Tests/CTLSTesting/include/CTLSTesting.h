#pragma once
// The other side of a TLS connection, over memory, and certificates made for a test.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Writes certificates and keys (P-256, PEM, keys with mode 0600) into `directory`:
/// `ca`, `server` and `other` (localhost, by ca), `client` (names of every kind, by ca), `expired` (by ca), `twins` (two URIs),
/// `nul` (a DNS name with a NUL in it), `foreign-ca` and `foreign` (by that one); each NAME.pem and NAME.key. `locked.key`
/// is server's under a passphrase. Returns whether it could.
bool testing_make_certificates(const char *directory);

/// The same for one more, like `client`, that ends in so many seconds.
bool testing_make_certificate(const char *directory, const char *name, long seconds);

typedef struct testing_tls_client testing_tls_client;

typedef struct {
  /// Path of the authority that the server must be of.
  const char *authority;
  /// Paths; NULL: no client certificate.
  const char *certificate, *key;
  /// 0x0303 (1.2) or 0x0304 (1.3), or 0x0301, 0x0302.
  int minimum, maximum;
  /// ALPN in wire format; NULL: none.
  const void *protocols;
  unsigned int protocols_bytes;
  /// Suites of TLS 1.2 in OpenSSL's format; NULL: all.
  const char *suites;
  /// A session to go on from, or NULL. The client takes its own reference.
  void *session;
} testing_tls_options;

testing_tls_client *testing_tls_client_new(const testing_tls_options *options);
void testing_tls_client_free(testing_tls_client *client);
/// Ciphertext that the client wants sent.
size_t testing_tls_client_take(testing_tls_client *client, void *buffer, size_t room);
/// Ciphertext from the server.
void testing_tls_client_feed(testing_tls_client *client, const void *bytes, size_t count);
/// 1: done, 0: needs more, -1: failed.
int testing_tls_client_handshake(testing_tls_client *client);
/// Bytes read; 0: needs more, -1: close_notify, -2: failed.
long testing_tls_client_read(testing_tls_client *client, void *buffer, size_t room);
bool testing_tls_client_write(testing_tls_client *client, const void *bytes, size_t count);
bool testing_tls_client_update_keys(testing_tls_client *client, bool both);
/// Begins a renegotiation (TLS 1.2).
bool testing_tls_client_renegotiate(testing_tls_client *client);
void testing_tls_client_close(testing_tls_client *client);
/// The number of the last alert that came; -1: none.
int testing_tls_client_alert(const testing_tls_client *client);
int testing_tls_client_version(const testing_tls_client *client);
bool testing_tls_client_is_resumed(const testing_tls_client *client);
/// Whether ALPN chose `http/1.1`.
bool testing_tls_client_has_protocol(const testing_tls_client *client);
/// The common name of the server's certificate. Valid until the client is freed.
const char *testing_tls_client_server_name(testing_tls_client *client);
/// A reference to the newest session, to be released; NULL if it can't be gone on from.
void *testing_tls_client_session(testing_tls_client *client);
void testing_tls_session_release(void *session);
