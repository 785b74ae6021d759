// OpenSSL frees what it shares in an exit handler; a loop's thread that still runs then, as when the log has failed and the
// process ends at once, would use it afterwards. The process's end frees it too.
#include <openssl/crypto.h>

__attribute__((constructor)) static void engram_openssl_start(void) {
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}
