/* Lab 03: a block's step, its rows straight from memory: whole units, or its share of the line of tiles. Device
 * functions, C style.
 *
 * How parts become outputs is the including file's: combined_output, which is a step of the student's file. */
#ifndef LAB03_SHARE_CUH
#define LAB03_SHARE_CUH

#include "lab03_attention.cuh"

/* Components e to e + 3 of the output of a head [D] at `step`, from the records of all segments of its unit. Every
 * block that needs it combines it for itself, in the order of the keys: whichever block came first, the sums are the
 * same. */
template <int D>
static __device__ inline float4 combined_output(const lab03_view *v, int step, int sequence, int head, int e);

/* ---- shared memory, in floats: a record for each warp, then the sources and the queries of LAB03_BATCH segments ----
 */

template <int D> static __device__ inline float *lab03_shared_sources(float *shared)
{
    return shared + blockDim.x / LAB03_WARP * lab03_lanes<D>::record;
}

template <int D> static __device__ inline float *lab03_shared_queries(float *shared)
{
    return lab03_shared_sources<D>(shared) + LAB03_BATCH * LAB03_HEADS * D;
}

static inline size_t lab03_shared_bytes(const lab03 *lab)
{
    const int head_dim = lab->view.head_dim;
    const size_t records = (size_t)lab->threads / LAB03_WARP * lab03_record_floats(head_dim);
    return (records + 2 * (size_t)LAB03_BATCH * LAB03_HEADS * head_dim) * sizeof(float);
}

/* ---- whole units ---- */

/* A step of this block's units. Reads the outputs of the step before, of all blocks; writes the outputs and the cache
 * rows of its own units. */
template <int D> static __device__ void lab03_whole_units(const lab03_view *v, int step, float *shared)
{
    float *const q = lab03_shared_queries<D>(shared);
    const int units = v->batch * v->units;
    for (int unit = blockIdx.x; unit < units; unit += gridDim.x) {
        const lab03_segment s = lab03_whole_unit(v, step, unit);
        lab03_project_unit<D>(v, step, &s, q);
        __syncthreads();
        lab03_attend<D>(v, step, &s, q, shared);
        __syncthreads();
        lab03_write_unit<D>(v, step, &s, shared, lab03_segment_warps(&s, blockDim.x / LAB03_WARP));
    }
}

/* ---- a share of the line ---- */

/* The outputs at `done` that the queries of the next LAB03_BATCH segments at `step` are made from, into `sources`
 * [BATCH][HEADS][D]. The block that has a unit's first key also writes them to v->out: each head is the source of
 * one other, so each output is written once. The block's first `threads` threads take part, which must meet after. */
template <int D>
static __device__ inline void lab03_combine_batch(const lab03_view *v, int done, int step, const lab03_walk *walk,
                                                  float *sources, int threads)
{
    for (int i = threadIdx.x; i < LAB03_BATCH * D; i += threads) {
        const int index = i % D * 4 / D, e = i % D * 4 % D;
        const lab03_segment s = lab03_segment_after(v, step, walk, blockIdx.x, i / D);
        if (index >= s.heads)
            continue;
        const int head = lab03_source_head(v, &s, index);
        const float4 o = combined_output<D>(v, done, s.sequence, head, e);
        *(float4 *)(sources + 4 * i) = o;
        if (s.opens)
            *(float4 *)(lab03_output<D>(v, done, s.sequence, head) + e) = o;
    }
}

/* The queries of the next LAB03_BATCH segments, or as many as there are, at `step`. All threads take part. */
template <int D>
static __device__ inline void lab03_prepare_batch(const lab03_view *v, int step, const lab03_walk *walk, float *sources,
                                                  float *queries)
{
    if (step > 0)
        lab03_combine_batch<D>(v, step - 1, step, walk, sources, blockDim.x);
    __syncthreads();
    lab03_project_batch<D>(v, step, walk, blockIdx.x, sources, queries, blockDim.x);
    __syncthreads();
}

/* The segment's record from the warps' records in `shared`, when all of them are there. All threads take part. */
template <int D>
static __device__ inline void lab03_end_segment(const lab03_view *v, int step, const lab03_segment *s, float *shared)
{
    __syncthreads();
    lab03_write_record<D>(shared, lab03_segment_warps(s, blockDim.x / LAB03_WARP),
                          lab03_record(v, step, s->slot, lab03_lanes<D>::record), blockDim.x);
    __syncthreads();
}

/* This block's share of a step, `walk`: for each segment the record of what it contributes. */
template <int D>
static __device__ inline void lab03_share_of_step(const lab03_view *v, int step, lab03_walk walk, float *shared)
{
    float *const sources = lab03_shared_sources<D>(shared), *const q = lab03_shared_queries<D>(shared);
    while (walk.tile < walk.end) {
        lab03_prepare_batch<D>(v, step, &walk, sources, q);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
            const lab03_segment s = lab03_next(v, step, &walk, blockIdx.x);
            lab03_attend<D>(v, step, &s, q + i * LAB03_HEADS * D, shared);
            lab03_end_segment<D>(v, step, &s, shared);
        }
    }
}

/* The outputs of the last step: nothing follows whose queries would need them. The block's first `threads` threads take
 * part. */
template <int D>
static __device__ inline void lab03_write_last_outputs(const lab03_view *v, float *sources, int threads)
{
    const int last = v->steps - 1;
    lab03_walk walk = lab03_share(v, last, blockIdx.x, gridDim.x);
    while (walk.tile < walk.end) {
        lab03_combine_batch<D>(v, last, last, &walk, sources, threads);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++)
            (void)lab03_next(v, last, &walk, blockIdx.x);
    }
}

#endif
