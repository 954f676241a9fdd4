/* Memory: kinds, copies in every direction, what is refused, how much there is. */
#include "check.h"

#include <stdint.h>
#include <string.h>

__device__ int device_word = 3;
__constant__ float table[4];

__global__ void add_word(int *out)
{
    *out += device_word + (int)table[2];
}

static void copies_between_kinds(void)
{
    int pageable[64], back[64], *pinned, *device, *managed;
    OK(cudaMallocHost(&pinned, sizeof(pageable)));
    OK(cudaMalloc(&device, sizeof(pageable)));
    OK(cudaMallocManaged(&managed, sizeof(pageable)));
    CHECK((uintptr_t)device % 256 == 0);
    for (int i = 0; i < 64; ++i)
        pageable[i] = i;
    OK(cudaMemcpy(device, pageable, sizeof(pageable), cudaMemcpyHostToDevice));
    OK(cudaMemcpyAsync(managed, device, sizeof(pageable), cudaMemcpyDeviceToDevice, nullptr));
    OK(cudaMemcpyAsync(pinned, managed, sizeof(pageable), cudaMemcpyDefault, nullptr));
    OK(cudaMemcpy(back, pinned, sizeof(pageable), cudaMemcpyHostToHost));
    CHECK(memcmp(pageable, back, sizeof(back)) == 0);
    OK(cudaMemset(device, 0xff, sizeof(pageable)));
    OK(cudaMemcpy(back, device, sizeof(back), cudaMemcpyDeviceToHost));
    CHECK(back[0] == -1 && back[63] == -1);

    EXPECT(cudaMemcpy(pageable, back, sizeof(back), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT(cudaMemcpy(device, device, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT(cudaMemcpy(device + 1, back, sizeof(back), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT(cudaMemcpy(device, back, 4, (cudaMemcpyKind)7), cudaErrorInvalidMemcpyDirection);
    EXPECT(cudaMemset(back, 0, 4), cudaErrorInvalidValue);
    EXPECT(cudaGetLastError(), cudaErrorInvalidValue);
    OK(cudaFree(device));
    OK(cudaFree(managed));
    EXPECT(cudaFree(device), cudaErrorInvalidValue);
    EXPECT(cudaFree(pinned), cudaErrorInvalidValue);
    OK(cudaFreeHost(pinned));
    OK(cudaFree(nullptr));
    (void)cudaGetLastError();
}

/* The call has taken what it needs of pageable memory when it returns. */
static void pageable_sources_may_change(void)
{
    char *device, back[1000], source[1000];
    OK(cudaMalloc(&device, sizeof(source)));
    for (int round = 0; round < 50; ++round) {
        memset(source, round, sizeof(source));
        OK(cudaMemcpyAsync(device, source, sizeof(source), cudaMemcpyHostToDevice, nullptr));
        memset(source, 99, sizeof(source));
        OK(cudaMemcpyAsync(back, device, sizeof(back), cudaMemcpyDeviceToHost, nullptr));
        CHECK(back[0] == round && back[999] == round);
    }
    OK(cudaFree(device));
}

static void pointers_know_their_kind(void)
{
    cudaPointerAttributes attributes;
    char local[16], *pinned, *device, *mapped;
    OK(cudaHostAlloc(&pinned, 100, cudaHostAllocMapped | cudaHostAllocPortable));
    OK(cudaMalloc(&device, 100));
    OK(cudaPointerGetAttributes(&attributes, local));
    CHECK(attributes.type == cudaMemoryTypeUnregistered);
    OK(cudaPointerGetAttributes(&attributes, device + 99));
    CHECK(attributes.type == cudaMemoryTypeDevice && attributes.hostPointer == nullptr);
    OK(cudaPointerGetAttributes(&attributes, device + 100));
    CHECK(attributes.devicePointer != device + 100 || attributes.type != cudaMemoryTypeDevice);
    OK(cudaPointerGetAttributes(&attributes, pinned));
    CHECK(attributes.type == cudaMemoryTypeHost);
    OK(cudaHostGetDevicePointer(&mapped, pinned, 0));
    CHECK(mapped == pinned);
    EXPECT(cudaHostGetDevicePointer(&mapped, local, 0), cudaErrorInvalidValue);
    OK(cudaHostRegister(local, sizeof(local), cudaHostRegisterMapped));
    OK(cudaHostGetDevicePointer(&mapped, local, 0));
    EXPECT(cudaHostRegister(local + 1, 2, 0), cudaErrorHostMemoryAlreadyRegistered);
    OK(cudaHostUnregister(local));
    EXPECT(cudaHostUnregister(local), cudaErrorHostMemoryNotRegistered);
    OK(cudaFree(device));
    OK(cudaFreeHost(pinned));
    (void)cudaGetLastError();
}

static void memory_is_counted(void)
{
    size_t before, after, total;
    char *device = nullptr;
    OK(cudaMemGetInfo(&before, &total));
    CHECK(before > 0 && before <= total);
    EXPECT(cudaMalloc(&device, total + 1), cudaErrorMemoryAllocation);
    CHECK(device == nullptr);
    EXPECT(cudaMalloc(&device, SIZE_MAX), cudaErrorMemoryAllocation);
    EXPECT(cudaGetLastError(), cudaErrorMemoryAllocation);
    OK(cudaMalloc(&device, 1 << 20));
    OK(cudaMemGetInfo(&after, &total));
    CHECK(after < total);
    OK(cudaFree(device));
    OK(cudaMalloc(&device, 0));
    CHECK(device == nullptr);
}

static void symbols_are_device_memory(void)
{
    const float values[4] = {1, 2, 30, 4};
    const int word = 5;
    int back, *out;
    OK(cudaMallocHost(&out, sizeof(int)));
    *out = 0;
    OK(cudaMemcpyToSymbol(table, values, sizeof(values)));
    OK(cudaMemcpyToSymbol(device_word, &word, sizeof(word)));
    LAUNCH(add_word, 1, 1, 0, nullptr, out);
    OK(cudaMemcpyFromSymbol(&back, device_word, sizeof(back)));
    CHECK(back == 5 && *out == 35);
    void *address;
    OK(cudaGetSymbolAddress(&address, device_word));
    OK(cudaMemset(address, 0, sizeof(int)));
    OK(cudaDeviceSynchronize());
    CHECK(device_word == 0);
    OK(cudaFreeHost(out));
}

static void rows_are_copied_by_pitch(void)
{
    char from[4][8], *device;
    for (int i = 0; i < 32; ++i)
        from[i / 8][i % 8] = (char)i;
    char to[4][3];
    OK(cudaMalloc(&device, 4 * 16));
    OK(cudaMemcpy2D(device, 16, from, 8, 3, 4, cudaMemcpyHostToDevice));
    OK(cudaMemcpy2D(to, 3, device, 16, 3, 4, cudaMemcpyDeviceToHost));
    CHECK(to[3][2] == 26 && to[1][0] == 8);
    EXPECT(cudaMemcpy2D(to, 2, device, 16, 3, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidPitchValue);
    OK(cudaFree(device));
    (void)cudaGetLastError();
}

static void stream_ordered_allocation(void)
{
    int *x, back = 0;
    OK(cudaMallocAsync(&x, sizeof(int), nullptr));
    OK(cudaMemsetAsync(x, 1, sizeof(int), nullptr));
    OK(cudaMemcpyAsync(&back, x, sizeof(int), cudaMemcpyDeviceToHost, nullptr));
    OK(cudaFreeAsync(x, nullptr));
    OK(cudaDeviceSynchronize());
    CHECK(back == 0x01010101);
}

int main(void)
{
    limit_seconds(120);
    copies_between_kinds();
    pageable_sources_may_change();
    pointers_know_their_kind();
    memory_is_counted();
    symbols_are_device_memory();
    rows_are_copied_by_pitch();
    stream_ordered_allocation();
    return failures != 0;
}
