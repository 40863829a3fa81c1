// SHA-256 of Debian's libcrypto, the same code with which the guest checks layers: uses the processor's SHA instructions where it has them.
// The low-level functions, because EVP would link and start the whole provider machinery for one hash.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// Writes the 32 bytes of the SHA-256 of `count` bytes at `bytes`.
void cdigest_sha256(const void *bytes, size_t count, uint8_t *digest);
