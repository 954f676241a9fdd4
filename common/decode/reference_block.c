/* The block product by vectors of the machine's width (a GNU C extension that gcc and clang share): compilers keep the
 * sums in registers when they are vectors, and not always when they are arrays of numbers. */
#include "reference_block.h"

#include <string.h>

/* `rows` x `lanes` sums at a time, as many as the registers hold beside what is read; sizes are constants, so that all
 * inner loops unroll. */
#define BLOCK_PRODUCT(name, vector, rows, lanes)                                                                       \
    static void name(const double *matrix, const double *in, size_t terms, double *out)                                \
    {                                                                                                                  \
        enum { PER_VECTOR = sizeof(vector) / sizeof(double), VECTORS = (lanes) / PER_VECTOR };                         \
        for (size_t row = 0; row < PK_BLOCK_ROWS; row += (rows)) {                                                     \
            for (size_t lane = 0; lane < PK_BLOCK_LANES; lane += (lanes)) {                                            \
                vector sum[rows][VECTORS];                                                                             \
                memset(sum, 0, sizeof sum);                                                                            \
                for (size_t i = 0; i < terms; i++) {                                                                   \
                    const vector *column = (const vector *)(in + i * PK_BLOCK_LANES + lane);                           \
                    _Pragma("GCC unroll 16") for (size_t r = 0; r < (rows); r++)                                       \
                        _Pragma("GCC unroll 16") for (size_t v = 0; v < VECTORS; v++) sum[r][v] +=                     \
                        matrix[i * PK_BLOCK_ROWS + row + r] * column[v];                                               \
                }                                                                                                      \
                for (size_t r = 0; r < (rows); r++)                                                                    \
                    memcpy(out + (row + r) * PK_BLOCK_LANES + lane, sum[r], sizeof sum[r]);                            \
            }                                                                                                          \
        }                                                                                                              \
    }

typedef double pk_double2 __attribute__((vector_size(16), may_alias));
BLOCK_PRODUCT(product_plain, pk_double2, 4, 4)

#if defined(__x86_64__)
typedef double pk_double4 __attribute__((vector_size(32), may_alias));
typedef double pk_double8 __attribute__((vector_size(64), may_alias));
__attribute__((target("avx2,fma"))) BLOCK_PRODUCT(product_avx2, pk_double4, 4, 8) __attribute__((target("avx512f")))
BLOCK_PRODUCT(product_avx512, pk_double8, 8, 16)

    void pk_reference_block(const double *matrix, const double *in, size_t terms, double *out)
{
    if (__builtin_cpu_supports("avx512f"))
        product_avx512(matrix, in, terms, out);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        product_avx2(matrix, in, terms, out);
    else
        product_plain(matrix, in, terms, out);
}
#else
void pk_reference_block(const double *matrix, const double *in, size_t terms, double *out)
{
    product_plain(matrix, in, terms, out);
}
#endif
