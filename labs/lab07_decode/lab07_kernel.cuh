/* Lab 07, rung 2, given: the kernels of a step as data, on the device, and a kernel's launch that does them all. */
#ifndef LAB07_KERNEL_CUH
#define LAB07_KERNEL_CUH

#include <stdio.h>
#include <stdlib.h>

#include "decode/pk_step.cuh"

#include "lab07_launches.cuh"
#include "lab07_waits.cuh"

typedef struct lab07_kernel_view { /* what the kernel is given, by value */
    const pk_step_kernel *kernel;  /* [count], device: in the order of their launches */
    int count;
    unsigned *arrivals; /* [1], device: of blocks, at all barriers of the repetition */
    unsigned arrived;   /* what it counts when the launch begins */
    int planted;        /* in mistakes.cu: which mistake; else 0 */
} lab07_kernel_view;

typedef struct lab07_kernel_plan { /* a variant's launch, made by its prepare */
    void (*function)(lab07_kernel_view);
    lab07_kernel_view view;
    int blocks, threads;
    pk_step_kernel *device; /* of view.kernel */
    pk_step_kernel *told;   /* host: the same, and how many there is room for */
    int count, room;
} lab07_kernel_plan;

static inline lab07_kernel_plan *lab07_kernel_plan_of(const pk_run *run)
{
    return (lab07_kernel_plan *)pk_run_variant_data(run);
}

/* A word of a wait: at a barrier. */
static inline long long lab07_kernel_say_wait(const pk_run *run, unsigned long long word, char *text, size_t bytes)
{
    const lab07_kernel_plan *const plan = lab07_kernel_plan_of(run);
    const unsigned blocks = (unsigned)plan->blocks, barriers = (unsigned)(plan->count > 1 ? plan->count - 1 : 1);
    const unsigned number = (unsigned)word / (blocks ? blocks : 1) - 1, missing = (unsigned)(word >> 32) & 0xfffffffu;
    (void)snprintf(text, bytes, "step %u, behind kernel %u of %d: waits at the barrier for %u arrival%s more",
                   number / barriers, number % barriers, plan->count, missing, missing == 1 ? "" : "s");
    return number;
}

static inline void lab07_kernel_finish(pk_run *run)
{
    lab07_kernel_plan *const plan = lab07_kernel_plan_of(run);
    lab07_no_waits(run);
    if (!plan)
        return;
    pk_device_free(plan->device);
    free(plan->told);
    free(plan);
    pk_run_set_variant_data(run, NULL);
}

/* pk_decode_how.record. */
static inline pk_status lab07_kernel_told(void *context, const pk_step_kernel *kernel)
{
    lab07_kernel_plan *const plan = (lab07_kernel_plan *)context;
    if (plan->count == plan->room)
        return pk_fail(PK_FAULT, "lab07: a step of more than %d kernels", plan->room);
    plan->told[plan->count++] = *kernel;
    return PK_OK;
}

/* What pk_decode_step would launch, at the place where `at` says it stands, told and not yet on the device. A block has
 * as many threads as attention has: it shares keys by them. */
static inline pk_status lab07_kernel_tell(pk_run *run, pk_decode_at at)
{
    const lab07 *const lab = lab07_of(run);
    PK_TRY(lab07_reads_bf16(run));
    lab07_kernel_plan *const plan = (lab07_kernel_plan *)calloc(1, sizeof *plan);
    if (!plan)
        return pk_out_of_memory("lab07");
    pk_run_set_variant_data(run, plan);
    plan->room = lab->launched;
    plan->told = (pk_step_kernel *)calloc((size_t)plan->room, sizeof *plan->told);
    if (!plan->told)
        return pk_out_of_memory("lab07");
    pk_decode_how how = lab->how;
    how.record = lab07_kernel_told;
    how.context = plan;
    PK_TRY(pk_decode_step(&lab->decoder, at, &how, lab07_stream(run)));
    for (int k = 0; k < plan->count; k++)
        if (plan->told[k].kind == PK_STEP_ATTEND)
            plan->threads = plan->told[k].threads;
    return PK_OK;
}

/* The kernels that were told, on the device. */
static inline pk_status lab07_kernel_send(pk_run *run)
{
    lab07_kernel_plan *const plan = lab07_kernel_plan_of(run);
    const size_t bytes = (size_t)plan->count * sizeof *plan->told;
    void *device = NULL;
    PK_TRY(pk_device_alloc(&device, bytes));
    plan->device = (pk_step_kernel *)device;
    plan->view.kernel = plan->device;
    plan->view.count = plan->count;
    plan->view.arrivals = lab07_of(run)->arrivals;
    lab07_may_wait(run, plan->blocks, lab07_kernel_say_wait);
    PK_TRY(pk_device_upload(device, plan->told, bytes, pk_run_stream(run)));
    return pk_device_stream_synchronize(pk_run_stream(run));
}

/* Blocks of a grid of which a processor holds `fit`: all of them on a GPU, whose loads they hide; one a processor on
 * the CPU device, where blocks that wait only take turns. */
static inline int lab07_kernel_best_blocks(const pk_run *run, int fit)
{
    const pk_device_info *const device = pk_run_device(run);
    return device->processors * (device->is_gpu || fit < 1 ? fit : 1);
}

/* By all threads of a block: a kernel's arguments into shared memory, before the block meets the others: behind the
 * barrier nothing of them is in the L1 cache. They are there when the threads have met. */
static __device__ inline void lab07_kernel_fetch(pk_step_kernel *shared, const pk_step_kernel *from)
{
    for (unsigned i = threadIdx.x; i < sizeof *from / sizeof(unsigned); i += blockDim.x)
        ((unsigned *)shared)[i] = ((const unsigned *)from)[i];
}

#endif
