/* The host's clock. */
#include <time.h>

#include "pk/host.h"

double pk_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock is required and `now` is valid */
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}
