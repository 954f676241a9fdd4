/* Stands in for libcupti.so.13: two buffers of records are ready at each flush while recording is on, three kernels
 * and one other activity each. FAKE_CUPTI in the environment: "busy" refuses to record, "lossy" drops records. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../src/cupti_records.h"

enum { RECORDS = 4, RECORD_BYTES = 64, MAX_LIMIT_REACHED = 12, OTHER_SUBSCRIBER = 39 };

typedef void give_buffer(uint8_t **buffer, size_t *bytes, size_t *max_records);
typedef void take_buffer(void *context, uint32_t stream, uint8_t *buffer, size_t bytes, size_t valid_bytes);

int cuptiActivityRegisterCallbacks(give_buffer *give, take_buffer *take);
int cuptiActivityEnable(int kind);
int cuptiActivityDisable(int kind);
int cuptiActivityFlushAll(uint32_t flags);
int cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid_bytes, pk_cupti_activity **record);
int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *dropped);
int cuptiFinalize(void);

static give_buffer *give_one;
static take_buffer *take_one;
static int recording;

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
    if (is("busy"))
        return OTHER_SUBSCRIBER;
    recording = kind == PK_CUPTI_CONCURRENT_KERNEL;
    return PK_CUPTI_SUCCESS;
}

int cuptiActivityDisable(int kind)
{
    (void)kind;
    recording = 0;
    return PK_CUPTI_SUCCESS;
}

int cuptiActivityFlushAll(uint32_t flags)
{
    (void)flags;
    for (int i = 0; recording && give_one && i < 2; i++) {
        uint8_t *buffer;
        size_t bytes, max_records;
        give_one(&buffer, &bytes, &max_records);
        for (uint32_t r = 0; r < RECORDS; r++) {
            const uint32_t kind = r == 1 ? 5 : PK_CUPTI_CONCURRENT_KERNEL;
            memcpy(buffer + (size_t)r * RECORD_BYTES, &kind, sizeof kind);
        }
        take_one(NULL, 0, buffer, bytes, (size_t)RECORDS * RECORD_BYTES);
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

/* As the real one: callbacks are forgotten, and nothing is recorded until they are registered again. */
int cuptiFinalize(void)
{
    give_one = NULL;
    take_one = NULL;
    recording = 0;
    return PK_CUPTI_SUCCESS;
}
