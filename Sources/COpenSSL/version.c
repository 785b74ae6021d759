#include "COpenSSLVersion.h"

#include <openssl/crypto.h>

const char *engram_openssl_version(void) { return OpenSSL_version(OPENSSL_VERSION); }
