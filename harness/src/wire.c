/* Messages on pipes. */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool write_all(int file, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        const ssize_t written = write(file, at, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
        bytes -= (size_t)written;
    }
    return true;
}

bool pk_wire_send(int file, pk_wire_kind kind, const void *data, size_t bytes)
{
    const pk_wire_head head = {(uint32_t)kind, (uint32_t)bytes};
    return write_all(file, &head, sizeof head) && (bytes == 0 || write_all(file, data, bytes));
}

bool pk_wire_read(int file, void *data, size_t bytes)
{
    char *at = data;
    while (bytes > 0) {
        const ssize_t got = read(file, at, bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        bytes -= (size_t)got;
    }
    return true;
}
