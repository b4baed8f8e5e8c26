#define _GNU_SOURCE
#include "CMallocCount.h"

#include <dlfcn.h>
#include <stddef.h>

// Swift's reference counting, defined in front of the runtime's: every call that compiled code
// makes comes through here, those that the runtime's own library makes do not. (The hooks that the
// runtime has for being watched lose the mark of objects that live for ever, and crash on them.)

void CMallocCount_noteReferences(uint64_t retains, uint64_t releases);

static bool isCounting;

bool CMallocCount_countReferences(bool isOn) {
    bool wasOn = isCounting;
    isCounting = isOn;
    return wasOn;
}

// No object, or one that lives for ever: nothing is counted up or down.
static inline bool isObject(void *object) { return (intptr_t)object > 0; }

static inline void note(void *object, uint64_t retains, uint64_t releases) {
    if (__builtin_expect(isCounting, 0) && isObject(object))
        CMallocCount_noteReferences(retains, releases);
}

static void *find(const char *name) { return dlsym(RTLD_NEXT, name); }

// The runtime's function, found at the first call: libraries call before constructors run.
#define NEXT(type, name)                                   \
    static type next;                                      \
    if (__builtin_expect(!next, 0)) next = (type)find(name);

typedef void *(*Retain)(void *);
typedef void *(*RetainMany)(void *, uint32_t);
typedef void (*Release)(void *);
typedef void (*ReleaseMany)(void *, uint32_t);

void *swift_retain(void *object) {
    NEXT(Retain, "swift_retain");
    note(object, 1, 0);
    return next(object);
}

void *swift_retain_n(void *object, uint32_t number) {
    NEXT(RetainMany, "swift_retain_n");
    note(object, number, 0);
    return next(object, number);
}

void *swift_bridgeObjectRetain(void *object) {
    NEXT(Retain, "swift_bridgeObjectRetain");
    note(object, 1, 0);
    return next(object);
}

void *swift_bridgeObjectRetain_n(void *object, uint32_t number) {
    NEXT(RetainMany, "swift_bridgeObjectRetain_n");
    note(object, number, 0);
    return next(object, number);
}

void swift_release(void *object) {
    NEXT(Release, "swift_release");
    note(object, 0, 1);
    next(object);
}

void swift_release_n(void *object, uint32_t number) {
    NEXT(ReleaseMany, "swift_release_n");
    note(object, 0, number);
    next(object, number);
}

void swift_bridgeObjectRelease(void *object) {
    NEXT(Release, "swift_bridgeObjectRelease");
    note(object, 0, 1);
    next(object);
}

void swift_bridgeObjectRelease_n(void *object, uint32_t number) {
    NEXT(ReleaseMany, "swift_bridgeObjectRelease_n");
    note(object, 0, number);
    next(object, number);
}
