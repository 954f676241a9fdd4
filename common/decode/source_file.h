/* Files that come from elsewhere: opened, read, mapped; and what of them may stand in a message. For the sources of
 * pk_model. */
#ifndef PK_SOURCE_FILE_H
#define PK_SOURCE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "pk_status.h"

typedef struct pk_source_file {
    const char *path; /* the caller's */
    int file;
    uint64_t bytes;
    struct stat about;
} pk_source_file;

/* PK_USAGE: it cannot be opened, or is no regular file. Close it with pk_source_close. */
pk_status pk_source_open(const char *path, pk_source_file *source);

/* Bytes [offset, offset + bytes) into `to`. PK_USAGE: the file ends before, or cannot be read. */
pk_status pk_source_read(const pk_source_file *source, uint64_t offset, size_t bytes, void *to);

/* The whole file, read only, for the caller to munmap; it must not be empty. A change of the file shows in it, so what
 * was checked is what was copied; and where the file becomes shorter, reading past its new end is a SIGBUS. */
pk_status pk_source_map(const pk_source_file *source, void **address);

/* PK_USAGE: written to since it was opened. Sees what moves its size or its time of change. */
pk_status pk_source_unchanged(const pk_source_file *source);

void pk_source_close(pk_source_file *source);

/* A whole file of at most `most` bytes, with a 0 behind them; release it with free. PK_USAGE also where it is larger.
 */
pk_status pk_source_text(const char *path, size_t most, char **text, size_t *bytes);

/* Text out of such a file as it may stand in a message: one line of printable ASCII, other bytes as '?', and cut. */
typedef struct pk_shown {
    char text[72];
} pk_shown;
pk_shown pk_show(const char *text);

#endif
