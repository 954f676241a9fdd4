/* `profile`: a profiler on the kernels and counters that a lab is about, which its folder's profile.txt names. The
 * commands are lines for a shell, which --print prints and a run hands to sh as they are: what is shown is what is
 * done. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cli_config.h"
#include "pk/host.h"
#include "pk/result.h"
#include "quote.h"

/* ---- labs/labNN_name/profile.txt ---- */

typedef enum profile_key {
    VARIANTS,    /* --variant=: what is looked at; the first baseline runs besides */
    KERNEL,      /* of which counters are read: a regular expression of the device function's name */
    KERNEL_RUNS, /* --variant= where counters are read: no kernel that waits for the host while a profiler holds it */
    SKIP,        /* launches of the kernel before the one that is read */
    METRICS,     /* Nsight Compute's, besides those that every lab reads */
    AMD_KERNEL,  /* the same three on AMD, where they differ */
    AMD_RUNS,
    AMD_COUNTERS, /* such as one pass of the hardware counts */
    KEYS
} profile_key;

static const char *const key_names[KEYS] = {"variants", "kernel",     "kernel-variants", "skip",
                                            "metrics",  "amd-kernel", "amd-variants",    "amd-counters"};

typedef struct profile {
    char *values[KEYS]; /* "" where the file has none */
} profile;

static void profile_free(profile *p)
{
    for (size_t i = 0; i < KEYS; i++)
        free(p->values[i]);
}

/* "key words of its value". An empty line, or one that begins with #, says nothing. */
static pk_status read_line(profile *p, const char *path, size_t number, const char *line, size_t length)
{
    const size_t blanks = strspn(line, " \t"), word = strcspn(line + blanks, " \t\n");
    if (blanks >= length || line[blanks] == '#')
        return PK_OK;
    for (size_t i = 0; i < KEYS; i++) {
        if (strlen(key_names[i]) != word || strncmp(line + blanks, key_names[i], word) != 0)
            continue;
        const size_t at = blanks + word, skip = strspn(line + at, " \t");
        free(p->values[i]);
        p->values[i] = cli_copy(line + at + skip, length > at + skip ? length - at - skip : 0);
        return PK_OK;
    }
    return pk_fail(PK_USAGE, "%s:%zu: '%.*s' is no key of a profile; docs/adding-a-lab.md#profile has them",
                   cli_relative(path), number, (int)word, line + blanks);
}

static pk_status profile_read(profile *p, const cli_lab *lab)
{
    for (size_t i = 0; i < KEYS; i++)
        p->values[i] = cli_copy("", 0);
    char *path = cli_format("%s/labs/%s/profile.txt", cli_source(), lab->name), *text = cli_read_file(path);
    pk_status status = PK_OK;
    size_t number = 0;
    if (!text && errno != ENOENT)
        status = pk_fail(PK_USAGE, "%s cannot be read: %s", cli_relative(path), strerror(errno));
    for (const char *line = text; line && *line && status == PK_OK;) {
        const size_t length = strcspn(line, "\n");
        status = read_line(p, path, ++number, line, length);
        line += length + (line[length] == '\n');
    }
    free(text);
    free(path);
    return status;
}

/* ---- tools ---- */

typedef struct request {
    const cli_lab *lab;
    const char *role;
    char *words; /* what the program gets besides, each word quoted, with a blank before it */
    bool names_variants;
    profile profile;
} request;

typedef struct tool {
    const char *name;
    const char *backends; /* that it sees, between blanks */
    const char *install;
    void (*add_lines)(cli_names *lines, const request *r); /* the commands, in order */
} tool;

#define FOLDER "results/profile" /* below the source folder, where all lines run */

static const char *otherwise(const char *value, const char *other)
{
    return *value ? value : other;
}

static void add_line(cli_names *lines, char *line)
{
    cli_names_add(lines, line);
    free(line);
}

/* "build/auto/bin/lab04_optimized --no-timing --variant=launch,resident --n=4" */
static char *program(const request *r, const char *variants)
{
    char *path = cli_format("%s/bin/%s_%s", cli_build(), r->lab->id, r->role),
         *word = cli_shell_word(cli_relative(path));
    const bool some = *variants && !r->names_variants;
    char *line = cli_format("%s --no-timing%s%s%s", word, some ? " --variant=" : "", some ? variants : "", r->words);
    free(word);
    free(path);
    return line;
}

static void add_nsys(cli_names *lines, const request *r)
{
    char *command = program(r, r->profile.values[VARIANTS]);
    cli_names_add(lines, "mkdir -p " FOLDER);
    add_line(lines, cli_format("nsys profile --trace=cuda,nvtx --cuda-graph-trace=node --force-overwrite=true "
                               "--output=" FOLDER "/%s %s",
                               r->lab->id, command));
    add_line(lines,
             cli_format("nsys stats --report cuda_api_sum,cuda_gpu_kern_sum,cuda_kern_exec_sum " FOLDER "/%s.nsys-rep",
                        r->lab->id));
    free(command);
}

/* What every lab reads: how long, how many bytes of device memory, how near to its throughput, how many registers. */
#define METRICS_OF_ALL                                                                                                 \
    "gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum,"                                               \
    "dram__throughput.avg.pct_of_peak_sustained_elapsed,sm__warps_active.avg.pct_of_peak_sustained_active,"            \
    "launch__registers_per_thread"

static void add_ncu(cli_names *lines, const request *r)
{
    const profile *p = &r->profile;
    char *command = program(r, otherwise(p->values[KERNEL_RUNS], p->values[VARIANTS]));
    char *kernel = cli_format("regex:%s", otherwise(p->values[KERNEL], ".")), *word = cli_shell_word(kernel);
    add_line(lines, cli_format("ncu --kernel-name %s --launch-skip %s --launch-count 1 --section LaunchStats --section "
                               "Occupancy --section SpeedOfLight --metrics " METRICS_OF_ALL "%s%s %s",
                               word, otherwise(p->values[SKIP], "0"), *p->values[METRICS] ? "," : "",
                               p->values[METRICS], command));
    free(word);
    free(kernel);
    free(command);
}

/* One pass of the hardware counts them on every GPU that AMD's tools know. */
#define COUNTERS_OF_ALL "SQ_WAVES SQ_INSTS_VALU FETCH_SIZE"

static const char *amd_counters(const request *r)
{
    return otherwise(r->profile.values[AMD_COUNTERS], COUNTERS_OF_ALL);
}

static char *amd_program(const request *r)
{
    return program(r, otherwise(r->profile.values[AMD_RUNS], r->profile.values[VARIANTS]));
}

/* AMD's tools take a part of the name: the sign for a name's beginning is not one of it. */
static char *amd_kernel(const request *r)
{
    const char *kernel = otherwise(r->profile.values[AMD_KERNEL], otherwise(r->profile.values[KERNEL], "."));
    return cli_shell_word(kernel + (*kernel == '^'));
}

static void add_rocprofv3(cli_names *lines, const request *r)
{
    char *command = amd_program(r), *kernel = amd_kernel(r);
    add_line(lines,
             cli_format("rocprofv3 --hip-trace --kernel-trace --stats --output-format csv --output-directory " FOLDER
                        " --output-file %s -- %s",
                        r->lab->id, command));
    add_line(lines,
             cli_format("rocprofv3 --pmc %s --kernel-include-regex %s --output-format csv --output-directory " FOLDER
                        " --output-file %s-counters -- %s",
                        amd_counters(r), kernel, r->lab->id, command));
    free(kernel);
    free(command);
}

/* The older two read their counters from a file. */
static void add_counters_file(cli_names *lines, const request *r)
{
    cli_names_add(lines, "mkdir -p " FOLDER);
    add_line(lines, cli_format("echo 'pmc: %s' >" FOLDER "/%s-counters.txt", amd_counters(r), r->lab->id));
}

static void add_rocprofv2(cli_names *lines, const request *r)
{
    char *command = amd_program(r);
    add_counters_file(lines, r);
    add_line(lines,
             cli_format("rocprofv2 --hip-trace --kernel-trace --plugin file -d " FOLDER "/%s %s", r->lab->id, command));
    add_line(lines, cli_format("rocprofv2 -i " FOLDER "/%s-counters.txt --plugin file -d " FOLDER "/%s-counters %s",
                               r->lab->id, r->lab->id, command));
    free(command);
}

static void add_rocprof(cli_names *lines, const request *r)
{
    char *command = amd_program(r);
    add_counters_file(lines, r);
    add_line(lines, cli_format("rocprof --hip-trace --stats -o " FOLDER "/%s.csv %s", r->lab->id, command));
    add_line(lines, cli_format("rocprof -i " FOLDER "/%s-counters.txt -o " FOLDER "/%s-counters.csv %s", r->lab->id,
                               r->lab->id, command));
    free(command);
}

static void add_compute_profiler(cli_names *lines, const request *r, const char *name)
{
    char *command = amd_program(r), *kernel = amd_kernel(r);
    add_line(lines, cli_format("%s profile -n %s -k %s -- %s", name, r->lab->id, kernel, command));
    free(kernel);
    free(command);
}

static void add_rocprof_compute(cli_names *lines, const request *r)
{
    add_compute_profiler(lines, r, "rocprof-compute");
}

static void add_omniperf(cli_names *lines, const request *r)
{
    add_compute_profiler(lines, r, "omniperf");
}

/* "./lab", with the backend where the build folder is not the default's. */
static char *front_door(void)
{
    const char *slash = strrchr(cli_build(), '/'), *backend = slash ? slash + 1 : cli_build();
    return strcmp(backend, "auto") != 0 ? cli_format("./lab --backend=%s", backend) : cli_copy("./lab", 5);
}

static void add_trace(cli_names *lines, const request *r)
{
    char *lab = front_door();
    const char *variants = r->names_variants ? "" : r->profile.values[VARIANTS];
    const bool students = !strcmp(r->role, "optimized");
    add_line(lines, cli_format("%s run %s%s%s --no-timing --quick=auto%s%s%s --json=" FOLDER "/%s.json --trace=" FOLDER
                               "/%s-trace.json",
                               lab, r->lab->number, students ? "" : " --", students ? "" : r->role,
                               *variants ? " --variant=" : "", variants, r->words, r->lab->id, r->lab->id));
    add_line(lines, cli_format("%s plot " FOLDER "/%s.json", lab, r->lab->id));
    free(lab);
}

#define ROCM "install ROCm's package "

static const tool tools[] = {
    {"trace", NULL, NULL, add_trace},
    {"nsys", " cuda hip-nvidia ", "install Nsight Systems (the CUDA repository's package nsight-systems)", add_nsys},
    {"ncu", " cuda hip-nvidia ", "install Nsight Compute (the CUDA repository's package nsight-compute)", add_ncu},
    {"rocprofv3", " hip ", ROCM "rocprofiler-sdk (ROCm 6.2 and newer)", add_rocprofv3},
    {"rocprofv2", " hip ", ROCM "rocprofiler (ROCm 5.5 to 6)", add_rocprofv2},
    {"rocprof", " hip ", ROCM "rocprofiler; in ROCm 6.2 and newer rocprofiler-sdk, whose tool is rocprofv3",
     add_rocprof},
    {"rocprof-compute", " hip ", ROCM "rocprofiler-compute (ROCm 6.3 and newer)", add_rocprof_compute},
    {"omniperf", " hip ", ROCM "omniperf (ROCm 6.2); newer ones call it rocprof-compute", add_omniperf},
};
enum { TOOLS = sizeof tools / sizeof tools[0], NEWEST_ROCPROF = 3, OLDEST_ROCPROF = 5 };

static const tool *tool_named(const char *name)
{
    const char *names[TOOLS];
    for (size_t i = 0; i < TOOLS; i++) {
        if (!strcmp(tools[i].name, name))
            return &tools[i];
        names[i] = tools[i].name;
    }
    const char *nearest = pk_nearest(name, names, TOOLS);
    char *guess = nearest ? cli_format("did you mean '%s'? ", nearest) : cli_copy("", 0);
    (void)pk_fail(PK_USAGE,
                  "profile knows no tool '%s'; %sit knows trace, nsys, ncu, rocprof, rocprofv2, rocprofv3, "
                  "rocprof-compute and omniperf",
                  name, guess);
    free(guess);
    return NULL;
}

/* ---- is it there? ---- */

static const char *const tool_folders[] = {"/usr/local/cuda/bin", "/opt/rocm/bin"}; /* where installers put them */

static bool is_installed(const tool *t)
{
    char *path = cli_find_program(t->name);
    for (size_t i = 0; i < sizeof tool_folders / sizeof tool_folders[0] && !path; i++) {
        char *candidate = cli_format("%s/%s", tool_folders[i], t->name);
        if (access(candidate, X_OK) == 0)
            path = candidate;
        else
            free(candidate);
    }
    free(path);
    return path != NULL;
}

/* `rocprof` means whichever of the three is there, the newest first; the newest where none is. */
static const tool *that_is_there(const tool *asked)
{
    if (strcmp(asked->name, "rocprof") != 0)
        return asked;
    for (size_t i = NEWEST_ROCPROF; i <= OLDEST_ROCPROF; i++)
        if (is_installed(&tools[i]))
            return &tools[i];
    return &tools[NEWEST_ROCPROF];
}

static pk_status check_tool(const tool *t, const cli_lab *lab)
{
    char *backend = cli_format(" %s ", PK_CLI_BACKEND);
    pk_status status = PK_OK;
    if (t->backends && !is_installed(t))
        status =
            pk_fail(PK_USAGE, "%s is not on PATH: %s, or have a timeline without it: ./lab profile %s --tool=trace",
                    t->name, t->install, lab->number);
    else if (t->backends && !strstr(t->backends, backend))
        status = pk_fail(PK_USAGE,
                         "%s sees nothing of the backend %s: build for a GPU (./lab --backend=%.*s ...), or have a "
                         "timeline of this one: ./lab profile %s --tool=trace",
                         t->name, PK_CLI_BACKEND, (int)strcspn(t->backends + 1, " "), t->backends + 1, lab->number);
    free(backend);
    return status;
}

/* ---- the command ---- */

static void print_lines(const cli_names *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        puts(lines->names[i]);
}

/* The tools' usual folders at the end of PATH, so that the lines say their names alone. */
static void extend_path(void)
{
    const char *path = getenv("PATH");
    char *longer = cli_format("%s:%s:%s", path ? path : "/usr/bin:/bin", tool_folders[0], tool_folders[1]);
    (void)setenv("PATH", longer, 1);
    free(longer);
}

/* All lines, until one fails; its exit code. */
static int run_lines(const cli_names *lines)
{
    if (chdir(cli_source()) != 0)
        return cli_failed(pk_fail(PK_USAGE, "cannot go to %s: %s", cli_source(), strerror(errno)));
    extend_path();
    int code = 0;
    for (size_t i = 0; i < lines->count && code == 0; i++) {
        (void)printf("$ %s\n", lines->names[i]);
        char *line =
            cli_format("exec %s", lines->names[i]); /* the tool in place of the shell, for signals to reach it */
        char *arguments[] = {"/bin/sh", "-c", line, NULL};
        code = cli_run(arguments);
        free(line);
    }
    return code;
}

static int run_request(const request *r, const tool *t, bool only_print)
{
    cli_names lines = {NULL, 0};
    int code = 0;
    t->add_lines(&lines, r);
    const pk_status status = only_print ? PK_OK : check_tool(t, r->lab);
    if (status != PK_OK)
        code = cli_failed(status);
    else if (only_print)
        print_lines(&lines);
    else
        code = run_lines(&lines);
    if (code == 0 && !only_print)
        cli_say(2, "Next: docs/profiling.md says what to look for in lab %s, and thresholds", r->lab->number);
    cli_names_free(&lines);
    return code;
}

/* One word of the command line; *tool_name and *only_print are the command's own, all else is the program's. */
static void read_word(request *r, const char *word, const char *next, const char **tool_name, bool *only_print)
{
    const char *name = cli_value_of("--tool", word, next);
    if (name)
        *tool_name = name;
    else if (!strcmp(word, "--print"))
        *only_print = true;
    else if (!strcmp(word, "--solution") || !strcmp(word, "--baseline"))
        r->role = word + 2;
    else {
        char *quoted = cli_shell_word(word), *longer = cli_format("%s %s", r->words, quoted);
        free(quoted);
        free(r->words);
        r->words = longer;
        r->names_variants |= !strncmp(word, "--variant", strlen("--variant"));
    }
}

int cmd_profile(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-')
        return cli_failed(pk_fail(PK_USAGE, "profile needs a lab's number first: ./lab profile 01 --tool=nsys"));
    cli_labs labs = cli_find_labs();
    request r = {.lab = cli_lab_named(&labs, argv[1]), .role = "optimized", .words = cli_copy("", 0)};
    const char *tool_name = "trace";
    bool only_print = false;
    for (int i = 2; i < argc; i++) {
        read_word(&r, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &tool_name, &only_print);
        i += !strcmp(argv[i], "--tool"); /* its value is the next word */
    }
    const tool *asked = r.lab ? tool_named(tool_name) : NULL;
    int code = pk_exit_code(PK_USAGE);
    if (!asked || profile_read(&r.profile, r.lab) != PK_OK)
        (void)cli_failed(PK_USAGE);
    else
        code = run_request(&r, that_is_there(asked), only_print);
    profile_free(&r.profile);
    free(r.words);
    cli_labs_free(&labs);
    return code;
}
