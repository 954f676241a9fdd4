/* Lab 04: graphs that are wrong on purpose, each in one way that people get wrong. The tests demand that the harness
 * sees each of them, and says what it is. */
#include "decode/pk_matvec.cuh"

#include "lab04_loops.cuh"
#include "lab04_nodes.cuh"
#include "lab04_pool.cuh"

/* ---- what is done right, here ---- */

static pk_status begin(cudaStream_t stream)
{
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    return PK_OK;
}

static pk_status end(pk_run *run, lab04_graph *g)
{
    PK_CHECK(cudaStreamEndCapture(lab04_stream(run), &g->graph));
    PK_CHECK(cudaGraphInstantiate(&g->exec, g->graph, 0));
    return lab04_upload(run, g);
}

static pk_status prepare_at(pk_run *run, pk_decode_at at)
{
    lab04_graph *g;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(begin(lab04_stream(run)));
    PK_TRY(lab04_step(lab04_of(run), at, lab04_stream(run)));
    return end(run, g);
}

static pk_status prepare_right(pk_run *run)
{
    return prepare_at(run, lab04_at_device(lab04_of(run)));
}

static pk_status replay_times(pk_run *run, int times)
{
    for (int i = 0; i < times; i++)
        PK_GRAPH_LAUNCH(lab04_graph_of(run)->exec, lab04_stream(run));
    return PK_OK;
}

static pk_status wait(pk_run *run)
{
    PK_CHECK(cudaStreamSynchronize(lab04_stream(run)));
    return PK_OK;
}

static pk_status replay_right(pk_run *run)
{
    PK_TRY(replay_times(run, lab04_of(run)->tokens));
    return wait(run);
}

/* ---- something that should vary is baked in ---- */

static pk_status stale_position(pk_run *run)
{
    pk_decode_at at = lab04_at_device(lab04_of(run));
    at.position = lab04_of(run)->prompt;
    return prepare_at(run, at);
}

static pk_status stale_token(pk_run *run)
{
    pk_decode_at at = lab04_at_device(lab04_of(run));
    at.token = 0;
    return prepare_at(run, at);
}

static pk_status stale_step(pk_run *run)
{
    return prepare_at(run, lab04_at_host(lab04_of(run), 0));
}

/* A state of its own, which nobody begins. */
static pk_status stale_pointer(pk_run *run)
{
    void *other = NULL;
    PK_TRY(pk_device_alloc(&other, sizeof(pk_decode_state)));
    PK_TRY(pk_device_fill(other, 0, sizeof(pk_decode_state), pk_run_stream(run)));
    pk_decode_at at = lab04_at_device(lab04_of(run));
    at.state = (pk_decode_state *)other;
    PK_TRY(prepare_at(run, at));
    lab04_graph_of(run)->device = other;
    return PK_OK;
}

static pk_status prepare_nodes(pk_run *run)
{
    PK_TRY(prepare_at(run, lab04_at_host(lab04_of(run), 0)));
    return lab04_find_nodes(lab04_graph_of(run)->graph, &lab04_graph_of(run)->nodes);
}

/* All but the last `left_out` nodes, and none at step `forgotten`. */
static pk_status update_some(pk_run *run, size_t left_out, int forgotten)
{
    const lab04 *const lab = lab04_of(run);
    lab04_graph *const g = lab04_graph_of(run);
    for (int step = 0; step < lab->tokens; step++) {
        for (size_t i = 0; i + left_out < g->nodes->count && step != forgotten; i++) {
            g->nodes->node[i].argument.at = lab04_at_host(lab, step);
            PK_CHECK(cudaGraphExecKernelNodeSetParams(g->exec, g->nodes->node[i].node, &g->nodes->node[i].params));
        }
        PK_TRY(replay_times(run, 1));
    }
    return wait(run);
}

static pk_status update_first_layer(pk_run *run)
{
    return update_some(run, lab04_graph_of(run)->nodes->count - 3, -1);
}

static pk_status update_forgotten(pk_run *run)
{
    return update_some(run, 0, 2);
}

/* Captured anew for each step, as in update-graph, and dropped: g->exec stays that of step 0. */
static pk_status update_whole_forgotten(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    for (int step = 0; step < lab->tokens; step++) {
        cudaGraph_t next;
        PK_TRY(begin(lab04_stream(run)));
        PK_TRY(lab04_step(lab, lab04_at_host(lab, step), lab04_stream(run)));
        PK_CHECK(cudaStreamEndCapture(lab04_stream(run), &next));
        PK_TRY(replay_times(run, 1));
        PK_CHECK(cudaGraphDestroy(next));
    }
    return wait(run);
}

/* A table of its own, freed when the graph is made, as the buffers of an engine that has been closed. What is allocated
 * next may lie where it was. */
static pk_status freed_buffer(pk_run *run)
{
    lab04_graph *g;
    const pk_decoder *const d = &lab04_of(run)->decoder;
    const size_t bytes = (size_t)d->shape.capacity * (size_t)d->config.head_dim * sizeof(float);
    pk_decoder other = *d;
    void *table = NULL;
    PK_TRY(pk_device_alloc(&table, bytes));
    PK_TRY(pk_device_copy(table, d->rope, bytes, pk_run_stream(run)));
    PK_CHECK(cudaStreamSynchronize(lab04_stream(run)));
    other.rope = (const float *)table;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(begin(lab04_stream(run)));
    PK_TRY(pk_decode_step(&other, lab04_at_device(lab04_of(run)), &lab04_of(run)->how, lab04_stream(run)));
    PK_TRY(end(run, g));
    pk_device_free(table);
    PK_TRY(pk_device_alloc(&g->device, bytes));
    return pk_device_fill(g->device, 0xff, bytes, pk_run_stream(run));
}

/* ---- what a capture does not take, or does not see ---- */

static pk_status sync_in_capture(pk_run *run)
{
    PK_TRY(begin(lab04_stream(run)));
    PK_CHECK(cudaStreamSynchronize(lab04_stream(run)));
    return PK_OK;
}

static pk_status end_forgotten(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    lab04_graph *g;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(begin(lab04_stream(run)));
    PK_TRY(lab04_step(lab, lab04_at_device(lab), lab04_stream(run)));
    return lab04_check_nodes(run, g->graph, 0);
}

static pk_status malloc_in_capture(pk_run *run)
{
    void *memory = NULL;
    PK_TRY(begin(lab04_stream(run)));
    PK_CHECK(cudaMalloc(&memory, 1024));
    return PK_OK;
}

static __global__ void touch(int *word)
{
    *word = 0;
}

static pk_status legacy_in_capture(pk_run *run)
{
    cudaStream_t stream;
    PK_CHECK(cudaStreamCreate(&stream)); /* one that the legacy stream waits for */
    PK_TRY(begin(stream));
    PK_LAUNCH(touch, 1, 1, 0, (cudaStream_t)0, (int *)lab04_of(run)->decoder.tokens);
    return PK_OK;
}

template <int PAIRS> static __global__ void __launch_bounds__(PK_MATVEC_THREADS, 4) matvec_copy(pk_matvec m)
{
    pk_matvec_chunks<PAIRS> chunks;
    pk_matvec_ask<PAIRS>(&m, &chunks);
    pk_matvec_finish<PAIRS>(&m, &chunks);
}

static void *astray; /* the stream that one projection goes to */

static pk_status first_goes_astray(const pk_matvec *m, unsigned blocks, unsigned threads, void *stream)
{
    void *const on = astray ? astray : stream;
    astray = NULL;
    PK_MATVEC_LAUNCH(PK_LAUNCH, matvec_copy, m, blocks, threads, (cudaStream_t)on);
    return PK_OK;
}

static pk_status other_stream_unchecked(pk_run *run)
{
    lab04_graph *g;
    pk_decode_how how = lab04_of(run)->how;
    how.matvec = first_goes_astray;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(pk_run_add_stream(run, &astray));
    PK_TRY(begin(lab04_stream(run)));
    PK_TRY(pk_decode_step(&lab04_of(run)->decoder, lab04_at_device(lab04_of(run)), &how, lab04_stream(run)));
    return end(run, g);
}

static pk_status other_stream(pk_run *run)
{
    PK_TRY(other_stream_unchecked(run));
    return lab04_check_nodes(run, lab04_graph_of(run)->graph, 0);
}

/* ---- behind a programmatic edge ---- */

/* Lets the next kernel begin, and does not wait for the one ahead. */
template <int PAIRS> static __global__ void __launch_bounds__(PK_MATVEC_THREADS, 4) matvec_rash(pk_matvec m)
{
    pk_matvec_chunks<PAIRS> chunks;
    pk_matvec_ask<PAIRS>(&m, &chunks);
    PK_GRID_DEPENDENCY_TRIGGER();
    pk_matvec_finish<PAIRS>(&m, &chunks);
}

static pk_status launch_matvec_rash(const pk_matvec *m, unsigned blocks, unsigned threads, void *stream)
{
    PK_MATVEC_LAUNCH(PK_LAUNCH_PDL, matvec_rash, m, blocks, threads, (cudaStream_t)stream);
    return PK_OK;
}

static pk_status pdl_no_wait(pk_run *run)
{
    lab04_graph *g;
    pk_decode_how how = lab04_of(run)->how;
    how.pdl = true;
    how.matvec = launch_matvec_rash;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(begin(lab04_stream(run)));
    PK_TRY(pk_decode_step(&lab04_of(run)->decoder, lab04_at_device(lab04_of(run)), &how, lab04_stream(run)));
    return end(run, g);
}

/* ---- too few, too many, too early ---- */

static pk_status step_lost(pk_run *run)
{
    PK_TRY(replay_times(run, lab04_of(run)->tokens - 1));
    return wait(run);
}

static pk_status step_too_many(pk_run *run)
{
    PK_TRY(replay_times(run, lab04_of(run)->tokens + 1));
    return wait(run);
}

static pk_status no_wait(pk_run *run)
{
    return replay_times(run, lab04_of(run)->tokens);
}

/* ---- results that are nearly right ---- */

/* After the last step: one logit of step 1 is one ulp up, or NaN. */
static __global__ void spoil(float *logit, const pk_decode_state *state, int with_nan)
{
    if (state->step == state->limit)
        *logit = with_nan ? NAN : __int_as_float(__float_as_int(*logit) + 1);
}

static pk_status spoil_a_logit(pk_run *run, int with_nan)
{
    lab04_graph *g;
    const pk_decoder *const d = &lab04_of(run)->decoder;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(begin(lab04_stream(run)));
    PK_TRY(lab04_step(lab04_of(run), lab04_at_device(lab04_of(run)), lab04_stream(run)));
    PK_LAUNCH(spoil, 1, 1, 0, lab04_stream(run), d->logits + d->config.vocab + 17, d->state, with_nan);
    return end(run, g);
}

static pk_status ulp(pk_run *run)
{
    return spoil_a_logit(run, 0);
}

static pk_status writes_nan(pk_run *run)
{
    return spoil_a_logit(run, 1);
}

/* ---- loops ---- */

#if defined(LAB04_HAS_LOOP)
/* Ends a step too early, or never. */
static __global__ void go_on_wrongly(cudaGraphConditionalHandle loop, const pk_decode_state *state, int endless)
{
    cudaGraphSetConditional(loop, endless || state->step + 1 < state->limit ? 1 : 0);
}

static pk_status wrong_loop(pk_run *run, int endless)
{
    lab04_graph *g;
    cudaGraph_t body;
    cudaGraphConditionalHandle loop;
    const cudaStream_t stream = lab04_stream(run);
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(lab04_make_loop(&g->graph, &loop, &body));
    PK_CHECK(cudaStreamBeginCaptureToGraph(stream, body, NULL, NULL, 0, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab04_step(lab04_of(run), lab04_at_device(lab04_of(run)), stream));
    PK_LAUNCH(go_on_wrongly, 1, 1, 0, stream, loop, lab04_of(run)->decoder.state, endless);
    PK_CHECK(cudaStreamEndCapture(stream, &body));
    PK_CHECK(cudaGraphInstantiate(&g->exec, g->graph, 0));
    return PK_OK;
}
#else
static pk_status wrong_loop(pk_run *run, int endless)
{
    (void)run, (void)endless;
    return PK_OK;
}
#endif

static pk_status loop_early(pk_run *run)
{
    return wrong_loop(run, 0);
}

static pk_status loop_endless(pk_run *run)
{
    return wrong_loop(run, 1);
}

static pk_status loop_once(pk_run *run)
{
    PK_TRY(replay_times(run, 1));
    return wait(run);
}

/* ---- prompts ---- */

/* A graph of the smallest bucket for every prompt. */
static pk_status bucket_short_prepare(pk_run *run)
{
    lab04_graph *g;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(begin(lab04_stream(run)));
    PK_TRY(lab04_prefill(lab04_of(run), 1, lab04_stream(run)));
    return end(run, g);
}

static pk_status one_graph_for_all(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    for (int request = 0; request < lab->requests; request++) {
        PK_TRY(lab04_begin_request(lab, request, lab04_stream(run)));
        PK_TRY(replay_times(run, 1));
        PK_TRY(lab04_fetch_token(lab, request, lab04_stream(run)));
        pk_token_done(run);
    }
    return PK_OK;
}

/* The padding of a bucket taken for tokens: it is masked by the prompt's length, and that is said to be the bucket's.
 */
static __global__ void take_all_rows(pk_decode_state *state, int rows)
{
    state->prompt = rows;
}

static pk_status padding_is_live(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    for (int request = 0; request < lab->requests; request++) {
        const int rows = pk_prefill_bucket(lab->lengths[request], lab->decoder.shape.most_rows);
        PK_TRY(lab04_begin_request(lab, request, lab04_stream(run)));
        PK_LAUNCH(take_all_rows, 1, 1, 0, lab04_stream(run), lab->decoder.state, rows);
        PK_TRY(lab04_prefill(lab, rows, lab04_stream(run)));
        PK_TRY(lab04_fetch_token(lab, request, lab04_stream(run)));
        pk_token_done(run);
    }
    return PK_OK;
}

/* A pool that looks for a bucket by its place, and has put them in from the other end: prompts longer than the graph's
 * bucket, and shorter ones, which are right and waste rows. */
static pk_status pool_turned_prepare(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    lab04_graph *g;
    int buckets = 0;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_TRY(lab04_pool_open(run, g));
    for (int rows = 1; buckets == 0 || g->pool->entry[buckets - 1].rows < lab->decoder.shape.most_rows;
         rows = pk_prefill_bucket(rows + 1, lab->decoder.shape.most_rows)) {
        lab04_graph one = {};
        PK_TRY(begin(lab04_stream(run)));
        PK_TRY(lab04_prefill(lab, rows, lab04_stream(run)));
        PK_TRY(end(run, &one));
        const lab04_pooled entry = {rows, one.graph, one.exec, 0};
        g->pool->entry[buckets++] = entry;
    }
    g->pool->room = buckets;
    return PK_OK;
}

static pk_status pool_turned(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const lab04_pool *const pool = lab04_graph_of(run)->pool;
    for (int request = 0; request < lab->requests; request++) {
        const int rows = pk_prefill_bucket(lab->lengths[request], lab->decoder.shape.most_rows);
        int place = 0;
        while (pool->entry[place].rows != rows)
            place++;
        PK_TRY(lab04_begin_request(lab, request, lab04_stream(run)));
        PK_GRAPH_LAUNCH(pool->entry[pool->room - 1 - place].exec, lab04_stream(run));
        PK_TRY(lab04_fetch_token(lab, request, lab04_stream(run)));
        pk_token_done(run);
    }
    return PK_OK;
}

#define GRAPH(name, prepare, execute)                                                                                  \
    {                                                                                                                  \
        name, "wrong on purpose", PK_NEED_GRAPH, prepare, execute, lab04_forget_graph                                  \
    }
PK_VARIANTS(ladder) = {
    GRAPH("nothing-wrong", prepare_right, replay_right),
    GRAPH("stale-position", stale_position, replay_right),
    GRAPH("stale-token", stale_token, replay_right),
    GRAPH("stale-step", stale_step, replay_right),
    GRAPH("stale-pointer", stale_pointer, replay_right),
    GRAPH("update-first-layer", prepare_nodes, update_first_layer),
    GRAPH("update-forgotten", prepare_nodes, update_forgotten),
    GRAPH("update-whole-forgotten", prepare_nodes, update_whole_forgotten),
    GRAPH("freed-buffer", freed_buffer, replay_right),
    GRAPH("sync-in-capture", sync_in_capture, replay_right),
    GRAPH("malloc-in-capture", malloc_in_capture, replay_right),
    GRAPH("legacy-in-capture", legacy_in_capture, replay_right),
    GRAPH("end-forgotten", end_forgotten, replay_right),
    GRAPH("other-stream", other_stream, replay_right),
    GRAPH("other-stream-unchecked", other_stream_unchecked, replay_right),
    {"pdl-no-wait", "wrong on purpose", PK_NEED_GRAPH | PK_NEED_PDL, pdl_no_wait, replay_right, lab04_forget_graph},
    GRAPH("step-lost", prepare_right, step_lost),
    GRAPH("step-too-many", prepare_right, step_too_many),
    GRAPH("no-wait", prepare_right, no_wait),
    GRAPH("ulp", ulp, replay_right),
    GRAPH("writes-nan", writes_nan, replay_right),
    {"loop-early", "wrong on purpose", PK_NEED_GRAPH | PK_NEED_GRAPH_WHILE, loop_early, loop_once, lab04_forget_graph},
    {"loop-endless", "wrong on purpose", PK_NEED_GRAPH | PK_NEED_GRAPH_WHILE, loop_endless, loop_once,
     lab04_forget_graph},
    GRAPH("prefill-bucket-short", bucket_short_prepare, one_graph_for_all),
    {"prefill-padding-live", "wrong on purpose", 0, NULL, padding_is_live, NULL},
    {"prefill-pool-turned", "wrong on purpose", PK_NEED_GRAPH, pool_turned_prepare, pool_turned, lab04_pool_close},
};
PK_VARIANTS_END(ladder)
