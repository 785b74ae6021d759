#include "CAccessTesting.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#define PRIVATE(key) ((EVP_PKEY *)(key))

test_key *test_key_rsa(int bits, int exponent) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    BIGNUM *e = BN_new();
    if (context && e && BN_set_word(e, (BN_ULONG)exponent) && EVP_PKEY_keygen_init(context) == 1 &&
        EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1 &&
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, e) == 1)
        EVP_PKEY_generate(context, &key);
    BN_free(e);
    EVP_PKEY_CTX_free(context);
    return (test_key *)key;
}

test_key *test_key_p256(void) { return (test_key *)EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"); }
test_key *test_key_p384(void) { return (test_key *)EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"); }
test_key *test_key_ed25519(void) { return (test_key *)EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); }
void test_key_free(test_key *key) { EVP_PKEY_free(PRIVATE(key)); }

size_t test_key_part(const test_key *key, char part, uint8_t *out, size_t room) {
    EVP_PKEY *pkey = PRIVATE(key);
    if (EVP_PKEY_is_a(pkey, "ED25519")) {
        size_t count = room;
        return part == 'x' && EVP_PKEY_get_raw_public_key(pkey, out, &count) == 1 ? count : 0;
    }
    const char *name = part == 'n'   ? OSSL_PKEY_PARAM_RSA_N
                       : part == 'e' ? OSSL_PKEY_PARAM_RSA_E
                       : part == 'x' ? OSSL_PKEY_PARAM_EC_PUB_X
                                     : OSSL_PKEY_PARAM_EC_PUB_Y;
    BIGNUM *value = NULL;
    if (EVP_PKEY_get_bn_param(pkey, name, &value) != 1) return 0;
    int width = BN_num_bytes(value);
    if (EVP_PKEY_is_a(pkey, "EC")) width = (EVP_PKEY_get_bits(pkey) + 7) / 8;
    int done = (size_t)width <= room ? BN_bn2binpad(value, out, width) : -1;
    BN_free(value);
    return done > 0 ? (size_t)done : 0;
}

size_t test_sign(test_key *key, int bits, int is_pss, const void *bytes, size_t count, uint8_t *out, size_t room) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *of_key = NULL;
    const char *digest = bits == 256 ? "SHA256" : bits == 384 ? "SHA384" : bits == 512 ? "SHA512" : NULL;
    size_t written = room;
    int done = context && EVP_DigestSignInit_ex(context, &of_key, digest, NULL, NULL, PRIVATE(key), NULL) == 1 &&
               (!is_pss || EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING) == 1) &&
               EVP_DigestSign(context, out, &written, bytes, count) == 1;
    EVP_MD_CTX_free(context);
    return done ? written : 0;
}

int test_raw_signature(const uint8_t *der, size_t count, size_t width, uint8_t *out) {
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)count);
    if (!pair) return 0;
    int done = BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, (int)width) > 0 &&
               BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + width, (int)width) > 0;
    ECDSA_SIG_free(pair);
    return done;
}

size_t test_key_pem(const test_key *key, uint8_t *out, size_t room) {
    BIO *memory = BIO_new(BIO_s_mem());
    size_t count = 0;
    if (memory && PEM_write_bio_PUBKEY(memory, PRIVATE(key)) == 1) {
        char *text = NULL;
        long length = BIO_get_mem_data(memory, &text);
        if (length > 0 && (size_t)length <= room) {
            memcpy(out, text, (size_t)length);
            count = (size_t)length;
        }
    }
    BIO_free(memory);
    return count;
}

size_t test_certificate(test_key *key, const char *alternative, const uint8_t *const *common, const size_t *counts,
                        size_t count, int64_t not_after, uint8_t *out, size_t room) {
    X509 *certificate = X509_new();
    size_t written = 0;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    ASN1_TIME_set(X509_getm_notBefore(certificate), 1);
    ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)not_after);
    X509_NAME *name = X509_get_subject_name(certificate);
    for (size_t n = 0; n < count; n++)
        X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING, common[n], (int)counts[n], -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, PRIVATE(key));
    int done = 1;
    if (alternative) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);
        done = extension && X509_add_ext(certificate, extension, -1) == 1;
        X509_EXTENSION_free(extension);
    }
    if (done && X509_sign(certificate, PRIVATE(key), EVP_sha256()) > 0) {
        int length = i2d_X509(certificate, NULL);
        if (length > 0 && (size_t)length <= room) {
            uint8_t *at = out;
            written = (size_t)i2d_X509(certificate, &at);
        }
    }
    X509_free(certificate);
    return written;
}

int test_replace(uint8_t *bytes, size_t count, const void *from, const void *to, size_t length) {
    uint8_t *found = NULL;
    for (size_t at = 0; at + length <= count; at++)
        if (memcmp(bytes + at, from, length) == 0) {
            if (found) return 0;
            found = bytes + at;
        }
    if (!found) return 0;
    memcpy(found, to, length);
    return 1;
}

__attribute__((noinline)) int test_equal_early(const uint8_t *one, const uint8_t *other, size_t count) {
    for (size_t n = 0; n < count; n++)
        if (*(const volatile uint8_t *)(one + n) != *(const volatile uint8_t *)(other + n)) return 0;
    return 1;
}
