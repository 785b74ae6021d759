// The keys of session tickets (RFC 5077, RFC 8446 section 4.6.1). Whoever has one can read what was said in sessions that went
// on by its tickets (with TLS 1.2), so they live in memory only, for two hours at most.
#include "tls_internal.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/// How long a key seals, in seconds; for as long again it opens.
static const int64_t seals_for = 3600;

struct ticket_key {
  unsigned char name[16];
  unsigned char cipher[32];
  unsigned char mac[32];
  int64_t made;
};

struct engram_tls_tickets {
  atomic_int references;
  pthread_mutex_t lock;
  EVP_CIPHER *cipher;
  /// The one that seals, then the one before it.
  struct ticket_key keys[2];
  int count;
};

/// Not the wall clock: turning that back must not keep a key.
static int64_t seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec;
}

/// With the lock held.
static bool rotate(engram_tls_tickets *tickets) {
  struct ticket_key made;
  if (RAND_bytes(made.name, sizeof made.name) != 1 || RAND_priv_bytes(made.cipher, sizeof made.cipher) != 1 ||
      RAND_priv_bytes(made.mac, sizeof made.mac) != 1) {
    ERR_clear_error();
    return false;
  }
  made.made = seconds();
  tickets->keys[1] = tickets->keys[0];
  tickets->keys[0] = made;
  if (tickets->count < 2) tickets->count += 1;
  OPENSSL_cleanse(&made, sizeof made);
  return true;
}

engram_tls_tickets *engram_tls_tickets_new(void) {
  engram_tls_tickets *tickets = calloc(1, sizeof *tickets);
  if (!tickets) return NULL;
  atomic_init(&tickets->references, 1);
  pthread_mutex_init(&tickets->lock, NULL);
  tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
  if (!tickets->cipher || !rotate(tickets)) {
    ERR_clear_error();
    engram_tls_tickets_release(tickets);
    return NULL;
  }
  return tickets;
}

void engram_tls_tickets_hold(engram_tls_tickets *tickets) { atomic_fetch_add(&tickets->references, 1); }

void engram_tls_tickets_release(engram_tls_tickets *tickets) {
  if (!tickets || atomic_fetch_sub(&tickets->references, 1) != 1) return;
  EVP_CIPHER_free(tickets->cipher);
  pthread_mutex_destroy(&tickets->lock);
  OPENSSL_cleanse(tickets->keys, sizeof tickets->keys);
  free(tickets);
}

bool engram_tls_tickets_rotate(engram_tls_tickets *tickets) {
  pthread_mutex_lock(&tickets->lock);
  bool done = rotate(tickets);
  pthread_mutex_unlock(&tickets->lock);
  return done;
}

/// Copies the key that seals (`name` NULL) or the one of that name. Returns its place, or -1.
static int find(engram_tls_tickets *tickets, const unsigned char *name, struct ticket_key *key) {
  int place = -1;
  pthread_mutex_lock(&tickets->lock);
  int64_t now = seconds();
  if (now - tickets->keys[0].made >= seals_for) rotate(tickets);
  if (!name) {
    place = 0;
  } else {
    for (int n = 0; n < tickets->count && place < 0; n += 1) {
      // Names are no secret: they travel in the clear.
      bool is_it = memcmp(name, tickets->keys[n].name, sizeof tickets->keys[n].name) == 0;
      if (is_it && now - tickets->keys[n].made < 2 * seals_for) place = n;
    }
  }
  if (place >= 0) *key = tickets->keys[place];
  pthread_mutex_unlock(&tickets->lock);
  return place;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key) {
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// 1: sealed or opened. 2: opened, and to be made anew. 0: no ticket; the client gets a full handshake. -1: no handshake.
int engram_tls_tickets_callback(
    SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals) {
  engram_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  if (!context || !context->tickets) return 0;
  struct ticket_key key;
  int place = find(context->tickets, seals ? NULL : name, &key);
  if (place < 0) return 0;
  int result = place == 0 ? 1 : 2;
  EVP_CIPHER *kind = context->tickets->cipher;
  if (seals) {
    memcpy(name, key.name, sizeof key.name);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(kind)) != 1 ||
        EVP_EncryptInit_ex2(cipher, kind, key.cipher, iv, NULL) != 1)
      result = -1;
  } else if (EVP_DecryptInit_ex2(cipher, kind, key.cipher, iv, NULL) != 1) {
    result = -1;
  }
  if (result > 0 && !set_mac(mac, &key)) result = -1;
  OPENSSL_cleanse(&key, sizeof key);
  return result;
}
