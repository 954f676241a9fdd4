/* Folders for result files: names, creation, and messages that say what to do. */
#include "folder.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pk/result.h"

static const char *remedy(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return "free some space or choose a folder on another disk";
    case EFBIG:
        return "raise the file size limit (ulimit -f) or choose another folder";
    case EACCES:
    case EPERM:
    case EROFS:
        return "choose a folder that you may write to";
    case ENOTDIR:
    case EEXIST:
        return "a part of the path is a file: choose another folder or move that file";
    case EISDIR:
        return "the path is a folder: give a file's name in it";
    case ENOMEM:
        return "end what else takes memory or raise the limit (ulimit -v)";
    case ENAMETOOLONG:
        return "choose a shorter path";
    default:
        return "choose another folder";
    }
}

pk_status pk_file_failed(const char *path, const char *tried, int error)
{
    return pk_fail(error == ENOMEM ? PK_FAULT : PK_USAGE, "%s: cannot %s: %s; %s", path, tried, strerror(error),
                   remedy(error));
}

void pk_folder_of(char *folder, size_t bytes, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        (void)snprintf(folder, bytes, ".");
    else if (slash == path)
        (void)snprintf(folder, bytes, "/");
    else
        (void)snprintf(folder, bytes, "%.*s", (int)(slash - path), path);
}

static pk_status make_one(const char *folder)
{
    struct stat about;
    if (mkdir(folder, 0777) == 0)
        return PK_OK;
    const int error = errno;
    /* It may be there already, whatever mkdir complains of: a read-only file system says EROFS first. */
    if (stat(folder, &about) == 0 && S_ISDIR(about.st_mode))
        return PK_OK;
    return pk_file_failed(folder, "create this folder", error);
}

pk_status pk_make_folder(const char *folder)
{
    char path[PATH_MAX];
    const size_t length = strlen(folder);
    if (length == 0 || length >= sizeof path)
        return pk_file_failed(folder, "create this folder", length ? ENAMETOOLONG : ENOENT);
    memcpy(path, folder, length + 1);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        const pk_status status = make_one(path);
        if (status != PK_OK)
            return status;
        *slash = '/';
    }
    return make_one(path);
}

/* A device's name with everything but letters, digits, '.' and '_' made a single '-'. */
static void file_name_of(char *name, size_t bytes, const char *device)
{
    size_t length = 0;
    for (; *device && length + 1 < bytes; device++) {
        const bool kept = isalnum((unsigned char)*device) || *device == '_' || (*device == '.' && length > 0);
        if (kept)
            name[length++] = *device;
        else if (length > 0 && name[length - 1] != '-')
            name[length++] = '-';
    }
    while (length > 0 && (name[length - 1] == '-' || name[length - 1] == '.'))
        length--;
    name[length] = 0;
    if (length == 0)
        (void)snprintf(name, bytes, "device");
}

void pk_run_id(char *id, size_t bytes, const pk_report *report)
{
    char device[64]; /* shorter than any file system's limit, together with the time */
    char time[sizeof report->started_utc];
    size_t length = 0;
    for (const char *c = report->started_utc; *c && length + 1 < sizeof time; c++)
        if (*c != ':') /* not allowed on some file systems */
            time[length++] = *c;
    time[length] = 0;
    file_name_of(device, sizeof device, report->device.name);
    (void)snprintf(id, bytes, "%s-%s", time, device);
}

void pk_result_folder(char *path, size_t path_bytes, const char *root, const pk_report *report)
{
    char id[128];
    pk_run_id(id, sizeof id, report);
    const int needed = snprintf(path, path_bytes, "%s/%s", root, id);
    if (path_bytes > 0 && (needed < 0 || (size_t)needed >= path_bytes))
        path[0] = 0; /* no folder rather than another one */
}
