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
#include "choice.h"

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
                          cudaStream_t stream, pk_cpu_how how);
}

/* Set while threads of the running block wait: then threads no longer run straight through. A pointer, so that a
 * kernel's stores of numbers cannot alias it and the test leaves the loop over threads. */
extern __thread struct pk_cpu_block *pk_cpu_parked PK_CPU_IN_PROGRAM_;

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
    /* A large parameter is read where it lies, in the packet, which is aligned to 16: copies would fill a thread's
     * stack. */
    template <class T>
    using held = typename std::conditional<(sizeof(T) > 512 && alignof(T) <= 16), const T &, T>::type;

    template <class T> static held<T> load(const unsigned char *from)
    {
        if constexpr (std::is_reference<held<T>>::value) {
            return *reinterpret_cast<const T *>(from);
        } else {
            T value;
            memcpy(&value, from, sizeof(value));
            return value;
        }
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
    static inline __attribute__((always_inline)) void block(const void *function, const std::tuple<held<P>...> &values,
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
        const std::tuple<held<P>...> values(load<P>(packet + pk_cpu_layout<P...>::packet.offsets[I])...);
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

/* Where and how a launch runs. */
struct pk_cpu_shape {
    dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
    pk_cpu_how how;
};

inline cudaError_t pk_cpu_start(const pk_cpu_kernel *kernel, const pk_cpu_shape &shape, void **arguments)
{
    return pk_cpu_launch(kernel, shape.grid, shape.block, arguments, shape.shared_bytes, shape.stream, shape.how);
}

/* The launch of a function that is known, with values of its parameters' own types. */
template <class Body, class... P>
cudaError_t pk_cpu_launch_function(pk_cpu_signature<P...> signature, const char *name, const pk_cpu_shape &shape,
                                   P &...values)
{
    void *pointers[] = {static_cast<void *>(&values)..., nullptr};
    if constexpr (std::is_empty<Body>::value) {
        static const pk_cpu_kernel kernel = pk_cpu_describe_kernel<Body>(signature, name);
        static const pk_cpu_kernel *const known = pk_cpu_register(&kernel);
        (void)known;
        return pk_cpu_start(&kernel, shape, pointers);
    } else {
        const pk_cpu_kernel kernel = pk_cpu_describe_kernel<void>(signature, name);
        return pk_cpu_start(pk_cpu_register(&kernel), shape, pointers);
    }
}

/* The same, with values that are converted to the parameters' types. */
template <class Body, class... P, class... A>
cudaError_t pk_cpu_launch_converted(pk_cpu_signature<P...> signature, const char *name, const pk_cpu_shape &shape,
                                    const A &...values)
{
    return [&](P... converted) {
        return pk_cpu_launch_function<Body>(signature, name, shape, converted...);
    }(static_cast<P>(values)...);
}

/* The launch of what Body calls with the values. Its address is `function`, or where that is not known one of the
 * launch's own: what is set for the kernel by address does not hold for it, and its static shared memory is not
 * counted. */
template <class Body, class... V>
cudaError_t pk_cpu_launch_body(const void *function, const char *name, const pk_cpu_shape &shape, V... values)
{
    static_assert(std::is_empty<Body>::value, "a launch by a variable gives every parameter of the kernel");
    static_assert((std::is_trivially_copyable<V>::value && ...), "kernel parameters are copied as bytes");
    if constexpr (std::is_invocable<const Body &, const V &...>::value) {
        pk_cpu_kernel kernel = pk_cpu_describe_kernel<Body>(pk_cpu_signature<V...>{nullptr}, name);
        kernel.function = function ? function : reinterpret_cast<const void *>(kernel.run_thread);
        static const pk_cpu_kernel kept = kernel;
        void *pointers[] = {static_cast<void *>(&values)..., nullptr};
        return pk_cpu_start(&kept, shape, pointers);
    } else {
        static_assert(sizeof...(V) == ~(size_t)0, "no kernel of this name can be called with these arguments");
        return cudaErrorInvalidDeviceFunction;
    }
}

/* The launch of whatever kernel of the name C++ chooses for these arguments. */
template <class Body, class Exact, class... A>
cudaError_t pk_cpu_launch_chosen(const Exact &exact, const void *function, const char *name, const pk_cpu_shape &shape,
                                 A... values)
{
    if constexpr (!std::is_invocable<const Body &, const A &...>::value) {
        return pk_cpu_launch_body<Body>(function, name, shape, pk_cpu_or_literal<A>{values}...);
    } else {
        typedef decltype(pk_cpu_parameters<Body, A...>(std::index_sequence_for<A...>{})) parameters;
        const auto found = pk_cpu_find_exact<Exact, 0>(exact, parameters{});
        if constexpr (std::is_same<decltype(found), const int>::value)
            return pk_cpu_launch_body<Body>(function, name, shape, values...);
        else
            return pk_cpu_launch_converted<Body>(found, name, shape, values...);
    }
}

/* What a launch macro calls, with a launch's numbers and the kernel's arguments. */
template <pk_cpu_how How, class Body, class Exact, class Signature> struct pk_cpu_launcher {
    const char *name;
    const Exact &exact;

    template <class... A>
    cudaError_t operator()(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A &&...values) const
    {
        return pk_cpu_launch_chosen<Body>(exact, nullptr, name, {grid, block, shared_bytes, stream, How},
                                          std::forward<A>(values)...);
    }
};

template <pk_cpu_how How, class Body, class Exact, class... P>
struct pk_cpu_launcher<How, Body, Exact, pk_cpu_signature<P...>> {
    const char *name;
    const Exact &exact;
    pk_cpu_signature<P...> signature;

    /* Written so that arguments are converted as in a call: 0 may be a pointer, and {1, 2} a struct. */
    cudaError_t operator()(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, P... values) const
    {
        return pk_cpu_launch_function<Body>(signature, name, {grid, block, shared_bytes, stream, How}, values...);
    }

    /* Another number of arguments: those that are missing have defaults. */
    template <class... A, class = typename std::enable_if<sizeof...(A) != sizeof...(P)>::type>
    cudaError_t operator()(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A &&...values) const
    {
        const pk_cpu_kernel whole = pk_cpu_describe_kernel<void>(signature, name);
        pk_cpu_register(&whole);
        return pk_cpu_launch_chosen<Body>(exact, whole.function, name, {grid, block, shared_bytes, stream, How},
                                          std::forward<A>(values)...);
    }
};

template <pk_cpu_how How, class Body, class Named, class Exact>
auto pk_cpu_launcher_of(const char *name, const Named &named, const Exact &exact, const Body &)
{
    if constexpr (std::is_invocable<const Named &, int>::value)
        return pk_cpu_launcher<How, Body, Exact, decltype(named(0))>{name, exact, named(0)};
    else
        return pk_cpu_launcher<How, Body, Exact, void>{name, exact};
}

#define PK_CPU_LAUNCHER_(how, kernel)                                                                                  \
    pk_cpu_launcher_of<how>(                                                                                           \
        #kernel,                                                                                                       \
        [=](auto pk_any_) -> decltype(pk_cpu_signature_at(pk_any_, kernel)) {                                          \
            return pk_cpu_signature_at(pk_any_, kernel);                                                               \
        },                                                                                                             \
        [=](auto pk_exact_) -> decltype(pk_exact_.of(kernel)) { return pk_exact_.of(kernel); },                        \
        [=](auto &...pk_values_) -> decltype((void)(kernel)(pk_values_...)) { (kernel)(pk_values_...); })

/* Launch a kernel: PK_CPU_LAUNCH(kernel, grid, block, dynamic shared bytes, stream, arguments...), an expression of
 * type cudaError_t that leaves its error in the last error too. */
#define PK_CPU_LAUNCH(kernel, ...) PK_CPU_LAUNCHER_(PK_CPU_PLAIN, kernel)(__VA_ARGS__)

/* The same for a cooperative launch. */
#define PK_CPU_LAUNCH_COOPERATIVE(kernel, ...) PK_CPU_LAUNCHER_(PK_CPU_COOPERATIVE, kernel)(__VA_ARGS__)

/* And for one that may begin before the kernel ahead of it in the stream has ended. */
#define PK_CPU_LAUNCH_PROGRAMMATIC(kernel, ...) PK_CPU_LAUNCHER_(PK_CPU_PROGRAMMATIC, kernel)(__VA_ARGS__)

/* A kernel's bare address, made known to the device. */
template <class... P> const void *pk_cpu_address_of(void (*function)(P...))
{
    const pk_cpu_kernel kernel = pk_cpu_describe_kernel<void>(pk_cpu_signature_of(function), PK_CPU_UNNAMED);
    pk_cpu_register(&kernel);
    return reinterpret_cast<const void *>(function);
}

/* At file scope: the same for a kernel that the program only names cast to void *. */
#define PK_CPU_KERNEL(kernel) PK_CPU_KERNEL_(kernel, __COUNTER__)
#define PK_CPU_KERNEL_(kernel, number) PK_CPU_KERNEL_NUMBERED_(kernel, number)
#define PK_CPU_KERNEL_NUMBERED_(kernel, number)                                                                        \
    __attribute__((unused)) static const void *const pk_cpu_kernel_##number = pk_cpu_address_of(kernel)

template <class... P, class... A>
cudaError_t pk_cpu_launch_config(const cudaLaunchConfig_t *config, const char *name, void (*function)(P...),
                                 A &&...arguments)
{
    static_assert(sizeof...(A) == sizeof...(P), "a launch gives every parameter of the kernel");
    pk_cpu_how how;
    const cudaError_t error = pk_cpu_read_config(config, &how);
    if (error)
        return error;
    const pk_cpu_kernel kernel = pk_cpu_describe_kernel<void>(pk_cpu_signature_of(function), name);
    const pk_cpu_kernel *known = pk_cpu_register(&kernel);
    std::tuple<typename std::remove_const<P>::type...> values(std::forward<A>(arguments)...);
    return std::apply(
        [&](auto &...value) {
            void *pointers[] = {static_cast<void *>(&value)..., nullptr};
            return pk_cpu_launch(known, config->gridDim, config->blockDim, pointers, config->dynamicSmemBytes,
                                 config->stream, how);
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

template <class T>
cudaError_t cudaMallocFromPoolAsync(T **device, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
    return cudaMallocFromPoolAsync(reinterpret_cast<void **>(device), bytes, pool, stream);
}

template <class T> cudaError_t cudaMallocAsync(T **device, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
    return cudaMallocFromPoolAsync(reinterpret_cast<void **>(device), bytes, pool, stream);
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

inline cudaError_t cudaEventCreate(cudaEvent_t *event, unsigned flags)
{
    return cudaEventCreateWithFlags(event, flags);
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
