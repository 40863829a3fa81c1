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

// Run before main by crti.o's _init, had we linked it. OpenSSL puts its CPUID survey there; ours is asked for when there is something to hash.
void _init(void) {}
void _fini(void) {}

// Swift's hash tables want random seeds.
void arc4random_buf(void *bytes, size_t count) { getrandom(bytes, count, 0); }
