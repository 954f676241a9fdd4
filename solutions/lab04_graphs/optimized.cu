/* Lab 04, execution graphs: the ladder. Fill in the steps; the page is README.md beside this file. What
 * each rung is stands in the table at the end.
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in the headers: a step's launches in lab04_step.cuh, a prompt's in lab04_prompt.cuh; and lab04_rungs.cuh calls
 * what is filled in here, in each rung's prepare and execute. */
#include "decode/pk_matvec.cuh"

#include "lab04_loops.cuh"
#include "lab04_nodes.cuh"
#include "lab04_pool.cuh"

/* ---- rung 0: the API, on K launches ---- */
static pk_status capture_axpy(pk_run *run, cudaGraph_t *graph)
{
    const lab04_axpy *const axpy = &lab04_of(run)->axpy;
    const cudaStream_t stream = lab04_stream(run);
    /* STEP lab04.1 for axpy-graph: capture what lab04_axpy_steps launches on the stream into *graph (about 3 lines) */
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab04_axpy_steps(axpy, stream));
    PK_CHECK(cudaStreamEndCapture(stream, graph));
    /* END lab04.1 */
    return PK_OK;
}

static pk_status instantiate(pk_run *run, lab04_graph *g)
{
    /* STEP lab04.2 for axpy-graph, capture, resident, update-nodes, update-graph, update-device, prefill-pool, pdl, while: instantiate g->graph as g->exec (about 1 line) */
    (void)run;
    PK_CHECK(cudaGraphInstantiate(&g->exec, g->graph, 0));
    /* END lab04.2 */
    return PK_OK;
}

static pk_status replay(pk_run *run, cudaGraphExec_t exec)
{
    const cudaStream_t stream = lab04_stream(run);
    /* STEP lab04.3 for all rungs: launch the graph (about 1 line) */
    PK_GRAPH_LAUNCH(exec, stream);
    /* END lab04.3 */
    return PK_OK;
}

/* ---- rung 1: a step of decode, captured once and told where it stands ---- */
static pk_status capture_step(pk_run *run, pk_decode_at at, cudaGraph_t *graph)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    /* STEP lab04.4 for capture, resident, update-nodes, update-graph, update-device: capture what lab04_step launches (about 3 lines) */
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab04_step(lab, at, stream));
    PK_CHECK(cudaStreamEndCapture(stream, graph));
    /* END lab04.4 */
    return PK_OK;
}

/* Step `step` takes in `token`; what it chose is in lab->host_token[step] when this returns. */
static pk_status replay_told(pk_run *run, int step, int token)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    /* STEP lab04.5 for capture: send where the step stands, replay, fetch the token (about 3 lines) */
    PK_TRY(lab04_send_state(lab, step, token, stream));
    PK_TRY(replay(run, lab04_graph_of(run)->exec));
    PK_TRY(lab04_fetch_token(lab, step, stream));
    /* END lab04.5 */
    return PK_OK;
}

/* ---- rung 2: what varies lives on the device ---- */
static pk_status replay_all(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    /* STEP lab04.6 for resident, pdl: replay lab->tokens times, then wait once (about 3 lines) */
    for (int step = 0; step < lab->tokens; step++)
        PK_TRY(replay(run, lab04_graph_of(run)->exec));
    PK_CHECK(cudaStreamSynchronize(stream));
    /* END lab04.6 */
    return PK_OK;
}

/* ---- rung 3: what varies is an argument, and is updated ---- */
/* Where step `step` stands, into the arguments of the nodes that depend on it. */
static pk_status update_nodes(pk_run *run, int step)
{
    const lab04_graph *const g = lab04_graph_of(run);
    const pk_decode_at at = lab04_at_host(lab04_of(run), step);
    for (size_t i = 0; i < g->nodes->count; i++) {
        lab04_node *const n = &g->nodes->node[i];
        /* STEP lab04.7 for update-nodes: put `at` into n->argument.at, then n->params into the node of g->exec (about 2 lines) */
        n->argument.at = at;
        PK_CHECK(cudaGraphExecKernelNodeSetParams(g->exec, n->node, &n->params));
        /* END lab04.7 */
    }
    return PK_OK;
}

/* The whole graph, captured anew for step `step` as `next`, in place of what g->exec holds. */
static pk_status update_graph(pk_run *run, cudaGraph_t next)
{
    const lab04_graph *const g = lab04_graph_of(run);
    cudaGraphExecUpdateResultInfo info;
    /* STEP lab04.8 for update-graph: update g->exec to `next` (about 1 line) */
    PK_CHECK(cudaGraphExecUpdate(g->exec, next, &info));
    /* END lab04.8 */
    return PK_OK;
}

#if defined(LAB04_HAS_DEVICE_GRAPHS)
/* A thread has one node: `at` is what its kernel's one argument begins with, at offset 0. */
static __global__ void move_nodes(const cudaGraphDeviceNode_t *node, int count, pk_decode_at at)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    /* STEP lab04.9 for update-device: set the first bytes of the parameters of node[i] to `at` (about 2 lines) */
    if (i < count)
        cudaGraphKernelNodeSetParam(node[i], 0, &at, sizeof at);
    /* END lab04.9 */
}

static pk_status update_by_kernel(pk_run *run, int step)
{
    const lab04_graph *const g = lab04_graph_of(run);
    const cudaGraphDeviceNode_t *const node = (const cudaGraphDeviceNode_t *)g->device;
    const int count = (int)g->nodes->count;
    const pk_decode_at at = lab04_at_host(lab04_of(run), step);
    /* STEP lab04.10 for update-device: launch move_nodes ahead of the replay, a thread a node (about 2 lines) */
    PK_LAUNCH(move_nodes, (unsigned)(count + 127) / 128, 128, 0, lab04_stream(run), node, count, at);
    /* END lab04.10 */
    return PK_OK;
}
#endif

/* ---- rung 4: a graph for each length of a prompt ---- */
/* The pool's graph of `rows` rows, used now; *found stays NULL where it has none. */
static pk_status pool_find(pk_run *run, int rows, lab04_pooled **found)
{
    lab04_pool *const pool = lab04_graph_of(run)->pool;
    /* STEP lab04.11 for prefill-pool: find the entry, and note that it is used now, by the pool's clock (about 5 lines) */
    for (int i = 0; i < pool->room; i++)
        if (pool->entry[i].rows == rows) {
            pool->entry[i].used = ++pool->clock;
            *found = &pool->entry[i];
        }
    /* END lab04.11 */
    return PK_OK;
}

/* The entry that is to go when another comes: an empty one, which never was used, or the least recently used. */
static pk_status pool_oldest(pk_run *run, lab04_pooled **oldest)
{
    lab04_pool *const pool = lab04_graph_of(run)->pool;
    *oldest = &pool->entry[0];
    /* STEP lab04.12 for prefill-pool: find the entry that was used longest ago (about 3 lines) */
    for (int i = 1; i < pool->room; i++)
        if (pool->entry[i].used < (*oldest)->used)
            *oldest = &pool->entry[i];
    /* END lab04.12 */
    return PK_OK;
}

static pk_status capture_prefill(pk_run *run, int rows, cudaGraph_t *graph)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    /* STEP lab04.13 for prefill-pool: capture what lab04_prefill launches for so many rows (about 3 lines) */
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab04_prefill(lab, rows, stream));
    PK_CHECK(cudaStreamEndCapture(stream, graph));
    /* END lab04.13 */
    return PK_OK;
}

/* ---- rung 5: programmatic edges ---- */
/* A projection that asks for its first weights while the kernel ahead of it still runs. */
template <int PAIRS> static __global__ void __launch_bounds__(PK_MATVEC_THREADS, 4) matvec_ahead(pk_matvec m)
{
    pk_matvec_chunks<PAIRS> chunks;
    /* STEP lab04.14 for pdl: ask for weights; let the kernel behind begin; wait for the kernel ahead; finish (about 4 lines) */
    pk_matvec_ask<PAIRS>(&m, &chunks);
    PK_GRID_DEPENDENCY_TRIGGER();
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
    pk_matvec_finish<PAIRS>(&m, &chunks);
    /* END lab04.14 */
}

static pk_status launch_matvec_ahead(const pk_matvec *m, unsigned blocks, unsigned threads, void *stream)
{
    PK_MATVEC_LAUNCH(PK_LAUNCH_PDL, matvec_ahead, m, blocks, threads, (cudaStream_t)stream);
    return PK_OK;
}

static pk_status capture_pdl(pk_run *run, cudaGraph_t *graph)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    pk_decode_how how = lab->how;
    /* STEP lab04.15 for pdl: as lab04.4 by pk_decode_step, programmatic, matvecs by launch_matvec_ahead (about 5 lines) */
    how.pdl = true;
    how.matvec = launch_matvec_ahead;
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(pk_decode_step(&lab->decoder, lab04_at_device(lab), &how, stream));
    PK_CHECK(cudaStreamEndCapture(stream, graph));
    /* END lab04.15 */
    return PK_OK;
}

/* ---- rung 6: without the host ---- */
#if defined(LAB04_HAS_LOOP)
/* The last kernel of a loop's body: does it go round again? */
static __global__ void go_on(cudaGraphConditionalHandle loop, const pk_decode_state *state)
{
    /* STEP lab04.16 for while: 1 to the loop's value while the generation is not done, else 0 (about 1 line) */
    cudaGraphSetConditional(loop, state->done ? 0 : 1);
    /* END lab04.16 */
}

static pk_status capture_body(pk_run *run, cudaGraph_t body, cudaGraphConditionalHandle loop)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    /* STEP lab04.17 for while: capture a step and go_on into `body`, which is there already (about 4 lines) */
    PK_CHECK(cudaStreamBeginCaptureToGraph(stream, body, NULL, NULL, 0, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab04_step(lab, lab04_at_device(lab), stream));
    PK_LAUNCH(go_on, 1, 1, 0, stream, loop, lab->decoder.state);
    PK_CHECK(cudaStreamEndCapture(stream, &body));
    /* END lab04.17 */
    return PK_OK;
}
#endif

#if defined(LAB04_HAS_DEVICE_GRAPHS)
/* The last kernel of a graph that launches itself again, to run when all of it has ended. */
static __global__ void launch_again(const pk_decode_state *state)
{
    /* STEP lab04.18 for tail: unless the generation is done, tail-launch the graph that runs now (about 2 lines) */
    if (!state->done)
        cudaGraphLaunch(cudaGetCurrentGraphExec(), cudaStreamGraphTailLaunch);
    /* END lab04.18 */
}

static pk_status make_tail(pk_run *run, lab04_graph *g)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    /* STEP lab04.19 for tail: capture a step and launch_again; instantiate for launches by the device (about 5 lines) */
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab04_step(lab, lab04_at_device(lab), stream));
    PK_LAUNCH(launch_again, 1, 1, 0, stream, lab->decoder.state);
    PK_CHECK(cudaStreamEndCapture(stream, &g->graph));
    PK_CHECK(cudaGraphInstantiate(&g->exec, g->graph, cudaGraphInstantiateFlagDeviceLaunch));
    /* END lab04.19 */
    return PK_OK;
}
#endif

#include "lab04_rungs.cuh"

PK_VARIANTS(ladder) = {
    {"axpy-graph", "K launches as one graph", PK_NEED_GRAPH, axpy_prepare, axpy_execute, lab04_forget_graph},
    {"capture", "a step captured once, told its place", PK_NEED_GRAPH, step_prepare, capture_execute,
     lab04_forget_graph},
    {"resident", "the device moves on by itself", PK_NEED_GRAPH, step_prepare, resident_execute, lab04_forget_graph},
    {"update-nodes", "the arguments of some nodes updated for each step", PK_NEED_GRAPH, update_nodes_prepare,
     update_nodes_execute, lab04_forget_graph},
    {"update-graph", "the whole graph captured anew and updated", PK_NEED_GRAPH, update_graph_prepare,
     update_graph_execute, lab04_forget_graph},
    {"update-device", "the arguments of some nodes updated by a kernel", PK_NEED_GRAPH | PK_NEED_GRAPH_DEVICE,
     update_device_prepare, update_device_execute, lab04_forget_graph},
    {"prefill-pool", "a graph for each length bucket", PK_NEED_GRAPH, pool_prepare, pool_execute, lab04_pool_close},
    {"pdl", "resident, with programmatic edges and weights asked for early", PK_NEED_GRAPH | PK_NEED_PDL, pdl_prepare,
     resident_execute, lab04_forget_graph},
    {"while", "all steps in one launch: a loop in the graph", PK_NEED_GRAPH | PK_NEED_GRAPH_WHILE, while_prepare,
     replay_once, lab04_forget_graph},
    {"tail", "all steps in one launch: a graph that launches itself", PK_NEED_GRAPH | PK_NEED_GRAPH_DEVICE,
     tail_prepare, replay_once, lab04_forget_graph},
};
PK_VARIANTS_END(ladder)
