/* lab04_text, behind `./lab run 04 --prompt=...`: a prompt is continued by graphs, or by launches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static const char program[] = "lab04_text";
enum { REHEARSED = 8 };

/* ---- options ---- */

enum { UNFUSED, FUSED };
static const char *const forms[] = {"unfused", "fused", NULL};
static const char *const variants[] = {"launch", "capture", "resident", "while", NULL}; /* as text_way */

static struct {
    int form, variant;
    int graph, parity; /* -1: not said */
    bool variant_given;
} own = {.form = FUSED, .variant = TEXT_RESIDENT, .graph = -1, .parity = -1};

static pk_status set_graph(const char *what, const char *value)
{
    return pk_prompt_integer(&own.graph, what, value, 0, 1);
}

static pk_status set_variant(const char *what, const char *value)
{
    own.variant_given = true;
    return pk_prompt_choice(&own.variant, what, value, variants, TEXT_CAPTURE);
}

static pk_status set_form(const char *what, const char *value)
{
    return pk_prompt_choice(&own.form, what, value, forms, UNFUSED);
}

static pk_status set_parity(const char *what, const char *value)
{
    return pk_prompt_integer(&own.parity, what, value, 0, 1);
}

static const pk_prompt_option options[] = {
    {"graph", set_graph}, {"variant", set_variant}, {"form", set_form}, {"parity", set_parity}};

static const char help[] = "  --graph=0            launch kernel by kernel, to bisect; PK_GRAPH=0 likewise\n"
                           "  --variant=NAME       capture: the host waits for each token and says where\n"
                           "                       the next step stands; resident: the next replay is under\n"
                           "                       way by then; while: one launch for all tokens [resident]\n"
                           "  --form=NAME          unfused or fused [fused]\n"
                           "  --parity=0|1         before graphs are used, a few tokens by launches and by\n"
                           "                       graph must be the same [1 on a GPU, 0 on the CPU device]\n";

/* ---- which way ---- */

static bool graphs_refused(void)
{
    const char *variable = getenv("PK_GRAPH");
    return own.graph == 0 || (variable && strcmp(variable, "0") == 0);
}

/* A device without graphs decodes without, unless one was asked for. */
static pk_status choose_way(const pk_device_info *device, text_way *way)
{
    char reason[256];
    *way = TEXT_LAUNCH;
    if (graphs_refused())
        return PK_OK;
    const unsigned needs = PK_NEED_GRAPH | (own.variant == TEXT_WHILE ? PK_NEED_GRAPH_WHILE : 0u);
    if (!pk_device_lacks(device, needs, reason, sizeof reason)) {
        *way = (text_way)own.variant;
        return PK_OK;
    }
    if (own.variant_given || own.graph == 1)
        return pk_fail(PK_SKIP, "--variant=%s is not for this device: %s; --graph=0 works without",
                       variants[own.variant], reason);
    pk_prompt_tell("%s: without graphs: %s", program, reason);
    return PK_OK;
}

typedef struct kept {
    int token[REHEARSED], count;
} kept;

static void keep_token(void *context, int token)
{
    kept *k = context;
    k->token[k->count++] = token;
}

/* A few tokens both ways, untimed: some releases of HIP replay graphs wrong. It is also what warms a GPU up. *way
 * becomes TEXT_LAUNCH where they differ. */
static pk_status rehearse(text_engine *engine, const int *prompt, int limit, text_way *way)
{
    kept launched = {.count = 0}, replayed = {.count = 0};
    pk_prompt_result result;
    const int tokens = limit < REHEARSED ? limit : REHEARSED;
    pk_status status = text_generate(engine, TEXT_LAUNCH, prompt, tokens, keep_token, &launched, &result);
    if (status != PK_OK || *way == TEXT_LAUNCH)
        return status;
    status = text_generate(engine, *way, prompt, tokens, keep_token, &replayed, &result);
    const bool same = status == PK_OK && launched.count == replayed.count &&
                      memcmp(launched.token, replayed.token, (size_t)launched.count * sizeof(int)) == 0;
    if (same || status == PK_FAULT || status == PK_INTERRUPTED) /* the device takes nothing more */
        return status;
    pk_prompt_tell("%s: without graphs: the first %d tokens by graph are not those by launches%s%s", program, tokens,
                   status == PK_OK ? "" : ": ", status == PK_OK ? "" : pk_error_text());
    *way = TEXT_LAUNCH;
    return PK_OK;
}

/* ---- the engine ---- */

typedef struct engine {
    text_engine *text;
    text_way way;
    int limit;
    bool rehearses;
} engine;

static pk_status open_engine(void **opened, const pk_prompt_setup *setup, const pk_device_info *device)
{
    engine *e = *opened = calloc(1, sizeof *e);
    if (!e)
        return pk_out_of_memory(program);
    e->limit = setup->limit;
    e->rehearses = own.parity == 1 || (own.parity < 0 && device->is_gpu);
    const pk_status status = choose_way(device, &e->way);
    return status == PK_OK ? text_open(&e->text, setup, device, own.form == FUSED, e->way) : status;
}

static void close_engine(void *opened)
{
    engine *e = opened;
    if (e)
        text_close(e->text);
    free(e);
}

static pk_status warm_up(void *opened, const int *prompt)
{
    engine *e = opened;
    return e->rehearses ? rehearse(e->text, prompt, e->limit, &e->way) : PK_OK;
}

static pk_status generate(void *opened, const int *prompt, pk_prompt_taker *take, void *context,
                          pk_prompt_result *result)
{
    engine *e = opened;
    return text_generate(e->text, e->way, prompt, e->limit, take, context, result);
}

static void describe(const void *opened, char *text, size_t bytes)
{
    static const char *const said[] = {"kernel by kernel", "by a graph, told each token where it stands",
                                       "by a graph, its state on the device",
                                       "by one graph that loops over all tokens"};
    const engine *e = opened;
    snprintf(text, bytes, "%s: %d kernels a token, %s", said[e->way], text_launches(e->text), forms[own.form]);
}

int main(int argc, char **argv)
{
    static const pk_prompt_lab lab = {.program = program,
                                      .number = "04",
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
