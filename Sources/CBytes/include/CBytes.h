#pragma once
#include <stddef.h>
#include <stdint.h>

/// CRC32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continuing from `crc` (0 to begin).
uint32_t engram_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same, while copying the bytes from `source` to `destination` (no overlap): one pass over the memory.
uint32_t engram_crc32c_copy(uint32_t crc, void *destination, const void *source, size_t length);

#include "ByteScan.h"
#include "CBytesText.h"
#include "CBytesWebSocket.h"
