/* Launches: built-in variables, arguments, order, limits, and that a launch does not wait for its kernel. */
#include "check.h"

__global__ void write_indices(int *out, int per_row)
{
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    out[block * threads + thread] += (int)(block * 10000 + thread) + per_row;
}

static void every_thread_of_every_block_runs_once(void)
{
    const dim3 grids[] = {dim3(1), dim3(3, 2, 2), dim3(1000)}, blocks[] = {dim3(1), dim3(8, 4, 2), dim3(1024)};
    for (dim3 grid : grids) {
        for (dim3 block : blocks) {
            const unsigned n_blocks = grid.x * grid.y * grid.z, n_threads = block.x * block.y * block.z;
            int *out;
            OK(cudaMallocHost(&out, n_blocks * n_threads * sizeof(int)));
            for (unsigned i = 0; i < n_blocks * n_threads; ++i)
                out[i] = 0;
            LAUNCH(write_indices, grid, block, 0, nullptr, out, 7);
            OK(cudaDeviceSynchronize());
            bool right = true;
            for (unsigned i = 0; i < n_blocks * n_threads; ++i)
                right &= out[i] == (int)(i / n_threads * 10000 + i % n_threads) + 7;
            CHECK(right);
            OK(cudaFreeHost(out));
        }
    }
}

struct pair {
    double a;
    char tag;
};

__global__ void take_arguments(double *out, char c, struct pair p, float f, short s, const int *none)
{
    out[0] = c;
    out[1] = p.a + p.tag;
    out[2] = f;
    out[3] = s;
    out[4] = none == nullptr;
}

__global__ void no_arguments(void)
{
}

template <int N, class T> __global__ void add_constant(T *x)
{
    x[threadIdx.x] += N;
}

static void arguments_arrive(void)
{
    double *out;
    OK(cudaMallocHost(&out, 5 * sizeof(double)));
    const struct pair p = {2.5, 3};
    /* Converted to the parameter's type: int to float, literal to short. */
    LAUNCH(take_arguments, 1, 1, 0, nullptr, out, 'x', p, 4, 5, nullptr);
    LAUNCH(no_arguments, 1, 1, 0, nullptr);
    LAUNCH((add_constant<3, double>), 1, 5, 0, nullptr, out);
    void (*chosen)(double *) = add_constant<4, double>;
    LAUNCH(chosen, 1, 5, 0, nullptr, out);
    chosen = add_constant<1, double>;
    void *arguments[] = {&out};
    OK(cudaLaunchKernel(chosen, 1, 5, arguments, 0, nullptr));
    OK(cudaLaunchKernel((const void *)add_constant<4, double>, 1, 5, arguments, 0, nullptr));
    OK(cudaDeviceSynchronize());
    CHECK(out[0] == 'x' + 12 && out[1] == 17.5 && out[2] == 16 && out[3] == 17 && out[4] == 13);
    OK(cudaFreeHost(out));
    EXPECT(cudaLaunchKernel((const void *)arguments_arrive, 1, 1, arguments, 0, nullptr),
           cudaErrorInvalidResourceHandle);
    EXPECT(cudaGetLastError(), cudaErrorInvalidResourceHandle);
}

__global__ void take_place(int *out, uint2 place, const int *other)
{
    if (blockIdx.y > 0) /* else the two blocks would race */
        return;
    out[0] = (int)(place.x * 10 + place.y + gridDim.y * 100);
    out[1] = other == nullptr;
}

template <class T> __global__ void fill_grid(T *out, T value)
{
    out[blockIdx.y * gridDim.x + blockIdx.x] = value;
}

__global__ void known_by_address(int *out, double value)
{
    *out = (int)value;
}
PK_CPU_KERNEL(known_by_address);

/* What a macro makes harder than a call: braces, template arguments that follow from the call's, in every context. */
template <class T> static void launches_are_written_as_calls_are(T value)
{
    T *out;
    OK(cudaMallocHost(&out, 8 * sizeof(T)));
    LAUNCH(take_place, dim3{1, 2}, dim3{1}, 0, 0, (int *)out, {3, 4}, NULL);
    OK(cudaDeviceSynchronize());
    CHECK(((int *)out)[0] == 234 && ((int *)out)[1] == 1);
    const auto fill = [&](unsigned n) { return PK_CPU_LAUNCH(fill_grid, dim3{n, 2}, 1, 0, 0, out, value); };
    OK(fill(4));
    OK(cudaDeviceSynchronize());
    for (int i = 0; i < 8; ++i)
        CHECK(out[i] == value);
    OK(PK_CPU_LAUNCH_COOPERATIVE(fill_grid, dim3{1, 1}, 1, 0, 0, out, (T)1));
    double argument = 21;
    void *arguments[] = {&out, &argument};
    OK(cudaDeviceSynchronize());
    CHECK(out[0] == 1);
    OK(cudaLaunchKernel((const void *)known_by_address, 1, 1, arguments, 0, nullptr));
    OK(cudaDeviceSynchronize());
    CHECK(*(int *)out == 21);
    OK(cudaFreeHost(out));
}

__global__ void use_dynamic(int *out, int n)
{
    int *tile = static_cast<int *>(pk_cpu_dynamic_shared());
    for (int i = 0; i < n; ++i)
        tile[i] = i;
    *out = tile[n - 1];
}

static void limits_are_cudas(void)
{
    EXPECT(PK_CPU_LAUNCH(no_arguments, 0, 1, 0, nullptr), cudaErrorInvalidValue);
    EXPECT(cudaPeekAtLastError(), cudaErrorInvalidValue);
    EXPECT(cudaGetLastError(), cudaErrorInvalidValue);
    EXPECT(cudaGetLastError(), cudaSuccess);
    EXPECT(PK_CPU_LAUNCH(no_arguments, 1, 1025, 0, nullptr), cudaErrorInvalidValue);
    EXPECT(PK_CPU_LAUNCH(no_arguments, 1, dim3(1, 1, 65), 0, nullptr), cudaErrorInvalidValue);
    EXPECT(PK_CPU_LAUNCH(no_arguments, dim3(1, 65536), 1, 0, nullptr), cudaErrorInvalidValue);
    EXPECT(PK_CPU_LAUNCH(no_arguments, 1, 1, 48 * 1024 + 1, nullptr), cudaErrorInvalidValue);
    cudaStream_t stream;
    OK(cudaStreamCreate(&stream));
    OK(cudaStreamDestroy(stream));
    EXPECT(PK_CPU_LAUNCH(no_arguments, 1, 1, 0, stream), cudaErrorInvalidResourceHandle);

    int *out, blocks;
    OK(cudaMallocHost(&out, sizeof(int)));
    EXPECT(PK_CPU_LAUNCH(use_dynamic, 1, 1, 100 * 1024, nullptr, out, 25600), cudaErrorInvalidValue);
    EXPECT(cudaFuncSetAttribute(use_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 * 1024),
           cudaErrorInvalidValue);
    OK(cudaFuncSetAttribute(use_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024));
    LAUNCH(use_dynamic, 1, 1, 100 * 1024, nullptr, out, 25600);
    OK(cudaDeviceSynchronize());
    CHECK(*out == 25599);
    OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, use_dynamic, 256, 100 * 1024));
    CHECK(blocks == 2);
    OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, no_arguments, 256, 0));
    CHECK(blocks == 8);
    OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, no_arguments, 32, 0));
    CHECK(blocks == 32);
    (void)cudaGetLastError();
    OK(cudaFreeHost(out));
}

__global__ void wait_for_host(unsigned *go, unsigned *seen)
{
    while (__atomic_load_n(go, __ATOMIC_ACQUIRE) == 0)
        __nanosleep(100);
    __atomic_store_n(seen, 1u, __ATOMIC_RELEASE);
}

/* The kernel ends only after the launch has returned: host and kernel talk while it runs. */
static void launch_returns_before_the_kernel_ends(void)
{
    unsigned *words;
    OK(cudaHostAlloc(&words, 2 * sizeof(unsigned), cudaHostAllocMapped));
    words[0] = words[1] = 0;
    unsigned *device;
    OK(cudaHostGetDevicePointer(&device, words, 0));
    LAUNCH(wait_for_host, 1, 1, 0, nullptr, device, device + 1);
    EXPECT(cudaStreamQuery(nullptr), cudaErrorNotReady);
    EXPECT(cudaGetLastError(), cudaSuccess);
    __atomic_store_n(&words[0], 1u, __ATOMIC_RELEASE);
    OK(cudaDeviceSynchronize());
    CHECK(words[1] == 1);
    OK(cudaFreeHost(words));
}

/* No more blocks than are resident at once: each waits for all, without a barrier or a sleep in sight. */
__global__ void meet(unsigned *arrived, unsigned *done)
{
    if (threadIdx.x == 0) {
        atomicAdd(arrived, 1);
        while (__atomic_load_n(arrived, __ATOMIC_ACQUIRE) < gridDim.x)
            ;
        atomicAdd(done, 1);
    }
}

static void resident_blocks_all_run(void)
{
    unsigned *counts;
    OK(cudaMallocHost(&counts, 2 * sizeof(unsigned)));
    counts[0] = counts[1] = 0;
    LAUNCH(meet, 20, 64, 0, nullptr, counts, counts + 1);
    OK(cudaDeviceSynchronize());
    CHECK(counts[1] == 20);
    OK(cudaFreeHost(counts));
}

/* All blocks before block `n` are short, so that it is likely to have been claimed together with those after it; it
 * waits for one of them all the same. */
__global__ void late_block_waits(unsigned n, unsigned sleep_ns, unsigned *flag, unsigned *runs)
{
    atomicAdd(&runs[blockIdx.x + blockIdx.y * gridDim.x], 1);
    const unsigned block = blockIdx.x + blockIdx.y * gridDim.x;
    if (block == n + 1)
        __atomic_store_n(flag, 1u, __ATOMIC_RELEASE);
    while (block == n && __atomic_load_n(flag, __ATOMIC_ACQUIRE) == 0)
        if (sleep_ns)
            __nanosleep(sleep_ns);
}

static void a_block_can_wait_for_the_next(void)
{
    enum { X = 50, Y = 40 };
    unsigned *words;
    OK(cudaMallocHost(&words, (X * Y + 1) * sizeof(unsigned)));
    for (unsigned n : {1u, 555u, 1001u, (unsigned)(X * Y - 2)})
        for (unsigned sleep_ns : {0u, 100u})
            for (int again = 0; again < 3; ++again) {
                memset(words, 0, (X * Y + 1) * sizeof(unsigned));
                LAUNCH(late_block_waits, dim3(X, Y), 1, 0, nullptr, n, sleep_ns, words, words + 1);
                OK(cudaDeviceSynchronize());
                for (int i = 0; i < X * Y; ++i)
                    CHECK(words[1 + i] == 1);
            }
    OK(cudaFreeHost(words));
}

__global__ void count_blocks(unsigned *runs)
{
    runs[(blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x]++;
}

static void short_blocks_run_once_each(void)
{
    const dim3 grid(37, 11, 23);
    const unsigned n = grid.x * grid.y * grid.z;
    unsigned *runs;
    OK(cudaMallocHost(&runs, n * sizeof(unsigned)));
    memset(runs, 0, n * sizeof(unsigned));
    for (int i = 0; i < 20; ++i)
        LAUNCH(count_blocks, grid, 1, 0, nullptr, runs);
    OK(cudaDeviceSynchronize());
    for (unsigned i = 0; i < n; ++i)
        CHECK(runs[i] == 20);
    OK(cudaFreeHost(runs));
}

int main(void)
{
    limit_seconds(120);
    every_thread_of_every_block_runs_once();
    arguments_arrive();
    launches_are_written_as_calls_are<float>(7);
    launches_are_written_as_calls_are<long long>(8);
    limits_are_cudas();
    launch_returns_before_the_kernel_ends();
    if (blocks_are_resident()) {
        resident_blocks_all_run();
        a_block_can_wait_for_the_next();
    }
    short_blocks_run_once_each();
    return failures != 0;
}
