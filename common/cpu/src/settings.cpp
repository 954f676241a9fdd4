/* Settings from the environment. */
#include "settings.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cuda_runtime.h>

struct pk_settings pk_settings;
int warpSize = 32;

static bool read_number(const char *name, long low, long high, long *value)
{
    const char *text = getenv(name);
    if (!text || !*text)
        return true;
    char *end;
    errno = 0;
    const long number = strtol(text, &end, 10);
    if (errno || *end || number < low || number > high) {
        fprintf(stderr, "CPU device: %s is '%s'; it must be a number from %ld to %ld\n", name, text, low, high);
        return false;
    }
    *value = number;
    return true;
}

static bool read_schedule(void)
{
    const char *text = getenv("PK_CPU_SCHEDULE");
    pk_settings.order = PK_ORDER_FREE;
    if (!text || !*text)
        return true;
    char *end = nullptr;
    if (strcmp(text, "fifo") == 0) {
        pk_settings.order = PK_ORDER_FIFO;
        return true;
    }
    if (strcmp(text, "reverse") == 0) {
        pk_settings.order = PK_ORDER_REVERSE;
        return true;
    }
    if (strncmp(text, "random:", 7) == 0 && text[7] >= '0' && text[7] <= '9') {
        errno = 0;
        pk_settings.seed = strtoull(text + 7, &end, 10);
        pk_settings.order = PK_ORDER_RANDOM;
        if (!errno && !*end)
            return true;
    }
    fprintf(stderr, "CPU device: PK_CPU_SCHEDULE is '%s'; it must be fifo, reverse or random:SEED\n", text);
    return false;
}

/* The smaller of the machine's memory and the process's control group's. */
static uint64_t machine_memory(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    unsigned long long limit;
    if (file) {
        if (fscanf(file, "%llu", &limit) == 1 && limit < bytes)
            bytes = limit;
        fclose(file);
    }
    return bytes;
}

int pk_usable_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

void pk_settings_read(void)
{
    long processors = 8, warp = 32, check = 0;
    /* Enough for a kernel's frames; sanitizers make frames several times larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(PK_CPU_TSAN_)
    long stack_kb = 256;
    pk_settings.patience_ticks = 50; /* all is slower, and each fiber costs a sanitizer much memory */
#else
    long stack_kb = 64;
    pk_settings.patience_ticks = 1;
#endif
#if defined(PK_CPU_TSAN_)
    processors = 2; /* ThreadSanitizer keeps more than a megabyte for each fiber: eight blocks of 1024 would be 10 GB */
#endif
    pk_settings.valid = read_number("PK_CPU_SMS", 1, PK_MAX_SMS, &processors);
    pk_settings.valid &= read_number("PK_CPU_STACK_KB", 16, 65536, &stack_kb);
    pk_settings.valid &= read_number("PK_CPU_WARP", 32, 64, &warp);
    pk_settings.valid &= read_number("PK_CPU_CHECK", 0, 1, &check);
    pk_settings.valid &= read_schedule();
    if (warp != 32 && warp != 64) {
        fprintf(stderr, "CPU device: PK_CPU_WARP is %ld; it must be 32 or 64\n", warp);
        pk_settings.valid = false;
    }
    pk_cpu_interleaves = pk_settings.order == PK_ORDER_RANDOM;
    pk_settings.processors = (int)processors;
    pk_settings.warp_threads = warpSize = (int)warp;
    pk_settings.check = check != 0;
    pk_cpu_overlaps = pk_settings.check || pk_settings.order == PK_ORDER_REVERSE || pk_cpu_interleaves;
    pk_settings.stack_bytes = (size_t)stack_kb * 1024;
    const int cores = pk_usable_cores();
    pk_settings.parallel = cores < pk_settings.processors ? cores : pk_settings.processors;
    /* A schedule that is asked for is to be replayed: one block at a time, unless blocks wait for each other, and
     * that only after a time that no slow machine makes of a block that merely takes long. */
    if (pk_settings.order != PK_ORDER_FREE) {
        pk_settings.parallel = 1;
        pk_settings.patience_ticks = 50;
    }
    /* Half, since the host's data lives in the same memory. */
    pk_settings.memory_bytes = machine_memory() / 2;
}
