#define _GNU_SOURCE
#include "CMallocCount.h"

#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define HAS_CALLGRIND 1
#endif
#endif

int CMallocCount_openInstructions(void) {
    struct perf_event_attr options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.type = PERF_TYPE_HARDWARE;
    options.config = PERF_COUNT_HW_INSTRUCTIONS;
    options.exclude_kernel = 1;
    options.exclude_hv = 1;
    return (int)syscall(SYS_perf_event_open, &options, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

uint64_t CMallocCount_readInstructions(int counter) {
    uint64_t value = 0;
    if (counter < 0 || read(counter, &value, sizeof value) != sizeof value) return 0;
    return value;
}

#ifdef HAS_CALLGRIND

bool CMallocCount_isUnderCallgrind(void) { return RUNNING_ON_VALGRIND != 0; }
void CMallocCount_startInstrumentation(void) { CALLGRIND_START_INSTRUMENTATION; }
void CMallocCount_stopInstrumentation(void) { CALLGRIND_STOP_INSTRUMENTATION; }
void CMallocCount_dump(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }

#else

bool CMallocCount_isUnderCallgrind(void) { return false; }
void CMallocCount_startInstrumentation(void) {}
void CMallocCount_stopInstrumentation(void) {}
void CMallocCount_dump(const char *name) { (void)name; }

#endif
