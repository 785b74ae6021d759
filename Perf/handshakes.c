// Full TLS handshakes, one after the other on each of several threads: connect, handshake, close_notify, close. No tickets are
// used, so that the server signs each time.
//
//   handshakes port=N [threads=4] [seconds=5] [warm=1] [version=13]
//
// At its marks the runner looks at the server. The last line is JSON, in seconds.
#include "load.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS_MAX = 64 };

static SSL_CTX *context;
static int port, threads;
static atomic_bool is_over;
static atomic_ullong handshakes;
static char suite[64], version[16];

static void handshake(void) {
  int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (file < 0 || connect(file, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  int one = 1;
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  SSL *ssl = SSL_new(context);
  SSL_set_fd(ssl, file);
  if (SSL_connect(ssl) != 1) die("handshake: %s", ERR_reason_error_string(ERR_get_error()));
  if (SSL_session_reused(ssl)) die("a session went on from another one");
  // One thread's is enough: they are all the same.
  if (!suite[0]) {
    snprintf(version, sizeof version, "%s", SSL_get_version(ssl));
    snprintf(suite, sizeof suite, "%s", SSL_get_cipher_name(ssl));
  }
  // With TLS 1.3 the server is done only when it has read our last word: its tickets say so.
  SSL_shutdown(ssl);
  char rest[4096];
  while (recv(file, rest, sizeof rest, 0) > 0) continue;
  SSL_free(ssl);
  close(file);
  atomic_fetch_add(&handshakes, 1);
}

static void *work(void *unused) {
  (void)unused;
  while (!atomic_load(&is_over)) handshake();
  return NULL;
}

static double run(double seconds) {
  pthread_t workers[THREADS_MAX];
  atomic_store(&is_over, false);
  atomic_store(&handshakes, 0);
  uint64_t start = now_ns();
  for (int n = 0; n < threads; n++)
    if (pthread_create(&workers[n], NULL, work, NULL) != 0) die("pthread_create");
  while (now_ns() - start < (uint64_t)(seconds * 1e9)) usleep(10000);
  atomic_store(&is_over, true);
  for (int n = 0; n < threads; n++) pthread_join(workers[n], NULL);
  return (double)(now_ns() - start) / 1e9;
}

int main(int count, char **arguments) {
  program_name = "handshakes", argument_count = count, argument_list = arguments;
  port = (int)number_argument("port", 0);
  threads = (int)number_argument("threads", 4);
  if (threads < 1 || threads > THREADS_MAX) die("threads: 1 to %d", THREADS_MAX);
  int wanted = (int)number_argument("version", 13) == 12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  context = SSL_CTX_new(TLS_client_method());
  if (!context) die("SSL_CTX_new");
  SSL_CTX_set_min_proto_version(context, wanted);
  SSL_CTX_set_max_proto_version(context, wanted);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set1_groups_list(context, "X25519");
  // Whose certificate it is doesn't matter here, and checking it is the client's work.
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  run(number_argument("warm", 1));
  mark("begin");
  double seconds = run(number_argument("seconds", 5));
  mark("end");
  printf(
      "{\"seconds\":%.6f,\"handshakes\":%llu,\"version\":\"%s\",\"suite\":\"%s\"}\n", seconds,
      (unsigned long long)atomic_load(&handshakes), version, suite);
  return 0;
}
