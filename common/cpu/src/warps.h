/* Warps: what a block tells them. */
#ifndef PK_CPU_WARPS_H
#define PK_CPU_WARPS_H

#include "block.h"

void pk_warps_reset(struct pk_cpu_block *block);
/* Thread `t` ended, or waits for something else than its warp: others may meet without it. */
void pk_warp_thread_left(struct pk_cpu_block *block, unsigned t, bool ended);

#endif
