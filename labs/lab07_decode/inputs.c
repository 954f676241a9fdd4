/* Lab 07: buffers, inputs, and the state at a repetition's beginning. */
#include <stdlib.h>
#include <string.h>

#include "lab07_problem.h"
#include "num/pk_random.h"

static const size_t MOST_LOGIT_BYTES = (size_t)256 << 20; /* of logits kept, the last steps' */
enum { SEED_TOKEN = 700, SEED_CACHE };                    /* parts of the seed */
enum { KB = 1024 };

/* ---- what knobs may be together ---- */

static int positions(const pk_run *run)
{
    return lab07_knob(run, "position") + lab07_knob(run, "tokens");
}

static int capacity(const pk_run *run)
{
    const int given = lab07_knob(run, "capacity");
    return given ? given : lab07_knob(run, "hold") ? lab07_knob(run, "position") + 1 : positions(run);
}

pk_status lab07_validate(const pk_run *run)
{
    pk_model_config config;
    pk_status status = lab07_model(run, &config);
    if (status != PK_OK)
        return status;
    if (lab07_knob(run, "hold") && capacity(run) <= lab07_knob(run, "position"))
        return pk_fail(PK_USAGE,
                       "lab07: %d positions are given, and a cache of %d has none for a step to stay at: raise "
                       "--capacity or leave it out",
                       lab07_knob(run, "position"), capacity(run));
    if (!lab07_knob(run, "hold") && capacity(run) < positions(run))
        return pk_fail(PK_USAGE,
                       "lab07: the cache is full after %d positions, and those given and the tokens to decode are %d: "
                       "raise --capacity or leave it out (docs/troubleshooting.md#cache-full)",
                       capacity(run), positions(run));
    if (lab07_knob(run, "in-flight") > 0 && lab07_knob(run, "in-flight") < lab07_knob(run, "chunk"))
        return pk_fail(PK_USAGE,
                       "lab07: not even one chunk of %d KB may be under way with --in-flight=%d: use "
                       "--in-flight=%d or more, or a smaller --chunk",
                       lab07_knob(run, "chunk"), lab07_knob(run, "in-flight"), lab07_knob(run, "chunk"));
    if (capacity(run) > config.max_positions)
        return pk_fail(PK_USAGE, "lab07: %d positions, and %s was made for %d: use a smaller --position or --tokens",
                       capacity(run), config.name, config.max_positions);
    return PK_OK;
}

/* ---- set-up ---- */

void lab07_teardown(pk_run *run)
{
    lab07 *lab = pk_run_lab_data(run);
    lab07_expected *host = pk_run_reference(run);
    if (host) {
        for (size_t i = 0; i < LAB07_SUMS; i++) {
            free(host->seen[i].tokens);
            free(host->seen[i].logits);
        }
        free(host->cache);
        free(host->keys);
        free(host->values);
        free(host->tokens);
        free(host->logits);
        free(host->model.tokens);
        free(host->model.logits);
        free(host->model.bound);
        pk_device_free(host->kept_cache);
        free(host);
        pk_run_set_reference(run, NULL);
    }
    if (lab) {
        lab07_close_waits(lab);
        lab07_close_posts(lab);
        pk_decoder_close(&lab->decoder);
        free(lab);
        pk_run_set_lab_data(run, NULL);
    }
}

static pk_status open_decoder(pk_run *run, lab07 *lab, lab07_expected *host)
{
    pk_model_config config;
    pk_decoder_sizes sizes = {0};
    pk_decoder_memory memory;
    const pk_device_info *device = pk_run_device(run);
    const pk_sampling sampling = {
        .top_k = lab07_knob(run, "top-k"), .temperature = 1, .seed = 1, .stop_at_end = lab07_knob(run, "ends")};
    pk_status status = lab07_model(run, &config);
    if (status != PK_OK)
        return status;
    const size_t rows = MOST_LOGIT_BYTES / ((size_t)config.vocab * sizeof(float));
    const pk_decoder_shape shape = {.capacity = capacity(run),
                                    .most_rows = 1,
                                    .steps = lab->tokens,
                                    .weights = (pk_quant)lab07_knob(run, "weights"),
                                    .logit_rows = (size_t)lab->tokens < rows ? lab->tokens : (int)rows};
    status = pk_decoder_size(&config, &shape, device->processors, &sizes);
    host->cache_bytes = sizes.cache;
    host->model_kv_bytes = sizes.weights + sizes.cache;
    host->decoder_bytes = pk_decoder_bytes(&sizes, &shape);
    if (status == PK_OK)
        status = pk_judge_buffers(run, &sizes, false, &memory); /* the cache is given, decode is all there is */
    if (status == PK_OK)
        status = pk_decoder_open(&lab->decoder, &config, &shape, &sampling, device->processors,
                                 pk_decoder_threads(device->is_gpu), &memory);
    if (status != PK_OK || shape.weights == PK_QUANT_BF16)
        return status == PK_OK ? pk_decoder_load_random(&lab->decoder, LAB07_WEIGHTS_SEED, pk_run_stream(run)) : status;
    const pk_model *model; /* quantised on the host, once */
    status = pk_judge_quant_model(&config, LAB07_WEIGHTS_SEED, shape.weights, &model);
    return status == PK_OK ? pk_decoder_load(&lab->decoder, model, pk_run_stream(run)) : status;
}

static pk_status allocate_host(const lab07 *lab, lab07_expected *host)
{
    const pk_decoder *d = &lab->decoder;
    const size_t steps = (size_t)d->shape.steps, layers = (size_t)d->config.layers;
    const size_t logits = (size_t)d->shape.logit_rows * (size_t)d->config.vocab;
    bool all = true;
    for (size_t i = 0; i < LAB07_SUMS; i++) {
        host->seen[i].tokens = malloc(steps * sizeof(int));
        host->seen[i].logits = malloc(logits * sizeof(float));
        all = all && host->seen[i].tokens && host->seen[i].logits;
    }
    host->tokens = malloc(steps * sizeof *host->tokens);
    host->logits = malloc(logits * sizeof *host->logits);
    host->cache = malloc(host->cache_bytes);
    host->keys = malloc(layers * sizeof *host->keys);
    host->values = malloc(layers * sizeof *host->values);
    host->model.tokens = malloc(steps * sizeof(int));
    if (!all || !host->tokens || !host->logits || !host->cache || !host->keys || !host->values || !host->model.tokens)
        return pk_out_of_memory("lab07's keys, values and logits: use a smaller --position or fewer --tokens");
    const uint16_t *const first = d->layer[0].k_cache;
    for (size_t i = 0; i < layers; i++) { /* where the device has them, from the cache's beginning */
        host->keys[i] = host->cache + (d->layer[i].k_cache - first);
        host->values[i] = host->cache + (d->layer[i].v_cache - first);
    }
    return pk_device_alloc(&host->kept_cache, host->cache_bytes);
}

void lab07_take_sizes(const pk_run *run, lab07 *lab)
{
    lab->how.fused = true;
    lab->blocks = lab07_knob(run, "blocks");
    lab->consumers = lab07_knob(run, "consumers");
    lab->ring_bytes = KB * lab07_knob(run, "ring");
    lab->chunk_bytes = KB * lab07_knob(run, "chunk");
    lab->in_flight_bytes = KB * lab07_knob(run, "in-flight");
    lab->share_keys = lab07_knob(run, "share-keys");
}

pk_status lab07_setup(pk_run *run)
{
    lab07 *lab = calloc(1, sizeof *lab);
    lab07_expected *host = calloc(1, sizeof *host);
    pk_run_set_lab_data(run, lab);
    pk_run_set_reference(run, host);
    if (!lab || !host)
        return pk_out_of_memory("lab07");
    lab->position = lab07_knob(run, "position");
    lab->tokens = lab07_knob(run, "tokens");
    lab->how.holds = lab07_knob(run, "hold");
    lab->stamps = lab07_knob(run, "stamps");
    lab->stop_after = lab07_knob(run, "stop-after");
    pk_status status = open_decoder(run, lab, host);
    lab07_take_sizes(run, lab);
    if (status == PK_OK)
        status = allocate_host(lab, host);
    if (status == PK_OK)
        status = lab07_open_waits(run, lab);
    if (status == PK_OK)
        status = lab07_open_posts(lab);
    lab->launched = status == PK_OK ? pk_decode_step_launches(&lab->decoder, &lab->how) : 0;
    return status;
}

/* ---- inputs ---- */

/* Keys and values of one head: numbers from 1/2 to 2 of either sign at the given positions, and NaN behind them. */
static void draw_rows(uint16_t *rows, size_t given, size_t room, pk_random *random)
{
    memset(rows, 0xff, room * sizeof *rows);
    for (size_t i = 0; i < given; i += 4) {
        uint64_t bits = pk_random_u64(random);
        for (size_t j = i; j < i + 4 && j < given; j++, bits >>= 16)
            rows[j] = (uint16_t)((bits & 0x8000) | (0x3f00 + (bits & 0xff)));
    }
}

static void draw_cache(const lab07 *lab, lab07_expected *host, pk_random *random)
{
    const pk_model_config *c = &lab->decoder.config;
    const size_t given = (size_t)lab->position * (size_t)c->head_dim;
    const size_t room = (size_t)lab->decoder.shape.capacity * (size_t)c->head_dim;
    memset(host->cache, 0xff, host->cache_bytes);
    for (int layer = 0; layer < c->layers; layer++)
        for (int head = 0; head < 2 * c->kv_heads; head++) {
            const uint16_t *const of = head < c->kv_heads ? host->keys[layer] : host->values[layer];
            draw_rows(host->cache + (of - host->cache) + (size_t)(head % c->kv_heads) * room, given, room, random);
        }
}

pk_status lab07_fill(pk_run *run, uint64_t seed)
{
    lab07 *lab = pk_run_lab_data(run);
    lab07_expected *host = pk_run_reference(run);
    void *stream = pk_run_stream(run);
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_TOKEN));
    host->first_token = (int)pk_random_below(&random, (uint64_t)lab->decoder.config.vocab);
    pk_random_seed(&random, pk_random_split(seed, SEED_CACHE));
    draw_cache(lab, host, &random);
    for (size_t i = 0; i < LAB07_SUMS; i++)
        host->seen[i].there = false;
    host->model.judged = 0;
    pk_status status = pk_device_upload(host->kept_cache, host->cache, host->cache_bytes, stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

pk_status lab07_reset(pk_run *run)
{
    lab07 *lab = pk_run_lab_data(run);
    lab07_expected *host = pk_run_reference(run);
    const pk_decoder *d = &lab->decoder;
    void *stream = pk_run_stream(run);
    const pk_decode_state state = {.position = lab->position, .token = host->first_token, .limit = lab->tokens};
    size_t all_bytes;
    lab07_clear_posts(lab);
    pk_status status = pk_device_memory(&host->free_bytes, &all_bytes);
    if (status != PK_OK)
        return status;
    status = pk_device_fill(d->arrivals, 0, (size_t)(d->config.heads + 1) * sizeof(unsigned), stream);
    if (status == PK_OK)
        status = lab07_clear_waits(lab, stream);
    if (status == PK_OK)
        status = pk_device_copy(d->layer[0].k_cache, host->kept_cache, host->cache_bytes, stream);
    return status == PK_OK ? pk_device_upload(d->state, &state, sizeof state, stream) : status;
}
