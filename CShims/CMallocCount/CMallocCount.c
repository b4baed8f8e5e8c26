#include "CMallocCount.h"

#include <errno.h>
#include <stddef.h>

static _Thread_local CMallocCount_Counts counts;

CMallocCount_Counts CMallocCount_read(void) { return counts; }

void CMallocCount_noteReferences(uint64_t retains, uint64_t releases) {
    counts.retains += retains;
    counts.releases += releases;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

#ifdef HAS_SANITIZER

bool CMallocCount_countsAllocations(void) { return false; }

#else

bool CMallocCount_countsAllocations(void) { return true; }

// The C library's own entry points, exported by glibc for exactly this use.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void count(size_t size) {
    counts.allocations += 1;
    counts.bytes += size;
}

void *malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count(size);
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **place, size_t alignment, size_t size) {
    count(size);
    void *memory = __libc_memalign(alignment, size);
    if (!memory) return ENOMEM;
    *place = memory;
    return 0;
}

void free(void *memory) { __libc_free(memory); }

#endif
