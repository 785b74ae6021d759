#pragma once
#include <stdint.h>

/// Allocations that the calling thread has made so far (malloc, calloc, realloc and the aligned ones).
/// 0 for ever under AddressSanitizer, which has an allocator of its own.
uint64_t testing_allocations(void);
/// 1 where `testing_allocations` counts.
int testing_counts_allocations(void);

/// Bytes that the allocation at `memory` takes.
uint64_t testing_allocated_bytes(const void *memory);

/// From now on io_uring_setup fails on the calling thread with `error` (a seccomp filter; it can't be
/// undone). Returns 0 or -errno.
int testing_block_io_uring(int error);
