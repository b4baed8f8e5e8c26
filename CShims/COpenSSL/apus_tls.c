#include "apus_tls.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

static int pipe_read(BIO *bio, char *target, size_t count, size_t *done) {
    apus_tls_pipe *pipe = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (pipe->in_count == 0) {
        BIO_set_retry_read(bio);
        *done = 0;
        return 0;
    }
    if (count > pipe->in_count) count = pipe->in_count;
    memcpy(target, pipe->in, count);
    pipe->in += count;
    pipe->in_count -= count;
    *done = count;
    return 1;
}

static int pipe_write(BIO *bio, const char *bytes, size_t count, size_t *done) {
    apus_tls_pipe *pipe = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *done = 0;
    if (count > pipe->out_max - pipe->out_count) return 0;
    if (pipe->out_count + count > pipe->out_capacity) {
        size_t capacity = pipe->out_capacity * 2;
        if (capacity < pipe->out_count + count) capacity = pipe->out_count + count;
        if (capacity < 4096) capacity = 4096;
        uint8_t *larger = realloc(pipe->out, capacity);
        if (larger == NULL) return 0;
        pipe->out = larger;
        pipe->out_capacity = capacity;
    }
    memcpy(pipe->out + pipe->out_count, bytes, count);
    pipe->out_count += count;
    *done = count;
    return 1;
}

static long pipe_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int pipe_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

// Made once and kept for the life of the process.
static BIO_METHOD *pipe_method(void) {
    static BIO_METHOD *shared;
    BIO_METHOD *method = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
    if (method != NULL) return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "apus pipe");
    if (method == NULL) return NULL;
    BIO_meth_set_read_ex(method, pipe_read);
    BIO_meth_set_write_ex(method, pipe_write);
    BIO_meth_set_ctrl(method, pipe_control);
    BIO_meth_set_create(method, pipe_create);
    BIO_METHOD *expected = NULL;
    if (!__atomic_compare_exchange_n(
            &shared, &expected, method, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        BIO_meth_free(method);
        return expected;
    }
    return method;
}

SSL *apus_tls_session(SSL_CTX *context, apus_tls_pipe *pipe) {
    BIO_METHOD *method = pipe_method();
    SSL *session = method == NULL ? NULL : SSL_new(context);
    if (session == NULL) return NULL;
    BIO *bio = BIO_new(method);
    if (bio == NULL) {
        SSL_free(session);
        return NULL;
    }
    BIO_set_data(bio, pipe);
    // One BIO for both directions: the session takes one reference.
    SSL_set_bio(session, bio, bio);
    return session;
}

int apus_tls_name(
    const GENERAL_NAMES *names, int index, const unsigned char **bytes, int *count) {
    int type;
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_EMAIL && type != GEN_DNS && type != GEN_URI && type != GEN_IPADD) return -1;
    *bytes = ASN1_STRING_get0_data(value);
    *count = ASN1_STRING_length(value);
    return type;
}

int apus_tls_start_mac(EVP_MAC_CTX *mac, const uint8_t *key, size_t count) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, count),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}
