/* The device as C code sees it: what it is and can do, memory, streams, events, launch accounting.
 * One implementation (pk_device.cu) is compiled for each backend. A `.cu` file includes pk_gpu.h instead. */
#ifndef PK_DEVICE_H
#define PK_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a variant may need of a device. Asked at run time, never assumed. */
enum {
    PK_NEED_MAPPED_HOST = 1u << 0,     /* host memory that a running kernel reads and writes coherently */
    PK_NEED_COOPERATIVE = 1u << 1,     /* cooperative launch, grid-wide barrier */
    PK_NEED_GRAPH = 1u << 2,           /* stream capture and graph replay */
    PK_NEED_GRAPH_WHILE = 1u << 3,     /* conditional graph nodes */
    PK_NEED_PDL = 1u << 4,             /* programmatic dependent launch */
    PK_NEED_ASYNC_COPY = 1u << 5,      /* cp.async into shared memory */
    PK_NEED_BULK_ASYNC_COPY = 1u << 6, /* bulk asynchronous copy (TMA) with transaction barriers */
    PK_NEED_CLUSTER = 1u << 7,         /* thread-block clusters */
    PK_NEED_GRAPH_DEVICE = 1u << 8     /* graphs launched, and kernel nodes updated, by kernels */
};

typedef struct pk_device_info {
    char backend[16];    /* "cuda", "hip", "hip-nvidia" or "cpu" */
    bool is_gpu;         /* false: the CPU device, whose speed is never shown as a GPU's */
    char name[256];      /* as the vendor's runtime names it */
    char arch[32];       /* "sm_90", "gfx90a", "cpu" */
    char driver[64];     /* driver version as the runtime reports it */
    char toolkit[64];    /* runtime version that the program was built against */
    char pci_bus_id[32]; /* for NVML; "" on the CPU device */
    int processors;      /* multiprocessors, compute units, CPU-device processors */
    int warp_size;       /* threads */
    int max_threads_per_block;
    size_t shared_bytes_per_block; /* the largest that a kernel may ask for */
    size_t l2_bytes;
    size_t memory_bytes;
    unsigned capabilities; /* PK_NEED_* bits that the device meets */
    unsigned emulated;     /* of these, what gives right results only: its times mean nothing and are not taken */
} pk_device_info;

/* Select the device (number from the environment variable PK_DEVICE, default 0) and describe it.
 * Errors: PK_SKIP when there is no usable device or its driver is too old (the text says which, and what to
 * do), PK_USAGE for a PK_DEVICE that is no device number, PK_FAULT for anything else. */
pk_status pk_device_open(pk_device_info *info);

/* Give the device back: frees what the runtime holds for this process. Safe without an open device. */
void pk_device_close(void);

/* Why a device that lacks some of `needs` cannot run a variant, in one line naming the first missing
 * capability and what has it. Writes "" and returns false when nothing is missing. */
bool pk_device_lacks(const pk_device_info *info, unsigned needs, char *reason, size_t reason_bytes);

pk_status pk_device_memory(size_t *free_bytes, size_t *total_bytes);

/* Device memory, 256-byte aligned, uninitialised. The caller frees it. */
pk_status pk_device_alloc(void **device, size_t bytes);
void pk_device_free(void *device);
/* Kernels may not touch the first `before` bytes and the last `after` of what pk_device_alloc gave. Only the CPU
 * device's checked build looks; a GPU has no such thing. */
void pk_device_guard(void *device, size_t before, size_t after);

/* Pinned host memory mapped into the device: `*host` for the host, `*device` for kernels. */
pk_status pk_device_alloc_mapped(void **host, void **device, size_t bytes);
void pk_device_free_mapped(void *host);

/* Copies and fills in stream order. `stream` is a cudaStream_t. Host memory may be pageable: the call may then
 * return after the copy. */
pk_status pk_device_upload(void *device, const void *host, size_t bytes, void *stream);
pk_status pk_device_download(void *host, const void *device, size_t bytes, void *stream);
pk_status pk_device_copy(void *to, const void *from, size_t bytes, void *stream);
pk_status pk_device_fill(void *device, unsigned char byte, size_t bytes, void *stream);

/* Streams are created non-blocking: they do not order themselves against the default stream. */
pk_status pk_device_stream_create(void **stream);
/* The same with the highest priority that the device has: where blocks of several kernels wait for a place, its go
 * first. Blocks that run are not moved away. */
pk_status pk_device_stream_create_urgent(void **stream);
void pk_device_stream_destroy(void *stream);
pk_status pk_device_stream_synchronize(void *stream);
/* Whether all work handed to the stream has ended; does not wait. */
pk_status pk_device_stream_idle(void *stream, bool *idle);
pk_status pk_device_synchronize(void);

/* Timing events. */
pk_status pk_device_event_create(void **event);
void pk_device_event_destroy(void *event);
pk_status pk_device_event_record(void *event, void *stream);
pk_status pk_device_event_synchronize(void *event);
pk_status pk_device_event_elapsed_us(double *us, void *start, void *stop);

/* What each running block waits for, in one line, where the device can tell: the CPU device can, and a GPU leaves the
 * text empty. From any thread, also while kernels hang. */
void pk_device_describe_blocked(char *text, size_t text_bytes);

/* ---- launch accounting: what PK_LAUNCH reports, and who reads it ---- */

/* One PK_LAUNCH in the source. */
typedef struct pk_launch_site {
    const char *kernel, *file;
    int line;
} pk_launch_site;

typedef struct pk_launch_counts {
    uint64_t launches;      /* kernels handed to the runtime by PK_LAUNCH since the last reset */
    uint64_t graph_replays; /* graphs handed to the runtime since the last reset */
    uint64_t foreign;       /* of these, on a stream that was not registered */
    double submit_us;       /* time inside the runtime's launch calls; 0 unless pk_launch_time_calls(true) */
    char foreign_site[256]; /* "kernel at file:line" of the first foreign launch; "" when none */
} pk_launch_counts;

void pk_launch_counts_reset(void);
void pk_launch_counts_read(pk_launch_counts *counts);

/* Time each launch call (about 50 ns each); off by default. */
void pk_launch_time_calls(bool on);

/* One PK_LAUNCH or PK_GRAPH_LAUNCH, as its call returns. */
typedef struct pk_launch_event {
    const pk_launch_site *site;
    unsigned grid[3], block[3]; /* 0 of a graph */
    void *stream;
    uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC */
    bool is_replay;
} pk_launch_event;
typedef void pk_launch_watcher(const pk_launch_event *event, void *context); /* on the thread that launches */

/* Tell `watcher` of each launch from now on; NULL: nobody. Not while a thread launches. */
void pk_launch_watch(pk_launch_watcher *watcher, void *context);

/* Work on a stream that is not registered is counted as foreign: it runs outside what is timed. */
void pk_launch_register_stream(void *stream);
/* Before it is destroyed; not while a thread launches. */
void pk_launch_unregister_stream(void *stream);
void pk_launch_forget_streams(void);

/* "kernel<<<(4,1,1), (256,1,1)>>> at file.cu:31" for the last launch of the process: for the watchdog.
 * Async-signal-safe. */
void pk_launch_describe_last(char *text, size_t text_bytes);

/* Used by the launch macros only. */
void pk_launch_begin(const pk_launch_site *site, const unsigned grid[3], const unsigned block[3], void *stream);
void pk_launch_end(void);
void pk_launch_replay_begin(void *stream); /* and pk_launch_end after it */

#ifdef __cplusplus
}
#endif
#endif
