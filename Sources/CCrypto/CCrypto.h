// SHA-256 of Debian's libcrypto, the low-level functions: the newer interface would initialise the whole library.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

static inline int ccrypto_sha256_begin(SHA256_CTX *context) { return SHA256_Init(context); }

static inline int ccrypto_sha256_add(SHA256_CTX *context, const void *bytes, size_t count) { return SHA256_Update(context, bytes, count); }

static inline int ccrypto_sha256_end(SHA256_CTX *context, unsigned char digest[SHA256_DIGEST_LENGTH]) {
    return SHA256_Final(digest, context);
}

static inline int ccrypto_sha256(const void *bytes, size_t count, unsigned char digest[SHA256_DIGEST_LENGTH]) {
    SHA256_CTX context;
    return SHA256_Init(&context) && SHA256_Update(&context, bytes, count) && SHA256_Final(digest, &context);
}
