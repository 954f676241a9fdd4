/* Lab 02: serial execution on the device, a block a request and no queue: what every variant must equal bit for bit.
 * That it is right itself is judged in double by inputs.c. */
#include "lab02_step.cuh"

static __global__ void serial_steps(lab02_problem problem, const float *start, const unsigned *counts)
{
    PK_DYNAMIC_SHARED(float, shared);
    const unsigned request = blockIdx.x;
    const size_t base = (size_t)request * problem.n;
    lab02_block block = lab02_begin_block(&problem, shared, false);
    for (int i = threadIdx.x; i < problem.n; i += blockDim.x)
        problem.state[base + i] = start[base + i];
    __syncthreads();
    lab02_begin_request(&problem, &block, request);
    for (unsigned step = 0; step < counts[request]; step++)
        lab02_step(&problem, &block, request, (int)step);
}

pk_status lab02_serial(const lab02_problem *into, const float *start, const unsigned *counts, void *stream)
{
    enum { THREADS = 256 };
    PK_LAUNCH(serial_steps, (unsigned)into->requests, THREADS, lab02_shared_bytes(into, false), (cudaStream_t)stream,
              *into, start, counts);
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)stream));
    return PK_OK;
}
