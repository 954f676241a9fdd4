/* Folders for result files. */
#ifndef PK_FOLDER_H
#define PK_FOLDER_H

#include <stddef.h>

#include "pk_status.h"

/* The folder part of `path`: "." for a bare file name, "/" for one in the root. Cut to `bytes`. */
void pk_folder_of(char *folder, size_t bytes, const char *path);

/* Create a folder and its parents; fine when it is there. Errors: PK_USAGE with the path, the reason and what to
 * do. */
pk_status pk_make_folder(const char *folder);

/* The message of a failed file operation: "results/a.json: cannot write: No space left on device; free some ...".
 * `error` is an errno value. Returns PK_USAGE; PK_FAULT when memory ran out. */
pk_status pk_file_failed(const char *path, const char *tried, int error);

#endif
