/* Lab 05, part two, given: how a rung of the chain is launched: which rows a block has of each phase, the chunks, the
 * ring, the grid. On the host. */
#ifndef LAB05_CHAIN_PLAN_CUH
#define LAB05_CHAIN_PLAN_CUH

#include <math.h>
#include <stdlib.h>

#include "lab05_chain_stream.cuh"
#include "lab05_plan.cuh"

typedef void (*lab05_chain_kernel)(lab05_chain_view);

typedef struct lab05_chain_plan { /* a variant's launch, made by its prepare */
    lab05_chain_kernel kernel;
    lab05_chain_view view; /* its argument */
    int blocks, threads;
    size_t shared_bytes;
    lab05_chain_part *parts; /* device memory, of view.parts */
    float *latencies;        /* of the host, for chain-read */
} lab05_chain_plan;

/* How a phase's rows are split: fills in ends[b], the row behind the last of block b, for all blocks; block b + 1
 * begins there. `fair`: bytes that each block would have in all phases up to and with this one if all had the same;
 * had[b]: what block b has in those before. */
typedef pk_status (*lab05_chain_shares)(pk_run *run, const lab05_chain_phase *phase, int blocks, double fair,
                                        const double *had, int *ends);

static inline lab05_chain_plan *lab05_chain_plan_of(const pk_run *run)
{
    return (lab05_chain_plan *)pk_run_variant_data(run);
}

static inline void lab05_chain_free_plan(pk_run *run)
{
    lab05_chain_plan *const plan = lab05_chain_plan_of(run);
    if (plan) {
        (void)cudaFree(plan->parts);
        free(plan->latencies);
    }
    free(plan);
    pk_run_set_variant_data(run, NULL);
}

/* Each block the same number of rows of every phase, but for one. */
static inline pk_status lab05_chain_even_shares(pk_run *run, const lab05_chain_phase *phase, int blocks, double fair,
                                                const double *had, int *ends)
{
    (void)run, (void)fair, (void)had;
    for (int b = 0; b < blocks; b++)
        ends[b] = (int)((long long)phase->rows * (b + 1) / blocks);
    return PK_OK;
}

/* The chunks of a phase in chunks of at most so many bytes: 4, 2 or 1 rows, or a row in pieces. */
static inline void lab05_chain_cut(lab05_chain_part *part, unsigned chunk_bytes)
{
    const unsigned row = (unsigned)part->units * (unsigned)sizeof(uint4);
    part->chunk_rows = 4 * row <= chunk_bytes ? 4 : 2 * row <= chunk_bytes ? 2 : 1;
    part->pieces = (int)((row + chunk_bytes - 1) / chunk_bytes);
    part->piece_units = (part->units + part->pieces - 1) / part->pieces;
}

/* Of every block and phase: parts [blocks][P]. */
static inline pk_status lab05_chain_split(pk_run *run, lab05_chain_shares shares, int blocks, unsigned chunk_bytes,
                                          lab05_chain_part *parts)
{
    const lab05_chain *const chain = lab05_chain_of(run);
    const int phases = chain->view.phases;
    double *const had = (double *)calloc((size_t)blocks, sizeof *had);
    int *const ends = (int *)malloc((size_t)blocks * sizeof *ends);
    double all = 0;
    pk_status status = had && ends ? PK_OK : pk_out_of_memory("lab05");
    for (int p = 0; p < phases && status == PK_OK; p++) {
        const lab05_chain_phase *const phase = &chain->phase[p];
        const double row_bytes = (double)phase->columns * (double)sizeof(uint16_t);
        all += row_bytes * phase->rows;
        status = shares(run, phase, blocks, all / blocks, had, ends);
        for (int b = 0, first = 0; b < blocks && status == PK_OK; first = ends[b++]) {
            if (ends[b] < first || ends[b] > phase->rows || (b == blocks - 1 && ends[b] != phase->rows))
                status = pk_fail(PK_WRONG,
                                 "lab05: block %d of %d has rows %d to %d of a phase of %d rows: shares must "
                                 "follow each other and end with the last row",
                                 b, blocks, first, ends[b], phase->rows);
            lab05_chain_part *const part = &parts[(size_t)b * (size_t)phases + (size_t)p];
            part->units = phase->columns / 8;
            part->from = phase->weights + (size_t)first * (size_t)part->units * sizeof(uint4);
            part->rows = ends[b] - first;
            part->out = phase->out + first;
            part->x = chain->phase[p > 0 ? p - 1 : phases - 1].out;
            part->given = phase->given;
            lab05_chain_cut(part, chunk_bytes);
            had[b] += row_bytes * part->rows;
        }
    }
    free(had);
    free(ends);
    return status;
}

/* The grid, whose blocks wait for each other: as many as were asked for, or one a processor. Errors: PK_USAGE where
 * they cannot all be resident. */
static inline pk_status lab05_chain_plan_grid(pk_run *run, lab05_chain_plan *plan)
{
    const pk_device_info *const device = pk_run_device(run);
    int fit = 0;
    PK_TRY(lab05_allow_shared(run, (const void *)plan->kernel));
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, (const void *)plan->kernel, plan->threads,
                                                           plan->shared_bytes));
    plan->blocks = lab05_chain_of(run)->blocks ? lab05_chain_of(run)->blocks : device->processors;
    if (plan->blocks > fit * device->processors)
        return pk_fail(
            PK_USAGE,
            "lab05: a grid of %d blocks cannot be resident, and its blocks would wait for ever: %d processors "
            "hold %d blocks of this kernel each: use --blocks=%d or fewer",
            plan->blocks, device->processors, fit, fit * device->processors);
    return PK_OK;
}

/* The blocks' parts, on the device. */
static inline pk_status lab05_chain_plan_parts(pk_run *run, lab05_chain_plan *plan, lab05_chain_shares shares,
                                               unsigned chunk_bytes)
{
    const size_t count = (size_t)plan->blocks * (size_t)plan->view.phases, bytes = count * sizeof(lab05_chain_part);
    lab05_chain_part *const parts = (lab05_chain_part *)malloc(bytes);
    if (!parts)
        return pk_out_of_memory("lab05");
    pk_status status = lab05_chain_split(run, shares, plan->blocks, chunk_bytes, parts);
    if (status == PK_OK && cudaMalloc((void **)&plan->parts, bytes) != cudaSuccess)
        status = pk_fail(PK_FAULT, "lab05: no device memory for %zu bytes of shares", bytes);
    if (status == PK_OK)
        status = pk_device_upload(plan->parts, parts, bytes, pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    free(parts);
    plan->view.parts = plan->parts;
    return status;
}

static inline pk_status lab05_chain_plan_new(pk_run *run, lab05_chain_kernel kernel, int threads)
{
    lab05_chain_plan *const plan = (lab05_chain_plan *)calloc(1, sizeof *plan);
    if (!plan)
        return pk_out_of_memory("lab05");
    pk_run_set_variant_data(run, plan);
    plan->kernel = kernel;
    plan->view = lab05_chain_of(run)->view;
    plan->threads = threads;
    return PK_OK;
}

static inline int lab05_chain_most_columns(const lab05_chain *chain)
{
    int most = 0;
    for (int p = 0; p < chain->view.phases; p++)
        most = chain->phase[p].columns > most ? chain->phase[p].columns : most;
    return most;
}

/* For a kernel with a warp a row and x in shared memory. */
static inline pk_status lab05_chain_plan_plain(pk_run *run, lab05_chain_kernel kernel)
{
    enum { GPU_THREADS = 512, CPU_THREADS = 64, ANY_CHUNK = 1 << 20 };
    PK_TRY(lab05_chain_plan_new(run, kernel, pk_run_device(run)->is_gpu ? GPU_THREADS : CPU_THREADS));
    lab05_chain_plan *const plan = lab05_chain_plan_of(run);
    plan->shared_bytes = (size_t)lab05_chain_most_columns(lab05_chain_of(run)) * sizeof(float);
    PK_TRY(lab05_chain_plan_grid(run, plan));
    return lab05_chain_plan_parts(run, plan, lab05_chain_even_shares, ANY_CHUNK);
}

/* For stream_chain with `other_warps` beside the consumers: chunks of chunk_kb KB, at most in_flight_kb KB of them
 * under way (0: as many as the ring holds), where the run does not ask for others. Errors: PK_SKIP where the ring does
 * not fit, or a row is too long for so few warps. */
static inline pk_status lab05_chain_plan_warps(pk_run *run, lab05_chain_kernel kernel, int chunk_kb, int in_flight_kb,
                                               lab05_chain_shares shares, int other_warps)
{
    enum { KB = 1024, ALIGN = 128 };
    const lab05_chain *const chain = lab05_chain_of(run);
    const size_t most_bytes = pk_run_device(run)->shared_bytes_per_block;
    const unsigned chunk_bytes = (unsigned)(chain->chunk_kb ? chain->chunk_kb : chunk_kb) * KB;
    const int threads = chain->consumers * LAB05_WARP;
    PK_TRY(lab05_chain_plan_new(run, kernel, threads + other_warps * LAB05_WARP));
    lab05_chain_plan *const plan = lab05_chain_plan_of(run);
    lab05_chain_view *const v = &plan->view;
    v->stage_bytes = 0;
    for (int p = 0; p < v->phases; p++) {
        lab05_chain_part part;
        part.units = chain->phase[p].columns / 8;
        lab05_chain_cut(&part, chunk_bytes);
        const unsigned bytes = (unsigned)(part.chunk_rows * part.piece_units) * (unsigned)sizeof(uint4);
        v->stage_bytes = bytes > v->stage_bytes ? bytes : v->stage_bytes;
    }
    v->stage_bytes = (v->stage_bytes + ALIGN - 1) / ALIGN * ALIGN;
    v->stages = (int)((unsigned)chain->ring_kb * KB / v->stage_bytes);
    v->limit = v->stages;
    if (in_flight_kb > 0) {
        const int asked =
            (int)((unsigned)(chain->in_flight_kb ? chain->in_flight_kb : in_flight_kb) * KB / v->stage_bytes);
        v->limit = asked < 1 ? 1 : asked < v->stages ? asked : v->stages;
    }
    plan->shared_bytes = lab05_chain_shared_bytes(v, chain->consumers);
    if (v->stages < 2 || plan->shared_bytes > most_bytes)
        return pk_fail(
            PK_SKIP,
            "a ring of %d chunks of %u bytes, and what lies beside it, are no ring or do not fit into the %zu "
            "bytes of shared memory that a block has here: use another --ring or --chunk",
            v->stages, v->stage_bytes, most_bytes);
    if (lab05_chain_most_columns(chain) > threads * LAB05_CHAIN_MOST_OWN * 8)
        return pk_fail(PK_SKIP,
                       "rows of %d columns are too long for %d warps that have %d of them a lane: use more "
                       "--consumers",
                       lab05_chain_most_columns(chain), chain->consumers, LAB05_CHAIN_MOST_OWN * 8);
    PK_TRY(lab05_chain_plan_grid(run, plan));
    return lab05_chain_plan_parts(run, plan, shares, chunk_bytes);
}

/* The same with the one warp that copies. */
static inline pk_status lab05_chain_plan_stream(pk_run *run, lab05_chain_kernel kernel, int chunk_kb, int in_flight_kb,
                                                lab05_chain_shares shares)
{
    return lab05_chain_plan_warps(run, kernel, chunk_kb, in_flight_kb, shares, 1);
}

/* And with another that times loads: what it found is reported by lab05_chain_report. */
static inline pk_status lab05_chain_plan_read(pk_run *run, lab05_chain_kernel kernel, int chunk_kb, int in_flight_kb,
                                              lab05_chain_shares shares)
{
    PK_TRY(lab05_chain_plan_warps(run, kernel, chunk_kb, in_flight_kb, shares, 2));
    lab05_chain_plan *const plan = lab05_chain_plan_of(run);
    plan->latencies = (float *)malloc((size_t)plan->blocks * LAB05_CHAIN_LATENCIES * sizeof *plan->latencies);
    return plan->latencies ? PK_OK : pk_out_of_memory("lab05");
}

/* The latencies of loads beside the stream, as latencies of tokens; when the kernel has ended. */
static inline pk_status lab05_chain_report(pk_run *run)
{
    const lab05_chain_plan *const plan = lab05_chain_plan_of(run);
    const size_t count = (size_t)plan->blocks * LAB05_CHAIN_LATENCIES;
    PK_TRY(
        pk_device_download(plan->latencies, plan->view.latencies, count * sizeof *plan->latencies, pk_run_stream(run)));
    PK_TRY(pk_device_stream_synchronize(pk_run_stream(run)));
    for (size_t i = 0; i < count; i++)
        if (!isnan(plan->latencies[i]))
            pk_token_latency(run, plan->latencies[i]);
    return PK_OK;
}

#endif
