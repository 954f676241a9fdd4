/* Lab 03, cooperative kernel: knobs, inputs, the reference's error bound, sizes.
 *
 * Amplitudes. k and v are uniform in [-1, 1], q_base in [-8, 8], all seeded. Scores q . k / sqrt(D) then have a
 * standard deviation of 8 / 3: a few keys dominate each softmax, outputs are of the order of 0.1 to 1 and change from
 * step to step. A query that is a step old is another query altogether, and the difference shows in the first digit.
 *
 * The bound. Let a right result have q_d off by dq_d. Its score i is then off by at most, with s = 1 / sqrt(D), u =
 * 2^-24, delta_i = s sum_d |k_id| dq_d                    q was off
 *           + (D + 8) u s sum_d |q_d k_id|           D products added in any order; the scale, and log2(e), rounded
 *           + u (8 + 6 R + 4 (max - s_i + 1))        2^x is good to 2 units of the last place, here and whenever a sum
 *                                                    is rescaled, R times at most; x = s_i - max was itself rounded
 * The maximum of n keys in random order rises H_n times, 12 for n = 10^5: R = 40 is never seen. Weights p_i become
 * p_i e^eps_i with |eps_i| <= delta_i, and as sum p_i (v_i - out) = 0, out moves by
 *   |sum p_i (e^eps_i - 1) (v_i - out)| / sum p_i e^eps_i <= e^max(delta) sum p_i (e^delta_i - 1) |v_i - out|,  sum p
 * = 1. The sums over keys add u (64 + n / a) (sum p_i |v_i| + |out|): in every variant each group of 16 lanes or fewer
 * of a block has sums of its own, so there are at least a = threads / 16 of them; 64 is for merging them. Then dq of
 * the next step is ALPHA times this, and u for the addition.
 *
 * That recursion contracts: dq grows by ALPHA s sum_d |k_id| sum_i p_i |v_i - out|, about 1/4 sqrt(D) / 2 * 1/2 = 0.7
 * for D = 128, when every rounding error conspires. So the bound stays below 1e-3 however many steps there are. All of
 * it is computed with the actual values, in double, beside the reference (reference.cu); here, in C, once more at
 * small sizes, so that the kernels are checked by something that is not a kernel. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab03.h"
#include "lab03_reference.h"
#include "num/pk_half.h"
#include "num/pk_random.h"

/* ---- knobs ---- */

enum {
    KNOB_SEQ_LEN,
    KNOB_BATCH,
    KNOB_HEADS,
    KNOB_KV_HEADS,
    KNOB_HEAD_DIM,
    KNOB_STEPS,
    KNOB_RAGGED,
    KNOB_CAPACITY,
    KNOB_BLOCK_K,
    KNOB_STAGES,
    KNOB_BLOCKS,
    KNOB_THREADS,
    KNOB_EXTRA_BARRIERS
};
static const pk_knob knobs[] = {
    [KNOB_SEQ_LEN] = {"seq-len", "keys", "L: keys in the cache before the first step", 1024, 70, 1, 1LL << 24, NULL, 0},
    [KNOB_BATCH] = {"batch", "sequences", "B: sequences", 1, 2, 1, 1024, NULL, 0},
    [KNOB_HEADS] = {"heads", "heads", "H: query heads, a multiple of the key/value heads", 32, 4, 1, 1024, NULL, 0},
    [KNOB_KV_HEADS] = {"kv-heads", "heads", "G: key/value heads", 8, 2, 1, 1024, NULL, 0},
    [KNOB_HEAD_DIM] = {"head-dim", "floats", "D: 64, 80 or 128", 128, 64, 1, 1024, NULL, 0},
    [KNOB_STEPS] = {"steps", "steps", "T: dependent steps a repetition", 128, 3, 1, 1 << 16, NULL, 0},
    [KNOB_RAGGED] = {"ragged", "%", "sequences are up to so much shorter than L", 0, 60, 0, 100, NULL, 0},
    [KNOB_CAPACITY] = {"capacity", "keys", "room in the cache for each sequence; 0: just enough", 0, 0, 0, 1LL << 25,
                       NULL, 0},
    [KNOB_BLOCK_K] = {"block-k", "keys", "keys of a tile, a multiple of 8", 72, 16, 8, 4096, NULL, 0},
    [KNOB_STAGES] = {"stages", "tiles", "tiles of the ring, where they are copied ahead; 0: as many as fit", 0, 3, 0,
                     LAB03_MOST_STAGES, NULL, 0},
    [KNOB_BLOCKS] = {"blocks", "blocks", "blocks of the grid; 0: what fits the device best", 0, 0, 0, 1 << 16, NULL, 0},
    [KNOB_THREADS] = {"threads", "threads", "threads of a block, a multiple of 32; 0: 512, 64 on the CPU device", 0, 0,
                      0, LAB03_MOST_THREADS, NULL, 0},
    [KNOB_EXTRA_BARRIERS] = {"extra-barriers", "barriers", "further barriers a step, to see what one costs", 0, 0, 0,
                             1 << 16, NULL, 0},
};

static int knob(const pk_run *run, const char *name)
{
    return (int)pk_knob_value(run, name);
}

static pk_status validate_shape(const pk_run *run)
{
    const int heads = knob(run, "heads"), kv_heads = knob(run, "kv-heads"), head_dim = knob(run, "head-dim");
    const int length = knob(run, "seq-len"), steps = knob(run, "steps"), capacity = knob(run, "capacity");
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
    const int blocks = knob(run, "blocks"), threads = knob(run, "threads"), block_k = knob(run, "block-k");
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
    const long long heads = (long long)knob(run, "batch") * knob(run, "heads");
    const long long positions = (long long)knob(run, "seq-len") + knob(run, "steps");
    pk_status status = validate_shape(run);
    /* Kernels multiply tiles by blocks in 32 bits. */
    const long long tiles = heads * (positions / knob(run, "block-k") + 1);
    const long long blocks = (long long)pk_run_device(run)->processors * LAB03_MOST_BLOCKS + knob(run, "blocks");
    if (status == PK_OK && (heads > 65535 || tiles * blocks > INT32_MAX))
        status = pk_fail(PK_USAGE,
                         "lab03: %lld heads of %lld keys in tiles of %d are more than is made for here: use a smaller "
                         "--batch or --seq-len, or a larger --block-k",
                         heads, positions, knob(run, "block-k"));
    return status == PK_OK ? validate_launch(run) : status;
}

/* ---- set-up ---- */

/* What a variant gave for the inputs that are there now: one number a step. */
typedef struct lab03_seen {
    struct lab03_seen *next;
    const pk_run *run; /* names the variant: each has a run of its own */
    uint64_t hash[];   /* [T] */
} lab03_seen;

static void forget_seen(lab03 *lab)
{
    while (lab->seen) {
        lab03_seen *next = lab->seen->next;
        free(lab->seen);
        lab->seen = next;
    }
}

static void teardown(pk_run *run)
{
    lab03 *lab = pk_run_lab_data(run);
    forget_seen(lab);
    free(lab->host_lengths);
    free(lab->host_line);
    free(lab->host_source);
    free(lab->want);
    free(lab->bound);
    free(lab->got);
    free(lab);
    pk_run_set_lab_data(run, NULL);
}

static void read_knobs(const pk_run *run, lab03 *lab)
{
    lab03_view *v = &lab->view;
    const pk_device_info *device = pk_run_device(run);
    v->batch = knob(run, "batch");
    v->heads = knob(run, "heads");
    v->kv_heads = knob(run, "kv-heads");
    v->head_dim = knob(run, "head-dim");
    v->ratio = v->heads / v->kv_heads;
    v->quads = (v->ratio + LAB03_HEADS - 1) / LAB03_HEADS;
    v->units = v->kv_heads * v->quads;
    v->steps = knob(run, "steps");
    v->block_k = knob(run, "block-k");
    v->extra_barriers = knob(run, "extra-barriers");
    v->capacity = knob(run, "capacity");
    if (v->capacity == 0) /* whole tiles, so that a tile can be copied without asking where the sequence ends */
        v->capacity = (knob(run, "seq-len") + v->steps + v->block_k - 1) / v->block_k * v->block_k;
    lab->blocks = knob(run, "blocks");
    lab->threads = knob(run, "threads");
    if (lab->threads == 0)
        lab->threads = device->is_gpu ? LAB03_MOST_THREADS : 64;
    lab->stages = knob(run, "stages");
    lab->ragged = knob(run, "ragged");
    const int most = device->processors * LAB03_MOST_BLOCKS;
    v->slots = v->batch * v->units + (lab->blocks > most ? lab->blocks : most);
}

static pk_status allocate_host(lab03 *lab)
{
    const lab03_view *v = &lab->view;
    const size_t outputs = lab03_outputs(v), batch = (size_t)v->batch;
    lab->host_lengths = calloc(batch, sizeof *lab->host_lengths);
    lab->host_line = calloc((size_t)v->steps * (batch + 1), sizeof *lab->host_line);
    lab->host_source = calloc((size_t)v->heads * (size_t)v->head_dim, sizeof *lab->host_source);
    lab->want = calloc(outputs, sizeof *lab->want);
    lab->bound = calloc(outputs, sizeof *lab->bound);
    lab->got = calloc(outputs, sizeof *lab->got);
    if (!lab->host_lengths || !lab->host_line || !lab->host_source || !lab->want || !lab->bound || !lab->got)
        return pk_fail(PK_USAGE, "lab03: no host memory for %zu outputs and their reference: use fewer --steps",
                       outputs);
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
        {"k_cache", cache, PK_BUFFER_INPUT, &v->k_cache}, /* poisoned by reset, where it is to be written */
        {"v_cache", cache, PK_BUFFER_INPUT, &v->v_cache},
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
        return pk_fail(PK_USAGE, "lab03: out of host memory");
    pk_run_set_lab_data(run, lab);
    read_knobs(run, lab);
    pk_status status = allocate_device(run, lab);
    return status == PK_OK ? allocate_host(lab) : status;
}

/* ---- inputs ---- */

enum { SEED_LENGTHS = 100, SEED_SOURCES }; /* parts of the seed, beside reference.cu's */

static void draw_lengths(lab03 *lab, int longest)
{
    pk_random random;
    pk_random_seed(&random, pk_random_split(lab->seed, SEED_LENGTHS));
    const int spread = (int)((long long)longest * lab->ragged / 100);
    for (int b = 0; b < lab->view.batch; b++) {
        const int shorter = b == 0 ? 0 : (int)pk_random_below(&random, (uint64_t)spread + 1);
        lab->host_lengths[b] = shorter < longest ? longest - shorter : 1;
    }
}

/* Where each sequence begins in the line of tiles, step by step. */
static void lay_line(lab03 *lab)
{
    const lab03_view *v = &lab->view;
    for (int step = 0; step < v->steps; step++) {
        int *line = lab->host_line + (size_t)step * (size_t)(v->batch + 1);
        line[0] = 0;
        for (int b = 0; b < v->batch; b++) {
            const int tiles = (lab->host_lengths[b] + step + v->block_k) / v->block_k;
            line[b + 1] = line[b] + tiles * v->units;
        }
    }
}

/* A permutation of D with signs for each head. */
static void draw_sources(lab03 *lab)
{
    const int dim = lab->view.head_dim;
    pk_random random;
    pk_random_seed(&random, pk_random_split(lab->seed, SEED_SOURCES));
    for (int h = 0; h < lab->view.heads; h++) {
        int *source = lab->host_source + (size_t)h * (size_t)dim;
        for (int d = 0; d < dim; d++) {
            const int at = (int)pk_random_below(&random, (uint64_t)d + 1);
            source[d] = source[at];
            source[at] = d;
        }
        for (int d = 0; d < dim; d++)
            source[d] = pk_random_below(&random, 2) ? source[d] : ~source[d];
    }
}

static pk_status upload_tables(const lab03 *lab, void *stream)
{
    const lab03_view *v = &lab->view;
    const size_t batch = (size_t)v->batch, line = (size_t)v->steps * (batch + 1);
    pk_status status = pk_device_upload((int *)v->lengths, lab->host_lengths, batch * sizeof(int), stream);
    if (status == PK_OK)
        status = pk_device_upload((int *)v->line, lab->host_line, line * sizeof(int), stream);
    if (status == PK_OK)
        status = pk_device_upload((int *)v->source, lab->host_source,
                                  (size_t)v->heads * (size_t)v->head_dim * sizeof(int), stream);
    return status;
}

/* ---- the reference once more, in C ---- */

typedef struct host_inputs {
    uint16_t *k_cache, *v_cache, *k_new, *v_new;
    float *q_base;
} host_inputs;

/* Beyond so many products the C loop would take longer than all the rest. */
static const double MOST_CHECKED_PRODUCTS = 1 << 26;

static const uint16_t *host_row_of(const lab03 *lab, const uint16_t *cache, const uint16_t *fresh, int b, int h,
                                   int key)
{
    const lab03_view *v = &lab->view;
    const size_t g = (size_t)(h / v->ratio), kv_heads = (size_t)v->kv_heads, row = (size_t)b * kv_heads + g;
    const int length = lab->host_lengths[b];
    if (key < length)
        return cache + (row * (size_t)v->capacity + (size_t)key) * (size_t)v->head_dim;
    return fresh + ((size_t)(key - length) * (size_t)v->batch * kv_heads + row) * (size_t)v->head_dim;
}

/* Scores of (b, h), then weights, in weight [keys]; e^delta - 1 in delta [keys]. Returns the largest delta. */
static double host_weights(const lab03 *lab, const host_inputs *in, int b, int h, int keys, const double *q,
                           const double *dq, double *weight, double *delta)
{
    const int dim = lab->view.head_dim;
    const double scale = 1 / sqrt((double)dim);
    double top = -INFINITY, worst = 0;
    for (int i = 0; i < keys; i++) {
        const uint16_t *k = host_row_of(lab, in->k_cache, in->k_new, b, h, i);
        double score = 0, moved = 0, absolute = 0;
        for (int d = 0; d < dim; d++) {
            const double kd = (double)pk_bf16_to_float(k[d]);
            score += scale * q[d] * kd;
            moved += scale * fabs(kd) * dq[d];
            absolute += scale * fabs(q[d] * kd);
        }
        weight[i] = score;
        delta[i] = moved + (dim + 8) * LAB03_U * absolute;
        top = fmax(top, score);
    }
    for (int i = 0; i < keys; i++) {
        const double below = top - weight[i];
        worst = fmax(worst, delta[i] + LAB03_U * (12 + 6 * LAB03_RESCALES));
        delta[i] = expm1(delta[i] + LAB03_U * (8 + 6 * LAB03_RESCALES + 4 * (below + 1)));
        weight[i] = exp(-below);
    }
    return worst;
}

/* One component of the output of (b, h), and what it may be off. */
static double host_output(const lab03 *lab, const host_inputs *in, int b, int h, int d, int keys, const double *weight,
                          const double *delta, double worst, double *bound)
{
    double out = 0, total = 0, absolute = 0, spread = 0;
    for (int i = 0; i < keys; i++) {
        const double x = (double)pk_bf16_to_float(host_row_of(lab, in->v_cache, in->v_new, b, h, i)[d]);
        out += weight[i] * x;
        absolute += weight[i] * fabs(x);
        total += weight[i];
    }
    out /= total;
    for (int i = 0; i < keys; i++) {
        const double x = (double)pk_bf16_to_float(host_row_of(lab, in->v_cache, in->v_new, b, h, i)[d]);
        spread += weight[i] * delta[i] * fabs(x - out);
    }
    *bound = lab03_output_error(keys, lab->threads, spread / total, absolute / total, out, worst);
    return out;
}

/* q and dq [D] of (b, h) at `step`, from the outputs of the step before. */
static void host_query(const lab03 *lab, const host_inputs *in, int step, int b, int h, double *q, double *dq)
{
    const lab03_view *v = &lab->view;
    const size_t dim = (size_t)v->head_dim, heads = (size_t)v->heads, outputs = (size_t)v->batch * heads * dim;
    const size_t at = (size_t)step * outputs + ((size_t)b * heads + (size_t)h) * dim;
    for (size_t d = 0; d < dim; d++) {
        q[d] = (double)in->q_base[at + d];
        dq[d] = 0;
        if (step == 0)
            continue;
        const int from = lab->host_source[(size_t)h * dim + d];
        const size_t head = (size_t)(step - 1) * outputs + ((size_t)b * heads + (size_t)((h + 1) % v->heads)) * dim;
        const size_t j = head + (size_t)(from >= 0 ? from : ~from);
        q[d] += (double)LAB03_ALPHA * (from >= 0 ? lab->want[j] : -lab->want[j]);
        dq[d] = lab03_query_error(lab->bound[j], q[d]);
    }
}

/* Each step in C from the kernels' outputs of the step before, so that differences do not add up. */
static pk_status compare_with_host(const lab03 *lab, const host_inputs *in, double *scratch)
{
    const lab03_view *v = &lab->view;
    const size_t dim = (size_t)v->head_dim;
    double *q = scratch, *dq = q + dim, *weight = dq + dim, *delta = weight + v->capacity;
    size_t at = 0;
    for (int step = 0; step < v->steps; step++) {
        for (int bh = 0; bh < v->batch * v->heads; bh++) {
            const int b = bh / v->heads, h = bh % v->heads, keys = lab->host_lengths[b] + step + 1;
            host_query(lab, in, step, b, h, q, dq);
            const double worst = host_weights(lab, in, b, h, keys, q, dq, weight, delta);
            for (int d = 0; d < v->head_dim; d++, at++) {
                double bound;
                const double out = host_output(lab, in, b, h, d, keys, weight, delta, worst, &bound);
                if (!(fabs(out - lab->want[at]) <= 1e-10 && fabs(bound - lab->bound[at]) <= 1e-6 * bound))
                    return pk_fail(
                        PK_FAULT,
                        "lab03: the reference of the device and that of the host differ at step %d, sequence "
                        "%d, head %d, component %d: %.17g and %.17g, bounds %.9g and %.9g: one of them is wrong",
                        step, b, h, d, lab->want[at], out, lab->bound[at], bound);
            }
        }
    }
    return PK_OK;
}

static pk_status check_reference(const lab03 *lab, void *stream)
{
    const lab03_view *v = &lab->view;
    const size_t cache = lab03_cache_elements(v), outputs = lab03_outputs(v);
    const size_t rows = (size_t)v->steps * (size_t)v->batch * (size_t)v->kv_heads * (size_t)v->head_dim;
    if ((double)outputs * (double)v->capacity > MOST_CHECKED_PRODUCTS)
        return PK_OK;
    host_inputs in = {malloc(cache * sizeof(uint16_t)), malloc(cache * sizeof(uint16_t)),
                      malloc(rows * sizeof(uint16_t)), malloc(rows * sizeof(uint16_t)),
                      malloc(outputs * sizeof(float))};
    double *scratch = malloc(2 * (size_t)(v->head_dim + v->capacity) * sizeof *scratch);
    pk_status status = PK_OK;
    if (!in.k_cache || !in.v_cache || !in.k_new || !in.v_new || !in.q_base || !scratch)
        status = pk_fail(PK_USAGE, "lab03: out of host memory");
    if (status == PK_OK)
        status = pk_device_download(in.k_cache, v->k_cache, cache * sizeof(uint16_t), stream);
    if (status == PK_OK)
        status = pk_device_download(in.v_cache, v->v_cache, cache * sizeof(uint16_t), stream);
    if (status == PK_OK)
        status = pk_device_download(in.k_new, v->k_new, rows * sizeof(uint16_t), stream);
    if (status == PK_OK)
        status = pk_device_download(in.v_new, v->v_new, rows * sizeof(uint16_t), stream);
    if (status == PK_OK)
        status = pk_device_download(in.q_base, v->q_base, outputs * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status == PK_OK)
        status = compare_with_host(lab, &in, scratch);
    free(in.k_cache);
    free(in.v_cache);
    free(in.k_new);
    free(in.v_new);
    free(in.q_base);
    free(scratch);
    return status;
}

static pk_status fill(pk_run *run, uint64_t seed)
{
    lab03 *lab = pk_run_lab_data(run);
    void *stream = pk_run_stream(run);
    lab->seed = seed;
    forget_seen(lab);
    draw_lengths(lab, knob(run, "seq-len"));
    lay_line(lab);
    draw_sources(lab);
    pk_status status = upload_tables(lab, stream);
    if (status == PK_OK)
        status = lab03_draw(lab, stream);
    if (status == PK_OK)
        status = lab03_reference(lab, lab->want, lab->bound, stream);
    return status == PK_OK ? check_reference(lab, stream) : status;
}

static pk_status reset(pk_run *run)
{
    return lab03_poison(pk_run_lab_data(run), pk_run_stream(run));
}

/* ---- verifying ---- */

/* Where the first wrong output is, and whether it has a familiar look. */
static void explain(const lab03 *lab, pk_verdict *verdict)
{
    const lab03_view *v = &lab->view;
    const uint64_t i = verdict->first_wrong, dim = (uint64_t)v->head_dim, heads = (uint64_t)v->heads;
    const unsigned long long d = i % dim, h = i / dim % heads, b = i / dim / heads % (uint64_t)v->batch;
    const unsigned long long step = i / dim / heads / (uint64_t)v->batch;
    const char *look = "";
    if (isnan(verdict->got))
        look = ": NaN, so never written, or computed from something that was not";
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
static pk_status check_repeatable(const pk_run *run, lab03 *lab, pk_verdict *verdict)
{
    const lab03_view *v = &lab->view;
    const size_t steps = (size_t)v->steps, outputs = lab03_outputs(v) / steps;
    lab03_seen *seen = lab->seen;
    while (seen && seen->run != run)
        seen = seen->next;
    const bool again = seen != NULL;
    if (!again) {
        seen = malloc(sizeof *seen + steps * sizeof *seen->hash);
        if (!seen)
            return pk_fail(PK_USAGE, "lab03: out of host memory");
        seen->run = run;
        seen->next = lab->seen;
        lab->seen = seen;
    }
    for (size_t step = 0; step < steps; step++) {
        const uint64_t hash = hash_floats(lab->got + step * outputs, outputs);
        if (again && hash != seen->hash[step] && verdict->wrong == 0) {
            verdict->wrong = outputs;
            verdict->first_wrong = step * outputs;
            verdict->got = (double)lab->got[step * outputs];
            verdict->want = lab->want[step * outputs];
            snprintf(verdict->note, sizeof verdict->note,
                     "step %zu is within its bound, but not bit for bit what this variant gave for the same inputs "
                     "before: the result depends on timing; combine the parts in a fixed order",
                     step);
        }
        seen->hash[step] = hash;
    }
    return PK_OK;
}

static pk_status verify(pk_run *run, pk_verdict *verdict)
{
    lab03 *lab = pk_run_lab_data(run);
    void *stream = pk_run_stream(run);
    const size_t outputs = lab03_outputs(&lab->view);
    pk_status status = pk_device_download(lab->got, lab->view.out, outputs * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status != PK_OK)
        return status;
    pk_check_bound(verdict, lab->got, lab->want, lab->bound, outputs);
    if (verdict->wrong > 0)
        explain(lab, verdict);
    status = check_caches(lab, verdict, stream);
    return status == PK_OK ? check_repeatable(run, lab, verdict) : status;
}

/* ---- sizes ---- */

static double tokens(const pk_run *run)
{
    return (double)knob(run, "steps");
}

/* Keys that a step attends to, on average over the steps, summed over the sequences. */
static double keys_per_step(const pk_run *run)
{
    const lab03 *lab = pk_run_lab_data(run);
    double keys = 0;
    for (int b = 0; b < lab->view.batch; b++)
        keys += lab->host_lengths[b] + 1 + (lab->view.steps - 1) / 2.0;
    return keys;
}

/* K and V are read once; all else is small beside it. */
static double bytes_per_token(const pk_run *run)
{
    return keys_per_step(run) * knob(run, "kv-heads") * knob(run, "head-dim") * 2 * sizeof(uint16_t);
}

/* A multiplication and an addition for each component of K, and of V, for every query head. */
static double flops_per_token(const pk_run *run)
{
    return keys_per_step(run) * knob(run, "heads") * knob(run, "head-dim") * 4;
}

/* ---- sweeps ---- */

/* What one barrier costs: a short context, and further barriers that nothing else waits for. One block of 256 threads a
 * processor is the last but one. */
enum { FURTHER = 64 };
static const long long further[] = {0, FURTHER}, barrier_blocks[] = {8, 16, 33, 66, 132, 264};
static const long long barrier_blocks_quick[] = {2, 8};
static const long long short_context[] = {64}, few_steps[] = {64}, threads_256[] = {256}, threads_64[] = {64};
static const pk_sweep_axis barrier_axes[] = {PK_AXIS("extra-barriers", further), PK_AXIS("blocks", barrier_blocks),
                                             PK_AXIS("seq-len", short_context), PK_AXIS("steps", few_steps),
                                             PK_AXIS("threads", threads_256)};
static const pk_sweep_axis barrier_axes_quick[] = {PK_AXIS("extra-barriers", further),
                                                   PK_AXIS("blocks", barrier_blocks_quick),
                                                   PK_AXIS("seq-len", short_context), PK_AXIS("threads", threads_64)};

static const long long lengths[] = {256, 1024, 4096, 16384, 65536, 131072}, lengths_quick[] = {64, 256};
static const long long steps_16[] = {16}, steps_3[] = {3};
static const pk_sweep_axis length_axes[] = {PK_AXIS("seq-len", lengths), PK_AXIS("steps", steps_16)};
static const pk_sweep_axis length_axes_quick[] = {PK_AXIS("seq-len", lengths_quick), PK_AXIS("steps", steps_3)};

static const long long batch_32[] = {32}, long_context[] = {4096};
static const pk_sweep_axis batch_axes[] = {PK_AXIS("batch", batch_32), PK_AXIS("seq-len", long_context),
                                           PK_AXIS("steps", few_steps)};

/* How large tiles are, and how many are under way. */
static const long long tile_keys[] = {16, 32, 64, 128}, tile_stages[] = {2, 3, 4, 6}, steps_8[] = {8};
static const pk_sweep_axis tile_axes[] = {PK_AXIS("block-k", tile_keys), PK_AXIS("stages", tile_stages),
                                          PK_AXIS("batch", batch_32), PK_AXIS("seq-len", long_context),
                                          PK_AXIS("steps", steps_8)};
static const long long tile_keys_quick[] = {16, 32, 512}, tile_stages_quick[] = {2, 3};
static const pk_sweep_axis tile_axes_quick[] = {PK_AXIS("block-k", tile_keys_quick),
                                                PK_AXIS("stages", tile_stages_quick), PK_AXIS("seq-len", short_context),
                                                PK_AXIS("steps", steps_3)};

static const pk_sweep sweeps[] = {
    PK_SWEEP("barrier", barrier_axes, "grid-sync,hand-barrier", false),
    PK_SWEEP("length", length_axes, NULL, false),
    PK_SWEEP("batch", batch_axes, NULL, false),
    PK_SWEEP("tiles", tile_axes, "async-tiles,warp-roles", false),
};
static const pk_sweep sweeps_quick[] = {
    PK_SWEEP("barrier", barrier_axes_quick, "grid-sync,hand-barrier", false),
    PK_SWEEP("length", length_axes_quick, NULL, false),
    PK_SWEEP("tiles", tile_axes_quick, "async-tiles,warp-roles", false),
};

/* ---- figures ---- */

/* The point of `variant` at these knobs, and else at the defaults; `blocks` and `further_barriers` are of the barrier's
 * sweep, -1 elsewhere. NULL when there is none. */
static const pk_point *find(const pk_point *points, size_t count, const char *variant, long long batch,
                            long long seq_len, long long steps, long long blocks, long long further_barriers)
{
    for (size_t i = 0; i < count; i++) {
        const long long *k = points[i].knobs;
        const bool barrier = further_barriers >= 0;
        if (strcmp(points[i].variant, variant) == 0 && k[KNOB_BATCH] == batch && k[KNOB_SEQ_LEN] == seq_len &&
            k[KNOB_STEPS] == steps && k[KNOB_BLOCKS] == (barrier ? blocks : 0) &&
            k[KNOB_THREADS] == (barrier ? threads_256[0] : 0) &&
            k[KNOB_EXTRA_BARRIERS] == (barrier ? further_barriers : 0) &&
            k[KNOB_BLOCK_K] == knobs[KNOB_BLOCK_K].value && k[KNOB_STAGES] == knobs[KNOB_STAGES].value)
            return &points[i];
    }
    return NULL;
}

/* One barrier, from the slope over further ones; NaN when it was not measured. */
static double barrier_us(const pk_point *points, size_t count, const char *variant, long long blocks)
{
    const pk_point *none = find(points, count, variant, 1, short_context[0], few_steps[0], blocks, 0);
    const pk_point *more = find(points, count, variant, 1, short_context[0], few_steps[0], blocks, FURTHER);
    return none && more ? (more->us_per_token - none->us_per_token) / FURTHER : (double)NAN;
}

static void barriers(const pk_point *points, size_t count, pk_analysis *analysis)
{
    for (size_t i = 0; i < PK_COUNT(barrier_blocks); i++) {
        const double grid_sync = barrier_us(points, count, "grid-sync", barrier_blocks[i]);
        const double by_hand = barrier_us(points, count, "hand-barrier", barrier_blocks[i]);
        if (!isfinite(grid_sync) || !isfinite(by_hand))
            continue;
        char name[64];
        snprintf(name, sizeof name, "grid.sync, %lld blocks", barrier_blocks[i]);
        pk_analysis_figure(analysis, name, "us", grid_sync);
        snprintf(name, sizeof name, "barrier by hand, %lld blocks", barrier_blocks[i]);
        pk_analysis_figure(analysis, name, "us", by_hand);
        snprintf(name, sizeof name, "barrier by hand over grid.sync, %lld blocks", barrier_blocks[i]);
        pk_analysis_figure(analysis, name, "", by_hand / grid_sync);
    }
}

/* K and V over the time of a step, in percent of B_read and in GB/s: the best rung. */
static void bandwidth(const pk_limits *limits, const pk_point *points, size_t count, long long batch, long long seq_len,
                      long long steps, pk_analysis *analysis)
{
    static const char *const rungs[] = {"grid-sync", "hand-barrier", "split-kv", "async-tiles", "warp-roles"};
    double best = 0;
    for (size_t i = 0; i < PK_COUNT(rungs); i++) {
        const pk_point *p = find(points, count, rungs[i], batch, seq_len, steps, -1, -1);
        if (!p)
            continue;
        const double keys = (double)batch * ((double)seq_len + 1 + (double)(p->knobs[KNOB_STEPS] - 1) / 2);
        const double bytes =
            keys * (double)p->knobs[KNOB_KV_HEADS] * (double)p->knobs[KNOB_HEAD_DIM] * 2 * sizeof(uint16_t);
        best = fmax(best, bytes / p->us_per_token);
    }
    if (best <= 0)
        return;
    char name[64];
    snprintf(name, sizeof name, "KV read, B=%lld L=%lld", batch, seq_len);
    pk_analysis_figure(analysis, name, "GB/s", best * 1e-3);
    snprintf(name, sizeof name, "KV read of B_read, B=%lld L=%lld", batch, seq_len);
    pk_analysis_figure(analysis, name, "%", 100 * best / limits->read_bytes_per_us);
}

static pk_status analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    barriers(points, count, analysis);
    bandwidth(limits, points, count, 32, long_context[0], few_steps[0], analysis);
    bandwidth(limits, points, count, 1, 131072, steps_16[0], analysis);
    return PK_OK;
}

/* ---- targets ---- */

static const pk_target targets[] = {
    {"split-kv over kernels", PK_TARGET_SPEEDUP_AT_LEAST, "split-kv", 2.5, PK_H200},
    {"split-kv launches a token", PK_TARGET_LAUNCHES_AT_MOST, "split-kv", 1.0 / 128, PK_H200},
    {"warp-roles launches a token", PK_TARGET_LAUNCHES_AT_MOST, "warp-roles", 1.0 / 128, PK_H200},
    {"by hand over grid.sync", PK_TARGET_FIGURE_AT_MOST, "barrier by hand over grid.sync, 132 blocks", 0.9, PK_H200},
    {"KV read, B=32 L=4096, %", PK_TARGET_FIGURE_AT_LEAST, "KV read of B_read, B=32 L=4096", 90, PK_H200},
    {"KV read, B=1 L=131072, %", PK_TARGET_FIGURE_AT_LEAST, "KV read of B_read, B=1 L=131072", 85, PK_H200},
};

const pk_lab pk_this_lab = {
    .id = "lab03",
    .title = "Cooperative kernel",
    .knobs = knobs,
    .knob_count = PK_COUNT(knobs),
    .validate = validate,
    .setup = setup,
    .fill = fill,
    .reset = reset,
    .verify = verify,
    .teardown = teardown,
    .slow_on_cpu = true,
    .token_ends_on_stream = false,
    .tokens = tokens,
    .bytes_per_token = bytes_per_token,
    .flops_per_token = flops_per_token,
    .sweeps = sweeps,
    .sweep_count = PK_COUNT(sweeps),
    .sweeps_quick = sweeps_quick,
    .sweep_quick_count = PK_COUNT(sweeps_quick),
    .analyse = analyse,
    .targets = targets,
    .target_count = PK_COUNT(targets),
};
