/* Lab 04: each rung's prepare and execute, given. Included by the ladder below what is filled in there, which it calls:
 * prepare makes the graph and times its making; execute is one repetition, all steps or all prompts. */
#ifndef LAB04_RUNGS_CUH
#define LAB04_RUNGS_CUH

#include "lab04_loops.cuh"
#include "lab04_nodes.cuh"
#include "lab04_pool.cuh"

/* ---- what the ladder above fills in ---- */

static pk_status capture_axpy(pk_run *run, cudaGraph_t *graph);
static pk_status instantiate(pk_run *run, lab04_graph *g);
static pk_status replay(pk_run *run, cudaGraphExec_t exec);
static pk_status capture_step(pk_run *run, pk_decode_at at, cudaGraph_t *graph);
static pk_status replay_told(pk_run *run, int step, int token);
static pk_status replay_all(pk_run *run);
static pk_status update_nodes(pk_run *run, int step);
static pk_status update_graph(pk_run *run, cudaGraph_t next);
static pk_status pool_find(pk_run *run, int rows, lab04_pooled **found);
static pk_status pool_oldest(pk_run *run, lab04_pooled **oldest);
static pk_status capture_prefill(pk_run *run, int rows, cudaGraph_t *graph);
static pk_status capture_pdl(pk_run *run, cudaGraph_t *graph);
#if defined(LAB04_HAS_LOOP)
static pk_status capture_body(pk_run *run, cudaGraph_t body, cudaGraphConditionalHandle loop);
#endif

/* ---- making a graph ---- */

static inline pk_status make_exec(pk_run *run, lab04_graph *g)
{
    pk_status status;
    LAB04_TIMED(run, "instantiate", status = instantiate(run, g));
    PK_TRY(status);
    return lab04_upload(run, g);
}

/* The graph that `capture` captures, checked and made ready. */
static inline pk_status prepare_by(pk_run *run, pk_status (*capture)(pk_run *run, cudaGraph_t *graph))
{
    lab04_graph *g;
    pk_status status;
    PK_TRY(lab04_keep_graph(run, &g));
    LAB04_TIMED(run, "capture", status = capture(run, &g->graph));
    PK_TRY(status);
    PK_TRY(lab04_check_nodes(run, g->graph, 0));
    return make_exec(run, g);
}

static inline pk_status axpy_prepare(pk_run *run)
{
    return prepare_by(run, capture_axpy);
}

static inline pk_status prepare_step_at(pk_run *run, pk_decode_at at, pk_status (*before_exec)(lab04_graph *))
{
    lab04_graph *g;
    pk_status status;
    PK_TRY(lab04_keep_graph(run, &g));
    LAB04_TIMED(run, "capture", status = capture_step(run, at, &g->graph));
    PK_TRY(status);
    PK_TRY(lab04_check_nodes(run, g->graph, 0));
    if (before_exec)
        PK_TRY(before_exec(g));
    return make_exec(run, g);
}

static inline pk_status step_prepare(pk_run *run)
{
    return prepare_step_at(run, lab04_at_device(lab04_of(run)), NULL);
}

static inline pk_status find_nodes(lab04_graph *g)
{
    return lab04_find_nodes(g->graph, &g->nodes);
}

static inline pk_status update_nodes_prepare(pk_run *run)
{
    pk_status status;
    PK_TRY(prepare_step_at(run, lab04_at_host(lab04_of(run), 0), find_nodes));
    LAB04_TIMED(run, "update", status = update_nodes(run, 0));
    return status;
}

/* The graph of step `step` in place of what is there. */
static inline pk_status capture_and_update(pk_run *run, int step)
{
    cudaGraph_t next;
    PK_TRY(capture_step(run, lab04_at_host(lab04_of(run), step), &next));
    const pk_status status = update_graph(run, next);
    PK_CHECK(cudaGraphDestroy(next));
    return status;
}

static inline pk_status update_graph_prepare(pk_run *run)
{
    pk_status status;
    PK_TRY(prepare_step_at(run, lab04_at_host(lab04_of(run), 0), NULL));
    LAB04_TIMED(run, "update", status = capture_and_update(run, 0));
    return status;
}

static inline pk_status update_device_prepare(pk_run *run)
{
#if defined(LAB04_HAS_DEVICE_GRAPHS)
    return prepare_step_at(run, lab04_at_host(lab04_of(run), 0), lab04_find_device_nodes);
#else
    (void)run;
    return PK_OK;
#endif
}

/* A graph of a prefill of `rows` rows into the pool. Not in the timed path: a capture takes as long as many replays. */
static inline pk_status pool_add(pk_run *run, int rows)
{
    lab04_pooled *entry;
    lab04_graph g = {};
    pk_status status;
    PK_TRY(pool_oldest(run, &entry));
    lab04_pool_drop(entry);
    LAB04_TIMED(run, "capture", status = capture_prefill(run, rows, &g.graph));
    entry->graph = g.graph;
    entry->rows = rows;
    PK_TRY(status);
    PK_TRY(lab04_check_nodes(run, g.graph, 0));
    status = make_exec(run, &g);
    entry->exec = g.exec;
    PK_TRY(status);
    return pool_find(run, rows, &entry);
}

static inline pk_status pool_prepare(pk_run *run)
{
    const int most = lab04_of(run)->decoder.shape.most_rows;
    lab04_graph *g;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(lab04_pool_open(run, g));
    for (int rows = 1;; rows = pk_prefill_bucket(rows + 1, most)) {
        PK_TRY(pool_add(run, rows));
        if (rows == most)
            return PK_OK;
    }
}

static inline pk_status pdl_prepare(pk_run *run)
{
    return prepare_by(run, capture_pdl);
}

static inline pk_status while_prepare(pk_run *run)
{
#if defined(LAB04_HAS_LOOP)
    cudaGraphConditionalHandle loop;
    cudaGraph_t body;
    lab04_graph *g;
    pk_status status;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(lab04_make_loop(&g->graph, &loop, &body));
    LAB04_TIMED(run, "capture", status = capture_body(run, body, loop));
    PK_TRY(status);
    PK_TRY(lab04_check_nodes(run, body, 1));
    return make_exec(run, g);
#else
    (void)run;
    return PK_OK;
#endif
}

static inline pk_status tail_prepare(pk_run *run)
{
#if defined(LAB04_HAS_DEVICE_GRAPHS)
    lab04_graph *g;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(make_tail(run, g));
    PK_TRY(lab04_check_nodes(run, g->graph, 1));
    return lab04_upload(run, g);
#else
    (void)run;
    return PK_OK;
#endif
}

/* ---- a repetition ---- */

/* K AXPYs a replay, and one wait for all of them. */
static inline pk_status axpy_execute(pk_run *run)
{
    if (!lab04_of(run)->graphs)
        return lab04_without_graph(run);
    for (int i = 0; i < lab04_of(run)->axpy.replays; i++)
        PK_TRY(replay(run, lab04_graph_of(run)->exec));
    PK_CHECK(cudaStreamSynchronize(lab04_stream(run)));
    return PK_OK;
}

/* One replay does all steps of decode. */
static inline pk_status replay_once(pk_run *run)
{
    if (!lab04_of(run)->graphs)
        return lab04_without_graph(run);
    PK_TRY(replay(run, lab04_graph_of(run)->exec));
    PK_CHECK(cudaStreamSynchronize(lab04_stream(run)));
    return PK_OK;
}

static inline pk_status capture_execute(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    if (!lab->graphs)
        return lab04_without_graph(run);
    for (int step = 0; step < lab->tokens; step++) {
        PK_TRY(replay_told(run, step, step == 0 ? lab->first_token : lab->host_token[step - 1]));
        pk_token_done(run);
    }
    return PK_OK;
}

static inline pk_status resident_execute(pk_run *run)
{
    return lab04_of(run)->graphs ? replay_all(run) : lab04_without_graph(run);
}

/* Each step's update, then its replay; one wait. An update is of launches to come: those under way keep what they have.
 */
static inline pk_status update_and_replay(pk_run *run, pk_status (*update)(pk_run *run, int step))
{
    const lab04 *const lab = lab04_of(run);
    if (!lab->graphs)
        return lab04_without_graph(run);
    for (int step = 0; step < lab->tokens; step++) {
        PK_TRY(update(run, step));
        PK_TRY(replay(run, lab04_graph_of(run)->exec));
    }
    PK_CHECK(cudaStreamSynchronize(lab04_stream(run)));
    return PK_OK;
}

static inline pk_status update_nodes_execute(pk_run *run)
{
    return update_and_replay(run, update_nodes);
}

static inline pk_status update_graph_execute(pk_run *run)
{
    return update_and_replay(run, capture_and_update);
}

static inline pk_status update_device_execute(pk_run *run)
{
#if defined(LAB04_HAS_DEVICE_GRAPHS)
    return update_and_replay(run, update_by_kernel);
#else
    (void)run;
    return PK_OK;
#endif
}

/* A prompt whose bucket the pool does not have is launched kernel by kernel: nothing is captured while a user waits. */
static inline pk_status pool_execute(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    for (int request = 0; request < lab->requests; request++) {
        const int rows = pk_prefill_bucket(lab->lengths[request], lab->decoder.shape.most_rows);
        lab04_pooled *found = NULL;
        if (lab->graphs)
            PK_TRY(pool_find(run, rows, &found));
        PK_TRY(lab04_begin_request(lab, request, stream));
        if (found)
            PK_TRY(replay(run, found->exec));
        else
            PK_TRY(lab04_prefill(lab, rows, stream));
        PK_TRY(lab04_fetch_token(lab, request, stream));
        pk_token_done(run);
    }
    return PK_OK;
}

#endif
