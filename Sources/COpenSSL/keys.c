#include "COpenSSLKeys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

// Fetched once: looking an algorithm up by name costs more than a short digest.
static EVP_MD *sha256;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    ERR_clear_error();
}

static const EVP_MD *digest_sha256(void) {
    pthread_once(&fetched, fetch);
    return sha256;
}

static int done(int result) {
    if (result == 1) return 1;
    ERR_clear_error();
    return 0;
}

int engram_sha256(const void *bytes, size_t count, uint8_t *digest) {
    const EVP_MD *md = digest_sha256();
    return md != NULL && done(EVP_Digest(bytes, count, digest, NULL, md, NULL));
}

int engram_hmac_sha256(const void *key, size_t key_count, const void *bytes, size_t count, uint8_t *code) {
    const EVP_MD *md = digest_sha256();
    unsigned int length = 0;
    if (md == NULL || key_count > INT_MAX) return 0;
    return done(HMAC(md, key, (int)key_count, bytes, count, code, &length) != NULL && length == ENGRAM_SHA256_BYTES);
}

int engram_equal(const void *one, const void *other, size_t count) { return CRYPTO_memcmp(one, other, count) == 0; }

int engram_random(void *bytes, size_t count) {
    return count <= INT_MAX && done(RAND_bytes(bytes, (int)count));
}

// Keys

static EVP_PKEY *key_of(const char *type, OSSL_PARAM_BLD *builder) {
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (parameters == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}

// Takes the key: it comes back if it is sound.
static engram_key *checked(EVP_PKEY *key) {
    if (key != NULL) {
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (context == NULL || EVP_PKEY_public_check(context) != 1) {
            EVP_PKEY_free(key);
            key = NULL;
        }
        EVP_PKEY_CTX_free(context);
    }
    ERR_clear_error();
    return (engram_key *)key;
}

engram_key *engram_key_rsa(const void *modulus, size_t modulus_count, const void *exponent, size_t exponent_count) {
    if (modulus_count > INT_MAX || exponent_count > INT_MAX) return NULL;
    BIGNUM *n = BN_bin2bn(modulus, (int)modulus_count, NULL);
    BIGNUM *e = BN_bin2bn(exponent, (int)exponent_count, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (n != NULL && e != NULL && builder != NULL && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = key_of("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return checked(key);
}

engram_key *engram_key_p256(const uint8_t *x, const uint8_t *y) {
    uint8_t point[65];
    point[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(point + 1, x, 32);
    memcpy(point + 33, y, 32);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (builder != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        key = key_of("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return checked(key);
}

// The points of order 1, 2, 4 and 8 by their y, in every spelling below 2^255; the sign of x is left out.
static const uint8_t small_order[][32] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

engram_key *engram_key_ed25519(const uint8_t *point) {
    uint8_t y[32];
    memcpy(y, point, sizeof y);
    y[31] &= 0x7f;
    for (size_t n = 0; n < sizeof small_order / sizeof *small_order; n++)
        if (memcmp(y, small_order[n], sizeof y) == 0) return NULL;
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, point, 32);
    ERR_clear_error();
    return (engram_key *)key;
}

void engram_key_free(engram_key *key) { EVP_PKEY_free((EVP_PKEY *)key); }

int engram_key_bits(const engram_key *key) { return EVP_PKEY_get_bits((const EVP_PKEY *)key); }

// Signatures

static int verify(engram_key *key, const char *digest, int padding, const void *bytes, size_t count,
                  const uint8_t *signature, size_t signature_count) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *of_key = NULL;
    int result = context != NULL &&
                 EVP_DigestVerifyInit_ex(context, &of_key, digest, NULL, NULL, (EVP_PKEY *)key, NULL) == 1 &&
                 (padding == 0 || EVP_PKEY_CTX_set_rsa_padding(of_key, padding) == 1) &&
                 EVP_DigestVerify(context, signature, signature_count, bytes, count) == 1;
    EVP_MD_CTX_free(context);
    return done(result);
}

int engram_verify_rs256(engram_key *key, const void *bytes, size_t count, const uint8_t *signature,
                        size_t signature_count) {
    return verify(key, "SHA256", RSA_PKCS1_PADDING, bytes, count, signature, signature_count);
}

int engram_verify_es256(engram_key *key, const void *bytes, size_t count, const uint8_t *signature) {
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, 32, NULL);
    BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
    uint8_t *der = NULL;
    int length = -1;
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL;  // They are the pair's now.
        length = i2d_ECDSA_SIG(pair, &der);
    }
    int result = length > 0 && verify(key, "SHA256", 0, bytes, count, der, (size_t)length);
    OPENSSL_free(der);
    ECDSA_SIG_free(pair);
    BN_free(r);
    BN_free(s);
    return done(result);
}

int engram_verify_ed25519(engram_key *key, const void *bytes, size_t count, const uint8_t *signature) {
    return verify(key, NULL, 0, bytes, count, signature, 64);
}
