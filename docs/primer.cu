/* The program of docs/primer.md: add one to each number of a vector, and add them all up, first by launches in a
 * stream, then by a graph that is replayed. */
#include <stdio.h>

#include "pk_gpu.h"

enum { NUMBERS = 1000, THREADS = 128, WARP = 32, BLOCKS = (NUMBERS + THREADS - 1) / THREADS };

/* Thread i of the grid has number i. The last block has threads to spare, and they leave it at that. */
static __global__ void add_one(int n, int *x)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] += 1;
}

/* The sum in three stages: a warp's 32 numbers by shuffles, a block's warps through shared memory, and the blocks'
 * sums by an atomic addition in device memory. */
static __global__ void add_up(int n, const int *x, int *sum)
{
    __shared__ int of_warp[THREADS / WARP];
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    int mine = i < n ? x[i] : 0;
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        mine += __shfl_down_sync(0xffffffffu, mine, distance);
    if (threadIdx.x % WARP == 0)
        of_warp[threadIdx.x / WARP] = mine;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int warp = 1; warp < THREADS / WARP; warp++)
            mine += of_warp[warp];
        atomicAdd(sum, mine);
    }
}

/* What happens in one pass. Each of the four calls hands the work to the stream and returns at once. */
static pk_status one_pass(int *x, int *sum, int *host_sum, cudaStream_t stream)
{
    PK_CHECK(cudaMemsetAsync(sum, 0, sizeof *sum, stream));
    PK_LAUNCH(add_one, BLOCKS, THREADS, 0, stream, NUMBERS, x);
    PK_LAUNCH(add_up, BLOCKS, THREADS, 0, stream, NUMBERS, x, sum);
    PK_CHECK(cudaMemcpyAsync(host_sum, sum, sizeof *sum, cudaMemcpyDeviceToHost, stream));
    return PK_OK;
}

/* Work that is handed to a stream is done there in order. The event is reached when all before it has been done. */
static pk_status by_launches(int *x, int *sum, int *host_sum, cudaStream_t stream)
{
    cudaEvent_t done;
    PK_CHECK(cudaEventCreate(&done));
    PK_TRY(one_pass(x, sum, host_sum, stream));
    PK_CHECK(cudaEventRecord(done, stream));
    PK_CHECK(cudaEventSynchronize(done)); /* only now may the host read *host_sum */
    printf("launched: the sum is %d\n", *host_sum);
    PK_CHECK(cudaEventDestroy(done));
    return PK_OK;
}

/* The same calls, written down instead of done, and then done three times by one call each. */
static pk_status by_graph(int *x, int *sum, int *host_sum, cudaStream_t stream)
{
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    PK_TRY(one_pass(x, sum, host_sum, stream));
    PK_CHECK(cudaStreamEndCapture(stream, &graph));
    PK_CHECK(cudaGraphInstantiate(&ready, graph, 0));
    for (int replay = 1; replay <= 3; replay++) {
        PK_CHECK(cudaGraphLaunch(ready, stream));
        PK_CHECK(cudaStreamSynchronize(stream));
        printf("replay %d: the sum is %d\n", replay, *host_sum);
    }
    PK_CHECK(cudaGraphExecDestroy(ready));
    PK_CHECK(cudaGraphDestroy(graph));
    return PK_OK;
}

/* Device memory is for kernels; pinned host memory is what copies in a stream go to without a stop. */
static pk_status run(void)
{
    int *x, *sum, *host_sum;
    cudaStream_t stream;
    PK_CHECK(cudaMalloc((void **)&x, NUMBERS * sizeof *x));
    PK_CHECK(cudaMalloc((void **)&sum, sizeof *sum));
    PK_CHECK(cudaMallocHost((void **)&host_sum, sizeof *host_sum));
    PK_CHECK(cudaStreamCreate(&stream));
    PK_CHECK(cudaMemsetAsync(x, 0, NUMBERS * sizeof *x, stream));
    PK_TRY(by_launches(x, sum, host_sum, stream));
    PK_TRY(by_graph(x, sum, host_sum, stream));
    PK_CHECK(cudaStreamDestroy(stream));
    PK_CHECK(cudaFreeHost(host_sum));
    PK_CHECK(cudaFree(sum));
    PK_CHECK(cudaFree(x));
    return PK_OK;
}

int main(void)
{
    pk_device_info device;
    pk_status status = pk_device_open(&device);
    if (status == PK_OK)
        status = run();
    if (status != PK_OK)
        fprintf(stderr, "primer: %s\n", pk_error_text());
    pk_device_close();
    return pk_exit_code(status);
}
