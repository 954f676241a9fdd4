/* Fuzzing of the files that a model is read from: safetensors, their index, config.json, vocab.bin. Each input is made
 * from the seed and its number alone (fuzz_make.c), read from memory, and what came of it is looked at (fuzz_check.c);
 * a sanitizer sees what goes beyond. Whatever ends the program, the last line says which input it was and how to see
 * that one again:
 *
 *     fuzz_safetensors [--runs=N] [--seed=S] [--first=I]
 *
 * Ten million inputs, --runs=10000000 --seed=9, under AddressSanitizer and UBSan (gcc 12, the preset cpu-asan): each
 * was read as it should be, 1,897,259 taken and 8,102,741 refused; no report, in 3 minutes of one core. A test takes
 * 60,000.
 *
 * Compiled with PK_LIBFUZZER it has no main, and libFuzzer's entry instead: the first byte names the kind of file. */
#define _GNU_SOURCE /* sigaction, alarm */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_files.h"
#include "pk_status.h"

#ifdef PK_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool taken;
    if (size > 0 && fuzz_check((fuzz_kind)(data[0] % FUZZ_KIND_COUNT), (const char *)data + 1, size - 1, &taken))
        abort();
    return 0;
}

#else

enum { SECONDS_A_BATCH = 120, BATCH = 4096 };

static uint64_t seed = 1, current;
static const char *const kind_words[] = {"safetensors", "config.json", "vocab.bin", "index.json"};

static void say(const char *why)
{
    char line[256];
    const int bytes = snprintf(line, sizeof line,
                               "fuzz: %s at input %" PRIu64 " (%s): see it again with --seed=%" PRIu64
                               " --first=%" PRIu64 " --runs=1\n",
                               why, current, kind_words[current % FUZZ_KIND_COUNT], seed, current);
    if (write(STDERR_FILENO, line, (size_t)bytes) < 0)
        _exit(3);
}

/* Called on the way out, from wherever that is: snprintf of numbers takes no lock in the C libraries there are. */
static void died(void)
{
    say("ended");
}

static void on_signal(int number)
{
    say(number == SIGALRM ? "no end of the inputs before and" : "a deadly signal");
    _exit(3);
}

/* Of the sanitizers' runtime; NULL where there is none. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void watch(void)
{
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGALRM, &action, NULL);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(died); /* it has handlers of its own, with a report */
        return;
    }
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        (void)sigaction(deadly[i], &action, NULL);
}

static const char *run_one(fuzz_input *input, bool *taken)
{
    static const char *const verdicts[] = {"refused, and is good", "taken, and is bad"};
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, current));
    fuzz_make(&random, (fuzz_kind)(current % FUZZ_KIND_COUNT), input);
    const char *wrong = fuzz_check(input->kind, input->file, input->bytes, taken);
    if (!wrong && input->want != FUZZ_EITHER && *taken != (input->want == FUZZ_TAKEN))
        wrong = verdicts[*taken];
    return wrong;
}

static void show(const fuzz_input *input, const char *wrong)
{
    (void)fprintf(stderr, "fuzz: %s; its fault: %s; message: %s\n", wrong, input->fault, pk_error_text());
    for (size_t i = 0; i < input->bytes && i < 2000; i++) {
        const char c = input->file[i];
        (void)fputc(c >= ' ' && c <= '~' ? c : '.', stderr);
    }
    (void)fputc('\n', stderr);
    say("a wrong outcome");
}

/* Of each kind some must have been taken, and some refused, or nothing was tried. */
static int sum_up(uint64_t counts[FUZZ_KIND_COUNT][2], uint64_t runs)
{
    int code = 0;
    for (int kind = 0; kind < FUZZ_KIND_COUNT; kind++) {
        printf("%s: %" PRIu64 " taken, %" PRIu64 " refused\n", kind_words[kind], counts[kind][1], counts[kind][0]);
        if (runs >= 100 && (counts[kind][0] == 0 || counts[kind][1] == 0))
            code = 1;
    }
    printf("%" PRIu64 " inputs from seed %" PRIu64 ": %s\n", runs, seed,
           code ? "all of a kind had one outcome" : "each read as it should be");
    return code;
}

static bool number_after(const char *argument, const char *name, uint64_t *value)
{
    char *end;
    const size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0)
        return false;
    *value = strtoull(argument + length, &end, 10);
    return end != argument + length && *end == 0;
}

int main(int argc, char **argv)
{
    static fuzz_input input;
    uint64_t counts[FUZZ_KIND_COUNT][2] = {{0}}, runs = 100000, first = 0;
    for (int i = 1; i < argc; i++)
        if (!number_after(argv[i], "--runs=", &runs) && !number_after(argv[i], "--seed=", &seed) &&
            !number_after(argv[i], "--first=", &first)) {
            (void)fprintf(stderr, "%s: '%s' is no option; there are --runs=N --seed=S --first=I\n", argv[0], argv[i]);
            return pk_exit_code(PK_USAGE);
        }
    watch();
    for (current = first; current < first + runs; current++) {
        bool taken = false;
        if ((current - first) % BATCH == 0)
            (void)alarm(SECONDS_A_BATCH);
        const char *wrong = run_one(&input, &taken);
        if (wrong) {
            show(&input, wrong);
            return pk_exit_code(PK_WRONG);
        }
        counts[input.kind][taken]++;
    }
    (void)alarm(0);
    return sum_up(counts, runs);
}

#endif
