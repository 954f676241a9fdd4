/* Temporary files: whose they are while they are written, and the end of those that nobody writes any more. */
#ifndef PK_LOCK_H
#define PK_LOCK_H

#include <stdbool.h>

/* Lock an open temporary file of one's own for as long as it is open; false when it was taken for a leftover, and is
 * gone. */
bool pk_take_file(int file, const char *path);

/* Remove the temporary files in a folder that begin with `prefix` and that nobody is writing any more. */
void pk_remove_temporaries(const char *folder, const char *prefix);

#endif
