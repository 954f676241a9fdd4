/* Traces in memory and as files: limits, order, names; what CUPTI and the CPU device tell is tested where they are
 * (sensors_test.c, trace_test.py). */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../src/kernel_name.h"
#include "../src/trace_json.h"
#include "sample_report.h"

static pk_trace_event work(uint64_t stream, uint64_t begin_ns, uint64_t end_ns)
{
    return (pk_trace_event){
        .kind = PK_TRACE_KERNEL, .name = "kernel", .stream = stream, .begin_ns = begin_ns, .end_ns = end_ns};
}

static void add(pk_trace *trace, pk_trace_event event)
{
    pk_trace_add(trace, &event);
}

Test(trace, keeps_no_more_than_its_limit_and_counts_the_rest)
{
    enum { LIMIT = 3000, EVENTS = 5000 };
    pk_trace trace;
    pk_trace_init(&trace, LIMIT);
    for (uint64_t i = 0; i < EVENTS; i++)
        add(&trace, work(1, 10 * i, 10 * i + 5));
    trace.end_ns = UINT64_MAX;
    pk_trace_settle(&trace);
    cr_assert_eq(trace.count, (size_t)LIMIT);
    cr_assert_eq(trace.left_out, (uint64_t)(EVENTS - LIMIT));
    cr_assert_eq(trace.events[LIMIT - 1].begin_ns, (uint64_t)(10 * (LIMIT - 1)), "the first ones are kept");
    cr_assert_leq(trace.room, (size_t)LIMIT);
    pk_trace_free(&trace);
}

Test(trace, holds_nothing_that_began_before_the_repetition)
{
    enum { LIMIT = 3 };
    pk_trace trace;
    pk_trace_init(&trace, LIMIT);
    for (uint64_t i = 0; i < LIMIT + 1; i++)
        add(&trace, work(1, 10 * i, 10 * i + 5));
    pk_trace_begin_at(&trace, 20); /* the source is ahead of the clock by one event, and told of one more than fits */
    add(&trace, work(1, 19, 40));  /* and is behind by one */
    add(&trace, work(1, 30, 35));
    trace.end_ns = UINT64_MAX;
    pk_trace_settle(&trace);
    cr_assert_eq(trace.begin_ns, (uint64_t)20);
    cr_assert_eq(trace.count, (size_t)2);
    cr_assert(trace.events[0].begin_ns == 20 && trace.events[1].begin_ns == 30);
    cr_assert_eq(trace.left_out, (uint64_t)0, "what went ahead takes no room");
    pk_trace_free(&trace);
}

Test(trace, names_are_its_own)
{
    pk_trace trace;
    char name[] = "axpy";
    pk_trace_init(&trace, 100);
    pk_trace_event event = work(1, 0, 1);
    event.name = name;
    for (int i = 0; i < 40; i++) { /* more names than there was room for at first, each of them twice */
        name[0] = (char)('a' + i % 20);
        pk_trace_add(&trace, &event);
    }
    name[0] = '?';
    cr_assert_eq(trace.name_count, (size_t)20);
    for (size_t i = 0; i < 40; i++) {
        cr_assert_eq(trace.events[i].name[0], (char)('a' + i % 20));
        cr_assert_str_eq(trace.events[i].name + 1, "xpy");
    }
    pk_trace_free(&trace);
}

Test(trace, settles_by_side_and_stream_and_time_in_lanes_without_overlap)
{
    pk_trace trace;
    pk_trace_init(&trace, 100);
    add(&trace, work(2, 100, 200));
    add(&trace, work(1, 300, 400));
    add(&trace, work(1, 100, 250));
    add(&trace, work(1, 200, 320)); /* beside the one before and the one after */
    add(&trace, work(1, 250, 260)); /* as soon as the first ends */
    add(&trace, work(1, 900, 950)); /* after the repetition */
    add(&trace, (pk_trace_event){.kind = PK_TRACE_LAUNCH, .name = "b", .begin_ns = 60, .end_ns = 70, .thread = 5});
    add(&trace, (pk_trace_event){.kind = PK_TRACE_LAUNCH, .name = "a", .begin_ns = 50, .end_ns = 55, .thread = 5});
    add(&trace, (pk_trace_event){.kind = PK_TRACE_WAIT, .name = "w", .begin_ns = 10, .end_ns = 20, .thread = 9});
    trace.end_ns = 800;
    pk_trace_settle(&trace);
    static const struct {
        uint64_t begin_ns;
        uint32_t lane;
    } order[] = {{50, 0}, {60, 0}, {10, 0}, {100, 0}, {250, 0}, {300, 0}, {200, 1}, {100, 0}};
    cr_assert_eq(trace.count, sizeof order / sizeof order[0]);
    for (size_t i = 0; i < trace.count; i++) {
        cr_assert_eq(trace.events[i].begin_ns, order[i].begin_ns, "event %zu", i);
        cr_assert_eq(trace.events[i].lane, order[i].lane, "event %zu", i);
    }
    pk_trace_free(&trace);
}

static pk_trace_event node(uint64_t number, uint64_t call, uint64_t begin_ns)
{
    pk_trace_event event = work(7, begin_ns, begin_ns + 5);
    event.graph = 3;
    event.node = number;
    event.call = call;
    return event;
}

static pk_trace_event of_host(pk_trace_kind kind, uint64_t call, uint64_t begin_ns)
{
    return (pk_trace_event){.kind = kind, .name = "call", .call = call, .begin_ns = begin_ns, .end_ns = begin_ns + 5};
}

/* Two replays of two nodes between a launch and a wait, as a source tells of them that numbers the work of replay i
 * `numbers[i]`. */
static void record_two_replays(pk_trace *trace, const uint64_t numbers[2])
{
    pk_trace_init(trace, 100);
    add(trace, node(2, numbers[1], 80));
    add(trace, of_host(PK_TRACE_LAUNCH, 4, 10));
    add(trace, of_host(PK_TRACE_REPLAY, 5, 20));
    add(trace, of_host(PK_TRACE_REPLAY, 6, 30));
    add(trace, of_host(PK_TRACE_WAIT, 7, 40));
    add(trace, (pk_trace_event){.kind = PK_TRACE_TOKEN, .name = "", .call = 900, .begin_ns = 90, .end_ns = 90});
    pk_trace_event launched = work(7, 45, 48);
    launched.call = 4;
    add(trace, launched);
    add(trace, node(1, numbers[0], 50));
    add(trace, node(2, numbers[0], 60));
    add(trace, node(1, numbers[1], 70));
    pk_trace_pair_replays(trace);
}

/* By a clock that began anywhere, before the repetition or long behind it. */
static void spans_from(uint64_t clock)
{
    pk_trace trace;
    pk_trace_init(&trace, 100);
    pk_trace_begin_at(&trace, 1000);
    pk_trace_event span = {
        .kind = PK_TRACE_SPAN, .name = "o", .begin_ns = clock, .end_ns = clock + 30, .stream = PK_TRACE_BLOCKS + 1};
    add(&trace, span);
    span.stream = PK_TRACE_BLOCKS;
    span.end_ns = clock + 100;
    add(&trace, span);
    add(&trace, work(7, 1200, 2000));
    add(&trace, work(7, 3000, 4000)); /* of another repetition */
    trace.end_ns = 2500;
    pk_trace_settle(&trace);
    cr_assert_eq(trace.count, (size_t)3);
    cr_assert(trace.events[0].kind == PK_TRACE_KERNEL && trace.events[0].begin_ns == 1200, "kernels stay");
    cr_assert(trace.events[1].begin_ns == 1900 && trace.events[1].end_ns == 2000, "the last one ends with the kernel");
    cr_assert(trace.events[2].begin_ns == 1900 && trace.events[2].end_ns == 1930, "the others stand as they stood");
    pk_trace_free(&trace);
}

Test(trace, puts_blocks_spans_where_the_last_kernel_ends)
{
    spans_from(0);
    spans_from(500);
    spans_from((uint64_t)1 << 60);
}

Test(trace, leaves_the_pairs_of_replays_and_nodes_that_a_source_tells)
{
    pk_trace trace;
    record_two_replays(&trace, (const uint64_t[]){5, 6});
    cr_assert_eq(trace.events[0].call, (uint64_t)6);
    cr_assert_eq(trace.events[2].call, (uint64_t)5);
    cr_assert_eq(trace.events[7].call, (uint64_t)5);
    cr_assert_eq(trace.unpaired, (uint64_t)0);
    pk_trace_free(&trace);
}

Test(trace, pairs_replays_and_nodes_in_order_where_the_numbers_cannot_be_true)
{
    static const uint64_t wrong[][2] = {
        {805, 806}, /* nobody's */
        {4, 5},     /* of the call ahead: a launch, and the other replay */
        {6, 7},     /* of the call behind: the other replay, and a wait */
        {0, 5},     /* not known */
        {5, 5},     /* of the first replay, all */
        {805, 805}, /* of nobody, all */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pk_trace trace;
        record_two_replays(&trace, wrong[i]);
        const uint64_t first = trace.events[2].call, second = trace.events[3].call;
        cr_assert(first > 7 && second > 7 && first != second, "case %zu: the calls' own numbers", i);
        cr_assert(trace.events[7].call == first && trace.events[8].call == first, "case %zu: the first replay's", i);
        cr_assert(trace.events[9].call == second && trace.events[0].call == second, "case %zu: the second's", i);
        cr_assert(trace.events[1].call == 4 && trace.events[4].call == 7 && trace.events[6].call == 4 &&
                      trace.events[5].call == 900,
                  "case %zu: the others stay", i);
        cr_assert_eq(trace.unpaired, (uint64_t)0);
        pk_trace_free(&trace);
    }
}

Test(trace, says_of_how_many_nodes_nobody_knows_the_replay)
{
    pk_trace trace;
    pk_trace_init(&trace, 100);
    add(&trace, of_host(PK_TRACE_REPLAY, 5, 20));
    add(&trace, of_host(PK_TRACE_REPLAY, 6, 30));
    for (uint64_t i = 0; i < 6; i++)
        add(&trace, node(1 + i % 2, 805, 50 + 10 * i)); /* one number, and three runs for two calls */
    pk_trace_pair_replays(&trace);
    cr_assert_eq(trace.unpaired, (uint64_t)6);
    cr_assert_eq(trace.events[2].call, (uint64_t)0, "no arrow rather than a wrong one");
    cr_assert(trace.events[0].call == 5 && trace.events[1].call == 6);
    pk_trace_free(&trace);
}

Test(trace, a_replay_may_have_no_work_and_a_loop_may_run_a_node_often)
{
    pk_trace trace;
    pk_trace_init(&trace, 100);
    add(&trace, of_host(PK_TRACE_REPLAY, 5, 20));
    add(&trace, of_host(PK_TRACE_REPLAY, 6, 30));
    for (uint64_t i = 0; i < 6; i++)
        add(&trace, node(1 + i % 2, 6, 50 + 10 * i));
    pk_trace_pair_replays(&trace);
    cr_assert_eq(trace.unpaired, (uint64_t)0);
    cr_assert(trace.events[0].call == 5 && trace.events[1].call == 6 && trace.events[7].call == 6);
    pk_trace_free(&trace);
}

Test(trace, more_at_once_than_there_are_lanes)
{
    pk_trace trace;
    pk_trace_init(&trace, 100);
    for (uint64_t i = 0; i < 50; i++)
        add(&trace, work(1, i, 1000));
    trace.end_ns = 2000;
    pk_trace_settle(&trace);
    cr_assert_eq(trace.count, (size_t)50);
    cr_assert_eq(trace.events[49].lane, 31u);
    pk_trace_free(&trace);
}

Test(trace, knows_what_a_call_is)
{
    static const struct {
        const char *name;
        bool shown;
        pk_trace_kind kind;
    } calls[] = {{"cudaLaunchKernel", true, PK_TRACE_LAUNCH},
                 {"cudaLaunchKernelExC", true, PK_TRACE_LAUNCH},
                 {"cudaLaunchCooperativeKernel", true, PK_TRACE_LAUNCH},
                 {"cudaLaunchHostFunc", true, PK_TRACE_CALL},
                 {"cudaGraphLaunch", true, PK_TRACE_REPLAY},
                 {"cudaMemcpyAsync", true, PK_TRACE_COPY_CALL},
                 {"cudaMemsetAsync", true, PK_TRACE_FILL_CALL},
                 {"cudaStreamSynchronize", true, PK_TRACE_WAIT},
                 {"cudaEventSynchronize", true, PK_TRACE_WAIT},
                 {"cudaEventRecord", true, PK_TRACE_CALL},
                 {"cudaGraphExecKernelNodeSetParams", true, PK_TRACE_CALL},
                 {"cudaMalloc", true, PK_TRACE_CALL},
                 {"cudaPushCallConfiguration", false, PK_TRACE_CALL},
                 {"cudaPopCallConfiguration", false, PK_TRACE_CALL},
                 {"cudaGetLastError", false, PK_TRACE_CALL},
                 {"cudaPeekAtLastError", false, PK_TRACE_CALL},
                 {"cudaStreamQuery", false, PK_TRACE_CALL},
                 {"cudaEventQuery", false, PK_TRACE_CALL},
                 {"cudaMemGetInfo", false, PK_TRACE_CALL}};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        pk_trace_kind kind;
        cr_assert_eq(pk_trace_call_kind(calls[i].name, &kind), calls[i].shown, "%s", calls[i].name);
        cr_assert(!calls[i].shown || kind == calls[i].kind, "%s", calls[i].name);
    }
}

Test(trace, reads_kernel_names)
{
    static const char *const names[][2] = {/* as nvcc 13.0 mangles them */
                                           {"_Z5plaini", "plain"},
                                           {"_ZL5plaini", "plain"},
                                           {"_Z4tmplILi4ELb1EEvPKf", "tmpl<4,true>"},
                                           {"_Z4tmplILin3ELb0EEvPKf", "tmpl<-3,false>"},
                                           {"_Z2tyIfEvT_", "ty<float>"},
                                           {"_Z2tyI13__nv_bfloat16EvT_", "ty<__nv_bfloat16>"},
                                           {"_Z3mixILj64E1sEvT0_S0_", "mix<64,s>"},
                                           {"_Z2tyIPKfEvT_", "ty<...>"},
                                           {"_ZN1a36_GLOBAL__N__81c2f8b8_4_k_cu__Z3extPf6nestedEi", "nested"},
                                           {"plain", "plain"},
                                           {"", ""},
                                           {"_Z", "_Z"},
                                           {"_Z99short", "_Z99short"},
                                           {"_Z4tmplILi", "tmpl<...>"},
                                           {"_Z4tmplI", "tmpl<...>"},
                                           {"_Z99999999999999999999999x", "_Z99999999999999999999999x"}};
    char name[64], cut[4];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        pk_kernel_name(name, sizeof name, names[i][0]);
        cr_assert_str_eq(name, names[i][1]);
    }
    pk_kernel_name(cut, sizeof cut, "_Z5plaini");
    cr_assert_str_eq(cut, "pla");
}

/* ---- the file ---- */

static cJSON *written(const pk_report *report, const long long *knobs, const pk_trace *traces, size_t count)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/pk_trace_test.%ld", (long)getpid());
    cr_assert_eq(pk_trace_write(report, knobs, traces, count, path), PK_OK, "%s", pk_error_text());
    char *text = sample_text_of(path);
    cJSON *document = cJSON_Parse(text);
    cr_assert_not_null(document, "no JSON: %s", text);
    free(text);
    return document;
}

static const cJSON *named(const cJSON *events, const char *name, int process)
{
    const cJSON *event;
    cJSON_ArrayForEach(event, events)
    {
        const cJSON *pid = cJSON_GetObjectItemCaseSensitive(event, "pid");
        const char *its = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "name"));
        if (pid->valueint == process && strcmp(its, name) == 0)
            return event;
    }
    return NULL;
}

static const char *argument(const cJSON *event, const char *name)
{
    return cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(event, "args"), name));
}

Test(trace, file_holds_any_name_and_says_what_is_left_out)
{
    pk_report report;
    sample_gpu_report(&report);
    pk_trace traces[2];
    for (int i = 0; i < 2; i++) {
        pk_trace_init(&traces[i], 2);
        traces[i].variant = i ? "second" : "fir\"st";
        traces[i].begin_ns = 5000;
        traces[i].end_ns = 12345;
    }
    add(&traces[0], (pk_trace_event){
                        .kind = PK_TRACE_LAUNCH, .name = "a\"b\\c\n\xff", .begin_ns = 6001, .end_ns = 7000, .call = 9});
    pk_trace_event kernel = work(3, 8000, 9000);
    kernel.call = 9;
    add(&traces[0], kernel);
    add(&traces[0], kernel);
    traces[0].lost = 4;
    traces[0].unpaired = 7;
    traces[1].missing = "nothing of the device";
    for (int i = 0; i < 2; i++)
        pk_trace_settle(&traces[i]);
    cJSON *document = written(&report, report.results[0].knobs, traces, 2);
    const cJSON *events = cJSON_GetObjectItemCaseSensitive(document, "traceEvents");
    const cJSON *launch = named(events, "a\"b\\c\n?", 1);
    cr_assert_not_null(launch);
    cr_assert_float_eq(cJSON_GetObjectItemCaseSensitive(launch, "ts")->valuedouble, 1.001, 1e-9);
    cr_assert_float_eq(cJSON_GetObjectItemCaseSensitive(launch, "dur")->valuedouble, 0.999, 1e-9);
    cr_assert_str_eq(argument(launch, "kernel"), "kernel");
    cr_assert_not_null(named(events, "submits", 1));
    cr_assert_str_eq(argument(named(events, "process_name", 1), "name"), "fir\"st");
    const char *labels = argument(named(events, "process_labels", 1), "labels");
    cr_assert(strstr(labels, "1 events left out, beyond the 2 that a variant may have"), "%s", labels);
    cr_assert(strstr(labels, "4 records lost"), "%s", labels);
    cr_assert(strstr(labels, "which graph launch handed over 7 nodes"), "%s", labels);
    cr_assert(strstr(argument(named(events, "process_labels", 2), "labels"), "nothing of the device"));
    cJSON_Delete(document);
    for (int i = 0; i < 2; i++)
        pk_trace_free(&traces[i]);
    pk_report_free(&report);
}
