#include "CSearchPages.h"

#include <CBytesText.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

// Followed in memory by the file of the VFS below.
typedef struct {
  sqlite3_file base;
  // A page with its checksum, on its way to the file: SQLite's own stays as it is.
  unsigned char *page;
  int page_bytes;
} pages_file;

static sqlite3_vfs vfs;
static sqlite3_vfs *below;

static sqlite3_file *inner(sqlite3_file *file) { return (sqlite3_file *)((pages_file *)file + 1); }

// Whether it is a page: SQLite reads and writes nothing else of a database but parts of its header.
static int is_page(int bytes, sqlite3_int64 offset) {
  return bytes >= 512 && (bytes & (bytes - 1)) == 0 && offset % bytes == 0;
}

// Of a page's bytes, and of where it stands: a page that landed elsewhere is none.
static uint64_t checksum(const unsigned char *page, int bytes, sqlite3_int64 offset) {
  engram_digest digest = engram_hash_of(page, (size_t)(bytes - ENGRAM_PAGES_RESERVED), (uint64_t)offset);
  return digest.high;
}

static int pages_close(sqlite3_file *file) {
  sqlite3_free(((pages_file *)file)->page);
  ((pages_file *)file)->page = 0;
  return inner(file)->pMethods->xClose(inner(file));
}

static int pages_read(sqlite3_file *file, void *to, int bytes, sqlite3_int64 offset) {
  int code = inner(file)->pMethods->xRead(inner(file), to, bytes, offset);
  if (!is_page(bytes, offset)) return code;
  if (code == SQLITE_IOERR_SHORT_READ) {
    // A file of no bytes is a new one.
    sqlite3_int64 size = 0;
    int sized = inner(file)->pMethods->xFileSize(inner(file), &size);
    if (sized != SQLITE_OK) return sized;
    return size == 0 ? code : SQLITE_IOERR_DATA;
  }
  if (code != SQLITE_OK) return code;
  uint64_t found;
  memcpy(&found, (unsigned char *)to + bytes - ENGRAM_PAGES_RESERVED, sizeof found);
  return found == checksum(to, bytes, offset) ? SQLITE_OK : SQLITE_IOERR_DATA;
}

static int pages_write(sqlite3_file *file, const void *from, int bytes, sqlite3_int64 offset) {
  if (!is_page(bytes, offset)) return inner(file)->pMethods->xWrite(inner(file), from, bytes, offset);
  pages_file *pages = (pages_file *)file;
  if (pages->page_bytes != bytes) {
    unsigned char *page = sqlite3_realloc(pages->page, bytes);
    if (!page) return SQLITE_IOERR_NOMEM;
    pages->page = page;
    pages->page_bytes = bytes;
  }
  memcpy(pages->page, from, (size_t)(bytes - ENGRAM_PAGES_RESERVED));
  uint64_t sum = checksum(pages->page, bytes, offset);
  memcpy(pages->page + bytes - ENGRAM_PAGES_RESERVED, &sum, sizeof sum);
  return inner(file)->pMethods->xWrite(inner(file), pages->page, bytes, offset);
}

static int pages_truncate(sqlite3_file *f, sqlite3_int64 size) { return inner(f)->pMethods->xTruncate(inner(f), size); }
static int pages_sync(sqlite3_file *f, int flags) { return inner(f)->pMethods->xSync(inner(f), flags); }
static int pages_size(sqlite3_file *f, sqlite3_int64 *size) { return inner(f)->pMethods->xFileSize(inner(f), size); }
static int pages_lock(sqlite3_file *f, int lock) { return inner(f)->pMethods->xLock(inner(f), lock); }
static int pages_unlock(sqlite3_file *f, int lock) { return inner(f)->pMethods->xUnlock(inner(f), lock); }
static int pages_reserved(sqlite3_file *f, int *out) { return inner(f)->pMethods->xCheckReservedLock(inner(f), out); }
static int pages_control(sqlite3_file *f, int op, void *x) { return inner(f)->pMethods->xFileControl(inner(f), op, x); }
static int pages_sector(sqlite3_file *f) { return inner(f)->pMethods->xSectorSize(inner(f)); }
static int pages_device(sqlite3_file *f) { return inner(f)->pMethods->xDeviceCharacteristics(inner(f)); }
static int pages_map(sqlite3_file *f, int page, int bytes, int extend, void volatile **out) {
  return inner(f)->pMethods->xShmMap(inner(f), page, bytes, extend, out);
}
static int pages_shm_lock(sqlite3_file *f, int offset, int count, int flags) {
  return inner(f)->pMethods->xShmLock(inner(f), offset, count, flags);
}
static void pages_barrier(sqlite3_file *f) { inner(f)->pMethods->xShmBarrier(inner(f)); }
static int pages_unmap(sqlite3_file *f, int remove) { return inner(f)->pMethods->xShmUnmap(inner(f), remove); }

// Version 2: without xFetch, which would hand out pages of the file unread.
static const sqlite3_io_methods methods = {
    2,           pages_close,  pages_read,     pages_write,    pages_truncate, pages_sync,
    pages_size,  pages_lock,   pages_unlock,   pages_reserved, pages_control,  pages_sector,
    pages_device, pages_map,   pages_shm_lock, pages_barrier,  pages_unmap,    0,
    0,
};

static int pages_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out) {
  (void)self;
  if (!(flags & SQLITE_OPEN_MAIN_DB)) return below->xOpen(below, name, file, flags, out);
  pages_file *pages = (pages_file *)file;
  memset(pages, 0, sizeof *pages);
  int code = below->xOpen(below, name, inner(file), flags, out);
  if (code == SQLITE_OK && inner(file)->pMethods->iVersion < 2) {
    inner(file)->pMethods->xClose(inner(file));
    return SQLITE_CANTOPEN;
  }
  if (code == SQLITE_OK) pages->base.pMethods = &methods;
  return code;
}

static int registered;

static void register_once(void) {
  registered = sqlite3_initialize();
  if (registered != SQLITE_OK) return;
  below = sqlite3_vfs_find(0);
  if (!below) {
    registered = SQLITE_ERROR;
    return;
  }
  // All but xOpen is the VFS's below, which doesn't look at who asks.
  vfs = *below;
  vfs.zName = ENGRAM_PAGES_VFS;
  vfs.szOsFile = below->szOsFile + (int)sizeof(pages_file);
  vfs.pNext = 0;
  vfs.xOpen = pages_open;
  registered = sqlite3_vfs_register(&vfs, 0);
}

int engram_pages_register(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, register_once);
  return registered;
}

int engram_pages_reserve(sqlite3 *database) {
  int bytes = ENGRAM_PAGES_RESERVED;
  return sqlite3_file_control(database, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
}
