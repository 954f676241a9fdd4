/* The program labNN_text: see pk_prompt.h. */
#include "pk_prompt.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pk/host.h"
#include "pk_vocab.h"

enum { MOST_TOKENS = 1 << 20 };

static const pk_prompt_lab *lab; /* whose program this is */

/* Why no token is waited for any more. Relaxed and atomic: a signal may come on any thread, and publishes nothing else.
 */
enum { GO_ON, SIGNALLED, UNREAD };
static int stop = GO_ON;

static void set_stop(int reason)
{
    __atomic_store_n(&stop, reason, __ATOMIC_RELAXED);
}

static int stop_reason(void)
{
    return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* On standard error: the text alone is on standard output. */
void pk_prompt_tell(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pk_print_wrapped(stderr, line);
}

/* ---- the command line ---- */

typedef struct options {
    const char *model, *ids;
    int tokens, top_k;
    double temperature;
    uint64_t seed;
    bool print_ids, help;
} options;

static void print_help(void)
{
    printf("usage: %s --model=FOLDER|NAME --prompt-ids=1,2,3 [options]\n"
           "\n"
           "Continues a prompt. ./lab run %s --prompt=TEXT makes the ids of letters.\n"
           "\n"
           "  --model=FOLDER|NAME  a converted model (docs/models.md), or the name of a\n"
           "                       shape, which gets random weights\n"
           "  --prompt-ids=1,2,3   the prompt's tokens\n"
           "  --tokens=N           at most so many [64]; an end token of the model's ends\n"
           "                       the text before\n"
           "%s"
           "  --top-k=N            the next token is drawn among the best N; 1: the best [1]\n"
           "  --temperature=X      of the draw [1]\n"
           "  --seed=N             of the draw [1]\n"
           "  --print-ids          ids instead of text\n"
           "\n"
           "The text goes to the standard output, all else to the standard error. Exit codes:\n"
           "0 done, 1 wrong, 2 usage, 3 device fault, 77 no device, one that lacks what was\n"
           "asked for, or an open step, 130 interrupted: the text ends there, and the figures\n"
           "are of what came.\n",
           lab->program, lab->number, lab->help);
}

pk_status pk_prompt_integer(int *to, const char *what, const char *value, int least, int most)
{
    long long number;
    const pk_status status = pk_parse_integer(&number, what, value, least, most);
    if (status == PK_OK)
        *to = (int)number;
    return status;
}

static pk_status read_seed(uint64_t *to, const char *value)
{
    long long number;
    const pk_status status = pk_parse_integer(&number, "--seed", value, 0, INT64_MAX);
    if (status == PK_OK)
        *to = (uint64_t)number;
    return status;
}

pk_status pk_prompt_choice(int *to, const char *what, const char *value, const char *const *names, int first)
{
    char all[128] = "";
    size_t used = 0;
    for (int i = first; names[i]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *to = i;
            return PK_OK;
        }
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", names[i]);
    }
    return pk_fail(PK_USAGE, "%s: '%s' is none of %s", what, value, all);
}

typedef enum option_name {
    OPTION_MODEL,
    OPTION_IDS,
    OPTION_TOKENS,
    OPTION_TOP_K,
    OPTION_TEMPERATURE,
    OPTION_SEED,
    OPTION_PRINT_IDS, /* from here on without a value */
    OPTION_HELP,
    OPTIONS,
    MOST_OPTIONS = OPTIONS + 16 /* with the lab's own, which follow: of those that a word may be near to */
} option_name;
static const char *const option_names[OPTIONS] = {"model",       "prompt-ids", "tokens",    "top-k",
                                                  "temperature", "seed",       "print-ids", "help"};

static const char *name_of(size_t option)
{
    return option < OPTIONS ? option_names[option] : lab->options[option - OPTIONS].name;
}

static size_t option_count(void)
{
    return OPTIONS + lab->option_count;
}

static pk_status set_valued(options *o, size_t option, const char *what, const char *value)
{
    switch (option) {
    case OPTION_MODEL:
        o->model = value;
        return PK_OK;
    case OPTION_IDS:
        o->ids = value;
        return PK_OK;
    case OPTION_TOKENS:
        return pk_prompt_integer(&o->tokens, what, value, 1, MOST_TOKENS);
    case OPTION_TOP_K:
        return pk_prompt_integer(&o->top_k, what, value, 1, PK_SAMPLE_MOST);
    case OPTION_TEMPERATURE:
        return pk_parse_number(&o->temperature, what, value, 1e-3, 1e3);
    case OPTION_SEED:
        return read_seed(&o->seed, value);
    default:
        return lab->options[option - OPTIONS].set(what, value);
    }
}

static pk_status unknown_option(const char *name)
{
    const char *names[MOST_OPTIONS];
    const size_t count = option_count() < MOST_OPTIONS ? option_count() : MOST_OPTIONS;
    for (size_t i = 0; i < count; i++)
        names[i] = name_of(i);
    const char *near = pk_nearest(name, names, count);
    return pk_fail(PK_USAGE, "no option --%s%s%s%s (--help lists them)", name, near ? "; did you mean --" : "",
                   near ? near : "", near ? "?" : "");
}

/* "--name", "--name=value" or "--name value"; *index moves past what was used. */
static pk_status read_option(options *o, int argc, char **argv, int *index)
{
    const char *argument = argv[*index];
    if (strncmp(argument, "--", 2) != 0 || !argument[2])
        return pk_fail(PK_USAGE, "'%s' is not an option: options are --name=value (--help lists them)", argument);
    char name[64];
    const size_t length = strcspn(argument + 2, "=");
    snprintf(name, sizeof name, "%.*s", (int)length, argument + 2);
    const char *value = argument[2 + length] ? argument + 3 + length : NULL;
    size_t option = 0;
    while (option < option_count() && strcmp(name, name_of(option)) != 0)
        option++;
    if (option == option_count())
        return unknown_option(name);
    if (option == OPTION_HELP || option == OPTION_PRINT_IDS) {
        if (value)
            return pk_fail(PK_USAGE, "--%s takes no value", name);
        *(option == OPTION_HELP ? &o->help : &o->print_ids) = true;
        return PK_OK;
    }
    if (!value && *index + 1 >= argc)
        return pk_fail(PK_USAGE, "--%s needs a value: --%s=VALUE", name, name);
    char what[72];
    snprintf(what, sizeof what, "--%s", name);
    return set_valued(o, option, what, value ? value : argv[++*index]);
}

static pk_status read_options(options *o, int argc, char **argv)
{
    *o = (options){.model = "", .ids = "", .tokens = 64, .top_k = 1, .temperature = 1, .seed = 1};
    pk_status status = PK_OK;
    for (int i = 1; i < argc && status == PK_OK && !o->help; i++)
        status = read_option(o, argc, argv, &i);
    if (status != PK_OK || o->help)
        return status;
    if (!*o->model)
        return pk_fail(PK_USAGE, "which model? --model=models/smollm2-135m, or a shape's name: --model=tiny");
    if (!*o->ids)
        return pk_fail(PK_USAGE, "the prompt is empty: --prompt-ids=1,2,3, or ./lab run %s --prompt=TEXT", lab->number);
    return PK_OK;
}

/* ---- the prompt ---- */

static pk_status read_id(const char *text, size_t length, int vocab, int *id)
{
    char digits[16];
    if (length == 0 || length >= sizeof digits || strspn(text, "0123456789") < length)
        return pk_fail(PK_USAGE, "--prompt-ids: '%.*s' is no token: give numbers with commas between, 1,2,3",
                       length > 20 ? 20 : (int)length, text);
    memcpy(digits, text, length);
    digits[length] = '\0';
    const long long number = strtoll(digits, NULL, 10);
    if (number >= vocab)
        return pk_fail(PK_USAGE, "--prompt-ids: there is no token %lld: the vocabulary has 0 to %d", number, vocab - 1);
    *id = (int)number;
    return PK_OK;
}

/* *ids in new memory. */
static pk_status read_prompt(const char *text, const pk_model_config *config, int **ids, int *count)
{
    *ids = malloc((strlen(text) / 2 + 1) * sizeof **ids);
    if (!*ids)
        return pk_out_of_memory(lab->program);
    *count = 0;
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ",");
        const pk_status status = read_id(at, length, config->vocab, &(*ids)[*count]);
        if (status != PK_OK)
            return status;
        ++*count;
        at += length;
        if (!*at)
            break;
    }
    if (*count > config->max_positions)
        return pk_fail(PK_USAGE, "the prompt has %d tokens, and %s was made for %d: shorten it", *count, config->name,
                       config->max_positions);
    return PK_OK;
}

/* ---- the model ---- */

typedef struct loaded {
    pk_model_config config;
    pk_model model;
    bool real; /* weights and perhaps a vocabulary of a folder's */
    pk_vocab *vocab;
} loaded;

static bool is_there(const char *folder, const char *file)
{
    char path[PATH_MAX];
    return (size_t)snprintf(path, sizeof path, "%s/%s", folder, file) < sizeof path && access(path, F_OK) == 0;
}

static pk_status open_folder(const char *folder, loaded *model)
{
    const pk_status status = pk_model_open(folder, &model->model);
    if (status != PK_OK)
        return status;
    model->real = true;
    model->config = model->model.config;
    if (!is_there(folder, "vocab.bin")) {
        pk_prompt_tell("%s: %s has no vocab.bin: tokens are shown as ids (docs/models.md)", lab->program, folder);
        return PK_OK;
    }
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/vocab.bin", folder);
    return pk_vocab_open(path, &model->vocab);
}

static pk_status open_model(const char *name, loaded *model)
{
    memset(model, 0, sizeof *model);
    if (strchr(name, '/') || is_there(name, "config.json"))
        return open_folder(name, model);
    const pk_status status = pk_model_config_named(name, &model->config);
    if (status == PK_OK)
        pk_prompt_tell("%s: %s has random weights here: its tokens mean nothing, and are shown as ids", lab->program,
                       name);
    return status;
}

static void close_model(loaded *model)
{
    if (model->real)
        pk_model_close(&model->model);
    pk_vocab_close(model->vocab);
}

/* ---- output ---- */

typedef struct writer {
    const pk_vocab *vocab; /* NULL: ids */
    pk_utf8_stream stream;
    int count;
} writer;

static void write_bytes(writer *w, const char *bytes, size_t count, int end)
{
    enum { SLICE = 256 };
    char out[3 * (SLICE + 4)];
    do {
        const size_t now = count < SLICE ? count : SLICE;
        const size_t whole = pk_utf8_push(&w->stream, bytes, now, end && now == count, out);
        fwrite(out, 1, whole, stdout);
        bytes += now;
        count -= now;
    } while (count > 0);
}

static void write_token(void *context, int token)
{
    writer *w = context;
    if (w->vocab) {
        size_t count;
        const char *bytes = pk_vocab_bytes(w->vocab, token, &count);
        write_bytes(w, bytes, count, 0);
    } else {
        printf("%s%d", w->count ? "," : "", token);
    }
    w->count++;
    if (fflush(stdout) != 0)
        set_stop(UNREAD); /* by `| head`, or by a disk that is full: no token more for nobody */
}

static void end_text(writer *w)
{
    if (w->vocab)
        write_bytes(w, "", 0, 1);
    putchar('\n');
    (void)fflush(stdout);
}

static const char *describe_end(const options *o, const pk_prompt_result *r)
{
    return r->ended                 ? "the model ended the text"
           : r->end                 ? r->end
           : r->tokens >= o->tokens ? "--tokens reached"
           : stop_reason()          ? "interrupted"
                                    : "the cache is full";
}

/* Of a number that is shown with three digits, and never as a power of ten. */
static int decimals(double number)
{
    return number < 10 ? 2 : number < 100 ? 1 : 0;
}

static void report(const options *o, const loaded *model, const void *engine, const pk_device_info *device, int prompt,
                   const pk_prompt_result *r)
{
    fputc('\n', stderr);
    pk_prompt_tell("%s, %s weights: a prompt of %d tokens in a bucket of %d; %d came: %s", model->config.name,
                   model->real ? "its own" : "random", prompt, pk_prefill_bucket(prompt, 1 << 30), r->tokens,
                   describe_end(o, r));
    const double first_ms = r->first_us / 1e3, rate = (r->tokens - 1) / (r->decode_us / 1e6);
    char then[64] = "", how[256];
    if (r->tokens > 1)
        snprintf(then, sizeof then, ", then %.*f tokens/s", decimals(rate), rate);
    lab->describe(engine, how, sizeof how);
    pk_prompt_tell("TTFT %.*f ms%s; decode %s", decimals(first_ms), first_ms, then, how);
    pk_prompt_tell("on %s%s", device->name, device->is_gpu ? "" : ": a CPU device, and this is not a GPU's speed");
}

/* ---- running ---- */

static void stop_at_signal(int number)
{
    (void)number;
    set_stop(SIGNALLED);
}

/* From here on Ctrl-C ends the text, not the program; a second one ends that. */
static void listen_to_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction action = {.sa_handler = stop_at_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction before;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* as by nohup */
            (void)sigaction(numbers[i], &action, NULL);
}

/* The device may have all tokens of a loop before it, and nothing ends it but the process. */
_Noreturn static void leave(void)
{
    const int code = stop_reason() == UNREAD ? pk_output_ended(lab->program, 0) : pk_exit_code(PK_INTERRUPTED);
    (void)fflush(NULL);
    _exit(code);
}

static pk_status speak(const options *o, const loaded *model, const pk_device_info *device, void *engine,
                       const int *prompt, const pk_prompt_setup *setup)
{
    pk_prompt_result result;
    writer w = {.vocab = o->print_ids ? NULL : model->vocab};
    listen_to_signals();
    pk_status status = lab->warm_up ? lab->warm_up(engine, prompt) : PK_OK;
    if (status == PK_OK)
        status = lab->generate(engine, prompt, write_token, &w, &result);
    if (w.count > 0)
        end_text(&w);
    if (status == PK_OK || (stop_reason() == SIGNALLED && w.count > 0))
        report(o, model, engine, device, setup->prompt, &result);
    if (status == PK_INTERRUPTED)
        leave();
    return status;
}

static pk_status decode(const options *o, loaded *model, const int *prompt, int count, const pk_device_info *device)
{
    const int room = model->config.max_positions - count + 1; /* the last token needs no position */
    const pk_prompt_setup setup = {
        .config = model->config,
        .model = model->real ? &model->model : NULL,
        .sampling = {.top_k = o->top_k, .temperature = (float)o->temperature, .seed = o->seed, .stop_at_end = true},
        .prompt = count,
        .limit = o->tokens < room ? o->tokens : room,
        .stop = &stop};
    void *engine = NULL;
    pk_status status = lab->open(&engine, &setup, device);
    if (status == PK_OK)
        status = speak(o, model, device, engine, prompt, &setup);
    lab->close(engine);
    return status;
}

static pk_status run(const options *o)
{
    loaded model;
    int *prompt = NULL, count = 0;
    pk_device_info device;
    pk_status status = open_model(o->model, &model);
    if (status == PK_OK)
        status = read_prompt(o->ids, &model.config, &prompt, &count);
    if (status == PK_OK)
        status = pk_device_open(&device);
    if (status == PK_OK) {
        status = decode(o, &model, prompt, count, &device);
        pk_device_close();
    }
    free(prompt);
    close_model(&model);
    return status;
}

int pk_prompt_main(const pk_prompt_lab *given, int argc, char **argv)
{
    options o;
    lab = given;
    (void)signal(SIGPIPE, SIG_IGN); /* `| head`: nobody reads on */
    pk_status status = read_options(&o, argc, argv);
    if (status == PK_OK && o.help)
        print_help();
    else if (status == PK_OK)
        status = run(&o);
    if (status != PK_OK)
        pk_prompt_tell("%s: %s", lab->program, pk_error_text());
    return pk_output_ended(lab->program, pk_exit_code(status));
}
