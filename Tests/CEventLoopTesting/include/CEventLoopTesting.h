#pragma once
#include <stdint.h>

// Allocations are counted by a target of its own, which the benchmarks share.
#include <CAllocations.h>

/// Bytes that the allocation at `memory` takes.
uint64_t testing_allocated_bytes(const void *memory);

/// From now on io_uring_setup fails on the calling thread with `error` (a seccomp filter; it can't be
/// undone). Returns 0 or -errno.
int testing_block_io_uring(int error);
