/* Lab 04: buffers, inputs, and the state at a repetition's beginning. */
#include <stdlib.h>
#include <string.h>

#include "decode/pk_gemm.h"
#include "lab04_problem.h"
#include "num/pk_random.h"

static const float AXPY_A = 0x1p-6f; /* lab 01's inputs: no rounding ever happens while K <= 2^20 */
enum { AXPY_LARGEST = 8, AXPY_START_STEPS = 1 << 16, MOST_AXPY_STEPS = 1 << 20 };
static const size_t MOST_LOGIT_BYTES = (size_t)256 << 20; /* of logits kept, the last steps' */

static const char *model_name(const pk_run *run)
{
    return lab04_knobs[LAB04_KNOB_MODEL].choices[lab04_knob(run, "model")];
}

/* ---- what knobs may be together ---- */

static int rows_of_longest(const pk_run *run)
{
    int rows = 1;
    const int prompt = lab04_knob(run, "prompt");
    while (rows < prompt)
        rows = pk_prefill_bucket(rows + 1, 1 << 20);
    return rows;
}

/* Positions that the knobs ask for, and how many there is room for. */
static int positions(const pk_run *run)
{
    const bool decodes = lab04_knob(run, "work") == LAB04_DECODE;
    return lab04_knob(run, "prompt") + (decodes ? lab04_knob(run, "tokens") : 0);
}

static int capacity(const pk_run *run)
{
    const int given = lab04_knob(run, "capacity");
    return given ? given : positions(run);
}

static pk_status validate_axpy(const pk_run *run)
{
    const long long steps = (long long)lab04_knob(run, "k") * lab04_knob(run, "replays");
    if (steps > MOST_AXPY_STEPS)
        return pk_fail(
            PK_USAGE,
            "lab04: k x replays is %lld, and beyond %d steps a float no longer holds the result exactly: use "
            "fewer --replays",
            steps, (int)MOST_AXPY_STEPS);
    return PK_OK;
}

pk_status lab04_validate(const pk_run *run)
{
    pk_model_config config;
    if (lab04_knob(run, "work") == LAB04_AXPY)
        return validate_axpy(run);
    pk_status status = pk_model_config_named(model_name(run), &config);
    if (status != PK_OK)
        return status;
    if (capacity(run) < positions(run))
        return pk_fail(PK_USAGE,
                       "lab04: the cache is full after %d positions, and the prompt and the tokens to decode are %d: "
                       "raise --capacity or leave it out (docs/troubleshooting.md#cache-full)",
                       capacity(run), positions(run));
    if (capacity(run) > config.max_positions)
        return pk_fail(PK_USAGE, "lab04: %d positions, and %s was made for %d: use a smaller --prompt or --tokens",
                       capacity(run), config.name, config.max_positions);
    return PK_OK;
}

/* ---- set-up ---- */

void lab04_teardown(pk_run *run)
{
    lab04 *lab = pk_run_lab_data(run);
    lab04_expected *host = pk_run_reference(run);
    if (host) {
        free(host->axpy_x);
        free(host->axpy_start);
        free(host->axpy_want);
        free(host->axpy_got);
        free(host->prompts);
        free(host->tokens);
        free(host->logits);
        free(host->seen_tokens);
        free(host->seen_logits);
        free(host->project_x);
        free(host->project_y);
        free(host->project_words);
        pk_device_free(host->kept_cache);
        pk_device_free(host->flush);
        free(host);
        pk_run_set_reference(run, NULL);
    }
    if (lab) {
        pk_gemm_close(lab->gemm);
        pk_decoder_close(&lab->decoder);
        pk_device_free_mapped(lab->host_token);
        pk_device_free_mapped(lab->host_state);
        free(lab->lengths);
        free(lab);
        pk_run_set_lab_data(run, NULL);
    }
}

static pk_status setup_axpy(pk_run *run, lab04 *lab, lab04_expected *host)
{
    lab04_axpy *p = &lab->axpy;
    void *x = NULL, *y = NULL, *start = NULL;
    p->n = lab04_knob(run, "n");
    p->k = lab->launched = lab04_knob(run, "k");
    p->replays = lab04_knob(run, "replays");
    p->a = AXPY_A;
    const size_t bytes = (size_t)p->n * sizeof(float);
    host->axpy_x = malloc(bytes);
    host->axpy_start = malloc(bytes);
    host->axpy_want = malloc(bytes);
    host->axpy_got = malloc(bytes);
    if (!host->axpy_x || !host->axpy_start || !host->axpy_want || !host->axpy_got)
        return pk_out_of_memory("lab04's vectors");
    pk_status status = pk_run_buffer(run, "x", bytes, PK_BUFFER_INPUT, &x);
    if (status == PK_OK)
        status = pk_run_buffer(run, "y", bytes, PK_BUFFER_OUTPUT, &y);
    if (status == PK_OK)
        status = pk_run_buffer(run, "start", bytes, PK_BUFFER_INPUT, &start);
    p->x = x;
    p->y = y;
    p->start = start;
    return status;
}

static pk_decoder_shape decoder_shape(const pk_run *run, const pk_model_config *config)
{
    const bool decodes = lab04_knob(run, "work") == LAB04_DECODE;
    const int steps = lab04_knob(run, decodes ? "tokens" : "requests");
    const size_t rows = MOST_LOGIT_BYTES / ((size_t)config->vocab * sizeof(float));
    return (pk_decoder_shape){.capacity = capacity(run),
                              .most_rows = rows_of_longest(run),
                              .steps = steps,
                              .logit_rows = (size_t)steps < rows ? steps : (int)rows};
}

static pk_status open_decoder(pk_run *run, lab04 *lab, lab04_expected *host)
{
    pk_model_config config;
    pk_decoder_sizes sizes = {0};
    pk_decoder_memory memory;
    const pk_device_info *device = pk_run_device(run);
    const pk_sampling sampling = {.top_k = lab04_knob(run, "top-k"), .temperature = 1, .seed = 1};
    pk_status status = pk_model_config_named(model_name(run), &config);
    if (status != PK_OK)
        return status;
    const pk_decoder_shape shape = decoder_shape(run, &config);
    status = pk_decoder_size(&config, &shape, device->processors, &sizes);
    host->cache_bytes = sizes.cache;
    host->model_kv_bytes = sizes.weights + sizes.cache;
    host->decoder_bytes = pk_decoder_bytes(&sizes, &shape);
    if (status == PK_OK)
        status = pk_judge_buffers(run, &sizes, true, &memory);
    if (status == PK_OK)
        status = pk_decoder_open(&lab->decoder, &config, &shape, &sampling, device->processors,
                                 pk_decoder_threads(device->is_gpu), &memory);
    return status == PK_OK ? pk_decoder_load_random(&lab->decoder, LAB04_WEIGHTS_SEED, pk_run_stream(run)) : status;
}

static pk_status allocate_requests(pk_run *run, lab04 *lab)
{
    void *prompts = NULL, *states = NULL;
    const size_t requests = (size_t)lab->requests;
    lab->lengths = malloc(requests * sizeof *lab->lengths);
    if (!lab->lengths)
        return pk_out_of_memory("lab04's prompts");
    pk_run_host_part(run, "lengths", PK_HOST_INPUT, lab->lengths, requests * sizeof *lab->lengths);
    pk_status status = pk_run_buffer(run, "prompts", requests * (size_t)lab->decoder.shape.most_rows * sizeof(int),
                                     PK_BUFFER_INPUT, &prompts);
    if (status == PK_OK)
        status = pk_run_buffer(run, "states", requests * sizeof(pk_decode_state), PK_BUFFER_INPUT, &states);
    lab->prompts = prompts;
    lab->states = states;
    return status;
}

static pk_status allocate_host(lab04 *lab, lab04_expected *host)
{
    const pk_decoder_shape *shape = &lab->decoder.shape;
    const size_t steps = (size_t)shape->steps, logits = (size_t)shape->logit_rows * (size_t)lab->decoder.config.vocab;
    host->prompts = malloc((size_t)(lab->requests + 1) * (size_t)shape->most_rows * sizeof *host->prompts);
    host->tokens = malloc(steps * sizeof *host->tokens);
    host->seen_tokens = malloc(steps * sizeof *host->seen_tokens);
    host->logits = malloc(logits * sizeof *host->logits);
    host->seen_logits = malloc(logits * sizeof *host->seen_logits);
    if (!host->prompts || !host->tokens || !host->seen_tokens || !host->logits || !host->seen_logits)
        return pk_out_of_memory("lab04's tokens and logits: use fewer --tokens");
    void *device, *token = NULL, *state = NULL;
    pk_status status = pk_device_alloc_mapped(&token, &device, steps * sizeof(int));
    if (status == PK_OK)
        status = pk_device_alloc_mapped(&state, &device, steps * sizeof(pk_decode_state));
    lab->host_token = token;
    lab->host_state = state;
    return status;
}

/* What the library chooses and allocates for each bucket's products, before anything is captured or timed. */
static pk_status plan_products(lab04 *lab)
{
    const int most = lab->decoder.shape.most_rows;
    pk_status status = pk_gemm_open(&lab->gemm);
    for (int rows = 1; status == PK_OK && lab->gemm; rows = pk_prefill_bucket(rows + 1, most)) {
        status = pk_prefill_plan(&lab->decoder, rows, lab->gemm);
        if (rows == most)
            break;
    }
    return status;
}

static pk_status setup_model(pk_run *run, lab04 *lab, lab04_expected *host)
{
    lab->prompt = lab04_knob(run, "prompt");
    lab->tokens = lab04_knob(run, "tokens");
    lab->pool = lab04_knob(run, "pool");
    lab->how.fused = lab04_knob(run, "form") == 1;
    lab->requests = lab->work == LAB04_PREFILL ? lab04_knob(run, "requests") : 0;
    pk_run_host_part(run, "first token", PK_HOST_INPUT, &lab->first_token, sizeof lab->first_token);
    pk_status status = open_decoder(run, lab, host);
    if (status == PK_OK && lab->requests > 0)
        status = allocate_requests(run, lab);
    if (status == PK_OK)
        status = allocate_host(lab, host);
    if (status == PK_OK)
        status = plan_products(lab);
    if (status != PK_OK)
        return status;
    lab->launched =
        lab->requests > 0 ? pk_prefill_launches(&lab->decoder) : pk_decode_step_launches(&lab->decoder, &lab->how);
    return pk_device_alloc(&host->kept_cache, host->cache_bytes);
}

static pk_status setup_project(pk_run *run, lab04 *lab, lab04_expected *host)
{
    lab->part = (pk_decode_part)lab04_knob(run, "part");
    pk_status status = open_decoder(run, lab, host);
    if (status != PK_OK)
        return status;
    lab->copies = lab->part == PK_PART_LOGITS ? 1 : lab->decoder.config.layers;
    const pk_decode_matrix m = pk_decode_matrix_of(&lab->decoder, 0, lab->part);
    const size_t columns = (size_t)m.columns, rows = (size_t)m.rows * (size_t)lab->copies;
    host->project_x = malloc(columns * sizeof *host->project_x);
    host->project_y = malloc(rows * sizeof *host->project_y);
    host->project_words = malloc((size_t)lab->copies * LAB04_READ_WORDS * sizeof *host->project_words);
    if (!host->project_x || !host->project_y || !host->project_words)
        return pk_out_of_memory("lab04's projection");
    void *x = NULL, *y = NULL, *words = NULL;
    status = pk_run_buffer(run, "x", columns * sizeof(float), PK_BUFFER_INPUT, &x);
    if (status == PK_OK)
        status = pk_run_buffer(run, "y", rows * sizeof(float), PK_BUFFER_OUTPUT, &y);
    if (status == PK_OK)
        status = pk_run_buffer(run, "words", (size_t)lab->copies * LAB04_READ_WORDS * sizeof(unsigned),
                               PK_BUFFER_OUTPUT, &words);
    lab->project_x = x;
    lab->project_y = y;
    lab->project_words = words;
    /* Several times the L2, as the harness's own: replacement is not strictly least recently used. */
    host->flush_bytes = pk_run_device(run)->is_gpu ? 4 * pk_run_device(run)->l2_bytes : 0;
    if (status == PK_OK && host->flush_bytes > 0)
        status = pk_device_alloc(&host->flush, host->flush_bytes);
    return status;
}

static bool graphs_wanted(const pk_run *run)
{
    const char *variable = getenv("PK_GRAPH");
    return lab04_knob(run, "graph") != 0 && !(variable && strcmp(variable, "0") == 0);
}

pk_status lab04_setup(pk_run *run)
{
    lab04 *lab = calloc(1, sizeof *lab);
    lab04_expected *host = calloc(1, sizeof *host);
    pk_run_set_lab_data(run, lab);
    pk_run_set_reference(run, host);
    if (!lab || !host)
        return pk_out_of_memory("lab04");
    lab->work = lab04_knob(run, "work");
    lab->graphs = graphs_wanted(run);
    switch (lab->work) {
    case LAB04_AXPY:
        return setup_axpy(run, lab, host);
    case LAB04_PROJECT:
        return setup_project(run, lab, host);
    default:
        return setup_model(run, lab, host);
    }
}

/* ---- inputs ---- */

static pk_status fill_axpy(pk_run *run, const lab04 *lab, lab04_expected *host, pk_random *random)
{
    const lab04_axpy *p = &lab->axpy;
    for (int i = 0; i < p->n; i++) {
        const int drawn = (int)pk_random_below(random, 2 * (uint64_t)AXPY_LARGEST) - AXPY_LARGEST;
        host->axpy_x[i] = (float)(drawn < 0 ? drawn : drawn + 1);
        host->axpy_start[i] =
            AXPY_A * (float)((int)pk_random_below(random, 2 * AXPY_START_STEPS + 1) - AXPY_START_STEPS);
        host->axpy_want[i] =
            (float)((double)host->axpy_start[i] + (double)p->k * p->replays * (double)AXPY_A * (double)host->axpy_x[i]);
    }
    const size_t bytes = (size_t)p->n * sizeof(float);
    void *stream = pk_run_stream(run);
    pk_status status = pk_device_upload((float *)p->x, host->axpy_x, bytes, stream);
    if (status == PK_OK)
        status = pk_device_upload(p->start, host->axpy_start, bytes, stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

static void draw_prompt(const lab04 *lab, int *prompt, int length, pk_random *random)
{
    const int most = lab->decoder.shape.most_rows;
    for (int i = 0; i < most; i++)
        prompt[i] = i < length ? (int)pk_random_below(random, (uint64_t)lab->decoder.config.vocab) : 0;
}

/* The prompt into the cache, and the token after it. What the cache holds beyond is NaN, before every repetition. */
static pk_status fill_decode(pk_run *run, lab04 *lab, lab04_expected *host, pk_random *random)
{
    pk_decoder *d = &lab->decoder;
    void *stream = pk_run_stream(run);
    const size_t bytes = host->cache_bytes;
    draw_prompt(lab, host->prompts, lab->prompt, random);
    pk_status status = pk_device_fill(d->layer[0].k_cache, 0xff, bytes, stream);
    if (status == PK_OK)
        status = pk_decoder_begin(d, host->prompts, lab->prompt, 1, stream);
    if (status == PK_OK)
        status = pk_prefill(d, pk_prefill_bucket(lab->prompt, d->shape.most_rows), lab->gemm, stream);
    if (status == PK_OK)
        status = pk_device_copy(host->kept_cache, d->layer[0].k_cache, bytes, stream);
    if (status == PK_OK)
        status = pk_device_download(&lab->first_token, d->tokens, sizeof(int), stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

static pk_status fill_prefill(pk_run *run, lab04 *lab, lab04_expected *host, pk_random *random)
{
    const size_t most = (size_t)lab->decoder.shape.most_rows, requests = (size_t)lab->requests;
    void *stream = pk_run_stream(run);
    pk_decode_state *states = calloc(requests, sizeof *states);
    if (!states)
        return pk_out_of_memory("lab04's prompts");
    for (size_t r = 0; r < requests; r++) {
        const int longest = lab->prompt;
        lab->lengths[r] = lab04_knob(run, "exact") ? longest : 1 + (int)pk_random_below(random, (uint64_t)longest);
        draw_prompt(lab, host->prompts + r * most, lab->lengths[r], random);
        states[r] = (pk_decode_state){.step = (int)r, .limit = (int)requests + 1, .prompt = lab->lengths[r]};
    }
    pk_status status = pk_device_upload((void *)lab->prompts, host->prompts, requests * most * sizeof(int), stream);
    if (status == PK_OK)
        status = pk_device_upload(lab->states, states, requests * sizeof *states, stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    free(states);
    return status;
}

static pk_status fill_project(pk_run *run, const lab04 *lab, lab04_expected *host, pk_random *random)
{
    const pk_decode_matrix m = pk_decode_matrix_of(&lab->decoder, 0, lab->part);
    const size_t columns = (size_t)m.columns;
    pk_random_fill(random, host->project_x, columns, -1, 1);
    pk_status status =
        pk_device_upload((void *)lab->project_x, host->project_x, columns * sizeof(float), pk_run_stream(run));
    return status == PK_OK ? pk_device_stream_synchronize(pk_run_stream(run)) : status;
}

pk_status lab04_fill(pk_run *run, uint64_t seed)
{
    lab04 *lab = pk_run_lab_data(run);
    lab04_expected *host = pk_run_reference(run);
    pk_random random;
    pk_random_seed(&random, seed);
    host->seen = false;
    if (lab->work == LAB04_AXPY)
        return fill_axpy(run, lab, host, &random);
    if (lab->work == LAB04_PROJECT)
        return fill_project(run, lab, host, &random);
    return lab->work == LAB04_DECODE ? fill_decode(run, lab, host, &random) : fill_prefill(run, lab, host, &random);
}

/* All layers of a small projection fit in a GPU's L2, where a decoder never finds them: it is left without any. */
static pk_status reset_project(const lab04 *lab, const lab04_expected *host, void *stream)
{
    const size_t bytes = (size_t)lab->copies * LAB04_READ_WORDS * sizeof(unsigned);
    pk_status status = pk_device_fill(lab->project_words, 0, bytes, stream);
    if (status == PK_OK && host->flush_bytes > 0)
        status = pk_device_fill(host->flush, 0, host->flush_bytes, stream);
    return status;
}

pk_status lab04_reset(pk_run *run)
{
    lab04 *lab = pk_run_lab_data(run);
    const lab04_expected *host = pk_run_reference(run);
    const pk_decoder *d = &lab->decoder;
    void *stream = pk_run_stream(run);
    if (lab->work == LAB04_AXPY)
        return pk_device_copy(lab->axpy.y, lab->axpy.start, (size_t)lab->axpy.n * sizeof(float), stream);
    if (lab->work == LAB04_PROJECT)
        return reset_project(lab, host, stream);
    pk_status status = pk_device_fill(d->arrivals, 0, (size_t)(d->config.heads + 1) * sizeof(unsigned), stream);
    if (status != PK_OK || lab->work == LAB04_PREFILL)
        return status;
    status = pk_device_copy(d->layer[0].k_cache, host->kept_cache, host->cache_bytes, stream);
    if (status != PK_OK)
        return status;
    const pk_decode_state state = {
        .position = lab->prompt, .token = lab->first_token, .limit = lab->tokens, .prompt = lab->prompt};
    return pk_device_upload(d->state, &state, sizeof state, stream);
}
