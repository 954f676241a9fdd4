/* Lab 03, cooperative kernel: the baselines. Both issue the launches of all T steps in stream order and wait once at
 * the end: nobody needs a step's output on the host, and a wait a step would only flatter what is compared with them.
 *
 *   kernels  four kernels a step: append and project, scores, softmax, weighted sum
 *   fused    one kernel a step, its blocks sharing the keys: all that the ladder's third rung has, but the one launch
 */
#include "lab03_plan.cuh"

/* ---- kernels ---- */

enum { GROUP = 16 /* lanes that read a row, 16 bytes each; for heads of 64 and 80 some have nothing to do */ };

/* Block (b, h): q into v.queries, in units of log2; the first head of each group of heads appends the new row. A thread
 * has one component. */
static __global__ void append_and_project(lab03_view v, int step)
{
    const int b = blockIdx.y, h = blockIdx.x, d = threadIdx.x;
    const size_t dim = v.head_dim, head = (size_t)b * v.heads + h, outputs = (size_t)v.batch * v.heads * dim;
    float q = v.q_base[step * outputs + head * dim + d];
    if (step > 0) {
        const float *const source =
            v.out + (step - 1) * outputs + ((size_t)b * v.heads + (h + 1 < v.heads ? h + 1 : 0)) * dim;
        const int from = v.source[h * dim + d];
        q += LAB03_ALPHA * (from >= 0 ? source[from] : -source[~from]);
    }
    v.queries[head * dim + d] = q * (1.4426950408889634f / sqrtf((float)v.head_dim));
    if (h % v.ratio == 0) {
        const size_t pair = (size_t)b * v.kv_heads + h / v.ratio;
        const size_t to = (pair * v.capacity + v.lengths[b] + step) * dim + d;
        const size_t from = ((size_t)step * v.batch * v.kv_heads + pair) * dim + d;
        v.k_cache[to] = v.k_new[from];
        v.v_cache[to] = v.v_new[from];
    }
}

static __device__ inline float dot8(const float *x, const float *y)
{
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 8; i++)
        sum += x[i] * y[i];
    return sum;
}

/* Block (keys, pair): GROUP lanes take a key at a time and compute its scores for all query heads of the pair. */
static __global__ void __launch_bounds__(LAB03_MOST_THREADS) scores(lab03_view v, int step)
{
    const int pair = blockIdx.y, b = pair / v.kv_heads;
    const int lane = threadIdx.x % GROUP, per_block = blockDim.x / GROUP, keys = v.lengths[b] + step + 1;
    const size_t first = (size_t)b * v.heads + (size_t)(pair % v.kv_heads) * v.ratio;
    for (int base = blockIdx.x * per_block; base < keys; base += gridDim.x * per_block) {
        const int key = base + threadIdx.x / GROUP;
        float k[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (key < keys && 8 * lane < v.head_dim)
            lab03_unpack(*(const uint4 *)(v.k_cache + ((size_t)pair * v.capacity + key) * v.head_dim + 8 * lane), k);
        for (int r = 0; r < v.ratio; r++) {
            float sum = 8 * lane < v.head_dim ? dot8(v.queries + (first + r) * v.head_dim + 8 * lane, k) : 0;
#pragma unroll
            for (int bit = GROUP / 2; bit > 0; bit /= 2)
                sum += __shfl_xor_sync(LAB03_ALL_LANES, sum, bit);
            if (lane == 0 && key < keys)
                v.scores[(first + r) * v.capacity + key] = sum;
        }
    }
}

/* The sum or the maximum of all threads' values, in every thread. `shared` holds a float for each warp. */
static __device__ float block_reduce(float value, bool maximum, float *shared)
{
#pragma unroll
    for (int bit = LAB03_WARP / 2; bit > 0; bit /= 2) {
        const float other = __shfl_xor_sync(LAB03_ALL_LANES, value, bit);
        value = maximum ? fmaxf(value, other) : value + other;
    }
    if (lab03_lane() == 0)
        shared[threadIdx.x / LAB03_WARP] = value;
    __syncthreads();
    value = shared[0];
    for (int w = 1; w < (int)blockDim.x / LAB03_WARP; w++)
        value = maximum ? fmaxf(value, shared[w]) : value + shared[w];
    __syncthreads();
    return value;
}

/* Block (b, h): scores become weights whose sum is 1. */
static __global__ void __launch_bounds__(LAB03_MOST_THREADS) softmax(lab03_view v, int step)
{
    __shared__ float shared[LAB03_MOST_THREADS / LAB03_WARP];
    const int keys = v.lengths[blockIdx.x / v.heads] + step + 1;
    float *const s = v.scores + (size_t)blockIdx.x * v.capacity;
    float top = LAB03_LOWEST, sum = 0;
    for (int i = threadIdx.x; i < keys; i += blockDim.x)
        top = fmaxf(top, s[i]);
    top = block_reduce(top, true, shared);
    for (int i = threadIdx.x; i < keys; i += blockDim.x) {
        s[i] = exp2f(s[i] - top);
        sum += s[i];
    }
    const float scale = 1 / block_reduce(sum, false, shared);
    for (int i = threadIdx.x; i < keys; i += blockDim.x)
        s[i] *= scale;
}

/* Block (b, h): GROUP lanes take a key at a time; the groups' sums are added in shared memory, in order. */
static __global__ void __launch_bounds__(LAB03_MOST_THREADS) weighted_sum(lab03_view v, int step)
{
    PK_DYNAMIC_SHARED(float, sums); /* [groups][D] */
    const int bh = blockIdx.x, b = bh / v.heads, pair = b * v.kv_heads + bh % v.heads / v.ratio;
    const int lane = threadIdx.x % GROUP, group = threadIdx.x / GROUP, groups = blockDim.x / GROUP;
    const int keys = v.lengths[b] + step + 1;
    if (8 * lane < v.head_dim) {
        const uint16_t *const rows = v.v_cache + (size_t)pair * v.capacity * v.head_dim + 8 * lane;
        float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0}, x[8];
#pragma unroll 4
        for (int key = group; key < keys; key += groups) {
            const float weight = v.scores[(size_t)bh * v.capacity + key];
            lab03_unpack(*(const uint4 *)(rows + (size_t)key * v.head_dim), x);
#pragma unroll
            for (int i = 0; i < 8; i++)
                sum[i] += weight * x[i];
        }
        for (int i = 0; i < 8; i++)
            sums[group * v.head_dim + 8 * lane + i] = sum[i];
    }
    __syncthreads();
    for (int d = threadIdx.x; d < v.head_dim; d += blockDim.x) {
        float sum = 0;
        for (int g = 0; g < groups; g++)
            sum += sums[g * v.head_dim + d];
        v.out[((size_t)step * v.batch * v.heads + bh) * v.head_dim + d] = sum;
    }
}

static pk_status kernels(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    const lab03_view *v = &lab->view;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const int per_block = lab->threads / GROUP, heads = v->batch * v->heads;
    const size_t sums = (size_t)per_block * v->head_dim * sizeof(float);
    for (int step = 0; step < v->steps; step++) {
        const int blocks = (lab03_longest(lab) + step + per_block) / per_block;
        const dim3 key_blocks(blocks < 256 ? blocks : 256, v->batch * v->kv_heads);
        PK_LAUNCH(append_and_project, dim3(v->heads, v->batch), v->head_dim, 0, stream, *v, step);
        PK_LAUNCH(scores, key_blocks, lab->threads, 0, stream, *v, step);
        PK_LAUNCH(softmax, heads, lab->threads, 0, stream, *v, step);
        PK_LAUNCH(weighted_sum, heads, lab->threads, sums, stream, *v, step);
    }
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

/* ---- fused ---- */

template <int D>
static __device__ inline float4 combined_output(const lab03_view *v, int step, int sequence, int head, int e)
{
    int first, last;
    float m, l;
    const int index = lab03_head_slots(v, step, gridDim.x, sequence, head, &first, &last);
    const float *const records = lab03_record(v, step, first, lab03_lanes<D>::record);
    const float4 o = lab03_merge_records<D>(records, last - first + 1, index * D + e, &m, &l);
    return make_float4(o.x / l, o.y / l, o.z / l, o.w / l);
}

/* One step. What the kernel before has left as records is combined by whoever needs it; the last launch, at step T,
 * does nothing else. */
template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_step(lab03_view v, int step)
{
    PK_DYNAMIC_SHARED(float, shared);
    if (step < v.steps)
        lab03_share_of_step<D>(&v, step, lab03_share(&v, step, blockIdx.x, gridDim.x), shared);
    else
        lab03_write_last_outputs<D>(&v, lab03_shared_sources<D>(shared), blockDim.x);
}

typedef void (*step_kernel)(lab03_view, int);

static pk_status fused_prepare(pk_run *run)
{
    const step_kernel attention = LAB03_KERNEL(run, attention_step);
    const size_t bytes = lab03_shared_bytes((const lab03 *)pk_run_lab_data(run));
    PK_CHECK(cudaFuncSetAttribute(attention, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes));
    return PK_OK;
}

static pk_status fused(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const step_kernel attention = LAB03_KERNEL(run, attention_step);
    const int blocks = lab->blocks ? lab->blocks : pk_run_device(run)->processors;
    for (int step = 0; step <= lab->view.steps; step++)
        PK_LAUNCH(attention, blocks, lab->threads, lab03_shared_bytes(lab), stream, lab->view, step);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(baseline) = {
    {"kernels", "four kernels a step: project, scores, softmax, sum", 0, NULL, kernels, NULL},
    {"fused", "one kernel a step, its blocks sharing the keys", 0, fused_prepare, fused, NULL},
};
PK_VARIANTS_END(baseline)
