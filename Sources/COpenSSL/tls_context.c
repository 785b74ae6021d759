// What all connections of a server have in common: certificate, suites, and what clients must show.
#include "tls_internal.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/// Bytes of a client's chain of certificates; longer ones end the handshake. OpenSSL's own limit is 100 KiB.
static const long client_chain_bytes_max = 32 << 10;
/// Certificates between a client's and its authority's.
static const int client_chain_depth_max = 8;
/// Seconds for which a ticket may be used: not longer than its key lives.
static const long session_seconds = 7200;

static const char suites_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char suites_13[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

static void describe(engram_tls_fault *fault, const char *otherwise) {
  unsigned long error = ERR_peek_last_error();
  const char *reason = error ? ERR_reason_error_string(error) : NULL;
  strncpy(fault->reason, reason ? reason : otherwise, sizeof fault->reason - 1);
  fault->reason[sizeof fault->reason - 1] = 0;
  ERR_clear_error();
}

struct passphrase {
  const char *text;
  bool asked;
};

/// Without one nobody is there to be asked, and OpenSSL would ask on the terminal.
static int give_passphrase(char *buffer, int size, int writes, void *owner) {
  (void)writes;
  struct passphrase *passphrase = owner;
  passphrase->asked = true;
  size_t length = passphrase->text ? strlen(passphrase->text) : 0;
  if (length == 0 || length > (size_t)size) return -1;
  memcpy(buffer, passphrase->text, length);
  return (int)length;
}

/// Whether reading PEM stopped for want of another block, which is how a file ends.
static bool is_end_of_pem(void) {
  unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

static bool use_certificate(SSL_CTX *ssl, const engram_tls_options *options) {
  BIO *pem = BIO_new_mem_buf(options->certificate, (int)options->certificate_bytes);
  X509 *own = pem ? PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL) : NULL;
  bool done = own && SSL_CTX_use_certificate(ssl, own) == 1;
  while (done) {
    X509 *above = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    if (!above) {
      done = is_end_of_pem();
      if (done) ERR_clear_error();
      break;
    }
    done = SSL_CTX_add0_chain_cert(ssl, above) == 1;
    if (!done) X509_free(above);
  }
  X509_free(own);
  BIO_free(pem);
  return done;
}

static engram_tls_making use_key(SSL_CTX *ssl, const engram_tls_options *options) {
  struct passphrase passphrase = {options->passphrase, false};
  BIO *pem = BIO_new_mem_buf(options->key, (int)options->key_bytes);
  EVP_PKEY *key = pem ? PEM_read_bio_PrivateKey(pem, NULL, give_passphrase, &passphrase) : NULL;
  engram_tls_making made = passphrase.asked && !options->passphrase ? ENGRAM_TLS_KEY_NEEDS_PASSPHRASE : ENGRAM_TLS_BAD_KEY;
  // A key that doesn't fit the certificate would throw the certificate out, or stay beside it.
  if (key) {
    bool fits = X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) == 1;
    made = !fits ? ENGRAM_TLS_KEY_OF_OTHER_CERTIFICATE
                 : SSL_CTX_use_PrivateKey(ssl, key) == 1 ? ENGRAM_TLS_MADE : ENGRAM_TLS_BAD_KEY;
  }
  EVP_PKEY_free(key);
  BIO_free(pem);
  return made;
}

static bool use_client_ca(SSL_CTX *ssl, engram_tls_context *context, const engram_tls_options *options) {
  context->authorities = sk_X509_new_null();
  BIO *pem = context->authorities ? BIO_new_mem_buf(options->client_ca, (int)options->client_ca_bytes) : NULL;
  if (!pem) return false;
  bool done = true;
  while (done) {
    X509 *authority = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    if (!authority) {
      done = is_end_of_pem() && sk_X509_num(context->authorities) > 0;
      if (done) ERR_clear_error();
      break;
    }
    done = X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), authority) == 1 &&
           SSL_CTX_add_client_CA(ssl, authority) == 1 && sk_X509_push(context->authorities, authority) > 0;
    if (!done) X509_free(authority);
  }
  BIO_free(pem);
  if (!done) return false;
  int verify = SSL_VERIFY_PEER | (options->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
  SSL_CTX_set_verify(ssl, verify, NULL);
  SSL_CTX_set_verify_depth(ssl, client_chain_depth_max);
  SSL_CTX_set_max_cert_list(ssl, client_chain_bytes_max);
  return true;
}

/// A ticket is good only where clients are asked the same: otherwise it would carry a certificate, or none, past a new
/// demand. A session of another one gets a full handshake.
static bool bind_sessions(SSL_CTX *ssl, const engram_tls_options *options) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  unsigned char demand = !options->client_ca ? 0 : options->client_required ? 2 : 1;
  EVP_MD_CTX *hash = EVP_MD_CTX_new();
  bool done = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(hash, &demand, 1) == 1 &&
              (!options->client_ca || EVP_DigestUpdate(hash, options->client_ca, options->client_ca_bytes) == 1) &&
              EVP_DigestFinal_ex(hash, digest, &length) == 1 &&
              SSL_CTX_set_session_id_context(ssl, digest, length) == 1;
  EVP_MD_CTX_free(hash);
  return done;
}

/// Who offers protocols but not this one speaks another to us.
static int choose_protocol(
    SSL *ssl, const unsigned char **chosen, unsigned char *length, const unsigned char *offered, unsigned int count,
    void *unused) {
  (void)ssl, (void)unused;
  static const unsigned char ours[] = "http/1.1";
  const unsigned int size = sizeof ours - 1;
  for (unsigned int at = 0; at < count; at += 1u + offered[at]) {
    if (offered[at] == size && at + 1 + size <= count && memcmp(offered + at + 1, ours, size) == 0) {
      *chosen = ours;
      *length = (unsigned char)size;
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// A session that goes on isn't verified again: one whose client certificate has ended meanwhile gets a full handshake.
static SSL_TICKET_RETURN session_opened(
    SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t length, SSL_TICKET_STATUS status, void *unused) {
  (void)name, (void)length, (void)unused;
  switch (status) {
  case SSL_TICKET_SUCCESS:
  case SSL_TICKET_SUCCESS_RENEW: {
    X509 *peer = SSL_SESSION_get0_peer(session);
    if (peer && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0) return SSL_TICKET_RETURN_IGNORE_RENEW;
    // With TLS 1.3 each ticket is for one use (RFC 8446, appendix C.4): there is a new one with each connection.
    bool renews = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
    return renews ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
  }
  case SSL_TICKET_EMPTY:
  case SSL_TICKET_NO_DECRYPT: return SSL_TICKET_RETURN_IGNORE_RENEW;
  default: return SSL_TICKET_RETURN_ABORT;
  }
}

static bool set_up(SSL_CTX *ssl, engram_tls_context *context, const engram_tls_options *options) {
  SSL_CTX_set_app_data(ssl, context);
  SSL_CTX_set_security_level(ssl, 2);
  SSL_CTX_set_options(
      ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Idle sessions hold no buffers of 16 KiB. The chain is what the file says, not what is built anew in each handshake.
  SSL_CTX_set_mode(
      ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
               SSL_MODE_AUTO_RETRY | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(ssl, session_seconds);
  SSL_CTX_set_max_early_data(ssl, 0);
  SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
  bool done = SSL_CTX_set_min_proto_version(ssl, options->only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
              SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 && SSL_CTX_set_cipher_list(ssl, suites_12) == 1 &&
              SSL_CTX_set_ciphersuites(ssl, suites_13) == 1 && SSL_CTX_set1_groups_list(ssl, groups) == 1 &&
              bind_sessions(ssl, options);
  if (!done) return false;
  if (!options->resumption) {
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
    return SSL_CTX_set_num_tickets(ssl, 0) == 1;
  }
  return SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, engram_tls_tickets_callback) == 1 &&
         SSL_CTX_set_session_ticket_cb(ssl, NULL, session_opened, NULL) == 1;
}

engram_tls_context *engram_tls_context_new(
    const engram_tls_options *options, engram_tls_tickets *tickets, engram_tls_making *made, engram_tls_fault *fault) {
  engram_tls_clear_errors();
  engram_tls_context *context = calloc(1, sizeof *context);
  SSL_CTX *ssl = context ? SSL_CTX_new(TLS_server_method()) : NULL;
  *made = ENGRAM_TLS_NO_MEMORY;
  if (ssl && set_up(ssl, context, options)) {
    *made = use_certificate(ssl, options) ? use_key(ssl, options) : ENGRAM_TLS_BAD_CERTIFICATE;
    if (*made == ENGRAM_TLS_MADE && options->client_ca && !use_client_ca(ssl, context, options))
      *made = ENGRAM_TLS_BAD_CLIENT_CA;
  }
  if (*made != ENGRAM_TLS_MADE) {
    describe(fault, "no PEM block of the right kind");
    SSL_CTX_free(ssl);
    if (context) sk_X509_pop_free(context->authorities, X509_free);
    free(context);
    return NULL;
  }
  context->ssl = ssl;
  context->tickets = tickets;
  if (tickets) engram_tls_tickets_hold(tickets);
  engram_tls_clear_errors();
  return context;
}

// Sessions hold the SSL_CTX, and look the tickets up through it: the owner frees a context after its sessions.
void engram_tls_context_free(engram_tls_context *context) {
  if (!context) return;
  SSL_CTX_free(context->ssl);
  sk_X509_pop_free(context->authorities, X509_free);
  engram_tls_tickets_release(context->tickets);
  free(context);
}

int64_t engram_tls_context_expires(const engram_tls_context *context) {
  struct tm time;
  X509 *own = SSL_CTX_get0_certificate(context->ssl);
  if (!own || ASN1_TIME_to_tm(X509_get0_notAfter(own), &time) != 1) return 0;
  return (int64_t)timegm(&time);
}

static bool has_authority(const engram_tls_context *context, const X509 *authority) {
  for (int n = 0; n < sk_X509_num(context->authorities); n += 1) {
    if (X509_cmp(sk_X509_value(context->authorities, n), authority) == 0) return true;
  }
  return false;
}

// sk_X509_num of NULL is -1.
bool engram_tls_context_keeps_authorities(const engram_tls_context *context, const engram_tls_context *earlier) {
  for (int n = 0; n < sk_X509_num(earlier->authorities); n += 1) {
    if (!has_authority(context, sk_X509_value(earlier->authorities, n))) return false;
  }
  return true;
}
