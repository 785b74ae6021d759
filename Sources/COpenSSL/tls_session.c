// One connection's TLS: a BIO of our own, whose reading side is what the caller lent and whose writing side is the caller.
#include "tls_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct engram_tls_session {
  SSL *ssl;
  const unsigned char *input;
  size_t left;
  engram_tls_sink sink;
  void *owner;
  engram_tls_failure failure;
};

// MARK: The BIO

static int bio_read(BIO *bio, char *buffer, size_t room, size_t *got) {
  engram_tls_session *session = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (session->left == 0) {
    *got = 0;
    BIO_set_retry_read(bio);
    return 0;
  }
  size_t count = room < session->left ? room : session->left;
  memcpy(buffer, session->input, count);
  session->input += count;
  session->left -= count;
  *got = count;
  return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t count, size_t *written) {
  engram_tls_session *session = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  session->sink(session->owner, bytes, count);
  *written = count;
  return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
  (void)bio, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

// Made once and never freed.
static void make_method(void) {
  BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "engram");
  if (!made) return;
  bool done = BIO_meth_set_read_ex(made, bio_read) && BIO_meth_set_write_ex(made, bio_write) &&
              BIO_meth_set_ctrl(made, bio_control);
  if (done) {
    method = made;
  } else {
    BIO_meth_free(made);
  }
}

// MARK: Life

engram_tls_session *engram_tls_session_new(engram_tls_context *context) {
  pthread_once(&method_once, make_method);
  engram_tls_clear_errors();
  engram_tls_session *session = calloc(1, sizeof *session);
  SSL *ssl = session ? SSL_new(context->ssl) : NULL;
  BIO *bio = ssl && method ? BIO_new(method) : NULL;
  if (!bio) {
    SSL_free(ssl);
    free(session);
    ERR_clear_error();
    return NULL;
  }
  BIO_set_data(bio, session);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  session->ssl = ssl;
  return session;
}

void engram_tls_session_attach(engram_tls_session *session, engram_tls_sink sink, void *owner) {
  session->sink = sink;
  session->owner = owner;
}

void engram_tls_session_free(engram_tls_session *session) {
  if (!session) return;
  SSL_free(session->ssl);
  free(session);
  engram_tls_clear_errors();
}

void engram_tls_session_feed(engram_tls_session *session, const void *bytes, size_t count) {
  session->input = bytes;
  session->left = count;
}

size_t engram_tls_session_rest(const engram_tls_session *session, const void **bytes) {
  *bytes = session->input;
  return session->left;
}

bool engram_tls_session_has_input(const engram_tls_session *session) {
  return session->left > 0 || SSL_pending(session->ssl) > 0;
}

// MARK: Failures

static engram_tls_failure failure_of(unsigned long error) {
  int reason = ERR_GET_REASON(error);
  // An alert of the peer is reported by its number above this one.
  if (reason >= SSL_AD_REASON_OFFSET) return ENGRAM_TLS_PEER_ALERT;
  switch (reason) {
  case SSL_R_HTTP_REQUEST:
  case SSL_R_HTTPS_PROXY_REQUEST: return ENGRAM_TLS_PLAIN_HTTP;
  case SSL_R_NO_APPLICATION_PROTOCOL: return ENGRAM_TLS_NO_PROTOCOL;
  case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return ENGRAM_TLS_NO_CLIENT_CERTIFICATE;
  case SSL_R_CERTIFICATE_VERIFY_FAILED:
  // The one signature of a client's is by the key of the certificate that it showed: it doesn't have that.
  case SSL_R_BAD_SIGNATURE: return ENGRAM_TLS_CLIENT_CERTIFICATE;
  case SSL_R_UNSUPPORTED_PROTOCOL:
  case SSL_R_VERSION_TOO_LOW:
  case SSL_R_NO_PROTOCOLS_AVAILABLE:
  case SSL_R_NO_SHARED_CIPHER:
  case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
  case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
  case SSL_R_NO_SHARED_GROUPS:
  case SSL_R_NO_SUITABLE_KEY_SHARE:
  case SSL_R_INAPPROPRIATE_FALLBACK: return ENGRAM_TLS_NOTHING_IN_COMMON;
  case ERR_R_MALLOC_FAILURE:
  case ERR_R_INTERNAL_ERROR: return ENGRAM_TLS_INTERNAL;
  default: return ENGRAM_TLS_MALFORMED;
  }
}

/// What a call that returned 0 or less came to. Leaves no error behind.
static engram_tls_result outcome(engram_tls_session *session, int result) {
  switch (SSL_get_error(session->ssl, result)) {
  case SSL_ERROR_WANT_READ: return ENGRAM_TLS_WANTS_INPUT;
  case SSL_ERROR_ZERO_RETURN: return ENGRAM_TLS_ENDED;
  case SSL_ERROR_SSL: {
    session->failure = ENGRAM_TLS_MALFORMED;
    // Causes come first; OpenSSL's own layer says what it made of them.
    for (unsigned long error = ERR_get_error(); error != 0; error = ERR_get_error()) {
      if (ERR_GET_LIB(error) != ERR_LIB_SSL) continue;
      session->failure = failure_of(error);
      break;
    }
    break;
  }
  default: session->failure = ENGRAM_TLS_INTERNAL;
  }
  ERR_clear_error();
  return ENGRAM_TLS_FAILED;
}

engram_tls_failure engram_tls_session_failure(const engram_tls_session *session) { return session->failure; }

// MARK: At work

engram_tls_result engram_tls_handshake(engram_tls_session *session) {
  engram_tls_clear_errors();
  int result = SSL_do_handshake(session->ssl);
  if (result == 1) {
    engram_tls_clear_errors();
    return ENGRAM_TLS_DONE;
  }
  return outcome(session, result);
}

engram_tls_result engram_tls_read(engram_tls_session *session, void *buffer, size_t room, size_t *got) {
  engram_tls_clear_errors();
  *got = 0;
  int result = SSL_read_ex(session->ssl, buffer, room, got);
  return result == 1 ? ENGRAM_TLS_DONE : outcome(session, result);
}

bool engram_tls_write(engram_tls_session *session, const void *bytes, size_t count) {
  engram_tls_clear_errors();
  const char *rest = bytes;
  while (count > 0) {
    size_t written = 0;
    int result = SSL_write_ex(session->ssl, rest, count, &written);
    if (result != 1) {
      // The sink takes everything: there is nothing to wait for.
      if (outcome(session, result) != ENGRAM_TLS_FAILED) session->failure = ENGRAM_TLS_INTERNAL;
      return false;
    }
    // Less than all of it where the peer asked for small records (max_fragment_length, RFC 6066, section 4).
    rest += written;
    count -= written;
  }
  return true;
}

void engram_tls_close(engram_tls_session *session) {
  if (!SSL_is_init_finished(session->ssl)) return;
  engram_tls_clear_errors();
  SSL_shutdown(session->ssl);
  engram_tls_clear_errors();
}

bool engram_tls_session_is_resumed(const engram_tls_session *session) { return SSL_session_reused(session->ssl) == 1; }

bool engram_tls_session_is_13(const engram_tls_session *session) {
  return SSL_version(session->ssl) == TLS1_3_VERSION;
}

bool engram_tls_session_peer(const engram_tls_session *session, engram_tls_sink found, void *owner) {
  X509 *peer = SSL_get0_peer_certificate(session->ssl);
  unsigned char *der = NULL;
  engram_tls_clear_errors();
  int length = peer && SSL_get_verify_result(session->ssl) == X509_V_OK ? i2d_X509(peer, &der) : 0;
  if (length > 0) found(owner, der, (size_t)length);
  OPENSSL_free(der);
  engram_tls_clear_errors();
  return length > 0;
}
