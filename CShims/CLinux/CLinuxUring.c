#define _GNU_SOURCE
#include "CLinuxUring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static int give_buffers(struct apus_uring *uring) {
    size_t size = uring->buffer_count * sizeof(struct io_uring_buf);
    uring->buffers_size =
        (uint64_t)uring->buffer_count * (uring->headroom + uring->buffer_size);
    void *ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (ring == MAP_FAILED) return -errno;
    uring->buffers = ring;
    void *memory = mmap(
        NULL, uring->buffers_size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (memory == MAP_FAILED) return -errno;
    uring->memory = memory;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)uring->buffers, .ring_entries = uring->buffer_count};
    int result = io_uring_register_buf_ring(&uring->ring, &registration, 0);
    if (result < 0) return result;
    io_uring_buf_ring_init(uring->buffers);
    for (uint32_t index = 0; index < uring->buffer_count; index++)
        apus_uring_return_buffer(uring, index);
    return 0;
}

int apus_uring_open(
    struct apus_uring *uring, uint32_t entries, uint32_t completions,
    uint32_t buffer_count, uint32_t buffer_size, uint32_t headroom) {
    memset(uring, 0, sizeof *uring);
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER
            | IORING_SETUP_DEFER_TASKRUN,
        .cq_entries = completions};
    int result = io_uring_queue_init_params(entries, &uring->ring, &parameters);
    if (result < 0) return result;
    uring->buffer_count = buffer_count;
    uring->buffer_size = buffer_size;
    uring->headroom = headroom;
    result = give_buffers(uring);
    if (result < 0) apus_uring_close(uring);
    return result;
}

void apus_uring_close(struct apus_uring *uring) {
    io_uring_queue_exit(&uring->ring);
    if (uring->buffers)
        munmap(uring->buffers, uring->buffer_count * sizeof(struct io_uring_buf));
    if (uring->memory) munmap(uring->memory, uring->buffers_size);
    uring->buffers = NULL;
    uring->memory = NULL;
}

int apus_uring_wait(struct apus_uring *uring, int64_t nanoseconds) {
    int result;
    if (nanoseconds == 0) {
        result = io_uring_submit_and_get_events(&uring->ring);
    } else if (nanoseconds < 0) {
        result = io_uring_submit_and_wait(&uring->ring, 1);
    } else {
        struct __kernel_timespec time = {
            .tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
        struct io_uring_cqe *entry;
        result = io_uring_submit_and_wait_timeout(&uring->ring, &entry, 1, &time, NULL);
    }
    return result < 0 ? result : 0;
}

int apus_uring_submit(struct apus_uring *uring) {
    int result = io_uring_submit(&uring->ring);
    return result < 0 ? result : 0;
}
