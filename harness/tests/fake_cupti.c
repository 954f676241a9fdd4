/* Stands in for libcupti.so.13: two buffers of the same records are ready at each flush while recording is on: two
 * calls that hand over a kernel, a graph of two kernels, a copy and a fill, three calls that do not, three kernels in
 * all, and one record of another kind. FAKE_CUPTI in the environment: "busy" refuses to record, "lossy" drops a record
 * a buffer, "half" refuses kernels alone, "timeless" does not know when kernels ran, "misnumbered" gives the kernels of
 * graphs a number that no call has. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../src/cupti_records.h"

enum { RECORD_BYTES = 256, MAX_LIMIT_REACHED = 12, INVALID_PARAMETER = 1, OTHER_SUBSCRIBER = 39, OVERHEAD = 17 };
enum { LAUNCH = 505, PUSH = 502, GRAPH_LAUNCH = 311, MEMCPY_ASYNC = 41, LAST_ERROR = 10, WAIT = 131 }; /* calls */

typedef void give_buffer(uint8_t **buffer, size_t *bytes, size_t *max_records);
typedef void take_buffer(void *context, uint32_t stream, uint8_t *buffer, size_t bytes, size_t valid_bytes);

int cuptiActivityRegisterCallbacks(give_buffer *give, take_buffer *take);
int cuptiActivityEnable(int kind);
int cuptiActivityDisable(int kind);
int cuptiActivityFlushAll(uint32_t flags);
int cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid_bytes, pk_cupti_activity **record);
int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *dropped);
int cuptiFinalize(void);
int cuptiGetTimestamp(uint64_t *ns);
int cuptiGetCallbackName(int domain, uint32_t function, const char **name);

static give_buffer *give_one;
static take_buffer *take_one;
static int recording; /* kinds that are enabled */

static int is(const char *mode)
{
    const char *set = getenv("FAKE_CUPTI");
    return set && strcmp(set, mode) == 0;
}

int cuptiActivityRegisterCallbacks(give_buffer *give, take_buffer *take)
{
    give_one = give;
    take_one = take;
    return PK_CUPTI_SUCCESS;
}

int cuptiActivityEnable(int kind)
{
    if (is("busy") || (is("half") && kind == PK_CUPTI_CONCURRENT_KERNEL))
        return OTHER_SUBSCRIBER;
    recording++;
    return PK_CUPTI_SUCCESS;
}

int cuptiActivityDisable(int kind)
{
    (void)kind;
    recording--;
    return PK_CUPTI_SUCCESS;
}

static void add(uint8_t **at, const void *record, size_t bytes)
{
    memcpy(*at, record, bytes);
    *at += RECORD_BYTES;
}

/* Of thread 7, from `start` on, for 2 us. */
static void add_call(uint8_t **at, uint32_t function, uint32_t correlation, uint64_t start)
{
    const pk_cupti_call call = {.kind = PK_CUPTI_RUNTIME,
                                .function = function,
                                .start = start,
                                .end = start + 2000,
                                .thread = 7,
                                .correlation = correlation};
    add(at, &call, sizeof call);
}

static void add_kernel(uint8_t **at, const char *name, uint32_t correlation, uint64_t start, uint64_t node)
{
    const pk_cupti_kernel kernel = {.kind = PK_CUPTI_CONCURRENT_KERNEL,
                                    .start = is("timeless") ? 0 : start,
                                    .end = is("timeless") ? 0 : start + 1000,
                                    .stream = 13,
                                    .grid = {4, 2, 1},
                                    .block = {256, 1, 1},
                                    .correlation = is("misnumbered") && node ? 9 : correlation,
                                    .name = name,
                                    .graph_node = node,
                                    .graph = node ? 3 : 0};
    add(at, &kernel, sizeof kernel);
}

static size_t fill_buffer(uint8_t *buffer)
{
    uint8_t *at = buffer;
    const uint32_t other = OVERHEAD;
    const pk_cupti_memcpy copy = {.kind = PK_CUPTI_MEMCPY,
                                  .copy_kind = 2,
                                  .bytes = 4000,
                                  .start = 30000,
                                  .end = 31000,
                                  .stream = 13,
                                  .correlation = 4};
    const pk_cupti_memset fill = {.kind = PK_CUPTI_MEMSET,
                                  .bytes = 80,
                                  .start = 25500, /* beside the graph's first kernel */
                                  .end = 26500,
                                  .stream = 13,
                                  .correlation = 3,
                                  .graph_node = 12,
                                  .graph = 3};
    add_call(&at, PUSH, 6, 10500);
    add_call(&at, LAUNCH, 1, 11000);
    add_kernel(&at, "_Z9axpy_stepifPKfPf", 1, 15000, 0);
    add(&at, &other, sizeof other);
    add_call(&at, LAST_ERROR, 2, 13500);
    add_kernel(&at, "_Z4tileILi64EEvPf", 3, 25000, 10); /* before its call's record, as CUPTI may */
    add_kernel(&at, "_Z4tileILi64EEvPf", 3, 27000, 11);
    add_call(&at, GRAPH_LAUNCH, 3, 20000);
    add(&at, &fill, sizeof fill);
    add_call(&at, MEMCPY_ASYNC, 4, 23000);
    add(&at, &copy, sizeof copy);
    add_call(&at, WAIT, 5, 29500);
    return (size_t)(at - buffer);
}

int cuptiActivityFlushAll(uint32_t flags)
{
    (void)flags;
    for (int i = 0; recording && give_one && i < 2; i++) {
        uint8_t *buffer;
        size_t bytes, max_records;
        give_one(&buffer, &bytes, &max_records);
        take_one(NULL, 0, buffer, bytes, fill_buffer(buffer));
    }
    return PK_CUPTI_SUCCESS;
}

int cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid_bytes, pk_cupti_activity **record)
{
    uint8_t *next = *record ? (uint8_t *)*record + RECORD_BYTES : buffer;
    if (next >= buffer + valid_bytes)
        return MAX_LIMIT_REACHED;
    *record = (pk_cupti_activity *)(void *)next;
    return PK_CUPTI_SUCCESS;
}

int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *dropped)
{
    (void)context;
    (void)stream;
    *dropped = is("lossy") ? 1 : 0;
    return PK_CUPTI_SUCCESS;
}

/* As the real one: callbacks are forgotten, and nothing is recorded until they are registered again. Nobody leaves with
 * a kind enabled. */
int cuptiFinalize(void)
{
    if (recording != 0)
        abort();
    give_one = NULL;
    take_one = NULL;
    recording = 0;
    return PK_CUPTI_SUCCESS;
}

/* 10 us at first, 40 us at the next question, and so on. */
int cuptiGetTimestamp(uint64_t *ns)
{
    static uint64_t now = 10000;
    *ns = now;
    now += 30000;
    return PK_CUPTI_SUCCESS;
}

int cuptiGetCallbackName(int domain, uint32_t function, const char **name)
{
    *name = function == LAUNCH         ? "__cudaLaunchKernel_v13000"
            : function == PUSH         ? "__cudaPushCallConfiguration_v13000"
            : function == GRAPH_LAUNCH ? "cudaGraphLaunch_v10000"
            : function == MEMCPY_ASYNC ? "cudaMemcpyAsync_ptsz"
            : function == LAST_ERROR   ? "cudaGetLastError_v3020"
                                       : "cudaStreamSynchronize_ptsz_v7000";
    return domain == PK_CUPTI_RUNTIME_API ? PK_CUPTI_SUCCESS : INVALID_PARAMETER;
}
