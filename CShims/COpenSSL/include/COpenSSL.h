#ifndef APUS_COPENSSL_H
#define APUS_COPENSSL_H

// OpenSSL as Swift sees it: the headers, and functions for the names that are macros. No decisions.

#include <openssl/ssl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/kdf.h>
#include <openssl/hmac.h>
#include "apus_tls.h"

#endif
