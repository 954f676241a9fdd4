/* Launches: indices, limits and their errors, parameters, function attributes.
 * Source: CUDA C++ Programming Guide, "Execution Configuration", "Compute Capabilities"; CUDA Runtime API,
 * "Execution Control". */
#include "conformance.h"

CONCERN(launch)

#define STATIC_BYTES 16384

typedef struct mixed {
    char c;
    double d;
    short s;
    float f[3];
    unsigned char tail;
} mixed;

typedef struct large {
    int v[1000];
} large;

static __global__ void write_index(unsigned *out)
{
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const unsigned index = block * blockDim.x * blockDim.y * blockDim.z + thread;
    atomicAdd(&out[index], index + 1u);
}

static __global__ void write_shape(unsigned *out)
{
    if (blockIdx.x + blockIdx.y + blockIdx.z + threadIdx.x + threadIdx.y + threadIdx.z > 0)
        return; /* one thread writes for all: they would race, if only with the same values */
    out[0] = gridDim.x;
    out[1] = gridDim.y;
    out[2] = gridDim.z;
    out[3] = blockDim.x;
    out[4] = blockDim.y;
    out[5] = blockDim.z;
}

static __global__ void count_threads(unsigned *count)
{
    atomicAdd(count, 1u);
}

static __global__ void empty(void)
{
}

static __global__ void sum_blocks(unsigned long long *sum)
{
    if (threadIdx.x == 0)
        atomicAdd(sum, (unsigned long long)blockIdx.x);
}

static __global__ void use_dynamic(unsigned char *out, unsigned bytes)
{
    DYNAMIC_SHARED(unsigned char, tile);
    tile[bytes - 1] = 17;
    *out = tile[bytes - 1];
}

static __global__ void use_static_and_dynamic(unsigned char *out, unsigned bytes)
{
    __shared__ unsigned char fixed[STATIC_BYTES];
    DYNAMIC_SHARED(unsigned char, tile);
    fixed[threadIdx.x] = 1;
    if (threadIdx.x == 0)
        tile[bytes - 1] = 2;
    __syncthreads();
    if (threadIdx.x == 1)
        *out = (unsigned char)(fixed[0] + tile[bytes - 1]);
}

static __global__ void __launch_bounds__(128) bounded(unsigned *count)
{
    atomicAdd(count, 1u);
}

static __global__ void take_mixed(double *out, mixed m, char c, long long l, double *second)
{
    *out = m.c + m.d + m.s + m.f[0] + m.f[2] + m.tail + c;
    *second = (double)l;
}

static __global__ void take_large(int *out, large l)
{
    out[threadIdx.x] = l.v[threadIdx.x * 10];
}

static __global__ void take_many(int *out, char a, short b, int c, long long d, float e, double f, char g, int h,
                                 char i, long long j, unsigned short k)
{
    *out = a + b + c + (int)d + (int)e + (int)f + g + h + i + (int)j + k;
}

CASE(indices_in_three_dimensions)
{
    const dim3 grid(3, 4, 2), block(8, 5, 3);
    const unsigned threads = 3 * 4 * 2 * 8 * 5 * 3;
    DEVICE(unsigned, out, threads + 1);
    PK_LAUNCH(write_index, grid, block, 0, 0, out);
    EXPECT_EACH(unsigned, out, threads + 1, i < threads ? i + 1 : 0);
    return PK_OK;
}

CASE(shape)
{
    const unsigned want[6] = {3, 4, 2, 8, 5, 3};
    DEVICE(unsigned, out, 6);
    PK_LAUNCH(write_shape, dim3(3, 4, 2), dim3(8, 5, 3), 0, 0, out);
    EXPECT_EACH(unsigned, out, 6, want[i]);
    return PK_OK;
}

CASE(block_limits_met)
{
    DEVICE(unsigned, count, 1);
    PK_LAUNCH(count_threads, 2, 1024, 0, 0, count);
    PK_LAUNCH(count_threads, 1, dim3(1, 1024, 1), 0, 0, count);
    PK_LAUNCH(count_threads, 1, dim3(4, 4, 64), 0, 0, count);
    EXPECT_EACH(unsigned, count, 1, 4096);
    return PK_OK;
}

CASE(block_too_large)
{
    EXPECT_ERROR(LAUNCH_ERROR(empty, 1, 1025, 0, 0), CF_NO_SUCH_SHAPE);
    EXPECT_ERROR(LAUNCH_ERROR(empty, 1, dim3(32, 33, 1), 0, 0), CF_NO_SUCH_SHAPE);
    EXPECT_ERROR(LAUNCH_ERROR(empty, 1, dim3(1, 1, 65), 0, 0), CF_NO_SUCH_SHAPE);
    return PK_OK;
}

CASE(nothing_to_launch)
{
    EXPECT_ERROR(LAUNCH_ERROR(empty, 0, 32, 0, 0), CF_NO_SUCH_SHAPE);
    EXPECT_ERROR(LAUNCH_ERROR(empty, 1, 0, 0, 0), CF_NO_SUCH_SHAPE);
    EXPECT_ERROR(LAUNCH_ERROR(empty, dim3(1, 1, 0), 32, 0, 0), CF_NO_SUCH_SHAPE);
    return PK_OK;
}

CASE(grid_too_large)
{
    EXPECT_ERROR(LAUNCH_ERROR(empty, dim3(1, 65536, 1), 1, 0, 0), CF_NO_SUCH_SHAPE);
    EXPECT_ERROR(LAUNCH_ERROR(empty, dim3(1, 1, 65536), 1, 0, 0), CF_NO_SUCH_SHAPE);
    EXPECT_ERROR(LAUNCH_ERROR(empty, dim3(2147483648u, 1, 1), 1, 0, 0), CF_NO_SUCH_SHAPE);
    return PK_OK;
}

CASE(refused_launch_does_not_run_and_does_not_stick)
{
    DEVICE(unsigned, count, 1);
    EXPECT_ERROR(LAUNCH_ERROR(count_threads, 1, 2000, 0, 0, count), CF_NO_SUCH_SHAPE);
    EXPECT_ERROR(cudaGetLastError(), cudaSuccess);
    PK_LAUNCH(count_threads, 1, 10, 0, 0, count);
    EXPECT_EACH(unsigned, count, 1, 10);
    return PK_OK;
}

CASE(many_blocks)
{
    DEVICE(unsigned long long, sum, 1);
    PK_LAUNCH(sum_blocks, 100000, 32, 0, 0, sum);
    EXPECT_EACH(unsigned long long, sum, 1, 4999950000ull);
    return PK_OK;
}

CASE(many_launches)
{
    DEVICE(unsigned, count, 1);
    for (int i = 0; i < 2000; i++)
        PK_LAUNCH(count_threads, 1, 3, 0, 0, count);
    EXPECT_EACH(unsigned, count, 1, 6000);
    return PK_OK;
}

CASE(dynamic_shared_without_asking)
{
    DEVICE(unsigned char, out, 1);
    PK_LAUNCH(use_dynamic, 1, 1, 49152, 0, out, 49152u);
    EXPECT_EACH(unsigned char, out, 1, 17);
    return PK_OK;
}

static __global__ void never_asked(unsigned char *out)
{
    DYNAMIC_SHARED(unsigned char, tile);
    tile[0] = 1;
    *out = tile[0];
}

CASE(dynamic_shared_too_large)
{
    DEVICE(unsigned char, out, 1);
    EXPECT_ERROR(LAUNCH_ERROR(never_asked, 1, 1, 49153, 0, out), cudaErrorInvalidValue);
    EXPECT_EACH(unsigned char, out, 1, 0);
    return PK_OK;
}

CASE(dynamic_shared_after_asking)
{
    const int most = cf_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
    cudaFuncAttributes a;
    DEVICE(unsigned char, out, 1);
    PK_CHECK(cudaFuncSetAttribute(use_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
    PK_CHECK(cudaFuncGetAttributes(&a, use_dynamic));
    EXPECT_EQ(a.maxDynamicSharedSizeBytes, most);
    PK_LAUNCH(use_dynamic, 1, 1, (size_t)most, 0, out, (unsigned)most);
    EXPECT_EACH(unsigned char, out, 1, 17);
    EXPECT_ERROR(LAUNCH_ERROR(use_dynamic, 1, 1, (size_t)most + 1, 0, out, 1u), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(dynamic_shared_asked_for_too_much)
{
    const int most = cf_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
    EXPECT_ERROR(cudaFuncSetAttribute(never_asked, cudaFuncAttributeMaxDynamicSharedMemorySize, most + 1),
                 cudaErrorInvalidValue);
    return PK_OK;
}

CASE(static_shared_counts_against_the_limit)
{
    DEVICE(unsigned char, out, 1);
    PK_LAUNCH(use_static_and_dynamic, 1, 32, 49152 - STATIC_BYTES, 0, out, 49152u - STATIC_BYTES);
    EXPECT_EACH(unsigned char, out, 1, 3);
    EXPECT_ERROR(LAUNCH_ERROR(use_static_and_dynamic, 1, 32, 49153 - STATIC_BYTES, 0, out, 1u), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(launch_bounds)
{
    cudaFuncAttributes a;
    DEVICE(unsigned, count, 1);
    PK_LAUNCH(bounded, 1, 128, 0, 0, count);
    EXPECT_EACH(unsigned, count, 1, 128);
    PK_CHECK(cudaFuncGetAttributes(&a, bounded));
    OBSERVE("max_threads_per_block", a.maxThreadsPerBlock);
    OBSERVE_ERROR("129_threads", LAUNCH_ERROR(bounded, 1, 129, 0, 0, count));
    return PK_OK;
}

CASE(function_attributes)
{
    cudaFuncAttributes a;
    PK_CHECK(cudaFuncGetAttributes(&a, use_static_and_dynamic));
    EXPECT_EQ(a.sharedSizeBytes, STATIC_BYTES);
    EXPECT_EQ(a.maxThreadsPerBlock, 1024);
    PK_CHECK(cudaFuncGetAttributes(&a, empty));
    EXPECT_EQ(a.sharedSizeBytes, 0);
    EXPECT_EQ(a.maxDynamicSharedSizeBytes, 49152);
    return PK_OK;
}

CASE(parameters_keep_their_alignment)
{
    double got[2];
    DEVICE(double, out, 2);
    const mixed m = {1, 2.5, 4, {8.0f, 100.0f, 16.0f}, 32};
    PK_LAUNCH(take_mixed, 1, 1, 0, 0, out, m, (char)64, 1ll << 40, out + 1);
    PK_CHECK(cudaMemcpy(got, out, sizeof got, cudaMemcpyDeviceToHost));
    EXPECT(got[0] == 127.5);
    EXPECT(got[1] == 1099511627776.0);
    return PK_OK;
}

CASE(many_parameters)
{
    DEVICE(int, out, 1);
    PK_LAUNCH(take_many, 1, 1, 0, 0, out, (char)1, (short)2, 4, 8ll, 16.0f, 32.0, (char)64, 128, (char)3, 256ll,
              (unsigned short)512);
    EXPECT_EACH(int, out, 1, 1 + 2 + 4 + 8 + 16 + 32 + 64 + 128 + 3 + 256 + 512);
    return PK_OK;
}

CASE(large_parameter)
{
    large *l = (large *)malloc(sizeof *l);
    DEVICE(int, out, 100);
    for (int i = 0; i < 1000; i++)
        l->v[i] = 7 * i;
    PK_LAUNCH(take_large, 1, 100, 0, 0, out, *l);
    EXPECT_EACH(int, out, 100, 70 * i);
    free(l);
    return PK_OK;
}

CASE(parameters_are_copied_at_the_launch)
{
    STREAM(s);
    GATE(gate);
    DEVICE(int, out, 100);
    large *l = (large *)calloc(1, sizeof *l);
    l->v[990] = 5;
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(take_large, 1, 100, 0, s, out, *l);
    l->v[990] = 6;
    cf_gate_open(&gate);
    EXPECT_EACH(int, out, 100, i == 99 ? 5 : 0);
    free(l);
    return PK_OK;
}

CASE(launch_by_address)
{
    unsigned a = 3, b = 7;
    DEVICE(unsigned, x, 1);
    void *arguments[] = {&x, &a, &b};
    PK_LAUNCH(cf_affine, 1, 1, 0, 0, x, 0u, 5u);
    PK_CHECK(cudaLaunchKernel(KERNEL(cf_affine), dim3(1), dim3(1), arguments, 0, 0));
    EXPECT_EACH(unsigned, x, 1, 22);
    return PK_OK;
}

CASE(launch_through_a_variable)
{
    void (*const kernels[2])(unsigned *) = {count_threads, bounded};
    DEVICE(unsigned, count, 1);
    for (int i = 0; i < 2; i++)
        PK_LAUNCH(kernels[i], 1, 32, 0, 0, count);
    EXPECT_EACH(unsigned, count, 1, 64);
    return PK_OK;
}

CASE(launch_of_no_kernel)
{
    void *arguments[] = {NULL};
    EXPECT_ERROR(cudaLaunchKernel((const void *)NULL, dim3(1), dim3(1), arguments, 0, 0),
                 cudaErrorInvalidDeviceFunction);
    EXPECT_ERROR(cudaLaunchKernel((const void *)arguments, dim3(1), dim3(1), arguments, 0, 0), CF_NO_SUCH_KERNEL);
    return PK_OK;
}

/* ---- how C++ finds the kernel and converts the arguments ---- */

template <class T> static __global__ void scale(T *x, const T *y, T factor, int n)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        x[i] = factor * y[i];
}

static __global__ void name_type(int *out, const float *)
{
    *out = 1;
}

static __global__ void name_type(int *out, const double *)
{
    *out = 2;
}

static __global__ void name_type(int *out)
{
    *out = 3;
}

template <class T> static __global__ void add_or_set(T *x, const int *by, const T *values)
{
    *x = (by ? *x + (T)*by : (T)-1) + (values ? (T)100 : (T)0);
}

static __global__ void add_if_there(int *x, const int *by)
{
    *x += by ? *by : 1000;
}

static __global__ void with_default(int *out, int value, int factor = 3)
{
    *out = value * factor;
}

template <int N> static __global__ void shared_of_template(int *out, int value)
{
    __shared__ int tile[N];
    tile[threadIdx.x] = value + (int)threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = tile[N - 1 - threadIdx.x];
}

CASE(template_arguments_deduced)
{
    const size_t n = 100; /* another type than the parameter's */
    float factor = 4;
    DEVICE(float, x, 101);
    DEVICE(float, y, 101);
    DEVICE(double, z, 1);
    PK_CHECK(cudaMemset(y, 0x40, 101 * sizeof(float))); /* 0x40404040 is 3.0039... */
    PK_LAUNCH(scale, 1, 128, 0, 0, x, y, factor, n);
    PK_LAUNCH(scale<double>, 1, 128, 0, 0, z, z, 2, 1u);
    uint32_t bits = 0x40404040u;
    float value;
    memcpy(&value, &bits, sizeof value);
    EXPECT_EACH(float, x, 101, i < 100 ? 4 * value : 0);
    return PK_OK;
}

CASE(overloaded_kernels)
{
    DEVICE(int, out, 3);
    DEVICE(float, f, 1);
    DEVICE(double, d, 1);
    PK_LAUNCH(name_type, 1, 1, 0, 0, out, f);
    PK_LAUNCH(name_type, 1, 1, 0, 0, out + 1, d);
    PK_LAUNCH(name_type, 1, 1, 0, 0, out + 2);
    EXPECT_EACH(int, out, 3, i + 1);
    return PK_OK;
}

CASE(null_pointers_as_arguments)
{
    DEVICE(int, x, 1);
    PK_LAUNCH(add_if_there, 1, 1, 0, 0, x, NULL);
    PK_LAUNCH(add_if_there, 1, 1, 0, 0, x, 0);
    PK_LAUNCH(add_if_there, 1, 1, 0, 0, x, nullptr);
    EXPECT_EACH(int, x, 1, 3000);
    PK_LAUNCH(add_or_set, 1, 1, 0, 0, x, NULL, x);
    EXPECT_EACH(int, x, 1, 99);
    return PK_OK;
}

CASE(default_arguments)
{
    DEVICE(int, out, 2);
    PK_LAUNCH(with_default, 1, 1, 0, 0, out, 5);
    PK_LAUNCH(with_default, 1, 1, 0, 0, out + 1, 5, 7);
    EXPECT_EACH(int, out, 2, i ? 35 : 15);
    return PK_OK;
}

CASE(static_shared_of_a_template)
{
    cudaFuncAttributes a;
    DEVICE(int, out, 64);
    PK_LAUNCH(shared_of_template<64>, 1, 64, 0, 0, out, (short)5);
    EXPECT_EACH(int, out, 64, 5 + 63 - (int)i);
    PK_CHECK(cudaFuncGetAttributes(&a, shared_of_template<64>));
    EXPECT_EQ(a.sharedSizeBytes, 256);
    return PK_OK;
}

/* As large as parameters may be since CUDA 12.1: 32,764 bytes with the pointer before. */
typedef struct largest {
    unsigned char c[32756];
} largest;

#if CUDART_VERSION >= 12010
static __global__ void take_largest(unsigned *out, const largest l)
{
    __syncthreads();
    atomicAdd(out, (unsigned)l.c[threadIdx.x] + l.c[sizeof l.c - 1 - threadIdx.x]);
}
#endif

CASE(largest_parameters)
{
#if CUDART_VERSION >= 12010
    largest *l = (largest *)malloc(sizeof *l);
    DEVICE(unsigned, out, 1);
    for (size_t i = 0; i < sizeof l->c; i++)
        l->c[i] = i < 64 ? 1 : i >= sizeof l->c - 64 ? 2 : 0;
    PK_LAUNCH(take_largest, 1, 64, 0, 0, out, *l);
    free(l);
    EXPECT_EACH(unsigned, out, 1, 64 * 3);
    return PK_OK;
#else
    SKIP("the toolkit has parameters of 4 KB");
#endif
}

/* The counter of clock64(), cut to 32 bits on a GPU. */
static __global__ void read_clocks(long long *out)
{
    const long long before = clock64();
    const clock_t between = clock();
    const long long after = clock64();
    out[0] = (long long)((unsigned)after - (unsigned)before);
    out[1] = (long long)((unsigned)between - (unsigned)before);
}

CASE(clock_counts_as_clock64)
{
    long long got[2];
    DEVICE(long long, out, 2);
    PK_LAUNCH(read_clocks, 1, 1, 0, 0, out);
    PK_CHECK(cudaMemcpy(got, out, sizeof got, cudaMemcpyDeviceToHost));
    EXPECT(got[1] <= got[0]);
    EXPECT(got[0] < 1000000000);
    return PK_OK;
}

/* ---- programmatic dependent launches ---- */

enum { DEPENDENT_BLOCKS = 8, DEPENDENT_WORDS = DEPENDENT_BLOCKS * 64, DEPENDENT_LENGTH = 40 };

/* Each word of y is one more than the sum of all of x, which the kernel ahead wrote. */
static __global__ void depend(const unsigned *x, unsigned *y)
{
    unsigned sum = 1;
    PK_GRID_DEPENDENCY_TRIGGER();
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
    for (int i = 0; i < DEPENDENT_WORDS; i++)
        sum += x[i];
    y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

static pk_status launch_dependents(unsigned *x, unsigned *y, cudaStream_t stream)
{
    for (int i = 0; i < DEPENDENT_LENGTH; i += 2) {
        PK_LAUNCH_PDL(depend, DEPENDENT_BLOCKS, 64, 0, stream, x, y);
        PK_LAUNCH_PDL(depend, DEPENDENT_BLOCKS, 64, 0, stream, y, x);
    }
    return PK_OK;
}

static unsigned after_dependents(int times)
{
    unsigned value = 0;
    for (int i = 0; i < times * DEPENDENT_LENGTH; i++)
        value = value * DEPENDENT_WORDS + 1;
    return value;
}

static bool has_dependent_launches(void)
{
#if defined(PK_BACKEND_CPU)
    return true;
#elif defined(PK_BACKEND_CUDA)
    return cf_attribute(cudaDevAttrComputeCapabilityMajor) >= 9;
#else
    return false;
#endif
}

CASE(dependents_wait)
{
    if (!has_dependent_launches())
        SKIP("the device has no programmatic dependent launch");
    STREAM(stream);
    DEVICE(unsigned, x, DEPENDENT_WORDS);
    DEVICE(unsigned, y, DEPENDENT_WORDS);
    PK_TRY(launch_dependents(x, y, stream));
    PK_CHECK(cudaStreamSynchronize(stream));
    EXPECT_EACH(unsigned, x, DEPENDENT_WORDS, after_dependents(1));
    return PK_OK;
}

CASE(dependents_wait_in_a_graph)
{
    if (!has_dependent_launches())
        SKIP("the device has no programmatic dependent launch");
    STREAM(stream);
    DEVICE(unsigned, x, DEPENDENT_WORDS);
    DEVICE(unsigned, y, DEPENDENT_WORDS);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(launch_dependents(x, y, stream));
    PK_CHECK(cudaStreamEndCapture(stream, &graph));
    PK_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 3; i++)
        PK_CHECK(cudaGraphLaunch(exec, stream));
    PK_CHECK(cudaStreamSynchronize(stream));
    EXPECT_EACH(unsigned, x, DEPENDENT_WORDS, after_dependents(3));
    PK_CHECK(cudaGraphExecDestroy(exec));
    PK_CHECK(cudaGraphDestroy(graph));
    return PK_OK;
}
