/* `run NN --prompt=TEXT`: the lab's program labNN_text decodes text. It takes token ids; the Python tool makes them of
 * a prompt in letters, by the model's own tokenizer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models.h"
#include "pk/host.h"

#define DEFAULT_MODEL "smollm2-135m"

typedef struct text_request {
    const char *prompt, *ids, *model; /* NULL: not given */
    bool chat, help, solution;
    char **rest; /* the other words, which are the program's */
    size_t rest_count;
} text_request;

static bool has_source(const cli_lab *lab, const char *file)
{
    char *path = cli_format("%s/labs/%s/%s", cli_source(), lab->name, file);
    const bool has = cli_exists(path);
    free(path);
    return has;
}

bool cli_lab_has_text(const cli_lab *lab)
{
    return has_source(lab, "text.cu") || has_source(lab, "text.c");
}

/* Does a rung of the ladder make the text, the student's or the solution's? Else there are kernels of its own. */
static bool is_of_rungs(const cli_lab *lab)
{
    return !has_source(lab, "text.cu");
}

/* ---- the command line ---- */

static bool is_option(const char *argument, const char *name)
{
    size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 && (argument[length] == '=' || argument[length] == '\0');
}

/* "40", "2^10": a lab's own --prompt, which is so many tokens. */
static bool is_count(const char *value)
{
    return value && *value && value[strspn(value, "0123456789^")] == '\0';
}

bool cli_wants_text(int argc, char **argv)
{
    bool counted = false, chat = false;
    for (int i = 0; i < argc; i++) {
        const char *apart = i + 1 < argc ? argv[i + 1] : NULL, *equals = strchr(argv[i], '=');
        if (is_option(argv[i], "--prompt-ids"))
            return true;
        if (is_option(argv[i], "--prompt")) {
            if (!is_count(equals ? equals + 1 : apart))
                return true;
            counted = true;
        }
        chat |= !strcmp(argv[i], "--chat");
    }
    return counted && chat;
}

/* Where the value of the option goes; NULL: it is none of ours. */
static const char **place_of(text_request *request, const char *argument)
{
    return is_option(argument, "--prompt")       ? &request->prompt
           : is_option(argument, "--prompt-ids") ? &request->ids
           : is_option(argument, "--model")      ? &request->model
                                                 : NULL;
}

/* PK_USAGE for an option of ours without its value. `rest` is to be freed. */
static pk_status read_request(text_request *request, int argc, char **argv)
{
    *request = (text_request){.rest = cli_grow(NULL, (size_t)argc + 1, sizeof(char *))};
    for (int i = 0; i < argc; i++) {
        const char **place = place_of(request, argv[i]);
        if (place) {
            const bool apart = !strchr(argv[i], '=');
            if (apart && i + 1 == argc)
                return pk_fail(PK_USAGE, "%s needs a value: %s=VALUE", argv[i], argv[i]);
            *place = apart ? argv[++i] : strchr(argv[i], '=') + 1;
        } else if (!strcmp(argv[i], "--chat")) {
            request->chat = true;
        } else if (!strcmp(argv[i], "--solution")) {
            request->solution = true;
        } else {
            request->help |= !strcmp(argv[i], "--help");
            request->rest[request->rest_count++] = argv[i];
        }
    }
    if (request->prompt && request->ids)
        return pk_fail(PK_USAGE, "--prompt and --prompt-ids are two ways to say one thing; give one");
    if (request->chat && !request->prompt)
        return pk_fail(PK_USAGE, "--chat is for a prompt in letters: --prompt=TEXT --chat");
    return PK_OK;
}

static const char *model_of(const text_request *request)
{
    return request->model ? request->model : DEFAULT_MODEL;
}

/* Is there what --solution asks for? */
static pk_status check_solution(const cli_lab *lab, const text_request *request)
{
    if (!request->solution)
        return PK_OK;
    if (!is_of_rungs(lab))
        return pk_fail(PK_USAGE,
                       "lab %s's text is made by what is given, and not by your program: leave out --solution",
                       lab->number);
    return cli_has_solution(lab) ? PK_OK
                                 : pk_fail(PK_USAGE,
                                           "there is no solution of lab %s here, as in a course pack; your own "
                                           "program: leave out --solution",
                                           lab->number);
}

bool cli_text_needs_python(const cli_lab *lab, int argc, char **argv)
{
    text_request request;
    const bool asks = read_request(&request, argc, argv) == PK_OK && request.prompt && !request.help &&
                      cli_lab_has_text(lab) && check_solution(lab, &request) == PK_OK;
    char *folder = asks ? cli_model_folder(model_of(&request)) : NULL;
    const bool needs = folder && cli_is_folder(folder);
    free(folder);
    free(request.rest);
    return needs;
}

/* ---- from letters to ids ---- */

static pk_status no_such_model(const char *model)
{
    if (strchr(model, '/'))
        return pk_fail(PK_USAGE, "there is no folder %s; check the path, or give a name that ./lab model lists", model);
    if (cli_model_is_known(model))
        return pk_fail(PK_USAGE,
                       "the model %s is not here: ./lab model get %s fetches it; with random weights "
                       "--prompt-ids=1,2,3 works in place of --prompt",
                       model, model);
    char *folder = cli_models_folder();
    cli_names here = cli_list_folder(folder, "", "");
    const char *near = pk_nearest(model, (const char *const *)here.names, here.count);
    const pk_status status =
        pk_fail(PK_USAGE,
                "there is no model '%s' with a tokenizer%s%s%s ./lab model lists those that are here; "
                "--prompt-ids=1,2,3 works without",
                model, near ? "; did you mean '" : ":", near ? near : "", near ? "'?" : "");
    cli_names_free(&here);
    free(folder);
    return status;
}

/* What the tool wrote is ids, and nothing else? Cut at the line's end. */
static bool are_ids(char *output)
{
    output[strcspn(output, "\n")] = '\0';
    return *output && output[strspn(output, "0123456789,")] == '\0';
}

/* On one line, without the indents of broken ones. */
static void join_lines(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        const bool blank = *from == ' ' || *from == '\n';
        if (!blank || (to > text && to[-1] != ' '))
            *to++ = blank ? ' ' : *from;
    }
    while (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
}

/* What the tool says went wrong, without the beginning that all its messages have. */
static pk_status not_turned(char *output)
{
    static const char beginning[] = "lab: model: ";
    join_lines(output);
    const char *message = strstr(output, beginning);
    message = message ? message + sizeof beginning - 1 : output;
    return pk_fail(PK_USAGE, "the prompt was not turned into tokens: %s; --prompt-ids=1,2,3 works without",
                   *message ? message : "it has none");
}

/* The prompt's ids, "1,2,3", in new memory. */
static pk_status ids_of(const text_request *request, const char *folder, char **ids)
{
    /* "--": a prompt may begin with a hyphen. */
    const char *words[5] = {"encode"};
    size_t count = 1;
    if (request->chat)
        words[count++] = "--chat";
    words[count++] = "--";
    words[count++] = folder;
    words[count++] = request->prompt;
    char **command = cli_tool_command(words, count);
    if (!command)
        return PK_USAGE;
    char *output = NULL;
    int code = cli_capture(command, &output);
    cli_tool_free(command);
    if (code == 0 && are_ids(output)) {
        *ids = output;
        return PK_OK;
    }
    pk_status status = code < 0 ? pk_fail(PK_USAGE, "the Python that turns text into tokens cannot be started; "
                                                    "--prompt-ids=1,2,3 works without")
                                : not_turned(output);
    free(output);
    return status;
}

/* ---- running ---- */

static int run_program(const char *program, const text_request *request, const char *model, const char *ids)
{
    char **arguments = cli_grow(NULL, request->rest_count + 4, sizeof *arguments);
    size_t count = 0;
    /* For help there are no ids. */
    char *model_word = cli_format("--model=%s", model), *ids_word = cli_format("--prompt-ids=%s", ids ? ids : "");
    arguments[count++] = (char *)program;
    arguments[count++] = model_word;
    arguments[count++] = ids_word;
    for (size_t i = 0; i < request->rest_count; i++)
        arguments[count++] = request->rest[i];
    arguments[count] = NULL;
    int code = cli_run(arguments);
    free(ids_word);
    free(model_word);
    free(arguments);
    return code;
}

static char *program_name(const cli_lab *lab, const text_request *request)
{
    return cli_format("%s_text%s", lab->id, request->solution ? "_solution" : "");
}

/* *code: the program's. A status other than PK_OK: it was not started. */
static pk_status decode(const cli_lab *lab, const text_request *request, int *code)
{
    if (!cli_lab_has_text(lab))
        return pk_fail(PK_USAGE, "lab %s decodes no text; leave out --prompt and --prompt-ids", lab->number);
    char *name = program_name(lab, request), *program = cli_format("%s/bin/%s", cli_build(), name);
    char *folder = cli_model_folder(model_of(request)), *ids = NULL;
    const bool is_here = folder && cli_is_folder(folder);
    pk_status status = check_solution(lab, request);
    if (status == PK_OK && access(program, X_OK) != 0)
        status = pk_fail(PK_USAGE, "%s is not built; ./lab run %s --prompt=... builds it", program, lab->number);
    if (status == PK_OK && request->prompt && !request->help)
        status = is_here ? ids_of(request, folder, &ids) : no_such_model(model_of(request));
    if (status == PK_OK)
        *code = run_program(program, request, folder ? folder : model_of(request), ids ? ids : request->ids);
    free(ids);
    free(folder);
    free(program);
    free(name);
    return status;
}

char *cli_text_target(const cli_lab *lab, int argc, char **argv)
{
    text_request request;
    const bool asks =
        read_request(&request, argc, argv) == PK_OK && cli_lab_has_text(lab) && check_solution(lab, &request) == PK_OK;
    free(request.rest);
    return asks ? program_name(lab, &request) : NULL;
}

int cmd_text(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-')
        return cli_failed(
            pk_fail(PK_USAGE, "%s needs a lab's number first: ./lab %s 04 --prompt=TEXT", argv[0], argv[0]));
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, argv[1]);
    text_request request = {0};
    int code = 0;
    pk_status status = lab ? read_request(&request, argc - 2, argv + 2) : PK_USAGE;
    if (status == PK_OK)
        status = decode(lab, &request, &code);
    free(request.rest);
    cli_labs_free(&labs);
    return status == PK_OK ? code : cli_failed(status);
}

/* ---- demo ---- */

const cli_lab *cli_lab_that_speaks(const cli_labs *labs)
{
    for (size_t i = 0; i < labs->count; i++)
        if (cli_lab_has_text(&labs->labs[i]) && !is_of_rungs(&labs->labs[i]))
            return &labs->labs[i];
    return NULL;
}

static bool is_built(const cli_lab *lab)
{
    char *program = cli_format("%s/bin/%s_text", cli_build(), lab->id);
    const bool built = access(program, X_OK) == 0;
    free(program);
    return built;
}

/* True when the model is here, afterwards. */
static bool fetch(const char *model)
{
    char *folder = cli_model_folder(model);
    if (!folder) {
        char *words[] = {"model", "get", (char *)model};
        (void)cmd_model(3, words);
        folder = cli_model_folder(model);
    }
    const bool here = folder != NULL;
    free(folder);
    return here;
}

int cli_demonstrate_text(const cli_labs *labs)
{
    const cli_lab *lab = cli_lab_that_speaks(labs);
    if (!lab || !is_built(lab))
        return 0;
    static char model[] = "--model=" DEFAULT_MODEL;
    static char prompt[] = "--prompt=What is a GPU?";
    char *speaks[] = {"run", (char *)lab->number, model, prompt, "--chat", "--tokens=32"};
    char *random[] = {"run", (char *)lab->number, model, "--prompt-ids=1,2,3", "--tokens=16"};
    cli_say(2, "Lab %s: a real model, " DEFAULT_MODEL, lab->number);
    const bool is_here = fetch(DEFAULT_MODEL);
    if (!is_here)
        cli_say(2, "It does not speak here: it could not be fetched. ./lab model get " DEFAULT_MODEL
                   " tries again. With random weights in its place:");
    else
        cli_say(2, "> %s", strchr(prompt, '=') + 1);
    int code = is_here ? cmd_text(6, speaks) : cmd_text(5, random);
    putchar('\n');
    return code;
}
