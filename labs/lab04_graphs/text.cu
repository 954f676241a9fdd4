/* Lab 04's text program, on the device: a prompt's prefill and the decode of its text, by graphs or by launches.
 *
 * A token comes to the host by mapped memory: behind the kernels of a step stands one more, which puts the chosen token
 * into a word of its own. The host looks at the word, and never waits for the stream while text comes. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pk_gpu.h"

#include "lab04_loops.cuh"
#include "lab04_pool.cuh"
#include "pk/host.h"
#include "pk_atomic.h"
#include "text.h"

enum { POLLS_A_LOOK = 4096 };               /* asking a GPU's runtime costs a microsecond and more */
static const long CPU_POLL_NS = 200 * 1000; /* its kernels run on the cores that the host would poll on */
static const int SAID_DONE = 1 << 8;        /* beside the fault in a word's upper half */

struct text_engine {
    pk_prompt_decoder d;
    pk_decode_how how;
    bool is_gpu;
    int limit;
    const int *stop;
    cudaStream_t stream;                      /* d.stream */
    unsigned long long *words, *device_words; /* [limit], mapped: 0 until the token is there */
    pk_decode_state *states;                  /* [limit], pinned: what TEXT_CAPTURE sends */
    text_way way;
    lab04_pooled prefill, step; /* graphs; of no rows where there is none */
};

/* ---- what is launched ---- */

/* One thread. Release, system scope: pairs with the host's acquire in wait_for. */
static __global__ void publish(const pk_decode_state *state, unsigned long long *words, int count)
{
    const int step = state->step - 1;
    if (step < 0 || step >= count)
        return; /* a step that was launched ahead of an end */
    const unsigned upper = (unsigned)state->fault | (state->done ? 1u << 8 : 0u);
    pk_store_release_system(&words[step], (unsigned long long)upper << 32 | ((unsigned)state->token + 1u));
}

static pk_status launch_publish(const text_engine *e)
{
    PK_LAUNCH(publish, 1, 1, 0, e->stream, e->d.decoder.state, e->device_words, e->limit);
    return PK_OK;
}

static pk_status launch_step(const text_engine *e)
{
    const pk_decode_at at = {e->d.decoder.state, -1, -1, -1};
    PK_TRY(pk_decode_step(&e->d.decoder, at, &e->how, e->stream));
    return launch_publish(e);
}

static pk_status launch_prefill(const text_engine *e)
{
    PK_TRY(pk_prefill(&e->d.decoder, e->d.rows, e->d.gemm, e->stream));
    return launch_publish(e);
}

/* ---- graphs ---- */

static pk_status instantiate(const text_engine *e, lab04_pooled *graph, int rows)
{
    PK_CHECK(cudaGraphInstantiate(&graph->exec, graph->graph, 0));
#if !defined(PK_BACKEND_HIP) && !defined(PK_BACKEND_HIP_NVIDIA) /* HIP 5 has none: the first launch does it */
    PK_CHECK(cudaGraphUpload(graph->exec, e->stream));
#endif
    PK_CHECK(cudaStreamSynchronize(e->stream));
    graph->rows = rows;
    return PK_OK;
}

static pk_status capture(const text_engine *e, pk_status (*launch)(const text_engine *), lab04_pooled *graph, int rows)
{
    PK_CHECK(cudaStreamBeginCapture(e->stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(launch(e));
    PK_CHECK(cudaStreamEndCapture(e->stream, &graph->graph));
    return instantiate(e, graph, rows);
}

#if defined(LAB04_HAS_LOOP)
static __global__ void go_on(cudaGraphConditionalHandle loop, const pk_decode_state *state)
{
    cudaGraphSetConditional(loop, state->done ? 0 : 1);
}

static pk_status capture_loop(text_engine *e)
{
    cudaGraphConditionalHandle loop;
    cudaGraph_t body;
    PK_TRY(lab04_make_loop(&e->step.graph, &loop, &body));
    PK_CHECK(cudaStreamBeginCaptureToGraph(e->stream, body, NULL, NULL, 0, cudaStreamCaptureModeThreadLocal));
    PK_TRY(launch_step(e));
    PK_LAUNCH(go_on, 1, 1, 0, e->stream, loop, e->d.decoder.state);
    PK_CHECK(cudaStreamEndCapture(e->stream, &body));
    return instantiate(e, &e->step, 1);
}
#else
static pk_status capture_loop(text_engine *)
{
    return pk_fail(PK_SKIP, "this build has no graph nodes that loop: use --variant=resident");
}
#endif

static pk_status make_graphs(text_engine *e)
{
    if (e->way == TEXT_LAUNCH)
        return PK_OK;
    PK_TRY(capture(e, launch_prefill, &e->prefill, e->d.rows));
    return e->way == TEXT_WHILE ? capture_loop(e) : capture(e, launch_step, &e->step, 1);
}

/* ---- set-up ---- */

static pk_status open_words(text_engine *e)
{
    void *words, *device_words, *states, *device_states;
    PK_TRY(pk_device_alloc_mapped(&words, &device_words, (size_t)e->limit * sizeof *e->words));
    e->words = (unsigned long long *)words;
    e->device_words = (unsigned long long *)device_words;
    PK_TRY(pk_device_alloc_mapped(&states, &device_states, (size_t)e->limit * sizeof *e->states));
    e->states = (pk_decode_state *)states;
    return PK_OK;
}

pk_status text_open(text_engine **engine, const pk_prompt_setup *setup, const pk_device_info *device, bool fused,
                    text_way way)
{
    text_engine *const e = *engine = (text_engine *)calloc(1, sizeof *e);
    if (!e)
        return pk_out_of_memory("lab04's text program");
    e->is_gpu = device->is_gpu;
    e->limit = setup->limit;
    e->how.fused = fused;
    e->way = way;
    e->stop = setup->stop;
    PK_TRY(pk_prompt_decoder_open(&e->d, setup, device));
    e->stream = (cudaStream_t)e->d.stream;
    PK_TRY(open_words(e));
    return make_graphs(e);
}

void text_close(text_engine *e)
{
    if (!e)
        return;
    lab04_pool_drop(&e->prefill);
    lab04_pool_drop(&e->step);
    pk_device_free_mapped(e->words);
    pk_device_free_mapped(e->states);
    pk_prompt_decoder_close(&e->d);
    free(e);
}

int text_launches(const text_engine *e)
{
    return pk_decode_step_launches(&e->d.decoder, &e->how) + 1; /* and publish */
}

/* ---- generation ---- */

static void rest(const text_engine *e)
{
    const struct timespec nap = {0, CPU_POLL_NS};
    if (!e->is_gpu)
        (void)nanosleep(&nap, NULL);
}

/* Relaxed: it publishes nothing else. */
static pk_status ask_to_go_on(const text_engine *e)
{
    return __atomic_load_n(e->stop, __ATOMIC_RELAXED) ? pk_fail(PK_INTERRUPTED, "interrupted") : PK_OK;
}

/* Until step `step`'s word is there. A stream that has ended without it: twice, since it may have come in between. */
static pk_status wait_for(const text_engine *e, int step, int *token, bool *done)
{
    unsigned long long word;
    int ended = 0;
    PK_TRY(ask_to_go_on(e)); /* where words come faster than they are taken, the loop below is not entered */
    for (unsigned polls = 1; (word = __atomic_load_n(&e->words[step], __ATOMIC_ACQUIRE)) == 0; polls++) {
        rest(e);
        PK_TRY(ask_to_go_on(e));
        if (e->is_gpu && polls % POLLS_A_LOOK != 0)
            continue;
        bool idle;
        PK_TRY(pk_device_stream_idle(e->stream, &idle));
        ended += idle;
        if (ended > 1 && __atomic_load_n(&e->words[step], __ATOMIC_ACQUIRE) == 0)
            return pk_fail(PK_WRONG,
                           "the device has ended all that was launched, and token %d did not come: try "
                           "--graph=0 to see whether a graph is to blame",
                           step);
    }
    const int upper = (int)(word >> 32);
    *token = (int)(word & 0xffffffffu) - 1;
    *done = (upper & SAID_DONE) != 0;
    if ((upper & ~SAID_DONE) != 0)
        return pk_fail(PK_WRONG, "token %d ended with fault %d: %s", step, upper & ~SAID_DONE,
                       pk_decode_fault_text(upper & ~SAID_DONE));
    return PK_OK;
}

static pk_status replay(const text_engine *e, const lab04_pooled *graph)
{
    PK_GRAPH_LAUNCH(graph->exec, e->stream);
    return PK_OK;
}

/* Where step `step` stands, from pinned memory of its own. */
static pk_status send_state(const text_engine *e, int step, int token, int limit)
{
    const pk_decode_state state = {e->d.prompt + step - 1, token, step, limit, 0, 0, e->d.prompt, 0};
    e->states[step] = state;
    PK_CHECK(cudaMemcpyAsync(e->d.decoder.state, &e->states[step], sizeof state, cudaMemcpyHostToDevice, e->stream));
    return PK_OK;
}

/* Hand over the steps that may be under way while the host waits for `step`'s token: that one and, where the host does
 * not have to say where it stands, the next. */
static pk_status hand_over(const text_engine *e, text_way way, int step, int limit, int before, int *handed)
{
    if (way == TEXT_CAPTURE) {
        PK_TRY(send_state(e, step, before, limit));
        return replay(e, &e->step);
    }
    if (way == TEXT_WHILE)
        return step == 1 ? replay(e, &e->step) : PK_OK;
    for (; *handed <= step + 1 && *handed < limit; ++*handed)
        PK_TRY(way == TEXT_LAUNCH ? launch_step(e) : replay(e, &e->step));
    return PK_OK;
}

static pk_status prefill(const text_engine *e, text_way way, const int *prompt, int limit)
{
    PK_TRY(pk_decoder_begin(&e->d.decoder, prompt, e->d.prompt, limit, e->stream));
    return way == TEXT_LAUNCH ? launch_prefill(e) : replay(e, &e->prefill);
}

pk_status text_generate(text_engine *e, text_way way, const int *prompt, int limit, pk_prompt_taker *take,
                        void *context, pk_prompt_result *result)
{
    const pk_prompt_result nothing = {};
    int token, handed = 1;
    bool done;
    *result = nothing;
    memset(e->words, 0, (size_t)e->limit * sizeof *e->words);
    const double began = pk_now_us();
    PK_TRY(prefill(e, way, prompt, limit));
    PK_TRY(wait_for(e, 0, &token, &done));
    const double first = pk_now_us();
    result->first_us = first - began;
    result->tokens = 1;
    take(context, token);
    for (int step = 1; step < limit && !done; step++) {
        PK_TRY(hand_over(e, way, step, limit, token, &handed));
        PK_TRY(wait_for(e, step, &token, &done));
        result->decode_us = pk_now_us() - first;
        result->tokens = step + 1;
        take(context, token);
    }
    result->ended = pk_prompt_ends(&e->d, token);
    PK_CHECK(cudaStreamSynchronize(e->stream)); /* a step that was handed over ahead of an end */
    return PK_OK;
}
