/* `model`: the real models that are here and those that can be fetched; `get` and `import` are the Python tool's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cjson/cJSON.h>

#include "models.h"
#include "pk/host.h"
#include "quote.h"

enum { COLUMNS = 4 };

/* ---- list ---- */

static cJSON *read_object(const char *folder, const char *name)
{
    char *path = cli_format("%s/%s", folder, name), *text = cli_read_file(path);
    cJSON *object = text ? cJSON_Parse(text) : NULL;
    free(text);
    free(path);
    return object;
}

static long number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 1e9 ? (long)item->valuedouble : 0;
}

static bool has(const char *folder, const char *name)
{
    char *path = cli_format("%s/%s", folder, name);
    bool is = cli_exists(path);
    free(path);
    return is;
}

/* "llama, 30 layers of 576, 49152 tokens"; NULL where the folder holds no model, or a config.json that says no shape.
 */
static char *shape_of(const char *folder)
{
    cJSON *config = read_object(folder, "config.json");
    const char *family = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "model_type"));
    const long layers = number(config, "num_hidden_layers"), width = number(config, "hidden_size"),
               tokens = number(config, "vocab_size");
    char *shape = NULL;
    if (family && layers && width && tokens &&
        (has(folder, "model.safetensors") || has(folder, "model.safetensors.index.json"))) {
        char *plain = cli_plain(family);
        shape = cli_format("%s, %ld layers of %ld, %ld tokens", plain, layers, width, tokens);
        free(plain);
    }
    cJSON_Delete(config);
    return shape;
}

/* Of all its safetensors files. */
static double weight_bytes(const char *folder)
{
    cli_names files = cli_list_folder(folder, "", ".safetensors");
    double bytes = 0;
    for (size_t i = 0; i < files.count; i++) {
        char *path = cli_format("%s/%s", folder, files.names[i]);
        struct stat file;
        bytes += stat(path, &file) == 0 ? (double)file.st_size : 0;
        free(path);
    }
    cli_names_free(&files);
    return bytes;
}

/* What the model can do with text. */
static const char *text_of(const char *folder)
{
    bool in = has(folder, "tokenizer.json"), out = has(folder, "vocab.bin");
    return in && out ? "in and out" : out ? "out; in as ids" : in ? "in; out as ids" : "ids only";
}

static void list_here(pk_table *table, const char *name)
{
    char *folder = cli_model_folder(name);
    if (!folder) /* a file */
        return;
    char *shape = shape_of(folder), *size = cli_format("%.0f MB", weight_bytes(folder) / 1e6);
    char *plain = cli_plain(name);
    if (shape)
        pk_table_row(table, (const char *[]){plain, shape, size, text_of(folder)});
    else
        pk_table_row(table, (const char *[]){plain, "no whole config.json, or no weights", "", ""});
    free(plain);
    free(size);
    free(shape);
    free(folder);
}

static void list_known(pk_table *table, const cJSON *known)
{
    for (const cJSON *model = known ? known->child : NULL; model; model = model->next) {
        char *folder = cli_model_folder(model->string);
        const char *what = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(model, "what"));
        char *row = cli_format("%s, not here", what ? what : "a model");
        char *size = cli_format("%.0f MB", (double)number(model, "bytes") / 1e6);
        if (!folder)
            pk_table_row(table, (const char *[]){model->string, row, size, ""});
        free(size);
        free(row);
        free(folder);
    }
}

/* The first model that can be fetched and is not here; the caller frees it. */
static char *fetchable(const cJSON *known)
{
    for (const cJSON *model = known ? known->child : NULL; model; model = model->next) {
        char *folder = cli_model_folder(model->string);
        if (!folder)
            return cli_copy(model->string, strlen(model->string));
        free(folder);
    }
    return NULL;
}

static int list(void)
{
    char *models = cli_models_folder(), *common = cli_format("%s/common/decode", cli_source());
    cJSON *known = read_object(common, "models.json");
    cli_names here = cli_list_folder(models, "", "");
    pk_table *table = pk_table_new(COLUMNS, 1U << 2);
    pk_table_row(table, (const char *[]){"model", "what it is", "weights", "text"});
    for (size_t i = 0; i < here.count; i++)
        list_here(table, here.names[i]);
    list_known(table, known);
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    char *next = fetchable(known);
    if (next)
        cli_say(2, "\n./lab model get %s fetches it; ./lab model import PATH takes one of yours", next);
    else
        cli_say(2, "\n./lab model import PATH takes a model of yours (docs/models.md)");
    free(next);
    cli_names_free(&here);
    cJSON_Delete(known);
    free(common);
    free(models);
    return 0;
}

/* ---- get and import ---- */

/* Without the model its shape can be run all the same. */
static void say_what_works_without(const char *name)
{
    cli_labs labs = cli_find_labs();
    for (size_t i = 0; i < labs.count; i++)
        if (cli_lab_has_text(&labs.labs[i])) {
            cli_say(2, "Random weights of its shape work without: ./lab run %s --model=%s --prompt-ids=1,2,3",
                    labs.labs[i].number, name);
            break;
        }
    cli_labs_free(&labs);
}

static int run_tool(const char *const *words, size_t count)
{
    char **command = cli_tool_command(words, count);
    if (!command)
        return cli_failed(PK_USAGE);
    int code = cli_run(command);
    cli_tool_free(command);
    return code;
}

static int get(int argc, char **argv)
{
    const char *name = NULL;
    bool replace = false;
    const cli_option options[] = {{"--replace", NULL, &replace}};
    size_t words;
    if (cli_parse(argc, argv, options, 1, &name, 1, &words) != PK_OK)
        return cli_failed(PK_USAGE);
    if (!words)
        return cli_failed(pk_fail(PK_USAGE, "model get needs a name; ./lab model lists what can be fetched"));
    if (!cli_model_is_known(name))
        return cli_failed(pk_fail(PK_USAGE,
                                  "no model '%s' can be fetched; ./lab model lists those that can, and ./lab "
                                  "model import PATH takes one of yours",
                                  name));
    char *models = cli_models_folder(), *into = cli_format("--models=%s", models);
    const char *tool[] = {"get", into, name, "--replace"};
    int code = run_tool(tool, replace ? 4 : 3);
    if (code == pk_exit_code(PK_USAGE))
        say_what_works_without(name);
    free(into);
    free(models);
    return code;
}

static int import(int argc, char **argv)
{
    const char *path = NULL, *name = NULL;
    bool replace = false;
    const cli_option options[] = {{"--name", &name, NULL}, {"--replace", NULL, &replace}};
    size_t words;
    if (cli_parse(argc, argv, options, 2, &path, 1, &words) != PK_OK)
        return cli_failed(PK_USAGE);
    if (!words)
        return cli_failed(pk_fail(PK_USAGE, "model import needs a path: a GGUF file, or a folder with config.json and "
                                            "model.safetensors"));
    if (!cli_exists(path))
        return cli_failed(pk_fail(PK_USAGE, "there is no %s to import; check the path", path));
    char *models = cli_models_folder(), *into = cli_format("--models=%s", models);
    char *named = cli_format("--name=%s", name ? name : "");
    const char *tool[5] = {"import", into};
    size_t count = 2;
    if (replace)
        tool[count++] = "--replace";
    if (name)
        tool[count++] = named;
    tool[count++] = path;
    int code = run_tool(tool, count);
    free(named);
    free(into);
    free(models);
    return code;
}

bool cli_model_needs_python(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[0], "model") != 0)
        return false;
    return !strcmp(argv[1], "get") ? cli_model_is_known(argv[2]) : !strcmp(argv[1], "import") && cli_exists(argv[2]);
}

int cmd_model(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "list";
    if (!strcmp(word, "get") || !strcmp(word, "import")) {
        argv[1] = argv[0]; /* so that messages name the command */
        return !strcmp(word, "get") ? get(argc - 1, argv + 1) : import(argc - 1, argv + 1);
    }
    if (!strcmp(word, "list") && argc <= 2)
        return list();
    const char *const names[] = {"list", "get", "import"};
    const char *nearest = pk_nearest(word, names, 3);
    if (nearest && strcmp(nearest, word) != 0)
        return cli_failed(
            pk_fail(PK_USAGE, "model has no '%s'; did you mean '%s'? see ./lab model --help", word, nearest));
    return cli_failed(pk_fail(PK_USAGE, "model: '%s' is one argument too many or unknown; see ./lab model --help",
                              argc > 2 && !strcmp(word, "list") ? argv[2] : word));
}
