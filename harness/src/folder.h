/* Folders for result files. */
#ifndef PK_FOLDER_H
#define PK_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "pk_status.h"

/* The folder part of `path`: "." for a bare file name, "/" for one in the root. Cut to `bytes`. */
void pk_folder_of(char *folder, size_t bytes, const char *path);

/* Create a folder and its parents; fine when it is there. Errors: PK_USAGE with the path, the reason and what to
 * do. */
pk_status pk_make_folder(const char *folder);

/* Lock an open temporary file of one's own for as long as it is open; false when it was taken for a leftover, and is
 * gone. */
bool pk_take_file(int file, const char *path);

/* Remove the temporary files in a folder that begin with `prefix` and that nobody is writing any more. */
void pk_remove_temporaries(const char *folder, const char *prefix);

/* The message of a failed file operation: "results/a.json: cannot write: No space left on device; free some ...".
 * `error` is an errno value. Returns PK_USAGE. */
pk_status pk_file_failed(const char *path, const char *tried, int error);

#endif
