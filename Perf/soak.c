// The load of a soak: posts as fast as answers come on many connections, and reads the newest 100 units of contexts at a
// steady rate. One thread, epoll, no allocation per request; once a second a line of JSON on standard output.
//
//   soak PORT CONNECTIONS BATCH PAYLOAD_BYTES CONTEXTS UNITS SECONDS READS_PER_SECOND UNITS_PER_SECOND
//
// BATCH 1 posts single units; UNITS or SECONDS 0 is without that end, UNITS_PER_SECOND 0 is as fast as answers come. Contexts are chosen by a Zipf distribution. With 0
// CONNECTIONS it only reads: in a process of its own, so that a latency isn't the wait for the posts of this one.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BUFFER = 1 << 20, LATENCIES_MAX = 1 << 16, REST_US = 20000 };

struct text {
  char *bytes;
  size_t count;
};

struct connection {
  int file;
  bool is_reader, is_busy, is_resting;
  struct text request;
  size_t sent, capacity;
  int units;
  char head[8192];
  size_t head_count, body_left;
  bool has_head;
  int status;
  uint64_t began, rest_until;
};

static struct text *units;
static double *reach;
static int contexts, batch, connections;
static uint64_t acknowledged, requested, refused, reads, read_failures;
static uint64_t random_state = 88172645463325252ull;
static uint32_t latencies[LATENCIES_MAX];
static size_t latency_count;
static uint64_t post_worst;

static void die(const char *what) {
  fprintf(stderr, "soak: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static int next_context(void) {
  double at = (double)(next_random() >> 11) / (double)(1ull << 53) * reach[contexts - 1];
  int low = 0, high = contexts - 1;
  while (low < high) {
    int middle = (low + high) / 2;
    if (reach[middle] < at) low = middle + 1; else high = middle;
  }
  return low;
}

// rank^-0.9, without libm: (rank^0.1) / rank.
static double weight(int rank) {
  double root = rank;  // rank^0.1 by Newton on y^10 = rank
  double y = 1.0 + 0.25 * (rank > 1);
  for (int i = 0; i < 60; i++) {
    double y9 = y * y * y;
    y9 = y9 * y9 * y9;
    y = y - (y9 * y - root) / (10 * y9);
  }
  return y / rank;
}

// Text that compresses about as prose does: words of a small vocabulary, never the same twice.
static void make_units(int payload_bytes) {
  units = calloc((size_t)contexts, sizeof *units);
  reach = calloc((size_t)contexts, sizeof *reach);
  double sum = 0;
  for (int n = 0; n < contexts; n++) {
    sum += weight(n + 1);
    reach[n] = sum;
    size_t room = (size_t)payload_bytes + 256;
    char *text = malloc(room);
    int used = snprintf(
        text, room, "{\"context_id\":\"soak-%d\",\"agent_id\":\"agent-%d\",\"type\":\"%s\",\"payload\":\"", n, n % 16,
        n % 3 == 0 ? "MESSAGE" : n % 3 == 1 ? "REASONING" : "TOOL_CALL");
    int end = used + payload_bytes;
    while (used < end) {
      uint64_t word = next_random();
      for (int i = 0; i < 6 && used < end; i++) text[used++] = "etaoinshrdlucmfw"[word >> (i * 4) & 15];
      if (used < end) text[used++] = ' ';
    }
    used += snprintf(text + used, room - (size_t)used, "\"}");
    units[n] = (struct text){text, (size_t)used};
  }
}

static void make_post(struct connection *c) {
  int picks[1000];
  size_t body = batch > 1 ? 2 : 0;
  for (int n = 0; n < batch; n++) {
    picks[n] = next_context();
    body += units[picks[n]].count + (n > 0);
  }
  if (c->capacity < body + 512) {
    c->capacity = body + 512;
    c->request.bytes = realloc(c->request.bytes, c->capacity);
  }
  char *out = c->request.bytes;
  size_t used = (size_t)sprintf(
      out,
      "POST /%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nPrefer: return=minimal\r\n"
      "Content-Length: %zu\r\n\r\n%s",
      batch > 1 ? "workunits" : "workunit", body, batch > 1 ? "[" : "");
  for (int n = 0; n < batch; n++) {
    if (n > 0) out[used++] = ',';
    memcpy(out + used, units[picks[n]].bytes, units[picks[n]].count);
    used += units[picks[n]].count;
  }
  if (batch > 1) out[used++] = ']';
  c->request.count = used;
  c->units = batch;
}

static void make_read(struct connection *c) {
  if (!c->request.bytes) c->request.bytes = malloc(c->capacity = 256);
  c->request.count = (size_t)sprintf(
      c->request.bytes, "GET /workunits/soak-%d?limit=100&reverse=true HTTP/1.1\r\nHost: localhost\r\n\r\n", next_context());
}

static void push(struct connection *c) {
  while (c->sent < c->request.count) {
    ssize_t done = send(c->file, c->request.bytes + c->sent, c->request.count - c->sent, MSG_NOSIGNAL);
    if (done < 0) {
      if (errno == EAGAIN) return;
      die("send");
    }
    c->sent += (size_t)done;
  }
}

static void begin(struct connection *c, uint64_t due) {
  if (c->is_reader) make_read(c); else make_post(c);
  c->sent = c->head_count = c->body_left = 0;
  c->has_head = false;
  c->is_busy = true;
  c->began = due;
  if (!c->is_reader) requested += (uint64_t)c->units;
  push(c);
}

// The whole answer is in.
static void finish(struct connection *c) {
  uint64_t now = now_us(), took = now - c->began;
  c->is_busy = false;
  if (c->is_reader) {
    reads++;
    if (c->status != 200) read_failures++;
    if (latency_count < LATENCIES_MAX) latencies[latency_count++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
    return;
  }
  if (took > post_worst) post_worst = took;
  if (c->status == 201) {
    acknowledged += (uint64_t)c->units;
  } else if (c->status == 503 || c->status == 507) {
    refused += (uint64_t)c->units;
    requested -= (uint64_t)c->units;
    c->is_resting = true;
    c->rest_until = now + REST_US;
  } else {
    fprintf(stderr, "soak: status %d: %.*s\n", c->status, (int)c->head_count, c->head);
    exit(1);
  }
}

static void pull(struct connection *c) {
  static char buffer[READ_BUFFER];
  while (true) {
    ssize_t got = recv(c->file, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) die("recv");
    if (got == 0) { fprintf(stderr, "soak: the server closed a connection\n"); exit(1); }
    size_t at = 0;
    while (at < (size_t)got && c->is_busy) {
      if (!c->has_head) {
        c->head[c->head_count++] = buffer[at++];
        if (c->head_count == sizeof c->head) { fprintf(stderr, "soak: a head too long\n"); exit(1); }
        if (c->head_count < 4 || memcmp(c->head + c->head_count - 4, "\r\n\r\n", 4) != 0) continue;
        c->head[c->head_count] = 0;
        c->status = atoi(c->head + 9);
        char *length = strcasestr(c->head, "content-length:");
        if (!length) { fprintf(stderr, "soak: no Content-Length: %s\n", c->head); exit(1); }
        c->body_left = strtoull(length + 15, NULL, 10);
        c->has_head = true;
      } else {
        size_t take = (size_t)got - at < c->body_left ? (size_t)got - at : c->body_left;
        c->body_left -= take;
        at += take;
      }
      if (c->has_head && c->body_left == 0) finish(c);
    }
    if ((size_t)got < sizeof buffer) return;
  }
}

static int dial(int port) {
  int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (file < 0 || connect(file, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(file, F_SETFL, O_NONBLOCK);
  return file;
}

static void report(double seconds, bool is_last) {
  printf(
      "{\"seconds\":%.3f,\"acknowledged\":%llu,\"refused\":%llu,\"reads\":%llu,\"read_failures\":%llu,"
      "\"post_worst_us\":%llu,\"last\":%s,\"reads_us\":[",
      seconds, (unsigned long long)acknowledged, (unsigned long long)refused, (unsigned long long)reads,
      (unsigned long long)read_failures, (unsigned long long)post_worst, is_last ? "true" : "false");
  for (size_t n = 0; n < latency_count; n++) printf(n ? ",%u" : "%u", latencies[n]);
  printf("]}\n");
  fflush(stdout);
  latency_count = 0;
  post_worst = 0;
}

int main(int count, char **arguments) {
  if (count != 10) { fprintf(stderr, "soak: nine arguments\n"); return 64; }
  int port = atoi(arguments[1]);
  connections = atoi(arguments[2]);
  batch = atoi(arguments[3]);
  int payload = atoi(arguments[4]);
  contexts = atoi(arguments[5]);
  uint64_t wanted = strtoull(arguments[6], NULL, 10);
  double seconds = atof(arguments[7]), rate = atof(arguments[8]), pace = atof(arguments[9]);
  if (connections < 0 || (connections == 0 && rate <= 0) || batch < 1 || batch > 1000 || contexts < 1 || (wanted == 0 && seconds == 0)) return 64;
  make_units(payload);
  int poll = epoll_create1(EPOLL_CLOEXEC);
  int total = connections + 1;
  struct connection *all = calloc((size_t)total, sizeof *all);
  for (int n = 0; n < total; n++) {
    all[n].file = dial(port);
    all[n].is_reader = n == connections;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)n};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, all[n].file, &event) != 0) die("epoll_ctl");
  }
  uint64_t start = now_us(), told = start, due = start;
  struct connection *reader = &all[connections];
  while (true) {
    uint64_t now = now_us();
    bool more = (wanted == 0 || requested < wanted) && (seconds == 0 || (double)(now - start) < seconds * 1e6);
    bool busy = false;
    for (int n = 0; n < connections; n++) {
      struct connection *c = &all[n];
      if (c->is_resting && now >= c->rest_until) c->is_resting = false;
      bool early = pace > 0 && (double)requested > pace * (double)(now - start) / 1e6;
      if (more && !early && !c->is_busy && !c->is_resting && (wanted == 0 || requested < wanted)) begin(c, now);
      busy |= c->is_busy;
    }
    if (!more && !busy && !reader->is_busy) break;
    if (more && rate > 0 && !reader->is_busy && now >= due) {
      begin(reader, due);  // a late read counts from when it was due
      due += (uint64_t)(1e6 / rate);
    }
    if (now - told >= 1000000) {
      told = now;
      report((double)(now - start) / 1e6, false);
    }
    struct epoll_event events[256];
    int wait = pace > 0 ? 1 : 5;
    if (rate > 0 && !reader->is_busy && due > now && due - now < 10000) wait = (int)((due - now) / 1000);
    int ready = epoll_wait(poll, events, 256, wait);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int n = 0; n < ready; n++) {
      struct connection *c = &all[events[n].data.u32];
      if (events[n].events & EPOLLOUT && c->is_busy) push(c);
      if (events[n].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) pull(c);
    }
  }
  report((double)(now_us() - start) / 1e6, true);
  return 0;
}
