/* Copies that land later: what a block tells them. */
#ifndef PK_CPU_COPIES_H
#define PK_CPU_COPIES_H

#include "block.h"

/* A thread of the block has ended: its copies land, waited for or not. */
void pk_thread_copies_end(struct pk_cpu_block *block, unsigned thread);
/* Forget copies of a block that is over. */
void pk_block_copies_reset(struct pk_cpu_block *block);

#endif
