/* Lab 03, cooperative kernel: knobs, buffers, and the check of what a repetition gave. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab03_problem.h"
#include "lab03_reference.h"

/* ---- knobs ---- */

const pk_knob lab03_knobs[] = {
    [LAB03_KNOB_SEQ_LEN] = {"seq-len", "keys", "L: keys in the cache before the first step", 1024, 70, 1, 1LL << 24,
                            NULL, 0},
    [LAB03_KNOB_BATCH] = {"batch", "sequences", "B: sequences", 1, 2, 1, 1024, NULL, 0},
    [LAB03_KNOB_HEADS] = {"heads", "heads", "H: query heads, a multiple of the key/value heads", 32, 4, 1, 1024, NULL,
                          0},
    [LAB03_KNOB_KV_HEADS] = {"kv-heads", "heads", "G: key/value heads", 8, 2, 1, 1024, NULL, 0},
    [LAB03_KNOB_HEAD_DIM] = {"head-dim", "floats", "D: 64, 80 or 128", 128, 64, 1, 1024, NULL, 0},
    [LAB03_KNOB_STEPS] = {"steps", "steps", "T: dependent steps a repetition", 128, 3, 1, 1 << 16, NULL, 0},
    [LAB03_KNOB_RAGGED] = {"ragged", "%", "sequences are up to so much shorter than L", 0, 60, 0, 100, NULL, 0},
    [LAB03_KNOB_CAPACITY] = {"capacity", "keys", "room in the cache for each sequence; 0: just enough", 0, 0, 0,
                             1LL << 25, NULL, 0},
    [LAB03_KNOB_BLOCK_K] = {"block-k", "keys", "keys of a tile, a multiple of 8", 72, 16, 8, 4096, NULL, 0},
    [LAB03_KNOB_STAGES] = {"stages", "tiles", "tiles of the ring, where they are copied ahead; 0: as many as fit", 0, 3,
                           0, LAB03_MOST_STAGES, NULL, 0},
    [LAB03_KNOB_BLOCKS] = {"blocks", "blocks", "blocks of the grid; 0: what fits the device best", 0, 0, 0, 1 << 16,
                           NULL, 0},
    [LAB03_KNOB_THREADS] = {"threads", "threads", "threads of a block, a multiple of 32; 0: 512, 64 on the CPU device",
                            0, 0, 0, LAB03_MOST_THREADS, NULL, 0},
    [LAB03_KNOB_EXTRA_BARRIERS] = {"extra-barriers", "barriers", "further barriers a step, to see what one costs", 0, 0,
                                   0, 1 << 16, NULL, 0},
};

static pk_status validate_shape(const pk_run *run)
{
    const int heads = lab03_knob(run, "heads"), kv_heads = lab03_knob(run, "kv-heads"),
              head_dim = lab03_knob(run, "head-dim");
    const int length = lab03_knob(run, "seq-len"), steps = lab03_knob(run, "steps"),
              capacity = lab03_knob(run, "capacity");
    if (heads % kv_heads != 0)
        return pk_fail(PK_USAGE,
                       "lab03: %d query heads cannot share %d key/value heads evenly: --heads must be a multiple "
                       "of --kv-heads",
                       heads, kv_heads);
    if (head_dim % 8 != 0)
        return pk_fail(PK_USAGE,
                       "lab03: a head of %d bf16 is no multiple of 16 bytes, which is what a thread reads at "
                       "once: use --head-dim=64, 80 or 128",
                       head_dim);
    if (head_dim != 64 && head_dim != 80 && head_dim != 128)
        return pk_fail(PK_USAGE,
                       "lab03: kernels are made for heads of 64, 80 and 128 floats, not %d: use one of these "
                       "for --head-dim",
                       head_dim);
    if (capacity != 0 && capacity < length + steps)
        return pk_fail(PK_USAGE,
                       "lab03: %d keys and %d steps need room for %d, and the cache has %d: raise --capacity, "
                       "or leave it out",
                       length, steps, length + steps, capacity);
    return PK_OK;
}

static pk_status validate_launch(const pk_run *run)
{
    const int blocks = lab03_knob(run, "blocks"), threads = lab03_knob(run, "threads"),
              block_k = lab03_knob(run, "block-k");
    if (block_k % 8 != 0)
        return pk_fail(PK_USAGE,
                       "lab03: a tile of %d keys is no multiple of the 8 that a warp takes at once: use "
                       "--block-k=%d",
                       block_k, (block_k + 7) / 8 * 8);
    if (threads % 32 != 0)
        return pk_fail(PK_USAGE, "lab03: %d threads are no whole number of warps: use --threads=%d", threads,
                       (threads + 31) / 32 * 32);
    if (blocks == 0)
        return PK_OK;
    int per_processor = 0;
    pk_status status = lab03_threads_per_processor(&per_processor);
    if (status != PK_OK)
        return status;
    const pk_device_info *device = pk_run_device(run);
    const long long block = threads ? threads : 32, most = per_processor / block * device->processors;
    if (blocks > most)
        return pk_fail(PK_USAGE,
                       "lab03: a grid of %d blocks cannot be resident, and a grid barrier would wait for ever: %d "
                       "processors of %d threads hold at most %lld blocks of %lld: use --blocks=%lld or fewer",
                       blocks, device->processors, per_processor, most, block, most);
    return PK_OK;
}

static pk_status validate(const pk_run *run)
{
    const long long heads = (long long)lab03_knob(run, "batch") * lab03_knob(run, "heads");
    const long long positions = (long long)lab03_knob(run, "seq-len") + lab03_knob(run, "steps");
    pk_status status = validate_shape(run);
    /* Kernels multiply tiles by blocks in 32 bits. */
    const long long tiles = heads * (positions / lab03_knob(run, "block-k") + 1);
    const long long blocks = (long long)pk_run_device(run)->processors * LAB03_MOST_BLOCKS + lab03_knob(run, "blocks");
    if (status == PK_OK && (heads > 65535 || tiles * blocks > INT32_MAX))
        status = pk_fail(PK_USAGE,
                         "lab03: %lld heads of %lld keys in tiles of %d are more than is made for here: use a smaller "
                         "--batch or --seq-len, or a larger --block-k",
                         heads, positions, lab03_knob(run, "block-k"));
    return status == PK_OK ? validate_launch(run) : status;
}

/* ---- set-up ---- */

void lab03_forget_seen(lab03_expected *expected)
{
    while (expected->seen) {
        lab03_seen *next = expected->seen->next;
        free(expected->seen);
        expected->seen = next;
    }
}

static void teardown(pk_run *run)
{
    lab03 *lab = pk_run_lab_data(run);
    lab03_expected *expected = pk_run_reference(run);
    if (expected) {
        lab03_forget_seen(expected);
        free(expected->want);
        free(expected->bound);
        free(expected->got);
        free(expected);
    }
    free(lab->host_lengths);
    free(lab->host_line);
    free(lab->host_source);
    free(lab);
    pk_run_set_lab_data(run, NULL);
    pk_run_set_reference(run, NULL);
}

static void read_knobs(const pk_run *run, lab03 *lab)
{
    lab03_view *v = &lab->view;
    const pk_device_info *device = pk_run_device(run);
    v->batch = lab03_knob(run, "batch");
    v->heads = lab03_knob(run, "heads");
    v->kv_heads = lab03_knob(run, "kv-heads");
    v->head_dim = lab03_knob(run, "head-dim");
    v->ratio = v->heads / v->kv_heads;
    v->quads = (v->ratio + LAB03_HEADS - 1) / LAB03_HEADS;
    v->units = v->kv_heads * v->quads;
    v->steps = lab03_knob(run, "steps");
    v->block_k = lab03_knob(run, "block-k");
    v->barrier_start = LAB03_BARRIER_START;
    v->extra_barriers = lab03_knob(run, "extra-barriers");
    v->capacity = lab03_knob(run, "capacity");
    if (v->capacity == 0) /* whole tiles, so that a tile can be copied without asking where the sequence ends */
        v->capacity = (lab03_knob(run, "seq-len") + v->steps + v->block_k - 1) / v->block_k * v->block_k;
    lab->blocks = lab03_knob(run, "blocks");
    lab->threads = lab03_knob(run, "threads");
    if (lab->threads == 0)
        lab->threads = device->is_gpu ? LAB03_MOST_THREADS : 64;
    lab->stages = lab03_knob(run, "stages");
    lab->ragged = lab03_knob(run, "ragged");
    const int most = device->processors * LAB03_MOST_BLOCKS;
    v->slots = v->batch * v->units + (lab->blocks > most ? lab->blocks : most);
}

static pk_status allocate_host(pk_run *run, lab03 *lab)
{
    const lab03_view *v = &lab->view;
    const size_t outputs = lab03_outputs(v), batch = (size_t)v->batch;
    lab->host_lengths = calloc(batch, sizeof *lab->host_lengths);
    lab->host_line = calloc((size_t)v->steps * (batch + 1), sizeof *lab->host_line);
    lab->host_source = calloc((size_t)v->heads * (size_t)v->head_dim, sizeof *lab->host_source);
    lab03_expected *expected = calloc(1, sizeof *expected);
    pk_run_set_reference(run, expected);
    if (expected) {
        expected->want = calloc(outputs, sizeof *expected->want);
        expected->bound = calloc(outputs, sizeof *expected->bound);
        expected->got = calloc(outputs, sizeof *expected->got);
    }
    if (!lab->host_lengths || !lab->host_line || !lab->host_source || !expected || !expected->want ||
        !expected->bound || !expected->got)
        return pk_fail(PK_FAULT, "lab03: no host memory for %zu outputs and their reference: use fewer --steps",
                       outputs);
    pk_run_host_part(run, "lengths", PK_HOST_INPUT, lab->host_lengths, batch * sizeof *lab->host_lengths);
    pk_run_host_part(run, "line", PK_HOST_INPUT, lab->host_line,
                     (size_t)v->steps * (batch + 1) * sizeof *lab->host_line);
    pk_run_host_part(run, "source", PK_HOST_INPUT, lab->host_source,
                     (size_t)v->heads * (size_t)v->head_dim * sizeof *lab->host_source);
    return PK_OK;
}

static pk_status allocate_device(pk_run *run, lab03 *lab)
{
    lab03_view *v = &lab->view;
    const size_t batch = (size_t)v->batch, heads = batch * (size_t)v->heads, dim = (size_t)v->head_dim;
    const size_t rows = (size_t)v->steps * batch * (size_t)v->kv_heads * dim * sizeof(uint16_t);
    const size_t cache = lab03_cache_elements(v) * sizeof(uint16_t), outputs = lab03_outputs(v) * sizeof(float);
    const size_t record = (size_t)lab03_record_floats(v->head_dim) * sizeof(float);
    const struct {
        const char *name;
        size_t bytes;
        pk_buffer_role role;
        void *pointer;
    } buffers[] = {
        {"lengths", batch * sizeof(int), PK_BUFFER_INPUT, &v->lengths},
        {"line", (size_t)v->steps * (batch + 1) * sizeof(int), PK_BUFFER_INPUT, &v->line},
        {"k_cache", cache, PK_BUFFER_STATE, &v->k_cache}, /* poisoned by reset, where it is to be written */
        {"v_cache", cache, PK_BUFFER_STATE, &v->v_cache},
        {"k_new", rows, PK_BUFFER_INPUT, &v->k_new},
        {"v_new", rows, PK_BUFFER_INPUT, &v->v_new},
        {"q_base", outputs, PK_BUFFER_INPUT, &v->q_base},
        {"source", (size_t)v->heads * dim * sizeof(int), PK_BUFFER_INPUT, &v->source},
        {"out", outputs, PK_BUFFER_OUTPUT, &v->out},
        {"partial", 2 * (size_t)v->slots * record, PK_BUFFER_SCRATCH, &v->partial},
        {"barrier", LAB03_BARRIER_WORDS * sizeof(unsigned), PK_BUFFER_SCRATCH, &v->barrier},
        {"queries", heads * dim * sizeof(float), PK_BUFFER_SCRATCH, &v->queries},
        {"scores", heads * (size_t)v->capacity * sizeof(float), PK_BUFFER_SCRATCH, &v->scores},
    };
    for (size_t i = 0; i < PK_COUNT(buffers); i++) {
        void *device = NULL;
        pk_status status = pk_run_buffer(run, buffers[i].name, buffers[i].bytes, buffers[i].role, &device);
        if (status != PK_OK)
            return status;
        memcpy(buffers[i].pointer, &device, sizeof device); /* all object pointers look alike on these devices */
    }
    return PK_OK;
}

static pk_status setup(pk_run *run)
{
    lab03 *lab = calloc(1, sizeof *lab);
    if (!lab)
        return pk_out_of_memory("lab03");
    pk_run_set_lab_data(run, lab);
    read_knobs(run, lab);
    pk_status status = allocate_device(run, lab);
    return status == PK_OK ? allocate_host(run, lab) : status;
}

/* ---- a repetition ---- */

static pk_status reset(pk_run *run)
{
    return lab03_poison(pk_run_lab_data(run), pk_run_stream(run));
}

/* Where the first wrong output is, and whether it has a familiar look. */
static void explain(const lab03 *lab, pk_verdict *verdict)
{
    const lab03_view *v = &lab->view;
    const uint64_t i = verdict->first_wrong, dim = (uint64_t)v->head_dim, heads = (uint64_t)v->heads;
    const unsigned long long d = i % dim, h = i / dim % heads, b = i / dim / heads % (uint64_t)v->batch;
    const unsigned long long step = i / dim / heads / (uint64_t)v->batch;
    const char *look = "";
    if (isnan(verdict->got))
        look = ": NaN, so never written, or computed from something that was not (docs/troubleshooting.md#nan)";
    else if (step > 0)
        look =
            ": the step's query, the new row or what other blocks contribute was not there yet, or was another step's";
    else
        look = ": keys left out, taken twice or of another head, or a wrong combination of the parts";
    snprintf(verdict->note, sizeof verdict->note, "step %llu, sequence %llu, head %llu, component %llu%s", step, b, h,
             d, look);
}

/* The caches, bit for bit. The rows that were there before are drawn again when one of them was hit, or the next
 * variant would be blamed for it. */
static pk_status check_caches(lab03 *lab, pk_verdict *verdict, void *stream)
{
    const lab03_view *v = &lab->view;
    const uint64_t elements = lab03_cache_elements(v);
    uint64_t wrong, first;
    pk_status status = lab03_check_cache(lab, &wrong, &first, stream);
    if (status != PK_OK)
        return status;
    if (wrong > 0 && verdict->wrong == 0) {
        const uint64_t i = first % elements, row = i / (uint64_t)v->head_dim, pair = row / (uint64_t)v->capacity;
        const unsigned long long position = row % (uint64_t)v->capacity, b = pair / (uint64_t)v->kv_heads;
        snprintf(
            verdict->note, sizeof verdict->note,
            "%llu elements of the cache are not what was appended: first in %s, sequence %llu, key/value head %llu, "
            "position %llu of a sequence that began with %d keys",
            (unsigned long long)wrong, first < elements ? "K" : "V", b,
            (unsigned long long)(pair % (uint64_t)v->kv_heads), position, lab->host_lengths[b]);
        verdict->first_wrong = verdict->checked + first;
        verdict->got = verdict->want = NAN;
    }
    verdict->wrong += wrong;
    verdict->checked += 2 * elements;
    return wrong > 0 ? lab03_draw(lab, stream) : PK_OK;
}

static uint64_t hash_floats(const float *values, size_t count)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, a float at a time */
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    return hash;
}

/* The same inputs must give this variant the same bits again. */
static pk_status check_repeatable(const pk_run *run, const lab03_view *v, pk_verdict *verdict)
{
    lab03_expected *expected = pk_run_reference(run);
    const size_t steps = (size_t)v->steps, outputs = lab03_outputs(v) / steps;
    lab03_seen *seen = expected->seen;
    while (seen && seen->run != run)
        seen = seen->next;
    const bool again = seen != NULL;
    if (!again) {
        seen = malloc(sizeof *seen + steps * sizeof *seen->hash);
        if (!seen)
            return pk_out_of_memory("lab03");
        seen->run = run;
        seen->next = expected->seen;
        expected->seen = seen;
    }
    for (size_t step = 0; step < steps; step++) {
        const uint64_t hash = hash_floats(expected->got + step * outputs, outputs);
        if (again && hash != seen->hash[step] && verdict->wrong == 0) {
            verdict->wrong = outputs;
            verdict->first_wrong = step * outputs;
            verdict->got = (double)expected->got[step * outputs];
            verdict->want = expected->want[step * outputs];
            snprintf(verdict->note, sizeof verdict->note,
                     "step %zu is within its bound, but not bit for bit what this variant gave for the same inputs "
                     "before: the result depends on timing; combine the parts in a fixed order "
                     "(docs/troubleshooting.md#another-order)",
                     step);
        }
        seen->hash[step] = hash;
    }
    return PK_OK;
}

static pk_status verify(pk_run *run, pk_verdict *verdict)
{
    lab03 *lab = pk_run_lab_data(run);
    const lab03_expected *expected = pk_run_reference(run);
    void *stream = pk_run_stream(run);
    const size_t outputs = lab03_outputs(&lab->view);
    pk_status status = pk_device_download(expected->got, lab->view.out, outputs * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status != PK_OK)
        return status;
    pk_check_bound(verdict, expected->got, expected->want, expected->bound, outputs);
    if (verdict->wrong > 0)
        explain(lab, verdict);
    status = check_caches(lab, verdict, stream);
    return status == PK_OK ? check_repeatable(run, &lab->view, verdict) : status;
}

const pk_lab pk_this_lab = {
    .id = "lab03",
    .title = "Cooperative kernel",
    .knobs = lab03_knobs,
    .knob_count = PK_COUNT(lab03_knobs),
    .validate = validate,
    .setup = setup,
    .fill = lab03_fill,
    .reset = reset,
    .verify = verify,
    .teardown = teardown,
    .slow_on_cpu = true,
    .token_ends_on_stream = false,
    .tokens = lab03_tokens,
    .bytes_per_token = lab03_bytes_per_token,
    .flops_per_token = lab03_flops_per_token,
    .launches = lab03_launches,
    .awkward = lab03_awkward,
    .awkward_count = PK_COUNT(lab03_awkward),
    .hidden = lab03_hidden,
    .hidden_count = PK_COUNT(lab03_hidden),
    .sweeps = lab03_sweeps,
    .sweep_count = PK_COUNT(lab03_sweeps),
    .sweeps_quick = lab03_sweeps_quick,
    .sweep_quick_count = PK_COUNT(lab03_sweeps_quick),
    .analyse = lab03_analyse,
    .targets = lab03_targets,
    .target_count = PK_COUNT(lab03_targets),
};
