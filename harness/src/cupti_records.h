/* The part of CUPTI's activity API that the kernel count uses. Values from CUPTI's documentation. */
#ifndef PK_CUPTI_RECORDS_H
#define PK_CUPTI_RECORDS_H

#include <stdint.h>

enum {
    PK_CUPTI_SUCCESS = 0,
    PK_CUPTI_CONCURRENT_KERNEL = 10, /* CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: a record a kernel, graphs' included */
    PK_CUPTI_FLUSH_ALL = 1,          /* CUPTI_ACTIVITY_FLAG_FLUSH_FORCED: buffers that are not full, too */
    PK_CUPTI_ALIGNMENT = 8           /* ACTIVITY_RECORD_ALIGNMENT */
};

typedef struct pk_cupti_activity { /* what every record begins with */
    uint32_t kind;
} pk_cupti_activity;

#endif
