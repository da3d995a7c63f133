/* Lets the n-th call that changes a file below a folder fail, or kills the process there: for tests, by LD_PRELOAD.

   TORTURE_BELOW    the folder; nothing elsewhere is counted
   TORTURE_COUNTER  a file of 8 bytes, shared by all processes: how many calls there were
   TORTURE_AT       which call fails, from 1; 0 only counts
   TORTURE_ERROR    its errno; 0 kills the process instead
   TORTURE_AFTER    1 lets all later calls fail too, as on a full disk
   TORTURE_CALLS    only calls of this name (write, fsync, rename, mkdir, unlink, open); all where it is empty */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, name)

static long counted(const char *file) {
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return 0;
    syscall(SYS_ftruncate, fd, 8);
    long *count = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (count == MAP_FAILED) return 0;
    long now = __sync_add_and_fetch(count, 1);
    munmap(count, 8);
    return now;
}

static int fails(const char *call, const char *path) {
    const char *below = getenv("TORTURE_BELOW"), *counter = getenv("TORTURE_COUNTER"), *at = getenv("TORTURE_AT");
    if (!below || !counter || !at || !path) return 0;
    char whole[8192];
    if (path[0] != '/') {
        if (!getcwd(whole, 4096)) return 0;
        strcat(whole, "/");
        strncat(whole, path, 4000);
        path = whole;
    }
    if (strncmp(path, below, strlen(below))) return 0;
    const char *only = getenv("TORTURE_CALLS");
    if (only && *only && strcmp(only, call)) return 0;
    long now = counted(counter), wanted = atol(at);
    const char *after = getenv("TORTURE_AFTER");
    if (!wanted || !(now == wanted || (after && *after == '1' && now > wanted))) return 0;
    const char *error = getenv("TORTURE_ERROR");
    int number = error ? atoi(error) : ENOSPC;
    if (!number) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    errno = number;
    return 1;
}

static int fails_on(const char *call, int fd) {
    if (fd <= 2 || !getenv("TORTURE_BELOW")) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int before = errno;
    ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = before;
    if (size <= 0 || path[0] != '/') return 0; /* a pipe, a socket */
    path[size] = 0;
    return fails(call, path);
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT); }

ssize_t write(int fd, const void *from, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return fails_on("write", fd) ? -1 : real(fd, from, size);
}
ssize_t writev(int fd, const struct iovec *from, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return fails_on("write", fd) ? -1 : real(fd, from, count);
}
ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return fails_on("write", fd) ? -1 : real(fd, from, size, at);
}
int fsync(int fd) {
    REAL(int, "fsync", int);
    return fails_on("fsync", fd) ? -1 : real(fd);
}
int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    return fails("rename", to) ? -1 : real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    return fails("rename", to) ? -1 : real(a, from, b, to);
}
int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return fails("mkdir", path) ? -1 : real(path, mode);
}
int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return fails("unlink", path) ? -1 : real(path);
}
int unlinkat(int at, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    char whole[8192];
    if (path[0] != '/' && at != AT_FDCWD) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, whole, 4096);
        if (size <= 0) return real(at, path, flags);
        whole[size] = '/';
        whole[size + 1] = 0;
        strncat(whole, path, 4000);
        return fails("unlink", whole) ? -1 : real(at, path, flags);
    }
    return fails("unlink", path) ? -1 : real(at, path, flags);
}
int open(const char *path, int flags, ...) {
    REAL(int, "open", const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return writes(flags) && fails("open", path) ? -1 : real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    REAL(int, "open64", const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return writes(flags) && fails("open", path) ? -1 : real(path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
    REAL(int, "openat", int, const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return writes(flags) && fails("open", path) ? -1 : real(at, path, flags, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    REAL(FILE *, "fopen64", const char *, const char *);
    return (mode[0] != 'r' || strchr(mode, '+')) && fails("open", path) ? 0 : real(path, mode);
}
