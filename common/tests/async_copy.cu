/* common/pk_async.h on the backend that this is built for: copies of threads and bulk copies, each through a ring of
 * buffers, and what a program reads that forgets to wait. Exit code 77 where there is no device. */
#include "pk_async.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk_atomic.h"

enum {
    WARP = 32,
    THREADS = 128,
    CONSUMERS = 96,     /* threads of the warps that sum; one warp more asks for the copies */
    TILE = 4 * THREADS, /* floats: 16 bytes a thread */
    TILES = 11,
    LAST_TILE = TILE - 4, /* floats of the last tile of a bulk ring: a copy may be any multiple of 16 bytes */
    STAGES = 3,
    BLOCKS = 5
};

static int failures;

static void expect(bool right, const char *what, const char *schedule)
{
    if (right)
        return;
    failures++;
    fprintf(stderr, "async_copy: %s%s%s\n", what, schedule ? ", schedule " : "", schedule ? schedule : "");
}

/* ---- copies of threads ---- */

/* A block sums its tiles, weighted so that their order matters. The tile that thread i sums was copied by others. */
static __global__ void sum_tiles(const float *in, float *out)
{
    __shared__ __align__(16) float tile[STAGES][TILE];
    const float *mine = in + (size_t)blockIdx.x * TILES * TILE;
    const int i = threadIdx.x;
    float sum = 0;
    for (int t = 0; t < STAGES - 1; t++) {
        pk_async_copy_16(&tile[t][4 * i], &mine[t * TILE + 4 * i]);
        pk_async_commit();
    }
    for (int t = 0; t < TILES; t++) {
        pk_async_wait_prior<STAGES - 2>(); /* one group a tile, so tile t's is done */
        __syncthreads();                   /* for all threads; and all have read the buffer that is filled next */
        const int next = t + STAGES - 1;
        if (next < TILES)
            pk_async_copy_16(&tile[next % STAGES][4 * i], &mine[next * TILE + 4 * i]);
        pk_async_commit(); /* empty at the end: the count of groups goes on */
        for (int k = 0; k < 4; k++)
            sum += (float)(t + 1) * tile[t % STAGES][(i + 1) % THREADS + k * THREADS];
    }
    out[blockIdx.x * THREADS + i] = sum;
}

/* Asks for a tile and reads its end at once; then as it should be. */
static __global__ void read_without_wait(const float *in, float *out)
{
    __shared__ __align__(16) float tile[TILE];
    const int i = threadIdx.x;
    pk_async_copy_16(&tile[4 * i], &in[4 * i]);
    pk_async_commit();
    out[i] = tile[4 * i + 3];
    pk_async_wait_prior<0>();
    out[THREADS + i] = tile[4 * i + 3];
}

/* ---- bulk copies ---- */

static __device__ inline int tile_floats(int t)
{
    return t == TILES - 1 ? LAST_TILE : TILE;
}

/* The same sums, by warps with roles: the last warp's first thread asks for tiles as buffers become free. Each tile is
 * summed in two halves with a meeting of the consumers between them. */
static __global__ void sum_tiles_by_roles(const float *in, float *out)
{
    __shared__ __align__(16) float tile[STAGES][TILE];
    __shared__ float half[CONSUMERS];
    __shared__ pk_async_barrier full[STAGES], empty[STAGES], meeting;
    const float *mine = in + (size_t)blockIdx.x * TILES * TILE;
    const int i = threadIdx.x;
    if (i == 0) {
        for (int s = 0; s < STAGES; s++) {
            pk_async_barrier_init(&full[s], 1);
            pk_async_barrier_init(&empty[s], CONSUMERS);
        }
        pk_async_barrier_init(&meeting, CONSUMERS);
        pk_async_barrier_init_fence();
    }
    __syncthreads();
    if (i >= CONSUMERS) {
        for (int t = 0; i == CONSUMERS && t < TILES; t++) {
            const int s = t % STAGES, round = t / STAGES;
            if (round > 0)
                pk_async_barrier_wait(&empty[s], (unsigned)(round - 1) % 2);
            pk_async_barrier_arrive_expect(&full[s], (unsigned)(tile_floats(t) * sizeof(float)));
            pk_bulk_copy(tile[s], &mine[t * TILE], (unsigned)(tile_floats(t) * sizeof(float)), &full[s]);
        }
        return;
    }
    float sum = 0;
    for (int t = 0; t < TILES; t++) {
        const int s = t % STAGES, floats = tile_floats(t);
        pk_async_barrier_wait(&full[s], (unsigned)(t / STAGES) % 2);
        float own = 0;
        for (int k = i; k < floats; k += CONSUMERS)
            own += tile[s][k];
        pk_async_barrier_arrive(&empty[s]);
        half[i] = own;
        pk_warps_sync(&meeting, 1, CONSUMERS);
        sum += (float)(t + 1) * (own + half[(i + WARP) % CONSUMERS]);
        pk_warps_sync(&meeting, 1, CONSUMERS);
    }
    out[blockIdx.x * CONSUMERS + i] = sum;
}

/* Block 0 writes a tile by plain stores and releases a flag; block 1 acquires it and copies the tile in bulk. The
 * release of block 0's first thread, after its block's __syncthreads(), pairs with the acquire of block 1's first
 * thread; the fence orders its copy after that. */
static __global__ void copy_what_another_block_wrote(float *tile, unsigned *written, float *out)
{
    __shared__ __align__(16) float copy[TILE];
    __shared__ pk_async_barrier full;
    const int i = threadIdx.x;
    if (blockIdx.x == 0) {
        for (int k = i; k < TILE; k += THREADS)
            tile[k] = (float)(2 * k + 1);
        __syncthreads();
        if (i == 0)
            pk_store_release_device(written, 1);
        return;
    }
    if (i == 0) {
        pk_async_barrier_init(&full, 1);
        pk_async_barrier_init_fence();
        while (pk_load_acquire_device(written) == 0)
            PK_POLL_PAUSE();
        pk_async_fence();
        pk_async_barrier_arrive_expect(&full, sizeof copy);
        pk_bulk_copy(copy, tile, sizeof copy, &full);
    }
    __syncthreads();
    pk_async_barrier_wait(&full, 0);
    for (int k = i; k < TILE; k += THREADS)
        out[k] = copy[k];
}

/* One thread. */
static __global__ void read_bulk_without_wait(const float *in, float *out)
{
    __shared__ __align__(16) float tile[TILE];
    __shared__ pk_async_barrier full;
    pk_async_barrier_init(&full, 1);
    pk_async_barrier_init_fence();
    pk_async_barrier_arrive_expect(&full, sizeof tile);
    pk_bulk_copy(tile, in, sizeof tile, &full);
    out[0] = tile[TILE - 1];
    pk_async_barrier_wait(&full, 0);
    out[1] = tile[TILE - 1];
}

/* ---- the host's side: whole numbers below 2^24, so that sums are exact in any order ---- */

static float input(int block, int t, int k)
{
    return (float)((block * 31 + t * 17 + k) % 61);
}

static pk_status upload_input(float **device)
{
    static float host[BLOCKS * TILES * TILE];
    for (int b = 0; b < BLOCKS; b++)
        for (int t = 0; t < TILES; t++)
            for (int k = 0; k < TILE; k++)
                host[(b * TILES + t) * TILE + k] = input(b, t, k);
    PK_CHECK(cudaMalloc((void **)device, sizeof host));
    PK_CHECK(cudaMemcpy(*device, host, sizeof host, cudaMemcpyHostToDevice));
    return PK_OK;
}

static float want_thread_sum(int block, int i)
{
    float sum = 0;
    for (int t = 0; t < TILES; t++)
        for (int k = 0; k < 4; k++)
            sum += (float)(t + 1) * input(block, t, (i + 1) % THREADS + k * THREADS);
    return sum;
}

static float own_half(int block, int t, int i)
{
    float own = 0;
    for (int k = i; k < (t == TILES - 1 ? LAST_TILE : TILE); k += CONSUMERS)
        own += input(block, t, k);
    return own;
}

static float want_role_sum(int block, int i)
{
    float sum = 0;
    for (int t = 0; t < TILES; t++)
        sum += (float)(t + 1) * (own_half(block, t, i) + own_half(block, t, (i + WARP) % CONSUMERS));
    return sum;
}

static pk_status thread_copies(const float *in, float *device_out)
{
    float out[BLOCKS * THREADS];
    bool right = true;
    PK_LAUNCH(sum_tiles, BLOCKS, THREADS, 0, 0, in, device_out);
    PK_CHECK(cudaMemcpy(out, device_out, sizeof out, cudaMemcpyDeviceToHost));
    for (int k = 0; k < BLOCKS * THREADS; k++)
        right = right && out[k] == want_thread_sum(k / THREADS, k % THREADS);
    expect(right, "a ring of cp.async tiles gives wrong sums", NULL);
    return PK_OK;
}

static pk_status bulk_copies(const float *in, float *device_out)
{
    float out[BLOCKS * CONSUMERS], copied[TILE], *tile = NULL;
    unsigned *written = NULL;
    bool right = true;
    PK_LAUNCH(sum_tiles_by_roles, BLOCKS, CONSUMERS + WARP, 0, 0, in, device_out);
    PK_CHECK(cudaMemcpy(out, device_out, sizeof out, cudaMemcpyDeviceToHost));
    for (int k = 0; k < BLOCKS * CONSUMERS; k++)
        right = right && out[k] == want_role_sum(k / CONSUMERS, k % CONSUMERS);
    expect(right, "a ring of bulk copies with warp roles gives wrong sums", NULL);

    PK_CHECK(cudaMalloc((void **)&tile, sizeof copied));
    PK_CHECK(cudaMalloc((void **)&written, sizeof *written));
    PK_CHECK(cudaMemset(written, 0, sizeof *written));
    PK_LAUNCH_COOPERATIVE(copy_what_another_block_wrote, 2, THREADS, 0, 0, tile, written, device_out);
    PK_CHECK(cudaMemcpy(copied, device_out, sizeof copied, cudaMemcpyDeviceToHost));
    right = true;
    for (int k = 0; k < TILE; k++)
        right = right && copied[k] == (float)(2 * k + 1);
    expect(right, "a bulk copy of what another block wrote is wrong", NULL);
    PK_CHECK(cudaFree(written));
    PK_CHECK(cudaFree(tile));
    return PK_OK;
}

/* On the CPU device a copy's target is NaN until the copy lands: in the orders fifo and reverse at its wait, else at
 * any moment from its request to its wait. */
static pk_status missing_waits(const float *in, float *device_out)
{
    const char *schedule = getenv("PK_CPU_SCHEDULE");
    const bool at_the_wait = schedule && strncmp(schedule, "random", 6) != 0;
    float out[2 * THREADS];
    bool poison = true, right = true;
    PK_LAUNCH(read_without_wait, 1, THREADS, 0, 0, in, device_out);
    PK_CHECK(cudaMemcpy(out, device_out, sizeof out, cudaMemcpyDeviceToHost));
    for (int i = 0; i < THREADS; i++) {
        const float want = input(0, 0, 4 * i + 3);
        poison = poison && (isnan(out[i]) || (!at_the_wait && out[i] == want));
        right = right && out[THREADS + i] == want;
    }
    expect(poison, "cp.async: what is read without a wait is not poison", schedule);
    expect(right, "cp.async: what is read after the wait is wrong", schedule);

    PK_LAUNCH(read_bulk_without_wait, 1, 1, 0, 0, in, device_out);
    PK_CHECK(cudaMemcpy(out, device_out, 2 * sizeof *out, cudaMemcpyDeviceToHost));
    const float want = input(0, 0, TILE - 1);
    expect(isnan(out[0]) || (!at_the_wait && out[0] == want), "bulk copy: what is read without a wait is not poison",
           schedule);
    expect(out[1] == want, "bulk copy: what is read after the wait is wrong", schedule);
    return PK_OK;
}

static pk_status run(const pk_device_info *device)
{
    float *in = NULL, *out = NULL;
    char reason[256];
    PK_TRY(upload_input(&in));
    PK_CHECK(cudaMalloc((void **)&out, BLOCKS * TILE * sizeof(float)));
    PK_TRY(thread_copies(in, out));
    if (pk_device_lacks(device, PK_NEED_BULK_ASYNC_COPY | PK_NEED_COOPERATIVE, reason, sizeof reason))
        printf("async_copy: no bulk copies: %s\n", reason);
    else
        PK_TRY(bulk_copies(in, out));
    const char *checks = getenv("PK_CPU_CHECK"); /* they end a kernel that does not wait */
    if (!device->is_gpu && !(checks && strcmp(checks, "1") == 0))
        PK_TRY(missing_waits(in, out));
    PK_CHECK(cudaFree(out));
    PK_CHECK(cudaFree(in));
    return PK_OK;
}

int main(void)
{
    pk_device_info device;
    pk_status status = pk_device_open(&device);
    if (status == PK_OK)
        status = run(&device);
    if (status != PK_OK)
        fprintf(stderr, "async_copy: %s\n", pk_error_text());
    pk_device_close();
    return status != PK_OK ? pk_exit_code(status) : failures != 0;
}
