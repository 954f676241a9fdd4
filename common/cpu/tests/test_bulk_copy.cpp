/* Bulk copies into shared memory that complete on a barrier with a transaction count. */
#include "check.h"

#include <cuda_awbarrier_primitives.h>
#include <math.h>
#include <string.h>

enum { TILE = 256, TILES = 12, STAGES = 2, THREADS = 64, BLOCKS = 5 };

/* A block sums each of its tiles, the next tile in flight: thread 0 fills a stage when all have read it. The barrier's
 * phase ends when thread 0 has arrived and all expected bytes have landed. */
__global__ void sum_tiles(const float *in, float *out)
{
    __shared__ __align__(16) float tile[STAGES][TILE];
    __shared__ uint64_t full[STAGES];
    __shared__ float partial[THREADS];
    const float *mine = in + (size_t)blockIdx.x * TILES * TILE;
    if (threadIdx.x == 0)
        for (int s = 0; s < STAGES; ++s) {
            pk_cpu_mbarrier_init(&full[s], 1);
            (void)pk_cpu_mbarrier_arrive(&full[s], sizeof tile[s], false);
            pk_cpu_bulk_copy(tile[s], mine + s * TILE, sizeof tile[s], &full[s]);
        }
    __syncthreads();
    for (int t = 0; t < TILES; ++t) {
        const int s = t % STAGES;
        while (!__mbarrier_try_wait_parity(&full[s], t / STAGES % 2, 1000)) {
        }
        float sum = 0;
        for (int i = (int)threadIdx.x; i < TILE; i += THREADS)
            sum += tile[s][i];
        partial[threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.x == 0) {
            float whole = 0;
            for (int i = 0; i < THREADS; ++i)
                whole += partial[i];
            out[blockIdx.x * TILES + t] = whole;
            if (t + STAGES < TILES) {
                (void)pk_cpu_mbarrier_arrive(&full[s], sizeof tile[s], false);
                pk_cpu_bulk_copy(tile[s], mine + (t + STAGES) * TILE, sizeof tile[s], &full[s]);
            }
        }
        __syncthreads();
    }
}

static void tiles_arrive(void)
{
    enum { COUNT = BLOCKS * TILES * TILE };
    static float in[COUNT], out[BLOCKS * TILES];
    float *device_in = nullptr, *device_out = nullptr;
    for (int i = 0; i < COUNT; ++i)
        in[i] = (float)(i % 97);
    OK(cudaMalloc(&device_in, sizeof in));
    OK(cudaMalloc(&device_out, sizeof out));
    OK(cudaMemcpy(device_in, in, sizeof in, cudaMemcpyHostToDevice));
    LAUNCH(sum_tiles, BLOCKS, THREADS, 0, nullptr, (const float *)device_in, device_out);
    OK(cudaMemcpy(out, device_out, sizeof out, cudaMemcpyDeviceToHost));
    for (int k = 0; k < BLOCKS * TILES; ++k) {
        float want = 0; /* whole numbers below 2^24: the order of the sum does not matter */
        for (int i = 0; i < TILE; ++i)
            want += in[k * TILE + i];
        CHECK(out[k] == want);
    }
    OK(cudaFree(device_in));
    OK(cudaFree(device_out));
}

/* Reads its tile before the barrier says that it is there, and after. */
__global__ void read_twice(const float *in, float *before, float *after)
{
    __shared__ __align__(16) float tile[TILE]; /* what a bulk copy needs */
    __shared__ uint64_t full;
    pk_cpu_mbarrier_init(&full, 1);
    (void)pk_cpu_mbarrier_arrive(&full, sizeof tile, false);
    pk_cpu_bulk_copy(tile, in, sizeof tile, &full);
    *before = tile[TILE - 1];
    while (!__mbarrier_try_wait_parity(&full, 0, 1000)) {
    }
    *after = tile[TILE - 1];
}

/* In the order fifo a copy lands at its wait and no sooner: what is read without the wait is NaN. */
static void a_missing_wait_shows(void)
{
    const char *schedule = getenv("PK_CPU_SCHEDULE");
    float in[TILE], before = 0, after = 0, *device = nullptr;
    for (int i = 0; i < TILE; ++i)
        in[i] = (float)i;
    OK(cudaMalloc(&device, sizeof in + 2 * sizeof(float)));
    OK(cudaMemcpy(device, in, sizeof in, cudaMemcpyHostToDevice));
    LAUNCH(read_twice, 1, 1, 0, nullptr, (const float *)device, device + TILE, device + TILE + 1);
    OK(cudaMemcpy(&before, device + TILE, sizeof before, cudaMemcpyDeviceToHost));
    OK(cudaMemcpy(&after, device + TILE + 1, sizeof after, cudaMemcpyDeviceToHost));
    CHECK(after == TILE - 1);
    if (schedule && strcmp(schedule, "fifo") == 0)
        CHECK(isnan(before));
    else
        CHECK(isnan(before) || before == TILE - 1);
    OK(cudaFree(device));
}

int main(void)
{
    tiles_arrive();
    a_missing_wait_shows();
    return failures ? 1 : 0;
}
