/* What a kernel calls by the C library's names and CUDA defines otherwise: clock and assert. Defined here they stand
 * before the C library's in every program that uses them; called by the host they do what those do. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine.h"
#include "os.h"

/* In a kernel: the counter of clock64(). */
extern "C" clock_t clock(void) noexcept
{
    struct timespec used;
    if (pk_in_kernel)
        return (clock_t)pk_now_ns();
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
        return (clock_t)-1;
    return (clock_t)used.tv_sec * CLOCKS_PER_SEC + (clock_t)(used.tv_nsec / (1000000000 / CLOCKS_PER_SEC));
}

/* What a failed assert() calls. In a kernel: CUDA's line and CUDA's error, which sticks. */
extern "C" __attribute__((noreturn)) void __assert_fail(const char *condition, const char *file, unsigned line,
                                                        const char *function) noexcept
{
    if (pk_in_kernel) {
        fprintf(stderr, "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n", file, line,
                function ? function : "", blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z,
                condition);
        pk_runner_fault(cudaErrorAssert);
    }
    fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line, function ? function : "", condition);
    abort();
}
