/* Tensor cores of an NVIDIA GPU (sm_80 and up), C style: 16 x 8 results of bf16 factors with fp32 sums, by a warp.
 *
 * Fragments. Lane l has g = l / 4 and t = l % 4. A word is two bf16, the one of the lower column or row below.
 *   a [4]  of a 16 x 16 matrix, rows as they lie: (g, 2t) (g + 8, 2t) (g, 2t + 8) (g + 8, 2t + 8), each with its right
 *          neighbour
 *   b [2]  of a 16 x 8 matrix: (2t, g) (2t + 8, g), each with the one below it
 *   c [4]  of a 16 x 8 matrix, float: (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)
 * Source: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type", "ldmatrix".
 *
 * PK_MMA_IN_MEMORY: the same on the CPU device, lane by lane through memory, so that kernels which are written for
 * tensor cores can be tested there. Far slower than what the CPU device takes otherwise. */
#ifndef PK_MMA_CUH
#define PK_MMA_CUH

#include "pk_gpu.h"

#include "decode/pk_model_random.h"

#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA) || defined(PK_MMA_IN_MEMORY)
#define PK_HAS_MMA 1

static __device__ inline int pk_mma_lane(void)
{
    return threadIdx.x % 32;
}

#if defined(PK_MMA_IN_MEMORY)

enum { PK_MMA_MOST_WARPS = 32 };

/* c += a b */
static __device__ inline void pk_mma(float c[4], const unsigned a[4], const unsigned b[2])
{
    __shared__ unsigned words[PK_MMA_MOST_WARPS][32][6];
    const int lane = pk_mma_lane(), g = lane / 4, t = lane % 4;
    unsigned(*const warp)[6] = words[threadIdx.x / 32];
    for (int i = 0; i < 6; i++)
        warp[lane][i] = i < 4 ? a[i] : b[i - 4];
    __syncwarp();
    for (int e = 0; e < 4; e++) /* row g or g + 8, column 2t or 2t + 1 */
        for (int k = 0; k < 16; k++) {
            const unsigned left = warp[4 * g + k % 8 / 2][e / 2 + k / 8 * 2];
            const unsigned right = warp[4 * (2 * t + e % 2) + k % 8 / 2][4 + k / 8];
            c[e] += __uint_as_float(k % 2 ? left & 0xffff0000u : left << 16) *
                    __uint_as_float(k % 2 ? right & 0xffff0000u : right << 16);
        }
    __syncwarp(); /* all have read before the words are others */
}

/* Four 8 x 8 matrices, of bf16: lane i has the address of row i % 8 of matrix i / 8. Of each a lane gets (g, 2t) and
 * its right neighbour, or transposed (2t, g) and the one below. */
static __device__ inline void pk_mma_load(unsigned to[4], const uint16_t *row, bool transposed)
{
    __shared__ const uint16_t *rows[PK_MMA_MOST_WARPS][32];
    const int lane = pk_mma_lane(), g = lane / 4, t = lane % 4;
    const uint16_t **const warp = rows[threadIdx.x / 32];
    warp[lane] = row;
    __syncwarp();
    for (int i = 0; i < 4; i++) {
        const uint16_t *const *const matrix = warp + 8 * i;
        const uint16_t low = transposed ? matrix[2 * t][g] : matrix[g][2 * t];
        const uint16_t high = transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
        to[i] = (unsigned)high << 16 | low;
    }
    __syncwarp();
}

/* Two floats to a word of bf16, to nearest even. */
static __device__ inline unsigned pk_mma_pack(float low, float high)
{
    return (unsigned)pk_model_to_bf16(high) << 16 | pk_model_to_bf16(low);
}

#else

/* c += a b */
static __device__ inline void pk_mma(float c[4], const unsigned a[4], const unsigned b[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four 8 x 8 matrices, of bf16: lane i has the address of row i % 8 of matrix i / 8, in shared memory. Of each a lane
 * gets (g, 2t) and its right neighbour, or transposed (2t, g) and the one below. */
static __device__ inline void pk_mma_load(unsigned to[4], const uint16_t *row, bool transposed)
{
    const unsigned at = (unsigned)__cvta_generic_to_shared(row);
    if (transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(at)
                     : "memory");
}

/* Two floats to a word of bf16, to nearest even. */
static __device__ inline unsigned pk_mma_pack(float low, float high)
{
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

#endif

/* a of the 16 x 16 bf16 at `tile`, in shared memory, `stride` to the next row. A row's address is a multiple of 16
 * bytes; strides of 8 more than a multiple of 16 meet no bank twice. */
static __device__ inline void pk_mma_load_a(unsigned a[4], const uint16_t *tile, int stride)
{
    const int lane = pk_mma_lane();
    pk_mma_load(a, tile + lane % 16 * stride + lane / 16 * 8, false);
}

/* b [0..1] of the columns 0 to 7 and b [2..3] of the columns 8 to 15 of a 16 x 16 matrix whose columns lie as rows. */
static __device__ inline void pk_mma_load_b_columns(unsigned b[4], const uint16_t *tile, int stride)
{
    const int lane = pk_mma_lane();
    pk_mma_load(b, tile + (lane / 16 * 8 + lane % 8) * stride + lane / 8 % 2 * 8, false);
}

/* The same of a matrix whose rows lie as rows. */
static __device__ inline void pk_mma_load_b_rows(unsigned b[4], const uint16_t *tile, int stride)
{
    const int lane = pk_mma_lane();
    pk_mma_load(b, tile + lane % 16 * stride + lane / 16 * 8, true);
}

/* Two floats as the sum of two words of bf16: what is left out is below 2^-17 of each. */
static __device__ inline void pk_mma_split(float low, float high, unsigned *most, unsigned *rest)
{
    *most = pk_mma_pack(low, high);
    *rest = pk_mma_pack(low - __uint_as_float(*most << 16), high - __uint_as_float(*most & 0xffff0000u));
}

#endif
#endif
