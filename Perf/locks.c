// Clients that acquire a lock, release it, and begin again: each on a connection of its own, each on paths of its own.
//
//   locks port=N kind=engram|etcd|etcd-lease [clients=16] [paths=64] [seconds=5] [warm=1] [ttl=60]
//
//   engram       POST /locks, then DELETE /locks/PATH with agent and lock_id
//   etcd         what etcd's own `concurrency.Mutex` does over its JSON gateway: a lease for the session (granted once),
//                per lock a txn that creates the key under that lease if it is absent, and its deletion
//   etcd-lease   a lease of its own for each lock, as Engram's locks have a TTL each: grant, txn, revoke
//
// At its marks the runner looks at the server. The last line on standard output is JSON; times are seconds.
#include "load.h"

enum { CLIENTS_MAX = 1024, REQUEST_BYTES = 1024, EVENTS_MAX = 64 };
enum kind { ENGRAM, ETCD, ETCD_LEASE };
enum step { GRANT, ACQUIRE, RELEASE };

struct client {
  int file, number;
  enum step step;
  uint64_t turns, began, acquired;
  char held[64];   // lock_id, or the lease
  char path[64], key[96];
  struct answer answer;
};

static struct client clients[CLIENTS_MAX];
static enum kind kind;
static int port, client_count, paths, busy;
static double ttl;
static bool is_measured, goes_on;
static uint64_t pairs;
static struct durations acquires, whole;

static void base64(char *out, const char *text) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t count = strlen(text);
  for (size_t n = 0; n < count; n += 3) {
    uint32_t word = 0;
    for (size_t k = 0; k < 3; k++) word = word << 8 | (n + k < count ? (uint8_t)text[n + k] : 0);
    for (size_t k = 0; k < 4; k++) *out++ = n + k > count ? '=' : letters[word >> (18 - 6 * k) & 63];
  }
  *out = 0;
}

__attribute__((format(printf, 4, 5))) static void ask(
    struct client *c, const char *method, const char *path, const char *body, ...) {
  char text[REQUEST_BYTES / 2], whole_request[REQUEST_BYTES];
  va_list list;
  va_start(list, body);
  int length = vsnprintf(text, sizeof text, body, list);
  va_end(list);
  int count = snprintf(
      whole_request, sizeof whole_request,
      "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sContent-Length: %d\r\n\r\n%s", method, path, port,
      length > 0 ? "Content-Type: application/json\r\n" : "", length, text);
  if (length >= (int)sizeof text || count >= (int)sizeof whole_request) die("a request too long");
  send_whole(c->file, whole_request, (size_t)count);
}

static void send_step(struct client *c) {
  char path[256];
  if (kind == ENGRAM && c->step == ACQUIRE) {
    ask(c, "POST", "/locks", "{\"resource_path\":\"%s\",\"ttl_seconds\":%.0f,\"agent_id\":\"agent-%d\"}", c->path, ttl,
        c->number);
  } else if (kind == ENGRAM) {
    snprintf(path, sizeof path, "/locks/%s?agent_id=agent-%d&lock_id=%s", c->path, c->number, c->held);
    ask(c, "DELETE", path, "%s", "");
  } else if (c->step == GRANT) {
    ask(c, "POST", "/v3/lease/grant", "{\"TTL\":%.0f}", ttl);
  } else if (c->step == ACQUIRE) {
    ask(c, "POST", "/v3/kv/txn",
        "{\"compare\":[{\"target\":\"CREATE\",\"result\":\"EQUAL\",\"key\":\"%s\",\"create_revision\":\"0\"}],"
        "\"success\":[{\"request_put\":{\"key\":\"%s\",\"value\":\"YWdlbnQ=\",\"lease\":\"%s\"}}]}", c->key, c->key, c->held);
  } else if (kind == ETCD) {
    ask(c, "POST", "/v3/kv/deleterange", "{\"key\":\"%s\"}", c->key);
  } else {
    ask(c, "POST", "/v3/lease/revoke", "{\"ID\":\"%s\"}", c->held);
  }
}

static void begin(struct client *c) {
  snprintf(c->path, sizeof c->path, "bench/%d/%llu", c->number, (unsigned long long)(c->turns++ % (uint64_t)paths));
  base64(c->key, c->path);
  c->step = kind == ETCD_LEASE ? GRANT : ACQUIRE;
  c->began = now_ns();
  busy++;
  send_step(c);
}

/// Keeps the text behind `name`, up to the next quote.
static void keep(struct client *c, const char *body, const char *name) {
  const char *at = strstr(body, name);
  if (!at) die("no %s in %s", name, body);
  at += strlen(name);
  size_t count = strcspn(at, "\"");
  if (count == 0 || count >= sizeof c->held) die("%s in %s", name, body);
  memcpy(c->held, at, count);
  c->held[count] = 0;
}

static void expect(const char *body, const char *what) {
  if (!strstr(body, what)) die("not %s: %s", what, body);
}

static void take(struct client *c) {
  const char *body;
  int status = receive_answer(c->file, &c->answer, &body);
  if (status == 0) return;
  if (status != 200) die("answered %d: %s", status, body);
  uint64_t now = now_ns();
  if (c->step == GRANT) {
    keep(c, body, "\"ID\":\"");
  } else if (c->step == ACQUIRE) {
    if (kind == ENGRAM) keep(c, body, "\"lock_id\":\"");
    else expect(body, "\"succeeded\":true");
    c->acquired = now;
  } else {
    if (kind == ENGRAM) expect(body, "\"released\":true");
    if (kind == ETCD) expect(body, "\"deleted\":\"1\"");
    pairs++;
    if (is_measured) add_duration(&acquires, c->acquired - c->began);
    if (is_measured) add_duration(&whole, now - c->began);
    busy--;
    if (goes_on) begin(c);
    return;
  }
  c->step++;
  send_step(c);
}

static void run(int poller, double seconds) {
  uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
  pairs = 0;
  goes_on = true;
  for (int n = 0; n < client_count; n++) begin(&clients[n]);
  while (busy > 0) {
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(poller, events, EVENTS_MAX, 1000);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    goes_on = now_ns() < end;
    for (int n = 0; n < ready; n++) take(&clients[events[n].data.u32]);
  }
}

/// The session's lease, on the client's own connection.
static void open_session(struct client *c) {
  const char *body;
  c->step = GRANT;
  send_step(c);
  while (receive_answer(c->file, &c->answer, &body) == 0) usleep(100);
  keep(c, body, "\"ID\":\"");
}

int main(int count, char **arguments) {
  program_name = "locks", argument_count = count, argument_list = arguments;
  const char *name = text_argument("kind", "engram");
  kind = strcmp(name, "engram") == 0 ? ENGRAM : strcmp(name, "etcd") == 0 ? ETCD : ETCD_LEASE;
  port = (int)number_argument("port", 0);
  client_count = (int)number_argument("clients", 16);
  paths = (int)number_argument("paths", 64);
  ttl = number_argument("ttl", 60);
  if (client_count < 1 || client_count > CLIENTS_MAX || paths < 1) die("arguments");
  int poller = epoll_create1(EPOLL_CLOEXEC);
  for (int n = 0; n < client_count; n++) {
    clients[n].file = dial(port, 0);
    clients[n].number = n;
    if (kind == ETCD) open_session(&clients[n]);
    watch(poller, clients[n].file, (uint32_t)n);
  }
  run(poller, number_argument("warm", 1));
  mark("begin");
  is_measured = true;
  double own = own_processor_seconds();
  uint64_t start = now_ns();
  run(poller, number_argument("seconds", 5));
  double seconds = (double)(now_ns() - start) / 1e9;
  own = own_processor_seconds() - own;
  mark("end");
  printf("{\"seconds\":%.6f,\"client_seconds\":%.3f,", seconds, own);
  print_durations("acquire", &acquires);
  print_durations("pair", &whole);
  printf("\"pairs\":%llu}\n", (unsigned long long)pairs);
  return 0;
}
