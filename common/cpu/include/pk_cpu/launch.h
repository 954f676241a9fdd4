/* Kernel launches: how a typed call becomes a kernel that the device can run.
 *
 * A launch copies its arguments into a packet laid out like a C struct of the parameters. The kernel's body is
 * instantiated twice: run_blocks walks all threads of consecutive blocks in order, with the kernel inlined into the
 * loop so that the compiler may vectorise over threads; run_thread runs one thread, for blocks whose threads switch. */
#ifndef PK_CPU_LAUNCH_H
#define PK_CPU_LAUNCH_H

#include <stdint.h>
#include <string.h>

#include <tuple>
#include <type_traits>
#include <utility>

#include "../cuda_runtime_api.h"

/* Blocks that an OS thread has claimed, counted in x, then y, then z. It runs `at` and will run what follows; other OS
 * threads may read both and lower `end`, see claim.cpp. */
struct pk_cpu_batch {
    uint64_t at, end;
};

/* The name of a kernel of which only the address is known; the first launch that writes a name gives it that one. */
#define PK_CPU_UNNAMED "kernel"

/* One kernel, as the device runs it. */
struct pk_cpu_kernel {
    const void *function; /* its address: what names it in the API */
    const char *name;     /* as written at the launch */
    unsigned n_params;
    const unsigned *offsets, *sizes; /* [n_params], bytes in the packet */
    const bool *pointers;            /* [n_params] which are pointers to memory */
    unsigned packet_bytes;
    /* Begins with blockIdx, which is that of batch->at. Returns at the batch's end; or where a thread waits, or after
     * one block, and then leaves `at` to the caller. */
    void (*run_blocks)(const void *function, const unsigned char *packet, struct pk_cpu_batch *batch);
    void (*run_thread)(const void *function, const unsigned char *packet);
};

extern "C" {
/* Make the kernel known by its address. Returns the description that is kept for it, valid for ever. */
const pk_cpu_kernel *pk_cpu_register(const pk_cpu_kernel *kernel);
/* Check and enqueue; arguments[i] points to the i-th parameter's value. Also sets the last error. */
cudaError_t pk_cpu_launch(const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments, size_t shared_bytes,
                          cudaStream_t stream);
/* The same, with a grid that is resident as a whole and may meet at the grid's barrier. */
cudaError_t pk_cpu_launch_cooperative(const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments,
                                      size_t shared_bytes, cudaStream_t stream);
}

/* Set while threads of the running block wait: then threads no longer run straight through. A pointer, so that a
 * kernel's stores of numbers cannot alias it and the test leaves the loop over threads. */
extern __thread struct pk_cpu_block *pk_cpu_parked PK_CPU_IN_PROGRAM_;

template <class... P> struct pk_cpu_signature {
    void (*function)(P...);
};

template <class... P> pk_cpu_signature<P...> pk_cpu_signature_of(void (*function)(P...))
{
    static_assert((std::is_trivially_copyable<P>::value && ...), "kernel parameters are copied as bytes");
    return {function};
}

/* Where each parameter lies in the packet. */
template <class... P> struct pk_cpu_packet {
    unsigned offsets[sizeof...(P) + 1], sizes[sizeof...(P) + 1], bytes;
    bool pointers[sizeof...(P) + 1];
    constexpr pk_cpu_packet() : offsets(), sizes(), bytes(0), pointers()
    {
        const unsigned align[] = {alignof(P)..., 1}, size[] = {sizeof(P)..., 0};
        const bool to_memory[] = {
            std::is_pointer<P>::value && !std::is_function<typename std::remove_pointer<P>::type>::value..., false};
        for (unsigned i = 0; i < sizeof...(P); ++i) {
            bytes = (bytes + align[i] - 1) / align[i] * align[i];
            offsets[i] = bytes;
            sizes[i] = size[i];
            pointers[i] = to_memory[i];
            bytes += size[i];
        }
    }
};

template <class... P> struct pk_cpu_layout {
    static constexpr pk_cpu_packet<P...> packet{};
};

/* `Body` calls the kernel. Where the launch names the kernel itself it is an empty lambda, so the call is direct;
 * where it names a variable, or Body is void, the call goes through the address. */
template <class Body, class... P> struct pk_cpu_code {
    template <class T> static T load(const unsigned char *from)
    {
        typename std::remove_const<T>::type value;
        memcpy(&value, from, sizeof(value));
        return value;
    }

    template <class... V>
    static inline __attribute__((always_inline)) void call(const void *function, const V &...values)
    {
        if constexpr (std::is_empty<Body>::value) {
            alignas(Body) const unsigned char nothing[sizeof(Body)] = {};
            (*reinterpret_cast<const Body *>(nothing))(values...);
        } else {
            reinterpret_cast<void (*)(P...)>(reinterpret_cast<size_t>(function))(values...);
        }
    }

    /* Written so that a kernel that calls nothing becomes one loop over x that the compiler vectorises: what it
     * stores here is overwritten after the loop, so no store is left inside; pk_cpu_parked is known to be null unless
     * something was called; and block.cpp comes here only with indices that end below 2^30, so that the sums that
     * kernels index with do not wrap. */
    template <size_t... I>
    static inline __attribute__((always_inline)) void block(const void *function, const std::tuple<P...> &values,
                                                            std::index_sequence<I...>)
    {
        const unsigned nx = blockDim.x, ny = blockDim.y, nz = blockDim.z;
        const unsigned first_x = blockIdx.x * nx, first_y = blockIdx.y * ny;
        (void)values;
        if (nx == 0 || ny == 0 || nx > 1024 || ny > 1024 || first_x > 1u << 30 || first_y > 1u << 30)
            __builtin_unreachable();
        for (unsigned z = 0; z < nz; ++z) {
            threadIdx.z = z;
            for (unsigned y = 0; y < ny; ++y) {
                if (first_y + y > 0x7fffffff)
                    __builtin_unreachable();
                threadIdx.y = y;
                for (unsigned x = 0; x < nx; ++x) {
                    if (x >= 1024 || first_x + x > 0x7fffffff)
                        __builtin_unreachable();
                    threadIdx.x = x;
                    pk_cpu_parked = nullptr;
                    call(function, std::get<I>(values)...);
                    if (pk_cpu_parked != nullptr)
                        return;
                }
                threadIdx.x = 0;
                pk_cpu_parked = nullptr;
            }
        }
    }

    template <size_t... I>
    static __attribute__((flatten)) void all(const void *function, const unsigned char *packet,
                                             struct pk_cpu_batch *batch, std::index_sequence<I...> indices)
    {
        (void)packet;
        const std::tuple<P...> values(load<P>(packet + pk_cpu_layout<P...>::packet.offsets[I])...);
#if defined(PK_CPU_CHECKED)
        (void)batch; /* each access here is taken for one of the kernel's: one block, and the caller counts */
        block(function, values, indices);
#else
        const unsigned grid_x = gridDim.x, grid_y = gridDim.y;
        uint64_t at = __atomic_load_n(&batch->at, __ATOMIC_RELAXED);
        uint3 index = blockIdx;
        for (;;) {
            block(function, values, indices);
            if (pk_cpu_parked != nullptr)
                return;
            if (++index.x == grid_x) {
                index.x = 0;
                if (++index.y == grid_y) {
                    index.y = 0;
                    ++index.z;
                }
            }
            /* Signal fences, so that the compiler keeps the order and moves none of it out of the loop: `at` is
             * stored before `end` is read, which pairs with pk_batch_cut in claim.cpp, and a fault finds blockIdx. */
            __atomic_store_n(&batch->at, ++at, __ATOMIC_RELAXED);
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            if (at >= __atomic_load_n(&batch->end, __ATOMIC_RELAXED))
                return;
            blockIdx = index;
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
        }
#endif
    }

    template <size_t... I> static void one(const void *function, const unsigned char *packet, std::index_sequence<I...>)
    {
        (void)packet;
        call(function, load<P>(packet + pk_cpu_layout<P...>::packet.offsets[I])...);
    }

    static void run_blocks(const void *function, const unsigned char *packet, struct pk_cpu_batch *batch)
    {
        all(function, packet, batch, std::index_sequence_for<P...>{});
    }

    static void run_thread(const void *function, const unsigned char *packet)
    {
        one(function, packet, std::index_sequence_for<P...>{});
    }
};

/* The description of a launch site's kernel. Where Body is empty a site always launches the same kernel, so it keeps
 * its own; else the address may differ from call to call, and the registry keeps one for each address. */
template <class Body, class... P>
pk_cpu_kernel pk_cpu_describe_kernel(pk_cpu_signature<P...> signature, const char *name)
{
    using code = pk_cpu_code<Body, P...>;
    const pk_cpu_packet<P...> &packet = pk_cpu_layout<P...>::packet;
    return {reinterpret_cast<const void *>(signature.function),
            name,
            sizeof...(P),
            packet.offsets,
            packet.sizes,
            packet.pointers,
            packet.bytes,
            code::run_blocks,
            code::run_thread};
}

template <class Body, class... P, class... A>
cudaError_t pk_cpu_launch_typed(pk_cpu_signature<P...> signature, const char *name, const Body &, dim3 grid, dim3 block,
                                size_t shared_bytes, cudaStream_t stream, A &&...arguments)
{
    static_assert(sizeof...(A) == sizeof...(P), "a launch gives every parameter of the kernel");
    std::tuple<typename std::remove_const<P>::type...> values(std::forward<A>(arguments)...);
    return std::apply(
        [&](auto &...value) {
            void *pointers[] = {static_cast<void *>(&value)..., nullptr};
            if constexpr (std::is_empty<Body>::value) {
                static const pk_cpu_kernel kernel = pk_cpu_describe_kernel<Body>(signature, name);
                static const pk_cpu_kernel *const known = pk_cpu_register(&kernel);
                (void)known;
                return pk_cpu_launch(&kernel, grid, block, pointers, shared_bytes, stream);
            } else {
                const pk_cpu_kernel kernel = pk_cpu_describe_kernel<void>(signature, name);
                return pk_cpu_launch(pk_cpu_register(&kernel), grid, block, pointers, shared_bytes, stream);
            }
        },
        values);
}

/* Launch `kernel`: an expression of type cudaError_t that leaves its error in the last error too. */
#define PK_CPU_LAUNCH(kernel, grid, block, smem, stream, ...)                                                          \
    pk_cpu_launch_typed(                                                                                               \
        pk_cpu_signature_of(kernel), #kernel, [=](auto &...pk_values_) { (kernel)(pk_values_...); }, (grid), (block),  \
        (smem), (stream), ##__VA_ARGS__)

/* The same for a cooperative launch. */
#define PK_CPU_LAUNCH_COOPERATIVE(kernel, grid, block, smem, on_stream, ...)                                           \
    ([&]() {                                                                                                           \
        cudaLaunchAttribute pk_attribute_ = {};                                                                        \
        cudaLaunchConfig_t pk_config_ = {(grid), (block), (smem), (on_stream), &pk_attribute_, 1};                     \
        pk_attribute_.id = cudaLaunchAttributeCooperative;                                                             \
        pk_attribute_.val.cooperative = 1;                                                                             \
        return pk_cpu_launch_config(&pk_config_, #kernel, (kernel), ##__VA_ARGS__);                                    \
    }())

/* A kernel's bare address, made known to the device. */
template <class... P> const void *pk_cpu_address_of(void (*function)(P...))
{
    const pk_cpu_kernel kernel = pk_cpu_describe_kernel<void>(pk_cpu_signature_of(function), PK_CPU_UNNAMED);
    pk_cpu_register(&kernel);
    return reinterpret_cast<const void *>(function);
}

template <class... P, class... A>
cudaError_t pk_cpu_launch_config(const cudaLaunchConfig_t *config, const char *name, void (*function)(P...),
                                 A &&...arguments)
{
    static_assert(sizeof...(A) == sizeof...(P), "a launch gives every parameter of the kernel");
    bool cooperative;
    const cudaError_t error = pk_cpu_read_config(config, &cooperative);
    if (error)
        return error;
    const pk_cpu_kernel kernel = pk_cpu_describe_kernel<void>(pk_cpu_signature_of(function), name);
    const pk_cpu_kernel *known = pk_cpu_register(&kernel);
    std::tuple<typename std::remove_const<P>::type...> values(std::forward<A>(arguments)...);
    return std::apply(
        [&](auto &...value) {
            void *pointers[] = {static_cast<void *>(&value)..., nullptr};
            return (cooperative ? pk_cpu_launch_cooperative : pk_cpu_launch)(
                known, config->gridDim, config->blockDim, pointers, config->dynamicSmemBytes, config->stream);
        },
        values);
}

/* The typed forms of calls that take a kernel. */
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*function)(P...), A &&...arguments)
{
    return pk_cpu_launch_config(config, PK_CPU_UNNAMED, function, std::forward<A>(arguments)...);
}

template <class... P>
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, void (*function)(P...), void **arguments)
{
    return cudaLaunchKernelExC(config, pk_cpu_address_of(function), arguments);
}

template <class... P>
cudaError_t cudaLaunchCooperativeKernel(void (*function)(P...), dim3 grid, dim3 block, void **arguments,
                                        size_t shared_bytes = 0, cudaStream_t stream = nullptr)
{
    return cudaLaunchCooperativeKernel(pk_cpu_address_of(function), grid, block, arguments, shared_bytes, stream);
}

template <class... P>
cudaError_t cudaOccupancyMaxPotentialBlockSize(int *grid, int *block, void (*function)(P...),
                                               size_t dynamic_shared_bytes = 0, int block_threads_limit = 0)
{
    return cudaOccupancyMaxPotentialBlockSize(grid, block, reinterpret_cast<const void *>(function),
                                              dynamic_shared_bytes, block_threads_limit);
}

template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, void (*function)(P...),
                                                                   int block_threads, size_t dynamic_shared_bytes,
                                                                   unsigned flags)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, reinterpret_cast<const void *>(function),
                                                                  block_threads, dynamic_shared_bytes, flags);
}

template <class... P>
cudaError_t cudaLaunchKernel(void (*function)(P...), dim3 grid, dim3 block, void **arguments, size_t shared_bytes = 0,
                             cudaStream_t stream = nullptr)
{
    const pk_cpu_kernel kernel = pk_cpu_describe_kernel<void>(pk_cpu_signature_of(function), PK_CPU_UNNAMED);
    pk_cpu_register(&kernel);
    return cudaLaunchKernel(reinterpret_cast<const void *>(function), grid, block, arguments, shared_bytes, stream);
}

template <class... P> cudaError_t cudaFuncSetAttribute(void (*function)(P...), cudaFuncAttribute attribute, int value)
{
    return cudaFuncSetAttribute(pk_cpu_address_of(function), attribute, value);
}

template <class... P> cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, void (*function)(P...))
{
    return cudaFuncGetAttributes(attributes, pk_cpu_address_of(function));
}

template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void (*function)(P...), int block_threads,
                                                          size_t dynamic_shared_bytes)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, pk_cpu_address_of(function), block_threads,
                                                         dynamic_shared_bytes);
}

/* CUDA's typed allocation calls. */
template <class T> cudaError_t cudaMalloc(T **device, size_t bytes)
{
    return cudaMalloc(reinterpret_cast<void **>(device), bytes);
}

template <class T> cudaError_t cudaMallocManaged(T **both, size_t bytes, unsigned flags = cudaMemAttachGlobal)
{
    return cudaMallocManaged(reinterpret_cast<void **>(both), bytes, flags);
}

template <class T> cudaError_t cudaMallocAsync(T **device, size_t bytes, cudaStream_t stream)
{
    return cudaMallocAsync(reinterpret_cast<void **>(device), bytes, stream);
}

template <class T> cudaError_t cudaMallocHost(T **host, size_t bytes, unsigned flags = cudaHostAllocDefault)
{
    return cudaHostAlloc(reinterpret_cast<void **>(host), bytes, flags);
}

template <class T> cudaError_t cudaHostAlloc(T **host, size_t bytes, unsigned flags)
{
    return cudaHostAlloc(reinterpret_cast<void **>(host), bytes, flags);
}

template <class T> cudaError_t cudaHostGetDevicePointer(T **device, void *host, unsigned flags)
{
    return cudaHostGetDevicePointer(reinterpret_cast<void **>(device), host, flags);
}

/* __device__ and __constant__ variables: the symbol is the variable itself. */
template <class T> cudaError_t cudaGetSymbolAddress(void **device, const T &symbol)
{
    return pk_cpu_symbol_address(device, &symbol, sizeof(T));
}

template <class T>
cudaError_t cudaMemcpyToSymbolAsync(const T &symbol, const void *from, size_t bytes, size_t offset = 0,
                                    cudaMemcpyKind kind = cudaMemcpyHostToDevice, cudaStream_t stream = nullptr)
{
    void *to = nullptr;
    const cudaError_t error = cudaGetSymbolAddress(&to, symbol);
    return error ? error : cudaMemcpyAsync(static_cast<char *>(to) + offset, from, bytes, kind, stream);
}

template <class T>
cudaError_t cudaMemcpyToSymbol(const T &symbol, const void *from, size_t bytes, size_t offset = 0,
                               cudaMemcpyKind kind = cudaMemcpyHostToDevice)
{
    void *to = nullptr;
    const cudaError_t error = cudaGetSymbolAddress(&to, symbol);
    return error ? error : cudaMemcpy(static_cast<char *>(to) + offset, from, bytes, kind);
}

template <class T>
cudaError_t cudaMemcpyFromSymbol(void *to, const T &symbol, size_t bytes, size_t offset = 0,
                                 cudaMemcpyKind kind = cudaMemcpyDeviceToHost)
{
    void *from = nullptr;
    const cudaError_t error = cudaGetSymbolAddress(&from, symbol);
    return error ? error : cudaMemcpy(to, static_cast<const char *>(from) + offset, bytes, kind);
}

/* CUDA's default arguments, for C++ callers. */
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

inline cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes)
{
    return cudaMemsetAsync(to, byte, bytes, nullptr);
}

inline cudaError_t cudaEventRecord(cudaEvent_t event)
{
    return cudaEventRecord(event, nullptr);
}

inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event)
{
    return cudaStreamWaitEvent(stream, event, cudaEventWaitDefault);
}

#endif
