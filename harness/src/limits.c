/* How large the limits' workspace is, and where the figures go. */
#include "device_limits.h"

#include <stdlib.h>
#include <string.h>

/* What one block of the read kernel takes divides it. */
enum { WORKSPACE_UNIT = 1 << 20, LAST_WORD = 16 /* bytes of a word of the read kernel */ };

static pk_limit_workspace flush_space;

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static pk_status workspace_open(pk_limit_workspace *space, const pk_device_info *device, size_t bytes)
{
    size_t free_bytes, total_bytes;
    pk_status status = pk_device_memory(&free_bytes, &total_bytes);
    if (status != PK_OK)
        return status;
    space->bytes = smaller(bytes, free_bytes / 2) / WORKSPACE_UNIT * WORKSPACE_UNIT;
    space->processors = device->processors;
    status = pk_device_alloc(&space->words, space->bytes);
    if (status == PK_OK)
        status = pk_device_alloc(&space->sink, sizeof(unsigned));
    return status;
}

static void workspace_close(pk_limit_workspace *space)
{
    pk_device_free(space->words);
    pk_device_free(space->sink);
    memset(space, 0, sizeof *space);
}

static double record(pk_report *report, const char *name, const char *unit, pk_samples *samples, double scale)
{
    for (size_t i = 0; i < samples->count; i++)
        samples->values[i] *= scale;
    pk_named_summary *entry = &report->limit_summaries[report->limit_count++];
    entry->name = name;
    entry->unit = unit;
    entry->summary = pk_summarise(samples->values, samples->count);
    return entry->summary.median / scale;
}

/* Written before it is read: pages that were never touched may all be one page of zeros. A thread of the read finds
 * four equal words, whose fold is 0; the last one's is made to fold to the mark. */
static pk_status fill(const pk_limit_workspace *space, void *stream)
{
    const unsigned first = 1, marked = first ^ PK_LIMITS_READ_MARK;
    pk_status status = pk_limits_overwrite(space, stream, first);
    if (status == PK_OK)
        status = pk_device_fill(space->sink, 0, sizeof(unsigned), stream);
    if (status == PK_OK)
        status = pk_device_upload((char *)space->words + space->bytes - LAST_WORD, &marked, sizeof marked, stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

/* The rate of a read that did not reach the end is none. */
static pk_status judge_read(const pk_limit_workspace *space, void *stream)
{
    unsigned met = 0;
    pk_status status = pk_device_download(&met, space->sink, sizeof met, stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status == PK_OK && met != PK_LIMITS_READ_MARK)
        status =
            pk_fail(PK_WRONG, "the read that measures B_read did not meet the word at its buffer's end: the device "
                              "or its compiler left reads out; run ./lab doctor");
    return status;
}

static void free_samples(pk_limit_samples *samples)
{
    pk_samples_free(&samples->launch);
    pk_samples_free(&samples->launch_sync);
    pk_samples_free(&samples->gap);
    pk_samples_free(&samples->read);
}

pk_status pk_measure_limits(const pk_device_info *device, void *stream, bool quick, pk_report *report)
{
    /* On an H200 the read bandwidth still rises by 2% from 1 GB to 4 GB; the CPU device has host memory's. */
    const size_t gpu_bytes = (size_t)4 << 30, cpu_bytes = (size_t)64 << 20;
    pk_limit_workspace space = {.reads = quick || !device->is_gpu ? 5 : 20};
    pk_limit_samples samples = {.launch = {0}};
    size_t wanted = !device->is_gpu ? cpu_bytes : quick ? gpu_bytes / 4 : gpu_bytes;
    pk_status status = workspace_open(&space, device, wanted);
    if (status == PK_OK)
        status = fill(&space, stream);
    if (status == PK_OK)
        status = pk_limits_time(&space, stream, &samples);
    if (status == PK_OK)
        status = judge_read(&space, stream);
    workspace_close(&space);
    report->limit_summaries = calloc(4, sizeof *report->limit_summaries);
    if (status == PK_OK && !report->limit_summaries)
        status = pk_out_of_memory("the device's limits");
    if (status == PK_OK) {
        report->limits.launch_us = record(report, "launch_us", "us", &samples.launch, 1);
        report->limits.launch_sync_us = record(report, "launch_sync_us", "us", &samples.launch_sync, 1);
        report->limits.gap_us = record(report, "gap_us", "us", &samples.gap, 1);
        report->limits.read_bytes_per_us = record(report, "read_gb_per_s", "GB/s", &samples.read, 1e-3);
        report->limits.measured = true;
    }
    free_samples(&samples);
    return status;
}

pk_status pk_flush_l2(const pk_device_info *device, void *stream)
{
    static unsigned value;
    if (!flush_space.words) {
        /* Several times the cache: replacement is not strictly least recently used. */
        size_t cache = device->l2_bytes ? device->l2_bytes : (size_t)32 << 20;
        pk_status status = workspace_open(&flush_space, device, 4 * cache);
        if (status != PK_OK)
            return status;
    }
    return pk_limits_overwrite(&flush_space, stream, ++value);
}

void pk_limits_free(void)
{
    workspace_close(&flush_space);
}
