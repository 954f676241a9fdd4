/* `doctor`: what this build runs on, why the other backends are not used, what is installed, and how to mend it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cli_config.h"
#include "pk/host.h"

/* ---- looking around ---- */

/* The version number in the first line of `program option` that has one ("12.2", "13.0.48"), or NULL. */
static char *version_of(const char *program, const char *option, const char *after)
{
    char *arguments[] = {(char *)program, (char *)option, NULL}, *output = NULL, *version = NULL;
    if (cli_capture(arguments, &output) == 0) {
        const char *from = strstr(output, after);
        for (from = from ? from + strlen(after) : output; *from && !version; from++) {
            size_t length = strspn(from, "0123456789.");
            if (isdigit((unsigned char)*from) && memchr(from, '.', length))
                version = cli_copy(from, length);
        }
    }
    free(output);
    return version;
}

static char *find_tool(const char *name, const char *elsewhere)
{
    char *path = cli_find_program(name);
    if (!path && elsewhere && access(elsewhere, X_OK) == 0)
        path = cli_copy(elsewhere, strlen(elsewhere));
    return path;
}

static int major_of(const char *version)
{
    return version ? atoi(version) : 0;
}

/* ---- backends ---- */

typedef struct nvidia {
    char *smi, *nvcc, *toolkit, *driver_cuda;
    bool gpu;
} nvidia;

static nvidia look_for_nvidia(void)
{
    nvidia found = {0};
    found.smi = find_tool("nvidia-smi", NULL);
    found.nvcc = find_tool("nvcc", "/usr/local/cuda/bin/nvcc");
    if (found.nvcc)
        found.toolkit = version_of(found.nvcc, "--version", "release ");
    if (found.smi) {
        char *arguments[] = {found.smi, "-L", NULL}, *output = NULL;
        found.gpu = cli_capture(arguments, &output) == 0 && strstr(output, "GPU 0");
        found.driver_cuda = found.gpu ? version_of(found.smi, "-q", "CUDA Version") : NULL;
        free(output);
    }
    return found;
}

static void forget_nvidia(nvidia *found)
{
    free(found->smi);
    free(found->nvcc);
    free(found->toolkit);
    free(found->driver_cuda);
}

typedef struct finding {
    const char *state, *reason, *fix;
} finding;

static finding judge_cuda(const nvidia *found)
{
    if (!found->smi)
        return (finding){"no", "no NVIDIA driver (nvidia-smi is not on PATH)",
                         "install NVIDIA's driver, if a GPU is here"};
    if (!found->gpu)
        return (finding){"no", "a driver, but no device (nvidia-smi -L fails)",
                         "run nvidia-smi -L and mend what it says; in a container start it with --gpus all"};
    if (!found->nvcc)
        return (finding){"no", "a GPU, but no compiler (nvcc)",
                         "install the CUDA toolkit 12.4 to 13, or put its bin folder on PATH"};
    if (found->driver_cuda && major_of(found->driver_cuda) < major_of(found->toolkit))
        return (finding){"no", "the driver is older than the toolkit", "update the driver, or use an older toolkit"};
    return (finding){"yes", "a GPU, its driver and nvcc are here", "./lab --backend=cuda demo"};
}

static finding judge_hip(void)
{
    char *hipcc = find_tool("hipcc", "/opt/rocm/bin/hipcc");
    bool compiler = hipcc != NULL;
    free(hipcc);
    if (!cli_exists("/dev/kfd"))
        return (finding){"no",
                         compiler ? "no AMD GPU (/dev/kfd); hipcc is here, so it can be compiled"
                                  : "no AMD GPU (/dev/kfd), no compiler (hipcc)",
                         "install ROCm's driver (amdgpu-dkms), if an AMD GPU is here"};
    if (access("/dev/kfd", R_OK | W_OK) != 0)
        return (finding){"no", "an AMD GPU, but no permission to use /dev/kfd",
                         "sudo usermod -aG render,video $USER, then log in again"};
    if (!compiler)
        return (finding){"no", "an AMD GPU, but no compiler (hipcc)", "install ROCm 5.2 to 7 (docs/amd.md)"};
    return (finding){"yes", "an AMD GPU and hipcc are here", "./lab --backend=hip demo"};
}

static finding judge_hip_nvidia(const nvidia *found)
{
    finding cuda = judge_cuda(found);
    if (strcmp(cuda.state, "yes") != 0)
        return cuda;
    if (!cli_exists("/usr/include/hip/hip_runtime.h") && !cli_exists("/opt/rocm/include/hip/hip_runtime.h"))
        return (finding){"no", "no HIP headers", "apt-get install --no-install-recommends libamdhip64-dev"};
    return (finding){"yes", "an NVIDIA GPU, nvcc and HIP's headers are here", "./lab --backend=hip-nvidia demo"};
}

static finding judge_cpu(void)
{
    if (!cli_exists("/usr/include/boost/context/detail/fcontext.hpp") &&
        !cli_exists("/usr/local/include/boost/context/detail/fcontext.hpp"))
        return (finding){"yes", "threads and fibers, by ucontext: faster with libboost-context-dev",
                         "./lab --backend=cpu demo"};
    return (finding){"yes", "always there: kernels run on threads and fibers", "./lab --backend=cpu demo"};
}

static void print_finding(const char *name, finding found)
{
    bool used = !strcmp(name, PK_CLI_BACKEND);
    enum { COLUMN = 19, FIX = 5 }; /* where the reason begins; "fix: " */
    cli_say(COLUMN, "  %-11s %-4s %s%s", name, found.state, found.reason, used ? " (this build)" : "");
    if (!used)
        cli_say(COLUMN + FIX, "%*s%s: %s", COLUMN, "", strcmp(found.state, "yes") ? "fix" : "use", found.fix);
}

static void print_backends(void)
{
    nvidia found = look_for_nvidia();
    puts("Backends");
    print_finding("cuda", judge_cuda(&found));
    print_finding("hip", judge_hip());
    print_finding("hip-nvidia", judge_hip_nvidia(&found));
    print_finding("cpu", judge_cpu());
    if (found.driver_cuda && found.toolkit)
        cli_say(4, "  CUDA: the driver runs up to %s, the toolkit is %s", found.driver_cuda, found.toolkit);
    forget_nvidia(&found);
    putchar('\n');
}

/* ---- the device of this build ---- */

/* pk_probe prints "key=value" lines of the device, or ends with 77 and one line that says why there is none. */
static int print_device(void)
{
    char *program = cli_format("%s/bin/pk_probe", cli_build());
    char *arguments[] = {program, NULL}, *output = NULL, *rest = NULL;
    int code = cli_exists(program) ? cli_capture(arguments, &output) : -1;
    enum { COLUMN = 27 }; /* where a value begins */
    cli_say(4, "Device of this build (backend %s: %s)", PK_CLI_BACKEND, PK_CLI_BACKEND_WHY);
    if (code < 0) {
        cli_say(4, "  not known: %s is not built\n  fix: cmake --build %s", program, cli_build());
        code = pk_exit_code(PK_USAGE);
    }
    for (char *line = output ? strtok_r(output, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        char *value = code == 0 ? strchr(line, '=') : NULL;
        if (value)
            cli_say(COLUMN, "  %-24.*s %s", (int)(value - line), line, value + 1);
        else
            cli_say(4, "  %s", line);
    }
    if (code != 0 && strcmp(PK_CLI_BACKEND, "cpu") != 0)
        puts("  without a GPU: ./lab --backend=cpu demo");
    putchar('\n');
    free(output);
    free(program);
    return code;
}

/* ---- tools ---- */

typedef struct tool {
    const char *name, *option, *elsewhere;
    const char *without, *fix; /* NULL: it is needed, and was there when this was built */
} tool;

static const tool tools[] = {
    {"cc", "-dumpfullversion", NULL, NULL, NULL},
    {"c++", "-dumpfullversion", NULL, NULL, NULL},
    {"cmake", "--version", NULL, NULL, NULL},
    {"ninja", "--version", NULL, "builds with make, slower", "ninja-build"},
    {"gnuplot", "--version", NULL, "no figures", "gnuplot-nox"},
    {"git", "--version", NULL, "results do not name their commit, no reset", "git"},
    {"python3", "--version", NULL, "result files go unchecked", "python3-jsonschema"},
    {"nvcc", "--version", "/usr/local/cuda/bin/nvcc", "no CUDA backend", NULL},
    {"hipcc", "--version", "/opt/rocm/bin/hipcc", "no HIP backend", NULL},
    {"nsys", "--version", "/usr/local/cuda/bin/nsys", "no timeline of a run", NULL},
    {"ncu", "--version", "/usr/local/cuda/bin/ncu", "no profile of a kernel", NULL},
    {"compute-sanitizer", "--version", "/usr/local/cuda/bin/compute-sanitizer", "no memory check on a GPU", NULL},
};

static void add_tool(pk_table *table, const tool *wanted)
{
    char *path = find_tool(wanted->name, wanted->elsewhere);
    char *version = path ? version_of(path, wanted->option, !strcmp(wanted->name, "nvcc") ? "release " : "\1") : NULL;
    char *fix = !path && wanted->fix ? cli_format("%s; apt-get install %s", wanted->without, wanted->fix) : NULL;
    const char *note = path ? path : fix ? fix : wanted->without ? wanted->without : "not on PATH now";
    pk_table_row(table, (const char *[]){wanted->name, path ? version ? version : "here" : "missing", note});
    free(fix);
    free(version);
    free(path);
}

static void add_header(pk_table *table, const char *name, const char *path, const char *without)
{
    bool here = cli_exists(path);
    pk_table_row(table, (const char *[]){name, here ? "here" : "missing", here ? path : without});
}

static void add_jsonschema(pk_table *table)
{
    char *arguments[] = {"python3", "-c", "import jsonschema", NULL}, *output = NULL;
    bool here = cli_capture(arguments, &output) == 0;
    free(output);
    pk_table_row(table,
                 (const char *[]){"jsonschema", here ? "here" : "missing",
                                  here ? "a module of python3" : "no checks; apt-get install python3-jsonschema"});
}

static void print_tools(void)
{
    pk_table *table = pk_table_new(3, 0);
    pk_table_row(table, (const char *[]){"tool", "version", "where, or what is lost without it"});
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
        add_tool(table, &tools[i]);
    add_header(table, "Criterion", "/usr/include/criterion/criterion.h",
               "no unit tests; apt-get install libcriterion-dev");
    add_jsonschema(table);
    add_header(table, "cJSON", "/usr/include/cjson/cJSON.h", "CMake builds it; apt-get install libcjson-dev");
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    cli_say(2, "\nThis build: C %s, C++ %s, %s, %s, in %s", PK_CLI_C_COMPILER, PK_CLI_CXX_COMPILER, PK_CLI_BUILD_TYPE,
            PK_CLI_GENERATOR, cli_build());
}

int cmd_doctor(int argc, char **argv)
{
    size_t words;
    pk_status status = cli_parse(argc, argv, NULL, 0, NULL, 0, &words);
    if (status != PK_OK)
        return cli_failed(status);
    int code = print_device();
    print_backends();
    print_tools();
    return code;
}
