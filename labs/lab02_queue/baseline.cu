/* Lab 02, persistent queue: the baselines. Each of them launches for every step.
 *
 *   launch-sync  a launch for each step of each request, and a wait to learn that it ended
 *   launch-loop  the same launches back to back, one wait for all of them: the host learns of no step before the end
 *   batched      one launch for the next step of all requests that are ready, and a wait
 *   ping-pong    no rival but a measure: one block, and a word each way for each step. What a round trip takes at least
 *
 * A launched step has the whole device: its elements, or the rows of A, are spread over as many blocks as they need. */
#include "lab02_launch.cuh"
#include "lab02_rings.cuh"

enum { BATCH = 8 /* requests that a block of the dense kernel takes together, so that A is read once for them */ };

/* ---- kernels ---- */

/* The upper half of an entry is a request, the lower half the step that it is at. */
typedef unsigned long long request_step;

static inline request_step lab02_entry(unsigned request, unsigned step)
{
    return (request_step)request << 32 | step;
}

/* Threads own elements; blockIdx.y is the entry of `list`, or `only` is the one entry. */
static __global__ void axpy_steps(lab02_problem problem, const request_step *list, request_step only)
{
    const request_step entry = list ? list[blockIdx.y] : only;
    lab02_axpy(&problem, (unsigned)(entry >> 32), (int)(unsigned)entry, blockIdx.x * blockDim.x + threadIdx.x,
               gridDim.x * blockDim.x, problem.n);
}

/* Other blocks still read the old state when a block writes the new one, so states go back and forth between two
 * arrays. With `left` steps to do, the state is in problem.state when `left` is even: there it is at the end. */
static __device__ inline float *state_with_left(const lab02_problem *problem, float *other, int left)
{
    return left % 2 == 0 ? problem->state : other;
}

/* Four neighbouring lanes own a row: one of its four partial sums each, added in the order of lab02_row. A block takes
 * entries blockIdx.y * TILE to blockIdx.y * TILE + TILE - 1 of `list` [count]. Shared: their states, [TILE][n]. */
template <int TILE>
static __global__ void dense_steps(lab02_problem problem, float *other, const request_step *list, int count,
                                   request_step only)
{
    PK_DYNAMIC_SHARED(float, now);
    const int n = problem.n, part = threadIdx.x % 4, first = blockIdx.y * TILE;
    for (int at = threadIdx.x; at < TILE * n; at += blockDim.x) {
        const int tile = at / n, of = first + tile < count ? first + tile : count - 1;
        const request_step entry = list ? list[of] : only;
        const float *from = state_with_left(&problem, other, problem.steps - (int)(unsigned)entry);
        now[at] = from[(size_t)(entry >> 32) * n + at % n];
    }
    __syncthreads();
    for (int row = blockIdx.x * (blockDim.x / 4); row < n; row += gridDim.x * (blockDim.x / 4)) {
        const int i = row + threadIdx.x / 4;
        float sum[TILE] = {0};
        for (int j = 0; j < n / 4 && i < n; j++) {
            const float a = problem.matrix[((size_t)j * n + i) * 4 + part];
#pragma unroll
            for (int tile = 0; tile < TILE; tile++)
                sum[tile] = fmaf(a, now[tile * n + 4 * j + part], sum[tile]);
        }
#pragma unroll
        for (int tile = 0; tile < TILE; tile++) {
            float whole = sum[tile] + __shfl_xor_sync(0xffffffffu, sum[tile], 1);
            whole += __shfl_xor_sync(0xffffffffu, whole, 2);
            if (part != 0 || i >= n || first + tile >= count)
                continue;
            const request_step entry = list ? list[first + tile] : only;
            const int step = (int)(unsigned)entry;
            const size_t base = (size_t)(entry >> 32) * n;
            const float y = tanhf(whole + problem.x[base + i]);
            state_with_left(&problem, other, problem.steps - step - 1)[base + i] = y;
            if (i == step % n)
                problem.trace[(size_t)(entry >> 32) * problem.steps + step] = y;
        }
    }
}

/* ---- launching ---- */

static unsigned blocks_for(const lab02 *lab, unsigned items)
{
    const unsigned threads = (unsigned)lab->threads, needed = (items + threads - 1) / threads;
    return lab->blocks && needed > (unsigned)lab->blocks ? (unsigned)lab->blocks : needed;
}

/* One step of one request. */
static pk_status launch_one(const lab02 *lab, float *other, unsigned request, unsigned step, cudaStream_t stream)
{
    const lab02_problem problem = lab->problem;
    const unsigned n = (unsigned)problem.n;
    if (problem.dense)
        PK_LAUNCH(dense_steps<1>, blocks_for(lab, 4 * n), (unsigned)lab->threads, n * sizeof(float), stream, problem,
                  other, (const request_step *)NULL, 1, lab02_entry(request, step));
    else
        PK_LAUNCH(axpy_steps, blocks_for(lab, n), (unsigned)lab->threads, 0, stream, problem,
                  (const request_step *)NULL, lab02_entry(request, step));
    return PK_OK;
}

/* The next step of `count` requests. */
static pk_status launch_list(const lab02 *lab, float *other, const request_step *list, unsigned count,
                             cudaStream_t stream)
{
    const lab02_problem problem = lab->problem;
    const unsigned n = (unsigned)problem.n;
    if (problem.dense)
        PK_LAUNCH(dense_steps<BATCH>, dim3(blocks_for(lab, 4 * n), (count + BATCH - 1) / BATCH), (unsigned)lab->threads,
                  BATCH * n * sizeof(float), stream, problem, other, list, (int)count, (request_step)0);
    else
        PK_LAUNCH(axpy_steps, dim3(blocks_for(lab, n), count), (unsigned)lab->threads, 0, stream, problem, list,
                  (request_step)0);
    return PK_OK;
}

/* ---- what the baselines keep: the other array of states, and the batched baseline's list ---- */

typedef struct baseline {
    double us_per_request; /* mean time between arrivals; 0: all are there at once */
    float *other;          /* device, [R][n]; dense only */
    request_step *list;    /* mapped, [R]: the host's view */
    request_step *device_list;
} baseline;

static baseline *baseline_of(const pk_run *run)
{
    return (baseline *)pk_run_variant_data(run);
}

static void release(pk_run *run)
{
    baseline *mine = baseline_of(run);
    if (!mine)
        return;
    pk_device_free(mine->other);
    if (mine->list)
        pk_device_free_mapped(mine->list);
    free(mine);
    pk_run_set_variant_data(run, NULL);
}

static pk_status allocate(pk_run *run)
{
    const lab02 *lab = lab_of(run);
    const size_t requests = (size_t)lab->problem.requests;
    baseline *mine = (baseline *)calloc(1, sizeof *mine);
    if (!mine)
        return pk_out_of_memory("lab02");
    pk_run_set_variant_data(run, mine);
    if (lab->problem.dense) {
        PK_TRY(pk_device_alloc((void **)&mine->other, requests * (size_t)lab->problem.n * sizeof(float)));
        PK_CHECK(cudaFuncSetAttribute(dense_steps<1>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      lab->problem.n * (int)sizeof(float)));
        PK_CHECK(cudaFuncSetAttribute(dense_steps<BATCH>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      BATCH * lab->problem.n * (int)sizeof(float)));
    }
    return pk_device_alloc_mapped((void **)&mine->list, (void **)&mine->device_list, requests * sizeof(request_step));
}

static pk_status prepare_known(pk_run *run)
{
    PK_TRY(all_known(run));
    return allocate(run);
}

/* With an odd number of steps the first one reads the other array. */
static pk_status place_start(pk_run *run)
{
    const lab02 *lab = lab_of(run);
    if (!lab->problem.dense || lab->problem.steps % 2 == 0)
        return PK_OK;
    return pk_device_copy(baseline_of(run)->other, lab->problem.state,
                          (size_t)lab->problem.requests * (size_t)lab->problem.n * sizeof(float), pk_run_stream(run));
}

/* ---- the variants ---- */

/* A step is done: the request goes on, or ends. */
static pk_status step_came(pk_run *run, unsigned request, double now_us)
{
    lab02 *lab = lab_of(run);
    PK_TRY(lab02_host_step_done(run, request, now_us));
    if (lab->host.steps_done[request] == (unsigned)lab->problem.steps)
        return lab02_host_ended(run, request, LAB02_FINISHED);
    lab02_host_wait(&lab->host, request);
    return PK_OK;
}

/* Steps in turns: the next step of each request that is there, and again. */
static pk_status launch_sync(pk_run *run)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    const cudaStream_t stream = stream_of(run);
    PK_TRY(place_start(run));
    lab02_host_begin(lab, 0);
    while (host->ended_count < host->requests) {
        lab02_host_admit(lab);
        const unsigned request = lab02_host_next_waiting(host);
        lab02_host_submitted(host);
        PK_TRY(launch_one(lab, baseline_of(run)->other, request, host->steps_done[request], stream));
        PK_CHECK(cudaStreamSynchronize(stream));
        PK_TRY(step_came(run, request, pk_clock_us()));
    }
    return PK_OK;
}

static pk_status launch_loop(pk_run *run)
{
    lab02 *lab = lab_of(run);
    const cudaStream_t stream = stream_of(run);
    PK_TRY(place_start(run));
    for (unsigned step = 0; step < (unsigned)lab->problem.steps; step++)
        for (unsigned request = 0; request < (unsigned)lab->problem.requests; request++)
            PK_TRY(launch_one(lab, baseline_of(run)->other, request, step, stream));
    PK_CHECK(cudaStreamSynchronize(stream));
    lab02_host_all_finished(lab);
    return PK_OK;
}

static pk_status batched(pk_run *run);

static pk_status prepare_batched(pk_run *run)
{
    PK_TRY(allocate(run));
    double us_per_request;
    PK_TRY(lab02_pace(run, batched, &us_per_request));
    baseline_of(run)->us_per_request = us_per_request;
    return PK_OK;
}

/* All that waits goes into the list; the kernel reads the list from the host's memory. */
static pk_status batched(pk_run *run)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    baseline *mine = baseline_of(run);
    const cudaStream_t stream = stream_of(run);
    PK_TRY(place_start(run));
    lab02_host_begin(lab, mine->us_per_request);
    while (host->ended_count < host->requests) {
        unsigned count = 0;
        for (lab02_host_admit(lab); host->waiting_count > 0; lab02_host_submitted(host)) {
            const unsigned request = lab02_host_next_waiting(host);
            mine->list[count++] = lab02_entry(request, host->steps_done[request]);
        }
        if (count == 0) /* none has arrived yet */
            continue;
        PK_TRY(launch_list(lab, mine->other, mine->device_list, count, stream));
        PK_CHECK(cudaStreamSynchronize(stream));
        const double now_us = pk_clock_us();
        for (unsigned i = 0; i < count; i++) {
            const unsigned request = (unsigned)(mine->list[i] >> 32);
            PK_TRY(step_came(run, request, now_us));
        }
    }
    return PK_OK;
}

/* The block waits for word after word, does the step that it names, and answers. Thread 0: acquire and release, system
 * scope; they pair with the host's release and acquire. A stop ends it. */
static __global__ void answer_steps(lab02_problem problem, lab02_queue queue)
{
    PK_DYNAMIC_SHARED(float, shared);
    __shared__ unsigned item;
    lab02_block block = lab02_begin_block(&problem, shared, false);
    for (unsigned position = queue.first;; position++) {
        const unsigned slot = lab02_slot(position, queue.ring);
        if (threadIdx.x == 0) {
            unsigned long long word = pk_load_acquire_system(&queue.submissions[slot]);
            while (!lab02_is_there(word, position)) {
                PK_SPIN_PAUSE();
                word = pk_load_acquire_system(&queue.submissions[slot]);
            }
            item = (unsigned)word;
        }
        __syncthreads();
        const unsigned r = lab02_id(item);
        if (lab02_kind(item) == LAB02_STOP)
            return;
        lab02_begin_request(&problem, &block, r);
        lab02_step(&problem, &block, r, (int)(queue.done[r] - queue.first));
        if (threadIdx.x == 0) {
            queue.done[r]++;
            pk_store_release_system(&queue.completions[slot], lab02_word(position, item));
        }
    }
}

/* Request by request, a word and its answer at a time. */
static pk_status ping_pong(pk_run *run)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    const cudaStream_t stream = stream_of(run);
    lab02_host_begin(lab, 0);
    host->arrived = host->requests; /* they go one by one, whatever may be in flight */
    PK_LAUNCH(answer_steps, 1, (unsigned)lab->threads, lab02_shared_bytes(&lab->problem, false), stream, lab->problem,
              lab->queue);
    while (host->ended_count < host->requests) {
        const unsigned slot = lab02_slot(host->tail, host->ring), r = host->ended_count;
        host->ready_us[r] = pk_clock_us();
        submit_in_free_slot(host, lab02_payload(LAB02_STEP, r));
        while (!lab02_is_there(__atomic_load_n(&host->completions[slot], __ATOMIC_ACQUIRE), host->head))
            PK_TRY(lab02_host_idle(run));
        host->head++;
        PK_TRY(lab02_host_step_done(run, r, pk_clock_us()));
        if (host->steps_done[r] == (unsigned)lab->problem.steps)
            PK_TRY(lab02_host_ended(run, r, LAB02_FINISHED));
    }
    submit_in_free_slot(host, lab02_payload(LAB02_STOP, 0));
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(baseline) = {
    {"launch-sync", "a launch for each step of each request, and a wait", 0, prepare_known, launch_sync, release},
    {"launch-loop", "the same launches, one wait for all", 0, prepare_known, launch_loop, release},
    {"batched", "one launch for a step of all ready requests, and a wait", PK_NEED_MAPPED_HOST, prepare_batched,
     batched, release},
    {"ping-pong", "one block, one step in flight: what a round trip takes", PK_NEED_MAPPED_HOST, prepare_known,
     ping_pong, release},
};
PK_VARIANTS_END(baseline)
