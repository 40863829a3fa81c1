// Symbols that Debian's static libraries, built against glibc, expect and musl lacks; and what of zstd must not be linked.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "CGuest.h"

// The _chk forms are what _FORTIFY_SOURCE makes of printf's family. The libraries use them in paths that print for debugging: nothing is printed.
int __fprintf_chk(FILE *file, int flag, const char *format, ...) { return 0; }
int __snprintf_chk(char *text, size_t count, int flag, size_t size, const char *format, ...) {
    if (count) *text = 0;
    return 0;
}
int __vsnprintf_chk(char *text, size_t count, int flag, size_t size, const char *format, va_list arguments) {
    if (count) *text = 0;
    return 0;
}

// Formats of zstd before 0.8 (2016). No image ever used them, so their decoders, 84 KB that would parse untrusted bytes, stay out: Debian's library refers to
// them, these stand in, and every frame of theirs is an error. Unreachable besides: the agent looks at the magic number first.
#define GUEST_REFUSED ((size_t)-10 /* ZSTD_error_prefix_unknown */)
#define GUEST_LEGACY(version)                                                                                                     \
    size_t ZSTDv0##version##_decompress_usingDict(void) { return GUEST_REFUSED; }                                                 \
    size_t ZSTDv0##version##_getFrameParams(void) { return GUEST_REFUSED; }                                                       \
    void *ZSTDv0##version##_createDCtx(void) { return 0; }                                                                        \
    size_t ZSTDv0##version##_freeDCtx(void) { return 0; }                                                                         \
    void *ZBUFFv0##version##_createDCtx(void) { return 0; }                                                                       \
    size_t ZBUFFv0##version##_freeDCtx(void) { return 0; }                                                                        \
    size_t ZBUFFv0##version##_decompressInitDictionary(void) { return GUEST_REFUSED; }                                            \
    size_t ZBUFFv0##version##_decompressContinue(void) { return GUEST_REFUSED; }                                                  \
    void ZSTDv0##version##_findFrameSizeInfoLegacy(const void *s, size_t n, size_t *compressed, unsigned long long *bound) {      \
        *compressed = GUEST_REFUSED;                                                                                              \
        *bound = (unsigned long long)-2;                                                                                          \
    }
GUEST_LEGACY(5)
GUEST_LEGACY(6)
GUEST_LEGACY(7)

// The checksum of zlib's own format, which no layer has: `guest_inflate_init` takes gzip alone. Where it was called all the same, the data would be called wrong.
unsigned long adler32(unsigned long sum, const unsigned char *bytes, unsigned count) { return ~sum; }

// Nettle has SHA-256 in two forms and a dispatcher that drags in every cipher and asks CPUID before main. This dispatcher asks when it is told to.
void _nettle_sha256_compress_x86_64(uint32_t *state, const uint8_t *block, const uint32_t *constants);
void _nettle_sha256_compress_sha_ni(uint32_t *state, const uint8_t *block, const uint32_t *constants);

static void (*sha256_compress)(uint32_t *, const uint8_t *, const uint32_t *) = _nettle_sha256_compress_x86_64;

void _nettle_sha256_compress(uint32_t *state, const uint8_t *block, const uint32_t *constants) { sha256_compress(state, block, constants); }

struct cpuid { unsigned a, b, c, d; };

static struct cpuid cpuid(unsigned leaf) {
    struct cpuid found = {.a = leaf};
    __asm__ volatile("cpuid" : "+a"(found.a), "=b"(found.b), "+c"(found.c), "=d"(found.d));
    return found;
}

void guest_use_sha_extensions(void) {
    const unsigned ssse3_and_sse41 = 1u << 9 | 1u << 19, sha = 1u << 29;
    if (cpuid(0).a >= 7 && (cpuid(1).c & ssse3_and_sse41) == ssse3_and_sse41 && cpuid(7).b & sha) sha256_compress = _nettle_sha256_compress_sha_ni;
}

// Nettle's assertions; its own message would need all of printf.
_Noreturn void __assert_fail(const char *condition, const char *file, int line, const char *function) { __builtin_trap(); }

// Swift's hash tables want random seeds.
void arc4random_buf(void *bytes, size_t count) { getrandom(bytes, count, 0); }
