/* Judging a submission that runs in another process.
 *
 * This program is made of the repository's own files: its inputs, reference and comparison are the lab's. A variant of
 * the submission runs in a worker (worker.c), confined (confine.c), which is set up and prepared with inputs that are
 * no secret. Then, repetition by repetition, it gets inputs that it has not seen, and gives back what it made of them:
 * that is copied, and judged here. The time is taken here, from the request to the answer. */
#include "judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "bench.h"
#include "buffers.h"
#include "contender.h"
#include "exchange.h"
#include "judge_report.h"
#include "num/pk_random.h"
#include "options.h"
#include "pk/host.h"
#include "pk/program.h"
#include "remote.h"
#include "runner.h"

enum {
    AGAIN,        /* the same inputs: the same bits must come */
    BEGINS_ALIKE, /* other inputs that begin like those: nothing that is kept by a few of them holds */
    FRESH,
    FRESH_TOO,
    REPETITIONS /* behind the first */
};
enum { ALIKE_DRAWS = 16, FEWEST_ROUNDS = 8, MOST_ROUNDS = 60, MOST_KNOBS = 64 };
static const double TIMING_S = 12; /* of a variant, with the solution beside it */

typedef struct judge {
    pk_judgement report;
    const char *worker, *solution, *variants, *json;
    bool timing;
    double watchdog_s;
    pk_confinement limits;
    double until_us;
    void *stream;
    pk_random random; /* of sizes and seeds */
} judge;

/* ---- a repetition ---- */

/* One variant at one size: the lab's side here, and the worker's. */
typedef struct desk {
    pk_bench *bench;
    pk_contender contender; /* its run stands for the worker's: nothing executes here */
    unsigned char *sent;    /* what a repetition began with, where no worker reaches it */
    uint64_t seed;
} desk;

/* The state that a repetition begins with, as it would be here. */
static pk_status make_beginning(desk *d)
{
    pk_status status = pk_buffers_poison(d->bench);
    if (status == PK_OK)
        status = pk_repetition_prepare(&d->contender.run, PK_HOT);
    if (status == PK_OK)
        status = pk_exchange_put_buffers(d->bench, pk_exchange_all(d->bench), d->sent);
    if (status == PK_OK)
        pk_exchange_put_parts(d->bench, PK_HOST_INPUT, d->sent);
    return status;
}

static pk_status send_beginning(const desk *d, pk_remote *remote, pk_buffer_set buffers)
{
    pk_exchange_copy(d->bench, buffers, remote->memory, d->sent);
    return pk_remote_load(remote, buffers);
}

static pk_status check_launches(desk *d, const pk_remote_run *ran)
{
    if (ran->kernels != UINT64_MAX && ran->kernels > ran->launches)
        return pk_fail(PK_WRONG,
                       "PK_LAUNCH counted %llu kernels in a repetition, but the device ran %llu: launch every kernel "
                       "with PK_LAUNCH",
                       (unsigned long long)ran->launches, (unsigned long long)ran->kernels);
    d->contender.run.launches.launches = ran->launches;
    return pk_repetition_check_launches(&d->contender.run);
}

/* What stood for each token when it was reported. */
static pk_status check_looks(desk *d, const pk_remote *remote)
{
    pk_run *run = &d->contender.run;
    pk_status status = PK_OK;
    for (size_t i = 0; i < remote->look_count && status == PK_OK; i++) {
        pk_shown shown = {remote->looks[i].bytes, remote->looks[i].count};
        uint64_t token;
        memcpy(&token, shown.bytes, sizeof token);
        shown.bytes += sizeof token;
        shown.count -= sizeof token;
        if (token >= remote->look_count || !d->bench->lab->verify_token)
            return pk_fail(PK_WRONG, "a token was reported that there is not");
        for (size_t p = 0; p < d->bench->part_count; p++) {
            const pk_host_part *part = &d->bench->parts[p];
            if (part->role != PK_HOST_LOOK || shown.count < part->bytes)
                continue;
            memcpy(part->memory, shown.bytes, part->bytes);
            shown.bytes += part->bytes;
            shown.count -= part->bytes;
        }
        run->shown = &shown;
        status = pk_token_judge(run, (size_t)token);
        run->shown = NULL;
    }
    return status;
}

static pk_status check_inputs(const desk *d, const pk_remote *remote)
{
    const pk_buffer_set changed = pk_exchange_changed_inputs(d->bench, d->sent, remote->memory);
    for (size_t i = 0; i < d->bench->buffer_count; i++)
        if (changed >> i & 1)
            return pk_fail(PK_WRONG, "the input '%s', or the bytes around it, was written over",
                           d->bench->buffers[i].name);
    return PK_OK;
}

/* Judged on copies: the worker may write on in what it shares. */
static pk_status check_results(desk *d, const pk_remote *remote)
{
    pk_verdict verdict = {.checked = 0};
    pk_exchange_take_parts(d->bench, PK_HOST_OUTCOME, remote->memory);
    pk_status status = pk_exchange_take_buffers(d->bench, pk_exchange_results(d->bench), remote->memory);
    if (status == PK_OK)
        status = check_looks(d, remote);
    if (status == PK_OK)
        status = d->bench->lab->verify(&d->contender.run, &verdict);
    if (status == PK_OK)
        status = pk_bench_judge("hidden inputs", d->seed, &verdict);
    return status == PK_OK ? pk_buffers_check_guards(d->bench) : status;
}

static pk_status repeat(desk *d, pk_remote *remote, pk_remote_run *ran)
{
    pk_status status = send_beginning(d, remote, pk_exchange_all(d->bench));
    if (status == PK_OK)
        status = pk_remote_execute(remote, ran);
    if (status == PK_OK)
        status = pk_remote_results(remote);
    if (status == PK_OK)
        status = check_launches(d, ran);
    if (status == PK_OK)
        status = check_inputs(d, remote);
    return status == PK_OK ? check_results(d, remote) : status;
}

/* ---- a variant at a size ---- */

/* Inputs of the seed; `parts`: that begin so, and are others then. */
static pk_status fill(desk *d, uint64_t seed, bool parts)
{
    pk_run lab_run = {.bench = d->bench, .variant = d->contender.run.variant};
    d->seed = seed;
    pk_random_part(parts ? ALIKE_DRAWS : 0, seed + 1);
    const pk_status status = d->bench->lab->fill(&lab_run, seed);
    pk_random_part(0, 0);
    return status;
}

/* The secret of each repetition. Numbers that a terminal shows whole. */
static uint64_t draw_seed(judge *j)
{
    return pk_random_u64(&j->random) >> 24;
}

static pk_status repeat_all(judge *j, desk *d, pk_remote *remote, pk_judged *row)
{
    pk_remote_run ran;
    pk_status status = fill(d, draw_seed(j), false);
    for (int next = 0; status == PK_OK; next++) {
        if (pk_now_us() > j->until_us)
            return pk_fail(PK_TIMEOUT, "the time for this submission is over: give more by --time");
        /* CUPTI makes launches slow for as long as a process lives: it counts in the last one. */
        ran = (pk_remote_run){.is_looked_at = true,
                              .is_counted = next == REPETITIONS || !j->report.device->is_gpu,
                              .back = pk_exchange_all(d->bench)};
        status = make_beginning(d);
        if (status != PK_OK)
            break;
        status = repeat(d, remote, &ran);
        (void)snprintf(row->open_step, sizeof row->open_step, "%s", ran.open_step);
        row->repetitions += status == PK_OK;
        if (status != PK_OK || next == REPETITIONS)
            return status;
        if (next != AGAIN)
            status = fill(d, next == BEGINS_ALIKE ? d->seed : draw_seed(j), next == BEGINS_ALIKE);
    }
    row->is_our_fault = true; /* the inputs, or their reference */
    return status;
}

static pk_status open_desk(judge *j, desk *d, const pk_variant *variant)
{
    pk_run lab_run = {.bench = d->bench, .variant = variant};
    pk_status status = pk_bench_set_up(&lab_run, draw_seed(j));
    if (status == PK_OK)
        status = pk_contender_init(&d->contender, d->bench, variant, 0);
    if (status == PK_OK)
        d->sent = calloc(pk_exchange_bytes(d->bench) + 1, 1);
    return status != PK_OK || d->sent ? status : pk_out_of_memory("the judge");
}

static void close_desk(desk *d)
{
    pk_run lab_run = {.bench = d->bench, .variant = d->contender.run.variant};
    pk_contender_release(&d->contender);
    free(d->sent);
    pk_bench_tear_down(&lab_run);
}

/* Start a worker and see it through its prepare. */
static pk_status start(judge *j, const desk *d, const char *program, pk_remote *remote, pk_judged *row)
{
    pk_status status = pk_remote_start(remote, &j->limits, program, row->variant, j->watchdog_s, d->bench);
    row->is_our_fault = status != PK_OK;
    if (status != PK_OK)
        return status;
    status = pk_remote_prepared(remote, d->bench, row->open_step, sizeof row->open_step);
    (void)snprintf(j->report.lacks, sizeof j->report.lacks, "%s%s%s", remote->process.lacks,
                   remote->process.lacks[0] && !remote->filtered ? ", " : "", remote->filtered ? "" : "system calls");
    return status;
}

static pk_bench bench_at(const judge *j, const long long *knobs)
{
    return (pk_bench){.lab = j->report.lab, .knobs = knobs, .device = j->report.device, .stream = j->stream};
}

/* A rung that says that it cannot run here is one that the solution cannot either, or it has given up. */
static pk_status check_skip(judge *j, const desk *d, pk_judged *row)
{
    pk_remote ours = pk_remote_none();
    char reason[sizeof row->reason];
    (void)snprintf(reason, sizeof reason, "%s", pk_error_text());
    const pk_status status = start(j, d, j->solution, &ours, row);
    pk_remote_end(&ours);
    if (status == PK_SKIP)
        return pk_fail(PK_SKIP, "%s", reason);
    return pk_fail(PK_WRONG, "it leaves itself out (%s), and the solution runs here", reason);
}

static pk_status judge_at(judge *j, const pk_variant *variant, const long long *knobs, pk_judged *row)
{
    pk_bench bench = bench_at(j, knobs);
    desk d = {.bench = &bench};
    pk_remote remote = pk_remote_none();
    pk_status status = open_desk(j, &d, variant);
    if (status != PK_OK) {
        row->is_our_fault = true;
    } else {
        status = start(j, &d, j->worker, &remote, row);
        if (status == PK_OK)
            status = repeat_all(j, &d, &remote, row);
        pk_remote_end(&remote);
        if (status == PK_SKIP)
            status = check_skip(j, &d, row);
    }
    close_desk(&d);
    return status;
}

/* ---- speed ---- */

/* One of the two that are timed. What it has of inputs is not sent again: gigabytes of weights, mostly. One that writes
 * its inputs over finds them so, and is wrong. */
typedef struct timed {
    pk_remote remote;
    bool is_judged;      /* like any other; the solution is not: it is ours */
    unsigned char *held; /* the inputs that it has; NULL: none yet */
    double sum_us;       /* of this round */
} timed;

static pk_status time_one(desk *d, timed *one)
{
    pk_remote_run ran = {.back = pk_exchange_results(d->bench)};
    const pk_buffer_set all = pk_exchange_all(d->bench), results = ran.back;
    const pk_buffer_set sent = one->held ? results | pk_exchange_changed_inputs(d->bench, d->sent, one->held) : all;
    if (!one->held)
        one->held = malloc(one->remote.memory_bytes + 1);
    if (!one->held)
        return pk_out_of_memory("the judge");
    pk_status status = send_beginning(d, &one->remote, sent);
    pk_exchange_copy(d->bench, sent, one->held, d->sent);
    if (status == PK_OK)
        status = pk_remote_execute(&one->remote, &ran);
    if (status == PK_OK)
        status = pk_remote_results(&one->remote);
    if (status == PK_OK && one->is_judged)
        status = check_launches(d, &ran);
    one->sum_us += ran.elapsed_us;
    return status == PK_OK && one->is_judged ? check_results(d, &one->remote) : status;
}

/* A round: both from the same fresh inputs, one behind the other and back (A B B A), drawn which is first. */
static pk_status time_round(judge *j, desk *d, timed *pair, double *ratio)
{
    const unsigned first = (unsigned)pk_random_below(&j->random, 2);
    pk_status status = fill(d, draw_seed(j), false);
    pair[0].sum_us = pair[1].sum_us = 0;
    for (unsigned turn = 0; turn < 4 && status == PK_OK; turn++) {
        status = make_beginning(d);
        if (status == PK_OK)
            status = time_one(d, &pair[first ^ (turn == 1 || turn == 2)]);
    }
    *ratio = pair[1].sum_us / pair[0].sum_us;
    return status;
}

static pk_status time_rounds(judge *j, desk *d, timed *pair, pk_judged *row)
{
    const double until_us = fmin(pk_now_us() + TIMING_S * 1e6, j->until_us);
    double unused;
    pk_status status = time_round(j, d, pair, &unused); /* warm */
    while (status == PK_OK && row->ratios.count < MOST_ROUNDS &&
           (row->ratios.count < FEWEST_ROUNDS || pk_now_us() < until_us)) {
        double ratio;
        status = time_round(j, d, pair, &ratio);
        if (status == PK_OK)
            status = pk_samples_add(&row->ratios, ratio);
    }
    if (status != PK_OK)
        return status;
    row->speed = pk_median(row->ratios.values, row->ratios.count);
    row->interval = pk_paired_interval(row->ratios.values, row->ratios.count, j->report.seed);
    return PK_OK;
}

static pk_status time_variant(judge *j, const pk_variant *variant, const long long *knobs, pk_judged *row)
{
    pk_bench bench = bench_at(j, knobs);
    desk d = {.bench = &bench};
    timed pair[2] = {{.remote = pk_remote_none(), .is_judged = true}, {.remote = pk_remote_none()}}; /* theirs, ours */
    pk_status status = open_desk(j, &d, variant);
    row->is_our_fault = status != PK_OK;
    if (status == PK_OK) {
        status = start(j, &d, j->solution, &pair[1].remote, row);
        row->is_our_fault = status != PK_OK;
        if (status == PK_OK)
            status = start(j, &d, j->worker, &pair[0].remote, row);
        if (status == PK_OK)
            status = time_rounds(j, &d, pair, row);
        for (size_t i = 0; i < PK_COUNT(pair); i++) {
            pk_remote_end(&pair[i].remote);
            free(pair[i].held);
        }
    }
    close_desk(&d);
    return status;
}

/* ---- sizes ---- */

/* "n=100..3000 k=8..64/8": each knob from its range. */
static pk_status draw_knobs(judge *j, const char *ranges, long long *knobs, char *text, size_t bytes)
{
    const pk_lab *lab = j->report.lab;
    size_t used = 0;
    for (size_t i = 0; i < lab->knob_count; i++)
        knobs[i] = lab->knobs[i].quick;
    text[0] = '\0';
    for (const char *at = ranges; *at; at += strcspn(at, " "), at += *at == ' ') {
        char name[32];
        long long low, high, step = 1;
        const int read = sscanf(at, "%31[^=]=%lld..%lld/%lld", name, &low, &high, &step);
        const int length = (int)strcspn(at, " ");
        if (read < 3) /* a fixed value, a choice's name perhaps */
            used += (size_t)snprintf(text + used, bytes - used, "%s%.*s", used ? " " : "", length, at);
        else
            used += (size_t)snprintf(
                text + used, bytes - used, "%s%s=%lld", used ? " " : "", name,
                low + step * (long long)pk_random_below(&j->random, (uint64_t)((high - low) / step) + 1));
    }
    return pk_options_set_knobs(knobs, lab, text);
}

static bool is_offered(const judge *j, const pk_variant *variant, const long long *knobs)
{
    pk_bench bench = bench_at(j, knobs);
    const pk_run run = {.bench = &bench, .variant = variant};
    return !j->report.lab->offers || j->report.lab->offers(&run, variant->name);
}

static void note(pk_judged *row, pk_status status, const char *where)
{
    if (status == PK_OK)
        return;
    row->status = status;
    (void)snprintf(row->reason, sizeof row->reason, "%s%s%s", where, *where ? ": " : "", pk_error_text());
}

static void judge_sizes(judge *j, const pk_variant *variant, pk_judged *row)
{
    const pk_lab *lab = j->report.lab;
    long long knobs[MOST_KNOBS];
    char size[200], why[sizeof row->reason] = "";
    bool skipped = false;
    static const char *const quick[] = {""}; /* of a lab that has none */
    const char *const *ranges = lab->hidden_count ? lab->hidden : quick;
    const size_t count = lab->hidden_count ? lab->hidden_count : PK_COUNT(quick);
    for (size_t i = 0; i < count && row->status == PK_OK; i++) {
        pk_status status = draw_knobs(j, ranges[i], knobs, size, sizeof size);
        if (status == PK_OK && !is_offered(j, variant, knobs))
            continue;
        if (status == PK_OK)
            status = judge_at(j, variant, knobs, row);
        skipped |= status == PK_SKIP;
        if (status == PK_SKIP) {
            (void)snprintf(why, sizeof why, "%s", pk_error_text());
            continue;
        }
        note(row, status, size);
        row->sizes++;
    }
    if (row->sizes == 0 && skipped)
        note(row, pk_fail(PK_SKIP, "%s", why), "");
    else if (row->sizes == 0)
        note(row, pk_fail(PK_USAGE, "none of the lab's hidden sizes is for it"), "");
}

/* What of such ranges is no range: "work=product rows=1" of "work=product rows=1 columns=20..200". */
static void fixed_of(const char *ranges, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (const char *at = ranges; *at; at += strcspn(at, " "), at += *at == ' ') {
        const size_t length = strcspn(at, " ");
        const char *dots = strstr(at, "..");
        if (!dots || dots > at + length)
            used += (size_t)snprintf(text + used, bytes - used, "%s%.*s", used ? " " : "", (int)length, at);
    }
}

/* The lab's default sizes, which its targets are for, of the problem that the variant solves. */
static pk_status default_knobs(const judge *j, const pk_variant *variant, long long *knobs)
{
    const pk_lab *lab = j->report.lab;
    for (size_t h = 0; h <= lab->hidden_count; h++) {
        char text[200] = "";
        if (h > 0)
            fixed_of(lab->hidden[h - 1], text, sizeof text);
        for (size_t i = 0; i < lab->knob_count; i++)
            knobs[i] = j->report.device->is_gpu ? lab->knobs[i].value : lab->knobs[i].quick;
        const pk_status status = pk_options_set_knobs(knobs, lab, text);
        if (status != PK_OK || is_offered(j, variant, knobs))
            return status;
    }
    return pk_fail(PK_USAGE, "none of the lab's problems is for it");
}

static void judge_speed(judge *j, const pk_variant *variant, pk_judged *row)
{
    long long knobs[MOST_KNOBS];
    pk_status status = default_knobs(j, variant, knobs);
    if (status == PK_OK)
        status = time_variant(j, variant, knobs, row);
    note(row, status, "while it was timed");
}

/* ---- all of it ---- */

static bool is_named(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    return list == NULL;
}

static pk_status judge_all(judge *j)
{
    for (size_t f = 0; f < pk_variant_file_count; f++) {
        const pk_variant_list list = pk_variant_files[f].variants();
        for (size_t i = 0; i < list.count && !pk_variant_files[f].is_baseline; i++) {
            if (!is_named(j->variants, list.variants[i].name))
                continue;
            pk_judged *row = pk_judgement_add(&j->report, list.variants[i].name);
            if (!row)
                return PK_FAULT;
            /* Of each rung by itself, whatever came of those before: two submissions get the same. */
            pk_random_seed(&j->random, pk_random_split(j->report.seed, i + 64 * f));
            judge_sizes(j, &list.variants[i], row);
            if (row->status == PK_OK && j->timing)
                judge_speed(j, &list.variants[i], row);
        }
    }
    return j->report.count > 0 ? PK_OK : pk_fail(PK_USAGE, "%s: no rung of these names to judge", j->report.lab->id);
}

static const char *value_of(const char *argument, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

static pk_status read_arguments(judge *j, int argc, char **argv)
{
    long long seed = 0, memory_mb = 0;
    double seconds = 600;
    j->watchdog_s = 20;
    pk_status status = PK_OK;
    for (int i = 2; i < argc && status == PK_OK; i++) {
        const char *value;
        if ((value = value_of(argv[i], "--worker")))
            j->worker = value;
        else if ((value = value_of(argv[i], "--solution")))
            j->solution = value;
        else if ((value = value_of(argv[i], "--variants")))
            j->variants = value;
        else if ((value = value_of(argv[i], "--json")))
            j->json = value;
        else if ((value = value_of(argv[i], "--seed")))
            status = pk_parse_integer(&seed, "--seed", value, 0, INT64_MAX);
        else if ((value = value_of(argv[i], "--memory")))
            status = pk_parse_integer(&memory_mb, "--memory", value, 0, 1 << 24);
        else if ((value = value_of(argv[i], "--time")))
            status = pk_parse_number(&seconds, "--time", value, 0.1, 1e6);
        else if ((value = value_of(argv[i], "--watchdog")))
            status = pk_parse_number(&j->watchdog_s, "--watchdog", value, 0.1, 86400);
        else if (strcmp(argv[i], "--timing") == 0)
            j->timing = true;
        else
            status = pk_fail(PK_USAGE, "--judge takes no %s", argv[i]);
    }
    if (status == PK_OK && (!j->worker || !j->json))
        status = pk_fail(PK_USAGE, "--judge needs --worker=PROGRAM and --json=FILE: ./lab grade gives both");
    if (status == PK_OK && j->report.lab->knob_count > MOST_KNOBS)
        status = pk_fail(PK_USAGE, "%s: more than %d knobs: raise MOST_KNOBS", j->report.lab->id, MOST_KNOBS);
    j->report.seed = (uint64_t)seed;
    j->limits = pk_confinement_of_program(j->report.device->is_gpu, (unsigned)seconds + 1, (size_t)memory_mb << 20);
    j->until_us = pk_now_us() + seconds * 1e6;
    return status;
}

int pk_judge_main(const pk_lab *lab, int argc, char **argv)
{
    pk_device_info device;
    judge j = {.report = {.lab = lab, .device = &device}, .solution = "/proc/self/exe"};
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no look into this process by one of the same user */
    pk_status status = pk_device_open(&device);
    if (status == PK_OK)
        status = read_arguments(&j, argc, argv);
    if (status == PK_OK)
        status = pk_device_stream_create(&j.stream);
    if (status == PK_OK) {
        pk_launch_register_stream(j.stream);
        status = judge_all(&j);
    }
    if (status == PK_OK)
        status = pk_judgement_write(&j.report, j.json);
    if (status != PK_OK)
        (void)fprintf(stderr, "%s\n", pk_error_text());
    pk_judgement_free(&j.report);
    return pk_exit_code(status);
}
