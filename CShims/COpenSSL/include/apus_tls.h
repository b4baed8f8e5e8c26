#ifndef APUS_TLS_H
#define APUS_TLS_H

// TLS without sockets: a BIO that reads from bytes at hand and writes into a growing buffer, and
// functions for the names of OpenSSL that are macros.

#include <stddef.h>
#include <stdint.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// Where the BIOs of one loop read and write; the loop sets `in` before each call.
typedef struct apus_tls_pipe {
    // Bytes not yet read.
    const uint8_t *in;
    size_t in_count;
    // Bytes written and not yet taken; grows up to `out_max`, beyond which writing fails.
    uint8_t *out;
    size_t out_count;
    size_t out_capacity;
    size_t out_max;
} apus_tls_pipe;

// A new session of `context` whose BIO uses `pipe`, or null.
SSL *apus_tls_session(SSL_CTX *context, apus_tls_pipe *pipe);

static inline void apus_tls_set_mode(SSL_CTX *context, long mode) {
    SSL_CTX_set_mode(context, mode);
}

static inline void apus_tls_disable_session_cache(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static inline int apus_tls_set_version_min(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version) == 1;
}

static inline int apus_tls_set_version_max(SSL_CTX *context, int version) {
    return SSL_CTX_set_max_proto_version(context, version) == 1;
}

static inline int apus_tls_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

static inline void apus_tls_set_chain_bytes_max(SSL_CTX *context, long count) {
    SSL_CTX_set_max_cert_list(context, count);
}

static inline void apus_tls_on_server_name(
    SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
    SSL_CTX_set_tlsext_servername_arg(context, argument);
}

static inline void apus_tls_on_ticket_key(
    SSL_CTX *context,
    int (*callback)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *,
                    int)) {
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, callback);
}

static inline int apus_tls_set_server_name(SSL *session, const char *name) {
    return SSL_set_tlsext_host_name(session, name) == 1;
}

static inline int apus_tls_error_reason(unsigned long error) { return ERR_GET_REASON(error); }
static inline int apus_tls_error_library(unsigned long error) { return ERR_GET_LIB(error); }

static inline BIO *apus_tls_memory(const void *bytes, int count) {
    return BIO_new_mem_buf(bytes, count);
}

static inline GENERAL_NAMES *apus_tls_alternative_names(const X509 *certificate) {
    return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}

static inline int apus_tls_name_count(const GENERAL_NAMES *names) {
    return sk_GENERAL_NAME_num(names);
}

// The type and the bytes of a name of type e-mail, DNS, URI or IP address; -1 for other types.
int apus_tls_name(
    const GENERAL_NAMES *names, int index, const unsigned char **bytes, int *count);

// Sets up HMAC-SHA256 for a ticket.
int apus_tls_start_mac(EVP_MAC_CTX *mac, const uint8_t *key, size_t count);

// RFC 2253, with characters beyond ASCII as they are.
static inline unsigned long apus_tls_name_form(void) {
    return XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
}

// Bytes of what was written to a memory BIO.
static inline long apus_tls_memory_contents(BIO *memory, char **bytes) {
    return BIO_get_mem_data(memory, bytes);
}

#endif
