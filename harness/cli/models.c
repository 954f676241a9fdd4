/* Where models are, which can be fetched, and how the Python tool that makes them is started. */
#include "models.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli_config.h"

char *cli_models_folder(void)
{
    return cli_format("%s/models", cli_source());
}

char *cli_model_folder(const char *word)
{
    if (strchr(word, '/'))
        return cli_copy(word, strlen(word));
    char *folder = cli_format("%s/models/%s", cli_source(), word);
    if (*word && *word != '.' && cli_is_folder(folder))
        return folder;
    free(folder);
    return NULL;
}

bool cli_model_is_known(const char *name)
{
    char *path = cli_format("%s/common/decode/models.json", cli_source()), *text = cli_read_file(path);
    cJSON *known = text ? cJSON_Parse(text) : NULL;
    bool is = cJSON_HasObjectItem(known, name);
    cJSON_Delete(known);
    free(text);
    free(path);
    return is;
}

/* The environment's PK_LAB_PYTHON, else the one with the packages that ./lab installs. NULL after pk_fail. */
static char *python(void)
{
    const char *own = getenv("PK_LAB_PYTHON");
    if (own && *own)
        return cli_copy(own, strlen(own));
    char *installed = cli_format("%s/build/venv/bin/python3", cli_source());
    if (access(installed, X_OK) == 0)
        return installed;
    pk_fail(PK_USAGE,
            "the Python packages that read models are not in %s/build/venv; ./lab installs them where there is "
            "a network, or name a Python that has them: PK_LAB_PYTHON=/path/to/python3",
            cli_source());
    free(installed);
    return NULL;
}

char **cli_tool_command(const char *const *words, size_t count)
{
    char *program = python();
    if (!program)
        return NULL;
    char **command = cli_grow(NULL, count + 3, sizeof *command);
    command[0] = program;
    command[1] = cli_format("%s/common/decode/python/pk_model_tool.py", cli_source());
    for (size_t i = 0; i < count; i++)
        command[i + 2] = cli_copy(words[i], strlen(words[i]));
    command[count + 2] = NULL;
    return command;
}

void cli_tool_free(char **command)
{
    for (size_t i = 0; command && command[i]; i++)
        free(command[i]);
    free(command);
}
