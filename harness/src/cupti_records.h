/* The part of CUPTI's activity API that is used here: values and the beginnings of records, from CUPTI's documentation
 * and its header ("Activity API"). Records grow at their ends from version to version; what is declared here stands at
 * the same place in CUDA 12.4 to 13. The build compares all of it with CUPTI's own header where that is there. */
#ifndef PK_CUPTI_RECORDS_H
#define PK_CUPTI_RECORDS_H

#include <stdint.h>

enum {
    PK_CUPTI_SUCCESS = 0,
    PK_CUPTI_MEMCPY = 1,             /* CUPTI_ACTIVITY_KIND_MEMCPY */
    PK_CUPTI_MEMSET = 2,             /* CUPTI_ACTIVITY_KIND_MEMSET */
    PK_CUPTI_RUNTIME = 5,            /* CUPTI_ACTIVITY_KIND_RUNTIME: a record a call of the runtime API */
    PK_CUPTI_CONCURRENT_KERNEL = 10, /* CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: a record a kernel, graphs' included */
    PK_CUPTI_RUNTIME_API = 2,        /* CUPTI_CB_DOMAIN_RUNTIME_API */
    PK_CUPTI_FLUSH_ALL = 1,          /* CUPTI_ACTIVITY_FLAG_FLUSH_FORCED: buffers that are not full, too */
    PK_CUPTI_ALIGNMENT = 8           /* ACTIVITY_RECORD_ALIGNMENT */
};

typedef struct pk_cupti_activity { /* what every record begins with */
    uint32_t kind;
} pk_cupti_activity;

typedef struct pk_cupti_call { /* RUNTIME */
    uint32_t kind, function;   /* cuptiGetCallbackName has the function's name */
    uint64_t start, end;       /* ns by CUPTI's clock, as all times */
    uint32_t process, thread, correlation, result;
} pk_cupti_call;

typedef struct pk_cupti_kernel { /* CONCURRENT_KERNEL: version 9 (CUDA 12.4) and later */
    uint32_t kind;
    uint8_t cache, shared_memory;
    uint16_t registers;
    uint32_t partitioned[2];
    uint64_t start, end, completed; /* 0: not known */
    uint32_t device, context, stream;
    int32_t grid[3], block[3];
    int32_t static_shared, dynamic_shared;
    uint32_t local_per_thread, local_total;
    uint32_t correlation; /* of the call that launched it, or its graph */
    int64_t grid_id;
    const char *name; /* mangled */
    void *reserved;
    uint64_t queued, submitted;
    uint8_t launch_type, carveout_requested, carveout, padding;
    uint32_t shared_executed;
    uint64_t graph_node; /* 0: in no graph */
    uint32_t shared_limit;
    uint32_t graph;
} pk_cupti_kernel;

typedef struct pk_cupti_memcpy { /* MEMCPY */
    uint32_t kind;
    uint8_t copy_kind, source, target, flags; /* copy_kind: 1 host to device, 2 device to host, 8 on the device */
    uint64_t bytes, start, end;
    uint32_t device, context, stream, correlation, runtime_correlation, padding;
    void *reserved;
    uint64_t graph_node;
    uint32_t graph;
} pk_cupti_memcpy;

typedef struct pk_cupti_memset { /* MEMSET */
    uint32_t kind, value;
    uint64_t bytes, start, end;
    uint32_t device, context, stream, correlation;
    uint16_t flags, memory_kind;
    uint32_t padding;
    void *reserved;
    uint64_t graph_node;
    uint32_t graph;
} pk_cupti_memset;

#endif
