/* xoshiro256** seeded by SplitMix64; the papers are named in the header. */
#include "num/pk_random.h"

#include "num/pk_splitmix.h"

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t pk_random_split(uint64_t seed, uint64_t index)
{
    return pk_splitmix64(seed, index);
}

static uint64_t parting_draws, parting_salt;

void pk_random_part(uint64_t draws, uint64_t salt)
{
    parting_draws = draws;
    parting_salt = salt;
}

void pk_random_seed(pk_random *random, uint64_t seed)
{
    for (uint64_t i = 0; i < 4; i++)
        random->state[i] = pk_random_split(seed, i);
    random->until_parting = parting_draws;
    random->parting_salt = parting_salt;
}

static void take_another_way(pk_random *random)
{
    for (uint64_t i = 0; i < 4; i++)
        random->state[i] = pk_random_split(random->state[i] ^ random->parting_salt, i);
}

uint64_t pk_random_u64(pk_random *random)
{
    uint64_t *s = random->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    if (random->until_parting > 0 && --random->until_parting == 0)
        take_another_way(random);
    return result;
}

uint64_t pk_random_below(pk_random *random, uint64_t bound)
{
    /* 2^64 mod bound values at the low end would make some remainders likelier: draw again when one comes. */
    const uint64_t rejected = (0 - bound) % bound;
    uint64_t drawn;
    do
        drawn = pk_random_u64(random);
    while (drawn < rejected);
    return drawn % bound;
}

float pk_random_float(pk_random *random)
{
    return (float)(pk_random_u64(random) >> 40) * 0x1p-24f;
}

double pk_random_double(pk_random *random)
{
    return (double)(pk_random_u64(random) >> 11) * 0x1p-53;
}

void pk_random_fill(pk_random *random, float *values, size_t count, float low, float high)
{
    const double span = (double)high - (double)low;
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)low + span * pk_random_double(random));
}
