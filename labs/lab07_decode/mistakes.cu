/* Lab 07: planted mistakes. Each variant is wrong in one way that people get wrong, and the harness must catch it. What
 * the ladder fills in is here, and asks v.planted. */
#include <math.h>

#include "lab07_kernel.cuh"

/* X(MISTAKE, function, "variant", "summary") */
#define MISTAKES(X)                                                                                                    \
    X(RIGHT, right, "kernel-right", "as it should be")                                                                 \
    X(WRAPS, wraps, "kernel-wraps", "the same; the count of arrivals passes 2^32")                                     \
    X(NO_BARRIER, no_barrier, "no-barrier", "nobody waits at the barriers")                                            \
    X(ONE_MORE, one_more, "one-more", "a barrier waits for a block more than there are")                               \
    X(BLOCK_LOST, block_lost, "block-lost", "the last block of each kernel is not done")                               \
    X(OWN_BLOCK_ONLY, own_block_only, "own-block-only", "a block does one block of each kernel, and no more")          \
    X(STALE_POSITION, stale_position, "stale-position", "the first step's position in every step")                     \
    X(ATTENDS_EARLY, attends_early, "attends-early", "attention before the token's own key is there")                  \
    X(MOVES_ON, moves_on, "moves-on", "a step that is to stay at its position moves on")                               \
    X(STEP_LOST, step_lost, "step-lost", "a launch too few")                                                           \
    X(STEP_TOO_MANY, step_too_many, "step-too-many", "a launch too many")                                              \
    X(NO_WAIT, no_wait, "no-wait", "nobody waits for the last launch")                                                 \
    X(ONE_ULP, ulp, "ulp", "a logit of step 1, the next float up")                                                     \
    X(WRITES_NAN, writes_nan, "writes-nan", "a logit of step 1, NaN")

#define NUMBER(mistake, ...) mistake,
enum mistake { MISTAKES(NUMBER) };
#undef NUMBER

static __device__ inline void meet_blocks(const lab07_kernel_view *v, unsigned target)
{
    unsigned polls = 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        pk_add_release_device(v->arrivals, 1u);
        while (v->planted != NO_BARRIER && (int)(pk_load_acquire_device(v->arrivals) - target) < 0) {
            PK_SPIN_PAUSE();
            lab07_waits_for_blocks(v->arrivals, target, &polls);
        }
    }
    __syncthreads();
}

static __device__ inline void do_kernel(const lab07_kernel_view *v, const pk_step_kernel *k)
{
    const int all = k->blocks * k->rows - (v->planted == BLOCK_LOST ? 1 : 0);
    for (int block = (int)blockIdx.x; block < all; block += (int)gridDim.x) {
        pk_step_block(k, block);
        __syncthreads();
        if (v->planted == OWN_BLOCK_ONLY)
            break;
    }
}

static __global__ void __launch_bounds__(PK_MATVEC_THREADS, 2) decode_step(lab07_kernel_view v)
{
    unsigned target = v.arrived + (v.planted == ONE_MORE ? 1u : 0u);
    for (int k = 0; k < v.count; k++) {
        do_kernel(&v, &v.kernel[k]);
        if (k + 1 < v.count)
            meet_blocks(&v, target += gridDim.x);
    }
}

/* One token's logit of step 1, when all is over. */
static __global__ void change_logit(float *logit, int planted)
{
    *logit = planted == ONE_ULP ? __int_as_float(__float_as_int(*logit) + 1) : (float)NAN;
}

static pk_status prepare(pk_run *run, enum mistake planted)
{
    const lab07 *const lab = lab07_of(run);
    pk_decode_at at = lab07_at_device(lab);
    PK_TRY(lab07_kernel_tell(run, at));
    lab07_kernel_plan *const plan = lab07_kernel_plan_of(run);
    plan->view.planted = planted;
    plan->blocks = lab->blocks ? lab->blocks : 2 * pk_run_device(run)->processors;
    for (int k = 0; k + 1 < plan->count && planted == ATTENDS_EARLY; k++)
        if (plan->told[k + 1].kind == PK_STEP_ATTEND) {
            const pk_step_kernel product = plan->told[k];
            plan->told[k] = plan->told[k + 1];
            plan->told[++k] = product;
        }
    for (int k = 0; k < plan->count && planted == STALE_POSITION; k++)
        if (plan->told[k].kind == PK_STEP_ATTEND)
            plan->told[k].args.attend.at.position = lab->position;
    for (int k = 0; k < plan->count && planted == MOVES_ON; k++)
        if (plan->told[k].kind == PK_STEP_CHOOSE)
            plan->told[k].args.choose.holds = 0;
    return lab07_kernel_send(run);
}

static pk_status execute(pk_run *run)
{
    const lab07 *const lab = lab07_of(run);
    const lab07_kernel_plan *const plan = lab07_kernel_plan_of(run);
    const unsigned barriers = (unsigned)(plan->count - 1) * (unsigned)plan->blocks;
    const int planted = plan->view.planted;
    const int steps = lab->tokens + (planted == STEP_LOST ? -1 : planted == STEP_TOO_MANY ? 1 : 0);
    const unsigned before = planted == WRAPS ? 0u - barriers - 2u : 0u; /* in step 1 */
    lab07_kernel_view view = plan->view;
    PK_TRY(pk_device_upload(lab->arrivals, &before, sizeof before, pk_run_stream(run)));
    for (int step = 0; step < steps; step++) {
        view.arrived = before + (unsigned)step * barriers;
        PK_LAUNCH_COOPERATIVE(decode_step, (unsigned)plan->blocks, (unsigned)plan->threads, 0, lab07_stream(run), view);
    }
    if (planted == ONE_ULP || planted == WRITES_NAN)
        PK_LAUNCH(change_logit, 1, 1, 0, lab07_stream(run), lab->decoder.logits + lab->decoder.config.vocab + 17,
                  planted);
    if (planted != NO_WAIT)
        PK_CHECK(cudaStreamSynchronize(lab07_stream(run)));
    return PK_OK;
}

#define PREPARE(mistake, function, ...)                                                                                \
    static pk_status function(pk_run *run)                                                                             \
    {                                                                                                                  \
        return prepare(run, mistake);                                                                                  \
    }
MISTAKES(PREPARE)

#define VARIANT(mistake, function, name, summary)                                                                      \
    {name, summary, PK_NEED_COOPERATIVE, function, execute, lab07_kernel_finish},
PK_VARIANTS(ladder) = {MISTAKES(VARIANT)};
PK_VARIANTS_END(ladder)
