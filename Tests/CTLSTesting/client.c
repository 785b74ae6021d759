#include "CTLSTesting.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

struct testing_tls_client {
  SSL_CTX *context;
  SSL *ssl;
  BIO *incoming, *outgoing;
  SSL_SESSION *session;
  int alert;
  char name[256];
};

static int keep_session(SSL *ssl, SSL_SESSION *session) {
  testing_tls_client *client = SSL_get_app_data(ssl);
  SSL_SESSION_free(client->session);
  client->session = session;
  return 1;
}

static void listen(int write, int version, int type, const void *bytes, size_t count, SSL *ssl, void *owner) {
  (void)version, (void)ssl;
  testing_tls_client *client = owner;
  if (!write && type == SSL3_RT_ALERT && count == 2) client->alert = ((const unsigned char *)bytes)[1];
}

testing_tls_client *testing_tls_client_new(const testing_tls_options *options) {
  ERR_clear_error();
  testing_tls_client *client = calloc(1, sizeof *client);
  if (!client) return NULL;
  client->alert = -1;
  client->context = SSL_CTX_new(TLS_client_method());
  // The oldest versions need the lowest level, and are there to be refused.
  if (options->maximum < TLS1_2_VERSION) SSL_CTX_set_security_level(client->context, 0);
  SSL_CTX_set_min_proto_version(client->context, options->minimum);
  SSL_CTX_set_max_proto_version(client->context, options->maximum);
  SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(client->context, keep_session);
  SSL_CTX_set_msg_callback(client->context, listen);
  SSL_CTX_set_msg_callback_arg(client->context, client);
  SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_load_verify_locations(client->context, options->authority, NULL);
  if (options->suites) SSL_CTX_set_cipher_list(client->context, options->suites);
  if (options->certificate) {
    SSL_CTX_use_certificate_chain_file(client->context, options->certificate);
    SSL_CTX_use_PrivateKey_file(client->context, options->key, SSL_FILETYPE_PEM);
  }
  if (options->protocols) SSL_CTX_set_alpn_protos(client->context, options->protocols, options->protocols_bytes);
  client->ssl = SSL_new(client->context);
  SSL_set_app_data(client->ssl, client);
  client->incoming = BIO_new(BIO_s_mem());
  client->outgoing = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(client->incoming, -1);
  SSL_set_bio(client->ssl, client->incoming, client->outgoing);
  SSL_set_connect_state(client->ssl);
  SSL_set_tlsext_host_name(client->ssl, "localhost");
  if (options->session) SSL_set_session(client->ssl, options->session);
  ERR_clear_error();
  return client;
}

void testing_tls_client_free(testing_tls_client *client) {
  if (!client) return;
  SSL_free(client->ssl);
  SSL_SESSION_free(client->session);
  SSL_CTX_free(client->context);
  free(client);
  ERR_clear_error();
}

size_t testing_tls_client_take(testing_tls_client *client, void *buffer, size_t room) {
  int count = BIO_read(client->outgoing, buffer, (int)room);
  return count > 0 ? (size_t)count : 0;
}

void testing_tls_client_feed(testing_tls_client *client, const void *bytes, size_t count) {
  BIO_write(client->incoming, bytes, (int)count);
}

int testing_tls_client_handshake(testing_tls_client *client) {
  ERR_clear_error();
  int result = SSL_do_handshake(client->ssl);
  if (result == 1) return 1;
  int error = SSL_get_error(client->ssl, result);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_READ ? 0 : -1;
}

long testing_tls_client_read(testing_tls_client *client, void *buffer, size_t room) {
  size_t count = 0;
  ERR_clear_error();
  int result = SSL_read_ex(client->ssl, buffer, room, &count);
  if (result == 1) return (long)count;
  int error = SSL_get_error(client->ssl, result);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_READ ? 0 : error == SSL_ERROR_ZERO_RETURN ? -1 : -2;
}

bool testing_tls_client_write(testing_tls_client *client, const void *bytes, size_t count) {
  size_t written = 0;
  ERR_clear_error();
  return SSL_write_ex(client->ssl, bytes, count, &written) == 1 && written == count;
}

bool testing_tls_client_update_keys(testing_tls_client *client, bool both) {
  ERR_clear_error();
  if (SSL_key_update(client->ssl, both ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return false;
  return SSL_do_handshake(client->ssl) == 1;
}

bool testing_tls_client_renegotiate(testing_tls_client *client) {
  ERR_clear_error();
  if (SSL_renegotiate(client->ssl) != 1) return false;
  int result = SSL_do_handshake(client->ssl);
  bool begun = result != 1 && SSL_get_error(client->ssl, result) == SSL_ERROR_WANT_READ;
  ERR_clear_error();
  return begun;
}

void testing_tls_client_close(testing_tls_client *client) {
  ERR_clear_error();
  SSL_shutdown(client->ssl);
  ERR_clear_error();
}

int testing_tls_client_alert(const testing_tls_client *client) { return client->alert; }
int testing_tls_client_version(const testing_tls_client *client) { return SSL_version(client->ssl); }
bool testing_tls_client_is_resumed(const testing_tls_client *client) { return SSL_session_reused(client->ssl) == 1; }

bool testing_tls_client_has_protocol(const testing_tls_client *client) {
  const unsigned char *chosen = NULL;
  unsigned int length = 0;
  SSL_get0_alpn_selected(client->ssl, &chosen, &length);
  return length == 8 && memcmp(chosen, "http/1.1", 8) == 0;
}

const char *testing_tls_client_server_name(testing_tls_client *client) {
  X509 *peer = SSL_get0_peer_certificate(client->ssl);
  client->name[0] = 0;
  if (peer)
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, client->name, sizeof client->name);
  return client->name;
}

void *testing_tls_client_session(testing_tls_client *client) {
  // TLS 1.3 sends its tickets after the handshake. TLS 1.2 does within, and a renewed one isn't called a new session.
  SSL_SESSION *session = SSL_version(client->ssl) == TLS1_3_VERSION ? client->session : SSL_get_session(client->ssl);
  if (!session || !SSL_SESSION_is_resumable(session)) return NULL;
  SSL_SESSION_up_ref(session);
  return session;
}

void testing_tls_session_release(void *session) { SSL_SESSION_free(session); }
