#pragma once
#include <stdbool.h>
#include <stdint.h>

// What performance programs count about themselves. A program that links this shim has malloc and
// its kin defined in front of the C library's, and reference counting in front of that of Swift's
// runtime, which must be a shared library. For performance programs only.

/// Counts of the calling thread since its start. Reallocations count as allocations; bytes are
/// those asked for. A retain of several references counts as so many.
typedef struct {
    uint64_t allocations;
    uint64_t bytes;
    uint64_t retains;
    uint64_t releases;
} CMallocCount_Counts;

CMallocCount_Counts CMallocCount_read(void);

/// False where something else stands in front of malloc: a sanitizer.
bool CMallocCount_countsAllocations(void);

/// Begins and ends counting the retains and releases that compiled code asks of Swift's runtime
/// (not those inside of the runtime's own library). Returns what was so before.
bool CMallocCount_countReferences(bool isOn);

/// Opens the processor's counter of instructions in user space, for the calling thread. -1 if this
/// machine has none or does not let us see it.
int CMallocCount_openInstructions(void);
/// Instructions so far; 0 with -1.
uint64_t CMallocCount_readInstructions(int counter);

/// Orders to callgrind, void outside of it: begin and end counting, and write what was counted
/// since the last time under this name.
bool CMallocCount_isUnderCallgrind(void);
void CMallocCount_startInstrumentation(void);
void CMallocCount_stopInstrumentation(void);
void CMallocCount_dump(const char *name);
