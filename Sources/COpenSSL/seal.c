#include "COpenSSLSeal.h"

#include <limits.h>
#include <openssl/evp.h>

int engram_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *bytes, size_t count, uint8_t *out,
                uint8_t *tag) {
  if (count > INT_MAX) return 0;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (!context) return 0;
  int written = 0, rest = 0;
  // The nonce has GCM's own length of 12 bytes.
  int done = EVP_EncryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) == 1 &&
             EVP_EncryptUpdate(context, out, &written, bytes, (int)count) == 1 &&
             EVP_EncryptFinal_ex(context, out + written, &rest) == 1 &&
             EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, ENGRAM_SEAL_TAG_BYTES, tag) == 1;
  EVP_CIPHER_CTX_free(context);
  return done;
}

int engram_unseal(const uint8_t *key, const uint8_t *nonce, const uint8_t *bytes, size_t count,
                  const uint8_t *tag, uint8_t *out) {
  if (count > INT_MAX) return 0;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (!context) return 0;
  int written = 0, rest = 0;
  int done = EVP_DecryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) == 1 &&
             EVP_DecryptUpdate(context, out, &written, bytes, (int)count) == 1 &&
             EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, ENGRAM_SEAL_TAG_BYTES, (void *)tag) == 1 &&
             EVP_DecryptFinal_ex(context, out + written, &rest) == 1;
  EVP_CIPHER_CTX_free(context);
  return done;
}
