/* Lab 07, given: what a block of a kernel that streams has. One warp copies weights, keys and values ahead into a ring
 * in shared memory; the others compute. The ring is lab 05's: a copy waits for an empty stage, and until fewer than
 * `limit` are under way. */
#ifndef LAB07_RING_CUH
#define LAB07_RING_CUH

#include "pk_async.h"
#include "pk_atomic.h"

#include "decode/pk_step.cuh"

#include "lab07_plan.cuh"
#include "lab07_waits.cuh"

enum {
    LAB07_BATCH = 4,      /* rows that lanes add up together */
    LAB07_GROUP = 32,     /* rows that warps add up together */
    LAB07_MOST_OWN = 8,   /* units of a row that a thread has at most */
    LAB07_MOST_GROUP = 8, /* query heads to a key/value head */
    LAB07_SETS = 2,       /* of hand-over memory: step t's is t mod 2 */
    LAB07_MOST_CONSUMERS = 14,
    LAB07_MOST_THREADS = (LAB07_MOST_CONSUMERS + 1) * PK_LANES,
    LAB07_POISON = -1 /* bits of an output that is not there yet */
};

/* How a phase learns that what it reads is there. */
enum { LAB07_BARRIER /* all blocks meet behind every phase */, LAB07_FLAG /* from the values themselves */ };

/* Where a layer's outputs begin in its part of a set, in floats, multiples of 4. */
typedef struct lab07_places {
    int qkv;     /* [(heads + 2 kv_heads) * head_dim]: before norms of heads and rotation */
    int partial; /* [blocks][segments][group][head_dim + 2]: sums, maximum, weight; a multiple of 4 for each head */
    int heads;   /* [heads * head_dim] */
    int middle;  /* [hidden]: the residual stream behind attention */
    int act;     /* [ffn] */
    int x;       /* [hidden]: the residual stream behind the layer */
    int floats;  /* of a layer */
} lab07_places;

typedef struct lab07_ring_view { /* what the kernel is given, by value; pointers are device memory */
    int layers, hidden, heads, kv_heads, head_dim, capacity, ffn, vocab;
    int group, lanes; /* query heads to a key/value head; lanes that share a key: a power of two */
    pk_activation activation;
    float eps;
    const pk_device_layer *layer; /* [layers] */
    const uint16_t *embedding, *final_norm, *logits_weight;
    const float *rope;
    pk_decode_state *state;
    float *logits; /* [logit_rows][vocab] */
    int logit_rows;
    lab07_matrix matrix[LAB07_MATRICES];
    const lab07_part *parts;               /* [blocks][LAB07_MATRICES] */
    int most_rows;                         /* of the residual stream, that a block has at most */
    int merge_parts;                       /* parts of heads that a block puts together at once */
    int share_keys, segments, part_floats; /* see lab07_plan.cuh; floats of one head's part */
    lab07_places at;
    float *out;                     /* [LAB07_SETS][layers][at.floats] */
    unsigned long long *candidates; /* [LAB07_SETS][blocks][top_k], of a launch of many steps: see lab07_many.cuh */
    unsigned long long *next;       /* [1]: likewise */
    unsigned *arrivals;             /* [1]: of blocks, at all barriers of the repetition */
    unsigned arrived;               /* what it counts when the launch begins */
    int stages;
    unsigned stage_bytes;
    int limit; /* copies under way at most */
    choose_args choose;
    long long *stamps; /* [blocks][lab07_stamps_of(layers)], see lab07_stamp; NULL: none are taken */
    int stamped;       /* the step that they are of */
    int planted;       /* in mistakes_ring.cu: which mistake; else 0 */
} lab07_ring_view;

typedef struct lab07_block { /* what a block has in shared memory */
    unsigned char *stages;
    pk_async_barrier *full, *empty; /* [stages] */
    pk_async_barrier *meet;         /* of the consumers */
    float *sums;                    /* [2][LAB07_GROUP][stride]: of a row, by each warp */
    float *squares;                 /* [2][consumers]: of x, by each warp */
    float *residual;                /* [most_rows]: of the residual stream, the block's own */
    float *q;                       /* [group][head_dim]: of the head under way, turned and scaled */
    float *merge;                   /* [merge_parts][head_dim + 2]: of warps, or of blocks */
    unsigned *now;                  /* [3]: layer and phase at work; the layer that is copied, and its matrix or keys */
    uint16_t *newest;               /* [2][head_dim]: the token's own key and value */
    int consumers, stride;          /* warps; floats, odd, so that lanes read other banks */
    int position, step, token;      /* where the step stands; in a full cache the last position */
    bool appends;                   /* the cache is not full */
    lab07_spread spread;
} lab07_block;

static __host__ __device__ inline size_t lab07_floats_of_block(const lab07_ring_view *v, int consumers)
{
    return (size_t)(v->head_dim + v->group * v->head_dim + 2 * LAB07_GROUP * (consumers | 1) + 2 * consumers +
                    v->most_rows + v->merge_parts * (v->head_dim + 2) + 3);
}

static inline size_t lab07_shared_bytes(const lab07_ring_view *v, int consumers)
{
    return (size_t)v->stages * v->stage_bytes + (2 * (size_t)v->stages + 1) * sizeof(pk_async_barrier) +
           lab07_floats_of_block(v, consumers) * sizeof(float);
}

/* The step that begins takes in `token` at `position`. */
static __device__ inline void lab07_stand(const lab07_ring_view *v, lab07_block *b, int step, int position, int token)
{
    b->step = step;
    b->token = token >= 0 && token < v->vocab ? token : 0;
    b->appends = position < v->capacity;
    b->position = b->appends ? position : v->capacity - 1;
    b->spread = lab07_spread_of(v->kv_heads, b->position + 1, (int)gridDim.x, v->share_keys);
}

/* By all threads, before anything else. */
static __device__ inline lab07_block lab07_begin(const lab07_ring_view *v, unsigned char *shared)
{
    lab07_block b;
    b.consumers = (int)blockDim.x / PK_LANES - 1;
    b.stride = b.consumers | 1;
    b.stages = shared;
    b.newest = (uint16_t *)(shared + (size_t)v->stages * v->stage_bytes); /* 16-aligned, as q */
    b.q = (float *)(b.newest + 2 * v->head_dim);
    b.full = (pk_async_barrier *)(b.q + v->group * v->head_dim);
    b.empty = b.full + v->stages;
    b.meet = b.empty + v->stages;
    b.sums = (float *)(b.meet + 1);
    b.squares = b.sums + 2 * LAB07_GROUP * b.stride;
    b.residual = b.squares + 2 * b.consumers;
    b.merge = b.residual + v->most_rows;
    b.now = (unsigned *)(b.merge + v->merge_parts * (v->head_dim + 2));
    lab07_stand(v, &b, v->state->step, v->state->position, v->state->token);
    if (threadIdx.x == 0) {
        for (int i = 0; i < v->stages; i++) {
            pk_async_barrier_init(&b.full[i], 1);
            pk_async_barrier_init(&b.empty[i], (unsigned)(b.consumers * PK_LANES));
        }
        pk_async_barrier_init(b.meet, (unsigned)(b.consumers * PK_LANES));
        pk_async_barrier_init_fence();
    }
    __syncthreads();
    return b;
}

/* ---- stamps: where the time of a token goes ---- */

/* Phases of a layer; behind all layers come two more, in a place as of one layer more. */
enum {
    LAB07_PHASE_QKV,
    LAB07_PHASE_ATTEND,
    LAB07_PHASE_MERGE,
    LAB07_PHASE_O,
    LAB07_PHASE_GATE_UP,
    LAB07_PHASE_DOWN,
    LAB07_PHASES, /* of a layer */
    LAB07_PHASE_LOGITS = 0,
    LAB07_PHASE_CHOOSE,
    LAB07_LAST_PHASES,
    LAB07_PLACES = 8 /* more than a layer has, to say layer and phase in one number */
};

/* Of a phase: it begins; what it waits for is there; its work is done; it ends: behind a barrier later than that. */
enum { LAB07_BEGINS, LAB07_HAS, LAB07_DONE, LAB07_ENDS, LAB07_STAMPS };

/* Which phase a matrix is, of its layer. */
static __device__ inline int lab07_phase_of(int which)
{
    return which == LAB07_QKV       ? LAB07_PHASE_QKV
           : which == LAB07_O       ? LAB07_PHASE_O
           : which == LAB07_GATE_UP ? LAB07_PHASE_GATE_UP
           : which == LAB07_DOWN    ? LAB07_PHASE_DOWN
                                    : LAB07_PHASE_LOGITS;
}

static __host__ __device__ inline int lab07_phases_of(int layers)
{
    return layers * LAB07_PHASES + LAB07_LAST_PHASES;
}

/* And behind all phases two more: nanoseconds at the first phase's beginning and at the last one's end. */
static __host__ __device__ inline int lab07_stamps_of(int layers)
{
    return lab07_phases_of(layers) * LAB07_STAMPS + 2;
}

static __device__ inline int lab07_thread(void) /* among the consumers */
{
    return (int)threadIdx.x - PK_LANES;
}

static __device__ inline int lab07_warp(void)
{
    return (int)threadIdx.x / PK_LANES - 1;
}

static __device__ inline int lab07_lane(void)
{
    return (int)threadIdx.x % PK_LANES;
}

/* A warp notes them, in each block another one: so that what warps wait for is looked at in all of x. */
static __device__ inline bool lab07_notes(const lab07_ring_view *v, const lab07_block *b)
{
    return v->stamps && b->step == v->stamped && lab07_warp() == (int)blockIdx.x % b->consumers && lab07_lane() == 0;
}

static __device__ inline void lab07_stamp(const lab07_ring_view *v, const lab07_block *b, int layer, int phase,
                                          int event)
{
    if (lab07_notes(v, b))
        v->stamps[(size_t)blockIdx.x * lab07_stamps_of(v->layers) +
                  (size_t)(layer * LAB07_PHASES + phase) * LAB07_STAMPS + event] = clock64();
}

/* Of a clock that all processors share, where there is one: else 0, twice. */
static __device__ inline void lab07_stamp_ns(const lab07_ring_view *v, const lab07_block *b, bool end)
{
    long long ns = 0;
    if (!lab07_notes(v, b))
        return;
#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA)
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
#elif defined(PK_BACKEND_CPU)
    ns = clock64();
#endif
    v->stamps[(size_t)blockIdx.x * lab07_stamps_of(v->layers) + lab07_phases_of(v->layers) * LAB07_STAMPS + end] = ns;
}

/* One thread of each block: returns when all blocks' arrivals together have come to `target`. lab07.1's, without the
 * meeting of the block's threads. */
static __device__ inline void lab07_meet_blocks(unsigned *arrivals, unsigned target)
{
    unsigned polls = 0;
    pk_add_release_device(arrivals, 1u);
    while ((int)(pk_load_acquire_device(arrivals) - target) < 0) {
        PK_SPIN_PAUSE();
        lab07_waits_for_blocks(arrivals, target, &polls);
    }
}

/* ---- waits that last: lab07_waits.cuh ---- */

static __device__ inline void lab07_tell_output(const lab07_ring_view *v, const float *from)
{
    lab07_tell(v->arrivals, LAB07_TELLS_OTHERS,
               lab07_word(LAB07_WAITS_FOR_OUTPUT, (unsigned)v->state->step, (unsigned)(from - v->out)));
}

/* In a loop that waits for an output: has it lasted? */
static __device__ inline void lab07_waits_for_output(const lab07_ring_view *v, const float *from, unsigned *polls)
{
    if (lab07_lasts(polls))
        lab07_tell_output(v, from);
}

/* A phase of a barrier of the ring. The consumers are at now[0], as far as one of them has said: relaxed; the lane that
 * copies is at now[1] and now[2], which are its own. */
static __device__ inline void lab07_wait_for(const lab07_ring_view *v, const lab07_block *b, int what,
                                             pk_async_barrier *barrier, unsigned parity)
{
    unsigned polls = 0;
    while (!pk_async_barrier_try(barrier, parity))
        if (lab07_lasts(&polls)) {
            const bool computes = what == LAB07_WAITS_FOR_CHUNK;
            const unsigned at =
                computes ? pk_load_relaxed_device(&b->now[0]) : b->now[1] * (unsigned)LAB07_PLACES + b->now[2];
            lab07_tell(v->arrivals, computes ? LAB07_TELLS_CHUNK : LAB07_TELLS_COPIES,
                       lab07_word(what, (unsigned)b->step, at));
        }
}

/* ---- the warp that copies ---- */

typedef struct lab07_asking {
    int k;               /* copies asked for, up to the limit */
    pk_ring_turn turn;   /* where the next one goes */
    pk_ring_turn behind; /* where the one `limit` before it went */
} lab07_asking;

/* By one lane. Waits for buffers and for copies, and never for what another block computes. */
static __device__ inline void lab07_ask(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                        const void *from, unsigned bytes)
{
    if (at->k == v->limit) {
        lab07_wait_for(v, b, LAB07_WAITS_FOR_LIMIT, &b->full[at->behind.stage], at->behind.parity);
        at->behind = pk_ring_next(at->behind, v->stages);
    } else
        at->k++;
    lab07_wait_for(v, b, LAB07_WAITS_FOR_ROOM, &b->empty[at->turn.stage], at->turn.parity ^ 1u);
    pk_async_barrier_arrive_expect(&b->full[at->turn.stage], bytes);
    pk_bulk_copy(b->stages + (size_t)at->turn.stage * v->stage_bytes, from, bytes, &b->full[at->turn.stage]);
    at->turn = pk_ring_next(at->turn, v->stages);
}

/* Rows of a group in one run: as many as warps add up together, or half as many where a row is two. */
static __device__ inline int lab07_group_rows(const lab07_matrix *m, int left)
{
    const int most = LAB07_GROUP / m->runs;
    return left < most ? left : most;
}

/* The block's rows of a matrix: group by group, run by run, chunk by chunk, as the consumers use them. */
static __device__ inline void lab07_ask_rows(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                             int which, const uint16_t *weight)
{
    const lab07_matrix *const m = &v->matrix[which];
    const lab07_part part = v->parts[(size_t)blockIdx.x * LAB07_MATRICES + (size_t)which];
    b->now[2] = (unsigned)lab07_phase_of(which);
    for (int first = 0; first < part.rows; first += LAB07_GROUP / m->runs) {
        const int rows = lab07_group_rows(m, part.rows - first);
        for (int run = 0; run < m->runs; run++) {
            const unsigned char *from =
                (const unsigned char *)weight + ((size_t)run * m->rows + part.first + first) * m->pitch;
            for (int row = 0; row < rows; row += m->chunk_rows) {
                const int some = rows - row < m->chunk_rows ? rows - row : m->chunk_rows;
                for (int unit = 0; unit < m->units; unit += m->piece_units) {
                    const int left = m->units - unit, units = some * (left < m->piece_units ? left : m->piece_units);
                    lab07_ask(v, b, at, from, (unsigned)units * (unsigned)sizeof(uint4));
                    from += (size_t)units * sizeof(uint4);
                }
            }
        }
    }
}

static __host__ __device__ inline int lab07_chunk_keys(const lab07_ring_view *v)
{
    return (int)(v->stage_bytes / ((unsigned)v->head_dim * (unsigned)sizeof(uint16_t)));
}

/* The block's keys and values of the cache: a chunk of keys, then the values that go with them. The token's own are not
 * among them. */
static __device__ inline void lab07_ask_keys(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                             const pk_device_layer *layer)
{
    const int most = lab07_chunk_keys(v);
    lab07_segment s;
    b->now[2] = LAB07_PHASE_ATTEND;
    for (int i = 0; lab07_segment_of(&b->spread, (int)blockIdx.x, i, &s); i++) {
        const int end = s.end < b->position ? s.end : b->position;
        for (int key = s.first; key < end; key += most) {
            const int keys = end - key < most ? end - key : most;
            const size_t from = ((size_t)s.head * v->capacity + key) * v->head_dim;
            const unsigned bytes = (unsigned)(keys * v->head_dim) * (unsigned)sizeof(uint16_t);
            lab07_ask(v, b, at, layer->k_cache + from, bytes);
            lab07_ask(v, b, at, layer->v_cache + from, bytes);
        }
    }
}

/* ---- the warps that compute ---- */

/* All consumers of the block. */
static __device__ inline void lab07_sync(const lab07_block *b)
{
    pk_warps_sync(b->meet, 1, (unsigned)(b->consumers * PK_LANES));
}

typedef struct lab07_at { /* where the consumers are */
    int layer;
    int group, phase; /* groups of rows, and phases that had some, from 0 on through all of them */
    pk_ring_turn turn;
    unsigned arrived; /* of all blocks, when the next barrier is over: less the grid */
} lab07_at;

/* A layer's outputs in the step's set, or in the other one. */
static __device__ inline float *lab07_outputs(const lab07_ring_view *v, const lab07_block *b, int layer, int other)
{
    return v->out + ((size_t)((b->step + other) % LAB07_SETS) * v->layers + layer) * v->at.floats;
}

/* ---- outputs that other blocks look at ---- */

/* One output: relaxed, scope device. Pairs with the relaxed loads below. The value is all that is handed over, so
 * nothing else has to be ordered by it. A number that has the poison's bits, as a NaN may, is stored as another NaN. */
static __device__ inline void lab07_store(float *to, float value)
{
    const int bits = __float_as_int(value);
    pk_store_relaxed_device((unsigned *)to, bits == LAB07_POISON ? 0x7fc00000u : (unsigned)bits);
}

static __device__ inline void lab07_poison(float *to)
{
    pk_store_relaxed_device((unsigned *)to, (unsigned)LAB07_POISON);
}

static __device__ inline float lab07_load(const float *from)
{
    return __int_as_float((int)pk_load_relaxed_device((const unsigned *)from));
}

/* Four, 16-aligned. */
static __device__ inline float4 lab07_load_4(const float *from)
{
    return pk_load_relaxed_device_4(from);
}

static __device__ inline bool lab07_is_poison(float value)
{
    return __float_as_int(value) == LAB07_POISON;
}

static __device__ inline bool lab07_lacks(float4 got)
{
    return lab07_is_poison(got.x) || lab07_is_poison(got.y) || lab07_is_poison(got.z) || lab07_is_poison(got.w);
}

#endif
