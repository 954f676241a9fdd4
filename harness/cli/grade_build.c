/* The program of a submission: built by the build folder's own rules, which compile its files alone anew, and looked at
 * before it runs. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "grade.h"
#include "grade_source.h"
#include "object_file.h"
#include "pk/confine.h"
#include "pk/host.h"
#include "pk/result.h"
#include "quote.h"

/* Of a build: a file that a compiler writes, what it says, the address space of one of its processes (CUDA's compiler
 * takes the most, about 1 GB), and how many of them there are at once, to which each processor adds a few: one job is a
 * shell, a cache, a compiler's driver, a compiler, an assembler. */
enum {
    BUILD_S = 300,
    MOST_FILE = 1 << 28,
    MOST_SAID = 1 << 22,
    MOST_MEMORY_MB = 4096,
    MOST_PROCESSES = 64,
    MORE_PROCESSES = 8
};

static pk_status fail(grade_lab *graded, const char *status)
{
    graded->status = status;
    free(graded->reason);
    graded->reason = cli_plain(pk_error_text());
    return PK_OK;
}

/* ---- the build ---- */

/* A file of the same text is left alone, and so is what was compiled of it. */
static pk_status put_file(const char *folder, const char *file, const char *text)
{
    char *path = cli_format("%s/%s", folder, file), *there = cli_read_file(path);
    const pk_status status = there && !strcmp(there, text) ? PK_OK : pk_write_file(path, text, strlen(text));
    free(there);
    free(path);
    return status;
}

static pk_status put_files(const grade_lab *graded, const char *folder)
{
    cli_names files = cli_lab_files(graded->lab);
    pk_status status = PK_OK;
    for (size_t i = 0; i < files.count && status == PK_OK; i++)
        status = put_file(folder, files.names[i], graded->texts[i]);
    cli_names_free(&files);
    return status;
}

/* The first line of the log that says what is wrong with the submission's files. */
static char *first_error(const char *log)
{
    char *text = cli_read_file(log), *found = NULL;
    bool is_memory = false;
    for (char *line = text ? strtok(text, "\n") : NULL; line && !found; line = strtok(NULL, "\n")) {
        const char *source = strstr(line, "grade/source/"), *error = source ? strstr(source, "error") : NULL;
        if (error && !strstr(line, " -c ")) /* no command */
            found = cli_plain(source + strlen("grade/source/"));
        is_memory = is_memory || strstr(line, "out of memory") || strstr(line, "annot allocate memory");
    }
    free(text);
    if (!found && is_memory)
        return cli_format("its compiler takes more than %d MB of memory", MOST_MEMORY_MB);
    return found ? found : cli_copy("the log says why", strlen("the log says why"));
}

/* Until it has ended, or has had its time, or says too much. */
static pk_status watch_build(const pk_confined *build, int output, double seconds)
{
    const double turn_s = 0.1;
    struct stat said;
    const double until_us = pk_now_us() + seconds * 1e6;
    while (!pk_confined_ends(build, turn_s)) {
        if (fstat(output, &said) == 0 && said.st_size > MOST_SAID)
            return pk_fail(PK_WRONG, "its build says more than %d MB", MOST_SAID >> 20);
        if (pk_now_us() > until_us)
            return pk_fail(PK_WRONG, "it does not build within %g s", seconds);
    }
    return PK_OK;
}

static pk_status run_build(const cli_lab *lab, const char *log, double seconds)
{
    char *cmake = cli_find_program("cmake"), *folder = cli_copy(cli_build(), strlen(cli_build()));
    char *target = cli_format("%s_graded", lab->id);
    if (!cmake) {
        free(folder);
        free(target);
        return pk_fail(PK_FAULT, "no cmake on PATH: ./lab doctor says what is missing");
    }
    char *arguments[] = {cmake, "--build", folder, "--target", target, NULL};
    const unsigned processes = MOST_PROCESSES + MORE_PROCESSES * (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    const pk_confinement limits = {.cpu_s = BUILD_S,
                                   .memory_bytes = (size_t)MOST_MEMORY_MB << 20,
                                   .file_bytes = MOST_FILE,
                                   .processes = processes,
                                   .writes_files = true};
    pk_confined build;
    const int output = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    pk_status status = output >= 0 ? pk_confined_start(&build, &limits, arguments, output, NULL, 0)
                                   : pk_fail(PK_FAULT, "%s: cannot write: %s", log, strerror(errno));
    if (status == PK_OK) {
        status = watch_build(&build, output, fmin(seconds, (double)BUILD_S));
        if (status != PK_OK)
            pk_confined_kill(&build);
        const int end = pk_confined_wait(&build);
        struct stat said;
        if (fstat(output, &said) == 0 && said.st_size > MOST_SAID)
            (void)!ftruncate(output, MOST_SAID); /* the rest tells nobody more */
        if (status == PK_OK && end == PK_CONFINED_CROWD)
            status = pk_fail(PK_WRONG, "its build has more than %u processes at once", processes);
        else if (status == PK_OK && end != 0) {
            char *error = first_error(log);
            status = pk_fail(PK_WRONG, "%s", error);
            free(error);
        }
    }
    if (output >= 0)
        close(output);
    free(cmake);
    free(folder);
    free(target);
    return status;
}

/* ---- what was compiled ---- */

/* What any file may use of the language's and C's libraries: nothing that ends a process, reads a clock, or reaches
 * beyond it. A name with a star stands for all that begin so. */
static const char *const harmless[] = {
    "_GLOBAL_OFFSET_TABLE_", "_Unwind_Resume", "__gxx_personality_v0", "__cxa_guard_*", "__cxa_pure_virtual",
    "__stack_chk_fail", "__assert_fail", "memcpy", "memmove", "memset", "memcmp", "strcmp", "strlen", "strncmp",
    "__memcpy_chk", "__memset_chk", "__memmove_chk", "malloc", "calloc", "free", "realloc", "_Znwm", "_Znam", "_ZdlPv",
    "_ZdlPvm", "_ZdaPv", "_ZdaPvm", "printf", "puts", "putchar", "__printf_chk", "snprintf", "__snprintf_chk", "abs",
    "qsort", "sqrtf", "sqrt", "expf", "exp", "exp2f", "exp2", "expm1f", "logf", "log", "log2f", "log1pf", "tanhf",
    "tanh", "erff", "powf", "pow", "fabsf", "fmaxf", "fminf", "fmaf", "fma", "floorf", "ceilf", "floor", "ceil",
    "roundf", "truncf", "rintf", "sinf", "cosf", "fmodf", "ldexpf",
    /* the runtime, but for launches and for functions of the host in a stream: those are held against the source */
    "cuda*", "__cuda*", "hip*", "__hip*", "_ZN17cooperative_groups*", "blockIdx", "blockDim", "gridDim", "threadIdx",
    "warpSize", "pk_cpu_*",
    /* what pk/lab.h and pk_gpu.h offer to variants */
    "pk_run_lab_data", "pk_run_stream", "pk_run_add_stream", "pk_run_add_urgent_stream", "pk_run_variant",
    "pk_run_variant_data", "pk_run_set_variant_data", "pk_run_device", "pk_run_phase", "pk_run_span", "pk_run_progress",
    "pk_knob_value", "pk_knob_number", "pk_token_done", "pk_token_latency", "pk_clock_us", "pk_todo", "pk_fail",
    "pk_error_text", "pk_out_of_memory", "pk_gpu_failed", "pk_launch_begin", "pk_launch_end", "pk_launch_replay_begin",
    "pk_range_push", "pk_range_pop"};

static bool is_harmless(const char *symbol)
{
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        const size_t length = strlen(harmless[i]);
        if (harmless[i][length - 1] == '*' ? !strncmp(symbol, harmless[i], length - 1) : !strcmp(symbol, harmless[i]))
            return true;
    }
    return false;
}

/* The paths in a list that the build wrote, a line each. */
static cli_names read_list(const char *lab, const char *name)
{
    char *path = cli_format("%s/grade/%s.%s", cli_build(), lab, name), *text = cli_read_file(path);
    cli_names list = {NULL, 0};
    for (char *line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n"))
        cli_names_add(&list, line);
    free(text);
    free(path);
    return list;
}

/* What the solution's and the baselines' objects define, need and run by themselves, together. */
static pk_status read_trusted(const char *lab, object_file *all)
{
    cli_names paths = read_list(lab, "trusted");
    pk_status status = paths.count ? PK_OK : pk_fail(PK_FAULT, "%s: the build has no list of its objects", lab);
    *all = (object_file){{NULL, 0}, {NULL, 0}, 0, 0};
    for (size_t i = 0; i < paths.count && status == PK_OK; i++) {
        object_file one;
        status = object_file_read(&one, paths.names[i]);
        if (status != PK_OK)
            break;
        for (size_t k = 0; k < one.defined.count; k++)
            cli_names_add(&all->defined, one.defined.names[k]);
        for (size_t k = 0; k < one.needed.count; k++)
            cli_names_add(&all->needed, one.needed.names[k]);
        all->begin_bytes = one.begin_bytes > all->begin_bytes ? one.begin_bytes : all->begin_bytes;
        all->end_bytes = one.end_bytes > all->end_bytes ? one.end_bytes : all->end_bytes;
        object_file_free(&one);
    }
    cli_names_free(&paths);
    return status;
}

/* ":12" where one of the texts has the word in line 12. */
static char *line_of(const grade_lab *graded, const char *word)
{
    size_t line = 0;
    for (size_t i = 0; graded->texts[i] && !line; i++)
        line = grade_line_of_word(graded->texts[i], word);
    return line ? cli_format(" (line %zu)", line) : cli_copy("", 0);
}

static pk_status check_object(const grade_lab *graded, const object_file *object, const object_file *trusted)
{
    pk_status status = PK_OK;
    if (object->begin_bytes > trusted->begin_bytes)
        status = pk_fail(PK_WRONG, "something in it runs before main: no step needs a constructor");
    if (object->end_bytes > trusted->end_bytes)
        status = pk_fail(PK_WRONG, "something in it runs after main: no step needs a destructor");
    for (size_t i = 0; i < object->defined.count && status == PK_OK; i++) {
        const char *name = object->defined.names[i];
        char *line = line_of(graded, name);
        if (!cli_names_has(&trusted->defined, name))
            status = pk_fail(PK_WRONG, "it defines '%s'%s for the whole program: make it static", name, line);
        free(line);
    }
    for (size_t i = 0; i < object->needed.count && status == PK_OK; i++) {
        const char *name = object->needed.names[i];
        char *line = line_of(graded, name);
        if (!cli_names_has(&trusted->needed, name) && !is_harmless(name))
            status = pk_fail(PK_WRONG,
                             "it uses '%s'%s, which is not among what a submission may use (docs/grading.md#names)",
                             name, line);
        free(line);
    }
    return status;
}

static pk_status check_objects(grade_lab *graded)
{
    object_file trusted;
    cli_names paths = read_list(graded->lab->id, "objects");
    pk_status status = read_trusted(graded->lab->id, &trusted), verdict = PK_OK;
    for (size_t i = 0; i < paths.count && status == PK_OK && verdict == PK_OK; i++) {
        object_file object;
        status = object_file_read(&object, paths.names[i]);
        if (status != PK_OK)
            break;
        verdict = check_object(graded, &object, &trusted);
        object_file_free(&object);
    }
    object_file_free(&trusted);
    cli_names_free(&paths);
    return verdict == PK_OK ? status : fail(graded, "refused");
}

/* ---- all of it ---- */

pk_status grade_build(const grade_run *run, grade_lab *graded, const char *folder, char **program)
{
    const char *lab = graded->lab->id;
    char *source = cli_format("%s/grade/source/%s", cli_build(), lab), *log = cli_format("%s/%s.log", folder, lab);
    char *built = cli_format("%s/bin/%s_graded", cli_build(), lab);
    *program = NULL;
    (void)unlink(built); /* or one of the submission before would be taken for this one's */
    pk_status status = put_files(graded, source);
    if (status == PK_OK) {
        status = run_build(graded->lab, log, run->time_s);
        if (status == PK_WRONG)
            status = fail(graded, "no build");
    }
    if (status == PK_OK && !strcmp(graded->status, "graded"))
        status = check_objects(graded);
    if (status == PK_OK && !strcmp(graded->status, "graded")) {
        *program = cli_format("%s/%s_graded", folder, lab);
        if (rename(built, *program) != 0)
            status = pk_fail(PK_FAULT, "%s: cannot move to %s: %s", built, folder, strerror(errno));
    }
    free(built);
    free(log);
    free(source);
    return status;
}
