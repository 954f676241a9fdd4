/* Lab 05, part two: shapes, inputs, and the check of what a chain gave.
 *
 * Exactness. Weights and x are integers from -8 to 8, and a row is at most 8192 long: every sum on the way is a whole
 * number of at most 2^19, which a float holds in whatever order it was made. f gives an integer from -8 to 8 again. So
 * all outputs of the last two passes are demanded bit for bit. What an earlier pass had wrong is wrong in them too: the
 * rows' sums are spread over all remainders.
 *
 * Inputs. Matrices of gigabytes are made on the device of some thousand rows that are drawn, the patterns: row r of
 * all matrices' rows is pattern r mod their number, a prime, as far as the row is long. The reference is then one dot
 * product a pattern and phase, in integers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab05_chain_problem.h"
#include "lab05_problem.h"
#include "num/pk_half.h"
#include "num/pk_random.h"

enum { MOST_PATTERNS = 1021, LARGEST = 8, PHASES_A_LAYER = 4 };
enum { SEED_PATTERNS = 520, SEED_X, SEED_NEXT }; /* parts of the seed */
enum {
    POISON_BYTE = 0xff, /* NaN */
    STALE_BYTE = 0x40   /* 3.0039: no output is that, so what was not poisoned shows */
};

/* ---- shapes ---- */

typedef struct shape { /* layers of four phases, and one phase behind them */
    int layers, hidden, qkv, gate_up, down, last;
} shape;

const char *const lab05_chain_shapes[LAB05_CHAIN_SHAPES] = {
    [LAB05_CHAIN_SMALL] = "small",
    [LAB05_CHAIN_UNEVEN] = "uneven",
    [LAB05_CHAIN_LLAMA] = "llama-3.2-1b",
    [LAB05_CHAIN_QWEN] = "qwen2.5-0.5b",
};

/* The two models' matrices, as their configurations have them; the others are for the CPU device. In `uneven` a row is
 * longer than --quick's chunk, and of 10 blocks one has no output that any phase of the same pass needs. */
static const shape shapes[LAB05_CHAIN_SHAPES] = {
    [LAB05_CHAIN_SMALL] = {2, 64, 101, 230, 112, 517},
    [LAB05_CHAIN_UNEVEN] = {1, 8, 20, 2133, 1064, 9},
    [LAB05_CHAIN_LLAMA] = {16, 2048, 3072, 16384, 8192, 128256},
    [LAB05_CHAIN_QWEN] = {24, 896, 1152, 9728, 4864, 151936},
};

static const char *const phase_names[PHASES_A_LAYER] = {"qkv", "o", "gate_up", "down"};

int lab05_chain_phases(long long of)
{
    return shapes[of].layers * PHASES_A_LAYER + 1;
}

static void size_of_phase(const shape *s, int p, int *rows, int *columns)
{
    const int rows_of[PHASES_A_LAYER] = {s->qkv, s->hidden, s->gate_up, s->hidden};
    const bool last = p == s->layers * PHASES_A_LAYER;
    *rows = last ? s->last : rows_of[p % PHASES_A_LAYER];
    *columns = !last && p % PHASES_A_LAYER == 3 ? s->down : s->hidden;
}

static double elements(long long of)
{
    double sum = 0;
    for (int p = 0; p < lab05_chain_phases(of); p++) {
        int rows, columns;
        size_of_phase(&shapes[of], p, &rows, &columns);
        sum += (double)rows * columns;
    }
    return sum;
}

double lab05_chain_bytes(long long of)
{
    return elements(of) * (double)sizeof(uint16_t);
}

double lab05_chain_flops(long long of)
{
    return 2 * elements(of);
}

/* Where everything lies; the sizes of a set and of a pass of `given`; the bytes of all weights. */
static size_t lay_out(lab05_chain *chain, const shape *s)
{
    lab05_chain_view *const v = &chain->view;
    size_t weights = 0;
    v->phases = s->layers * PHASES_A_LAYER + 1;
    v->set_floats = v->given_floats = 0;
    for (int p = 0; p < v->phases; p++) {
        lab05_chain_phase *const phase = &chain->phase[p];
        size_of_phase(s, p, &phase->rows, &phase->columns);
        phase->weights = weights;
        phase->out = v->set_floats;
        phase->given = v->given_floats;
        weights += (size_t)phase->rows * (size_t)phase->columns * sizeof(uint16_t);
        v->set_floats += (phase->rows + 3) / 4 * 4;
        v->given_floats += phase->columns;
    }
    return weights;
}

/* ---- set-up ---- */

typedef struct chain_reference { /* the host's side, where no variant reaches it */
    int count, most_columns;     /* of patterns, and how long each is */
    int16_t *patterns;           /* [count][most_columns] */
    uint16_t *drawn;             /* the same as bf16 */
    void *device_patterns;
    float *want, *got; /* [LAB05_CHAIN_SETS][set_floats] */
    float *given;      /* [T][given_floats] */
    int16_t *x;        /* [most_columns]: of the phase that is being computed */
    int32_t *sums;     /* [count] */
    unsigned *next;    /* [LAB05_CHAIN_WORDS] */
    bool given_is_there;
} chain_reference;

void lab05_chain_teardown(pk_run *run)
{
    chain_reference *host = pk_run_reference(run);
    if (host) {
        free(host->patterns);
        free(host->drawn);
        free(host->want);
        free(host->got);
        free(host->given);
        free(host->x);
        free(host->sums);
        free(host->next);
        pk_device_free(host->device_patterns);
        free(host);
        pk_run_set_reference(run, NULL);
    }
    free(pk_run_lab_data(run));
    pk_run_set_lab_data(run, NULL);
}

pk_status lab05_chain_validate(const pk_run *run)
{
    const int chunk = lab05_knob(run, "chunk"), ring = lab05_knob(run, "ring"), flight = lab05_knob(run, "in-flight");
    if (chunk > 0 && ring < 2 * chunk)
        return pk_fail(PK_USAGE, "lab05: a ring of %d KB has no two chunks of %d KB: use --ring=%d or more", ring,
                       chunk, 2 * chunk);
    if (flight > 0 && chunk > flight)
        return pk_fail(PK_USAGE, "lab05: not even one chunk of %d KB may be under way with --in-flight=%d: use %d",
                       chunk, flight, chunk);
    return PK_OK;
}

static pk_status host_memory(const lab05_chain *chain, chain_reference *host)
{
    const lab05_chain_view *const v = &chain->view;
    size_t rows = 0;
    for (int p = 0; p < v->phases; p++) {
        rows += (size_t)chain->phase[p].rows;
        if (host->most_columns < chain->phase[p].columns)
            host->most_columns = chain->phase[p].columns;
    }
    host->count = rows < MOST_PATTERNS ? (int)rows : MOST_PATTERNS;
    const size_t patterns = (size_t)host->count * (size_t)host->most_columns, set = (size_t)v->set_floats;
    host->patterns = malloc(patterns * sizeof *host->patterns);
    host->drawn = malloc(patterns * sizeof *host->drawn);
    host->want = calloc(LAB05_CHAIN_SETS * set, sizeof *host->want);
    host->got = malloc(LAB05_CHAIN_SETS * set * sizeof *host->got);
    host->given = malloc((size_t)v->passes * (size_t)v->given_floats * sizeof *host->given);
    host->x = malloc((size_t)host->most_columns * sizeof *host->x);
    host->sums = malloc((size_t)host->count * sizeof *host->sums);
    host->next = malloc(LAB05_CHAIN_WORDS * sizeof *host->next);
    if (!host->patterns || !host->drawn || !host->want || !host->got || !host->given || !host->x || !host->sums ||
        !host->next)
        return pk_fail(PK_FAULT, "lab05: no host memory for the reference: use fewer --tokens");
    return pk_device_alloc(&host->device_patterns, patterns * sizeof *host->drawn);
}

static pk_status device_memory(pk_run *run, lab05_chain *chain, size_t weight_bytes)
{
    lab05_chain_view *const v = &chain->view;
    const pk_device_info *const device = pk_run_device(run);
    chain->most_blocks = chain->blocks > device->processors ? chain->blocks : device->processors;
    const struct {
        const char *name;
        size_t bytes;
        pk_buffer_role role;
    } want[] = {
        {"weights", weight_bytes, PK_BUFFER_INPUT},
        {"x", (size_t)chain->phase[0].columns * sizeof(float), PK_BUFFER_INPUT},
        {"out", LAB05_CHAIN_SETS * (size_t)v->set_floats * sizeof(float), PK_BUFFER_OUTPUT},
        {"given", (size_t)v->passes * (size_t)v->given_floats * sizeof(float), PK_BUFFER_INPUT},
        {"arrivals", (1 + (size_t)chain->most_blocks) * sizeof(unsigned), PK_BUFFER_SCRATCH},
        {"latencies", (size_t)chain->most_blocks * LAB05_CHAIN_LATENCIES * sizeof(float), PK_BUFFER_SCRATCH},
        {"next", LAB05_CHAIN_WORDS * sizeof(unsigned), PK_BUFFER_INPUT},
    };
    void *at[PK_COUNT(want)] = {NULL};
    for (size_t i = 0; i < PK_COUNT(want); i++) {
        const pk_status status = pk_run_buffer(run, want[i].name, want[i].bytes, want[i].role, &at[i]);
        if (status != PK_OK)
            return status;
    }
    v->weights = at[0];
    v->x = at[1];
    v->out = at[2];
    v->given = at[3];
    v->arrivals = at[4];
    v->latencies = at[5];
    v->next = at[6];
    return PK_OK;
}

pk_status lab05_chain_setup(pk_run *run)
{
    lab05_chain *chain = calloc(1, sizeof *chain);
    chain_reference *host = calloc(1, sizeof *host);
    pk_run_set_lab_data(run, chain);
    pk_run_set_reference(run, host);
    if (!chain || !host)
        return pk_out_of_memory("lab05");
    const size_t weight_bytes = lay_out(chain, &shapes[lab05_knob(run, "shape")]);
    chain->view.passes = lab05_knob(run, "tokens");
    chain->blocks = lab05_knob(run, "blocks");
    chain->consumers = lab05_knob(run, "consumers");
    chain->ring_kb = lab05_knob(run, "ring");
    chain->in_flight_kb = lab05_knob(run, "in-flight");
    chain->chunk_kb = lab05_knob(run, "chunk");
    pk_status status = host_memory(chain, host);
    return status == PK_OK ? device_memory(run, chain, weight_bytes) : status;
}

/* ---- inputs ---- */

static int draw(pk_random *random)
{
    return (int)pk_random_below(random, 2 * LARGEST + 1) - LARGEST;
}

static void draw_patterns(chain_reference *host, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_PATTERNS));
    for (size_t i = 0; i < (size_t)host->count * (size_t)host->most_columns; i++) {
        host->patterns[i] = (int16_t)draw(&random);
        host->drawn[i] = pk_float_to_bf16((float)host->patterns[i]);
    }
}

static int32_t dot(const int16_t *a, const int16_t *b, int count)
{
    int32_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += (int32_t)a[i] * b[i];
    return sum;
}

/* The outputs of a phase from x, which is there already; `before` rows lie ahead of this phase's. */
static void compute_phase(const lab05_chain_phase *phase, chain_reference *host, int before, float *out)
{
    for (int i = 0; i < host->count; i++)
        host->sums[i] = dot(host->patterns + (size_t)i * (size_t)host->most_columns, host->x, phase->columns);
    for (int r = 0; r < phase->rows; r++)
        out[r] = (float)(host->sums[(before + r) % host->count] % LAB05_CHAIN_MODULUS);
}

/* All passes; of the sets the last two stay. */
static void compute(const lab05_chain *chain, chain_reference *host, const float *first_x)
{
    const lab05_chain_view *const v = &chain->view;
    const float *x = first_x;
    for (int t = 0; t < v->passes; t++) {
        float *const set = host->want + (size_t)(t % LAB05_CHAIN_SETS) * (size_t)v->set_floats;
        int before = 0;
        for (int p = 0; p < v->phases; p++) {
            const lab05_chain_phase *const phase = &chain->phase[p];
            float *const given = host->given + (size_t)t * (size_t)v->given_floats + phase->given;
            for (int i = 0; i < phase->columns; i++) {
                given[i] = x[i];
                host->x[i] = (int16_t)x[i];
            }
            compute_phase(phase, host, before, set + phase->out);
            x = set + phase->out;
            before += phase->rows;
        }
    }
}

/* One cycle through all places that are a line apart (Sattolo's), for chain-read. */
static void draw_cycle(unsigned *next, uint64_t seed)
{
    enum { APART = 32 };
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_NEXT));
    memset(next, 0, LAB05_CHAIN_WORDS * sizeof *next);
    const size_t places = LAB05_CHAIN_WORDS / APART;
    for (size_t i = 0; i < places; i++)
        next[i * APART] = (unsigned)(i * APART);
    for (size_t i = places - 1; i > 0; i--) {
        const size_t at = (size_t)pk_random_below(&random, i);
        const unsigned kept = next[i * APART];
        next[i * APART] = next[at * APART];
        next[at * APART] = kept;
    }
}

pk_status lab05_chain_fill(pk_run *run, uint64_t seed)
{
    const lab05_chain *const chain = pk_run_lab_data(run);
    const lab05_chain_view *const v = &chain->view;
    chain_reference *const host = pk_run_reference(run);
    void *const stream = pk_run_stream(run);
    const int first_columns = chain->phase[0].columns;
    float *const x = malloc((size_t)first_columns * sizeof *x);
    if (!x)
        return pk_out_of_memory("lab05");
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_X));
    for (int i = 0; i < first_columns; i++)
        x[i] = (float)draw(&random);
    draw_patterns(host, seed);
    draw_cycle(host->next, seed);
    compute(chain, host, x);
    host->given_is_there = false;
    pk_status status = pk_device_upload(host->device_patterns, host->drawn,
                                        (size_t)host->count * (size_t)host->most_columns * sizeof *host->drawn, stream);
    if (status == PK_OK)
        status = lab05_chain_spread(chain, host->device_patterns, host->count, host->most_columns, stream);
    if (status == PK_OK)
        status = pk_device_upload((void *)v->x, x, (size_t)first_columns * sizeof *x, stream);
    if (status == PK_OK)
        status = pk_device_upload((void *)v->next, host->next, LAB05_CHAIN_WORDS * sizeof *host->next, stream);
    if (status == PK_OK)
        status = pk_device_fill((void *)v->given, POISON_BYTE,
                                (size_t)v->passes * (size_t)v->given_floats * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    free(x);
    return status;
}

/* Whether x of every phase is handed to the variant: to the bound only, and no rung may find it there. */
static bool is_given(const pk_run *run)
{
    const char *const name = pk_run_variant(run)->name;
    return strcmp(name, "chain-free") == 0 || strcmp(name, "chain-read") == 0;
}

/* As a pass that ran on would find it: the first pass's set is poisoned, the other one still holds numbers. */
pk_status lab05_chain_reset(pk_run *run)
{
    const lab05_chain *const chain = pk_run_lab_data(run);
    const lab05_chain_view *const v = &chain->view;
    chain_reference *const host = pk_run_reference(run);
    void *const stream = pk_run_stream(run);
    const size_t set = (size_t)v->set_floats, given = (size_t)v->passes * (size_t)v->given_floats * sizeof(float);
    pk_status status = pk_device_fill(v->out, POISON_BYTE, set * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_fill(v->out + set, STALE_BYTE, set * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_fill(v->arrivals, 0, (1 + (size_t)chain->most_blocks) * sizeof(unsigned), stream);
    if (status == PK_OK && is_given(run) != host->given_is_there) {
        host->given_is_there = !host->given_is_there;
        status = host->given_is_there ? pk_device_upload((void *)v->given, host->given, given, stream)
                                      : pk_device_fill((void *)v->given, POISON_BYTE, given, stream);
    }
    return status;
}

/* ---- the check ---- */

static void name_phase(const lab05_chain_view *v, int p, char *text, size_t bytes)
{
    if (p == v->phases - 1)
        snprintf(text, bytes, "the last phase");
    else
        snprintf(text, bytes, "%s of layer %d", phase_names[p % PHASES_A_LAYER], p / PHASES_A_LAYER);
}

/* What stands in the first phase that is not right; later ones follow from it. */
static void explain(const lab05_chain *chain, const chain_reference *host, int pass, int p, pk_verdict *verdict)
{
    const lab05_chain_view *const v = &chain->view;
    const size_t at = (size_t)(pass % LAB05_CHAIN_SETS) * (size_t)v->set_floats + (size_t)chain->phase[p].out;
    const float *const got = host->got + at, *const want = host->want + at;
    const int rows = chain->phase[p].rows;
    int wrong = 0, nans = 0, stale = 0, first = rows;
    unsigned char old[sizeof(float)];
    memset(old, STALE_BYTE, sizeof old);
    for (int r = 0; r < rows; r++) {
        const bool is_wrong = isnan(got[r]) || got[r] != want[r];
        if (is_wrong && first == rows)
            first = r;
        wrong += is_wrong;
        nans += isnan(got[r]) != 0;
        stale += memcmp(&got[r], old, sizeof old) == 0;
    }
    char name[64];
    name_phase(v, p, name, sizeof name);
    const char *why = "not f of their sums: other weights, another x, or a part of a row left out "
                      "(docs/troubleshooting.md#part-of-a-page)";
    if (stale > 0)
        why = "never written: they hold what was there before the repetition";
    else if (nans > 0)
        why = "NaN: never written, or from an x that was not there yet (docs/troubleshooting.md#nan)";
    else if (wrong == rows)
        why = "all of it: another x than the phase before has made";
    snprintf(verdict->note, sizeof verdict->note, "pass %d, %s: %d of %d rows from row %d on: %s", pass, name, wrong,
             rows, first, why);
}

pk_status lab05_chain_verify(pk_run *run, pk_verdict *verdict)
{
    const lab05_chain *const chain = pk_run_lab_data(run);
    const lab05_chain_view *const v = &chain->view;
    chain_reference *const host = pk_run_reference(run);
    const size_t set = (size_t)v->set_floats;
    pk_status status =
        pk_device_download(host->got, v->out, LAB05_CHAIN_SETS * set * sizeof *host->got, pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    if (status != PK_OK)
        return status;
    for (int t = v->passes > LAB05_CHAIN_SETS ? v->passes - LAB05_CHAIN_SETS : 0; t < v->passes; t++)
        for (int p = 0; p < v->phases; p++) {
            const bool right = verdict->wrong == 0;
            const size_t at = (size_t)(t % LAB05_CHAIN_SETS) * set + (size_t)chain->phase[p].out;
            pk_check_exact(verdict, host->got + at, host->want + at, (size_t)chain->phase[p].rows);
            if (right && verdict->wrong > 0)
                explain(chain, host, t, p, verdict);
        }
    return PK_OK;
}
