/* `asm`: what the compiler makes of a kernel, beside its lines: PTX, machine code, registers, shared memory and spills
 * on CUDA; machine code and the same numbers on HIP; the host's machine code on the CPU device. The kernel's file is
 * compiled once more, by the command that the build has for it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asm_text.h"
#include "cli.h"
#include "cli_config.h"
#include "json_read.h"
#include "pk/host.h"
#include "quote.h"

typedef struct asm_request {
    const cli_lab *lab;
    const char *kernel, *role;
    char *folder; /* for what is compiled, removed at the end */
    bool found;
} asm_request;

/* ---- kernels in sources ---- */

static size_t name_length(const char *name)
{
    size_t length = 0;
    while (isalnum((unsigned char)name[length]) || name[length] == '_')
        length++;
    return length;
}

/* The name of the kernel that is declared behind a __global__, in new memory; NULL where none is. */
static char *kernel_name(const char *behind)
{
    static const char bounds[] = "__launch_bounds__";
    const char *name = strstr(behind, "void ");
    if (!name || (size_t)(name - behind) > strcspn(behind, ";{"))
        return NULL;
    name += strlen("void ");
    if (!strncmp(name, bounds, strlen(bounds))) {
        name += strcspn(name, ")");
        name += strspn(name, ") \n");
    }
    const size_t length = name_length(name);
    return length && name[length] == '(' ? cli_copy(name, length) : NULL;
}

static void add_kernels(cli_names *kernels, const char *source)
{
    for (const char *at = strstr(source, "__global__"); at; at = strstr(at + 1, "__global__")) {
        char *name = kernel_name(at + strlen("__global__"));
        if (name && !cli_names_has(kernels, name))
            cli_names_add(kernels, name);
        free(name);
    }
}

/* Those of the lab's folder, and of the file. */
static cli_names kernels_of(const cli_lab *lab, const char *file)
{
    static const char *const endings[] = {".cuh", ".cu"};
    cli_names kernels = {NULL, 0};
    char *source = file ? cli_read_file(file) : NULL;
    if (source)
        add_kernels(&kernels, source);
    free(source);
    char *folder = cli_format("%s/labs/%s", cli_source(), lab->name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0] && !file; i++) {
        cli_names files = cli_list_folder(folder, "", endings[i]);
        for (size_t j = 0; j < files.count; j++) {
            char *path = cli_format("%s/%s", folder, files.names[j]);
            source = cli_read_file(path);
            if (source && strncmp(files.names[j], "mistakes", strlen("mistakes")) != 0)
                add_kernels(&kernels, source);
            free(source);
            free(path);
        }
        cli_names_free(&files);
    }
    free(folder);
    return kernels;
}

static pk_status unknown_kernel(const asm_request *asked)
{
    cli_names kernels = kernels_of(asked->lab, NULL);
    const char *nearest = pk_nearest(asked->kernel, (const char *const *)kernels.names, kernels.count);
    char *all = cli_copy("", 0);
    for (size_t i = 0; i < kernels.count; i++) {
        char *longer = cli_format("%s%s%s", all, i ? ", " : "", kernels.names[i]);
        free(all);
        all = longer;
    }
    const bool is_there = cli_names_has(&kernels, asked->kernel);
    const pk_status status =
        is_there ? pk_fail(PK_USAGE, "kernel '%s' is not in %s_%s: nothing launches it there; --solution, --baseline?",
                           asked->kernel, asked->lab->id, asked->role)
        : nearest
            ? pk_fail(PK_USAGE, "%s has no kernel '%s'; did you mean '%s'?", asked->lab->id, asked->kernel, nearest)
            : pk_fail(PK_USAGE, "%s has no kernel '%s'; it has %s", asked->lab->id, asked->kernel, all);
    free(all);
    cli_names_free(&kernels);
    return status;
}

/* ---- compiling ---- */

/* The command without the words that begin so; `words` of them for each, 2 for "-o file". */
static void drop_words(char *command, const char *begin, int words)
{
    char *at;
    while ((at = strstr(command, begin)) != NULL) {
        char *end = at + 1;
        for (int i = 0; i < words; i++) {
            end += strcspn(end, " ");
            end += *end == ' ' && i + 1 < words;
        }
        memmove(at, end, strlen(end) + 1);
    }
}

/* The newest architecture that the command makes machine code for: "sm_90". */
static void newest_arch(const char *command, char arch[16])
{
    long newest = 0;
    snprintf(arch, 16, "sm_80");
    for (const char *at = strstr(command, "sm_"); at; at = strstr(at + 1, "sm_")) {
        const long number = strtol(at + strlen("sm_"), NULL, 10); /* "code=[compute_90,sm_90]", "code=[sm_90a]" */
        if (at > command && strchr("[,", at[-1]) && number >= newest) {
            newest = number;
            snprintf(arch, 16, "%.*s", (int)strcspn(at, "],"), at);
        }
    }
}

/* In the build's folder; what the compiler said is in *output. */
static bool compile(const char *directory, const char *command, const char *options, char **output)
{
    char *folder = cli_shell_word(directory), *line = cli_format("cd %s && %s %s", folder, command, options);
    char *arguments[] = {"sh", "-c", line, NULL};
    const bool compiled = cli_capture(arguments, output) == 0;
    free(line);
    free(folder);
    return compiled;
}

/* ---- a file ---- */

static pk_status did_not_compile(const char *file, char *output)
{
    const pk_status status = pk_fail(PK_USAGE, "%s does not compile: %.*s", cli_relative(file),
                                     (int)strcspn(output ? output : "", "\n"), output ? output : "");
    free(output);
    return status;
}

/* nvcc's folder, where its toolkit has nvdisasm too; "." where the command names none. */
static char *folder_of_nvcc(const char *command)
{
    const char *nvcc = strstr(command, "/nvcc "), *begin = nvcc;
    while (begin && begin > command && begin[-1] != ' ')
        begin--;
    return begin ? cli_copy(begin, (size_t)(nvcc - begin)) : cli_copy(".", 1);
}

static void show_sass(asm_request *asked, const char *toolkit, const char *cubin, const char *arch)
{
    char *folder = cli_shell_word(toolkit), *listing = NULL;
    char *line = cli_format("PATH=$PATH:%s; command -v nvdisasm >/dev/null && exec nvdisasm -g -c %s", folder, cubin);
    char *arguments[] = {"sh", "-c", line, NULL};
    if (cli_capture(arguments, &listing) != 0)
        cli_say(
            2,
            "\nNo machine code of %s: there is no nvdisasm on PATH or beside nvcc that can read it. It is a part of "
            "the CUDA toolkit.",
            arch);
    else
        asm_print_sass(listing, asked->kernel, arch);
    free(listing);
    free(line);
    free(folder);
}

static pk_status show_nvidia(asm_request *asked, const char *directory, char *command, const char *file)
{
    char arch[16], *output = NULL, *said = NULL;
    newest_arch(command, arch);
    drop_words(command, " --generate-code", 1);
    char *ptx_path = cli_format("%s/a.ptx", asked->folder), *cubin = cli_format("%s/a.cubin", asked->folder);
    char *to_ptx = cli_format("-arch=%s -ptx -src-in-ptx -o %s", arch, ptx_path);
    char *to_cubin = cli_format("-arch=%s -cubin -Xptxas -v -o %s", arch, cubin);
    drop_words(command, " -c ", 1);
    pk_status status = PK_OK;
    if (!compile(directory, command, to_ptx, &output))
        status = did_not_compile(file, output);
    else {
        free(output);
        char *ptx = cli_read_file(ptx_path), *toolkit = folder_of_nvcc(command);
        if (compile(directory, command, to_cubin, &said) && ptx)
            asked->found = asm_print_ptx(ptx, said, asked->kernel, arch);
        if (asked->found)
            show_sass(asked, toolkit, cubin, arch);
        free(toolkit);
        free(said);
        free(ptx);
    }
    (void)unlink(ptx_path);
    (void)unlink(cubin);
    free(to_cubin);
    free(to_ptx);
    free(cubin);
    free(ptx_path);
    return status;
}

/* The compiler's own listing has lines, registers and spills, and needs neither a bundler nor a disassembler. Of
 * several architectures the last that the command names. */
static pk_status show_amd(asm_request *asked, const char *directory, char *command, const char *file)
{
    static const char option[] = " --offload-arch=";
    char arch[32] = "gfx90a", *output = NULL;
    for (const char *at = strstr(command, option); at; at = strstr(at + 1, option))
        (void)snprintf(arch, sizeof arch, "%.*s", (int)strcspn(at + strlen(option), " "), at + strlen(option));
    drop_words(command, option, 1);
    char *path = cli_format("%s/a.s", asked->folder);
    char *options = cli_format("--offload-arch=%s --cuda-device-only -S -gline-tables-only -o %s", arch, path);
    pk_status status = PK_OK;
    if (!compile(directory, command, options, &output)) {
        status = did_not_compile(file, output);
    } else {
        free(output);
        char *assembly = cli_read_file(path);
        asked->found = assembly && asm_print_amd(assembly, asked->kernel, arch);
        free(assembly);
    }
    (void)unlink(path);
    free(options);
    free(path);
    return status;
}

static pk_status show_host(asm_request *asked, const char *directory, char *command, const char *file)
{
    char *object = cli_format("%s/a.o", asked->folder), *options = cli_format("-g -o %s", object), *output = NULL;
    char *arguments[] = {"objdump", "-d", "-l", "-S", "-C", "--no-show-raw-insn", object, NULL};
    pk_status status = PK_OK;
    if (!compile(directory, command, options, &output)) {
        status = did_not_compile(file, output);
    } else {
        free(output);
        if (cli_capture(arguments, &output) == 0)
            asked->found = asm_print_host(output, asked->kernel);
        else
            status = pk_fail(PK_USAGE, "objdump is not there; install binutils");
        free(output);
    }
    (void)unlink(object);
    free(options);
    free(object);
    return status;
}

typedef pk_status show_unit(asm_request *asked, const char *directory, char *command, const char *file);

static const struct {
    const char *backend;
    show_unit *show;
} shown_by[] = {{"cpu", show_host}, {"cuda", show_nvidia}, {"hip-nvidia", show_nvidia}, {"hip", show_amd}};

static show_unit *show_here(void)
{
    size_t i = 0;
    while (i + 1 < sizeof shown_by / sizeof shown_by[0] && strcmp(shown_by[i].backend, PK_CLI_BACKEND) != 0)
        i++;
    return shown_by[i].show;
}

static pk_status show_file(asm_request *asked, const cJSON *unit)
{
    char *directory = cli_json_text(unit, "directory"), *file = cli_json_text(unit, "file");
    char *command = cli_json_text(unit, "command");
    drop_words(command, " -o ", 2);
    const pk_status status = show_here()(asked, directory, command, file);
    free(command);
    free(file);
    free(directory);
    return status;
}

/* ---- which file ---- */

/* Is the unit a .cu file of the lab's program? */
static bool is_of_program(const asm_request *asked, const cJSON *unit)
{
    char *command = cli_json_text(unit, "command"), *file = cli_json_text(unit, "file");
    char *folder = cli_format("/%s_%s.dir/", asked->lab->id, asked->role);
    const size_t length = strlen(file);
    const bool is = strstr(command, folder) && length > 3 && !strcmp(file + length - 3, ".cu");
    free(folder);
    free(file);
    free(command);
    return is;
}

static bool defines_kernel(const asm_request *asked, const cJSON *unit)
{
    char *file = cli_json_text(unit, "file");
    cli_names kernels = kernels_of(asked->lab, file);
    const bool defines = cli_names_has(&kernels, asked->kernel);
    cli_names_free(&kernels);
    free(file);
    return defines;
}

/* The files that define it first: one from a header may be in any. */
static pk_status show_program(asm_request *asked, const cJSON *units)
{
    pk_status status = PK_OK;
    const cJSON *unit;
    for (int defining = 1; defining >= 0 && !asked->found && status == PK_OK; defining--) {
        cJSON_ArrayForEach(unit, units)
        {
            if (status == PK_OK && !asked->found && is_of_program(asked, unit) &&
                defines_kernel(asked, unit) == (defining == 1))
                status = show_file(asked, unit);
        }
    }
    return status == PK_OK && !asked->found ? unknown_kernel(asked) : status;
}

static pk_status show_kernel(asm_request *asked)
{
    char *path = cli_format("%s/compile_commands.json", cli_build()), *root = getenv("TMPDIR");
    char *folder = cli_format("%s/lab-asm-XXXXXX", root && *root ? root : "/tmp");
    cli_names kernels = kernels_of(asked->lab, NULL);
    pk_status status = PK_OK;
    if (!cli_names_has(&kernels, asked->kernel))
        status = unknown_kernel(asked); /* and nothing is compiled for it */
    else if (!mkdtemp(folder))
        status = pk_fail(PK_USAGE, "no folder %s can be made; check TMPDIR", folder);
    else {
        cJSON *units = cli_json_load(path);
        asked->folder = folder;
        status = units ? show_program(asked, units) : PK_USAGE;
        cJSON_Delete(units);
        (void)rmdir(folder);
    }
    cli_names_free(&kernels);
    free(folder);
    free(path);
    return status;
}

int cmd_asm(int argc, char **argv)
{
    const char *word[2] = {NULL, NULL};
    bool solution = false, baseline = false;
    cli_option options[] = {{"--solution", NULL, &solution}, {"--baseline", NULL, &baseline}};
    size_t words;
    pk_status status = cli_parse(argc, argv, options, 2, word, 2, &words);
    if (status == PK_OK && words < 2)
        status = pk_fail(PK_USAGE, "asm needs a lab and a kernel's name: ./lab asm 01 axpy_step");
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    asm_request asked = {.lab = cli_lab_named(&labs, word[0]),
                         .kernel = word[1],
                         .role = solution   ? "solution"
                                 : baseline ? "baseline"
                                            : "optimized"};
    status = asked.lab ? show_kernel(&asked) : PK_USAGE;
    cli_labs_free(&labs);
    return status == PK_OK ? 0 : cli_failed(status);
}
