#define _GNU_SOURCE
#include "CLinuxSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline int checked(int result) { return result < 0 ? -errno : result; }

int apus_epoll_create(void) { return checked(epoll_create1(EPOLL_CLOEXEC)); }

int apus_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data = {.u64 = token}};
    return checked(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event));
}

int apus_epoll_remove(int epoll, int descriptor) {
    return checked(epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, NULL));
}

int apus_epoll_wait(int epoll, struct apus_ready *ready, int limit, int64_t nanoseconds) {
    struct epoll_event events[512];
    if (limit > 512) limit = 512;
    struct timespec time = {
        .tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = epoll_pwait2(epoll, events, limit, nanoseconds < 0 ? NULL : &time, NULL);
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
        // Kernels before 5.11, or a filter of system calls: whole milliseconds, rounded up.
        int64_t milliseconds = nanoseconds < 0 ? -1 : (nanoseconds + 999999) / 1000000;
        if (milliseconds > INT32_MAX) milliseconds = INT32_MAX;
        count = epoll_wait(epoll, events, limit, (int)milliseconds);
    }
    if (count < 0) return -errno;
    for (int index = 0; index < count; index++) {
        ready[index].token = events[index].data.u64;
        ready[index].events = events[index].events;
    }
    return count;
}

int apus_eventfd(void) { return checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

int apus_eventfd_signal(int descriptor) {
    uint64_t one = 1;
    return write(descriptor, &one, sizeof one) < 0 ? -errno : 0;
}

int apus_close(int descriptor) { return checked(close(descriptor)); }

int apus_socket(int family) {
    return checked(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int apus_bind(int descriptor, const struct sockaddr *address, uint32_t size) {
    return checked(bind(descriptor, address, size));
}

int apus_listen(int descriptor, int backlog) { return checked(listen(descriptor, backlog)); }

int apus_connect(int descriptor, const struct sockaddr *address, uint32_t size) {
    return checked(connect(descriptor, address, size));
}

int apus_accept(int listener, struct sockaddr_storage *peer, uint32_t *size) {
    *size = sizeof *peer;
    return checked(
        accept4(listener, (struct sockaddr *)peer, size, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int apus_local_address(int descriptor, struct sockaddr_storage *address, uint32_t *size) {
    *size = sizeof *address;
    return checked(getsockname(descriptor, (struct sockaddr *)address, size));
}

int apus_peer_address(int descriptor, struct sockaddr_storage *address, uint32_t *size) {
    *size = sizeof *address;
    return checked(getpeername(descriptor, (struct sockaddr *)address, size));
}

int apus_set_option(int descriptor, int level, int name, int value) {
    return checked(setsockopt(descriptor, level, name, &value, sizeof value));
}

int apus_socket_error(int descriptor) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return errno;
    return error;
}

int apus_shutdown_write(int descriptor) { return checked(shutdown(descriptor, SHUT_WR)); }

int apus_duplicate(int descriptor) { return checked(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); }

long apus_receive(int descriptor, void *bytes, size_t count) {
    long result = recv(descriptor, bytes, count, MSG_DONTWAIT);
    return result < 0 ? -errno : result;
}

long apus_send(int descriptor, const void *bytes, size_t count) {
    long result = send(descriptor, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return result < 0 ? -errno : result;
}

long apus_send_vector(int descriptor, const struct iovec *parts, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    long result = sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return result < 0 ? -errno : result;
}

static inline uint64_t read_clock(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t apus_boot_clock(void) { return read_clock(CLOCK_BOOTTIME); }
uint64_t apus_wall_clock(void) { return read_clock(CLOCK_REALTIME); }
uint64_t apus_thread_cpu_clock(void) { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

int apus_allowed_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
    return CPU_COUNT(&set);
}

int apus_allowed_cpu(int position) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0) return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set) && position-- == 0) return cpu;
    return -1;
}

int apus_pin_thread(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int apus_start_thread(void *(*body)(void *), void *argument, uint64_t *handle) {
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) *handle = (uint64_t)thread;
    return -error;
}

int apus_join_thread(uint64_t handle) { return -pthread_join((pthread_t)handle, NULL); }

int apus_block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int apus_next_signal(void) {
    sigset_t set;
    int number = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    int error = sigwait(&set, &number);
    return error ? -error : number;
}

int apus_next_signal_within(int64_t nanoseconds) {
    struct timespec time = {
        .tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    int number = sigtimedwait(&set, NULL, &time);
    return checked(number);
}

void apus_ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }

void apus_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

uint64_t apus_thread_number(void) { return (uint64_t)syscall(SYS_gettid); }

uint64_t apus_descriptor_limit(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : limit.rlim_cur;
}

uint64_t apus_descriptor_hard_limit(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : limit.rlim_max;
}

int apus_set_descriptor_limit(uint64_t count) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    limit.rlim_cur = count;
    return checked(setrlimit(RLIMIT_NOFILE, &limit));
}

static int is_trimming = 0;

static void *trim(void *unused) {
    (void)unused;
    malloc_trim(0);
    __atomic_store_n(&is_trimming, 0, __ATOMIC_RELEASE);
    return NULL;
}

void apus_trim_memory(void) {
    if (__atomic_exchange_n(&is_trimming, 1, __ATOMIC_ACQUIRE)) return;
    uint64_t thread = 0;
    if (apus_start_thread(trim, NULL, &thread) == 0) {
        pthread_detach((pthread_t)thread);
    } else {
        __atomic_store_n(&is_trimming, 0, __ATOMIC_RELEASE);
    }
}
