#include <malloc.h>

#include "CRocksExtras.h"

extern "C" int engram_keep_freed_memory(int mapped_from, int trimmed_from) {
  return mallopt(M_MMAP_THRESHOLD, mapped_from) == 1 && mallopt(M_TRIM_THRESHOLD, trimmed_from) == 1;
}
