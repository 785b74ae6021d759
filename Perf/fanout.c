// Subscribers of a stream, WebSocket or SSE, and the posts that reach them: how many deliveries, and how old they are.
//
//   fanout port=N kind=ws|sse subscribers=N path=/stream?context=x body=FILE [publish=/workunit] [posters=4]
//          [rate=50 | window=16] [seconds=5] [warm=1] [contexts=N] [stopped=K] [drips=K] [slow_bytes=4096] [told=3] [hold=T]
//
// The body holds `stamp:` and 24 digits more, which become the time it was sent and the number of the post. With `rate`
// posts go out on a schedule that doesn't wait; with `window` as many are under way as that, until the last subscriber
// has them. `stopped` subscribers stop reading once all are live, `drips` read a byte a second. With `hold` nothing is
// posted: the connections stand for so long, and `%d` in the path becomes the subscriber's number modulo `contexts`. At the
// end the slow ones read on for `told` seconds, to see whether the server has told them.
// At its marks the runner looks at the server. The last line on standard output is JSON; times are seconds.
#include "load.h"

enum { BUFFER_BYTES = 1 << 18, OPENING_MAX = 64, EVENTS_MAX = 64, POSTERS_MAX = 64, BARRIER_TRIES = 50 };
static const char STAMP[] = "stamp:";
enum { STAMP_BYTES = 6, DIGITS = 24 };
static const uint64_t SECOND = 1000000000u, DRAIN = 10000000000u;

enum phase { AWAITING_HEAD, OPEN, CLOSED };
enum manner { READS, STOPPED, DRIPS };

struct subscriber {
  int file;
  uint8_t phase, manner;
  bool is_chunked, is_live, is_reset;
  uint16_t close_code;
  uint32_t kept_count, kept_room;
  char *kept;
  struct chunks chunks;
  uint64_t received, gaps;
};

struct poster {
  int file;
  bool is_busy;
  uint64_t sent;
  struct answer answer;
};

struct post {
  uint64_t sent;
  uint32_t seen;
};

static struct subscriber *subscribers;
static struct poster posters[POSTERS_MAX];
static int total, readers, poster_count, poller, live, opening;
static bool is_websocket, is_measured;
static struct post *posts;
static size_t post_count, post_room, complete, first_counted;
static char *request;
static size_t request_count, stamp_at;
static struct durations ages, lasts, answers;
static uint64_t deliveries, doubled, bytes_read, pings, closed_early;

// -- what a subscriber receives ------------------------------------------------------------------------------------

static uint64_t hexadecimal(const char *digits, int count) {
  uint64_t value = 0;
  for (int n = 0; n < count; n++) value = value << 4 | (uint64_t)((digits[n] & 15) + (digits[n] > '9' ? 9 : 0));
  return value;
}

/// One event. The stamp nearly always lies where it lay last time.
static void take_event(struct subscriber *s, const char *text, size_t count) {
  static size_t hint;
  const char *at = text + hint;
  if (hint + STAMP_BYTES + DIGITS > count || memcmp(at, STAMP, STAMP_BYTES) != 0) {
    at = memmem(text, count, STAMP, STAMP_BYTES);
    if (!at || (size_t)(text + count - at) < STAMP_BYTES + DIGITS) {
      s->gaps += memmem(text, count, "\"gap\"", 5) || memmem(text, count, "event: gap", 10);
      return;
    }
    hint = (size_t)(at - text);
  }
  uint64_t sent = hexadecimal(at + STAMP_BYTES, 16), number = hexadecimal(at + STAMP_BYTES + 16, 8);
  s->received++;
  if (!s->is_live) {
    s->is_live = true;
    live++;
  }
  if (number >= post_count) die("a stamp that was never sent");
  if (number < first_counted || s->manner != READS) return;
  uint64_t age = now_ns() - sent;
  struct post *p = &posts[number];
  deliveries++;
  if (is_measured) add_duration(&ages, age);
  if (++p->seen == (uint32_t)readers) {
    complete++;
    if (is_measured) add_duration(&lasts, age);
  } else if (p->seen > (uint32_t)readers) {
    doubled++;
  }
}

static void shut(struct subscriber *s) {
  if (s->phase == AWAITING_HEAD) die("a stream ended before it began");
  s->phase = CLOSED;
  if (s->manner == READS) closed_early++;
  epoll_ctl(poller, EPOLL_CTL_DEL, s->file, NULL);
}

/// Takes whole frames off the front; returns the bytes taken.
static size_t take_frames(struct subscriber *s, const char *bytes, size_t count) {
  size_t at = 0;
  struct frame f;
  while (s->phase == OPEN && next_frame(bytes + at, count - at, &f)) {
    if (f.opcode == 1 || f.opcode == 2) {
      take_event(s, f.payload, f.length);
    } else if (f.opcode == 8) {
      s->close_code = f.length >= 2 ? (uint16_t)((uint8_t)f.payload[0] << 8 | (uint8_t)f.payload[1]) : 1005;
      shut(s);
    } else if (f.opcode == 9) {
      char pong[256];
      pings++;
      send_whole(s->file, pong, masked_frame(pong, 10, f.payload, f.length));
    }
    at += f.whole;
  }
  return at;
}

static size_t take_lines(struct subscriber *s, const char *bytes, size_t count) {
  size_t at = 0;
  while (true) {
    const char *end = memmem(bytes + at, count - at, "\n\n", 2);
    if (!end) return at;
    take_event(s, bytes + at, (size_t)(end - bytes) - at);
    at = (size_t)(end - bytes) + 2;
  }
}

static void take_head(struct subscriber *s, const char *head, size_t count) {
  if (is_websocket) {
    check_upgraded(head, count);
  } else {
    const char *coding = field(head, count, "transfer-encoding:");
    if (atoi(head + 9) != 200) die("no stream: %.*s", (int)count, head);
    s->is_chunked = coding && strncasecmp(coding, "chunked", 7) == 0;
  }
  s->phase = OPEN;
  opening--;
}

/// Receives once, at most `most` bytes. False when nothing was there.
static bool pull(struct subscriber *s, size_t most) {
  static char buffer[BUFFER_BYTES];
  size_t kept = s->kept_count;
  if (kept > 0) memcpy(buffer, s->kept, kept);
  if (most > sizeof buffer - kept) most = sizeof buffer - kept;
  if (most == 0) die("an event too long");
  ssize_t got = recv(s->file, buffer + kept, most, 0);
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    s->is_reset = got < 0;
    shut(s);
    return true;
  }
  bytes_read += (uint64_t)got;
  size_t count = kept + (size_t)got, at = 0;
  if (s->phase == AWAITING_HEAD && (at = head_end(buffer, count)) > 0) {
    take_head(s, buffer, at);
    kept = at;
  }
  if (s->phase == OPEN) {
    if (s->is_chunked) count = kept + without_chunks(&s->chunks, buffer + kept, count - kept);
    at += is_websocket ? take_frames(s, buffer + at, count - at) : take_lines(s, buffer + at, count - at);
    if (s->chunks.is_last) shut(s);
  }
  s->kept_count = (uint32_t)(count - at);
  if (s->kept_count > s->kept_room) {
    s->kept_room = s->kept_count < 4096 ? 4096 : s->kept_count;
    s->kept = realloc(s->kept, s->kept_room);
  }
  if (s->kept_count > 0) memcpy(s->kept, buffer + at, s->kept_count);
  return true;
}

// -- posts ---------------------------------------------------------------------------------------------------------

static void make_request(int port, const char *path, const char *body_path) {
  size_t length;
  char *body = file_contents(body_path, &length);
  request = malloc(length + 1024);
  request_count = (size_t)sprintf(
      request,
      "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", path,
      port, length);
  memcpy(request + request_count, body, length);
  char *stamp = memmem(request + request_count, length, STAMP, STAMP_BYTES);
  if (!stamp) die("no place for a stamp in %s", body_path);
  stamp_at = (size_t)(stamp - request) + STAMP_BYTES;
  request_count += length;
}

static void send_post(struct poster *p, uint64_t stamp) {
  if (post_count == post_room) {
    post_room = post_room ? post_room * 2 : 1 << 16;
    posts = realloc(posts, post_room * sizeof *posts);
  }
  posts[post_count] = (struct post){.sent = stamp};
  char digits[DIGITS + 1];
  snprintf(digits, sizeof digits, "%016llx%08x", (unsigned long long)stamp, (unsigned)post_count);
  memcpy(request + stamp_at, digits, DIGITS);
  post_count++;
  p->is_busy = true;
  p->sent = stamp;
  send_whole(p->file, request, request_count);
}

static void take_answer(struct poster *p) {
  const char *body;
  int status = receive_answer(p->file, &p->answer, &body);
  if (status == 0) return;
  if (status / 100 != 2) die("a post was answered %d: %s", status, body);
  p->is_busy = false;
  if (is_measured) add_duration(&answers, now_ns() - p->sent);
}

static struct poster *free_poster(void) {
  for (int n = 0; n < poster_count; n++)
    if (!posters[n].is_busy) return &posters[n];
  return NULL;
}

static bool all_answered(void) {
  for (int n = 0; n < poster_count; n++)
    if (posters[n].is_busy) return false;
  return true;
}

// -- the loop ------------------------------------------------------------------------------------------------------

/// Waits for what is ready, until `until` at the latest, and takes it.
static void turn(uint64_t until) {
  struct epoll_event events[EVENTS_MAX];
  uint64_t now = now_ns(), left = until > now ? until - now : 0;
  struct timespec wait = {.tv_sec = (time_t)(left / SECOND), .tv_nsec = (long)(left % SECOND)};
  int ready = epoll_pwait2(poller, events, EVENTS_MAX, &wait, NULL);
  if (ready < 0 && errno != EINTR) die("epoll_pwait2");
  for (int n = 0; n < ready; n++) {
    uint32_t number = events[n].data.u32;
    if (number >= (uint32_t)total) take_answer(&posters[number - (uint32_t)total]);
    else pull(&subscribers[number], BUFFER_BYTES);
  }
}

static void open_all(int port, const char *path, int contexts, int slow, int slow_bytes) {
  char filled[1024], head[2048];
  for (int n = 0; n < total; n++) {
    struct subscriber *s = &subscribers[n];
    s->file = dial(port, n < slow ? slow_bytes : 0);
    snprintf(filled, sizeof filled, path, n % contexts);
    size_t length = is_websocket
        ? websocket_request(head, sizeof head, filled)
        : (size_t)snprintf(
              head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", filled);
    send_whole(s->file, head, length);
    watch(poller, s->file, (uint32_t)n);
    opening++;
    uint64_t deadline = now_ns() + DRAIN;
    while (opening > (n + 1 < total ? OPENING_MAX : 0)) {
      if (now_ns() > deadline) die("a stream did not open");
      turn(now_ns() + SECOND);
    }
  }
}

/// Posts until every subscriber has received something: only then all of them are live.
static void barrier(void) {
  first_counted = SIZE_MAX;
  for (int tries = 0; live < total; tries++) {
    if (tries == BARRIER_TRIES) die("%d of %d subscribers received nothing", total - live, total);
    struct poster *p = free_poster();
    if (p) send_post(p, now_ns());
    for (uint64_t end = now_ns() + SECOND / 2; live < total && now_ns() < end;) turn(end);
  }
  for (uint64_t end = now_ns() + SECOND / 2; now_ns() < end || !all_answered();) turn(end);
}

/// Reads a byte of each that drips; returns when the next one is due.
static uint64_t drip(int first, int count, uint64_t due) {
  uint64_t now = now_ns();
  if (count == 0 || now < due) return count == 0 ? UINT64_MAX : due;
  for (int n = first; n < first + count; n++)
    if (subscribers[n].phase == OPEN) pull(&subscribers[n], 1);
  return now + SECOND;
}

static void run(double seconds, double rate, int window, int stopped, int drips) {
  deliveries = doubled = bytes_read = complete = 0;
  first_counted = post_count;
  uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), due = start, dripped = start;
  uint64_t interval = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
  bool was_late = false;
  while (true) {
    uint64_t now = now_ns();
    size_t sent = post_count - first_counted;
    if (now >= end && ((complete == sent && all_answered()) || now > end + DRAIN)) return;
    if (now < end && interval > 0) {
      for (struct poster *p; now >= due; due += interval) {
        if (!(p = free_poster())) {
          was_late = true;
          break;
        }
        // A post that waited for a connection counts from when it was due.
        send_post(p, was_late ? due : now_ns());
      }
      was_late = was_late && now >= due;
    } else if (now < end) {
      for (struct poster *p; post_count - first_counted < complete + (size_t)window && (p = free_poster());)
        send_post(p, now_ns());
    }
    dripped = drip(stopped, drips, dripped);
    uint64_t until = now < end ? end : now + SECOND / 100;
    if (now < end && interval > 0 && !was_late && due < until) until = due;
    turn(dripped < until ? dripped : until);
  }
}

/// Reads on where it was slow, as far as there is something, to see whether they were told.
static void hear_slow(int slow, double seconds) {
  for (uint64_t end = now_ns() + (uint64_t)(seconds * 1e9); slow > 0 && now_ns() < end; usleep(1000))
    for (int n = 0; n < slow; n++)
      while (subscribers[n].phase == OPEN && pull(&subscribers[n], BUFFER_BYTES));
}

static void print_slow(int slow) {
  printf("\"slow\":[");
  for (int n = 0; n < slow; n++) {
    struct subscriber *s = &subscribers[n];
    printf(
        "%s{\"manner\":\"%s\",\"closed\":%s,\"reset\":%s,\"code\":%d,\"gaps\":%llu,\"received\":%llu}", n ? "," : "",
        s->manner == STOPPED ? "stopped" : "drips", s->phase == CLOSED ? "true" : "false", s->is_reset ? "true" : "false", s->close_code,
        (unsigned long long)s->gaps, (unsigned long long)s->received);
  }
  printf("],");
}

static void hold(double seconds) {
  for (uint64_t end = now_ns() + (uint64_t)(seconds * 1e9); now_ns() < end;) turn(end);
}

int main(int count, char **arguments) {
  program_name = "fanout", argument_count = count, argument_list = arguments;
  int port = (int)number_argument("port", 0), contexts = (int)number_argument("contexts", 1);
  int stopped = (int)number_argument("stopped", 0), drips = (int)number_argument("drips", 0), slow = stopped + drips;
  double seconds = number_argument("seconds", 5), held = number_argument("hold", 0);
  double rate = number_argument("rate", 0), warm = number_argument("warm", 1);
  int window = (int)number_argument("window", 16);
  total = (int)number_argument("subscribers", 100);
  poster_count = held > 0 ? 0 : (int)number_argument("posters", 4);
  is_websocket = strcmp(text_argument("kind", "ws"), "ws") == 0;
  if (total < 1 || slow >= total || poster_count > POSTERS_MAX || contexts < 1 || window < 1) die("arguments");
  several_files();
  poller = epoll_create1(EPOLL_CLOEXEC);
  subscribers = calloc((size_t)total, sizeof *subscribers);
  if (held > 0) mark("closed");
  open_all(port, text_argument("path", "/"), contexts, slow, (int)number_argument("slow_bytes", 4096));
  readers = total - slow;
  uint64_t began = 0;
  double own = 0;
  if (held > 0) {
    hold(number_argument("settle", 2));
    mark("begin");
    hold(held);
  } else {
    make_request(port, text_argument("publish", "/workunit"), text_argument("body", ""));
    for (int n = 0; n < poster_count; n++) watch(poller, posters[n].file = dial(port, 0), (uint32_t)(total + n));
    barrier();
    for (int n = 0; n < slow; n++) {
      subscribers[n].manner = n < stopped ? STOPPED : DRIPS;
      epoll_ctl(poller, EPOLL_CTL_DEL, subscribers[n].file, NULL);
    }
    if (warm > 0) run(warm, rate, window, stopped, drips);
    is_measured = true;
    mark("begin");
    own = own_processor_seconds(), began = now_ns();
    run(seconds, rate, window, stopped, drips);
  }
  double took = (double)(now_ns() - began) / 1e9;
  own = own_processor_seconds() - own;
  mark("end");
  is_measured = false;
  hear_slow(slow, number_argument("told", 3));
  size_t sent = post_count - first_counted;
  printf("{\"seconds\":%.6f,\"client_seconds\":%.3f,\"subscribers\":%d,\"posts\":%zu,\"complete\":%zu,", took, own, total,
         held > 0 ? 0 : sent, complete);
  print_durations("age", &ages);
  print_durations("last", &lasts);
  print_durations("answer", &answers);
  print_slow(slow);
  printf("\"deliveries\":%llu,\"missing\":%lld,\"doubled\":%llu,\"bytes\":%llu,\"pings\":%llu,\"closed_early\":%llu}\n",
         (unsigned long long)deliveries, held > 0 ? 0 : (long long)(sent * (size_t)readers) - (long long)(deliveries - doubled),
         (unsigned long long)doubled, (unsigned long long)bytes_read, (unsigned long long)pings,
         (unsigned long long)closed_early);
  return 0;
}
