/* What this build and machine are. What the build knows is in two generated headers; the one with git's state is
 * refreshed by a build step, so that a commit recompiles this file only. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "pk/host.h"
#include "pk_build.h"
#include "pk_build_git.h"
#include "tools.h"

/* The value of the first line "key<separators>value" of a file, quotes taken off. False when there is none. */
static bool value_in_file(char *value, size_t bytes, const char *path, const char *key, const char *separators)
{
    char line[512];
    bool found = false;
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        const size_t length = strlen(key);
        if (strncmp(line, key, length) != 0 || !strchr(separators, line[length]))
            continue;
        const char *begin = line + length + strspn(line + length, separators);
        begin += *begin == '"';
        (void)snprintf(value, bytes, "%.*s", (int)strcspn(begin, "\"\n"), begin);
        found = value[0] != 0;
    }
    if (file)
        (void)fclose(file);
    return found;
}

static void read_cpu(char *cpu, size_t bytes, const char *machine)
{
    /* ARM's /proc/cpuinfo has no model name; some boards give theirs in the device tree. */
    FILE *board;
    if (value_in_file(cpu, bytes, "/proc/cpuinfo", "model name", "\t :"))
        return;
    (void)snprintf(cpu, bytes, "%s", machine);
    board = fopen("/sys/firmware/devicetree/base/model", "r");
    if (board) {
        char model[64];
        if (fgets(model, sizeof model, board))
            (void)snprintf(cpu, bytes, "%s (%.32s)", model, machine);
        (void)fclose(board);
    }
}

/* Cores that this process may run on. */
static int usable_cores(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0)
        return CPU_COUNT(&allowed);
    const long online = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than a cpu_set_t holds */
    return online > 0 ? (int)online : 1;
}

static void read_system(pk_environment *environment)
{
    struct utsname system;
    if (uname(&system) != 0)
        memset(&system, 0, sizeof system);
    if (!value_in_file(environment->os, sizeof environment->os, "/etc/os-release", "PRETTY_NAME", "="))
        (void)snprintf(environment->os, sizeof environment->os, "%s", system.sysname);
    read_cpu(environment->cpu, sizeof environment->cpu, system.machine);
    environment->cpu_cores = usable_cores();
}

void pk_environment_read(pk_environment *environment)
{
    memset(environment, 0, sizeof *environment);
    read_system(environment);
    (void)snprintf(environment->compiler, sizeof environment->compiler, "%s", PK_BUILD_COMPILER);
    (void)snprintf(environment->device_compiler, sizeof environment->device_compiler, "%s", PK_BUILD_DEVICE_COMPILER);
    (void)snprintf(environment->flags, sizeof environment->flags, "%s", PK_BUILD_FLAGS);
    (void)snprintf(environment->build_type, sizeof environment->build_type, "%s", PK_BUILD_TYPE);
    (void)snprintf(environment->git_commit, sizeof environment->git_commit, "%s", PK_GIT_COMMIT);
    environment->git_known = PK_GIT_COMMIT[0] != 0;
    environment->git_dirty = PK_GIT_DIRTY;
    environment->nvml = pk_nvml_present();
    environment->cupti = pk_cupti_present();
    environment->nvtx = pk_nvtx_present();
}
