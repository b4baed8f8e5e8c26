#ifndef APUS_CLINUX_H
#define APUS_CLINUX_H

// What Swift cannot say about Linux: atomics on raw memory, io_uring's inline functions, macros.
// No decisions here. Hot functions are `static inline`: a function in a .c file is not inlined.

#include <stdint.h>
#include <stdatomic.h>
#include "CLinuxThreads.h"

static inline void apus_atomic_store_u32(uint32_t *target, uint32_t value) {
    atomic_store_explicit((_Atomic uint32_t *)target, value, memory_order_relaxed);
}

// Returns the value before the addition.
static inline uint32_t apus_atomic_add_u32(uint32_t *target, uint32_t value) {
    return atomic_fetch_add_explicit((_Atomic uint32_t *)target, value, memory_order_relaxed);
}

// Returns the value before the subtraction; releases and acquires, for reference counts.
static inline uint32_t apus_atomic_sub_u32(uint32_t *target, uint32_t value) {
    return atomic_fetch_sub_explicit((_Atomic uint32_t *)target, value, memory_order_acq_rel);
}

static inline uint64_t apus_atomic_load_acquire_u64(const uint64_t *target) {
    return atomic_load_explicit((const _Atomic uint64_t *)target, memory_order_acquire);
}

static inline uint64_t apus_atomic_load_relaxed_u64(const uint64_t *target) {
    return atomic_load_explicit((const _Atomic uint64_t *)target, memory_order_relaxed);
}

static inline void apus_atomic_store_release_u64(uint64_t *target, uint64_t value) {
    atomic_store_explicit((_Atomic uint64_t *)target, value, memory_order_release);
}

static inline void apus_atomic_store_relaxed_u64(uint64_t *target, uint64_t value) {
    atomic_store_explicit((_Atomic uint64_t *)target, value, memory_order_relaxed);
}

static inline void apus_atomic_fence(void) { atomic_thread_fence(memory_order_seq_cst); }

// The two sides of going to sleep: see LoopHandle in EventLoops. Sequentially consistent.
static inline uint32_t apus_atomic_exchange_u32(uint32_t *target, uint32_t value) {
    return atomic_exchange_explicit((_Atomic uint32_t *)target, value, memory_order_seq_cst);
}

static inline uint32_t apus_atomic_load_u32(const uint32_t *target) {
    return atomic_load_explicit((const _Atomic uint32_t *)target, memory_order_seq_cst);
}

static inline uint32_t apus_atomic_or_u32(uint32_t *target, uint32_t value) {
    return atomic_fetch_or_explicit((_Atomic uint32_t *)target, value, memory_order_seq_cst);
}

#include "CLinuxSystem.h"
#include "CLinuxUring.h"

#endif
