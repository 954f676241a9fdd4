/* A folder for a run's results that is this run's alone, locked for as long as it lives (lock.c). */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"
#include "lock.h"
#include "pk/result.h"

/* ---- what was left ---- */

/* 2026-01-31T235959Z-..., as pk_run_id makes them */
static bool is_run(const char *name)
{
    static const char shape[] = "0000-00-00T000000Z-";
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == '0' ? !isdigit((unsigned char)name[i]) : name[i] != shape[i])
            return false;
    return true;
}

/* Temporary files of runs that are gone, and their folders where nothing else is in them. */
static void clean(const char *root)
{
    DIR *stream = opendir(root);
    struct dirent *entry;
    while (stream && (entry = readdir(stream)) != NULL) {
        char path[PATH_MAX];
        if (!is_run(entry->d_name) || (size_t)snprintf(path, sizeof path, "%s/%s", root, entry->d_name) >= sizeof path)
            continue;
        const int folder = pk_take_folder(path);
        if (folder < 0)
            continue;
        pk_remove_temporaries(path, "");
        (void)rmdir(path); /* not when there is something in it */
        (void)close(folder);
    }
    if (stream)
        (void)closedir(stream);
}

/* ---- a folder of one's own ---- */

static bool is_empty(const char *folder)
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    bool empty = stream != NULL;
    while (empty && (entry = readdir(stream)) != NULL)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (stream)
        (void)closedir(stream);
    return empty;
}

/* 0, EEXIST when it is another's, or an errno value; the folder stays locked until the process ends. */
static int claim(const char *path)
{
    if (mkdir(path, 0777) != 0)
        return errno;
    const int folder = pk_take_folder(path);
    /* Who cleaned up may have held it for a moment, and removed it. */
    if (folder < 0)
        return errno == EWOULDBLOCK || errno == ENOENT ? EEXIST : 0;
    /* Removed before it was locked, it may have been made anew by a run that has ended since: its result is in it. */
    if (is_empty(path))
        return 0;
    (void)close(folder);
    return EEXIST;
}

pk_status pk_claim_folder(char *path, size_t path_bytes, const char *root, const pk_report *report)
{
    enum { MOST_AT_ONCE = 1000 };
    char base[PATH_MAX];
    const pk_status status = pk_make_folder(root);
    if (status != PK_OK)
        return status;
    clean(root);
    pk_result_folder(base, sizeof base, root, report);
    for (int i = 1; i <= MOST_AT_ONCE; i++) {
        char number[16] = "";
        if (i > 1)
            (void)snprintf(number, sizeof number, "-%d", i);
        const int needed = snprintf(path, path_bytes, "%s%s", base, number);
        if (!base[0] || needed < 0 || (size_t)needed >= path_bytes)
            return pk_file_failed(root, "create a folder for results in this folder", ENAMETOOLONG);
        const int error = claim(path);
        if (error == 0)
            return pk_folder_writable(path);
        if (error != EEXIST)
            return pk_file_failed(path, "create this folder", error);
    }
    return pk_fail(PK_USAGE, "%s: %d runs began in one second; start some of them later", root, MOST_AT_ONCE);
}
