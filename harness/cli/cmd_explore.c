/* `run NN --explore N`: the same program under N seeds of the CPU device's random schedule. A result that depends on
 * the order of blocks and threads fails under some seed, and fails again under the same one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cli_config.h"

enum { MOST_SEEDS = 1000000 };

/* The argument of --explore: argv[*at] is it, or the one before it. */
static const char *explore_value(int argc, char **argv, int *at)
{
    for (*at = 0; *at < argc; ++*at) {
        if (strncmp(argv[*at], "--explore=", 10) == 0)
            return argv[*at] + 10;
        if (strcmp(argv[*at], "--explore") == 0)
            return *at + 1 < argc ? argv[++*at] : "";
    }
    return NULL;
}

bool cli_wants_explore(int argc, char **argv)
{
    int at;
    return explore_value(argc, argv, &at) != NULL;
}

static pk_status count_of(const char *text, long *count)
{
    char *end;
    *count = strtol(text, &end, 10);
    if (*end || end == text || *count < 1 || *count > MOST_SEEDS)
        return pk_fail(PK_USAGE, "--explore is '%s', and takes 1 to %d seeds: --explore=50", text, MOST_SEEDS);
    return PK_OK;
}

/* The command's own words from `argv`, and what is left for the program: [0] is its path, NULL at the end. */
typedef struct exploration {
    const cli_lab *lab;
    const char *role;
    char **arguments;
    char *words; /* of the student's command, to say how to repeat it */
    long seeds;
} exploration;

static void read_words(exploration *e, int argc, char **argv)
{
    size_t count = 0;
    e->arguments = cli_grow(NULL, (size_t)argc + 3, sizeof *e->arguments);
    e->words = cli_copy("", 0);
    e->arguments[count++] = NULL;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--explore", 9) == 0) {
            i += argv[i][9] == '\0';
            continue;
        }
        char *words = cli_format("%s %s", e->words, argv[i]);
        free(e->words);
        e->words = words;
        if (!strcmp(argv[i], "--baseline") || !strcmp(argv[i], "--solution"))
            e->role = argv[i] + 2;
        else
            e->arguments[count++] = argv[i];
    }
    e->arguments[count++] = "--no-timing";
    e->arguments[count] = NULL;
}

/* Returns the exit code of the first seed that does not pass, or 0. */
static int try_seeds(const exploration *e)
{
    const bool shows_progress = isatty(STDERR_FILENO);
    for (long seed = 1; seed <= e->seeds; seed++) {
        char *schedule = cli_format("random:%ld", seed), *output;
        setenv("PK_CPU_SCHEDULE", schedule, 1);
        if (shows_progress)
            fprintf(stderr, "\rseed %ld of %ld ", seed, e->seeds);
        int code = cli_capture_lab(e->arguments, &output);
        if (shows_progress)
            fprintf(stderr, "\r%*s\r", 40, "");
        if (code < 0)
            code = pk_exit_code(PK_FAULT); /* a signal ended it */
        if (code == pk_exit_code(PK_TODO))
            printf("%s", output); /* an open step, whatever the seed */
        else if (code != 0)
            printf("%s\nSeed %ld of %ld ends with exit code %d. To see it again:\n"
                   "PK_CPU_SCHEDULE=%s ./lab run %s%s --no-timing\n",
                   output, seed, e->seeds, code, schedule, e->lab->number, e->words);
        free(output);
        free(schedule);
        if (code != 0)
            return code;
    }
    printf("%s passes under %ld seed%s of PK_CPU_SCHEDULE=random:SEED.\n", e->lab->id, e->seeds,
           e->seeds == 1 ? "" : "s");
    return 0;
}

static int explore(const cli_lab *lab, int argc, char **argv, long seeds)
{
    exploration e = {.lab = lab, .role = "optimized", .seeds = seeds};
    read_words(&e, argc, argv);
    char *program = cli_format("%s/bin/%s_%s", cli_build(), lab->id, e.role);
    e.arguments[0] = program;
    int code;
    if (access(program, X_OK) != 0)
        code = cli_failed(pk_fail(PK_USAGE, "%s is not built; ./lab run %s builds it", program, lab->number));
    else
        code = try_seeds(&e);
    free(program);
    free(e.arguments);
    free(e.words);
    return code;
}

int cmd_explore(int argc, char **argv)
{
    int at;
    long seeds = 0;
    const char *value = explore_value(argc, argv, &at);
    if (!value || !argv[0])
        return cli_failed(pk_fail(PK_USAGE, "run needs a lab's number first: ./lab run 01 --explore=50"));
    pk_status status = count_of(value, &seeds);
    if (status == PK_OK && strcmp(PK_CLI_BACKEND, "cpu") != 0)
        status = pk_fail(PK_USAGE,
                         "--explore needs the CPU device, whose schedule can be chosen, and this build is for "
                         "%s: ./lab --backend=cpu run ...",
                         PK_CLI_BACKEND);
    if (status == PK_OK && (argc < 2 || argv[1][0] == '-'))
        status = pk_fail(PK_USAGE, "run needs a lab's number first: ./lab run 01 --explore=50");
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, argv[1]);
    int code = lab ? explore(lab, argc - 2, argv + 2, seeds) : cli_failed(PK_USAGE);
    cli_labs_free(&labs);
    return code;
}
