#pragma once
// Signs for tests: the other half of `COpenSSLKeys.h`, which only verifies.

#include <stddef.h>
#include <stdint.h>

/// A private key (`EVP_PKEY`).
typedef struct test_key test_key;

/// Makes a key: RSA with so many bits and the exponent 65537, or 3.
test_key *test_key_rsa(int bits, int exponent);
test_key *test_key_p256(void);
/// On P-384.
test_key *test_key_p384(void);
test_key *test_key_ed25519(void);
void test_key_free(test_key *key);

/// Writes a public number of the key, big-endian: `n` and `e` of RSA, `x` and `y` of a curve (of its width), `x` of
/// Ed25519. The bytes written, or 0.
size_t test_key_part(const test_key *key, char part, uint8_t *out, size_t room);

/// Signs with SHA-`bits` (0: as Ed25519 does). RSA: PKCS #1 v1.5, or PSS. ECDSA: DER. The bytes written, or 0.
size_t test_sign(test_key *key, int bits, int is_pss, const void *bytes, size_t count, uint8_t *out, size_t room);

/// Turns an ECDSA signature of DER into r and s of `width` bytes each. 1, or 0.
int test_raw_signature(const uint8_t *der, size_t count, size_t width, uint8_t *out);

/// The public key as PEM (`BEGIN PUBLIC KEY`). The bytes written, or 0.
size_t test_key_pem(const test_key *key, uint8_t *out, size_t room);

/// A self-signed certificate in DER for `key` with an `openssl`-style list of alternative names (may be NULL) and
/// common names of the subject (`count` of them, as bytes), valid until `not_after`. The bytes written, or 0.
size_t test_certificate(test_key *key, const char *alternative, const uint8_t *const *common, const size_t *counts,
                        size_t count, int64_t not_after, uint8_t *out, size_t room);

/// Replaces the only place of `from` in `bytes` by `to`, of equal length; for names that OpenSSL wouldn't write. 1 if
/// there was exactly one.
int test_replace(uint8_t *bytes, size_t count, const void *from, const void *to, size_t length);

/// Compares byte by byte and stops at the first that differs, as nothing that guards a secret may.
int test_equal_early(const uint8_t *one, const uint8_t *other, size_t count);
