#pragma once
// What the event loop needs of liburing 2.3 and of Linux, in a form that Swift imports: inline functions
// instead of macros and of flags that are no plain numbers, and the constants that are newer than Debian's
// header.
//
// <features.h> comes first, with what Swift's own module of libc was built with: liburing.h asks for other
// features, and Swift refuses two shapes of the same struct (fd_set).
#include <features.h>
#include <sys/types.h>
#include <liburing.h>
#include <stdint.h>
#include <sys/eventfd.h>

// Newer than liburing 2.3.
#ifndef IORING_FEAT_REG_REG_RING
#define IORING_FEAT_REG_REG_RING (1U << 13)
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif
#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15)
#endif

// O_DIRECT by the name that needs no _GNU_SOURCE.
static const int32_t engram_open_direct = __O_DIRECT;

/// The completion as it was, copied out of the ring: tag, result and flags stay together.
struct engram_completion {
  uint64_t tag;
  int32_t result;
  uint32_t flags;
};

/// Sets a ring up, with the submission array mapped one to one once and for all. Returns 0 or -errno.
int engram_ring_init(struct io_uring *ring, unsigned entries, struct io_uring_params *params);

/// Fills `supported` (256 bytes) with 1 for each operation that the kernel has. Returns 0 or -errno.
int engram_ring_probe(struct io_uring *ring, uint8_t *supported);

/// Makes the calling thread the issuer of a ring that was set up disabled (io_uring_enable_rings, which
/// liburing 2.3 declares but forgot to export). Returns 0 or -errno.
int engram_ring_enable(struct io_uring *ring);

/// Names the calling thread (at most 15 characters are kept).
void engram_name_thread(const char *name);

/// Keeps the kernel's pool of helper threads for one ring small. Returns 0 or -errno.
int engram_ring_limit_workers(struct io_uring *ring, unsigned bounded, unsigned unbounded);

/// Puts one buffer into a sparse table of registered buffers. Returns 0 or -errno.
int engram_ring_register_buffer(struct io_uring *ring, unsigned index, void *base, size_t length);

/// A seccomp-free look at why the kernel says no: the value of kernel.io_uring_disabled, or -1.
int engram_io_uring_disabled(void);

/// pwritev2 of one run with RWF_DSYNC. Returns bytes or -errno.
ssize_t engram_write_durably(int file, const void *base, size_t length, off_t offset);

extern _Thread_local void *engram_thread_loop;
static inline void *engram_current_loop(void) { return engram_thread_loop; }
static inline void engram_set_current_loop(void *loop) { engram_thread_loop = loop; }

// Time that this thread was not let run (SIGSTOP, a suspended machine): a loop finds it out and adds it here.
extern _Thread_local uint64_t engram_thread_lost_ns;
static inline void engram_lose_time(uint64_t ns) { engram_thread_lost_ns += ns; }

// CLOCK_MONOTONIC without the time that the thread has lost.
static inline uint64_t engram_monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - engram_thread_lost_ns;
}

// Waits on a semaphore (`sem_t *`) for at most so long by CLOCK_MONOTONIC, which nobody sets: sem_clockwait(3), glibc
// 2.30. Returns 0 or the error number.
int engram_semaphore_wait(void *semaphore, uint64_t ns);

// ---- Submission and completion ----

static inline unsigned engram_ring_publish(struct io_uring *ring) {
  struct io_uring_sq *sq = &ring->sq;
  if (sq->sqe_head != sq->sqe_tail) {
    sq->sqe_head = sq->sqe_tail;
    io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
  }
  // From the kernel's head, so that what an earlier short submission left over goes now.
  return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

#define ENGRAM_RING_IS_REGISTERED 1  // liburing's INT_FLAG_REG_RING

static inline unsigned engram_enter_flags(const struct io_uring *ring) {
  return (ring->int_flags & ENGRAM_RING_IS_REGISTERED) ? IORING_ENTER_REGISTERED_RING : 0;
}

/// The one system call of a turn: submits what is prepared, runs deferred completions, and waits until there
/// is one completion or `timeout_ns` have passed (UINT64_MAX: no limit; 0: no waiting). Returns the number
/// submitted or -errno (-ETIME when only the time passed).
///
/// Waits for `wanted` completions, but for no more than one once `gather_us` have passed (0: `wanted` is 1): needs
/// IORING_FEAT_MIN_TIMEOUT.
static inline int engram_ring_enter(struct io_uring *ring, uint64_t timeout_ns, unsigned wanted,
                                    unsigned gather_us) {
  unsigned ready = engram_ring_publish(ring);
  unsigned flags = engram_enter_flags(ring) | IORING_ENTER_GETEVENTS;
  if (timeout_ns == 0) return io_uring_enter2(ring->enter_ring_fd, ready, 0, flags, NULL, 8);
  if (timeout_ns == UINT64_MAX && gather_us == 0)
    return io_uring_enter2(ring->enter_ring_fd, ready, 1, flags, NULL, 8);
  struct __kernel_timespec wait = {.tv_sec = (int64_t)(timeout_ns / 1000000000u),
                                   .tv_nsec = (int64_t)(timeout_ns % 1000000000u)};
  struct io_uring_getevents_arg argument = {.sigmask_sz = 8};
  if (timeout_ns != UINT64_MAX) argument.ts = (uint64_t)(uintptr_t)&wait;
  argument.pad = gather_us;  // min_wait_usec since 6.12
  return io_uring_enter2(ring->enter_ring_fd, ready, wanted, flags | IORING_ENTER_EXT_ARG, (sigset_t *)&argument,
                         sizeof argument);
}

/// Submits what is prepared and nothing else (the submission queue was full). Returns the number or -errno.
static inline int engram_ring_submit(struct io_uring *ring) {
  unsigned ready = engram_ring_publish(ring);
  return io_uring_enter2(ring->enter_ring_fd, ready, 0, engram_enter_flags(ring), NULL, 8);
}

/// Copies at most `room` completions out and frees their places in the ring before anyone acts on them.
static inline unsigned engram_ring_reap(struct io_uring *ring, struct engram_completion *out, unsigned room) {
  unsigned head = *ring->cq.khead;
  unsigned ready = io_uring_smp_load_acquire(ring->cq.ktail) - head;
  if (ready > room) ready = room;
  for (unsigned n = 0; n < ready; n++) {
    const struct io_uring_cqe *from = &ring->cq.cqes[(head + n) & ring->cq.ring_mask];
    out[n].tag = from->user_data;
    out[n].result = from->res;
    out[n].flags = from->flags;
  }
  if (ready) io_uring_smp_store_release(ring->cq.khead, head + ready);
  return ready;
}

// ---- One operation each ----

static inline void engram_prep_read(struct io_uring_sqe *s, int file, void *base, unsigned length,
                                    uint64_t offset, uint64_t tag) {
  io_uring_prep_read(s, file, base, length, offset);
  s->user_data = tag;
}

static inline void engram_prep_accept(struct io_uring_sqe *s, int listener, uint64_t tag) {
  // Not SOCK_NONBLOCK: on such a file the kernel answers EAGAIN instead of waiting for readiness itself.
  io_uring_prep_multishot_accept(s, listener, NULL, NULL, SOCK_CLOEXEC);
  s->user_data = tag;
}

static inline void engram_prep_receive(struct io_uring_sqe *s, int socket, uint16_t group, bool poll_first,
                                       uint64_t tag) {
  io_uring_prep_recv_multishot(s, socket, NULL, 0, 0);
  s->flags |= IOSQE_BUFFER_SELECT;
  s->buf_group = group;
  if (poll_first) s->ioprio |= IORING_RECVSEND_POLL_FIRST;
  s->user_data = tag;
}

static inline void engram_prep_send(struct io_uring_sqe *s, int socket, const void *base, size_t length,
                                    uint64_t tag) {
  io_uring_prep_send(s, socket, base, length, MSG_NOSIGNAL);
  s->user_data = tag;
}

static inline void engram_prep_send_message(struct io_uring_sqe *s, int socket, const struct msghdr *message,
                                            uint64_t tag) {
  io_uring_prep_sendmsg(s, socket, message, MSG_NOSIGNAL);
  s->user_data = tag;
}

static inline void engram_prep_cancel_descriptor(struct io_uring_sqe *s, int descriptor, uint64_t tag) {
  io_uring_prep_cancel_fd(s, descriptor, IORING_ASYNC_CANCEL_ALL);
  s->user_data = tag;
}

/// Cancels the operations of tag `victim`. Its own completion comes only when there was nothing to cancel.
static inline void engram_prep_cancel(struct io_uring_sqe *s, uint64_t victim, bool quiet, uint64_t tag) {
  io_uring_prep_cancel64(s, victim, IORING_ASYNC_CANCEL_ALL);
  if (quiet) s->flags |= IOSQE_CQE_SKIP_SUCCESS;
  s->user_data = tag;
}

static inline void engram_prep_close(struct io_uring_sqe *s, int descriptor, uint64_t tag) {
  io_uring_prep_close(s, descriptor);
  s->user_data = tag;
}

/// Posts a completion of tag `message` to another ring; one of our own only when that fails.
static inline void engram_prep_message(struct io_uring_sqe *s, int ring, uint64_t message, uint64_t tag) {
  io_uring_prep_msg_ring(s, ring, 0, message, 0);
  s->flags |= IOSQE_CQE_SKIP_SUCCESS;
  s->user_data = tag;
}

/// A write at `offset`; from the registered buffer `registration` where it is not negative; durable on
/// completion where `durable` says so.
static inline void engram_prep_write(struct io_uring_sqe *s, int file, const void *base, unsigned length,
                                     uint64_t offset, int registration, bool durable, uint64_t tag) {
  if (registration >= 0)
    io_uring_prep_write_fixed(s, file, base, length, offset, registration);
  else
    io_uring_prep_write(s, file, base, length, offset);
  if (durable) s->rw_flags = RWF_DSYNC;
  s->user_data = tag;
}

static inline void engram_prep_datasync(struct io_uring_sqe *s, int file, uint64_t tag) {
  io_uring_prep_fsync(s, file, IORING_FSYNC_DATASYNC);
  s->user_data = tag;
}

// ---- Provided buffers ----

static inline int engram_buffers_register(struct io_uring *ring, void *memory, uint32_t entries,
                                          uint16_t group) {
  struct io_uring_buf_reg registration = {
      .ring_addr = (uint64_t)(uintptr_t)memory, .ring_entries = entries, .bgid = group};
  io_uring_buf_ring_init((struct io_uring_buf_ring *)memory);
  return io_uring_register_buf_ring(ring, &registration, 0);
}

static inline void engram_buffers_add(void *memory, void *base, uint32_t length, uint16_t id,
                                      uint32_t entries) {
  struct io_uring_buf_ring *ring = (struct io_uring_buf_ring *)memory;
  io_uring_buf_ring_add(ring, base, length, id, io_uring_buf_ring_mask(entries), 0);
  io_uring_buf_ring_advance(ring, 1);
}
