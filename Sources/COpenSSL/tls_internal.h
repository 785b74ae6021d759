#pragma once
// What the files of TLS share among themselves.
#include "COpenSSLTLS.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

struct engram_tls_context {
  SSL_CTX *ssl;
  /// Those of clients' certificates; NULL: none are asked for. Never changed: the store in `ssl` sorts itself in handshakes.
  STACK_OF(X509) *authorities;
  engram_tls_tickets *tickets;
};

/// Holds the tickets once more. Any thread.
void engram_tls_tickets_hold(engram_tls_tickets *tickets);

/// The callback of SSL_CTX_set_tlsext_ticket_key_evp_cb: finds the keys through the context of the session.
int engram_tls_tickets_callback(
    SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals);

/// Other code of the thread may have left errors behind, and SSL_get_error would take them for ours.
static inline void engram_tls_clear_errors(void) {
  if (ERR_peek_error() != 0) ERR_clear_error();
}
