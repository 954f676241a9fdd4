/* Memory: kinds, errors, copies, fills, symbols.
 * Source: CUDA Runtime API, "Memory Management", "Unified Addressing", "API synchronization behavior". */
#include "conformance.h"

CONCERN(memory)

#define N 1000003 /* no multiple of anything */

static __device__ int counter;
static __device__ int table[8];
static __constant__ float scale[4];

static __global__ void add_index(int *x, int n)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        x[i] += i;
}

static __global__ void read_symbols(float *out)
{
    out[threadIdx.x] = scale[threadIdx.x] * (float)table[threadIdx.x + 2];
    if (threadIdx.x == 0)
        counter += 5;
}

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 2654435761u >> 13);
}

static void fill_pattern(unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(i);
}

CASE(malloc_aligned)
{
    for (size_t bytes = 1; bytes < 100000; bytes = bytes * 3 + 1) {
        DEVICE(char, p, bytes);
        EXPECT(p != NULL);
        EXPECT_EQ((uintptr_t)p % 256, 0);
    }
    return PK_OK;
}

CASE(malloc_zero_bytes)
{
    void *p = &p;
    OBSERVE_ERROR("error", cudaMalloc(&p, 0));
    OBSERVE("null", p == NULL);
    return PK_OK;
}

CASE(malloc_null)
{
    EXPECT_ERROR(cudaMalloc((void **)NULL, 16), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(malloc_too_large)
{
    void *p = NULL;
    EXPECT_ERROR(cudaMalloc(&p, (size_t)1 << 50), cudaErrorMemoryAllocation);
    EXPECT_ERROR(cudaMalloc(&p, 4096), cudaSuccess);
    EXPECT_ERROR(cudaFree(p), cudaSuccess);
    return PK_OK;
}

CASE(free_null)
{
    EXPECT_ERROR(cudaFree(NULL), cudaSuccess);
    OBSERVE_ERROR("cudaFreeHost(NULL)", cudaFreeHost(NULL));
    return PK_OK;
}

CASE(free_twice)
{
    void *p;
    PK_CHECK(cudaMalloc(&p, 4096));
    EXPECT_ERROR(cudaFree(p), cudaSuccess);
    EXPECT_ERROR(cudaFree(p), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(free_inside)
{
    DEVICE(char, p, 4096);
    EXPECT_ERROR(cudaFree(p + 256), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(free_host_memory)
{
    int on_stack = 0;
    EXPECT_ERROR(cudaFree(&on_stack), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaFreeHost(&on_stack), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(free_waits)
{
    /* cudaFree is ordered behind the work that uses the memory: the kernel's result is still written. */
    MAPPED(int, host, device, 1);
    STREAM(s);
    int *scratch;
    PK_CHECK(cudaMalloc(&scratch, sizeof *scratch));
    PK_LAUNCH(cf_set, 1, 1, 0, s, scratch, 21);
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, scratch, device, 2);
    PK_CHECK(cudaFree(scratch));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EQ(*host, 42);
    return PK_OK;
}

CASE(attributes_of_device_memory)
{
    cudaPointerAttributes a;
    DEVICE(char, p, 4096);
    PK_CHECK(cudaPointerGetAttributes(&a, p + 100));
    EXPECT_EQ(a.type, cudaMemoryTypeDevice);
    EXPECT_EQ(a.device, 0);
    EXPECT(a.devicePointer == p + 100);
    EXPECT(a.hostPointer == NULL);
    return PK_OK;
}

CASE(attributes_of_pinned_memory)
{
    cudaPointerAttributes a;
    PINNED(char, p, 4096);
    PK_CHECK(cudaPointerGetAttributes(&a, p + 100));
    EXPECT_EQ(a.type, cudaMemoryTypeHost);
    EXPECT(a.hostPointer == p + 100);
    EXPECT(a.devicePointer != NULL);
    return PK_OK;
}

CASE(attributes_of_plain_memory)
{
    cudaPointerAttributes a;
    int on_stack = 0;
    PK_CHECK(cudaPointerGetAttributes(&a, &on_stack));
    EXPECT_EQ(a.type, cudaMemoryTypeUnregistered);
    return PK_OK;
}

CASE(attributes_after_free)
{
    cudaPointerAttributes a;
    void *p;
    PK_CHECK(cudaMalloc(&p, 64 << 20));
    PK_CHECK(cudaFree(p));
    PK_CHECK(cudaPointerGetAttributes(&a, p));
    EXPECT_EQ(a.type, cudaMemoryTypeUnregistered);
    return PK_OK;
}

CASE(managed_memory)
{
    cudaPointerAttributes a;
    int *p;
    if (!cf_attribute(cudaDevAttrManagedMemory))
        SKIP("the device has no managed memory");
    PK_CHECK(cudaMallocManaged(&p, 1000 * sizeof *p));
    PK_CHECK(cudaPointerGetAttributes(&a, p));
    EXPECT_EQ(a.type, cudaMemoryTypeManaged);
    for (int i = 0; i < 1000; i++)
        p[i] = 7;
    PK_LAUNCH(add_index, 8, 128, 0, 0, p, 1000);
    PK_CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < 1000; i++)
        if (p[i] != 7 + i)
            return pk_fail(PK_WRONG, "managed[%d] is %d", i, p[i]);
    PK_CHECK(cudaFree(p));
    return PK_OK;
}

CASE(copy_round_trip)
{
    unsigned char *from = (unsigned char *)malloc(N), *back = (unsigned char *)calloc(1, N);
    fill_pattern(from, N);
    DEVICE(unsigned char, d, N);
    DEVICE(unsigned char, e, N);
    PK_CHECK(cudaMemcpy(d, from, N, cudaMemcpyHostToDevice));
    PK_CHECK(cudaMemcpy(e, d, N, cudaMemcpyDeviceToDevice));
    PK_CHECK(cudaMemcpy(back, e, N, cudaMemcpyDeviceToHost));
    EXPECT_EQ(memcmp(from, back, N), 0);
    free(from);
    free(back);
    return PK_OK;
}

CASE(copy_unaligned)
{
    unsigned char from[64], back[64];
    fill_pattern(from, sizeof from);
    DEVICE(unsigned char, d, 128);
    PK_CHECK(cudaMemcpy(d + 3, from, sizeof from, cudaMemcpyHostToDevice));
    PK_CHECK(cudaMemcpy(back, d + 3, sizeof back, cudaMemcpyDeviceToHost));
    EXPECT_EQ(memcmp(from, back, sizeof from), 0);
    EXPECT_EACH(unsigned char, d, 128, i < 3 || i >= 67 ? 0 : pattern(i - 3));
    return PK_OK;
}

CASE(copy_default_kind)
{
    int in = 41, out = 0, host_copy = 0;
    DEVICE(int, a, 1);
    DEVICE(int, b, 1);
    PK_CHECK(cudaMemcpy(a, &in, sizeof in, cudaMemcpyDefault));
    PK_CHECK(cudaMemcpy(b, a, sizeof in, cudaMemcpyDefault));
    PK_CHECK(cudaMemcpy(&out, b, sizeof out, cudaMemcpyDefault));
    PK_CHECK(cudaMemcpy(&host_copy, &out, sizeof out, cudaMemcpyDefault));
    EXPECT_EQ(out, 41);
    EXPECT_EQ(host_copy, 41);
    return PK_OK;
}

CASE(copy_host_to_host)
{
    int in = 5, out = 0;
    PK_CHECK(cudaMemcpy(&out, &in, sizeof in, cudaMemcpyHostToHost));
    EXPECT_EQ(out, 5);
    return PK_OK;
}

CASE(copy_unknown_kind)
{
    int in = 5;
    DEVICE(int, d, 1);
    EXPECT_ERROR(cudaMemcpy(d, &in, sizeof in, (cudaMemcpyKind)17), cudaErrorInvalidMemcpyDirection);
    return PK_OK;
}

CASE(copy_against_its_kind)
{
    /* What happens depends on whether the device reaches pageable memory. */
    int in = 5;
    DEVICE(int, d, 1);
    OBSERVE("pageable_memory_access", cf_attribute(cudaDevAttrPageableMemoryAccess));
    OBSERVE_ERROR("device_to_host", cudaMemcpy(d, &in, sizeof in, cudaMemcpyDeviceToHost));
    OBSERVE_ERROR("device_to_device", cudaMemcpy(d, &in, sizeof in, cudaMemcpyDeviceToDevice));
    return PK_OK;
}

CASE(copy_nothing)
{
    int in = 5;
    DEVICE(int, d, 1);
    EXPECT_ERROR(cudaMemcpy(d, &in, 0, cudaMemcpyHostToDevice), cudaSuccess);
    EXPECT_EACH(int, d, 1, 0);
    OBSERVE_ERROR("null", cudaMemcpy(NULL, NULL, 0, cudaMemcpyHostToDevice));
    return PK_OK;
}

CASE(copy_null)
{
    int in = 5;
    DEVICE(int, d, 1);
    EXPECT_ERROR(cudaMemcpy(NULL, &in, sizeof in, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMemcpy(&in, NULL, sizeof in, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(copy_past_the_end)
{
    const size_t bytes = 1 << 20;
    unsigned char *from = (unsigned char *)calloc(64, bytes);
    DEVICE(unsigned char, d, bytes);
    OBSERVE_ERROR("one_byte", cudaMemcpy(d, from, bytes + 1, cudaMemcpyHostToDevice));
    OBSERVE_ERROR("63_MB", cudaMemcpy(d, from, 64 * bytes, cudaMemcpyHostToDevice));
    free(from);
    return PK_OK;
}

CASE(copy_2d)
{
    unsigned char from[7 * 13];
    fill_pattern(from, sizeof from);
    DEVICE(unsigned char, d, 7 * 32);
    PK_CHECK(cudaMemcpy2D(d, 32, from, 13, 11, 7, cudaMemcpyHostToDevice));
    EXPECT_EACH(unsigned char, d, 7 * 32, i % 32 < 11 ? pattern(i / 32 * 13 + i % 32) : 0);
    return PK_OK;
}

CASE(copy_2d_pitch_too_small)
{
    unsigned char from[64];
    DEVICE(unsigned char, d, 64);
    EXPECT_ERROR(cudaMemcpy2D(d, 8, from, 16, 9, 2, cudaMemcpyHostToDevice), cudaErrorInvalidPitchValue);
    EXPECT_ERROR(cudaMemcpy2D(d, 16, from, 8, 9, 2, cudaMemcpyHostToDevice), cudaErrorInvalidPitchValue);
    return PK_OK;
}

CASE(copy_waits_for_kernel)
{
    int *x, out[100];
    PK_TRY(cf_device((void **)&x, sizeof out));
    PK_LAUNCH(add_index, 1, 128, 0, 0, x, 100);
    PK_CHECK(cudaMemcpy(out, x, sizeof out, cudaMemcpyDeviceToHost));
    EXPECT_EQ(out[99], 99);
    return PK_OK;
}

CASE(async_copy_returns_at_once)
{
    STREAM(s);
    GATE(gate);
    PINNED(int, host, 1 << 20);
    DEVICE(int, d, 1 << 20);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaMemcpyAsync(d, host, sizeof *host << 20, cudaMemcpyHostToDevice, s));
    PK_CHECK(cudaMemcpyAsync(host, d, sizeof *host << 20, cudaMemcpyDeviceToHost, s));
    EXPECT(cf_stream_busy(s));
    cf_gate_open(&gate);
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT(!cf_stream_busy(s));
    return PK_OK;
}

CASE(async_copy_reads_pinned_memory_when_it_runs)
{
    STREAM(s);
    GATE(gate);
    PINNED(int, host, 1 << 18);
    DEVICE(int, d, 1 << 18);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaMemcpyAsync(d, host, sizeof *host << 18, cudaMemcpyHostToDevice, s));
    host[0] = 1;
    host[(1 << 18) - 1] = 2;
    cf_gate_open(&gate);
    EXPECT_EACH(int, d, 1 << 18, i == 0 ? 1 : i == (1 << 18) - 1 ? 2 : 0);
    return PK_OK;
}

CASE(async_copy_from_pageable_memory_is_staged)
{
    /* The call returns once the source may be changed. */
    unsigned char from[4096];
    STREAM(s);
    DEVICE(unsigned char, d, sizeof from);
    for (int round = 0; round < 50; round++) {
        fill_pattern(from, sizeof from);
        PK_CHECK(cudaMemcpyAsync(d, from, sizeof from, cudaMemcpyHostToDevice, s));
        memset(from, 0, sizeof from);
    }
    EXPECT_EACH(unsigned char, d, sizeof from, pattern(i));
    return PK_OK;
}

CASE(async_copy_to_pageable_memory_is_done_on_return)
{
    unsigned char back[4096];
    STREAM(s);
    DEVICE(unsigned char, d, sizeof back);
    PK_CHECK(cudaMemsetAsync(d, 0x5a, sizeof back, s));
    memset(back, 0, sizeof back);
    PK_CHECK(cudaMemcpyAsync(back, d, sizeof back, cudaMemcpyDeviceToHost, s));
    EXPECT_EQ(back[0], 0x5a);
    EXPECT_EQ(back[sizeof back - 1], 0x5a);
    return PK_OK;
}

CASE(memset_bytes)
{
    DEVICE(unsigned char, d, N);
    PK_CHECK(cudaMemset(d + 1, 0x1ab, N - 2)); /* the value's low byte counts */
    EXPECT_EACH(unsigned char, d, N, i == 0 || i == N - 1 ? 0 : 0xab);
    EXPECT_ERROR(cudaMemset(d, 1, 0), cudaSuccess);
    EXPECT_EACH(unsigned char, d, 1, 0);
    return PK_OK;
}

CASE(memset_null)
{
    EXPECT_ERROR(cudaMemset(NULL, 0, 16), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(memset_in_stream_order)
{
    STREAM(s);
    GATE(gate);
    DEVICE(int, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(cf_set, 1, 1, 0, s, x, 7);
    PK_CHECK(cudaMemsetAsync(x, 1, sizeof *x, s));
    EXPECT(cf_stream_busy(s));
    cf_gate_open(&gate);
    EXPECT_EACH(int, x, 1, 0x01010101);
    return PK_OK;
}

CASE(host_register)
{
    int *p = (int *)aligned_alloc(4096, 8192), *device;
    memset(p, 0, 8192);
    PK_CHECK(cudaHostRegister(p, 8192, cudaHostRegisterMapped));
    PK_CHECK(cudaHostGetDevicePointer(&device, p, 0));
    PK_LAUNCH(add_index, 1, 1024, 0, 0, device, 1024);
    PK_CHECK(cudaDeviceSynchronize());
    EXPECT_EQ(p[1023], 1023);
    EXPECT_ERROR(cudaHostRegister(p, 8192, cudaHostRegisterMapped), cudaErrorHostMemoryAlreadyRegistered);
    EXPECT_ERROR(cudaHostUnregister(p), cudaSuccess);
    OBSERVE_ERROR("unregister_twice", cudaHostUnregister(p));
    free(p);
    return PK_OK;
}

CASE(host_device_pointer)
{
    void *device = NULL;
    int on_stack = 0;
    PINNED(int, p, 1);
    EXPECT_ERROR(cudaHostGetDevicePointer(&device, p, 1), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaHostGetDevicePointer(&device, p, 0), cudaSuccess);
    OBSERVE("same_address", device == p);
    OBSERVE_ERROR("pageable", cudaHostGetDevicePointer(&device, &on_stack, 0));
    return PK_OK;
}

CASE(host_alloc_bad_flags)
{
    void *p;
    EXPECT_ERROR(cudaHostAlloc(&p, 64, 0xff00), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(memory_info)
{
    size_t free_before, free_after, total;
    void *p;
    PK_CHECK(cudaMemGetInfo(&free_before, &total));
    EXPECT(free_before <= total);
    PK_CHECK(cudaMalloc(&p, 64 << 20));
    PK_CHECK(cudaMemGetInfo(&free_after, &total));
    EXPECT(free_after + (64 << 20) <= free_before);
    PK_CHECK(cudaFree(p));
    PK_CHECK(cudaMemGetInfo(&free_after, &total));
    EXPECT_EQ(free_after, free_before);
    return PK_OK;
}

CASE(stream_ordered_allocation)
{
    STREAM(s);
    MAPPED(int, host, device, 1);
    int *p;
    if (!cf_attribute(cudaDevAttrMemoryPoolsSupported))
        SKIP("the device has no memory pools");
    PK_CHECK(cudaMallocAsync(&p, 4096, s));
    EXPECT(p != NULL);
    PK_LAUNCH(cf_set, 1, 1, 0, s, p, 11);
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, p, device, 3);
    PK_CHECK(cudaFreeAsync(p, s));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EQ(*host, 33);
    return PK_OK;
}

CASE(symbols)
{
    const int eight[8] = {0, 1, 2, 3, 4, 5, 6, 7}, ten = 10;
    const float four[4] = {0.5f, 1.0f, 2.0f, 4.0f};
    int counted = 0;
    DEVICE(float, out, 4);
    PK_CHECK(cudaMemcpyToSymbol(table, eight, sizeof eight));
    PK_CHECK(cudaMemcpyToSymbol(scale, four, sizeof four));
    PK_CHECK(cudaMemcpyToSymbol(counter, &ten, sizeof ten));
    PK_CHECK(cudaMemcpyToSymbol(table, &ten, sizeof ten, 3 * sizeof ten)); /* an offset in bytes */
    PK_LAUNCH(read_symbols, 1, 4, 0, 0, out);
    EXPECT_EACH(float, out, 4, four[i] * (i == 1 ? 10.0f : (float)(i + 2)));
    PK_CHECK(cudaMemcpyFromSymbol(&counted, counter, sizeof counted));
    EXPECT_EQ(counted, 15);
    return PK_OK;
}

CASE(symbol_address)
{
    void *address = NULL;
    int counted = 0;
    cudaPointerAttributes a;
    PK_CHECK(cudaGetSymbolAddress(&address, counter));
    PK_CHECK(cudaPointerGetAttributes(&a, address));
    EXPECT_EQ(a.type, cudaMemoryTypeDevice);
    PK_CHECK(cudaMemset(address, 0, sizeof(int)));
    PK_LAUNCH(cf_set, 1, 1, 0, 0, (int *)address, 77);
    PK_CHECK(cudaMemcpyFromSymbol(&counted, counter, sizeof counted));
    EXPECT_EQ(counted, 77);
    return PK_OK;
}
