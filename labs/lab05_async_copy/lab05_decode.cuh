/* Lab 05, part three: decode, given. A step is LAB05_LAYERS kernels; where it stands is a word on the device, so that
 * every step is launched, or captured, with the same arguments. */
#ifndef LAB05_DECODE_CUH
#define LAB05_DECODE_CUH

#include "lab05_chunks.cuh"

enum { LAB05_DECODE_THREADS = 128 };

typedef struct lab05_layer_view { /* a kernel's argument */
    lab05_decode d;
    int layer;
} lab05_layer_view;

/* The layer's x and y. board->step counts up between the first layer, which reads the step before, and the last, which
 * writes this one. */
static __device__ inline const float *lab05_layer_in(const lab05_layer_view *a)
{
    if (a->layer > 0)
        return a->d.hidden + (a->layer - 1) % 2 * a->d.width;
    const unsigned step = a->d.board->step;
    return step == 0 ? a->d.first : a->d.out + (size_t)(step - 1) * a->d.width;
}

static __device__ inline float *lab05_layer_out(const lab05_layer_view *a)
{
    if (a->layer < LAB05_LAYERS - 1)
        return a->d.hidden + a->layer % 2 * a->d.width;
    return a->d.out + (size_t)(a->d.board->step - 1) * a->d.width;
}

/* By one thread of the grid: the first layer notes when the step began. The second moves the word on; nobody reads it
 * in between, and the layers follow each other in the stream. */
static __device__ inline void lab05_note_step(const lab05_layer_view *a)
{
    lab05_board *const board = a->d.board;
    if (a->layer == 0)
        a->d.began[board->step] = lab05_now();
    else if (a->layer == 1)
        board->step++;
}

/* A row a warp: x in, y out. */
static __device__ inline void lab05_layer(const lab05_layer_view *a, const float *in, float *out)
{
    const int row = lab05_warp_in_grid(), lane = lab05_lane(), chunks = a->d.width / 8;
    if (row >= a->d.width)
        return;
    const uint4 *const weights =
        (const uint4 *)(a->d.weights + ((size_t)a->layer * a->d.width + row) * (size_t)a->d.width);
    float sum = 0;
#pragma unroll 2
    for (int chunk = lane; chunk < chunks; chunk += LAB05_WARP) {
        const float4 low = ((const float4 *)in)[2 * chunk], high = ((const float4 *)in)[2 * chunk + 1];
        const lab05_q x = {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
        sum = lab05_add(sum, weights[chunk], &x);
    }
#pragma unroll
    for (int bit = LAB05_WARP / 2; bit > 0; bit /= 2)
        sum += __shfl_xor_sync(LAB05_ALL_LANES, sum, bit);
    if (lane == 0)
        out[row] = (float)((int)sum % LAB05_MODULUS);
}

static __global__ void decode_layer(lab05_layer_view a)
{
    if (blockIdx.x == 0 && threadIdx.x == 0)
        lab05_note_step(&a);
    lab05_layer(&a, lab05_layer_in(&a), lab05_layer_out(&a));
}

static __global__ void decode_ends(lab05_decode d)
{
    d.began[d.steps] = lab05_now();
}

static inline unsigned lab05_decode_blocks(const lab05_decode *d)
{
    const int rows = LAB05_DECODE_THREADS / LAB05_WARP; /* of a block */
    return (unsigned)((d->width + rows - 1) / rows);
}

/* The launches of one step, on `stream`. */
static inline pk_status lab05_step(const lab05_decode *d, cudaStream_t stream)
{
    lab05_layer_view a = {*d, 0};
    for (; a.layer < LAB05_LAYERS; a.layer++)
        PK_LAUNCH(decode_layer, lab05_decode_blocks(d), LAB05_DECODE_THREADS, 0, stream, a);
    return PK_OK;
}

/* Behind the last step. */
static inline pk_status lab05_decode_end(const lab05_decode *d, cudaStream_t stream)
{
    PK_LAUNCH(decode_ends, 1, 1, 0, stream, *d);
    return PK_OK;
}

#endif
