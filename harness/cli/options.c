/* Options of the commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "pk/host.h"

enum { MOST_OPTIONS = 8 };

static pk_status unknown_option(const char *command, const char *word, const cli_option *options, size_t count)
{
    const char *names[MOST_OPTIONS + 1] = {"--help"};
    for (size_t i = 0; i < count && i < MOST_OPTIONS; i++)
        names[i + 1] = options[i].name;
    char *name = cli_copy(word, strcspn(word, "="));
    const char *nearest = pk_nearest(name, names, count + 1);
    free(name);
    if (nearest)
        return pk_fail(PK_USAGE, "%s: unknown option '%s'; did you mean '%s'? see ./lab %s --help", command, word,
                       nearest, command);
    return pk_fail(PK_USAGE, "%s: unknown option '%s'; see ./lab %s --help", command, word, command);
}

static const cli_option *option_named(const cli_option *options, size_t count, const char *word, size_t length)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == length && strncmp(options[i].name, word, length) == 0)
            return &options[i];
    return NULL;
}

pk_status cli_parse(int argc, char **argv, const cli_option *options, size_t option_count, const char **words,
                    size_t word_limit, size_t *word_count)
{
    *word_count = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            if (*word_count == word_limit)
                return pk_fail(PK_USAGE, "%s: '%s' is one argument too many; see ./lab %s --help", argv[0], argv[i],
                               argv[0]);
            words[(*word_count)++] = argv[i];
            continue;
        }
        const char *equals = strchr(argv[i], '=');
        size_t length = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const cli_option *option = option_named(options, option_count, argv[i], length);
        if (!option)
            return unknown_option(argv[0], argv[i], options, option_count);
        if (!option->value) {
            if (equals)
                return pk_fail(PK_USAGE, "%s: %s takes no value; write it without '%s'", argv[0], option->name, equals);
            *option->flag = true;
        } else if (equals) {
            *option->value = equals + 1;
        } else if (i + 1 < argc) {
            *option->value = argv[++i];
        } else {
            return pk_fail(PK_USAGE, "%s: %s needs a value: %s=VALUE", argv[0], option->name, option->name);
        }
    }
    return PK_OK;
}

const char *cli_value_of(const char *name, const char *argument, const char *next)
{
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0)
        return NULL;
    return argument[length] == '=' ? argument + length + 1 : argument[length] == '\0' ? next : NULL;
}

bool cli_confirm(const char *question)
{
    if (!isatty(STDIN_FILENO))
        return true;
    printf("%s [y/N] ", question);
    fflush(stdout);
    const int first = getchar();
    int c = first;
    while (c != '\n' && c != EOF)
        c = getchar();
    if (c == EOF)
        putchar('\n'); /* which nobody has typed */
    return first == 'y' || first == 'Y';
}
