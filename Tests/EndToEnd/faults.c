// Preloaded into a server by the endurance tests: makes the store's file calls fail or take long, and turns the wall
// clock, as a control file says that both sides map. Everything else goes through.
//
// The log's writes go through io_uring, past any library: a real file system has to fail for those.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
  _Atomic int64_t error;          // errno for writes and syncs of files below db/; 0: none
  _Atomic int64_t delay_us;       // before each of them
  _Atomic int64_t clock_seconds;  // added to the wall clock
  _Atomic int64_t hits;           // calls that were failed or delayed
};

static struct control *shared(void) {
  static _Atomic(struct control *) mapped;
  struct control *found = atomic_load(&mapped);
  if (found) return found;
  static struct control none;
  const char *path = getenv("FAULTS_CONTROL");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  found = &none;
  if (file >= 0) {
    void *memory = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) found = memory;
    close(file);
  }
  atomic_store(&mapped, found);
  return found;
}

static int is_of_store(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t count = readlink(link, path, sizeof path - 1);
  if (count <= 0) return 0;
  path[count] = 0;
  return strstr(path, "/db/") != NULL;
}

// Returns the errno to fail with, or 0.
static int strike(int file) {
  struct control *control = shared();
  int64_t error = atomic_load(&control->error), delay = atomic_load(&control->delay_us);
  if ((error == 0 && delay == 0) || !is_of_store(file)) return 0;
  atomic_fetch_add(&control->hits, 1);
  if (delay > 0) usleep((useconds_t)delay);
  return (int)error;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define STRIKE(file) \
  do { int error = strike(file); if (error) { errno = error; return -1; } } while (0)

ssize_t pwrite(int file, const void *from, size_t count, off_t at) {
  REAL(pwrite);
  STRIKE(file);
  return real(file, from, count, at);
}

ssize_t pwrite64(int file, const void *from, size_t count, off64_t at) {
  REAL(pwrite64);
  STRIKE(file);
  return real(file, from, count, at);
}

ssize_t write(int file, const void *from, size_t count) {
  REAL(write);
  STRIKE(file);
  return real(file, from, count);
}

int fsync(int file) {
  REAL(fsync);
  STRIKE(file);
  return real(file);
}

int fdatasync(int file) {
  REAL(fdatasync);
  STRIKE(file);
  return real(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  REAL(clock_gettime);
  int result = real(clock, time);
  if (clock == CLOCK_REALTIME && result == 0) time->tv_sec += atomic_load(&shared()->clock_seconds);
  return result;
}

time_t time(time_t *into) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (into) *into = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *into, void *zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  into->tv_sec = now.tv_sec;
  into->tv_usec = now.tv_nsec / 1000;
  return 0;
}
