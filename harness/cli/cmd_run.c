/* `run` and `check`: start lab programs, which measure, print their table and write the result files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli_config.h"
#include "models.h"
#include "pk/host.h"
#include "quote.h"
#include "results.h"
#include "timeline.h"
#include "worklog.h"

typedef struct request {
    const char *role; /* "baseline", "optimized" or "solution" */
    char **arguments; /* for the program; [0] is its path, NULL at the end */
    size_t count;
    const char *out, *json; /* where results go; NULL: not there */
    bool writes_itself;     /* the caller said where results go, or asked for no run */
    bool asks_only;         /* for the list of variants or for help */
    bool asks_help;
    bool no_tests, checks;
    bool names_peers; /* the caller said against whose results targets are judged */
    char *again;      /* the command that makes this run: "run 01 --solution --n=4" */
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

static void read_argument(request *run, char *argument, const char *next)
{
    if (!strcmp(argument, "--baseline") || !strcmp(argument, "--solution")) {
        run->role = argument + 2;
        return;
    }
    if (!strcmp(argument, "--no-tests")) { /* of check: the program does not know it */
        run->no_tests = true;
        return;
    }
    const char *out = cli_value_of("--out", argument, next), *json = cli_value_of("--json", argument, next);
    run->out = out ? out : run->out;
    run->json = json ? json : run->json;
    run->names_peers |= begins(argument, "--peers");
    run->asks_help |= !strcmp(argument, "--help");
    run->asks_only |= !strcmp(argument, "--list") || run->asks_help;
    run->writes_itself |= out || json || begins(argument, "--csv") || run->asks_only;
    add_argument(run, argument);
}

/* ---- the file that the run wrote ---- */

typedef struct written {
    char *path; /* NULL: none is there */
    struct stat file;
} written;

static char *newest_in(const char *folder, const cli_lab *lab)
{
    cli_names folders = cli_list_folder(folder, "2", "");
    char *path = NULL;
    for (size_t i = folders.count; i-- > 0 && !path;) {
        path = cli_format("%s/%s/%s.json", folder, folders.names[i], lab->id);
        if (!cli_exists(path)) {
            free(path);
            path = NULL;
        }
    }
    cli_names_free(&folders);
    return path;
}

static written newest_written(const cli_lab *lab, const request *run)
{
    written newest = {run->json  ? cli_copy(run->json, strlen(run->json))
                      : run->out ? newest_in(run->out, lab)
                                 : NULL,
                      {0}};
    if (newest.path && stat(newest.path, &newest.file) != 0) {
        free(newest.path);
        newest.path = NULL;
    }
    return newest;
}

/* A result file is written beside its place and renamed, so that a new one is another file. */
static bool is_new(const written *before, const written *after)
{
    return after->path &&
           (!before->path || strcmp(before->path, after->path) != 0 || before->file.st_ino != after->file.st_ino ||
            before->file.st_mtim.tv_sec != after->file.st_mtim.tv_sec ||
            before->file.st_mtim.tv_nsec != after->file.st_mtim.tv_nsec);
}

/* ---- running ---- */

/* An open step is no failure of the run, and a machine without its device none of the student's: say where to go. */
static void say_next(const cli_lab *lab, const request *run, const written *before, const cli_end *end)
{
    written after = newest_written(lab, run);
    cli_result result;
    bool known = is_new(before, &after) && cli_result_load(&result, after.path) == PK_OK;
    bool no_device = !known && (run->json || run->out) && end->code == pk_exit_code(PK_SKIP);
    if (no_device)
        cli_say(2, "Next: ./lab --backend=cpu %s", run->again);
    else if (!strcmp(run->role, "optimized")) {
        if (known && run->checks)
            cli_compare_with_solution(lab, &result);
        work_log_fill(lab, known ? &result : NULL, run->again, end);
        cli_advise_after_run(lab, known ? &result : NULL, run->again, end);
    }
    if (known)
        cli_result_free(&result);
    free(after.path);
}

static int start(const cli_lab *lab, request *run)
{
    if (!strcmp(run->role, "solution") && !cli_has_solution(lab))
        return cli_failed(pk_fail(PK_USAGE,
                                  "there is no solution of lab %s here, as in a course pack; your own program: "
                                  "./lab run %s",
                                  lab->number, lab->number));
    char *program = cli_format("%s/bin/%s_%s", cli_build(), lab->id, run->role);
    if (access(program, X_OK) != 0) {
        pk_fail(PK_USAGE, "%s is not built; ./lab run %s builds it", program, lab->number);
        free(program);
        return cli_failed(PK_USAGE);
    }
    run->arguments[0] = program;
    written before = newest_written(lab, run);
    const cli_end end = cli_run_lab(run->arguments);
    if (!run->asks_only)
        say_next(lab, run, &before, &end);
    free(before.path);
    free(program);
    return end.code;
}

/* "run 01 --n=4": the command that makes this run again. */
static char *command_again(const char *command, const cli_lab *lab, int argc, char **argv)
{
    char *again = cli_format("%s %s", command, lab->number);
    for (int i = 0; i < argc; i++) {
        char *word = cli_shell_word(argv[i]), *longer = cli_format("%s %s", again, word);
        free(word);
        free(again);
        again = longer;
    }
    return again;
}

/* Has a run in the folder what another program measured of this lab? */
static bool has_peers(const char *folder, const cli_lab *lab)
{
    cli_names runs = cli_list_folder(folder, "2", "");
    char *prefix = cli_format("%s-", lab->id);
    bool found = false;
    for (size_t i = 0; i < runs.count && !found; i++) {
        char *path = cli_format("%s/%s", folder, runs.names[i]);
        cli_names files = cli_list_folder(path, prefix, ".json");
        for (size_t j = 0; j < files.count; j++)
            found |= !timeline_is_name(files.names[j]);
        cli_names_free(&files);
        free(path);
    }
    free(prefix);
    cli_names_free(&runs);
    return found;
}

int cli_run_of(const cli_lab *lab, int argc, char **argv, char *extra, const char *again)
{
    request run = {.role = "optimized"};
    char *results = cli_format("%s/results", cli_source()), *out = cli_format("--out=%s", results);
    char *peers = cli_format("--peers=%s", results);
    add_argument(&run, NULL); /* the program's path, known once its role is */
    for (int i = 0; i < argc; i++)
        read_argument(&run, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
    if (extra) /* --check */
        add_argument(&run, extra);
    if (extra && !run.names_peers && !run.asks_only && has_peers(results, lab))
        add_argument(&run, peers);
    if (!run.writes_itself) {
        add_argument(&run, out);
        run.out = results;
    }
    run.again = again ? cli_copy(again, strlen(again)) : command_again(extra ? "check" : "run", lab, argc, argv);
    run.checks = extra != NULL;
    const bool tests = run.checks && !run.asks_only && !run.no_tests && !strcmp(run.role, "optimized");
    int code = tests ? cli_run_students_tests(lab) : 0;
    code = code ? code : start(lab, &run);
    if (run.asks_help && code == 0 && !extra && cli_lab_has_text(lab))
        cli_say(2, "\nText: ./lab run %s --prompt=TEXT continues a prompt; with --help behind it, its options",
                lab->number);
    free(run.again);
    free(run.arguments);
    free(peers);
    free(out);
    free(results);
    return code;
}

static bool names_two_programs(int argc, char **argv)
{
    bool baseline = false, solution = false;
    for (int i = 0; i < argc; i++) {
        baseline |= !strcmp(argv[i], "--baseline");
        solution |= !strcmp(argv[i], "--solution");
    }
    return baseline && solution;
}

static int run_named(int argc, char **argv, char *extra)
{
    if (argc < 2 || argv[1][0] == '-')
        return cli_failed(pk_fail(PK_USAGE, "%s needs a lab's number first: ./lab %s 01", argv[0], argv[0]));
    if (names_two_programs(argc, argv))
        return cli_failed(pk_fail(PK_USAGE, "--baseline and --solution are two programs; name one"));
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, argv[1]);
    int code = lab ? cli_run_of(lab, argc - 2, argv + 2, extra, NULL) : cli_failed(PK_USAGE);
    cli_labs_free(&labs);
    return code;
}

int cmd_run(int argc, char **argv)
{
    if (cli_wants_text(argc - 1, argv + 1))
        return cmd_text(argc, argv);
    if (cli_wants_explore(argc, argv) && !names_two_programs(argc, argv))
        return cmd_explore(argc, argv);
    return run_named(argc, argv, NULL);
}

int cmd_check(int argc, char **argv)
{
    return run_named(argc, argv, "--check");
}

/* ---- what has to be built ---- */

/* Python's packages, where the command line needs them: a line that is no target's name. */
#define NEEDS_PYTHON "@python"

static void print_targets_of_run(const cli_lab *lab, bool checks, int argc, char **argv)
{
    request run = {.role = "optimized"};
    for (int i = 0; i < argc; i++)
        read_argument(&run, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
    printf("%s_%s\n", lab->id, run.role);
    if (checks && !strcmp(run.role, "optimized") && strcmp(PK_CLI_BACKEND, "cpu") != 0 && cli_has_solution(lab))
        printf("%s_solution\n", lab->id); /* which a GPU times beside it */
    free(run.arguments);
}

static void print_targets_of_text(const cli_lab *lab, int argc, char **argv)
{
    char *target = cli_text_target(lab, argc, argv);
    if (target)
        puts(target);
    free(target);
    if (cli_text_needs_python(lab, argc, argv))
        puts(NEEDS_PYTHON);
}

static void print_targets_of_every(const cli_lab *lab)
{
    printf("%s_%s\n", lab->id, cli_has_solution(lab) ? "solution" : "optimized");
}

/* The judge, and what a submission's program has besides the submission's files, of every lab that may be graded. */
static void print_targets_of_grade(const cli_labs *labs, int argc, char **argv)
{
    const char *list = NULL;
    for (int i = 0; i < argc; i++) {
        const char *value = cli_value_of("--labs", argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        list = value ? value : list;
    }
    for (size_t i = 0; i < labs->count; i++)
        if (!list || strstr(list, labs->labs[i].number) || strlen(list) < 2)
            printf("%s_solution\n%s_baseline\n", labs->labs[i].id, labs->labs[i].id);
}

/* Nothing for a command line that is wrong: the command itself says so. */
int cmd_targets(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    cli_labs labs = cli_find_labs();
    if (!strcmp(command, "doctor"))
        puts("pk_probe");
    const bool demo = !strcmp(command, "demo"), full = demo && cli_demo_is_full(argc - 1, argv + 1);
    if (full || (!strcmp(command, "calibrate") && cli_calibrates_now(argc - 1, argv + 1)))
        puts("pk_calibrate");
    const char *library = !strcmp(command, "cc") ? cli_cc_target(argc - 1, argv + 1) : NULL;
    if (library)
        puts(library);
    if (demo || !strcmp(command, "list"))
        for (size_t i = 0; i < labs.count; i++)
            print_targets_of_every(&labs.labs[i]);
    const cli_lab *speaks = demo && !full ? cli_lab_that_speaks(&labs) : NULL;
    if (speaks)
        printf("%s_text\n", speaks->id);
    if (!strcmp(command, "grade"))
        print_targets_of_grade(&labs, argc - 2, argv + 2);
    bool profiles = !strcmp(command, "profile");
    for (int i = 2; i < argc; i++)
        profiles &= strcmp(argv[i], "--print") != 0; /* which needs no program */
    const bool runs = !strcmp(command, "run") || !strcmp(command, "check") || profiles;
    const cli_lab *lab = runs && argc > 2 && argv[2][0] != '-' ? cli_lab_named(&labs, argv[2]) : NULL;
    const bool text = lab && !strcmp(command, "run") && cli_wants_text(argc - 2, argv + 2);
    if (text)
        print_targets_of_text(lab, argc - 3, argv + 3);
    else if (lab)
        print_targets_of_run(lab, !strcmp(command, "check"), argc - 3, argv + 3);
    if (cli_model_needs_python(argc - 1, argv + 1) || speaks)
        puts(NEEDS_PYTHON);
    cli_labs_free(&labs);
    return 0;
}
