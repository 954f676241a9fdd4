/* The choice of the next token from the logits, and the state moved on. */
#ifndef PK_STEP_CHOOSE_CUH
#define PK_STEP_CHOOSE_CUH

#include <math.h>

#include "decode/pk_choose.h"
#include "decode/pk_matvec.cuh"
#include "decode/step_begin.cuh"

typedef struct choose_args {
    pk_decode_at at;
    const float *logits; /* [logit_rows][vocab] */
    int logit_rows, vocab;
    int *tokens;                /* [steps] */
    int steps, capacity, holds; /* holds: behind a full cache's last position comes that position again */
    float *best;                /* [blocks][top_k][2] */
    unsigned *arrivals;         /* [1] */
    int top_k;
    float temperature;
    uint64_t seed;
    int end_tokens[PK_MODEL_MOST_ENDS], end_count;
} choose_args;

typedef struct candidate {
    float value;
    int token; /* -1: none */
} candidate;

/* Higher first, and of equals the lower token. A NaN comes before nothing. */
static __device__ inline bool comes_before(candidate a, candidate b)
{
    return a.token >= 0 && (b.token < 0 || a.value > b.value || (a.value == b.value && a.token < b.token));
}

static __device__ inline candidate best_of_lanes(candidate mine)
{
#pragma unroll
    for (int bit = PK_LANES / 2; bit > 0; bit /= 2) {
        candidate other;
        other.value = __shfl_xor_sync(PK_ALL_LANES, mine.value, bit);
        other.token = __shfl_xor_sync(PK_ALL_LANES, mine.token, bit);
        if (comes_before(other, mine))
            mine = other;
    }
    return mine;
}

static __device__ inline candidate best_of_block(candidate mine, candidate *shared)
{
    mine = best_of_lanes(mine);
    const int warps = blockDim.x / PK_LANES;
    if (warps == 1)
        return mine;
    if (threadIdx.x % PK_LANES == 0)
        shared[threadIdx.x / PK_LANES] = mine;
    __syncthreads();
    for (int w = 0; w < warps; w++)
        if (comes_before(shared[w], mine))
            mine = shared[w];
    __syncthreads(); /* it may be written again */
    return mine;
}

/* Candidate i of what this block looks at: its slice of the logits, or what all blocks found. */
static __device__ inline candidate candidate_at(const choose_args *a, const float *logits, int i)
{
    candidate c = {0, -1};
    if (logits) {
        c.value = logits[i];
        c.token = c.value == c.value ? i : -1;
    } else {
        c.value = a->best[2 * i];
        c.token = __float_as_int(a->best[2 * i + 1]);
    }
    return c;
}

/* The best of candidates [first, end) that come after `before`. */
static __device__ inline candidate best_after(const choose_args *a, const float *logits, int first, int end,
                                              const candidate *before, candidate *shared)
{
    candidate mine = {0, -1};
    for (int i = first + threadIdx.x; i < end; i += blockDim.x) {
        const candidate c = candidate_at(a, logits, i);
        if (comes_before(c, mine) && (!before || comes_before(*before, c)))
            mine = c;
    }
    return best_of_block(mine, shared);
}

static __device__ inline int draw(const choose_args *a, const candidate *found, int count, int step)
{
    float weight[PK_SAMPLE_MOST], sum = 0;
    for (int i = 0; i < count; i++) {
        weight[i] = expf((found[i].value - found[0].value) / a->temperature);
        sum += weight[i];
    }
    float left = pk_choose_draw(a->seed, step) * sum;
    int chosen = 0;
    for (; chosen + 1 < count && left >= weight[chosen]; chosen++)
        left -= weight[chosen];
    return found[chosen].token;
}

static __device__ inline void put_fault(pk_decode_state *state, int fault)
{
    if (state->fault == 0)
        state->fault = fault;
    state->done = 1;
}

static __device__ inline void move_on(const choose_args *a, int token, int step)
{
    pk_decode_state *const state = a->at.state;
    const int next = pk_at_position(&a->at) + 1, position = a->holds && next == a->capacity ? next - 1 : next;
    state->step = step + 1;
    state->position = position;
    int done = state->done != 0 || step + 1 >= state->limit || state->fault != 0;
    for (int i = 0; i < a->end_count; i++)
        done |= token == a->end_tokens[i];
    state->done = done;
    if (position > a->capacity) /* the token that came in had no room */
        put_fault(state, PK_FAULT_CACHE_FULL);
}

/* By one thread. `token` -1: no logit is a number, however many of the best were asked for. */
static __device__ inline void put_token(const choose_args *a, int token, int step)
{
    pk_decode_state *const state = a->at.state;
    if (token < 0) {
        put_fault(state, PK_FAULT_NO_NUMBER);
        token = 0;
    }
    state->token = token;
    if (a->at.step < 0) /* else where a step stands is the host's to say */
        move_on(a, token, step);
    if (step < a->steps)
        a->tokens[step] = state->fault ? PK_TOKEN_OF_FAULT(state->fault) : token;
}

/* Block `block` looks at its slice of the logits, the last one at what all have found. */
static __device__ inline void choose_block(const choose_args *a, int block, int blocks)
{
    __shared__ candidate shared[PK_MOST_WARPS];
    __shared__ candidate found[PK_SAMPLE_MOST];
    __shared__ int last;
    const int step = pk_at_step(&a->at), slice = (a->vocab + blocks - 1) / blocks;
    const float *const logits = a->logits + (size_t)(step % a->logit_rows) * a->vocab;
    const int first = block * slice, end = first + slice < a->vocab ? first + slice : a->vocab;
    candidate c = {0, -1};
    for (int k = 0; k < a->top_k; k++) {
        const candidate before = c;
        c = best_after(a, logits, first, end, k > 0 && before.token >= 0 ? &before : NULL, shared);
        if (k > 0 && before.token < 0)
            c.token = -1; /* the slice has no more */
        if (threadIdx.x == 0) {
            float *const mine = a->best + 2 * ((size_t)block * a->top_k + k);
            mine[0] = c.value;
            mine[1] = __int_as_float(c.token);
        }
    }
    if (!comes_last(a->arrivals, (unsigned)blocks, &last))
        return;
    int count = 0;
    for (int k = 0; k < a->top_k; k++) {
        const candidate before = c;
        c = best_after(a, NULL, 0, blocks * a->top_k, k > 0 ? &before : NULL, shared);
        if (c.token < 0)
            break;
        if (threadIdx.x == 0)
            found[k] = c;
        count = k + 1;
    }
    if (threadIdx.x == 0)
        put_token(a, count == 0 ? -1 : draw(a, found, count, step), step);
}

#endif
