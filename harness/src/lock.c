/* What is in use, and what those that were killed left behind.
 *
 * A folder or temporary file in use is locked by its process (flock: the kernel lets go of it however that ends). So
 * whoever gets the lock of one knows that its owner is gone; a process's number would not tell, for it may be another's
 * by now, or one of another container on the same disk. */
#include "lock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pk/result.h"

/* Does the path still lead to what is open? It may have been removed, and made anew, before it was locked. */
static bool is_still(int file, const char *path)
{
    struct stat opened, there;
    return fstat(file, &opened) == 0 && stat(path, &there) == 0 && opened.st_ino == there.st_ino &&
           opened.st_dev == there.st_dev;
}

/* Take the lock of what is open at `path`; errno EWOULDBLOCK when another has it, ENOENT when it is gone. A file system
 * that has no locks has none to lose: errno ENOTSUP. */
static bool take(int file, const char *path)
{
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        errno = errno == EWOULDBLOCK ? EWOULDBLOCK : ENOTSUP;
        return false;
    }
    if (is_still(file, path))
        return true;
    errno = ENOENT;
    return false;
}

bool pk_take_file(int file, const char *path)
{
    return take(file, path) || errno == ENOTSUP;
}

int pk_take_folder(const char *folder)
{
    const int file = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || take(file, folder))
        return file;
    const int error = errno;
    (void)close(file);
    errno = error;
    return -1;
}

/* ---- what was left ---- */

/* NAME.<number>-<number>.tmp, as pk_write_file makes them */
static bool is_temporary(const char *name)
{
    const char *end = name + strlen(name) - strlen(".tmp"), *at = end;
    if (end <= name || strcmp(end, ".tmp") != 0)
        return false;
    while (at > name && isdigit((unsigned char)at[-1]))
        at--;
    if (at == end || at == name || *--at != '-')
        return false;
    const char *dash = at;
    while (at > name && isdigit((unsigned char)at[-1]))
        at--;
    return at < dash && at > name && at[-1] == '.';
}

void pk_remove_temporaries(const char *folder, const char *prefix)
{
    DIR *stream = opendir(folder);
    struct dirent *entry;
    while (stream && (entry = readdir(stream)) != NULL) {
        char path[PATH_MAX];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || !is_temporary(entry->d_name) ||
            (size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path)
            continue;
        const int file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (file >= 0 && take(file, path))
            (void)unlink(path);
        if (file >= 0)
            (void)close(file);
    }
    if (stream)
        (void)closedir(stream);
}
