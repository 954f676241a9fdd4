/* Lab 03: how a variant of the ladder is launched: its kernel, its grid, its shared memory. On the host. */
#ifndef LAB03_PLAN_CUH
#define LAB03_PLAN_CUH

#include <stdlib.h>

#include "lab03_roles.cuh"

typedef void (*lab03_kernel)(lab03_view);

typedef struct lab03_plan { /* a variant's launch, made by its prepare */
    lab03_kernel kernel;
    lab03_view view; /* its argument */
    int blocks, threads;
    size_t shared_bytes;
} lab03_plan;

/* The instance of a kernel template for the run's head size; problem.c has refused other sizes. */
#define LAB03_KERNEL(run, kernel)                                                                                      \
    (lab03_head_dim(run) == 64 ? kernel<64> : lab03_head_dim(run) == 80 ? kernel<80> : kernel<128>)

static inline int lab03_head_dim(const pk_run *run)
{
    return ((const lab03 *)pk_run_lab_data(run))->view.head_dim;
}

static inline const lab03_plan *lab03_plan_of(const pk_run *run)
{
    return (const lab03_plan *)pk_run_variant_data(run);
}

/* The grid of a kernel whose blocks wait for each other: as many blocks as were asked for, or one on each processor.
 * Errors: PK_USAGE where they cannot all be resident. */
static inline pk_status lab03_resident_grid(pk_run *run, lab03_plan *plan)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    const pk_device_info *device = pk_run_device(run);
    int fit = 0;
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, plan->kernel, plan->threads, plan->shared_bytes));
    if (fit > LAB03_MOST_BLOCKS)
        fit = LAB03_MOST_BLOCKS;
    plan->blocks = lab->blocks ? lab->blocks : fit > 0 ? device->processors : 0;
    if (plan->blocks < 1 || plan->blocks > device->processors * fit)
        return pk_fail(PK_USAGE,
                       "lab03: a grid of %d blocks cannot be resident, and a grid barrier would wait for ever: %d "
                       "processors hold %d blocks of this kernel each, with %d threads and %zu bytes of shared memory: "
                       "use --blocks=%d or fewer",
                       plan->blocks, device->processors, fit, plan->threads, plan->shared_bytes,
                       device->processors * fit);
    return PK_OK;
}

/* Make the run's plan, with so many bytes of shared memory. Errors: PK_USAGE where a block has no room for them, or the
 * blocks cannot all be resident. */
static inline pk_status lab03_make_plan(pk_run *run, lab03_kernel kernel, size_t shared_bytes)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    const pk_device_info *device = pk_run_device(run);
    lab03_plan *plan = (lab03_plan *)calloc(1, sizeof *plan);
    if (!plan)
        return pk_out_of_memory("lab03");
    pk_run_set_variant_data(run, plan);
    plan->kernel = kernel;
    plan->view = lab->view;
    plan->threads = lab->threads;
    plan->shared_bytes = shared_bytes;
    if (shared_bytes > device->shared_bytes_per_block)
        return pk_fail(PK_USAGE,
                       "lab03: a block needs %zu bytes of shared memory, and %s has %zu: use a smaller --block-k, "
                       "fewer --stages or fewer --threads",
                       shared_bytes, device->name, device->shared_bytes_per_block);
    PK_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes));
    return lab03_resident_grid(run, plan);
}

static inline void lab03_free_plan(pk_run *run)
{
    free(pk_run_variant_data(run));
}

/* For a kernel whose blocks share the keys: one block on each processor. */
static inline pk_status lab03_plan_shares(pk_run *run, lab03_kernel kernel)
{
    return lab03_make_plan(run, kernel, lab03_shared_bytes((const lab03 *)pk_run_lab_data(run)));
}

/* For a kernel whose blocks take whole units in turn: no more of them than it takes for the largest share to stay as it
 * is. More would only crowd the barrier and the memory: 256 units on 132 processors are two for each of 128. */
static inline pk_status lab03_plan_units(pk_run *run, lab03_kernel kernel)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    PK_TRY(lab03_plan_shares(run, kernel));
    lab03_plan *plan = (lab03_plan *)pk_run_variant_data(run);
    const int units = lab->view.batch * lab->view.units, share = (units + plan->blocks - 1) / plan->blocks;
    if (lab->blocks == 0)
        plan->blocks = (units + share - 1) / share;
    return PK_OK;
}

/* For a kernel with a ring of tiles, of as many as were asked for or fit. `more_bytes`: what the variant keeps in
 * shared memory behind it. Errors: PK_SKIP where not even two tiles fit and no other number was asked for. */
static inline pk_status lab03_plan_ring(pk_run *run, lab03_kernel kernel, size_t more_bytes)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    const pk_device_info *device = pk_run_device(run);
    const size_t beside = lab03_shared_bytes(lab) + more_bytes;
    const size_t tile = 2 * (size_t)lab->view.block_k * lab->view.head_dim * sizeof(uint16_t);
    int stages = lab->stages;
    if (stages == 0 && device->shared_bytes_per_block > beside)
        stages = (int)((device->shared_bytes_per_block - beside) / tile);
    if (stages > LAB03_MOST_STAGES)
        stages = LAB03_MOST_STAGES;
    if (stages < 2)
        return pk_fail(
            PK_SKIP,
            "two tiles of %zu bytes and %zu bytes beside them do not fit into the %zu of shared memory that a "
            "block has here: use a smaller --block-k or fewer --threads",
            tile, beside, device->shared_bytes_per_block);
    PK_TRY(lab03_make_plan(run, kernel, beside + stages * tile));
    ((lab03_plan *)pk_run_variant_data(run))->view.stages = stages;
    return PK_OK;
}

/* For a kernel whose warps have roles: a ring, and the roles' barriers behind it. Errors: PK_SKIP for one warp. */
static inline pk_status lab03_plan_roles(pk_run *run, lab03_kernel kernel)
{
    if (((const lab03 *)pk_run_lab_data(run))->threads < 2 * LAB03_WARP)
        return pk_fail(PK_SKIP, "it takes a warp that copies and one that computes: use --threads=64 or more");
    return lab03_plan_ring(run, kernel, sizeof(lab03_roles));
}

#endif
