/* Lab 02: one step of one request, done by a whole block. Every variant and the serial reference use these functions,
 * so that results can be demanded bit for bit: the order of the sums is fixed, whatever the number of threads. */
#ifndef LAB02_STEP_CUH
#define LAB02_STEP_CUH

#include "pk_gpu.h"

#include "lab02.h"

typedef struct lab02_block { /* a block's view of the work; the same in all its threads */
    const float *matrix;     /* A as in lab02_problem, in shared or in device memory */
    float *now, *next;       /* shared, [n] each: the state before and after a step; dense only */
} lab02_block;

/* Shared bytes of a block that does steps: two states; and A beside them when `keep_matrix`. */
static inline size_t lab02_shared_bytes(const lab02_problem *problem, bool keep_matrix)
{
    const size_t n = (size_t)problem->n;
    return problem->dense ? (2 * n + (keep_matrix ? n * n : 0)) * sizeof(float) : 0;
}

/* Once in a kernel, by all threads. `keep_matrix`: copy A into shared memory, for kernels that live long. */
static __device__ inline lab02_block lab02_begin_block(const lab02_problem *problem, float *shared, bool keep_matrix)
{
    const int n = problem->n;
    lab02_block block = {problem->matrix, shared, shared + n};
    if (!problem->dense || !keep_matrix)
        return block;
    float *copy = shared + 2 * n;
    for (int i = threadIdx.x; i < n * n; i += blockDim.x)
        copy[i] = problem->matrix[i];
    block.matrix = copy;
    __syncthreads();
    return block;
}

/* Before the first of some steps of `request`: nothing else has touched its state in between. */
static __device__ inline void lab02_begin_request(const lab02_problem *problem, lab02_block *block, unsigned request)
{
    if (!problem->dense)
        return;
    const float *state = problem->state + (size_t)request * problem->n;
    for (int i = threadIdx.x; i < problem->n; i += blockDim.x)
        block->now[i] = state[i];
    __syncthreads();
}

/* Elements first, first + stride, ... below `end` of state <- state + a x. A thread owns the same elements in every
 * step. Four of them are under way together: a loop that stores before it loads again waits for memory in each turn,
 * since the compiler cannot know that state and x do not overlap. */
static __device__ inline void lab02_axpy(const lab02_problem *problem, unsigned request, int step, int first,
                                         int stride, int end)
{
    enum { AT_ONCE = 4 }; /* elements whose loads are under way together */
    const size_t base = (size_t)request * problem->n;
    const float *x = problem->x + base;
    float *state = problem->state + base, *const token = problem->trace + (size_t)request * problem->steps + step;
    const int traced = step < problem->n ? step : step % problem->n;
    int i = first;
    for (; i + (AT_ONCE - 1) * stride < end; i += AT_ONCE * stride) {
        float add[AT_ONCE], y[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            add[k] = x[i + k * stride];
            y[k] = state[i + k * stride];
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            y[k] = fmaf(problem->a, add[k], y[k]);
            state[i + k * stride] = y[k];
            if (i + k * stride == traced)
                *token = y[k];
        }
    }
    for (; i < end; i += stride) {
        const float y = fmaf(problem->a, x[i], state[i]);
        state[i] = y;
        if (i == traced)
            *token = y;
    }
}

/* Row i of A state + x: four partial sums over j mod 4, added in a fixed order. */
static __device__ inline float lab02_row(const float4 *matrix, const float4 *state, float x, int n, int i)
{
    float4 sum = make_float4(0, 0, 0, 0);
    for (int j = 0; j < n / 4; j++) {
        const float4 a = matrix[(size_t)j * n + i], y = state[j];
        sum.x = fmaf(a.x, y.x, sum.x);
        sum.y = fmaf(a.y, y.y, sum.y);
        sum.z = fmaf(a.z, y.z, sum.z);
        sum.w = fmaf(a.w, y.w, sum.w);
    }
    return ((sum.x + sum.y) + (sum.z + sum.w)) + x;
}

/* state <- tanh(A state + x): a thread owns rows, and reads the whole state from shared memory. */
static __device__ inline void lab02_dense(const lab02_problem *problem, lab02_block *block, unsigned request, int step)
{
    const int n = problem->n;
    const size_t base = (size_t)request * n;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const float y =
            tanhf(lab02_row((const float4 *)block->matrix, (const float4 *)block->now, problem->x[base + i], n, i));
        block->next[i] = y;
        problem->state[base + i] = y;
        if (i == step % n)
            problem->trace[(size_t)request * problem->steps + step] = y;
    }
    float *const old = block->now;
    block->now = block->next;
    block->next = old;
}

/* The whole step, by all threads of the block. Ends with a barrier: then all of it is done. */
static __device__ inline void lab02_step(const lab02_problem *problem, lab02_block *block, unsigned request, int step)
{
    if (problem->dense)
        lab02_dense(problem, block, request, step);
    else
        lab02_axpy(problem, request, step, threadIdx.x, blockDim.x, problem->n);
    __syncthreads();
}

#endif
