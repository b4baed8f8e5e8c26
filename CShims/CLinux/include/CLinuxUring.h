#ifndef APUS_CLINUX_URING_H
#define APUS_CLINUX_URING_H

// io_uring: ring set-up in the .c file; requests and completions as inline functions, because
// they run several times per turn. A request is a 64-byte entry; the caller makes sure, with
// apus_uring_room, that one is free.

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

// One ring with its provided receive buffers (group 0).
struct apus_uring {
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory;
    uint64_t buffers_size;
    uint32_t buffer_size;
    uint32_t buffer_count;
    // Bytes kept free in front of each buffer, for the caller.
    uint32_t headroom;
};

struct apus_completion {
    uint64_t token;
    int32_t result;
    uint32_t flags;
};

enum {
    APUS_URING_MORE = 1 << 1,
    APUS_URING_BUFFER = 1 << 0,
};

// Both return 0 or minus errno. `buffer_count` is a power of two.
int apus_uring_open(
    struct apus_uring *uring, uint32_t entries, uint32_t completions,
    uint32_t buffer_count, uint32_t buffer_size, uint32_t headroom);
void apus_uring_close(struct apus_uring *uring);

// Submits what was prepared and waits for a completion, at most `nanoseconds` (negative: for
// ever; zero: only collects what is there). Returns 0 or minus errno.
int apus_uring_wait(struct apus_uring *uring, int64_t nanoseconds);

// Makes room for one more request, submitting the prepared ones if the queue is full.
int apus_uring_submit(struct apus_uring *uring);

static inline bool apus_uring_room(struct apus_uring *uring) {
    return io_uring_sq_space_left(&uring->ring) > 0;
}

static inline bool apus_uring_next(struct apus_uring *uring, struct apus_completion *out) {
    struct io_uring *ring = &uring->ring;
    unsigned head = *ring->cq.khead;
    if (head == io_uring_smp_load_acquire(ring->cq.ktail)) return false;
    struct io_uring_cqe *entry = &ring->cq.cqes[head & *ring->cq.kring_mask];
    out->token = entry->user_data;
    out->result = entry->res;
    out->flags = entry->flags;
    io_uring_smp_store_release(ring->cq.khead, head + 1);
    return true;
}

static inline bool apus_uring_has_completion(struct apus_uring *uring) {
    struct io_uring *ring = &uring->ring;
    return *ring->cq.khead != io_uring_smp_load_acquire(ring->cq.ktail);
}

static inline uint32_t apus_uring_buffer_of(uint32_t flags) {
    return flags >> IORING_CQE_BUFFER_SHIFT;
}

static inline uint8_t *apus_uring_buffer(struct apus_uring *uring, uint32_t index) {
    return uring->memory + (uint64_t)index * (uring->headroom + uring->buffer_size)
        + uring->headroom;
}

static inline void apus_uring_return_buffer(struct apus_uring *uring, uint32_t index) {
    io_uring_buf_ring_add(
        uring->buffers, apus_uring_buffer(uring, index), uring->buffer_size,
        (unsigned short)index, io_uring_buf_ring_mask(uring->buffer_count), 0);
    io_uring_buf_ring_advance(uring->buffers, 1);
}

static inline void apus_uring_accept(struct apus_uring *uring, int listener, uint64_t token) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    entry->user_data = token;
}

static inline void apus_uring_receive(struct apus_uring *uring, int descriptor, uint64_t token) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    io_uring_prep_recv(entry, descriptor, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = 0;
    entry->ioprio |= IORING_RECV_MULTISHOT;
    entry->user_data = token;
}

static inline void apus_uring_send(
    struct apus_uring *uring, int descriptor, const void *bytes, uint32_t count,
    uint64_t token) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    io_uring_prep_send(entry, descriptor, bytes, count, MSG_NOSIGNAL);
    entry->user_data = token;
}

// `message` and its vector must stay until the request is submitted.
static inline void apus_uring_send_vector(
    struct apus_uring *uring, int descriptor, const struct msghdr *message, uint64_t token) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    io_uring_prep_sendmsg(entry, descriptor, message, MSG_NOSIGNAL);
    entry->user_data = token;
}

static inline void apus_uring_poll(struct apus_uring *uring, int descriptor, uint64_t token) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    io_uring_prep_poll_multishot(entry, descriptor, 0x001);
    entry->user_data = token;
}

// Completes once, when the socket can be written or has failed.
static inline void apus_uring_poll_writable(
    struct apus_uring *uring, int descriptor, uint64_t token) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    io_uring_prep_poll_add(entry, descriptor, 0x004);
    entry->user_data = token;
}

// Cancels the request that bears `target` as its token.
static inline void apus_uring_cancel(
    struct apus_uring *uring, uint64_t target, uint64_t token) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    io_uring_prep_cancel64(entry, target, 0);
    entry->user_data = token;
}

// Cancels every request on a descriptor.
static inline void apus_uring_cancel_all(
    struct apus_uring *uring, int descriptor, uint64_t token) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    io_uring_prep_cancel_fd(entry, descriptor, IORING_ASYNC_CANCEL_ALL);
    entry->user_data = token;
}

#endif
