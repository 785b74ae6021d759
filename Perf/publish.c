// Publishes over one WebSocket, so many at a time: each `ack` sends the next one.
//
//   publish port=N path=/stream body=FILE [window=64] [seconds=5] [warm=1]
//
// The body is that of `POST /workunit`. At its marks the runner looks at the server. The last line is JSON, in seconds.
#include "load.h"

enum { WINDOW_MAX = 1024, BUFFER_BYTES = 1 << 20, REF_DIGITS = 10 };
static const char BEFORE[] = "{\"type\":\"publish\",\"ref\":\"";
static const char BETWEEN[] = "\",\"work_unit\":";

static int file, window;
static char *message, *out;
static size_t message_count, out_count;
static uint64_t published, acknowledged, began[WINDOW_MAX];
static bool is_measured, is_under_way[WINDOW_MAX];
static struct durations took;

/// One of the `window` numbers goes out as a ref again only when its publish has been acknowledged.
static void add_publish(uint64_t slot) {
  char digits[REF_DIGITS + 1];
  snprintf(digits, sizeof digits, "%010llu", (unsigned long long)slot);
  memcpy(message + sizeof BEFORE - 1, digits, REF_DIGITS);
  out_count += masked_frame(out + out_count, 1, message, message_count);
  is_under_way[slot] = true;
  began[slot] = now_ns();
  published++;
}

static void take_message(const char *text, size_t count, bool goes_on) {
  if (!memmem(text, count, "\"type\":\"ack\"", 12)) {
    if (memmem(text, count, "\"type\":\"error\"", 14)) die("refused: %.*s", (int)count, text);
    return;
  }
  const char *ref = memmem(text, count, "\"ref\":\"", 7);
  if (!ref) die("an ack without ref: %.*s", (int)count, text);
  uint64_t slot = strtoull(ref + 7, NULL, 10);
  if (slot >= (uint64_t)window || !is_under_way[slot]) die("an ack that was not awaited: %.*s", (int)count, text);
  is_under_way[slot] = false;
  acknowledged++;
  if (is_measured) add_duration(&took, now_ns() - began[slot]);
  if (goes_on) add_publish(slot);
}

/// Receives once, and sends all that follows from it in one write.
static void turn(bool goes_on) {
  static char buffer[BUFFER_BYTES];
  static size_t kept;
  ssize_t got = recv(file, buffer + kept, sizeof buffer - kept, 0);
  if (got <= 0) die("the server closed the connection");
  size_t count = kept + (size_t)got, at = 0;
  struct frame f;
  while (next_frame(buffer + at, count - at, &f)) {
    if (f.opcode == 1) take_message(f.payload, f.length, goes_on);
    else if (f.opcode == 8) die("closed");
    else if (f.opcode == 9) out_count += masked_frame(out + out_count, 10, f.payload, f.length);
    at += f.whole;
  }
  kept = count - at;
  memmove(buffer, buffer + at, kept);
  send_whole(file, out, out_count);
  out_count = 0;
}

static void run(double seconds) {
  published = acknowledged = 0;
  for (int n = 0; n < window; n++) add_publish((uint64_t)n);
  send_whole(file, out, out_count);
  out_count = 0;
  uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
  while (acknowledged < published) turn(now_ns() < end);
}

static void upgrade(const char *path) {
  char head[HEAD_BYTES_MAX];
  send_whole(file, head, websocket_request(head, sizeof head, path));
  fcntl(file, F_SETFL, 0);  // one socket: from here on it may wait in recv
  size_t count = 0;
  while (head_end(head, count) == 0) {  // byte by byte: what follows are frames
    if (count == sizeof head || recv(file, head + count, 1, 0) != 1) die("no upgrade");
    count++;
  }
  check_upgraded(head, count);
}

int main(int count, char **arguments) {
  program_name = "publish", argument_count = count, argument_list = arguments;
  window = (int)number_argument("window", 64);
  if (window < 1 || window > WINDOW_MAX) die("window: 1 to %d", WINDOW_MAX);
  size_t length;
  char *body = file_contents(text_argument("body", ""), &length);
  message = malloc(length + 256);
  message_count = (size_t)sprintf(message, "%s%0*d%s%s}", BEFORE, REF_DIGITS, 0, BETWEEN, body);
  out = malloc((size_t)window * (message_count + 16) + BUFFER_BYTES);
  file = dial((int)number_argument("port", 0), 0);
  upgrade(text_argument("path", "/stream"));
  run(number_argument("warm", 1));
  mark("begin");
  is_measured = true;
  double own = own_processor_seconds();
  uint64_t start = now_ns();
  run(number_argument("seconds", 5));
  double seconds = (double)(now_ns() - start) / 1e9;
  own = own_processor_seconds() - own;
  mark("end");
  printf("{\"seconds\":%.6f,\"client_seconds\":%.3f,", seconds, own);
  print_durations("ack", &took);
  printf("\"published\":%llu}\n", (unsigned long long)acknowledged);
  return 0;
}
