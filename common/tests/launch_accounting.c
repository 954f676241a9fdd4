/* What PK_LAUNCH reports and the harness reads: counters, foreign streams, the watchdog's description, hints. */
#include <stdio.h>
#include <string.h>

#include "pk_device.h"
#include "pk_hints.h"

static int failures;

static void expect(int true_as_wanted, const char *what)
{
    if (!true_as_wanted) {
        printf("FAILED: %s\n", what);
        failures++;
    }
}

static void expect_text(const char *got, const char *want)
{
    if (strcmp(got, want) != 0) {
        printf("FAILED: got \"%s\", want \"%s\"\n", got, want);
        failures++;
    }
}

static const pk_launch_site site = {"axpy_step", __FILE__, 31};
static const unsigned grid[3] = {4, 1, 1}, block[3] = {256, 2, 1};
static int timed_stream, other_stream; /* only their addresses matter */

static void launch_on(int *stream)
{
    pk_launch_begin(&site, grid, block, stream);
    pk_launch_end();
}

static void counts_and_foreign_streams(void)
{
    pk_launch_counts counts;
    pk_launch_register_stream(&timed_stream);
    pk_launch_register_stream(&timed_stream);
    pk_launch_counts_reset();
    launch_on(&timed_stream);
    launch_on(&timed_stream);
    pk_launch_replay_begin(&timed_stream);
    pk_launch_counts_read(&counts);
    expect(counts.launches == 2 && counts.graph_replays == 1 && counts.foreign == 0, "2 launches, 1 replay, 0 foreign");
    expect(counts.submit_us == 0, "no time taken while calls are not timed");
    expect_text(counts.foreign_site, "");

    launch_on(&other_stream);
    pk_launch_replay_begin(&other_stream);
    pk_launch_counts_read(&counts);
    expect(counts.launches == 3 && counts.graph_replays == 2 && counts.foreign == 2,
           "3 launches, 2 replays, 2 foreign");
    expect_text(counts.foreign_site, "axpy_step at common/tests/launch_accounting.c:31");

    pk_launch_counts_reset();
    pk_launch_replay_begin(&other_stream);
    pk_launch_counts_read(&counts);
    expect_text(counts.foreign_site, "graph replay");

    pk_launch_forget_streams();
    pk_launch_counts_reset();
    launch_on(&timed_stream);
    pk_launch_counts_read(&counts);
    expect(counts.foreign == 1, "a forgotten stream is foreign");
}

/* A sweep has more streams than there is room for, a few at a time. */
static void streams_come_and_go(void)
{
    enum { STREAMS = 500 };
    static int many[STREAMS];
    pk_launch_counts counts;
    pk_launch_register_stream(&timed_stream);
    pk_launch_counts_reset();
    for (int i = 0; i < STREAMS; i++) {
        pk_launch_register_stream(&many[i]);
        launch_on(&many[i]);
        launch_on(&timed_stream);
        if (i % 2 == 0)
            pk_launch_unregister_stream(&many[i]);
        else {
            pk_launch_unregister_stream(&timed_stream);
            pk_launch_unregister_stream(&many[i]);
            pk_launch_register_stream(&timed_stream);
        }
    }
    pk_launch_counts_read(&counts);
    expect(counts.foreign == 0, "none is foreign while it is registered");
    launch_on(&many[0]);
    pk_launch_unregister_stream(&many[0]);
    launch_on(&timed_stream);
    pk_launch_counts_read(&counts);
    expect(counts.foreign == 1, "one that has gone is foreign, the others are not");
    pk_launch_forget_streams();
}

static void timed_calls(void)
{
    pk_launch_counts counts;
    pk_launch_counts_reset();
    pk_launch_time_calls(true);
    for (int i = 0; i < 1000; i++)
        launch_on(&timed_stream);
    pk_launch_time_calls(false);
    pk_launch_counts_read(&counts);
    expect(counts.submit_us > 0, "timed calls take time");
}

static pk_launch_event seen[4];
static int seen_count;

static void watch(const pk_launch_event *event, void *context)
{
    expect(context == &seen_count, "the watcher's own context");
    if (seen_count < 4)
        seen[seen_count] = *event;
    seen_count++;
}

static void watched_launches(void)
{
    pk_launch_watch(watch, &seen_count);
    launch_on(&timed_stream);
    pk_launch_replay_begin(&other_stream);
    pk_launch_end();
    pk_launch_watch(NULL, NULL);
    launch_on(&timed_stream);
    pk_launch_replay_begin(&other_stream);
    pk_launch_end();
    expect(seen_count == 2, "one launch and one replay were watched");
    expect(seen[0].site == &site && !seen[0].is_replay && seen[0].stream == &timed_stream, "the launch");
    expect(seen[0].grid[0] == 4 && seen[0].block[1] == 2, "its shape");
    expect(seen[0].begin_ns > 0 && seen[0].begin_ns <= seen[0].end_ns, "its times");
    expect(seen[1].is_replay && seen[1].stream == &other_stream && seen[1].grid[0] == 0, "the replay");
    expect(seen[0].end_ns <= seen[1].begin_ns, "in order");
}

static void last_launch(void)
{
    char text[128], cut[20];
    launch_on(&timed_stream);
    pk_launch_describe_last(text, sizeof text);
    expect_text(text, "axpy_step<<<(4,1,1), (256,2,1)>>> at common/tests/launch_accounting.c:31");
    pk_launch_describe_last(cut, sizeof cut);
    expect_text(cut, "axpy_step<<<(4,1,1)");
    pk_launch_replay_begin(&timed_stream);
    pk_launch_describe_last(text, sizeof text);
    expect_text(text, "graph replay");
}

static void hints(void)
{
    expect(strstr(pk_hint("cudaErrorNoKernelImageForDevice"), "#no-kernel-image") != NULL, "hint by CUDA's name");
    expect_text(pk_hint("hipErrorNoBinaryForGpu"), pk_hint("cudaErrorNoKernelImageForDevice"));
    expect(strstr(pk_hint("cudaErrorOfTheFuture"), "docs/troubleshooting.md") != NULL, "hint for an unknown name");
    expect_text(pk_cuda_name("hipErrorOutOfMemory"), "cudaErrorMemoryAllocation");
    expect_text(pk_cuda_name("cudaErrorMemoryAllocation"), "cudaErrorMemoryAllocation");
}

static void missing_capabilities(void)
{
    char reason[512];
    pk_device_info info = {.backend = "cuda",
                           .name = "NVIDIA A100",
                           .arch = "sm_80",
                           .toolkit = "13.0",
                           .driver = "12.4",
                           .capabilities = PK_NEED_GRAPH};
    expect(!pk_device_lacks(&info, PK_NEED_GRAPH, reason, sizeof reason), "nothing is missing");
    expect_text(reason, "");
    expect(pk_device_lacks(&info, PK_NEED_GRAPH | PK_NEED_PDL | PK_NEED_CLUSTER, reason, sizeof reason),
           "PDL is missing");
    expect(strncmp(reason, "programmatic dependent launch needs", 35) == 0, "the first that is missing is named");
    expect(strstr(reason, "NVIDIA A100 (sm_80") != NULL, "the device is named");
    expect(strchr(reason, '\n') == NULL, "the reason is one line");

    snprintf(info.backend, sizeof info.backend, "hip-nvidia");
    expect(pk_device_lacks(&info, PK_NEED_CLUSTER, reason, sizeof reason), "clusters are missing");
    expect_text(reason, "HIP has no thread-block clusters");
    expect(pk_device_lacks(&info, PK_NEED_BULK_ASYNC_COPY, reason, sizeof reason), "bulk copies are missing");
    expect(strstr(reason, "needs compute capability 9.0") != NULL, "by the GPU, not by HIP");
    snprintf(info.backend, sizeof info.backend, "hip");
    expect(pk_device_lacks(&info, PK_NEED_BULK_ASYNC_COPY, reason, sizeof reason), "bulk copies are missing");
    expect_text(reason, "HIP has no bulk asynchronous copy");
}

int main(void)
{
    counts_and_foreign_streams();
    streams_come_and_go();
    timed_calls();
    watched_launches();
    last_launch();
    hints();
    missing_capabilities();
    printf("%s\n", failures ? "failed" : "all as it should be");
    return failures != 0;
}
