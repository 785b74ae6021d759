// What the load clients share: arguments, time, sockets, answers of HTTP, percentiles, and the marks at which the runner
// reads the server's processor time and memory. One thread each, nothing allocated per request. Linux, little endian.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wunused-function"

enum { ANSWER_BYTES_MAX = 1 << 16, HEAD_BYTES_MAX = 8192 };

static const char *program_name = "load";

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *what, ...) {
  int error = errno;
  va_list list;
  va_start(list, what);
  fprintf(stderr, "%s: ", program_name);
  vfprintf(stderr, what, list);
  va_end(list);
  fprintf(stderr, error ? " (errno: %s)\n" : "\n", strerror(error));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// -- arguments: name=value ---------------------------------------------------------------------------------------

static int argument_count;
static char **argument_list;

static const char *text_argument(const char *name, const char *otherwise) {
  size_t length = strlen(name);
  for (int n = 1; n < argument_count; n++)
    if (strncmp(argument_list[n], name, length) == 0 && argument_list[n][length] == '=')
      return argument_list[n] + length + 1;
  return otherwise;
}

static double number_argument(const char *name, double otherwise) {
  const char *found = text_argument(name, NULL);
  return found ? atof(found) : otherwise;
}

static char *file_contents(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (!file) die("%s", path);
  char *bytes = calloc(1, ANSWER_BYTES_MAX);
  *length = fread(bytes, 1, ANSWER_BYTES_MAX - 1, file);
  fclose(file);
  if (*length == 0) die("%s is empty", path);
  return bytes;
}

// -- sockets -----------------------------------------------------------------------------------------------------

static void several_files(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// A connection that doesn't block. A receive buffer other than 0 is set before the connection exists, so that the
/// window it offers is as small from the start.
static int dial(int port, int receive_bytes) {
  int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (file < 0) die("socket");
  if (receive_bytes) setsockopt(file, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  if (connect(file, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(file, F_SETFL, O_NONBLOCK);
  return file;
}

static void watch(int poll, int file, uint32_t number) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
  if (epoll_ctl(poll, EPOLL_CTL_ADD, file, &event) != 0) die("epoll_ctl");
}

/// Sends all of it, waiting where the socket's buffer is full: requests here are small, and one of a connection at a time.
static void send_whole(int file, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t done = send(file, bytes, count, MSG_NOSIGNAL);
    if (done < 0 && errno == EAGAIN) {
      usleep(50);
      continue;
    }
    if (done < 0) die("send");
    bytes += done;
    count -= (size_t)done;
  }
}

// -- answers of HTTP with a Content-Length -------------------------------------------------------------------------

struct answer {
  char bytes[ANSWER_BYTES_MAX];
  size_t count;
};

/// Where the head at the front of these bytes ends, or 0 while it is incomplete.
static size_t head_end(const char *bytes, size_t count) {
  const char *end = memmem(bytes, count, "\r\n\r\n", 4);
  return end ? (size_t)(end - bytes) + 4 : 0;
}

/// The value of a field of a head, or NULL. The name comes with its colon.
static const char *field(const char *head, size_t count, const char *name) {
  size_t length = strlen(name);
  for (size_t n = 0; n + length < count; n++)
    if (head[n] == '\n' && strncasecmp(head + n + 1, name, length) == 0) {
      const char *value = head + n + 1 + length;
      return value + strspn(value, " ");
    }
  return NULL;
}

/// Receives what has come; returns the status once the answer is whole, 0 before. `body` then points into it.
static int receive_answer(int file, struct answer *a, const char **body) {
  ssize_t got = recv(file, a->bytes + a->count, sizeof a->bytes - 1 - a->count, 0);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got <= 0) die("the server closed a connection");
  a->count += (size_t)got;
  a->bytes[a->count] = 0;
  size_t head = head_end(a->bytes, a->count);
  if (head == 0) return 0;
  const char *length = field(a->bytes, head, "content-length:");
  if (!length) die("an answer without Content-Length: %.*s", (int)head, a->bytes);
  if (a->count < head + strtoul(length, NULL, 10)) return 0;
  *body = a->bytes + head;
  a->count = 0;
  return atoi(a->bytes + 9);
}

// -- the chunked coding, RFC 9112 section 7.1 ----------------------------------------------------------------------

struct chunks {
  uint32_t left;
  bool is_last;
  uint8_t line_count;
  char line[16];
};

/// Takes the coding out of `fresh` bytes, in place. Returns the text's bytes.
static size_t without_chunks(struct chunks *c, char *fresh, size_t count) {
  size_t in = 0, out = 0;
  while (in < count) {
    if (c->left > 0) {
      size_t part = count - in < c->left ? count - in : c->left;
      memmove(fresh + out, fresh + in, part);
      in += part;
      out += part;
      c->left -= (uint32_t)part;
      continue;
    }
    char next = fresh[in++];
    if (next != '\n') {
      if (c->line_count < sizeof c->line - 1) c->line[c->line_count++] = next;
      continue;
    }
    c->line[c->line_count] = 0;
    if (c->line_count > 1) {  // not the bare CRLF behind a chunk
      c->left = (uint32_t)strtoul(c->line, NULL, 16);
      c->is_last |= c->left == 0;
    }
    c->line_count = 0;
  }
  return out;
}

// -- figures -----------------------------------------------------------------------------------------------------

/// Durations in nanoseconds, to be sorted at the end.
struct durations {
  uint64_t *values;
  size_t count, capacity;
};

static void add_duration(struct durations *d, uint64_t value) {
  if (d->count == d->capacity) {
    d->capacity = d->capacity ? d->capacity * 2 : 1 << 16;
    d->values = realloc(d->values, d->capacity * sizeof *d->values);
    if (!d->values) die("no memory");
  }
  d->values[d->count++] = value;
}

static int by_value(const void *one, const void *two) {
  uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)two;
  return a < b ? -1 : a > b;
}

/// `"name":{"count":…,"p50":…,"p99":…,"max":…},` in seconds, nearest rank.
static void print_durations(const char *name, struct durations *d) {
  qsort(d->values, d->count, sizeof *d->values, by_value);
  double at[3] = {0, 0, 0};
  if (d->count > 0) {
    at[0] = (double)d->values[(d->count * 50 + 99) / 100 - 1] / 1e9;
    at[1] = (double)d->values[(d->count * 99 + 99) / 100 - 1] / 1e9;
    at[2] = (double)d->values[d->count - 1] / 1e9;
  }
  printf("\"%s\":{\"count\":%zu,\"p50\":%.9f,\"p99\":%.9f,\"max\":%.9f},", name, d->count, at[0], at[1], at[2]);
}

static double own_processor_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/// Tells the runner that something begins or ends, and waits until it has looked at the server.
static void mark(const char *name) {
  char go;
  printf("%s\n", name);
  fflush(stdout);
  if (read(STDIN_FILENO, &go, 1) != 1) die("the runner is gone");
}

static uint64_t next_random(void) {
  static uint64_t state = 88172645463325252ull;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// -- WebSocket, RFC 6455: the client's side, whole messages in single frames ------------------------------------------

// The key and the accept value of the RFC's section 1.3: the answer can be checked without SHA-1.
#define WEBSOCKET_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WEBSOCKET_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static size_t websocket_request(char *out, size_t room, const char *path) {
  return (size_t)snprintf(
      out, room,
      "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: " WEBSOCKET_KEY "\r\n\r\n", path);
}

static void check_upgraded(const char *head, size_t count) {
  const char *accept = field(head, count, "sec-websocket-accept:");
  if (atoi(head + 9) != 101 || !accept || strncmp(accept, WEBSOCKET_ACCEPT, sizeof WEBSOCKET_ACCEPT - 1) != 0)
    die("no upgrade: %.*s", (int)count, head);
}

struct frame {
  int opcode;
  const char *payload;
  size_t length, whole;
};

/// The frame at the front, or false while it is incomplete.
static bool next_frame(const char *bytes, size_t count, struct frame *f) {
  const uint8_t *b = (const uint8_t *)bytes;
  if (count < 2) return false;
  if ((b[0] & 0xf0) != 0x80 || (b[1] & 0x80)) die("a frame that is a fragment, reserved or masked: %02x %02x", b[0], b[1]);
  size_t length = b[1], head = 2;
  if (length == 126) {
    if (count < 4) return false;
    length = (size_t)b[2] << 8 | b[3];
    head = 4;
  } else if (length == 127) {
    if (count < 10) return false;
    length = 0;
    for (int n = 2; n < 10; n++) length = length << 8 | b[n];
    head = 10;
  }
  if (count < head + length) return false;
  *f = (struct frame){.opcode = b[0] & 15, .payload = bytes + head, .length = length, .whole = head + length};
  return true;
}

/// Writes a masked frame, with a mask of its own as the RFC has it. Returns its bytes: at most 8 more than the payload.
static size_t masked_frame(char *out, int opcode, const char *payload, size_t length) {
  size_t head = 2;
  out[0] = (char)(0x80 | opcode);
  if (length > 65535) die("a frame too long");
  if (length > 125) {
    out[1] = (char)(0x80 | 126);
    out[2] = (char)(length >> 8);
    out[3] = (char)length;
    head = 4;
  } else {
    out[1] = (char)(0x80 | length);
  }
  uint32_t mask = (uint32_t)(next_random() >> 16);
  memcpy(out + head, &mask, 4);
  head += 4;
  uint64_t wide = (uint64_t)mask << 32 | mask, word;
  size_t at = 0;
  for (; at + 8 <= length; at += 8) {
    memcpy(&word, payload + at, 8);
    word ^= wide;
    memcpy(out + head + at, &word, 8);
  }
  for (; at < length; at++) out[head + at] = (char)(payload[at] ^ (char)(mask >> (at % 4 * 8)));
  return head + length;
}
