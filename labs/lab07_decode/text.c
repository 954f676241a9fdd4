/* lab07_text, behind `./lab run 07 --prompt=...`: a prompt is taken in by lab 04's prefill, and one launch of ring-many
 * continues it. Tokens are written as the kernel posts them, and the host's word stops it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/pk_prompt.h"
#include "lab07_problem.h"
#include "pk/alone.h"
#include "pk/host.h"

#if !defined(LAB07_TEXT_RUNG)
#define LAB07_TEXT_RUNG "ring-many" /* lab07_text_mistakes has another */
#endif
static const char program[] = "lab07_text", rung[] = LAB07_TEXT_RUNG;

/* ---- options ---- */

static int stop_after;    /* 0: never */
static int watchdog = 60; /* seconds */

static pk_status set_stop_after(const char *what, const char *value)
{
    return pk_prompt_integer(&stop_after, what, value, 0, 1 << 20);
}

static pk_status set_watchdog(const char *what, const char *value)
{
    return pk_prompt_integer(&watchdog, what, value, 1, 1 << 20);
}

/* Knobs of the lab as they were given, "blocks=4 ring=24"; and those with which the CPU device is at its fastest, which
 * is with few threads and large chunks. */
static char sizes[256];
static const char cpu_sizes[] = "blocks=2 consumers=2 ring=160 chunk=16 in-flight=64 share-keys=32";

static pk_status set_size(const char *what, const char *value)
{
    const size_t used = strlen(sizes);
    const int more = snprintf(sizes + used, sizeof sizes - used, "%s%s=%s", used ? " " : "", what + 2, value);
    return (size_t)more < sizeof sizes - used ? PK_OK : pk_fail(PK_USAGE, "%s: one time is enough", what);
}

static pk_status refuse_way(const char *what, const char *value)
{
    (void)value;
    return pk_fail(PK_USAGE,
                   "%s: %s is what makes text here, in one launch: leave it out; ./lab run 04 --prompt=TEXT has it",
                   what, rung);
}

static pk_status refuse_variant(const char *what, const char *value)
{
    if (strcmp(value, rung) == 0)
        return PK_OK;
    return pk_fail(PK_USAGE,
                   "%s: of lab 07's rungs %s alone posts its tokens: leave it out; ./lab run 07 %s=%s runs the rung, "
                   "without a prompt",
                   what, rung, what, value);
}

static pk_status refuse_weights(const char *what, const char *value)
{
    if (strcmp(value, "bf16") == 0)
        return PK_OK;
    return pk_fail(PK_USAGE, "%s: %s reads bf16: leave it out; ./lab run 07 %s=%s --variant=ring-quant reads blocks",
                   what, rung, what, value);
}

static const pk_prompt_option options[] = {
    {"stop-after", set_stop_after}, {"watchdog", set_watchdog}, {"blocks", set_size},
    {"consumers", set_size},        {"ring", set_size},         {"chunk", set_size},
    {"in-flight", set_size},        {"share-keys", set_size},   {"variant", refuse_variant},
    {"weights", refuse_weights},    {"graph", refuse_way},      {"form", refuse_way},
    {"parity", refuse_way}};

static const char help[] = "  --stop-after=N       the host stops the kernel when it has heard so many; 0:\n"
                           "                       never [0]\n"
                           "  --watchdog=SECONDS   without a token, until the text is given up [60]\n"
                           "  --blocks=N --consumers=N --ring=N --chunk=N --in-flight=N --share-keys=N\n"
                           "                       the kernel's, as without a prompt: ./lab run 07 --help\n";

/* ---- the engine ---- */

typedef struct engine {
    pk_prompt_decoder d;
    lab07 lab;
    pk_run *run;
    int limit;
    const int *stop;
    pk_launch_counts launches; /* of the last generation's decode */

    /* where a generation is */
    pk_prompt_taker *take;
    void *context;
    pk_prompt_result *result;
    double first; /* when the first token was there */
    double heard; /* when the last one was, or when the kernel was launched */
    int token;    /* the last one that was taken */
    bool wanted;  /* a further one is */
} engine;

/* A run whose steps are open ends here, before any weight is read. */
static pk_status open_run(engine *e, const pk_device_info *device)
{
    char all[sizeof cpu_sizes + sizeof sizes], why[256];
    snprintf(all, sizeof all, "%s %s", device->is_gpu ? "" : cpu_sizes, sizes);
    const pk_status status = pk_alone_open(&e->run, rung, all + (device->is_gpu ? 1 : 0), device);
    if (status != PK_TODO && status != PK_SKIP)
        return status;
    snprintf(why, sizeof why, "%s", pk_error_text());
    return status == PK_TODO ? pk_fail(status, "%s; with --solution the solution makes the text", why)
                             : pk_fail(status, "%s; ./lab run 04 --prompt=TEXT works without", why);
}

static pk_status open_lab(engine *e)
{
    lab07 *const lab = &e->lab;
    lab->decoder = e->d.decoder; /* the same; e->d closes it */
    lab->position = e->d.prompt;
    lab->tokens = e->limit;
    lab->begins = 1; /* the prefill has chosen step 0's */
    lab->listens = e;
    lab07_take_sizes(e->run, lab);
    pk_status status = lab07_open_waits(e->run, lab);
    if (status == PK_OK)
        status = lab07_open_posts(lab);
    return status == PK_OK ? pk_alone_prepare(e->run, e->d.stream, lab) : status;
}

static bool hear(void *listens, int token);
static void wait_for_token(void *listens);

static void close_engine(void *opened)
{
    engine *e = opened;
    if (!e)
        return;
    pk_alone_close(e->run);
    lab07_close_posts(&e->lab);
    lab07_close_waits(&e->lab);
    pk_prompt_decoder_close(&e->d);
    free(e);
}

static pk_status open_engine(void **opened, const pk_prompt_setup *setup, const pk_device_info *device)
{
    engine *e = *opened = calloc(1, sizeof *e);
    if (!e)
        return pk_out_of_memory(program);
    e->limit = setup->limit;
    e->stop = setup->stop;
    e->lab.listener = hear;
    e->lab.waiter = wait_for_token;
    pk_status status = open_run(e, device);
    if (status == PK_OK)
        status = pk_prompt_decoder_open(&e->d, setup, device);
    return status == PK_OK ? open_lab(e) : status;
}

static bool is_wanted(const engine *e)
{
    return !__atomic_load_n(e->stop, __ATOMIC_RELAXED); /* it publishes nothing else */
}

/* A token that is there. False: no further one is wanted; the kernel may make one or two more before it sees that. */
static bool hear(void *listens, int token)
{
    engine *e = listens;
    e->heard = pk_now_us();
    e->wanted = e->wanted && is_wanted(e);
    if (!e->wanted)
        return false;
    e->token = token;
    e->result->decode_us = pk_now_us() - e->first;
    e->result->tokens++;
    e->take(e->context, token);
    e->wanted = e->result->tokens != stop_after;
    return e->wanted;
}

/* A kernel that makes no further token never ends, nor does whatever waits for it: so the process does. */
static void wait_for_token(void *listens)
{
    const engine *e = listens;
    char stall[1024];
    if (pk_now_us() - e->heard < 1e6 * watchdog)
        return;
    lab07_describe_stall(e->run, stall, sizeof stall);
    (void)fflush(stdout);
    pk_prompt_tell(
        "%s made no token for %d s behind the first %d%s%s: ./lab run 07 --variant=%s --no-timing looks closer", rung,
        watchdog, e->result->tokens, stall[0] ? ": " : "", stall, rung);
    _Exit(pk_exit_code(PK_TIMEOUT));
}

static pk_status read_state(const engine *e, pk_decode_state *state)
{
    pk_status status = pk_device_download(state, e->d.decoder.state, sizeof *state, e->d.stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(e->d.stream);
    if (status == PK_OK && state->fault)
        status = pk_fail(PK_WRONG, "token %d ended with fault %d: %s", state->step - 1, state->fault,
                         pk_decode_fault_text(state->fault));
    return status;
}

/* The prompt, and the token behind it. */
static pk_status prefill(const engine *e, const int *prompt, pk_decode_state *state)
{
    pk_status status = pk_decoder_begin(&e->d.decoder, prompt, e->d.prompt, e->limit, e->d.stream);
    if (status == PK_OK)
        status = pk_prefill(&e->d.decoder, e->d.rows, e->d.gemm, e->d.stream);
    return status == PK_OK ? read_state(e, state) : status;
}

/* All further tokens: one launch. */
static pk_status decode(engine *e)
{
    pk_decode_state state;
    lab07_clear_posts(&e->lab);
    pk_status status = lab07_clear_waits(&e->lab, e->d.stream);
    pk_launch_counts_reset();
    e->heard = pk_now_us();
    if (status == PK_OK)
        status = pk_alone_execute(e->run);
    pk_launch_counts_read(&e->launches);
    if (status == PK_OK)
        status = read_state(e, &state);
    if (status != PK_OK || state.step == e->lab.heard_count)
        return status;
    return pk_fail(PK_WRONG, "%s made %d tokens, and the host heard %d: ./lab run 07 --variant=%s looks closer", rung,
                   state.step, e->lab.heard_count, rung);
}

static pk_status generate(void *opened, const int *prompt, pk_prompt_taker *take, void *context,
                          pk_prompt_result *result)
{
    engine *e = opened;
    pk_decode_state state = {.done = 0};
    *result = (pk_prompt_result){.tokens = 0};
    e->take = take;
    e->context = context;
    e->result = result;
    e->wanted = true;
    const double began = pk_now_us();
    pk_status status = prefill(e, prompt, &state);
    if (status != PK_OK)
        return status;
    e->first = pk_now_us();
    result->first_us = e->first - began;
    if (hear(e, state.token) && !state.done)
        status = decode(e);
    result->ended = result->tokens > 0 && pk_prompt_ends(&e->d, e->token);
    result->end = result->tokens == stop_after ? "--stop-after reached" : NULL;
    if (status == PK_OK && !is_wanted(e))
        status = pk_fail(PK_INTERRUPTED, "interrupted");
    return status;
}

/* A GPU loads kernels when they are launched first. */
static pk_status warm_up(void *opened, const int *prompt)
{
    engine *e = opened;
    pk_decode_state state;
    return pk_run_device(e->run)->is_gpu ? prefill(e, prompt, &state) : PK_OK;
}

static void describe(const void *opened, char *text, size_t bytes)
{
    const engine *e = opened;
    if (e->launches.launches == 0) {
        snprintf(text, bytes, "by no launch: the prefill's token was the last one");
        return;
    }
    const int blocks = e->lab.blocks ? e->lab.blocks : pk_run_device(e->run)->processors;
    const int more = e->lab.heard_count - e->result->tokens;
    char stopped[64] = "";
    if (more > 0)
        snprintf(stopped, sizeof stopped, "; it had made %d more when it saw that it was to stop", more);
    snprintf(text, bytes, "by %llu launch of %s, %d blocks%s", (unsigned long long)e->launches.launches, rung, blocks,
             stopped);
}

int main(int argc, char **argv)
{
    static const pk_prompt_lab lab = {.program = program,
                                      .number = "07",
                                      .help = help,
                                      .options = options,
                                      .option_count = sizeof options / sizeof *options,
                                      .open = open_engine,
                                      .warm_up = warm_up,
                                      .generate = generate,
                                      .describe = describe,
                                      .close = close_engine};
    return pk_prompt_main(&lab, argc, argv);
}
