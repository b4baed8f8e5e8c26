#ifndef APUS_CLINUX_SYSTEM_H
#define APUS_CLINUX_SYSTEM_H

// System calls as functions that return minus errno, so that nothing can come between a call and
// the reading of its errno. No decisions here.

#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

// One ready descriptor: what epoll_wait reports, without its packed union.
struct apus_ready {
    uint64_t token;
    uint32_t events;
};

enum {
    APUS_EPOLL_READ = 0x001,
    APUS_EPOLL_WRITE = 0x004,
    APUS_EPOLL_ERROR = 0x008,
    APUS_EPOLL_HANGUP = 0x010,
    APUS_EPOLL_READ_HANGUP = 0x2000,
};

int apus_epoll_create(void);
int apus_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token);
int apus_epoll_remove(int epoll, int descriptor);
// Waits at most `nanoseconds` (negative: for ever).
int apus_epoll_wait(int epoll, struct apus_ready *ready, int limit, int64_t nanoseconds);

int apus_eventfd(void);
int apus_eventfd_signal(int descriptor);
int apus_close(int descriptor);

// AF_INET, AF_INET6 or AF_UNIX; non-blocking, close on exec.
int apus_socket(int family);
int apus_bind(int descriptor, const struct sockaddr *address, uint32_t size);
int apus_listen(int descriptor, int backlog);
int apus_connect(int descriptor, const struct sockaddr *address, uint32_t size);
int apus_accept(int listener, struct sockaddr_storage *peer, uint32_t *size);
int apus_local_address(int descriptor, struct sockaddr_storage *address, uint32_t *size);
int apus_peer_address(int descriptor, struct sockaddr_storage *address, uint32_t *size);
int apus_set_option(int descriptor, int level, int name, int value);
int apus_socket_error(int descriptor);
int apus_shutdown_write(int descriptor);
int apus_duplicate(int descriptor);

long apus_receive(int descriptor, void *bytes, size_t count);
long apus_send(int descriptor, const void *bytes, size_t count);
long apus_send_vector(int descriptor, const struct iovec *parts, int count);

// Nanoseconds on the boot clock; nanoseconds since 1970; CPU nanoseconds of this thread.
uint64_t apus_boot_clock(void);
uint64_t apus_wall_clock(void);
uint64_t apus_thread_cpu_clock(void);

// Number of CPUs this thread may run on; the `position`-th of them; and pinning to one.
int apus_allowed_cpu_count(void);
int apus_allowed_cpu(int position);
int apus_pin_thread(int cpu);

// Starts a thread with all signals blocked, so that they reach the main thread. The handle is
// joined with apus_join_thread. Returns minus errno.
int apus_start_thread(void *(*body)(void *), void *argument, uint64_t *handle);
int apus_join_thread(uint64_t handle);

// TERM, INT and HUP are blocked for this thread and those it starts later; and the next of them
// that is sent to the process is taken, waiting for it.
int apus_block_signals(void);
int apus_next_signal(void);
// The same, or -EAGAIN after so many nanoseconds; -EINTR if another signal came in between.
int apus_next_signal_within(int64_t nanoseconds);
// Writing to a pipe or socket that nobody reads is an error of the call, no end of the process.
void apus_ignore_broken_pipes(void);

void apus_name_thread(const char *name);
uint64_t apus_thread_number(void);

// Gives freed memory back to the kernel, on a thread of its own; does nothing while one is at it.
void apus_trim_memory(void);

// Soft and hard limit of open descriptors; setting the soft one returns 0 or minus errno.
uint64_t apus_descriptor_limit(void);
uint64_t apus_descriptor_hard_limit(void);
int apus_set_descriptor_limit(uint64_t limit);

#endif
