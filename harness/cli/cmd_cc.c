/* `cc`: compile and link another's CUDA program for the CPU device. Files are compiled one by one, so that each has its
 * language's options, into a folder that is gone afterwards. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cc_source.h"
#include "cli.h"
#include "cli_config.h"
#include "pk/host.h"

#define HEADERS PK_CLI_SOURCE_FOLDER "/common/cpu/include"

/* Words of a command line, which it owns. */
typedef struct words {
    char **words; /* NULL at the end */
    size_t count;
} words;

typedef struct job {
    words files, compile, link; /* the last two: the caller's options for that step */
    char *std_c, *std_cpp;      /* "-std=c11", "-std=c++20" */
    char *output;               /* as given, or made from the first file's name */
    bool checked;
} job;

static void add_part(words *list, const char *word, size_t length)
{
    list->words = cli_grow(list->words, list->count + 2, sizeof *list->words);
    list->words[list->count++] = cli_copy(word, length);
    list->words[list->count] = NULL;
}

static void add(words *list, const char *word)
{
    add_part(list, word, strlen(word));
}

static void add_all(words *list, const words *more)
{
    for (size_t i = 0; i < more->count; i++)
        add(list, more->words[i]);
}

/* The options that CMake wrote down, with blanks between them. */
static void add_split(words *list, const char *options)
{
    for (const char *at = options + strspn(options, " "); *at; at += strspn(at, " ")) {
        const size_t length = strcspn(at, " ");
        add_part(list, at, length);
        at += length;
    }
}

static void free_words(words *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->words[i]);
    free(list->words);
}

static void free_job(job *from)
{
    free_words(&from->files);
    free_words(&from->compile);
    free_words(&from->link);
    free(from->output);
}

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- arguments ---- */

typedef struct passed_option {
    const char *name;
    enum { WITH_VALUE, JOINED, ALONE } form; /* -I DIR or -IDIR; -O3; -pthread */
    bool compile, link;                      /* which step gets it */
} passed_option;

static const passed_option passed_options[] = {
    {"-I", WITH_VALUE, true, false}, {"-D", WITH_VALUE, true, false}, {"-U", WITH_VALUE, true, false},
    {"-L", WITH_VALUE, false, true}, {"-l", WITH_VALUE, false, true}, {"-O", JOINED, true, true},
    {"-W", JOINED, true, true},      {"-w", ALONE, true, true},       {"-g", ALONE, true, true},
    {"-pthread", ALONE, true, true},
};

static const passed_option *passed_option_of(const char *word)
{
    if (!strcmp(word, "-lineinfo")) /* nvcc's, and no library */
        return NULL;
    for (size_t i = 0; i < sizeof passed_options / sizeof *passed_options; i++) {
        const passed_option *option = &passed_options[i];
        if (option->form == ALONE ? !strcmp(word, option->name) : begins(word, option->name))
            return option;
    }
    return NULL;
}

static pk_status unknown_option(const char *word)
{
    static const char *const own[] = {"--checked", "--help"};
    const char *nearest = begins(word, "--") ? pk_nearest(word, own, sizeof own / sizeof *own) : NULL;
    if (nearest)
        return pk_fail(PK_USAGE, "cc: unknown option '%s'; did you mean '%s'? see ./lab cc --help", word, nearest);
    return pk_fail(PK_USAGE, "cc: unknown option '%s'; leave out what is nvcc's own (see ./lab cc --help)", word);
}

static pk_status read_standard(job *to, char *word)
{
    static const char *const too_old[] = {"98", "03", "0x", "11", "14", "1y"};
    const char *plus = strstr(word, "++");
    if (!plus) {
        to->std_c = word;
        return PK_OK;
    }
    for (size_t i = 0; i < sizeof too_old / sizeof *too_old; i++)
        if (!strcmp(plus + 2, too_old[i]))
            return pk_fail(PK_USAGE, "cc: %s is too old for the CPU device's headers; write -std=c++17 or leave it out",
                           word);
    to->std_cpp = word;
    return PK_OK;
}

/* One option, whose value may be the next argument; *taken is how many arguments it is. */
static pk_status read_option(job *to, char *word, char *next, int *taken)
{
    *taken = 1;
    if (!strcmp(word, "--checked")) {
        to->checked = true;
        return PK_OK;
    }
    if (begins(word, "-std="))
        return read_standard(to, word);
    const bool names_output = begins(word, "-o");
    const passed_option *option = names_output ? NULL : passed_option_of(word);
    if (!names_output && !option)
        return unknown_option(word);
    const bool apart = word[2] == '\0' && (names_output || option->form == WITH_VALUE);
    if (apart && !next)
        return pk_fail(PK_USAGE, "cc: %s needs a value after it; see ./lab cc --help", word);
    *taken += apart;
    if (names_output) {
        const char *name = apart ? next : word + 2;
        free(to->output);
        to->output = cli_copy(name, strlen(name));
        return PK_OK;
    }
    for (int i = 0; i < *taken; i++) {
        if (option->compile)
            add(&to->compile, i ? next : word);
        if (option->link)
            add(&to->link, i ? next : word);
    }
    return PK_OK;
}

/* "c++" or "c", by the file's ending; NULL for any other. */
static const char *language_of(const char *file)
{
    static const char *const cpp[] = {".cu", ".cpp", ".cc", ".cxx"};
    const char *slash = strrchr(file, '/'), *ending = strrchr(slash ? slash : file, '.');
    for (size_t i = 0; ending && i < sizeof cpp / sizeof *cpp; i++)
        if (!strcmp(ending, cpp[i]))
            return "c++";
    return ending && !strcmp(ending, ".c") ? "c" : NULL;
}

static bool is_cuda(const char *file)
{
    const char *ending = strrchr(file, '.');
    return ending && !strcmp(ending, ".cu");
}

static pk_status check_file(const char *file)
{
    struct stat found;
    if (stat(file, &found) != 0)
        return pk_fail(PK_USAGE, "cc: cannot read '%s': %s; name the program's files from the folder that you are in",
                       file, strerror(errno));
    if (S_ISDIR(found.st_mode))
        return pk_fail(PK_USAGE, "cc: '%s' is a folder; name the program's files in it", file);
    if (!language_of(file))
        return pk_fail(
            PK_USAGE,
            "cc: '%s' does not end in .cu, .cpp, .cc, .cxx or .c, so its language is not known; leave it out "
            "or rename it",
            file);
    return PK_OK;
}

static char *name_of_program(const char *file)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    return cli_copy(name, (size_t)(strrchr(name, '.') - name));
}

static pk_status check_output(const job *of)
{
    struct stat output, file;
    if (stat(of->output, &output) != 0)
        return PK_OK;
    if (S_ISDIR(output.st_mode))
        return pk_fail(PK_USAGE, "cc: the program would be '%s', which is a folder; give it a name: -o NAME",
                       of->output);
    for (size_t i = 0; i < of->files.count; i++)
        if (stat(of->files.words[i], &file) == 0 && file.st_dev == output.st_dev && file.st_ino == output.st_ino)
            return pk_fail(PK_USAGE, "cc: the program would overwrite '%s'; give it another name: -o NAME",
                           of->files.words[i]);
    return PK_OK;
}

static pk_status check_build(const job *of)
{
    if (strcmp(PK_CLI_BACKEND, "cpu") != 0)
        return pk_fail(PK_USAGE, "cc compiles for the CPU device, and this build is for %s: ./lab --backend=cpu cc ...",
                       PK_CLI_BACKEND);
    if (of->checked && !PK_CLI_CAN_CHECK)
        return pk_fail(PK_USAGE,
                       "cc: this build cannot check accesses: that needs GCC, or clang 16 or newer, and no sanitizer");
    return PK_OK;
}

static pk_status read_arguments(job *to, int argc, char **argv)
{
    pk_status status = PK_OK;
    to->checked = PK_CLI_ALWAYS_CHECKED;
    for (int i = 1, taken = 1; i < argc && status == PK_OK; i += taken) {
        taken = 1;
        if (argv[i][0] != '-')
            add(&to->files, argv[i]);
        else
            status = read_option(to, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &taken);
    }
    return status;
}

static pk_status check_files(const job *of)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < of->files.count && status == PK_OK; i++)
        status = check_file(of->files.words[i]);
    return status;
}

static pk_status read_job(job *to, int argc, char **argv)
{
    pk_status status = read_arguments(to, argc, argv);
    if (status != PK_OK)
        return status;
    if (!to->files.count) {
        pk_fail(PK_USAGE, "cc needs a file: ./lab cc program.cu");
        return PK_USAGE;
    }
    status = check_files(to);
    if (status != PK_OK)
        return status;
    if (!to->output)
        to->output = name_of_program(to->files.words[0]);
    status = check_output(to);
    return status == PK_OK ? check_build(to) : status;
}

const char *cli_cc_target(int argc, char **argv)
{
    job asked = {0};
    const char *target = read_job(&asked, argc, argv) != PK_OK ? NULL : asked.checked ? "pk_cpu_checked" : "pk_cpu";
    free_job(&asked);
    return target;
}

/* ---- compiling ---- */

static volatile sig_atomic_t interrupted;

/* The compiler gets the terminal's signal too; what is left to do here is to remove the folder. */
static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static void watch_for_interrupts(void)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* As common/cmake compiles the labs' kernels; C is host code, which gets no such options. nvcc includes its header in
 * .cu files by itself. */
static words compile_line(const job *of, const char *file)
{
    const char *language = language_of(file);
    const bool cpp = !strcmp(language, "c++");
    words line = {0};
    add(&line, cpp ? PK_CLI_CXX : PK_CLI_CC);
    add(&line, "-O2");
    add_split(&line, of->checked ? PK_CLI_CHECKED_OPTIONS : PK_CLI_SANITIZE_OPTIONS);
    if (cpp) {
        add(&line, of->std_cpp ? of->std_cpp : "-std=c++17");
        add_split(&line, PK_CLI_KERNEL_OPTIONS);
    } else if (of->std_c) {
        add(&line, of->std_c);
    }
    add_all(&line, &of->compile);
    add(&line, "-I");
    add(&line, HEADERS);
    if (is_cuda(file)) {
        add(&line, "-include");
        add(&line, "cuda_runtime.h");
    }
    add(&line, "-x");
    add(&line, language);
    add(&line, file);
    return line;
}

static int captured(const words *line, char **output)
{
    const int code = interrupted ? -1 : cli_capture(line->words, output);
    if (code < 0 && !*output)
        *output = cli_copy("", 0);
    return code;
}

/* Why the file did not compile: in a sentence where it is known, else in the compiler's words. */
static pk_status explain(const job *of, const char *file, const char *output)
{
    words line = compile_line(of, file);
    char *text = NULL;
    add(&line, "-E");
    (void)captured(&line, &text);
    cc_findings found = cc_look(text, output);
    pk_status status;
    if (found.launches.count) {
        status =
            pk_fail(PK_USAGE,
                    "cc: launches with <<<...>>> cannot be compiled for the CPU device: %s; write "
                    "PK_CPU_LAUNCH(%s, grid, block, smem, stream, arguments...), with 0 for a smem or stream that is "
                    "not given (docs/no-gpu.md)",
                    found.launches.text, found.launches.kernel);
    } else if (found.ptx.count) {
        status = pk_fail(PK_USAGE,
                         "cc: inline PTX cannot run on the CPU device: %s; write in C++ what it does, and keep the PTX "
                         "for a GPU behind #if defined(__CUDA_ARCH__) (docs/no-gpu.md)",
                         found.ptx.text);
    } else if (!strcmp(language_of(file), "c") && strstr(text, HEADERS "/")) {
        status =
            pk_fail(PK_USAGE,
                    "cc: %s is C and includes the CPU device's headers, which are C++; name it .cu, or keep CUDA's "
                    "calls in another file",
                    file);
    } else {
        fputs(output, stderr);
        status = pk_fail(PK_USAGE,
                         "cc: %s does not compile for the CPU device; mend what the compiler says above (what is not "
                         "there: docs/no-gpu.md)",
                         file);
    }
    cc_findings_free(&found);
    free(text);
    free_words(&line);
    return status;
}

static pk_status compile_file(const job *of, const char *file, const char *object)
{
    words line = compile_line(of, file);
    char *output = NULL;
    add(&line, "-c");
    add(&line, "-o");
    add(&line, object);
    const int code = captured(&line, &output);
    pk_status status = PK_OK;
    if (interrupted)
        status = pk_fail(PK_INTERRUPTED, "cc: interrupted; no program was written");
    else if (code < 0)
        status = pk_fail(PK_USAGE, "cc: the compiler %s cannot be started, or was killed", line.words[0]);
    else if (code > 0)
        status = explain(of, file, output);
    else
        fputs(output, stderr); /* warnings */
    free(output);
    free_words(&line);
    return status;
}

/* As the labs' programs are linked: common/cpu/CMakeLists.txt. */
static pk_status link_program(const job *of, const words *objects)
{
    words line = {0};
    char *output = NULL;
    add(&line, PK_CLI_CXX);
    add_split(&line, PK_CLI_SANITIZE_OPTIONS); /* none where accesses are checked */
    add_all(&line, objects);
    add_all(&line, &of->link);
    if (of->checked)
        add(&line, PK_CLI_BUILD_FOLDER "/common/cpu/libpk_cpu_checked.a");
    add(&line, PK_CLI_BUILD_FOLDER "/common/cpu/libpk_cpu.a");
    add_split(&line, PK_CLI_FIBER_LIBRARY);
    add(&line, "-pthread");
    add(&line, "-o");
    add(&line, of->output);
    const int code = captured(&line, &output);
    pk_status status = PK_OK;
    fputs(output, stderr);
    if (interrupted)
        status = pk_fail(PK_INTERRUPTED, "cc: interrupted; no program was written");
    else if (code != 0)
        status = pk_fail(PK_USAGE,
                         "cc: %s cannot be linked; mend what the linker says above. Where it misses an `extern "
                         "__shared__` array, write T *name = (T *)pk_cpu_dynamic_shared() in the kernel "
                         "(docs/no-gpu.md)",
                         of->output);
    free(output);
    free_words(&line);
    return status;
}

static pk_status build_in(const job *of, const char *folder)
{
    words objects = {0};
    pk_status status = PK_OK;
    for (size_t i = 0; i < of->files.count; i++) {
        char *object = cli_format("%s/%zu.o", folder, i);
        add(&objects, object);
        free(object);
    }
    for (size_t i = 0; i < of->files.count && status == PK_OK; i++)
        status = compile_file(of, of->files.words[i], objects.words[i]);
    if (status == PK_OK)
        status = link_program(of, &objects);
    for (size_t i = 0; i < objects.count; i++)
        unlink(objects.words[i]);
    free_words(&objects);
    return status;
}

static pk_status build_program(const job *of)
{
    const char *temporary = getenv("TMPDIR");
    char *folder = cli_format("%s/pk-cc-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    pk_status status;
    if (mkdtemp(folder)) {
        status = build_in(of, folder);
        rmdir(folder);
    } else {
        status = pk_fail(PK_USAGE, "cc: cannot make a folder %s: %s; set TMPDIR to one that can be written", folder,
                         strerror(errno));
    }
    free(folder);
    return status;
}

int cmd_cc(int argc, char **argv)
{
    job asked = {0};
    pk_status status = read_job(&asked, argc, argv);
    if (status == PK_OK) {
        setenv("LC_ALL", "C", 1); /* what the compiler says is read, in English */
        watch_for_interrupts();
        status = build_program(&asked);
    }
    if (status == PK_OK) {
        const char *here = strchr(asked.output, '/') ? "" : "./";
        cli_say(2, "The program is %s%s, for the CPU device%s\nRun it: %s%s%s", here, asked.output,
                asked.checked ? ", each access checked" : "", asked.checked ? "PK_CPU_CHECK=1 " : "", here,
                asked.output);
    }
    free_job(&asked);
    return status == PK_OK ? 0 : cli_failed(status);
}
