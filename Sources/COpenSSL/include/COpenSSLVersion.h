#pragma once
// What OpenSSL says of itself: for the start-up line and for tests.

/// The library that is loaded, as in `OpenSSL 3.0.19 27 Jan 2026`. A constant of the library.
const char *engram_openssl_version(void);
