/* The temporary folder in which figures are drawn. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pk/result.h"
#include "plot.h"

static void remove_folder(const char *folder)
{
    cli_names files = cli_list_folder(folder, "", "");
    for (size_t i = 0; i < files.count; i++) {
        char *path = cli_format("%s/%s", folder, files.names[i]);
        unlink(path);
        free(path);
    }
    cli_names_free(&files);
    rmdir(folder);
}

#define TEMPORARY_NAME "pk-plot-"

/* Temporary folders of commands that were killed: those that nobody holds. */
static void remove_leftovers(const char *temporary)
{
    cli_names names = cli_list_folder(temporary, TEMPORARY_NAME, "");
    for (size_t i = 0; i < names.count; i++) {
        char *path = cli_format("%s/%s", temporary, names.names[i]);
        const int held = pk_take_folder(path);
        if (held >= 0) {
            remove_folder(path);
            (void)close(held);
        }
        free(path);
    }
    cli_names_free(&names);
}

/* A folder that this process holds, or NULL after pk_fail. Another command may take it for a leftover before it is
 * held: then the next one. */
static char *make_held(const char *temporary, int *held)
{
    enum { TRIES = 10 };
    for (int i = 0; i < TRIES; i++) {
        char *path = cli_format("%s/" TEMPORARY_NAME "XXXXXX", temporary);
        if (!mkdtemp(path)) {
            pk_fail(PK_USAGE, "cannot make a folder %s: %s; set TMPDIR to a folder that you may write", path,
                    strerror(errno));
            free(path);
            return NULL;
        }
        *held = pk_take_folder(path);
        if (*held >= 0 || (errno != EWOULDBLOCK && errno != ENOENT))
            return path;
        free(path);
    }
    pk_fail(PK_USAGE, "cannot keep a folder in %s; set TMPDIR to a folder of your own", temporary);
    return NULL;
}

pk_status plot_temporary_make(plot_temporary *temporary)
{
    const char *below = getenv("TMPDIR");
    below = below && *below ? below : "/tmp";
    remove_leftovers(below);
    temporary->held = -1;
    temporary->folder = make_held(below, &temporary->held);
    return temporary->folder ? PK_OK : PK_USAGE;
}

void plot_temporary_remove(plot_temporary *temporary)
{
    remove_folder(temporary->folder);
    if (temporary->held >= 0)
        (void)close(temporary->held);
    free(temporary->folder);
    *temporary = (plot_temporary){NULL, -1};
}
