/* `run`, `check` and `demo`: start lab programs, which measure, print their table and write the result files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "pk/host.h"

typedef struct request {
    const char *role; /* "baseline", "optimized" or "solution" */
    char **arguments; /* for the program; [0] is its path, NULL at the end */
    size_t count;
    bool writes_itself; /* the caller said where results go, or asked for no run */
} request;

static void add_argument(request *run, char *argument)
{
    run->arguments = cli_grow(run->arguments, run->count + 2, sizeof *run->arguments);
    run->arguments[run->count++] = argument;
    run->arguments[run->count] = NULL;
}

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void read_argument(request *run, char *argument)
{
    if (!strcmp(argument, "--baseline") || !strcmp(argument, "--solution")) {
        run->role = argument + 2;
        return;
    }
    run->writes_itself |= begins(argument, "--out") || begins(argument, "--json") || begins(argument, "--csv") ||
                          !strcmp(argument, "--list") || !strcmp(argument, "--help");
    add_argument(run, argument);
}

/* An open step is no failure of the run: say where to go from here. */
static void say_next(const cli_lab *lab, const request *run, int code)
{
    if (code != pk_exit_code(PK_TODO) || strcmp(run->role, "optimized") != 0)
        return;
    char *path = cli_student_file(lab);
    char *source = cli_read_file(path);
    cli_steps steps = source ? cli_find_steps(source) : (cli_steps){NULL, 0};
    for (size_t i = 0; i < steps.count; i++) {
        if (!steps.steps[i].open)
            continue;
        printf("Next: fill in step %s in %s\nStuck? ./lab hint %s\n", steps.steps[i].id, cli_relative(path),
               steps.steps[i].id + 3);
        break;
    }
    cli_steps_free(&steps);
    free(source);
    free(path);
}

static int start(const cli_lab *lab, request *run)
{
    char *program = cli_format("%s/bin/%s_%s", cli_build(), lab->id, run->role);
    if (access(program, X_OK) != 0) {
        pk_fail(PK_USAGE, "%s is not built; ./lab run %s builds it", program, lab->number);
        free(program);
        return cli_failed(PK_USAGE);
    }
    run->arguments[0] = program;
    int code = cli_run(run->arguments);
    say_next(lab, run, code);
    free(program);
    return code;
}

static int run_lab(const cli_lab *lab, int argc, char **argv, char *extra)
{
    request run = {"optimized", NULL, 0, false};
    char *out = cli_format("--out=%s/results", cli_source());
    add_argument(&run, NULL); /* the program's path, known once its role is */
    for (int i = 0; i < argc; i++)
        read_argument(&run, argv[i]);
    if (extra)
        add_argument(&run, extra);
    if (!run.writes_itself)
        add_argument(&run, out);
    int code = start(lab, &run);
    free(run.arguments);
    free(out);
    return code;
}

static int run_named(int argc, char **argv, char *extra)
{
    if (argc < 2 || argv[1][0] == '-')
        return cli_failed(pk_fail(PK_USAGE, "%s needs a lab's number first: ./lab %s 01", argv[0], argv[0]));
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, argv[1]);
    int code = lab ? run_lab(lab, argc - 2, argv + 2, extra) : cli_failed(PK_USAGE);
    cli_labs_free(&labs);
    return code;
}

int cmd_run(int argc, char **argv)
{
    if (cli_wants_explore(argc, argv))
        return cmd_explore(argc, argv);
    return run_named(argc, argv, NULL);
}

int cmd_check(int argc, char **argv)
{
    return run_named(argc, argv, "--check");
}

/* ---- demo ---- */

/* Short, so that a lab's whole sweep takes seconds: the demonstration shows shapes, `run` measures. */
#define DEMO_TIME_LIMIT "--time-limit=0.08"

static char *newest_folder(void)
{
    char *root = cli_format("%s/results", cli_source());
    cli_names folders = cli_list_folder(root, "2", "");
    char *newest = folders.count ? cli_format("%s/%s", root, folders.names[folders.count - 1]) : NULL;
    cli_names_free(&folders);
    free(root);
    return newest;
}

/* Run one lab's baseline against its solution. The first run makes the folder, the others write into it. */
static int demonstrate(const cli_lab *lab, char **folder)
{
    char *json = *folder ? cli_format("--json=%s/%s.json", *folder, lab->id) : NULL;
    char *csv = *folder ? cli_format("--csv=%s/%s.csv", *folder, lab->id) : NULL;
    char *arguments[] = {"--solution", "--sweep=quick", DEMO_TIME_LIMIT, json, csv};
    printf("Lab %s: %s\n", lab->number, lab->title);
    int code = run_lab(lab, *folder ? 5 : 3, arguments, NULL);
    if (!*folder)
        *folder = newest_folder();
    free(json);
    free(csv);
    return code;
}

static void draw_figures(const char *folder)
{
    cli_names files = cli_list_folder(folder, "lab", ".json");
    for (size_t i = 0; i < files.count; i++) {
        char *path = cli_format("%s/%s", folder, files.names[i]);
        /* A figure that cannot be drawn does not undo the measurement. */
        if (cli_plot(path, folder) != PK_OK)
            fprintf(stderr, "lab: %s\n", pk_error_text());
        free(path);
    }
    cli_names_free(&files);
}

int cmd_demo(int argc, char **argv)
{
    size_t words;
    pk_status status = cli_parse(argc, argv, NULL, 0, NULL, 0, &words);
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    char *folder = NULL;
    int worst = 0;
    for (size_t i = 0; i < labs.count && worst != pk_exit_code(PK_INTERRUPTED); i++) {
        int code = demonstrate(&labs.labs[i], &folder);
        if (code)
            worst = code;
    }
    if (folder && worst != pk_exit_code(PK_INTERRUPTED)) {
        draw_figures(folder);
        printf("Results are in %s. Next: ./lab status, and README.md\n", cli_relative(folder));
    }
    free(folder);
    cli_labs_free(&labs);
    return worst;
}
