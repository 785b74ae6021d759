#pragma once
// What credentials are checked with: digests, public keys, signatures. Any thread. Nothing is left in OpenSSL's queue
// of errors, which the TLS of the same thread reads.

#include <stddef.h>
#include <stdint.h>

#define ENGRAM_SHA256_BYTES 32

/// A public key (`EVP_PKEY`). Never changed once made: several threads may verify with it at a time.
typedef struct engram_key engram_key;

/// Writes the SHA-256 of `count` bytes (FIPS 180-4). 1, or 0 where OpenSSL has no memory for it.
int engram_sha256(const void *bytes, size_t count, uint8_t *digest);

/// Writes the HMAC with SHA-256 (RFC 2104) of `count` bytes. 1, or 0 where OpenSSL has no memory for it.
int engram_hmac_sha256(const void *key, size_t key_count, const void *bytes, size_t count, uint8_t *code);

/// 1 if `count` bytes are the same, in a time that doesn't depend on which of them differ (`CRYPTO_memcmp`).
int engram_equal(const void *one, const void *other, size_t count);

/// Fills `count` bytes from the system's random source. 1, or 0 where that fails.
int engram_random(void *bytes, size_t count);

/// An RSA key of modulus and exponent, big-endian. NULL if that is no sound key (`EVP_PKEY_public_check`).
engram_key *engram_key_rsa(const void *modulus, size_t modulus_count, const void *exponent, size_t exponent_count);

/// A key on the curve P-256, of coordinates of 32 bytes. NULL if that is no point of the curve.
engram_key *engram_key_p256(const uint8_t *x, const uint8_t *y);

/// An Ed25519 key of 32 bytes. NULL for a point of small order: under it anybody signs anything.
engram_key *engram_key_ed25519(const uint8_t *point);

void engram_key_free(engram_key *key);

/// Bits of an RSA key's modulus.
int engram_key_bits(const engram_key *key);

/// 1 if the signature is right: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2).
int engram_verify_rs256(engram_key *key, const void *bytes, size_t count, const uint8_t *signature,
                        size_t signature_count);

/// 1 if the signature is right: ECDSA on P-256 with SHA-256, r and s of 32 bytes (RFC 7518, section 3.4).
int engram_verify_es256(engram_key *key, const void *bytes, size_t count, const uint8_t *signature);

/// 1 if the signature is right: Ed25519, 64 bytes (RFC 8032, section 5.1.7).
int engram_verify_ed25519(engram_key *key, const void *bytes, size_t count, const uint8_t *signature);
