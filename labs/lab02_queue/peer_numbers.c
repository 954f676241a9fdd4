/* What peer_test.py compares the numbers of the programs in Python with: the generator, the inputs as inputs.c draws
 * them, and statistics, in hexadecimal, so that nothing is rounded on the way. inputs.c is included, not linked, for
 * its draw_axpy is its own.
 *
 * usage: peer_numbers random SEED COUNT BOUND   COUNT numbers: split, u64 and one below BOUND
 *        peer_numbers inputs SEED COUNT         x and start of COUNT floats
 *        peer_numbers statistics SEED VALUE...  median, p10, p90, p99, spread, and the interval of the median */
#include "inputs.c" /* NOLINT(bugprone-suspicious-include) */

#include <inttypes.h>
#include <stdio.h>

#include "pk/stats.h"

/* The lab's kernels and buffers have no part in this. */
pk_status lab02_serial(const lab02_problem *into, const float *start, const unsigned *counts, void *stream)
{
    (void)into, (void)start, (void)counts, (void)stream;
    return PK_FAULT;
}

pk_status lab02_out_of_memory(void)
{
    return PK_FAULT;
}

static void print_random(uint64_t seed, uint64_t count, uint64_t bound)
{
    pk_random random;
    pk_random_seed(&random, seed);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t any = pk_random_u64(&random);
        printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", pk_random_split(seed, i), any, pk_random_below(&random, bound));
    }
}

static int print_inputs(uint64_t seed, size_t count)
{
    lab02_inputs inputs = {.x = malloc(count * sizeof(float)), .start = malloc(count * sizeof(float))};
    lab02 lab = {
        .problem = {.n = (int)count, .requests = 1},
    };
    const bool there = inputs.x && inputs.start;
    if (there) {
        pk_random random;
        pk_random_seed(&random, pk_random_split(seed, 0)); /* as fill does */
        draw_axpy(&lab, &inputs, &random);
        for (size_t i = 0; i < count; i++)
            printf("%a %a\n", (double)inputs.x[i], (double)inputs.start[i]);
    }
    free(inputs.x);
    free(inputs.start);
    return there ? 0 : 2;
}

static int print_statistics(uint64_t seed, char **words, size_t count)
{
    double *values = malloc(count * sizeof *values);
    if (!values)
        return 2;
    for (size_t i = 0; i < count; i++)
        values[i] = strtod(words[i], NULL);
    const pk_summary s = pk_summarise(values, count);
    const pk_interval interval = pk_bootstrap_median(values, count, 1, 2000, 0.95, seed);
    printf("%a %a %a %a %a %a %a\n", s.median, s.p10, s.p90, s.p99, s.relative_spread, interval.low, interval.high);
    free(values);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 3 ? argv[1] : "";
    const uint64_t seed = argc > 3 ? strtoull(argv[2], NULL, 10) : 0,
                   count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (strcmp(what, "random") == 0 && argc == 5)
        print_random(seed, count, strtoull(argv[4], NULL, 10));
    else if (strcmp(what, "inputs") == 0)
        return print_inputs(seed, count);
    else if (strcmp(what, "statistics") == 0)
        return print_statistics(seed, argv + 3, (size_t)argc - 3);
    else
        return 2;
    return 0;
}
