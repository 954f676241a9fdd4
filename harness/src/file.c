/* Whole-or-nothing files: written beside their place under another name, and moved there when they are safe. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "folder.h"
#include "lock.h"
#include "pk/result.h"

/* 0, or an errno value. */
static int write_all(int file, const char *data, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t written = write(file, data, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        data += written;
        bytes -= (size_t)written;
    }
    return 0;
}

/* The same, where a file over the process's size limit is an error (EFBIG) and not a deadly signal: SIGXFSZ is held
 * back on this thread, and taken off before it is let through again. */
static int write_within_limit(int file, const char *data, size_t bytes)
{
    sigset_t too_large, before, pending;
    const struct timespec at_once = {0};
    (void)sigemptyset(&too_large);
    (void)sigaddset(&too_large, SIGXFSZ);
    (void)pthread_sigmask(SIG_BLOCK, &too_large, &before);
    const int error = write_all(file, data, bytes);
    if (error == EFBIG && sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1)
        (void)sigtimedwait(&too_large, NULL, &at_once);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* A new file beside `path`; its name into `temporary`. -1 and errno when it cannot be made. */
static int open_temporary(char *temporary, size_t temporary_bytes, const char *path)
{
    for (int attempt = 0; attempt < 100; attempt++) { /* names that a process of this number left behind */
        const int needed = snprintf(temporary, temporary_bytes, "%s.%ld-%d.tmp", path, (long)getpid(), attempt);
        if (needed < 0 || (size_t)needed >= temporary_bytes) {
            errno = ENAMETOOLONG;
            return -1;
        }
        const int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file < 0 && errno != EEXIST)
            return file;
        if (file >= 0 && pk_take_file(file, temporary))
            return file;
        if (file >= 0) /* taken for a leftover before it was locked */
            (void)close(file);
    }
    return -1;
}

/* So that the new name survives a power cut. Some file systems cannot do that for a folder, and say EINVAL. */
static int sync_folder(const char *folder)
{
    const int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return errno;
    const int error = fsync(file) == 0 || errno == EINVAL ? 0 : errno;
    (void)close(file);
    return error;
}

/* 0, or an errno value; the temporary file is then gone. */
static int write_and_move(const char *path, const char *folder, const void *data, size_t bytes)
{
    char temporary[PATH_MAX];
    const int file = open_temporary(temporary, sizeof temporary, path);
    if (file < 0)
        return errno;
    int error = write_within_limit(file, data, bytes);
    if (error == 0 && fsync(file) != 0)
        error = errno;
    if (error == 0 && rename(temporary, path) != 0) /* before it is closed, and with that not locked any more */
        error = errno;
    if (error != 0)
        (void)unlink(temporary);
    if (close(file) != 0 && error == 0)
        error = errno;
    return error != 0 ? error : sync_folder(folder);
}

/* The folder of a file that is to be written, made where it is not there. */
static pk_status prepare_place(char *folder, size_t bytes, const char *path)
{
    struct stat about;
    pk_folder_of(folder, bytes, path);
    const pk_status status = pk_make_folder(folder);
    if (status != PK_OK)
        return status;
    /* A device, pipe or folder must not be replaced by a file. */
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode))
        return pk_fail(PK_USAGE, "%s: cannot write: it is a device or a pipe; give a file's name", path);
    return PK_OK;
}

pk_status pk_write_file(const char *path, const void *data, size_t bytes)
{
    char folder[PATH_MAX];
    const pk_status status = prepare_place(folder, sizeof folder, path);
    if (status != PK_OK)
        return status;
    const char *slash = strrchr(path, '/');
    pk_remove_temporaries(folder, slash ? slash + 1 : path);
    const int error = write_and_move(path, folder, data, bytes);
    return error == 0 ? PK_OK : pk_file_failed(path, "write", error);
}

/* Write, then remove, a file of the name that the temporary one for `path` would have. 0, or an errno value. */
static int try_beside(const char *path)
{
    char temporary[PATH_MAX];
    const int file = open_temporary(temporary, sizeof temporary, path);
    if (file < 0)
        return errno;
    const int error = write_within_limit(file, "probe", 5);
    (void)close(file);
    (void)unlink(temporary);
    return error;
}

pk_status pk_folder_writable(const char *folder)
{
    char probe[PATH_MAX];
    const pk_status status = pk_make_folder(folder);
    if (status != PK_OK)
        return status;
    const int needed = snprintf(probe, sizeof probe, "%s/probe", folder);
    if (needed < 0 || (size_t)needed >= sizeof probe)
        return pk_file_failed(folder, "write into this folder", ENAMETOOLONG);
    const int error = try_beside(probe);
    return error == 0 ? PK_OK : pk_file_failed(folder, "write into this folder", error);
}

pk_status pk_file_writable(const char *path)
{
    char folder[PATH_MAX];
    struct stat about;
    const size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/' || (stat(path, &about) == 0 && S_ISDIR(about.st_mode)))
        return pk_fail(PK_USAGE, "%s: cannot write: it is a folder; give a file's name", length ? path : "''");
    const pk_status status = prepare_place(folder, sizeof folder, path);
    if (status != PK_OK)
        return status;
    const int error = try_beside(path);
    return error == 0 ? PK_OK : pk_file_failed(path, "write", error);
}

int pk_output_ended(const char *program, int code)
{
    const bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return code;
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (errno == EPIPE || (poll(&out, 1, 0) == 1 && (out.revents & POLLERR))) /* whoever read has read enough */
        return code;
    (void)fprintf(stderr, "%s: not all of the output could be written%s%s; free some space, or send it elsewhere\n",
                  program, errno ? ": " : "", errno ? strerror(errno) : "");
    return pk_exit_code(PK_USAGE);
}
