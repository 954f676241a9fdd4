/* Lab 05: how a variant is launched: its kernel, its grid, its shared memory. On the host, given. */
#ifndef LAB05_PLAN_CUH
#define LAB05_PLAN_CUH

#include <stdlib.h>

#include "lab05_ring.cuh"

typedef void (*lab05_kernel)(lab05_view);
typedef void (*lab05_tensor_kernel)(lab05_view, PK_TENSOR_PARAMETER(map));

typedef struct lab05_plan { /* a variant's launch, made by its prepare */
    lab05_kernel kernel;
    lab05_tensor_kernel tensor_kernel; /* in its place, with `map` */
    pk_tensor_map map;
    lab05_view view;
    int blocks, threads;
    size_t shared_bytes;
} lab05_plan;

/* The instance of a kernel template for the run's keys; problem.c has refused others. */
#define LAB05_KERNEL(run, kernel) (lab05_of(run)->view.dim == 64 ? kernel<64> : kernel<128>)

static inline const lab05 *lab05_of(const pk_run *run)
{
    return (const lab05 *)pk_run_lab_data(run);
}

static inline const lab05_plan *lab05_plan_of(const pk_run *run)
{
    return (const lab05_plan *)pk_run_variant_data(run);
}

/* The kernel may be launched with as much shared memory as a block has at most. All of it, and not what one variant
 * asks for: variants that share a kernel are prepared one after the other, and the last one's word would be for all.
 * Not for a kernel with static shared memory, which would have to be taken off. */
static inline pk_status lab05_allow_shared(const pk_run *run, const void *kernel)
{
    PK_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  (int)pk_run_device(run)->shared_bytes_per_block));
    return PK_OK;
}

static inline void lab05_free_plan(pk_run *run)
{
    free(pk_run_variant_data(run));
    pk_run_set_variant_data(run, NULL);
}

/* The grid: as many blocks as were asked for, or as are resident at once, and none without a page. */
static inline pk_status lab05_plan_grid(pk_run *run, lab05_plan *plan, const void *kernel, int takers)
{
    const lab05 *const lab = lab05_of(run);
    int fit = 0;
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, kernel, plan->threads, plan->shared_bytes));
    const int needed = (lab->view.pages + takers - 1) / takers, resident = fit * pk_run_device(run)->processors;
    plan->blocks = lab->blocks ? lab->blocks : resident < needed ? resident : needed;
    return plan->blocks > 0 ? PK_OK : pk_fail(PK_SKIP, "no block of this kernel fits a processor");
}

/* The run's plan: a block has `rings`, each of as many pages as were asked for, or `best_stages`, at most `most_stages`
 * (0: none), with `barriers` for each page, and `beside` bytes. Errors: PK_SKIP where not even two pages fit. */
static inline pk_status lab05_make_plan(pk_run *run, int most_stages, int best_stages, int rings, size_t barriers,
                                        size_t beside)
{
    const lab05 *const lab = lab05_of(run);
    const pk_device_info *const device = pk_run_device(run);
    lab05_plan *const plan = (lab05_plan *)calloc(1, sizeof *plan);
    if (!plan)
        return pk_out_of_memory("lab05");
    pk_run_set_variant_data(run, plan);
    plan->view = lab->view;
    plan->threads = lab->threads;
    const size_t stage = (size_t)rings * (lab05_page_bytes(&lab->view) + barriers * sizeof(pk_async_barrier));
    int stages = lab->stages ? lab->stages : best_stages;
    if (most_stages == 0)
        return PK_OK;
    if (stages > most_stages)
        stages = most_stages;
    if (!lab->stages && stage * (size_t)stages + beside > device->shared_bytes_per_block)
        stages = (int)((device->shared_bytes_per_block - beside) / stage);
    plan->shared_bytes = stage * (size_t)stages + beside;
    plan->view.stages = stages;
    if (stages < 2 || plan->shared_bytes > device->shared_bytes_per_block)
        return pk_fail(
            PK_SKIP,
            "%d pages of %zu bytes in %s do not fit into the %zu bytes of shared memory that a block has here, "
            "and fewer than 2 are no ring: use other --stages, fewer --threads or fewer --rows",
            stages < 2 ? 2 : stages, lab05_page_bytes(&lab->view), rings > 1 ? "each of the warps' rings" : "a ring",
            device->shared_bytes_per_block);
    return PK_OK;
}

static inline lab05_plan *lab05_plan_made(pk_run *run)
{
    return (lab05_plan *)pk_run_variant_data(run);
}

/* For a kernel that keeps nothing in shared memory. */
static inline pk_status lab05_plan_plain(pk_run *run, lab05_kernel kernel)
{
    PK_TRY(lab05_make_plan(run, 0, 0, 0, 0, 0));
    lab05_plan_made(run)->kernel = kernel;
    return lab05_plan_grid(run, lab05_plan_made(run), (const void *)kernel, lab05_of(run)->threads / LAB05_WARP);
}

/* For a kernel in which each warp has a ring of its own: of at most `most` pages. */
static inline pk_status lab05_plan_warp_rings(pk_run *run, lab05_kernel kernel, int most)
{
    const int warps = lab05_of(run)->threads / LAB05_WARP;
    PK_TRY(lab05_make_plan(run, most, 4, warps, 1, 0));
    lab05_plan_made(run)->kernel = kernel;
    PK_TRY(lab05_allow_shared(run, (const void *)kernel));
    return lab05_plan_grid(run, lab05_plan_made(run), (const void *)kernel, warps);
}

/* The same with a tensor map of the pool, in boxes of a page's rows. */
static inline pk_status lab05_plan_tensor_rings(pk_run *run, lab05_tensor_kernel kernel)
{
    const lab05_view *const v = &lab05_of(run)->view;
    const int warps = lab05_of(run)->threads / LAB05_WARP;
    PK_TRY(lab05_make_plan(run, LAB05_MOST_STAGES, 4, warps, 1, PK_TENSOR_SWIZZLED_ALIGN)); /* lab05_for_boxes */
    lab05_plan *const plan = lab05_plan_made(run);
    const pk_tensor_shape pool = {v->pool,
                                  (size_t)v->pages * (size_t)v->rows,
                                  (size_t)v->dim,
                                  (size_t)v->dim * sizeof(uint16_t),
                                  v->rows,
                                  LAB05_BOX_COLUMNS,
                                  lab05_of(run)->swizzled};
    PK_TRY(pk_tensor_map_make(&plan->map, &pool));
    plan->tensor_kernel = kernel;
    PK_TRY(lab05_allow_shared(run, (const void *)kernel));
    return lab05_plan_grid(run, plan, (const void *)kernel, warps);
}

/* For a kernel whose blocks have one ring: a warp that fills it, and the others, which use it. One block a processor,
 * in a grid that stays. Errors: PK_SKIP for one warp. */
static inline pk_status lab05_plan_roles(pk_run *run, lab05_kernel kernel)
{
    if (lab05_of(run)->threads < 2 * LAB05_WARP)
        return pk_fail(PK_SKIP, "it takes a warp that copies and one that computes: use --threads=64 or more");
    PK_TRY(lab05_make_plan(run, LAB05_MOST_STAGES, 12, 1, 2, 0));
    lab05_plan *const plan = lab05_plan_made(run);
    plan->kernel = kernel;
    PK_TRY(lab05_allow_shared(run, (const void *)kernel));
    PK_TRY(lab05_plan_grid(run, plan, (const void *)kernel, 1));
    const int processors = pk_run_device(run)->processors;
    if (!lab05_of(run)->blocks && plan->blocks > processors)
        plan->blocks = processors;
    return PK_OK;
}

#endif
