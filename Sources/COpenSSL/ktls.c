#include "COpenSSLTLS.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

/// A connection to oneself; -1 with errno.
static int connected(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return -1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int client = -1;
  if (bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0 &&
      getsockname(listener, (struct sockaddr *)&address, &length) == 0) {
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client >= 0 && connect(client, (struct sockaddr *)&address, length) != 0) {
      int error = errno;
      close(client);
      client = -1;
      errno = error;
    }
  }
  int error = errno;
  close(listener);
  errno = error;
  return client;
}

int engram_ktls_probe(void) {
  int client = connected();
  if (client < 0) return errno;
  // Only a connection that is established may be given a protocol above it (tcp_set_ulp in the kernel's tcp_ulp.c).
  int result = setsockopt(client, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0 ? 0 : errno;
  close(client);
  return result;
}
