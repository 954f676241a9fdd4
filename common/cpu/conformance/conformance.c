/* Runs the cases of one conformance program.
 *
 * The parent never calls the GPU's runtime. A child runs the cases one after another and writes one line a case
 * into a pipe; when it faults, hangs or is left with a broken device, the parent records that and starts another
 * child with the cases that are left. A case that breaks its device on purpose has a child of its own. */
#define _POSIX_C_SOURCE 200809L

#include "conformance_run.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pk_device.h"

#define MOST_CASES 256
#define LINE_BYTES 16384
#define DETAIL_BYTES 2048
#define OBSERVED_BYTES 4096
#define DEFAULT_LIMIT_S 60

/* Where children end, beside the exit codes of pk_exit_code. */
enum { CHILD_DONE = 0, CHILD_DEVICE_BROKEN = 30, CHILD_NO_DEVICE = 77 };

typedef enum verdict { NOT_RUN, PASSED, FAILED, SKIPPED, DIFFERS } verdict;
static const char *const verdict_word[] = {"not run", "pass", "fail", "skip", "differs"};

typedef struct result {
    verdict verdict;
    char detail[2 * DETAIL_BYTES];     /* escaped for JSON */
    char observed[2 * OBSERVED_BYTES]; /* JSON object */
} result;

typedef struct options {
    bool list;
    const char *only, *json, *known;
    int limit_s;
} options;

static cf_case *first_case, **next_case = &first_case;

/* What the child collects for the case that it runs. */
static char failure_text[DETAIL_BYTES], observed_text[OBSERVED_BYTES];
static int failures;

void cf_register(cf_case *one)
{
    *next_case = one;
    next_case = &one->next;
}

void cf_sleep_ms(unsigned ms)
{
    const struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&wait, NULL);
}

/* ---- text ---- */

static void append(char *text, size_t text_bytes, const char *more)
{
    const size_t used = strlen(text);
    snprintf(text + used, text_bytes - used, "%s", more);
}

static void json_escape(char *out, size_t out_bytes, const char *in)
{
    size_t n = 0;
    for (; *in && n + 7 < out_bytes; in++) {
        if (*in == '"' || *in == '\\') {
            out[n++] = '\\';
            out[n++] = *in;
        } else if (iscntrl((unsigned char)*in)) {
            out[n++] = ' ';
        } else {
            out[n++] = *in;
        }
    }
    out[n] = '\0';
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- what a case reports ---- */

void cf_failed(const char *file, int line, const char *format, ...)
{
    char text[512], where[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(where, sizeof where, "%s%s:%d: %s", failures ? "; " : "", base_name(file), line, text);
    append(failure_text, sizeof failure_text, where);
    failures++;
}

void cf_expect_equal(long long got, long long want, const char *text, const char *file, int line)
{
    if (got != want)
        cf_failed(file, line, "%s is %lld, want %lld", text, got, want);
}

void cf_observe(const char *what, const char *format, ...)
{
    char text[256], value[512], pair[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_escape(value, sizeof value, text);
    snprintf(pair, sizeof pair, "%s\"%s\": \"%s\"", observed_text[0] ? ", " : "", what, value);
    if (strlen(observed_text) + strlen(pair) < sizeof observed_text)
        append(observed_text, sizeof observed_text, pair);
}

/* ---- the child ---- */

static void send_device(FILE *to, const pk_device_info *info)
{
    char name[512];
    json_escape(name, sizeof name, info->name);
    fprintf(
        to,
        "device\t{\"backend\": \"%s\", \"name\": \"%s\", \"arch\": \"%s\", \"driver\": \"%s\", \"toolkit\": \"%s\", "
        "\"processors\": %d}\n",
        info->backend, name, info->arch, info->driver, info->toolkit, info->processors);
}

static void send_result(FILE *to, const char *word, const char *text)
{
    char escaped[2 * DETAIL_BYTES];
    json_escape(escaped, sizeof escaped, text);
    fprintf(to, "%s\t%s\t{%s}\n", word, escaped, observed_text);
    fflush(to);
}

/* Returns whether the device can take another case. */
static bool run_case(FILE *to, const cf_case *one, const char *(*settle)(void))
{
    failure_text[0] = observed_text[0] = '\0';
    failures = 0;
    const pk_status status = one->body();
    if (status == PK_SKIP && failures == 0) {
        send_result(to, "skip", pk_error_text());
        return settle() == NULL;
    }
    if (status != PK_OK)
        cf_failed(one->name, 0, "%s", pk_error_text());
    const char *broken = one->alone ? NULL : settle();
    if (broken)
        cf_failed(one->name, 0, "the device is left with %s", broken);
    send_result(to, failures ? "fail" : "pass", failure_text);
    return broken == NULL;
}

static void run_child(int pipe_end, cf_case *const *cases, int count, const char *(*settle)(void))
{
    FILE *to = fdopen(pipe_end, "w");
    pk_device_info info;
    if (!to)
        _exit(CHILD_DEVICE_BROKEN);
    /* Loading a kernel's code at its first launch may wait for kernels that run, and those may wait for it: CUDA C++
     * Programming Guide, "Lazy Loading", "Concurrent Kernel Execution". */
    setenv("CUDA_MODULE_LOADING", "EAGER", 1);
    const pk_status opened = pk_device_open(&info);
    if (opened == PK_SKIP) {
        fprintf(to, "none\t%s\n", pk_error_text());
        fflush(to);
        _exit(CHILD_NO_DEVICE);
    }
    if (opened != PK_OK) {
        send_result(to, "fail", pk_error_text());
        _exit(CHILD_DEVICE_BROKEN);
    }
    send_device(to, &info);
    for (int i = 0; i < count; i++)
        if (!run_case(to, cases[i], settle))
            _exit(CHILD_DEVICE_BROKEN);
    /* Not exit(): the parent's other state is not this process's to flush, and a broken device cannot be closed. */
    _exit(CHILD_DONE);
}

/* ---- the parent ---- */

static char device_json[1024], no_device[1024];
static bool device_is_gpu;

static void take_line(char *line, result *results, int *done)
{
    char *tab = strchr(line, '\t');
    if (!tab)
        return;
    *tab++ = '\0';
    if (strcmp(line, "device") == 0) {
        snprintf(device_json, sizeof device_json, "%s", tab);
        device_is_gpu = strstr(device_json, "\"backend\": \"cpu\"") == NULL;
    } else if (strcmp(line, "none") == 0) {
        snprintf(no_device, sizeof no_device, "%s", tab);
    } else {
        result *r = &results[(*done)++];
        char *observed = strchr(tab, '\t');
        if (observed)
            *observed++ = '\0';
        r->verdict = strcmp(line, "pass") == 0 ? PASSED : strcmp(line, "skip") == 0 ? SKIPPED : FAILED;
        snprintf(r->detail, sizeof r->detail, "%s", tab);
        snprintf(r->observed, sizeof r->observed, "%s", observed ? observed : "{}");
    }
}

/* Reads lines until the child closes the pipe. Returns false where a case outlasts the limit. */
static bool read_results(int from, result *results, int *done, int count, int limit_s)
{
    static char line[LINE_BYTES];
    size_t used = 0;
    for (;;) {
        struct pollfd ready = {.fd = from, .events = POLLIN};
        const int polled = poll(&ready, 1, limit_s * 1000);
        if (polled < 0 && errno == EINTR)
            continue;
        if (polled <= 0)
            return false;
        const ssize_t n = read(from, line + used, sizeof line - 1 - used);
        if (n <= 0)
            return true;
        used += (size_t)n;
        line[used] = '\0';
        for (char *end; (end = strchr(line, '\n')) && *done < count;) {
            *end = '\0';
            take_line(line, results, done);
            used -= (size_t)(end + 1 - line);
            memmove(line, end + 1, used + 1);
        }
    }
}

static void record_loss(result *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->detail, sizeof r->detail, format, arguments);
    va_end(arguments);
    r->verdict = FAILED;
    snprintf(r->observed, sizeof r->observed, "{}");
}

/* Runs `count` cases in one child. Returns how many have a result now: at least one, unless there is no device. */
static int run_in_child(cf_case *const *cases, int count, result *results, int limit_s, const char *(*settle)(void))
{
    int ends[2], done = 0, status = 0;
    if (pipe(ends) != 0) {
        record_loss(&results[0], "no pipe: %s", strerror(errno));
        return 1;
    }
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_child(ends[1], cases, count, settle);
    }
    close(ends[1]);
    if (child < 0) {
        record_loss(&results[0], "no process: %s", strerror(errno));
        close(ends[0]);
        return 1;
    }
    const bool in_time = read_results(ends[0], results, &done, count, limit_s);
    if (!in_time)
        kill(child, SIGKILL);
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (no_device[0])
        return done;
    if (done == count && in_time && WIFEXITED(status) &&
        (WEXITSTATUS(status) == CHILD_DONE || WEXITSTATUS(status) == CHILD_DEVICE_BROKEN))
        return done;
    if (done == count) /* a sanitizer's report, say */
        done--;
    if (!in_time)
        record_loss(&results[done++], "did not end within %d s", limit_s);
    else if (WIFSIGNALED(status))
        record_loss(&results[done++], "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != CHILD_DEVICE_BROKEN || done == 0)
        record_loss(&results[done++], "ended the process with exit code %d", WEXITSTATUS(status));
    return done;
}

static void run_all(cf_case *const *cases, int count, result *results, const options *o, const char *(*settle)(void))
{
    for (int i = 0; i < count && !no_device[0];) {
        int together = 1;
        while (!cases[i]->alone && i + together < count && !cases[i + together]->alone)
            together++;
        i += run_in_child(&cases[i], together, &results[i], o->limit_s, settle);
    }
}

/* The list of the CPU device's known differences: "concern.case reason" a line, # for a comment. */
static bool is_known(const char *path, const char *concern, const char *name, char *reason, size_t reason_bytes)
{
    char line[512], wanted[256];
    FILE *file = path && !device_is_gpu ? fopen(path, "r") : NULL;
    bool found = false;
    if (!file)
        return false;
    snprintf(wanted, sizeof wanted, "%s.%s ", concern, name);
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, wanted, strlen(wanted)) == 0;
    }
    fclose(file);
    if (found)
        json_escape(reason, reason_bytes, line + strlen(wanted));
    return found;
}

/* A known difference is no failure; one that is gone is, so that the list stays true. Under PK_CPU_CHECK more is
 * noticed than the list says. */
static void apply_known(const char *path, const char *concern, const cf_case *one, result *r)
{
    char reason[600], text[sizeof r->detail];
    if (!is_known(path, concern, one->name, reason, sizeof reason) || r->verdict == SKIPPED)
        return;
    if (r->verdict == PASSED) {
        const char *check = getenv("PK_CPU_CHECK");
        if (!check || strcmp(check, "1") != 0)
            record_loss(r, "passes, but is listed as a known difference (%s): take it off the list", reason);
        return;
    }
    snprintf(text, sizeof text, "%s [%.*s]", reason, DETAIL_BYTES, r->detail);
    snprintf(r->detail, sizeof r->detail, "%s", text);
    r->verdict = DIFFERS;
}

static bool write_json(const char *path, const char *concern, cf_case *const *cases, const result *results, int count)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(file, "{\"device\": %s,\n \"cases\": [\n", device_json[0] ? device_json : "null");
    for (int i = 0; i < count; i++)
        fprintf(
            file,
            "  {\"concern\": \"%s\", \"case\": \"%s\", \"status\": \"%s\", \"detail\": \"%s\", \"observed\": %s}%s\n",
            concern, cases[i]->name, verdict_word[results[i].verdict], results[i].detail, results[i].observed,
            i + 1 < count ? "," : "");
    fprintf(file, "]}\n");
    if (fclose(file) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

static int report(const char *concern, cf_case *const *cases, const result *results, int count)
{
    int n[DIFFERS + 1] = {0};
    for (int i = 0; i < count; i++) {
        n[results[i].verdict]++;
        printf("%-7s %s.%s%s%s\n", results[i].verdict == FAILED ? "FAILED" : verdict_word[results[i].verdict], concern,
               cases[i]->name, results[i].detail[0] ? ": " : "", results[i].detail);
    }
    printf("%s: %d cases, %d passed, %d failed, %d skipped, %d known differences\n", concern, count, n[PASSED],
           n[FAILED] + n[NOT_RUN], n[SKIPPED], n[DIFFERS]);
    if (n[FAILED] + n[NOT_RUN] > 0)
        return pk_exit_code(PK_WRONG);
    return n[PASSED] + n[DIFFERS] > 0 ? pk_exit_code(PK_OK) : pk_exit_code(PK_SKIP);
}

static bool parse(options *o, int argc, char **argv)
{
    *o = (options){.limit_s = DEFAULT_LIMIT_S};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--list") == 0) {
            o->list = true;
            continue;
        }
        if (!value)
            return false;
        if (strcmp(argv[i], "--case") == 0)
            o->only = value;
        else if (strcmp(argv[i], "--json") == 0)
            o->json = value;
        else if (strcmp(argv[i], "--known") == 0)
            o->known = value;
        else if (strcmp(argv[i], "--limit") == 0)
            o->limit_s = atoi(value);
        else
            return false;
        i++;
    }
    return o->limit_s > 0;
}

static int choose(cf_case **cases, const char *only)
{
    int count = 0;
    for (cf_case *one = first_case; one && count < MOST_CASES; one = one->next)
        if (!only || strcmp(only, one->name) == 0)
            cases[count++] = one;
    return count;
}

int cf_main(int argc, char **argv, const char *concern, const char *(*settle)(void))
{
    static cf_case *cases[MOST_CASES];
    static result results[MOST_CASES];
    options o;
    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: %s [--list] [--case NAME] [--json FILE] [--known FILE] [--limit SECONDS]\n", argv[0]);
        return pk_exit_code(PK_USAGE);
    }
    const int count = choose(cases, o.only);
    if (count == 0) {
        fprintf(stderr, "%s: no case '%s': --list names them\n", argv[0], o.only ? o.only : "");
        return pk_exit_code(PK_USAGE);
    }
    if (o.list) {
        for (int i = 0; i < count; i++)
            printf("%s\n", cases[i]->name);
        return 0;
    }
    run_all(cases, count, results, &o, settle);
    if (no_device[0]) {
        printf("SKIPPED: %s\n", no_device);
        return pk_exit_code(PK_SKIP);
    }
    for (int i = 0; i < count; i++)
        apply_known(o.known, concern, cases[i], &results[i]);
    if (o.json && !write_json(o.json, concern, cases, results, count))
        return pk_exit_code(PK_FAULT);
    return report(concern, cases, results, count);
}
