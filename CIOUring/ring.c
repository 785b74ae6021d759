#include "CIOUring.h"
#include <semaphore.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

_Thread_local void *engram_thread_loop;
_Thread_local uint64_t engram_thread_lost_ns;

int engram_ring_init(struct io_uring *ring, unsigned entries, struct io_uring_params *params) {
  memset(ring, 0, sizeof *ring);
  int result = io_uring_queue_init_params(entries, ring, params);
  if (result < 0) return result;
  // We move the tail ourselves, so don't depend on which version of liburing fills this array, and when.
  for (unsigned n = 0; n < ring->sq.ring_entries; n++) ring->sq.array[n] = n;
  return 0;
}

int engram_ring_probe(struct io_uring *ring, uint8_t *supported) {
  enum { room = 256 };
  size_t bytes = sizeof(struct io_uring_probe) + room * sizeof(struct io_uring_probe_op);
  struct io_uring_probe *probe = calloc(1, bytes);
  if (!probe) return -ENOMEM;
  int result = io_uring_register_probe(ring, probe, room);
  if (result >= 0)
    for (unsigned n = 0; n < probe->ops_len; n++)
      if (probe->ops[n].flags & IO_URING_OP_SUPPORTED) supported[probe->ops[n].op] = 1;
  free(probe);
  return result < 0 ? result : 0;
}

int engram_ring_enable(struct io_uring *ring) {
  return io_uring_register(ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

void engram_name_thread(const char *name) {
  char kept[16] = {0};
  strncpy(kept, name, sizeof kept - 1);
  pthread_setname_np(pthread_self(), kept);
}

int engram_ring_limit_workers(struct io_uring *ring, unsigned bounded, unsigned unbounded) {
  unsigned limits[2] = {bounded, unbounded};
  return io_uring_register_iowq_max_workers(ring, limits);
}

int engram_ring_register_buffer(struct io_uring *ring, unsigned index, void *base, size_t length) {
  struct iovec run = {.iov_base = base, .iov_len = length};
  __u64 tag = 0;
  int result = io_uring_register_buffers_update_tag(ring, index, &run, &tag, 1);
  return result < 0 ? result : 0;
}

int engram_io_uring_disabled(void) {
  int file = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  char text[8] = {0};
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 && text[0] >= '0' && text[0] <= '9' ? text[0] - '0' : -1;
}

ssize_t engram_write_durably(int file, const void *base, size_t length, off_t offset) {
  struct iovec run = {.iov_base = (void *)base, .iov_len = length};
  ssize_t result = pwritev2(file, &run, 1, offset, RWF_DSYNC);
  return result < 0 ? -errno : result;
}

int engram_semaphore_wait(void *semaphore, uint64_t ns) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  uint64_t end = (uint64_t)until.tv_nsec + ns % 1000000000u;
  until.tv_sec += (time_t)(ns / 1000000000u + end / 1000000000u);
  until.tv_nsec = (long)(end % 1000000000u);
  return sem_clockwait((sem_t *)semaphore, CLOCK_MONOTONIC, &until) == 0 ? 0 : errno;
}
