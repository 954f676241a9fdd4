/* `demo`: every lab's baseline against its solution, short to show shapes; or with --full all that a results folder
 * holds: whole sweeps, what others offer, a calibration, figures, and the report of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibration.h"
#include "models.h"
#include "pk/host.h"
#include "quote.h"
#include "report.h"
#include "timeline.h"

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

/* The newest, if it is another than before: a run that made none leaves nothing to write into. */
static char *newer_folder(const char *before)
{
    char *newest = newest_folder();
    if (newest && before && !strcmp(newest, before)) {
        free(newest);
        newest = NULL;
    }
    return newest;
}

/* Run one lab's baseline against its solution, in a course pack against the student's program. The first run makes the
 * folder, the others write into it. */
static int demonstrate(const cli_lab *lab, char **folder)
{
    char *json = *folder ? cli_format("--json=%s/%s.json", *folder, lab->id) : NULL;
    char *csv = *folder ? cli_format("--csv=%s/%s.csv", *folder, lab->id) : NULL;
    char *arguments[] = {
        cli_has_solution(lab) ? "--solution" : "--seed=1", "--sweep=quick", "--quick=auto", DEMO_TIME_LIMIT, json, csv};
    char *before = newest_folder();
    cli_say(2, "Lab %s: %s", lab->number, lab->title);
    int code = cli_run_of(lab, *folder ? 6 : 4, arguments, NULL, "demo");
    if (!*folder)
        *folder = newer_folder(before);
    free(before);
    free(json);
    free(csv);
    return code;
}

static void draw_figures(const char *folder)
{
    cli_names files = cli_list_folder(folder, "lab", ".json");
    for (size_t i = 0; i < files.count; i++) {
        if (strchr(files.names[i], '-')) /* a timeline's, or another program's, which stands beside the lab's own */
            continue;
        char *path = cli_format("%s/%s", folder, files.names[i]);
        /* A figure that cannot be drawn does not undo the measurement. */
        if (cli_plot(path, folder) != PK_OK)
            fprintf(stderr, "lab: %s\n", pk_error_text());
        free(path);
    }
    cli_names_free(&files);
}

/* What the demonstration ends with: the first failure, which no skip after it hides; an interruption ends it. */
static int demo_code(int before, int now)
{
    const bool replaces = !before || before == pk_exit_code(PK_SKIP) || now == pk_exit_code(PK_INTERRUPTED);
    return now && replaces ? now : before;
}

/* ---- all of it ---- */

typedef struct full_run {
    char *folder;   /* of all its files; NULL before the first result */
    bool is_quick;  /* smoke shapes and short times, to see that it works */
    bool is_on_gpu; /* as the first result told */
    int worst;
} full_run;

/* How the solution is run: its sweep and its targets, and a timeline; where another program measured, against that. */
static int measure(const cli_lab *lab, full_run *run, const char *peer)
{
    char *arguments[12];
    size_t count = 0;
    const size_t kept = 1; /* the first is not ours to free */
    arguments[count++] = cli_has_solution(lab) ? "--solution" : "--seed=1";
    arguments[count++] = cli_format(run->is_quick ? "--sweep=quick" : "--check");
    arguments[count++] = cli_format("--quick=auto"); /* without a GPU in minutes, too */
    arguments[count++] = cli_format(run->is_quick ? DEMO_TIME_LIMIT : "--cold=auto");
    if (peer)
        arguments[count++] = cli_format("--peers=%s", peer);
    if (run->folder) {
        arguments[count++] = cli_format("--json=%s/%s.json", run->folder, lab->id);
        arguments[count++] = cli_format("--csv=%s/%s.csv", run->folder, lab->id);
        arguments[count++] = cli_format("--trace=%s/%s-trace.json", run->folder, lab->id);
    } else {
        arguments[count++] = cli_format("--out=%s/results", cli_source());
        arguments[count++] = cli_format("--trace");
    }
    char *before = newest_folder();
    const int code = cli_run_of(lab, (int)count, arguments, NULL, "demo --full");
    if (!run->folder)
        run->folder = newer_folder(before);
    free(before);
    for (size_t i = kept; i < count; i++)
        free(arguments[i]);
    return code;
}

static void learn_device(const cli_lab *lab, full_run *run)
{
    char *path = run->folder ? cli_format("%s/%s.json", run->folder, lab->id) : NULL;
    cli_result result;
    if (path && cli_exists(path) && cli_result_load(&result, path) == PK_OK) {
        run->is_on_gpu = !cli_is_cpu_device(&result);
        cli_result_free(&result);
    }
    free(path);
}

/* What somebody else's program takes for the lab's problem: PROGRAM writes FOLDER/labNN-NAME.json. Its path, or NULL
 * where it did not write one; that it lacks something is no failure. */
static char *measure_peer(full_run *run, const char *program, const char *file)
{
    const char *own = getenv("PK_LAB_PYTHON");
    char *path = cli_format("%s/%s.json", run->folder, file), *json = cli_format("--json=%s", path);
    char *python = cli_format("%s", own && *own ? own : "python3"), *script = cli_format("%s", program),
         quick[] = "--quick";
    char *arguments[] = {python, script, json, run->is_quick ? quick : NULL, NULL};
    cli_say(2, "Beside it: %s", cli_relative(program));
    const int code = cli_run(arguments);
    if (code == pk_exit_code(PK_SKIP))
        cli_say(2, "  left out: it cannot run here");
    else
        run->worst = demo_code(run->worst, code);
    if (!cli_exists(path)) {
        free(path);
        path = NULL;
    }
    free(script);
    free(python);
    free(json);
    return path;
}

/* The programs that the build knows of (common/cmake/PkPeer.cmake): peers/lab02-triton.txt holds the path of one. They
 * measure GPUs. The last one's file, or NULL. */
static char *measure_peers(const cli_lab *lab, full_run *run)
{
    char *known = cli_format("%s/peers", cli_build()), *prefix = cli_format("%s-", lab->id), *file = NULL;
    cli_names names = cli_list_folder(known, prefix, ".txt");
    for (size_t i = 0; i < names.count && run->folder && run->is_on_gpu; i++) {
        char *path = cli_format("%s/%s", known, names.names[i]), *program = cli_read_file(path);
        names.names[i][strlen(names.names[i]) - strlen(".txt")] = '\0';
        if (program) {
            program[strcspn(program, "\r\n")] = '\0';
            free(file);
            file = measure_peer(run, program, names.names[i]);
        }
        free(program);
        free(path);
    }
    if (names.count && !run->is_on_gpu)
        cli_say(2, "Beside it: nothing, for other programs measure a GPU");
    cli_names_free(&names);
    free(prefix);
    free(known);
    return file;
}

static bool goes_on(const full_run *run)
{
    return run->worst != pk_exit_code(PK_INTERRUPTED);
}

/* Others are measured before the lab, whose targets may be against them; the first lab tells on which device. */
static void run_in_full(const cli_lab *lab, full_run *run)
{
    cli_say(2, "Lab %s: %s", lab->number, lab->title);
    char *peer = run->folder ? measure_peers(lab, run) : NULL;
    const bool is_first = !run->folder;
    if (goes_on(run))
        run->worst = demo_code(run->worst, measure(lab, run, peer));
    if (is_first) {
        learn_device(lab, run);
        free(peer);
        peer = goes_on(run) && run->folder ? measure_peers(lab, run) : NULL;
    }
    free(peer);
}

/* Into the folder, with its figure, and what models make of it. */
static void calibrate(full_run *run)
{
    char *program = cli_format("%s/bin/pk_calibrate", cli_build());
    char *file = cli_format("%s/" CLI_CALIBRATION_FILE, run->folder), *json = cli_format("--json=%s", file);
    char *out = cli_format("--out=%s", run->folder), quick[] = "--quick", command[] = "calibrate";
    char *arguments[] = {program, json, run->is_quick ? quick : NULL, NULL}, *shown[] = {command, file, out, NULL};
    char predict[] = "predict", *predicted[] = {predict, run->folder, out, NULL};
    if (access(program, X_OK) == 0) {
        cli_say(2, "What the machine can do:");
        const int code = cli_run(arguments);
        run->worst = demo_code(run->worst, code);
        if (code == 0)
            run->worst = demo_code(run->worst, cmd_calibrate(3, shown));
        if (code == 0)
            run->worst = demo_code(run->worst, cmd_predict(3, predicted));
    }
    free(out);
    free(json);
    free(file);
    free(program);
}

static void write_report(full_run *run)
{
    const char *words[] = {run->folder};
    char *shown = cli_shell_word(cli_relative(run->folder));
    char *command = cli_format("./lab report %s --out=%s", shown, shown);
    const report_wanted wanted = {.html = true, .markdown = true, .folder = run->folder, .command = command};
    report_files files = {NULL, {NULL, 0}, 0};
    pk_status status = cli_result_groups(words, 1, &files.groups);
    for (size_t i = 0; i < files.groups.count && status == PK_OK; i++)
        status = report_add_group(&files, &files.groups.groups[i]);
    if (status == PK_OK)
        status = report_write(&files, &wanted);
    if (status != PK_OK)
        run->worst = demo_code(run->worst, cli_failed(status));
    report_free_files(&files);
    free(command);
    free(shown);
}

static int demonstrate_in_full(const cli_labs *labs, const char *const *words, size_t word_count, bool is_quick)
{
    full_run run = {.is_quick = is_quick};
    for (size_t i = 0; i < word_count; i++)
        if (!cli_lab_named(labs, words[i]))
            return cli_failed(PK_USAGE);
    for (size_t i = 0; i < (word_count ? word_count : labs->count) && goes_on(&run); i++)
        run_in_full(word_count ? cli_lab_named(labs, words[i]) : &labs->labs[i], &run);
    if (run.folder && goes_on(&run))
        calibrate(&run);
    if (run.folder && goes_on(&run)) {
        draw_figures(run.folder);
        write_report(&run);
        cli_say(0,
                "Results are in %s\nNext: read its report.html; what is stored in docs/results has a page by ./lab "
                "index",
                cli_relative(run.folder));
    }
    free(run.folder);
    return run.worst;
}

/* ---- the command ---- */

bool cli_demo_is_full(int argc, char **argv)
{
    bool is_full = false;
    for (int i = 1; i < argc; i++)
        is_full |= !strcmp(argv[i], "--full");
    return is_full;
}

static int demonstrate_all(const cli_labs *labs)
{
    char *folder = NULL;
    int worst = 0;
    for (size_t i = 0; i < labs->count && worst != pk_exit_code(PK_INTERRUPTED); i++)
        worst = demo_code(worst, demonstrate(&labs->labs[i], &folder));
    if (worst != pk_exit_code(PK_INTERRUPTED))
        worst = demo_code(worst, cli_demonstrate_text(labs));
    if (folder && worst != pk_exit_code(PK_INTERRUPTED)) {
        draw_figures(folder);
        cli_say(0, "Results are in %s\nNext: ./lab status, and README.md", cli_relative(folder));
    }
    free(folder);
    return worst;
}

int cmd_demo(int argc, char **argv)
{
    const char *words[CLI_MOST_FILES];
    bool is_full = false, is_quick = false;
    cli_option options[] = {{"--full", NULL, &is_full}, {"--quick", NULL, &is_quick}};
    size_t count;
    pk_status status = cli_parse(argc, argv, options, PK_COUNT(options), words, CLI_MOST_FILES, &count);
    if (status == PK_OK && !is_full && (count || is_quick))
        status = pk_fail(PK_USAGE, "demo: '%s' is for ./lab demo --full", count ? words[0] : "--quick");
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    const int code = is_full ? demonstrate_in_full(&labs, words, count, is_quick) : demonstrate_all(&labs);
    cli_labs_free(&labs);
    return code;
}
