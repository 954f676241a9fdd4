/* Lab 04, execution graphs: the baselines. Every kernel is launched by the host, as an engine without graphs does.
 *
 *   axpy-loop       --work=axpy: K launches, one wait
 *   launch          --work=decode: the kernels of a step, the chosen token copied to the host, a wait; then the next
 *                   step
 *   stream          the same launches without a wait between steps: the token stays on the device. Nothing but
 *                   launching is left to gain against it
 *   prefill-launch  --work=prefill: the kernels of a prompt of its own bucket's length
 *   prefill-exact   beside a pool, where all prompts fill their bucket: a graph of that length alone
 *   project-read    --work=project: a plain read of a projection's weights in all layers
 *   project-matvec  the projection: what it takes beyond the read is its own */
#include <stdlib.h>

#include "lab04_project.cuh"
#include "lab04_prompt.cuh"
#include "lab04_step.cuh"

static pk_status axpy_loop(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    for (int i = 0; i < lab->axpy.replays; i++)
        PK_TRY(lab04_axpy_steps(&lab->axpy, stream));
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static pk_status launch(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    int token = lab->first_token;
    for (int step = 0; step < lab->tokens; step++) {
        pk_decode_at at = lab04_at_host(lab, step);
        at.token = token; /* the host has it, and hands it in */
        PK_TRY(lab04_step(lab, at, stream));
        PK_TRY(lab04_fetch_token(lab, step, stream));
        token = lab->host_token[step];
        pk_token_done(run);
    }
    return PK_OK;
}

static pk_status stream_ordered(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    for (int step = 0; step < lab->tokens; step++)
        PK_TRY(lab04_step(lab, lab04_at_host(lab, step), stream));
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static pk_status prefill_launch(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    for (int request = 0; request < lab->requests; request++) {
        PK_TRY(lab04_begin_request(lab, request, stream));
        PK_TRY(lab04_prefill(lab, pk_prefill_bucket(lab->lengths[request], lab->decoder.shape.most_rows), stream));
        PK_TRY(lab04_fetch_token(lab, request, stream));
        pk_token_done(run);
    }
    return PK_OK;
}

static pk_status project_read_prepare(pk_run *run)
{
    return lab04_project_prepare(run, true);
}

static pk_status project_matvec_prepare(pk_run *run)
{
    return lab04_project_prepare(run, false);
}

PK_VARIANTS(baseline) = {
    {"axpy-loop", "K launches, one wait", 0, NULL, axpy_loop, NULL},
    {"launch", "every kernel launched, a wait for each token", 0, NULL, launch, NULL},
    {"stream", "every kernel launched, one wait at the end", 0, NULL, stream_ordered, NULL},
    {"prefill-launch", "every kernel of a prompt launched", 0, NULL, prefill_launch, NULL},
    {"prefill-exact", "a graph captured for the one length of all prompts", PK_NEED_GRAPH, lab04_exact_prepare,
     lab04_exact_execute, lab04_forget_graph},
    {"project-read", "a plain read of the weights", PK_NEED_GRAPH, project_read_prepare, lab04_project_execute,
     lab04_forget_graph},
    {"project-matvec", "the projection", PK_NEED_GRAPH, project_matvec_prepare, lab04_project_execute,
     lab04_forget_graph},
};
PK_VARIANTS_END(baseline)
