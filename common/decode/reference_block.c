/* The block product by vectors of the machine's width (a GNU C extension that gcc and clang share): compilers keep the
 * sums in registers when they are vectors, and not always when they are arrays of numbers. */
#include "reference_block.h"

#include <string.h>

/* `rows` x `lanes` sums at a time, as many as the registers hold beside what is read; sizes are constants, so that all
 * inner loops unroll. */
#define BLOCK_PRODUCT(unit, name, vector, rows, lanes)                                                                 \
    unit static void name(const double *matrix, const double *in, size_t terms, double *out)                           \
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

/* Eight numbers at a time, wherever they lie. */
typedef double pk_numbers __attribute__((vector_size(64), aligned(8), may_alias));
typedef float pk_floats __attribute__((vector_size(32)));
typedef uint32_t pk_words __attribute__((vector_size(32)));
typedef uint16_t pk_halves __attribute__((vector_size(16), aligned(2), may_alias));
enum { NUMBERS = sizeof(pk_numbers) / sizeof(double), MIX_ROWS = 128 /* of some 16 KB: they stay near */ };

/* A bf16 is a float's upper half. */
#define WIDEN(from)                                                                                                    \
    __builtin_convertvector((pk_floats)(__builtin_convertvector(*(const pk_halves *)(from), pk_words) << 16),          \
                            pk_numbers)

#define BF16_DOTS(unit, name)                                                                                          \
    unit static void name(const uint16_t *rows, size_t count, size_t width, const double *in, double *out)             \
    {                                                                                                                  \
        for (size_t row = 0; row < count; row++) {                                                                     \
            pk_numbers sum = {0};                                                                                      \
            for (size_t i = 0; i < width; i += NUMBERS)                                                                \
                sum += WIDEN(rows + row * width + i) * *(const pk_numbers *)(in + i);                                  \
            out[row] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));              \
        }                                                                                                              \
    }

#define BF16_MIX(unit, name)                                                                                           \
    unit static void name(const uint16_t *rows, size_t count, size_t width, const double *weights, double *out)        \
    {                                                                                                                  \
        for (size_t first = 0; first < count; first += MIX_ROWS) {                                                     \
            const size_t end = first + MIX_ROWS < count ? first + MIX_ROWS : count;                                    \
            for (size_t i = 0; i < width; i += NUMBERS) {                                                              \
                pk_numbers sum = *(const pk_numbers *)(out + i);                                                       \
                for (size_t row = first; row < end; row++)                                                             \
                    sum += weights[row] * WIDEN(rows + row * width + i);                                               \
                *(pk_numbers *)(out + i) = sum;                                                                        \
            }                                                                                                          \
        }                                                                                                              \
    }

typedef double pk_double2 __attribute__((vector_size(16), may_alias));
BLOCK_PRODUCT(, product_plain, pk_double2, 4, 4)
BF16_DOTS(, dots_plain)
BF16_MIX(, mix_plain)

#if defined(__x86_64__)
typedef double pk_double4 __attribute__((vector_size(32), may_alias));
typedef double pk_double8 __attribute__((vector_size(64), may_alias));
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f")))
BLOCK_PRODUCT(AVX2, product_avx2, pk_double4, 4, 8)
BF16_DOTS(AVX2, dots_avx2)
BF16_MIX(AVX2, mix_avx2)
BLOCK_PRODUCT(AVX512, product_avx512, pk_double8, 8, 16)
BF16_DOTS(AVX512, dots_avx512)
BF16_MIX(AVX512, mix_avx512)

/* The one that the processor has the unit for. */
#define BEST(what)                                                                                                     \
    (__builtin_cpu_supports("avx512f")                                 ? what##_avx512                                 \
     : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? what##_avx2                                   \
                                                                       : what##_plain)
#else
#define BEST(what) what##_plain
#endif

void pk_reference_block(const double *matrix, const double *in, size_t terms, double *out)
{
    BEST(product)(matrix, in, terms, out);
}

void pk_reference_bf16_dots(const uint16_t *rows, size_t count, size_t width, const double *in, double *out)
{
    BEST(dots)(rows, count, width, in, out);
}

void pk_reference_bf16_mix(const uint16_t *rows, size_t count, size_t width, const double *weights, double *out)
{
    BEST(mix)(rows, count, width, weights, out);
}
