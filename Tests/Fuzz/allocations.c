// How many bytes were allocated: AddressSanitizer tells of each allocation.
#include <sanitizer/allocator_interface.h>
#include <stddef.h>

static _Thread_local size_t allocated;

static void added(const volatile void *address, size_t count) {
    (void)address;
    allocated += count;
}

static void removed(const volatile void *address) { (void)address; }

/// All that this thread has allocated so far, in bytes.
size_t fuzz_allocated(void) {
    static int is_installed;
    if (!is_installed) is_installed = __sanitizer_install_malloc_and_free_hooks(added, removed);
    return allocated;
}
