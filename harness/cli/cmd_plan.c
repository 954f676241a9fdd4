/* `plan`: a calculator for a decode step: bytes, floor, and what launching adds, with each formula and its numbers. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration.h"
#include "pk/host.h"
#include "plan.h"

typedef struct options {
    const char *context, *batch, *kernels, *weights, *kv, *device, *bandwidth, *launch;
} options;

typedef struct machine { /* what the device can do; NaN where it is not known */
    double read_bytes_per_us, launch_us, launch_sync_us, gap_us, graph_us, node_us, barrier_us;
    double memory_bytes;
    bool is_cpu;
    char *title;
} machine;

/* ---- the request ---- */

static pk_status read_count(long long *value, const char *what, const char *text, long long otherwise,
                            long long maximum)
{
    *value = otherwise;
    return text ? pk_parse_integer(value, what, text, 1, maximum) : PK_OK;
}

static pk_status read_request(plan_request *request, const char *word, const options *given)
{
    enum { MOST_TOKENS = 1 << 27, MOST_BATCH = 1 << 16, MOST_KERNELS = 1 << 20, CONTEXT = 4096 };
    long long kernels = 0;
    request->weights = plan_weight_format(given->weights ? given->weights : "bf16");
    request->kv = request->weights ? plan_kv_format(given->kv ? given->kv : "bf16") : NULL;
    pk_status status = request->kv ? plan_shape(word, &request->model) : PK_USAGE;
    if (status == PK_OK)
        status = read_count(&request->context, "--context", given->context, CONTEXT, MOST_TOKENS);
    if (status == PK_OK)
        status = read_count(&request->batch, "--batch", given->batch, 1, MOST_BATCH);
    if (status == PK_OK)
        status = read_count(&kernels, "--kernels", given->kernels, 1, MOST_KERNELS);
    request->kernels = given->kernels ? (double)kernels : plan_kernels_of(&request->model);
    return status;
}

/* ---- the machine ---- */

static machine machine_of(const cli_calibration *measured)
{
    return (machine){
        .read_bytes_per_us = 1e3 * cli_calibration_value(measured, "read_gb_per_s"),
        .launch_us = cli_calibration_value(measured, "launch_us"),
        .launch_sync_us = cli_calibration_value(measured, "launch_sync_us"),
        .gap_us = cli_calibration_value(measured, "gap_us"),
        .graph_us = cli_calibration_value(measured, "graph_launch_sync_us"),
        .node_us = cli_calibration_value(measured, "graph_node_us"),
        .barrier_us = cli_calibration_value(measured, "barrier_us"),
        .memory_bytes = measured->memory_bytes,
        .is_cpu = cli_calibration_is_cpu(measured),
        .title = cli_calibration_title(measured),
    };
}

static pk_status from_calibration(machine *m, const char *device)
{
    cli_calibration measured;
    const pk_status status = device ? cli_calibration_load(&measured, device) : cli_calibration_find(&measured, NULL);
    if (status != PK_OK)
        return status;
    *m = machine_of(&measured);
    cli_calibration_free(&measured);
    return isfinite(m->read_bytes_per_us)
               ? PK_OK
               : pk_fail(PK_USAGE, "%s has no read_gb_per_s, which the floor is reckoned with; give --bandwidth=GB/S",
                         device ? device : "the newest calibration");
}

/* A bandwidth by itself is enough for the floor; one beside a device takes the place of what was measured. */
static pk_status read_machine(machine *m, const options *given)
{
    const double unknown = (double)NAN;
    double gb_per_s = unknown, launch_us = unknown;
    pk_status status = PK_OK;
    *m = (machine){unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, false, NULL};
    if (given->bandwidth)
        status = pk_parse_number(&gb_per_s, "--bandwidth", given->bandwidth, 0.001, 1e9);
    if (status == PK_OK && given->launch)
        status = pk_parse_number(&launch_us, "--launch", given->launch, 0.001, 1e6);
    if (status == PK_OK && (given->device || !given->bandwidth))
        status = from_calibration(m, given->device);
    if (given->bandwidth)
        m->read_bytes_per_us = 1e3 * gb_per_s;
    if (given->launch)
        m->launch_us = launch_us;
    if (status == PK_OK && !m->title)
        m->title = cli_format("only what was given is known of it");
    return status;
}

/* ---- numbers as people read them ---- */

typedef char quantity[48];

/* Bytes in binary units, as caches and memories are counted. */
static const char *binary(quantity text, double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < PK_COUNT(units); unit++)
        bytes /= 1024;
    snprintf(text, sizeof(quantity), "%.4g %s", bytes, units[unit]);
    return text;
}

/* Bytes in powers of ten, as bandwidths are. */
static const char *decimal(quantity text, double bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < PK_COUNT(units); unit++)
        bytes /= 1000;
    snprintf(text, sizeof(quantity), "%.4g %s", bytes, units[unit]);
    return text;
}

/* Whole microseconds from 100 on: no power of ten in a table. */
static const char *microseconds(quantity text, double us)
{
    snprintf(text, sizeof(quantity), us < 100 ? "%.3g" : "%.0f", us);
    return text;
}

/* ---- what is printed ---- */

enum { INDENT = 13 };

static void say_request(const plan_request *r, const machine *m)
{
    const pk_model_config *model = &r->model;
    cli_say(INDENT,
            "model        %s: %d layers, width %d, %d query and %d key/value heads of %d, feed-forward %d, "
            "vocabulary %d",
            model->name, model->layers, model->hidden, model->heads, model->kv_heads, model->head_dim, model->ffn,
            model->vocab);
    cli_say(INDENT, "request      context %lld, batch %lld, weights in %s, KV cache in %s", r->context, r->batch,
            r->weights->what, r->kv->what);
    cli_say(INDENT, "machine      %s", m->title);
    if (r->context > model->max_positions)
        cli_say(INDENT,
                "             The model was made for %d positions; more needs its rotation stretched, and says "
                "nothing about quality.",
                model->max_positions);
    putchar('\n');
}

static void say_bytes(const plan_request *r, const plan_bytes *b)
{
    quantity one, two, three;
    const pk_model_config *model = &r->model;
    cli_say(INDENT, "KV, a token  2 x layers x KV heads x head size x bits / 8");
    cli_say(INDENT, "             = 2 x %d x %d x %d x %.4g / 8 = %.0f bytes = %s", model->layers, model->kv_heads,
            model->head_dim, b->kv_bits, b->kv_a_token, binary(one, b->kv_a_token));
    cli_say(INDENT, "KV, read     batch x context x KV a token = %lld x %lld x %s = %s", r->batch, r->context,
            binary(one, b->kv_a_token), decimal(two, b->kv));
    cli_say(INDENT, "weights      %.4g elements of matrices x %.4g bits / 8 + %.4g of norms and biases x 2 = %s",
            b->matrix_elements, b->weight_bits, b->vector_elements, decimal(one, b->weights));
    cli_say(INDENT, "a step       weights + KV = %s + %s = %s, a token of each sequence", decimal(one, b->weights),
            decimal(two, b->kv), decimal(three, b->step));
    cli_say(INDENT, "             KV is %.3g%% of it; as much as the weights from a context of %.0f on",
            100 * b->kv / b->step, ceil(b->weights / (b->kv_a_token * (double)r->batch)));
}

static void say_memory(const plan_bytes *b, const machine *m)
{
    quantity one, two, three;
    const double held = b->held_weights + b->kv;
    cli_say(INDENT, "memory       weights, embedding too, + KV = %s + %s = %s", binary(one, b->held_weights),
            binary(two, b->kv), binary(three, held));
    if (isfinite(m->memory_bytes) && !m->is_cpu)
        cli_say(INDENT, "             %s the device's %s", held <= m->memory_bytes ? "fits in" : "DOES NOT FIT in",
                binary(one, m->memory_bytes));
}

static void say_floor(const plan_request *r, const plan_bytes *b, const machine *m)
{
    quantity one, two;
    const double floor_us = b->step / m->read_bytes_per_us;
    cli_say(INDENT, "floor        %s / %.4g GB/s = %s us a step", decimal(one, b->step), m->read_bytes_per_us / 1e3,
            microseconds(two, floor_us));
    cli_say(INDENT, "             = %s us/token, at most %.4g tokens/s", microseconds(one, floor_us / (double)r->batch),
            1e6 * (double)r->batch / floor_us);
}

static void say_launches(const plan_request *r, const plan_bytes *b, const machine *m, bool counted)
{
    quantity one;
    if (counted)
        cli_say(INDENT, "kernels      K = %.0f a step, as given", r->kernels);
    else
        cli_say(INDENT, "kernels      K = %d a layer and %d = %d x %d + %d = %.0f a step (--kernels=K for others)",
                PLAN_KERNELS_A_LAYER, PLAN_KERNELS_BESIDE, PLAN_KERNELS_A_LAYER, r->model.layers, PLAN_KERNELS_BESIDE,
                r->kernels);
    if (!isfinite(m->launch_us)) {
        cli_say(INDENT, "launching    t_L is not known: ./lab calibrate, --device=FILE or --launch=US");
        return;
    }
    const double launching = r->kernels * m->launch_us, floor_us = b->step / m->read_bytes_per_us;
    cli_say(INDENT, "launching    K t_L = %.0f x %.3g us = %s us a step", r->kernels, m->launch_us,
            microseconds(one, launching));
    cli_say(INDENT, "             share f = K t_L / (floor + K t_L) = %.3g%%, if nothing overlaps",
            100 * launching / (floor_us + launching));
}

typedef struct way { /* of doing a step */
    const char *name, *formula, *missing;
    double us;
} way;

/* The models of docs/theory.md, with the floor in the place of the kernels' own time. */
static void print_ways(const plan_request *r, const plan_bytes *b, const machine *m)
{
    const double k = r->kernels, floor_us = b->step / m->read_bytes_per_us, batch = (double)r->batch;
    const way ways[] = {
        {"launch and wait", "floor + K t_LS", "launch_sync_us", floor_us + k * m->launch_sync_us},
        {"stream order", "max(K t_L, floor + K gap)", "launch_us, gap_us",
         cli_larger(k * m->launch_us, floor_us + k * m->gap_us)},
        {"graph", "t_G + floor + K node", "graph_node_us", m->graph_us + floor_us + k * m->node_us},
        {"one kernel", "floor + K barrier", "barrier_us", floor_us + k * m->barrier_us},
        {"floor", "bytes / B_read", "", floor_us},
    };
    enum { RIGHT = 1u << 1 | 1u << 2 | 1u << 3 };
    static const char *const heading[] = {"a step by", "us/token", "tokens/s", "x floor", "model"};
    pk_table *table = pk_table_new(PK_COUNT(heading), RIGHT);
    pk_table_row(table, heading);
    for (size_t i = 0; i < PK_COUNT(ways); i++) {
        quantity us = "-", rate = "-", over = "-";
        char *formula = isfinite(ways[i].us) ? cli_format("%s", ways[i].formula)
                                             : cli_format("%s: needs %s", ways[i].formula, ways[i].missing);
        if (isfinite(ways[i].us)) {
            microseconds(us, ways[i].us / batch);
            snprintf(rate, sizeof rate, "%.4g", 1e6 * batch / ways[i].us);
            snprintf(over, sizeof over, "%.2f", ways[i].us / floor_us);
        }
        const char *cells[] = {ways[i].name, us, rate, over, formula};
        pk_table_row(table, cells);
        free(formula);
    }
    putchar('\n');
    pk_table_print(table, stdout, cli_width(), pk_use_colour(stdout));
    pk_table_free(table);
}

static void print_plan(const plan_request *request, const machine *m, bool kernels_given)
{
    const plan_bytes bytes = plan_bytes_of(request);
    say_request(request, m);
    say_bytes(request, &bytes);
    say_memory(&bytes, m);
    say_floor(request, &bytes, m);
    say_launches(request, &bytes, m, kernels_given);
    print_ways(request, &bytes, m);
    putchar('\n');
    cli_say(0, "Reckoned, not measured. A step reads each weight and each cached key and value once, and nothing else; "
               "products in one batch share the weights, sequences share no cache. The gates: docs/plan-7b.md");
    if (m->is_cpu)
        cli_say(0, "CPU device: these are a host's figures, and say nothing about a GPU.");
}

int cmd_plan(int argc, char **argv)
{
    options given = {.context = NULL};
    const char *word;
    const cli_option list[] = {
        {"--context", &given.context, NULL},     {"--batch", &given.batch, NULL},   {"--kernels", &given.kernels, NULL},
        {"--weights", &given.weights, NULL},     {"--kv", &given.kv, NULL},         {"--device", &given.device, NULL},
        {"--bandwidth", &given.bandwidth, NULL}, {"--launch", &given.launch, NULL},
    };
    size_t count;
    plan_request request = {.context = 0};
    machine m = {.title = NULL};
    pk_status status = cli_parse(argc, argv, list, PK_COUNT(list), &word, 1, &count);
    if (status == PK_OK && !count)
        status = pk_fail(PK_USAGE, "plan needs a model: ./lab plan 7b --context=32k --kv=fp8; see ./lab plan --help");
    if (status == PK_OK)
        status = read_request(&request, word, &given);
    if (status == PK_OK)
        status = read_machine(&m, &given);
    if (status == PK_OK)
        print_plan(&request, &m, given.kernels != NULL);
    free(m.title);
    return status == PK_OK ? 0 : cli_failed(status);
}
