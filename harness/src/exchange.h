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

/* A set of buffers: bit i is the i-th. */
typedef uint64_t pk_buffer_set;
pk_buffer_set pk_exchange_all(const pk_bench *bench);     /* but for the lab's reference, which goes nowhere */
pk_buffer_set pk_exchange_results(const pk_bench *bench); /* those that a repetition may write */

/* Buffers to the memory, or from there; they are there when it returns. */
pk_status pk_exchange_put_buffers(const pk_bench *bench, pk_buffer_set which, unsigned char *memory);
pk_status pk_exchange_take_buffers(const pk_bench *bench, pk_buffer_set which, const unsigned char *memory);

/* Copy those, and the host parts, from one such memory to another. */
void pk_exchange_copy(const pk_bench *bench, pk_buffer_set which, unsigned char *to, const unsigned char *from);

/* The inputs among them that are not the same in both, guards included. */
pk_buffer_set pk_exchange_changed_inputs(const pk_bench *bench, const unsigned char *one, const unsigned char *other);

#endif
