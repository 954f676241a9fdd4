/* Seeded pseudo-random numbers: the same seed gives the same values on every machine and backend.
 *
 * Generator: xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47(4),
 * 2021), its state filled by SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
 * OOPSLA 2014), as its authors advise. Not for secrets. */
#ifndef PK_RANDOM_H
#define PK_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_random {
    uint64_t state[4];
    uint64_t until_parting; /* draws until another way is taken; 0: none is */
    uint64_t parting_salt;
} pk_random;

/* Any seed is good, 0 included. */
void pk_random_seed(pk_random *random, uint64_t seed);

/* From now on every generator that is seeded gives its first `draws` numbers as ever, and then others, which `salt`
 * chooses: so inputs come about that begin like known ones, and are not those. `draws` 0: no more. For who grades; not
 * while another thread seeds. */
void pk_random_part(uint64_t draws, uint64_t salt);

uint64_t pk_random_u64(pk_random *random); /* all 64 bits uniform */

/* Uniform in [0, bound), without modulo bias; `bound` is at least 1. */
uint64_t pk_random_below(pk_random *random, uint64_t bound);

float pk_random_float(pk_random *random);   /* uniform in [0, 1): a multiple of 2^-24 */
double pk_random_double(pk_random *random); /* uniform in [0, 1): a multiple of 2^-53 */

/* Fill `values` [count] with floats uniform in [low, high]: low + (high - low) u, rounded to float. */
void pk_random_fill(pk_random *random, float *values, size_t count, float low, float high);

/* A seed for part `index` of what `seed` stands for, so that parts are independent of each other and of how many
 * numbers each draws: output `index` of the SplitMix64 sequence that starts at `seed`. */
uint64_t pk_random_split(uint64_t seed, uint64_t index);

#ifdef __cplusplus
}
#endif
#endif
