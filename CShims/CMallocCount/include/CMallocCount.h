#pragma once
#include <stdint.h>

// Counts the heap allocations of a program that links this shim: it defines malloc and its kin in
// front of the C library's. For performance programs only.

/// Allocations and reallocations since the start, by all threads.
uint64_t CMallocCount_allocations(void);
