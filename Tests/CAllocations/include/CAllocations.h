#pragma once
#include <stdint.h>

/// Allocations that the calling thread has made so far: malloc, calloc, realloc and the aligned ones, from
/// Swift, C and C++ alike. A caller takes the difference around what it measures. Releases are not counted.
/// 0 for ever under AddressSanitizer and ThreadSanitizer, which have allocators of their own.
uint64_t testing_allocations(void);
/// 1 where `testing_allocations` counts.
int testing_counts_allocations(void);
