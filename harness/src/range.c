/* Ranges that a profiler shows, by NVTX where its header was there at build time. */
#include "pk/host.h"
#include "tools.h"

#ifdef PK_HAVE_NVTX

#include <nvtx3/nvToolsExt.h>

void pk_range_push(const char *name)
{
    (void)nvtxRangePushA(name);
}

void pk_range_pop(void)
{
    (void)nvtxRangePop();
}

bool pk_nvtx_present(void)
{
    return true;
}

#else

void pk_range_push(const char *name)
{
    (void)name;
}

void pk_range_pop(void)
{
}

bool pk_nvtx_present(void)
{
    return false;
}

#endif
