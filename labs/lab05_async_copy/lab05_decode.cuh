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

/* By the grid's last block, which has no row, beside the others: the first layer notes when the step began. The second
 * moves the word on; nobody reads it in between, and the layers follow each other in the stream. True: this block is
 * done.
 */
static __device__ inline bool lab05_note_step(const lab05_layer_view *a)
{
    lab05_board *const board = a->d.board;
    if (blockIdx.x + 1 < gridDim.x)
        return false;
    if (threadIdx.x == 0 && a->layer == 0)
        a->d.began[board->step] = lab05_now();
    else if (threadIdx.x == 0 && a->layer == 1)
        board->step++;
    return true;
}

/* A row a warp: x in, y out. All that a lane reads of the row is under way before it is used, the weights first: they
 * wait for nothing, and where x lies has to be read first in some layers. */
static __device__ inline void lab05_layer(const lab05_layer_view *a, const float *in, float *out)
{
    enum { GROUP = 2 }; /* chunks of a lane under way: a row of 512 */
    const int row = lab05_warp_in_grid(), lane = lab05_lane(), chunks = a->d.width / 8;
    if (row >= a->d.width)
        return;
    const uint4 *const weights =
        (const uint4 *)(a->d.weights + ((size_t)a->layer * a->d.width + row) * (size_t)a->d.width);
    float sum = 0;
    for (int first = lane; first < chunks; first += GROUP * LAB05_WARP) {
        uint4 w[GROUP];
        float4 low[GROUP], high[GROUP];
#pragma unroll
        for (int j = 0; j < GROUP; j++)
            if (first + j * LAB05_WARP < chunks)
                w[j] = weights[first + j * LAB05_WARP];
#pragma unroll
        for (int j = 0; j < GROUP; j++)
            if (first + j * LAB05_WARP < chunks) {
                low[j] = ((const float4 *)in)[2 * (first + j * LAB05_WARP)];
                high[j] = ((const float4 *)in)[2 * (first + j * LAB05_WARP) + 1];
            }
#pragma unroll
        for (int j = 0; j < GROUP; j++)
            if (first + j * LAB05_WARP < chunks) {
                const lab05_q x = {
                    {low[j].x, low[j].y, low[j].z, low[j].w, high[j].x, high[j].y, high[j].z, high[j].w}};
                sum = lab05_add(sum, w[j], &x);
            }
    }
#pragma unroll
    for (int bit = LAB05_WARP / 2; bit > 0; bit /= 2)
        sum += __shfl_xor_sync(LAB05_ALL_LANES, sum, bit);
    if (lane == 0)
        out[row] = (float)((int)sum % LAB05_MODULUS);
}

static __global__ void decode_layer(lab05_layer_view a)
{
    if (!lab05_note_step(&a))
        lab05_layer(&a, lab05_layer_in(&a), lab05_layer_out(&a));
}

static __global__ void decode_ends(lab05_decode d)
{
    d.began[d.steps] = lab05_now();
}

static inline unsigned lab05_decode_blocks(const lab05_decode *d)
{
    const int rows = LAB05_DECODE_THREADS / LAB05_WARP;  /* of a block */
    return (unsigned)((d->width + rows - 1) / rows) + 1; /* and the one that notes */
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
