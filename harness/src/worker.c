/* The worker's side of grading: set up with inputs that everybody may know, prepare, and then repetition by repetition
 * take inputs, execute, and give back what came of it. What a submission does to this process, it does to its own
 * results only: the reference is the known inputs' one, the clock and the verdict are the judge's. */
#include "worker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "contender.h"
#include "exchange.h"
#include "kernel_count.h"
#include "options.h"
#include "pk/confine.h"
#include "pk/host.h"
#include "pk/program.h"
#include "runner.h"
#include "watchdog.h"
#include "wire.h"

enum { KNOWN_SEED = 1 };

typedef struct worker {
    pk_report report; /* for the device, and for what a contender says */
    pk_bench bench;
    pk_contender contender;
    unsigned char *memory;
    size_t memory_bytes;
    unsigned char look[PK_WIRE_MOST_BYTES]; /* a token's number, and what was peeked at */
    size_t look_bytes;
    _Atomic bool works; /* it does not wait for the judge */
} worker;

static worker the_worker;

/* ---- messages ---- */

static void tell(pk_wire_kind kind, pk_wire_outcome *outcome, pk_status status)
{
    outcome->status = (int32_t)status;
    if (status != PK_OK && !outcome->text[0])
        (void)snprintf(outcome->text, sizeof outcome->text, "%s", pk_error_text());
    (void)pk_wire_send(PK_WIRE_REPLIES, kind, outcome, sizeof *outcome);
}

static void peeked(void *context, const void *bytes, size_t count)
{
    worker *w = context;
    if (count > sizeof w->look - w->look_bytes)
        return; /* the judge misses it */
    memcpy(w->look + w->look_bytes, bytes, count);
    w->look_bytes += count;
}

/* The number in front, behind it the host's parts, then what was peeked at: so the judge has all when it asks the lab.
 */
static void looked(void *context, size_t token)
{
    worker *w = context;
    unsigned char message[PK_WIRE_MOST_BYTES];
    const uint64_t number = token;
    size_t used = sizeof number;
    memcpy(message, &number, sizeof number);
    for (size_t i = 0; i < w->bench.part_count; i++) {
        const pk_host_part *part = &w->bench.parts[i];
        if (part->role != PK_HOST_LOOK || part->bytes > sizeof message - used)
            continue;
        memcpy(message + used, part->memory, part->bytes);
        used += part->bytes;
    }
    const size_t room = sizeof message - used, shown = w->look_bytes < room ? w->look_bytes : room;
    memcpy(message + used, w->look, shown);
    w->look_bytes = 0;
    (void)pk_wire_send(PK_WIRE_REPLIES, PK_WIRE_LOOK, message, used + shown);
}

/* Called on the watchdog's thread: the main one hangs, or waits for the judge, who has a clock of its own for that. */
static void give_up(pk_status why, const char *text)
{
    pk_wire_outcome outcome = {0};
    if (!atomic_load_explicit(&the_worker.works, memory_order_relaxed)) {
        pk_watchdog_progress("waiting for the judge");
        return;
    }
    (void)snprintf(outcome.text, sizeof outcome.text, "%s", text);
    tell(PK_WIRE_DONE, &outcome, why);
    _exit(pk_exit_code(why));
}

/* ---- a repetition ---- */

static pk_status load(worker *w, pk_buffer_set buffers)
{
    pk_run *run = &w->contender.run;
    pk_exchange_take_parts(&w->bench, PK_HOST_INPUT, w->memory);
    const pk_status status = pk_repetition_prepare(run, PK_HOT);
    return status == PK_OK ? pk_exchange_take_buffers(&w->bench, buffers, w->memory) : status;
}

static void execute(worker *w, const pk_wire_request *request)
{
    pk_run *run = &w->contender.run;
    pk_wire_outcome outcome = {.kernels = UINT64_MAX};
    double wall_us;
    static const pk_looks looks = {peeked, looked, &the_worker};
    run->peeks = request->is_looked_at != 0;
    run->looks = &looks;
    run->check_tokens = w->bench.lab->token_ends_on_stream;
    const bool counts = request->is_counted && pk_kernel_count_begin();
    pk_status status = pk_repetition_execute(run, &wall_us);
    if (status == PK_OK)
        status = pk_device_synchronize(); /* streams of its own belong to the time too */
    if (counts)
        outcome.kernels = pk_kernel_count_end();
    outcome.launches = run->launches.launches;
    if (run->launches.graph_replays > 0 && w->report.device.is_gpu)
        outcome.kernels = UINT64_MAX; /* CUPTI counts what graphs run too */
    (void)snprintf(outcome.open_step, sizeof outcome.open_step, "%s", run->open_step);
    tell(PK_WIRE_DONE, &outcome, status);
    if (status != PK_OK)
        pk_repetition_left_behind(run);
}

static void give_results(worker *w, pk_buffer_set buffers)
{
    pk_wire_outcome outcome = {0};
    pk_exchange_put_parts(&w->bench, PK_HOST_OUTCOME, w->memory);
    tell(PK_WIRE_RESULTS, &outcome, pk_exchange_put_buffers(&w->bench, buffers, w->memory));
}

static void serve(worker *w)
{
    pk_wire_head head;
    pk_wire_request request;
    while (pk_wire_read(PK_WIRE_REQUESTS, &head, sizeof head)) {
        pk_watchdog_progress(w->contender.run.variant->name);
        atomic_store_explicit(&w->works, true, memory_order_relaxed);
        if (head.bytes != sizeof request || !pk_wire_read(PK_WIRE_REQUESTS, &request, sizeof request))
            return;
        if (head.kind == PK_WIRE_LOAD) {
            pk_wire_outcome outcome = {0};
            tell(PK_WIRE_LOADED, &outcome, load(w, request.buffers));
        } else if (head.kind == PK_WIRE_GO) {
            execute(w, &request);
            give_results(w, request.buffers);
        } else {
            return;
        }
        atomic_store_explicit(&w->works, false, memory_order_relaxed);
    }
}

/* ---- beginning and end ---- */

static const pk_variant *variant_named(const char *name)
{
    for (size_t f = 0; f < pk_variant_file_count; f++) {
        const pk_variant_list list = pk_variant_files[f].variants();
        for (size_t i = 0; i < list.count && !pk_variant_files[f].is_baseline; i++)
            if (name && strcmp(list.variants[i].name, name) == 0)
                return &list.variants[i];
    }
    return NULL;
}

static pk_status open_device(worker *w)
{
    pk_status status = pk_device_open(&w->report.device);
    if (status == PK_OK)
        status = pk_device_stream_create(&w->bench.stream);
    if (status == PK_OK)
        pk_launch_register_stream(w->bench.stream);
    return status;
}

static pk_status map_memory(worker *w)
{
    w->memory_bytes = pk_exchange_bytes(&w->bench);
    const pk_wire_hello hello = {pk_exchange_shape(&w->bench), w->memory_bytes};
    if (!pk_wire_send(PK_WIRE_REPLIES, PK_WIRE_HELLO, &hello, sizeof hello))
        return pk_fail(PK_USAGE, "no judge listens: this program is started by ./lab grade");
    w->memory = mmap(NULL, w->memory_bytes + 1, PROT_READ | PROT_WRITE, MAP_SHARED, PK_WIRE_MEMORY, 0);
    return w->memory == MAP_FAILED ? pk_out_of_memory("the worker") : PK_OK;
}

static void prepare(worker *w)
{
    pk_run *run = &w->contender.run;
    pk_wire_outcome outcome = {.filtered = pk_confine_self()};
    char reason[256];
    pk_status status = PK_OK;
    if (pk_device_lacks(w->bench.device, run->variant->needs, reason, sizeof reason))
        status = pk_fail(PK_SKIP, "%s", reason);
    atomic_store_explicit(&w->works, true, memory_order_relaxed);
    w->bench.variant_runs = true;
    if (status == PK_OK && run->variant->prepare)
        status = run->variant->prepare(run);
    w->bench.variant_runs = false;
    (void)snprintf(outcome.open_step, sizeof outcome.open_step, "%s", run->open_step);
    tell(PK_WIRE_PREPARED, &outcome, status);
    atomic_store_explicit(&w->works, false, memory_order_relaxed);
}

static pk_status begin(worker *w, const pk_lab *lab, const pk_options *options)
{
    const pk_variant *variant = variant_named(options->variants);
    if (!variant)
        return pk_fail(PK_USAGE, "%s: no variant of that name to work on", lab->id);
    w->bench = (pk_bench){.lab = lab, .knobs = options->knobs, .device = &w->report.device};
    pk_status status = open_device(w);
    pk_run lab_run = {.bench = &w->bench, .variant = variant};
    if (status == PK_OK)
        status = pk_bench_set_up(&lab_run, KNOWN_SEED);
    if (status == PK_OK)
        status = pk_contender_init(&w->contender, &w->bench, variant, 0);
    return status == PK_OK ? map_memory(w) : status;
}

int pk_worker_main(const pk_lab *lab, int argc, char **argv)
{
    worker *w = &the_worker;
    pk_options options;
    bool done;
    const pk_watchdog_calls calls = {.give_up = give_up, .describe = pk_repetition_describe};
    pk_status status = pk_options_parse(&options, lab, argc - 1, argv + 1, &done);
    if (status == PK_OK)
        status = pk_watchdog_start(options.watchdog_s, &calls);
    if (status == PK_OK)
        status = begin(w, lab, &options);
    if (status != PK_OK) {
        (void)fprintf(stderr, "%s\n", pk_error_text());
        return pk_exit_code(status);
    }
    prepare(w);
    serve(w);
    (void)fflush(NULL);
    _exit(0); /* what the process holds goes with it; a submission's finish has nothing to add */
}
