#include "COpenSSLCertificate.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

typedef void callback(void *tag, int kind, const uint8_t *bytes, size_t count);

static void tell(void *tag, callback *name, int kind, const ASN1_STRING *text) {
    const uint8_t *bytes = ASN1_STRING_get0_data(text);
    int count = ASN1_STRING_length(text);
    if (count >= 0) name(tag, kind, bytes, (size_t)count);
}

// 0 if there are alternative names that can't be read.
static int alternative(X509 *certificate, void *tag, callback *name) {
    int place = -1;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &place, NULL);
    // -1: there is no such extension. Anything else: it is malformed, or there twice.
    if (names == NULL) return place == -1;
    for (int n = 0; n < sk_GENERAL_NAME_num(names); n++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, n);
        switch (one->type) {
            case GEN_URI: tell(tag, name, ENGRAM_NAME_URI, one->d.uniformResourceIdentifier); break;
            case GEN_DNS: tell(tag, name, ENGRAM_NAME_DNS, one->d.dNSName); break;
            case GEN_EMAIL: tell(tag, name, ENGRAM_NAME_EMAIL, one->d.rfc822Name); break;
            default: break;
        }
    }
    GENERAL_NAMES_free(names);
    return 1;
}

static int common(X509 *certificate, void *tag, callback *name) {
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int place = -1;
    while ((place = X509_NAME_get_index_by_NID(subject, NID_commonName, place)) >= 0) {
        uint8_t *text = NULL;
        int count = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)));
        if (count < 0) return 0;
        name(tag, ENGRAM_NAME_COMMON, text, (size_t)count);
        OPENSSL_free(text);
    }
    return 1;
}

static int64_t end(X509 *certificate) {
    struct tm parts;
    return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) == 1 ? (int64_t)timegm(&parts) : -1;
}

int engram_certificate_names(const uint8_t *der, size_t count, void *tag, callback *name, int64_t *not_after) {
    if (count > LONG_MAX) return 0;
    const uint8_t *at = der;
    X509 *certificate = d2i_X509(NULL, &at, (long)count);
    int result = certificate != NULL && at == der + count && alternative(certificate, tag, name) &&
                 common(certificate, tag, name);
    *not_after = certificate != NULL ? end(certificate) : -1;
    X509_free(certificate);
    ERR_clear_error();
    return result;
}
