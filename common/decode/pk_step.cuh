/* A step's kernels as data: what pk_decode_step launches in its fused form, for a kernel that does the work of all of
 * them. pk_decode_how.record is told them; pk_step_block does what one block of one of them does, with the same sums in
 * the same order. Device code, C style. */
#ifndef PK_STEP_CUH
#define PK_STEP_CUH

#include "decode/step_attend.cuh"
#include "decode/step_begin.cuh"
#include "decode/step_choose.cuh"
#include "decode/step_rotate.cuh"

typedef enum pk_step_kind {
    PK_STEP_EMBED,
    PK_STEP_MATVEC,
    PK_STEP_ROTATE,
    PK_STEP_ATTEND,
    PK_STEP_CHOOSE
} pk_step_kind;

typedef struct pk_step_kernel { /* one launch */
    pk_step_kind kind;
    int blocks, rows; /* of the grid: `rows` rows of `blocks` blocks */
    int threads;      /* of a block */
    union {
        embed_args embed;
        pk_matvec matvec;
        rotate_args rotate;
        attend_args attend;
        choose_args choose;
    } args;
} pk_step_kernel;

template <int PAIRS> static __device__ inline void pk_step_matvec(const pk_matvec *m, int block, int threads)
{
    const pk_matvec_place place = {block, threads};
    pk_matvec_chunks<PAIRS> chunks;
    pk_matvec_ask_at<PAIRS>(m, place, &chunks);
    pk_matvec_finish_at<PAIRS>(m, place, &chunks);
}

/* What block `block` of [0, k->blocks * k->rows) does, by all threads of a block that has at least as many. Attention
 * shares keys by the number of threads: there it has to have just as many. The threads meet before they go on to
 * another block. */
static __device__ inline void pk_step_block(const pk_step_kernel *k, int block)
{
    switch (k->kind) {
    case PK_STEP_EMBED:
        embed_block(&k->args.embed, block, k->blocks);
        break;
    case PK_STEP_MATVEC:
        if (k->args.matvec.pairs == 4)
            pk_step_matvec<4>(&k->args.matvec, block, k->threads);
        else if (k->args.matvec.pairs == 2)
            pk_step_matvec<2>(&k->args.matvec, block, k->threads);
        else
            pk_step_matvec<1>(&k->args.matvec, block, k->threads);
        break;
    case PK_STEP_ROTATE:
        rotate_block(&k->args.rotate, block, pk_at_position(&k->args.rotate.at));
        break;
    case PK_STEP_ATTEND:
        attend_block(&k->args.attend, block % k->blocks, k->blocks, block / k->blocks);
        break;
    case PK_STEP_CHOOSE:
        choose_block(&k->args.choose, block, k->blocks);
        break;
    }
}

#endif
