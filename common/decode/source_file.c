/* Files that come from elsewhere: opened, read, mapped; and what of them may stand in a message. */
#define _GNU_SOURCE /* pread, st_mtim */
#include "source_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static pk_status failed(const char *path, const char *tried, int error)
{
    if (error == ENOMEM)
        return pk_out_of_memory(path);
    return pk_fail(PK_USAGE, "%s: cannot %s: %s; give a file that you may read, or fetch the model again (./lab model)",
                   path, tried, strerror(error));
}

pk_status pk_source_open(const char *path, pk_source_file *source)
{
    /* Not blocking, for a pipe that nobody writes to: it is refused below. */
    *source = (pk_source_file){.path = path, .file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (source->file < 0)
        return failed(path, "open", errno);
    pk_status status = PK_OK;
    if (fstat(source->file, &source->about) != 0)
        status = failed(path, "open", errno);
    else if (!S_ISREG(source->about.st_mode))
        status = pk_fail(PK_USAGE, "%s: cannot read: not a regular file; give a file", path);
    if (status != PK_OK)
        pk_source_close(source);
    source->bytes = status == PK_OK ? (uint64_t)source->about.st_size : 0;
    return status;
}

pk_status pk_source_read(const pk_source_file *source, uint64_t offset, size_t bytes, void *to)
{
    char *next = to;
    while (bytes > 0) {
        const ssize_t got = pread(source->file, next, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(source->path, "read", errno);
        if (got == 0)
            return pk_fail(PK_USAGE,
                           "%s: ends at byte %llu, and was longer: it is being written to; wait for that to end",
                           source->path, (unsigned long long)offset);
        next += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return PK_OK;
}

pk_status pk_source_map(const pk_source_file *source, void **address)
{
    *address = mmap(NULL, (size_t)source->bytes, PROT_READ, MAP_PRIVATE, source->file, 0);
    return *address == MAP_FAILED ? failed(source->path, "map", errno) : PK_OK;
}

pk_status pk_source_unchanged(const pk_source_file *source)
{
    struct stat now;
    const struct stat *before = &source->about;
    if (fstat(source->file, &now) != 0)
        return failed(source->path, "read", errno);
    if (now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == before->st_mtim.tv_nsec)
        return PK_OK;
    return pk_fail(PK_USAGE, "%s: changed while it was read; wait until what writes to it has ended", source->path);
}

void pk_source_close(pk_source_file *source)
{
    if (source->file >= 0)
        (void)close(source->file);
    source->file = -1;
}

static pk_status read_text(const pk_source_file *source, size_t most, char **text, size_t *bytes)
{
    if (source->bytes > most)
        return pk_fail(
            PK_USAGE,
            "%s: %llu bytes, where at most %zu are expected: not such a file; fetch the model again (./lab model)",
            source->path, (unsigned long long)source->bytes, most);
    *bytes = (size_t)source->bytes;
    *text = malloc(*bytes + 1);
    if (!*text)
        return pk_out_of_memory(source->path);
    (*text)[*bytes] = 0;
    const pk_status status = pk_source_read(source, 0, *bytes, *text);
    if (status != PK_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}

pk_status pk_source_text(const char *path, size_t most, char **text, size_t *bytes)
{
    pk_source_file source;
    *text = NULL;
    *bytes = 0;
    pk_status status = pk_source_open(path, &source);
    if (status != PK_OK)
        return status;
    status = read_text(&source, most, text, bytes);
    pk_source_close(&source);
    return status;
}

pk_shown pk_show(const char *text)
{
    pk_shown shown;
    size_t length = 0;
    for (; text[length] && length < sizeof shown.text - 1; length++)
        shown.text[length] = (char)(text[length] >= ' ' && text[length] <= '~' ? text[length] : '?');
    shown.text[length] = 0;
    if (text[length])
        memcpy(shown.text + sizeof shown.text - 4, "...", 4);
    return shown;
}
