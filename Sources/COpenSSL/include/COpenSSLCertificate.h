#pragma once
// The names that a certificate bears.

#include <stddef.h>
#include <stdint.h>

enum {
    ENGRAM_NAME_URI = 0,
    ENGRAM_NAME_DNS = 1,
    ENGRAM_NAME_EMAIL = 2,
    ENGRAM_NAME_COMMON = 3,
};

/// Calls `name` for each URI, DNS name and address among the certificate's alternative names (RFC 5280, section
/// 4.2.1.6), as its bytes are, and for each common name of its subject, in UTF-8.
/// - not_after: the moment at which it ends, in seconds since 1970; -1 for one that can't be told.
/// Returns 1, or 0 if `der` is no certificate, or has alternative names that can't be read.
int engram_certificate_names(const uint8_t *der, size_t count, void *tag,
                             void (*name)(void *tag, int kind, const uint8_t *bytes, size_t count), int64_t *not_after);
