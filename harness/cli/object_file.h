/* What a compiled file defines, needs and runs by itself, read from its ELF tables. */
#ifndef CLI_OBJECT_FILE_H
#define CLI_OBJECT_FILE_H

#include <stddef.h>

#include "cli.h"
#include "pk_status.h"

typedef struct object_file {
    cli_names defined;  /* symbols that other files would see, inline functions and templates apart */
    cli_names needed;   /* symbols that other files are to define */
    size_t begin_bytes; /* of what runs before main: constructors */
    size_t end_bytes;   /* of what runs after it: destructors */
} object_file;

/* PK_USAGE when it cannot be read or is no such file of this machine. */
pk_status object_file_read(object_file *object, const char *path);
void object_file_free(object_file *object);

#endif
