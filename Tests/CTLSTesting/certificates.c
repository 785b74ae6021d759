#include "CTLSTesting.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct pair {
  X509 *certificate;
  EVP_PKEY *key;
};

static FILE *opened(const char *directory, const char *name, const char *ending) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s.%s", directory, name, ending);
  int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  return descriptor < 0 ? NULL : fdopen(descriptor, "w");
}

static bool write_pair(const char *directory, const char *name, struct pair pair) {
  FILE *certificate = opened(directory, name, "pem");
  FILE *key = opened(directory, name, "key");
  bool done = certificate && key && PEM_write_X509(certificate, pair.certificate) == 1 &&
              PEM_write_PrivateKey(key, pair.key, NULL, NULL, 0, NULL, NULL) == 1;
  if (certificate) fclose(certificate);
  if (key) fclose(key);
  return done;
}

static void add(X509 *certificate, X509 *issuer, int kind, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

/// A DNS name with a NUL, which no text can say.
static void add_nul(X509 *certificate) {
  ASN1_IA5STRING *text = ASN1_IA5STRING_new();
  ASN1_STRING_set(text, "good\0evil", 9);
  GENERAL_NAME *name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, GEN_DNS, text);
  GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
  sk_GENERAL_NAME_push(names, name);
  X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0);
  GENERAL_NAMES_free(names);
}

/// By `issuer`, or by itself: an authority then.
static struct pair made(const char *common, const char *names, const struct pair *issuer, long ends) {
  struct pair pair = {X509_new(), EVP_EC_gen("P-256")};
  X509 *certificate = pair.certificate;
  X509 *above = issuer ? issuer->certificate : certificate;
  uint32_t number = 0;
  RAND_bytes((unsigned char *)&number, sizeof number);
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), (uint64_t)number + 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate), ends);
  X509_set_pubkey(certificate, pair.key);
  X509_NAME_add_entry_by_txt(
      X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(above));
  add(certificate, above, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
  add(certificate, above, NID_subject_key_identifier, "hash");
  if (names && names[0] == 0) add_nul(certificate);
  if (names && names[0] != 0) add(certificate, above, NID_subject_alt_name, names);
  X509_sign(certificate, issuer ? issuer->key : pair.key, EVP_sha256());
  return pair;
}

static void release(struct pair pair) {
  X509_free(pair.certificate);
  EVP_PKEY_free(pair.key);
}

static const char every[] = "URI:urn:agent:anna,DNS:anna.example,email:anna@example.org";

bool testing_make_certificate(const char *directory, const char *name, long seconds) {
  char path[1024];
  struct pair authority = {NULL, NULL};
  snprintf(path, sizeof path, "%s/ca.pem", directory);
  FILE *certificate = fopen(path, "r");
  snprintf(path, sizeof path, "%s/ca.key", directory);
  FILE *key = fopen(path, "r");
  if (certificate) authority.certificate = PEM_read_X509(certificate, NULL, NULL, NULL);
  if (key) authority.key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
  bool done = authority.certificate && authority.key;
  if (done) {
    struct pair pair = made("anna", every, &authority, seconds);
    done = write_pair(directory, name, pair);
    release(pair);
  }
  release(authority);
  if (certificate) fclose(certificate);
  if (key) fclose(key);
  ERR_clear_error();
  return done;
}

bool testing_make_certificates(const char *directory) {
  static const char local[] = "DNS:localhost,IP:127.0.0.1";
  struct pair authority = made("Test Authority", NULL, NULL, 86400);
  struct pair foreign = made("Foreign Authority", NULL, NULL, 86400);
  struct {
    const char *file, *common, *names;
    const struct pair *issuer;
    long ends;
  } wanted[] = {
      {"server", "server", local, &authority, 86400},
      {"other", "other", local, &authority, 86400},
      {"client", "anna", every, &authority, 86400},
      {"expired", "anna", every, &authority, -3600},
      {"twins", "bert", "URI:urn:agent:one,URI:urn:agent:two", &authority, 86400},
      {"nul", "cora", "", &authority, 86400},
      {"foreign", "anna", every, &foreign, 86400},
  };
  bool done = write_pair(directory, "ca", authority) && write_pair(directory, "foreign-ca", foreign);
  for (size_t n = 0; n < sizeof wanted / sizeof wanted[0]; n += 1) {
    struct pair pair = made(wanted[n].common, wanted[n].names, wanted[n].issuer, wanted[n].ends);
    done = done && write_pair(directory, wanted[n].file, pair);
    if (n == 0) {
      FILE *locked = opened(directory, "locked", "key");
      done = done && locked &&
             PEM_write_PKCS8PrivateKey(locked, pair.key, EVP_aes_256_cbc(), "secret", 6, NULL, NULL) == 1;
      if (locked) fclose(locked);
    }
    release(pair);
  }
  release(authority);
  release(foreign);
  ERR_clear_error();
  return done;
}
