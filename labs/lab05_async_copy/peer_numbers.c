/* What peer_test.py compares the inputs of peer_triton.py with, in hexadecimal, so that nothing is rounded on the way.
 * problem.c is included, not linked, for its draw_patterns and draw_table are its own.
 *
 * usage: peer_numbers SEED PAGES ROWS DIM   a line each: q; sums of the patterns with it; table; scale; scores */
#include "problem.c" /* NOLINT(bugprone-suspicious-include) */

#include "pk/program.h"

/* The lab's kernels and variants have no part in this. */
const pk_variant_file pk_variant_files[] = {{false, NULL}};
const size_t pk_variant_file_count = 0;

static void print_floats(const float *values, int count)
{
    for (int i = 0; i < count; i++)
        printf("%a ", (double)values[i]);
    printf("\n");
}

static void print_inputs(const lab05_view *v, reference *host, uint64_t seed)
{
    float q[128] = {0};
    draw_q(v, q, seed);
    draw_patterns(v, host, q, seed);
    draw_table(v, host, LAB05_SHUFFLED, seed);
    print_floats(q, v->dim);
    for (int i = 0; i < host->count; i++)
        printf("%a ", host->sums[i]);
    printf("\n");
    for (int p = 0; p < v->pages; p++)
        printf("%a ", (double)host->table[p]);
    printf("\n");
    print_floats(host->scale, v->pages);
    print_floats(host->want, v->pages);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    lab05_view v = {.pages = atoi(argv[2]), .rows = atoi(argv[3]), .dim = atoi(argv[4])};
    const size_t pages = (size_t)v.pages;
    reference host = {.count = v.pages < MOST_PATTERNS ? v.pages : MOST_PATTERNS,
                      .want = malloc(pages * sizeof(float)),
                      .table = malloc(pages * sizeof(int)),
                      .scale = malloc(pages * sizeof(float)),
                      .patterns = malloc(pages * lab05_page_bytes(&v)),
                      .sums = malloc(pages * sizeof(double))};
    const bool there = host.want && host.table && host.scale && host.patterns && host.sums;
    if (there)
        print_inputs(&v, &host, strtoull(argv[1], NULL, 10));
    free(host.want);
    free(host.table);
    free(host.scale);
    free(host.patterns);
    free(host.sums);
    return there ? 0 : 2;
}
