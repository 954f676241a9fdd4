/* What two processes that run the same lab at the same knobs hand each other: a bench's host parts and its buffers with
 * their guard bytes, one behind the other in memory that both see. */
#ifndef PK_EXCHANGE_H
#define PK_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "run.h"

size_t pk_exchange_bytes(const pk_bench *bench); /* of that memory */

/* A digest of names, roles and sizes: two benches with the same one lie alike in the memory. */
uint64_t pk_exchange_shape(const pk_bench *bench);

/* The parts of a role to the memory, or from there. */
void pk_exchange_put_parts(const pk_bench *bench, pk_host_role role, unsigned char *memory);
void pk_exchange_take_parts(const pk_bench *bench, pk_host_role role, const unsigned char *memory);

/* All buffers to the memory, or from there; they are there when it returns. */
pk_status pk_exchange_put_buffers(const pk_bench *bench, unsigned char *memory);
pk_status pk_exchange_take_buffers(const pk_bench *bench, const unsigned char *memory);

/* Those alone that a repetition may write. */
pk_status pk_exchange_take_results(const pk_bench *bench, const unsigned char *memory);

/* The name of the first input that is not in `memory` what it is in `sent`, guards included; NULL: all are. */
const char *pk_exchange_changed_input(const pk_bench *bench, const unsigned char *sent, const unsigned char *memory);

#endif
