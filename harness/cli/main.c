/* pk-lab: the program behind `./lab`. Finds the command, prints help, sees to where things are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_config.h"
#include "pk/host.h"

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
    {"list", cmd_list},
    {"status", cmd_status},
    {"asm", cmd_asm},
    {"run", cmd_run},
    {"check", cmd_check},
    {"demo", cmd_demo},
    {"hint", cmd_hint},
    {"solution", cmd_solution},
    {"reset", cmd_reset},
    {"targets", cmd_targets}, /* for ./lab: no command of a user's */
    {"plot", cmd_plot},
    {"report", cmd_report},
    {"compare", cmd_compare},
    {"doctor", cmd_doctor},
    {"cc", cmd_cc},
    {"model", cmd_model},
    {"gate", cmd_gate},
    {"log", cmd_log},
    {"profile", cmd_profile},
    {"plan", cmd_plan},
    {"calibrate", cmd_calibrate},
    {"index", cmd_index},
    {"grade", cmd_grade},
    {"predict", cmd_predict},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

const char *cli_source(void)
{
    return from_environment("PK_LAB_SOURCE", PK_CLI_SOURCE_FOLDER);
}

const char *cli_build(void)
{
    return from_environment("PK_LAB_BUILD", PK_CLI_BUILD_FOLDER);
}

/* Help texts are files beside the sources, so that `./lab` can show them before anything is built. They are
 * read from where the program was built, not from a fixture. */
static int print_help(const char *name)
{
    char *path = cli_format("%s/harness/cli/help/%s.txt", PK_CLI_SOURCE_FOLDER, name);
    char *text = cli_read_file(path);
    if (!text)
        return cli_failed(pk_fail(PK_USAGE, "the help text %s cannot be read; restore the source folder", path));
    fputs(text, stdout);
    free(text);
    free(path);
    return 0;
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int unknown_command(const char *word)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    const char *nearest = pk_nearest(word, names, COMMAND_COUNT);
    if (nearest)
        return cli_failed(
            pk_fail(PK_USAGE, "unknown command '%s'; did you mean '%s'? see ./lab --help", word, nearest));
    return cli_failed(pk_fail(PK_USAGE, "unknown command '%s'; see ./lab --help", word));
}

static int run_command(int argc, char **argv)
{
    if (argc < 2 || is_help(argv[1]))
        return print_help("lab");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        /* `run 01 --help` is for the lab's program; `run --help` is ours. */
        if (argc > 2 && is_help(argv[2]))
            return print_help(argv[1]);
        return commands[i].run(argc - 1, argv + 1);
    }
    return unknown_command(argv[1]);
}

int main(int argc, char **argv)
{
    return pk_output_ended("lab", run_command(argc, argv));
}
