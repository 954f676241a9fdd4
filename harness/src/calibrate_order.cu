/* Calibration: launches, graphs, programmatic dependent launches. Kernels are empty where they are timed: what is left
 * is the order. Where order is checked each adds 1 to one counter by a plain load and a plain store, which gives the
 * right sum only if none runs beside another and none is left out. */
#include "pk_gpu.h"

#include "calibrate.h"
#include "device_limits.h"
#include "pk/host.h"

enum {
    FEW_NODES = 100,
    MANY_NODES = 1000,
    IN_ORDER = 256 /* launches whose order is checked: as many as the limit of a launch is measured with */
};

static __global__ void empty_node(void)
{
}

static __global__ void counting_node(unsigned *counter)
{
    *counter = *counter + 1;
}

/* Lets the next one begin at once, and waits for the one ahead: a chain as a decode step's kernels are. */
static __global__ void empty_pdl(void)
{
    PK_GRID_DEPENDENCY_TRIGGER();
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
}

static __global__ void counting_pdl(unsigned *counter)
{
    PK_GRID_DEPENDENCY_TRIGGER();
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
    *counter = *counter + 1;
}

/* What is launched `count` times; with a counter the kernels that count. */
typedef pk_status issue_launches(cudaStream_t stream, int count, unsigned *counter);

static pk_status issue_plain(cudaStream_t stream, int count, unsigned *counter)
{
    for (int i = 0; i < count; i++) {
        if (counter)
            PK_LAUNCH(counting_node, 1, 1, 0, stream, counter);
        else
            PK_LAUNCH(empty_node, 1, 32, 0, stream);
    }
    return PK_OK;
}

static pk_status issue_dependent(cudaStream_t stream, int count, unsigned *counter)
{
    for (int i = 0; i < count; i++) {
        if (counter)
            PK_LAUNCH_PDL(counting_pdl, 1, 1, 0, stream, counter);
        else
            PK_LAUNCH_PDL(empty_pdl, 1, 32, 0, stream);
    }
    return PK_OK;
}

static pk_status counter_open(const pk_calibrator *c, unsigned **counter)
{
    void *memory = NULL;
    PK_TRY(pk_device_alloc(&memory, sizeof **counter));
    *counter = (unsigned *)memory;
    const pk_status status = pk_device_fill(memory, 0, sizeof **counter, c->stream);
    if (status != PK_OK)
        pk_device_free(memory);
    return status;
}

/* ---- in a stream ---- */

static pk_status demand_order(const pk_calibrator *c, issue_launches *issue, const char *what)
{
    unsigned *counter;
    PK_TRY(counter_open(c, &counter));
    pk_status status = issue((cudaStream_t)c->stream, IN_ORDER, counter);
    if (status == PK_OK)
        status = pk_calibrate_demand(c, counter, IN_ORDER, what);
    pk_device_free(counter);
    return status;
}

pk_status pk_calibrate_launch_order(const pk_calibrator *c)
{
    return demand_order(c, issue_plain, "launches in stream order");
}

static pk_status issue_empty_pdl(void *stream, int launches)
{
    return issue_dependent((cudaStream_t)stream, launches, NULL);
}

pk_status pk_calibrate_pdl_gap(const pk_calibrator *c, pk_samples *us)
{
    PK_TRY(demand_order(c, issue_dependent, "programmatic dependent launches"));
    return pk_limits_time_queued(c->stream, issue_empty_pdl, c->begin, c->end, us);
}

pk_status pk_calibrate_sync(const pk_calibrator *c, pk_samples *us)
{
    enum { WAITS = 100 };
    const cudaStream_t stream = (cudaStream_t)c->stream;
    PK_CHECK(cudaStreamSynchronize(stream));
    for (int round = 0; round < c->rounds; round++) {
        const double start = pk_now_us();
        for (int i = 0; i < WAITS; i++)
            PK_CHECK(cudaStreamSynchronize(stream));
        PK_TRY(pk_samples_add(us, (pk_now_us() - start) / WAITS));
    }
    return PK_OK;
}

/* ---- in a graph ---- */

typedef struct chain { /* a graph of nodes one behind the other */
    cudaGraph_t graph;
    cudaGraphExec_t exec;
} chain;

static void chain_close(chain *made)
{
    pk_graph_destroy(made->graph, made->exec);
    made->exec = NULL;
    made->graph = NULL;
}

static pk_status capture(const pk_calibrator *c, issue_launches *issue, int nodes, unsigned *counter, chain *made)
{
    const cudaStream_t stream = (cudaStream_t)c->stream;
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    const pk_status issued = issue(stream, nodes, counter);
    PK_CHECK(cudaStreamEndCapture(stream, &made->graph));
    PK_TRY(issued);
    PK_CHECK(cudaGraphInstantiate(&made->exec, made->graph, 0));
    return PK_OK;
}

static pk_status chain_open(const pk_calibrator *c, issue_launches *issue, int nodes, unsigned *counter, chain *made)
{
    made->graph = NULL;
    made->exec = NULL;
    const pk_status status = capture(c, issue, nodes, counter, made);
    if (status != PK_OK)
        chain_close(made);
    return status;
}

static pk_status replay(const pk_calibrator *c, const chain *made)
{
    PK_GRAPH_LAUNCH(made->exec, (cudaStream_t)c->stream);
    return PK_OK;
}

static pk_status replay_and_count(const pk_calibrator *c, issue_launches *issue, unsigned *counter)
{
    chain counting;
    PK_TRY(chain_open(c, issue, MANY_NODES, counter, &counting));
    pk_status status = PK_OK;
    for (int replays = 1; replays <= 2 && status == PK_OK; replays++) {
        status = replay(c, &counting);
        if (status == PK_OK)
            status = pk_calibrate_demand(c, counter, (unsigned)(replays * MANY_NODES), "a graph's replay");
    }
    chain_close(&counting);
    return status;
}

/* That each replay runs each node, in order. */
static pk_status demand_replay(const pk_calibrator *c, issue_launches *issue)
{
    unsigned *counter;
    PK_TRY(counter_open(c, &counter));
    const pk_status status = replay_and_count(c, issue, counter);
    pk_device_free(counter);
    return status;
}

/* Host time in the call that launches the graph, or until it has ended. */
static pk_status replay_times(const pk_calibrator *c, const chain *made, bool until_ended, pk_samples *us)
{
    enum { REPLAYS = 10 };
    const cudaStream_t stream = (cudaStream_t)c->stream;
    for (int i = -1; i < c->rounds * REPLAYS; i++) { /* the first uploads the graph */
        const double start = pk_now_us();
        PK_TRY(replay(c, made));
        const double submitted = pk_now_us();
        PK_CHECK(cudaStreamSynchronize(stream));
        const double ended = pk_now_us();
        if (i >= 0)
            PK_TRY(pk_samples_add(us, (until_ended ? ended : submitted) - start));
    }
    return PK_OK;
}

static pk_status time_replays(const pk_calibrator *c, int nodes, bool until_ended, pk_samples *us)
{
    chain made;
    PK_TRY(demand_replay(c, issue_plain));
    PK_TRY(chain_open(c, issue_plain, nodes, NULL, &made));
    const pk_status status = replay_times(c, &made, until_ended, us);
    chain_close(&made);
    return status;
}

pk_status pk_calibrate_graph_submit(const pk_calibrator *c, pk_samples *us)
{
    return time_replays(c, FEW_NODES, false, us);
}

pk_status pk_calibrate_graph_launch_sync(const pk_calibrator *c, pk_samples *us)
{
    return time_replays(c, 1, true, us);
}

typedef struct chains { /* the same work in two lengths */
    chain few, many;
} chains;

static pk_status replay_nodes(const pk_calibrator *c, void *context, int nodes)
{
    const chains *both = (const chains *)context;
    return replay(c, nodes == FEW_NODES ? &both->few : &both->many);
}

static pk_status time_node(const pk_calibrator *c, issue_launches *issue, pk_samples *us)
{
    chains both = {{NULL, NULL}, {NULL, NULL}};
    PK_TRY(demand_replay(c, issue));
    pk_status status = chain_open(c, issue, FEW_NODES, NULL, &both.few);
    if (status == PK_OK)
        status = chain_open(c, issue, MANY_NODES, NULL, &both.many);
    if (status == PK_OK)
        status = pk_calibrate_slope(c, replay_nodes, &both, FEW_NODES, MANY_NODES, us);
    chain_close(&both.few);
    chain_close(&both.many);
    return status;
}

pk_status pk_calibrate_graph_node(const pk_calibrator *c, pk_samples *us)
{
    return time_node(c, issue_plain, us);
}

pk_status pk_calibrate_graph_pdl_node(const pk_calibrator *c, pk_samples *us)
{
    return time_node(c, issue_dependent, us);
}
