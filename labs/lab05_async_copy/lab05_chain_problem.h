/* Lab 05, part two: what its C files share. chain.c has shapes, inputs and the check of --work=chain, and what
 * problem.c and sweeps.c ask of it. */
#ifndef LAB05_CHAIN_PROBLEM_H
#define LAB05_CHAIN_PROBLEM_H

#include "lab05_chain.h"

/* The names of --shape, and how many. */
enum { LAB05_CHAIN_SMALL, LAB05_CHAIN_UNEVEN, LAB05_CHAIN_LLAMA, LAB05_CHAIN_QWEN, LAB05_CHAIN_SHAPES };
extern const char *const lab05_chain_shapes[LAB05_CHAIN_SHAPES];

pk_status lab05_chain_validate(const pk_run *run);
pk_status lab05_chain_setup(pk_run *run);
pk_status lab05_chain_fill(pk_run *run, uint64_t seed);
pk_status lab05_chain_reset(pk_run *run);
pk_status lab05_chain_verify(pk_run *run, pk_verdict *verdict);
void lab05_chain_teardown(pk_run *run);

/* Of a shape, by its number: what a pass reads, in bytes; its multiplications and additions; its phases. */
double lab05_chain_bytes(long long of);
double lab05_chain_flops(long long of);
int lab05_chain_phases(long long of);

#ifdef __cplusplus
extern "C" {
#endif

/* chain_spread.cu: row r of all the matrices' rows becomes the first columns of pattern r mod `count`; patterns are
 * [count][most_columns] bf16, device memory, in stream order. */
pk_status lab05_chain_spread(const lab05_chain *chain, const uint16_t *patterns, int count, int most_columns,
                             void *stream);

#ifdef __cplusplus
}
#endif

#endif
