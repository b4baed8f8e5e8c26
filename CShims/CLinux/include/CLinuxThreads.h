#ifndef APUS_CLINUX_THREADS_H
#define APUS_CLINUX_THREADS_H

// Locks, threads and files for the control plane, and the atomics that its counters need.

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <stdio.h>
#include <unistd.h>
#include <string.h>
#include <fcntl.h>
#include <errno.h>

// Returns the value before the addition.
static inline uint64_t apus_atomic_add_u64(uint64_t *target, uint64_t value) {
    return atomic_fetch_add_explicit((_Atomic uint64_t *)target, value, memory_order_relaxed);
}

// Returns the value before the subtraction.
static inline uint64_t apus_atomic_sub_u64(uint64_t *target, uint64_t value) {
    return atomic_fetch_sub_explicit((_Atomic uint64_t *)target, value, memory_order_relaxed);
}

// Stores `desired` if the value is `*expected`; otherwise writes the value there.
static inline bool apus_atomic_exchange_if_u64(
    uint64_t *target, uint64_t *expected, uint64_t desired) {
    return atomic_compare_exchange_strong_explicit(
        (_Atomic uint64_t *)target, expected, desired, memory_order_relaxed,
        memory_order_relaxed);
}

// `open` without its variable arguments.
static inline int apus_file_open(const char *path, int flags, unsigned mode) {
    return open(path, flags | O_CLOEXEC, mode);
}

// The error of the last call on this thread.
static inline int apus_file_error(void) { return errno; }

#endif
