/* Lab 07, rung 2: one kernel a token. Fill in the steps; the page is README.md beside this file.
 *
 *   kernel  one cooperative kernel does the work of all kernels of a step; its blocks meet where one kernel ended and
 * the next began
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in lab07_kernel.cuh. */
#include "lab07_kernel.cuh"

/* All threads of all blocks. `arrivals` counts the blocks' arrivals at all barriers, is never set back, and may come
 * round: this barrier is over when it has come to `target`, or beyond.
 * Pairs: the release by which a block's first thread arrives, with the acquire by which every block's first thread sees
 * the count complete, at device scope. The meeting of a block's threads before the one and after the other carries it
 * to all of them. */
static __device__ inline void meet_blocks(unsigned *arrivals, unsigned target)
{
    unsigned polls = 0; /* in vain: a wait that lasts says so */
    /* STEP lab07.1 for kernel: meet, one thread arrives and waits for all blocks, meet (about 9 lines) */
    (void)arrivals, (void)target;
    /* END lab07.1 */
    (void)polls;
}

/* What a launch of kernel `k` would do, by all blocks of this grid: block b of it has blocks b, b + n, b + 2 n, ... of
 * that launch, where n is how many there are here. */
static __device__ inline void do_kernel(const pk_step_kernel *k)
{
    const int all = k->blocks * k->rows;
    /* STEP lab07.2 for kernel: pk_step_block for each of this block's; its threads meet behind each (about 4 lines) */
    (void)k, (void)all;
    /* END lab07.2 */
}

/* A step. What one kernel wrote the next reads, in whatever block: so all blocks meet between them. The last block of
 * the last kernel moves the state on, which all blocks have read by then. */
static __global__ void __launch_bounds__(PK_MATVEC_THREADS, 2) decode_step(lab07_kernel_view v)
{
    __shared__ pk_step_kernel kernel[2]; /* this one's arguments and the next one's */
    unsigned target = v.arrived;
    lab07_kernel_fetch(&kernel[0], &v.kernel[0]);
    __syncthreads();
    for (int k = 0; k < v.count; k++) {
        /* STEP lab07.3 for kernel: do kernel k; unless it was the last, fetch the next one's arguments, and meet (about 5 lines) */
        (void)do_kernel, (void)meet_blocks;
        /* END lab07.3 */
    }
    (void)target;
}

/* The grid: as many blocks as were asked for, or as many as are resident at once. Errors: PK_USAGE where those that
 * were asked for cannot all be. */
static pk_status plan_grid(pk_run *run, lab07_kernel_plan *plan)
{
    const int processors = pk_run_device(run)->processors;
    int fit = 0; /* blocks that a processor holds */
    /* STEP lab07.4 for kernel: ask how many blocks of decode_step a processor holds (about 1 line) */
    (void)plan, (void)decode_step;
    return pk_todo(run, "lab07.4");
    /* END lab07.4 */
    plan->blocks = lab07_of(run)->blocks ? lab07_of(run)->blocks : lab07_kernel_best_blocks(run, fit);
    if (plan->blocks < 1 || plan->blocks > fit * processors)
        return pk_fail(PK_USAGE,
                       "lab07: a grid of %d blocks cannot be resident, and its blocks would wait for ever: %d "
                       "processors hold %d blocks of this kernel each: use --blocks=%d or fewer",
                       plan->blocks, processors, fit, fit * processors);
    return PK_OK;
}

static pk_status kernel_prepare(pk_run *run)
{
    PK_TRY(lab07_kernel_tell(run, lab07_at_device(lab07_of(run))));
    PK_TRY(plan_grid(run, lab07_kernel_plan_of(run)));
    return lab07_kernel_send(run);
}

/* All steps, one launch each, and one wait. */
static pk_status kernel_execute(pk_run *run)
{
    const lab07_kernel_plan *const plan = lab07_kernel_plan_of(run);
    const unsigned barriers = (unsigned)(plan->count - 1) * (unsigned)plan->blocks; /* arrivals of a step */
    lab07_kernel_view view = plan->view;
    for (int step = 0; step < lab07_of(run)->tokens; step++) {
        /* STEP lab07.5 for kernel: set what arrivals count when it begins; launch so that all blocks are resident (about 3 lines) */
        (void)view, (void)step, (void)barriers;
        return pk_todo(run, "lab07.5");
        /* END lab07.5 */
    }
    PK_CHECK(cudaStreamSynchronize(lab07_stream(run)));
    return PK_OK;
}

PK_VARIANTS(ladder) = {
    {"kernel", "one cooperative kernel a token, a barrier a phase", PK_NEED_COOPERATIVE, kernel_prepare, kernel_execute,
     lab07_kernel_finish},
};
PK_VARIANTS_END(ladder)
