/* What every test here shares: a check that names its line, and the launch macro's plain form. */
#ifndef PK_CPU_TEST_CHECK_H
#define PK_CPU_TEST_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cuda_runtime.h>

static int failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

#define EXPECT(call, error)                                                                                            \
    do {                                                                                                               \
        const cudaError_t got_ = (call);                                                                               \
        if (got_ != (error)) {                                                                                         \
            fprintf(stderr, "%s:%d: %s gave %s, not %s\n", __FILE__, __LINE__, #call, cudaGetErrorName(got_), #error); \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

#define OK(call) EXPECT(call, cudaSuccess)

#define LAUNCH(kernel, grid, block, smem, stream, ...)                                                                 \
    OK(PK_CPU_LAUNCH(kernel, grid, block, smem, stream, ##__VA_ARGS__))

/* Whether all blocks that fit the device are resident: a launch does not promise it, and this order keeps some out. */
static inline bool blocks_are_resident(void)
{
    const char *schedule = getenv("PK_CPU_SCHEDULE");
    return !schedule || strncmp(schedule, "random", 6) != 0;
}

static inline double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

/* A hang is a failure with a message, not a test that never ends. */
static inline void limit_seconds(unsigned seconds)
{
    alarm(seconds);
}

#endif
