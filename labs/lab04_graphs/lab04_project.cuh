/* Lab 04: one projection of all layers, and a plain read of the same bytes, given. Both are captured, and one replay is
 * a repetition: so what is compared is the kernels, one beside the next, and not how they are launched. */
#ifndef LAB04_PROJECT_CUH
#define LAB04_PROJECT_CUH

#include "lab04_step.cuh"

enum { LAB04_READ_THREADS = 256 };

typedef struct lab04_read_args {
    const uint4 *from;
    unsigned count; /* of 16 bytes */
    unsigned *word; /* [LAB04_READ_WORDS]: the exclusive or of all words is that of these, whatever blocks are added to
                       which */
} lab04_read_args;

/* A thread asks for LOADS times 16 bytes at once, LAB04_READ_THREADS apart. */
template <int LOADS> static __global__ void lab04_read(lab04_read_args a)
{
    unsigned word = 0;
    uint4 v[LOADS];
    const unsigned first = blockIdx.x * (LOADS * LAB04_READ_THREADS) + threadIdx.x;
#pragma unroll
    for (int i = 0; i < LOADS; i++) {
        const unsigned at = first + i * LAB04_READ_THREADS;
        v[i] = at < a.count ? a.from[at] : make_uint4(0, 0, 0, 0);
    }
#pragma unroll
    for (int i = 0; i < LOADS; i++)
        word ^= v[i].x ^ v[i].y ^ v[i].z ^ v[i].w;
#pragma unroll
    for (int bit = 16; bit > 0; bit /= 2)
        word ^= __shfl_xor_sync(0xffffffffu, word, bit);
    if (threadIdx.x % 32 == 0)
        atomicXor(a.word + (blockIdx.x * (LAB04_READ_THREADS / 32) + threadIdx.x / 32) % LAB04_READ_WORDS, word);
}

/* As many loads a thread as leave each processor some blocks. */
static inline pk_status lab04_launch_read(const lab04 *lab, const pk_decode_matrix *m, unsigned *word,
                                          cudaStream_t stream)
{
    const size_t chunks = (size_t)m->rows * (size_t)m->columns / 8;
    const lab04_read_args a = {(const uint4 *)m->weight, (unsigned)chunks, word};
    const size_t wanted = (size_t)lab->decoder.processors * 8 * LAB04_READ_THREADS;
    const int loads = chunks >= 8 * wanted ? 8 : chunks >= 4 * wanted ? 4 : chunks >= 2 * wanted ? 2 : 1;
    const unsigned per_block = (unsigned)loads * LAB04_READ_THREADS;
    const unsigned blocks = (a.count + per_block - 1) / per_block;
    switch (loads) {
    case 8:
        PK_LAUNCH(lab04_read<8>, blocks, LAB04_READ_THREADS, 0, stream, a);
        break;
    case 4:
        PK_LAUNCH(lab04_read<4>, blocks, LAB04_READ_THREADS, 0, stream, a);
        break;
    case 2:
        PK_LAUNCH(lab04_read<2>, blocks, LAB04_READ_THREADS, 0, stream, a);
        break;
    default:
        PK_LAUNCH(lab04_read<1>, blocks, LAB04_READ_THREADS, 0, stream, a);
    }
    return PK_OK;
}

static inline pk_status lab04_project_all(const lab04 *lab, bool read, cudaStream_t stream)
{
    for (int layer = 0; layer < lab->copies; layer++) {
        const pk_decode_matrix m = pk_decode_matrix_of(&lab->decoder, layer, lab->part);
        if (read)
            PK_TRY(lab04_launch_read(lab, &m, lab->project_words + (size_t)layer * LAB04_READ_WORDS, stream));
        else
            PK_TRY(
                pk_decode_project(&lab->decoder, &m, lab->project_x, lab->project_y + (size_t)layer * m.rows, stream));
    }
    return PK_OK;
}

static inline pk_status lab04_project_prepare(pk_run *run, bool read)
{
    const cudaStream_t stream = lab04_stream(run);
    lab04_graph *g;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab04_project_all(lab04_of(run), read, stream));
    PK_CHECK(cudaStreamEndCapture(stream, &g->graph));
    PK_CHECK(cudaGraphInstantiate(&g->exec, g->graph, 0));
    return lab04_upload(run, g);
}

static inline pk_status lab04_project_execute(pk_run *run)
{
    PK_GRAPH_LAUNCH(lab04_graph_of(run)->exec, lab04_stream(run));
    PK_CHECK(cudaStreamSynchronize(lab04_stream(run)));
    return PK_OK;
}

#endif
