/* Lab 06: how a variant is launched: its kernel's instance, its grid. On the host, given. */
#ifndef LAB06_LAUNCH_CUH
#define LAB06_LAUNCH_CUH

#include <stdlib.h>

#include "lab06_number.cuh"

typedef void (*lab06_layer_kernel)(lab06_view, int layer);
typedef void (*lab06_all_kernel)(lab06_view);

typedef struct lab06_plan { /* a variant's launches, made by its prepare */
    lab06_layer_kernel layer_kernel;
    lab06_all_kernel all_kernel; /* in its place, for all layers */
    dim3 grid;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
} lab06_plan;

static inline const lab06 *lab06_of(const pk_run *run)
{
    return (const lab06 *)pk_run_lab_data(run);
}

static inline lab06_plan *lab06_plan_of(const pk_run *run)
{
    return (lab06_plan *)pk_run_variant_data(run);
}

/* The instance of kernel<TYPE, ACT, MATH> for the run's knobs. */
#define LAB06_KERNEL(run, kernel)                                                                                      \
    (lab06_of(run)->type == LAB06_FP32 ? LAB06_KERNEL_OF_(run, kernel, LAB06_FP32)                                     \
                                       : LAB06_KERNEL_OF_(run, kernel, LAB06_BF16))
#define LAB06_KERNEL_OF_(run, kernel, type)                                                                            \
    (lab06_of(run)->act == LAB06_GELU                                                                                  \
         ? (lab06_of(run)->math == LAB06_EXACT ? kernel<type, LAB06_GELU, LAB06_EXACT>                                 \
                                               : kernel<type, LAB06_GELU, LAB06_FAST>)                                 \
         : (lab06_of(run)->math == LAB06_EXACT ? kernel<type, LAB06_SILU_GATE, LAB06_EXACT>                            \
                                               : kernel<type, LAB06_SILU_GATE, LAB06_FAST>))

static inline void lab06_free_plan(pk_run *run)
{
    lab06_plan *const plan = lab06_plan_of(run);
    if (!plan)
        return;
    pk_graph_destroy(plan->graph, plan->exec);
    free(plan);
    pk_run_set_variant_data(run, NULL);
}

static inline pk_status lab06_make_plan(pk_run *run, lab06_plan **plan)
{
    *plan = (lab06_plan *)calloc(1, sizeof **plan);
    if (!*plan)
        return pk_out_of_memory("lab06");
    pk_run_set_variant_data(run, *plan);
    return PK_OK;
}

/* One thread an element: a block has LAB06_THREADS columns of a row. */
static inline dim3 lab06_grid_of_elements(const lab06_view *v)
{
    return dim3((unsigned)v->rows, (unsigned)(v->columns + LAB06_THREADS - 1) / LAB06_THREADS);
}

static inline pk_status lab06_plan_elements(pk_run *run, lab06_layer_kernel kernel)
{
    lab06_plan *plan;
    PK_TRY(lab06_make_plan(run, &plan));
    plan->layer_kernel = kernel;
    plan->grid = lab06_grid_of_elements(&lab06_of(run)->view);
    return PK_OK;
}

/* Chunks of a layer: of each row, the last one of which may be short. */
static inline size_t lab06_chunks(const lab06 *lab)
{
    const size_t in_chunk = LAB06_VECTOR_BYTES / lab06_element_bytes(lab->type);
    return (size_t)lab->view.rows * (((size_t)lab->view.columns + in_chunk - 1) / in_chunk);
}

/* A grid that strides: as many blocks as are resident at once, and none without a chunk. */
static inline pk_status lab06_plan_chunks(pk_run *run, lab06_plan *plan, const void *kernel)
{
    int fit = 0;
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, kernel, LAB06_THREADS, 0));
    const size_t resident = (size_t)fit * (size_t)pk_run_device(run)->processors;
    const size_t needed = (lab06_chunks(lab06_of(run)) + LAB06_THREADS - 1) / LAB06_THREADS;
    plan->grid = dim3((unsigned)(resident < needed ? resident : needed));
    return fit > 0 ? PK_OK : pk_fail(PK_SKIP, "no block of this kernel fits a processor");
}

static inline pk_status lab06_plan_layers(pk_run *run, lab06_layer_kernel kernel)
{
    lab06_plan *plan;
    PK_TRY(lab06_make_plan(run, &plan));
    plan->layer_kernel = kernel;
    return lab06_plan_chunks(run, plan, (const void *)kernel);
}

static inline pk_status lab06_plan_all(pk_run *run, lab06_all_kernel kernel)
{
    lab06_plan *plan;
    PK_TRY(lab06_make_plan(run, &plan));
    plan->all_kernel = kernel;
    return lab06_plan_chunks(run, plan, (const void *)kernel);
}

#endif
