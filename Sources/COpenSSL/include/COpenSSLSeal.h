#pragma once
// AES-256-GCM (NIST SP 800-38D) over short messages: what a client is handed to bring back, without reading it.

#include <stddef.h>
#include <stdint.h>

#define ENGRAM_SEAL_KEY_BYTES 32
#define ENGRAM_SEAL_NONCE_BYTES 12
#define ENGRAM_SEAL_TAG_BYTES 16

/// Encrypts `count` bytes into as many at `out`, and writes the tag. A nonce is for one message of a key.
/// Returns 1, or 0 if the library fails.
int engram_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *bytes, size_t count, uint8_t *out,
                uint8_t *tag);

/// Decrypts `count` bytes into as many at `out`. Returns 1, or 0 if they are not what was sealed: then what is at `out`
/// means nothing.
int engram_unseal(const uint8_t *key, const uint8_t *nonce, const uint8_t *bytes, size_t count,
                  const uint8_t *tag, uint8_t *out);
