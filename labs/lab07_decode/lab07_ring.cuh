/* Lab 07, given: what a block of a kernel that streams has. One warp copies weights, keys and values ahead into a ring
 * in shared memory; others compute; and one makes outputs of their sums. The ring is lab 05's: a copy waits for an
 * empty stage, and until no more than so many are under way with it. */
#ifndef LAB07_RING_CUH
#define LAB07_RING_CUH

#include "pk_async.h"
#include "pk_atomic.h"

#include "decode/pk_step.cuh"

#include "lab07_plan.cuh"
#include "lab07_waits.cuh"

enum {
    LAB07_MOST_GROUP = 8, /* query heads to a key/value head */
    LAB07_MOST_HEAD_DIM = 128,
    LAB07_SETS = 2,    /* of hand-over memory: step t's is t mod 2 */
    LAB07_COPIERS = 3, /* warps that copy, in turn: what one does from a landing to the next copy would take too long */
    LAB07_MOST_CONSUMERS = 8,
    LAB07_MOST_THREADS = (LAB07_COPIERS + LAB07_MOST_CONSUMERS + 1) * PK_LANES, /* one warp makes outputs */
    LAB07_ZEROS = 2 * PK_LANES,                                                 /* of 8 bytes: a slice's part */
    LAB07_TILE_ROWS = 8,
    LAB07_WARP_COLUMNS = 256, /* of a row, or piece, that a warp has by tiles */
    LAB07_POISON = -1         /* bits of an output that is not there yet */
};

/* What a kernel has products for: rows of bf16 that a thread has 8 columns of, or four times as many; of bf16 by tiles;
 * by tiles of Q4_K; of all. The less there is in a kernel, the fewer registers are spilled. */
enum { LAB07_NARROW, LAB07_TILES, LAB07_Q4_K, LAB07_BLOCKS };

/* How a phase learns that what it reads is there. */
enum { LAB07_BARRIER /* all blocks meet behind every phase */, LAB07_FLAG /* from the values themselves */ };

/* Floats of a part of a query head, of some keys: [head_dim] sums of weights times values, the highest score, and the
 * sum of the weights. */
static __host__ __device__ inline int lab07_part_length(int head_dim)
{
    return head_dim + 2;
}

/* Where a layer's outputs begin in its part of a set, in floats, multiples of 4. What all blocks read, from heads on,
 * is there twice, and blocks of an even and an odd number read each their own: so fewer of them look at the same lines
 * of the L2, where a line is handed out to one after the other. */
typedef struct lab07_places {
    int qkv;     /* [(heads + 2 kv_heads) * head_dim]: before norms of heads and rotation */
    int partial; /* [blocks][segments][group]: parts, a multiple of 4 for each */
    int heads;   /* [heads * head_dim] */
    int middle;  /* [hidden]: the residual stream behind attention */
    int act;     /* [ffn] */
    int x;       /* [hidden]: the residual stream behind the layer */
    int again;   /* so many floats behind heads to x they are once more */
    int floats;  /* of a layer */
} lab07_places;

/* What a block has in shared memory. X(type, name, count, ...): name: [count]. From 16-aligned to what need not be. */
#define LAB07_IN_BLOCK(X)                                                                                              \
    X(unsigned char, stages, (size_t)v->stages * v->stage_pitch, "the ring")                                           \
    X(unsigned char, x, v->x_bytes, "of x, what lanes hand on: lab07_rows.cuh, lab07_tiles.cuh")                       \
    X(uint4, query, v->query_units, "of the query heads that share a segment's keys: lab07_attention.cuh")             \
    X(uint2, zeros, v->zeros, "the factors where x has no part: lab07_tiles.cuh")                                      \
    X(uint16_t, newest, 2 * v->head_dim, "[2][head_dim]: the token's own key and value")                               \
    X(float, turn, v->head_dim, "[head_dim / 2][2]: cosine and sine, of the position")                                 \
    X(pk_async_barrier, full, v->stages, "a chunk has landed")                                                         \
    X(pk_async_barrier, empty, v->stages, "all consumers have done with it")                                           \
    X(pk_async_barrier, summed, 2, "sums of a group of rows are there")                                                \
    X(pk_async_barrier, squared, 2, "and squares of x, where a matrix begins that has use for them")                   \
    X(pk_async_barrier, finished, 2, "they have been read")                                                            \
    X(pk_async_barrier, meet, 2, "of the consumers; and of them with the warp that makes outputs")                     \
    X(pk_async_barrier, turns, LAB07_COPIERS, "of each lane that copies: the one before it has begun its copy")        \
    X(pk_device_layer, layer, v->layers, "v->layer's")                                                                 \
    X(lab07_part, part, LAB07_MATRICES, "the block's rows")                                                            \
    X(float, merge, v->merge_parts *lab07_part_length(v->head_dim), "parts: of warps, or of blocks")                   \
    X(float, sums, 2 * v->sums, "[2][v->sums]: of rows, by each warp of a team")                                       \
    X(float, squares, 2 * v->consumers * PK_LANES, "[2][thread]: of x")                                                \
    X(uint16_t, bias, v->layers * v->most_bias, "[layer][row]: of qkv")                                                \
    X(unsigned, begun, 1, "phases that may have chunks, which the consumers have begun, through all steps")            \
    X(float, residual, v->most_rows, "the block's own rows of the residual stream")                                    \
    X(int, merged, 2, "the query heads whose parts the block puts together: the first, and the one behind the last")   \
    X(unsigned, now, v->consumers *PK_LANES + 2 * LAB07_COPIERS,                                                       \
      "[thread]: layer and phase at work; of each that copies its layer, and matrix or keys")

typedef struct lab07_lie { /* where it lies: bytes from the beginning; and all of them */
#define LIE(type, name, count, text) unsigned name;
    LAB07_IN_BLOCK(LIE)
#undef LIE
    unsigned bytes;
} lab07_lie;

typedef struct lab07_ring_view { /* what the kernel is given, by value; pointers are device memory */
    int layers, hidden, heads, kv_heads, head_dim, capacity, ffn, vocab;
    int group;                    /* query heads to a key/value head */
    unsigned head_part;           /* 2^20 / head_dim, rounded up */
    int query_pitch, query_units; /* from one query head to the next; of all, in 16 bytes: lab07_attention.cuh */
    int chunk_keys;               /* whose keys and values are a chunk */
    float scale;                  /* of scores: log2(e) / sqrt(head_dim), as weights are powers of two */
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
    int most_rows, most_bias;              /* of the residual stream and of qkv, that a block has at most; even */
    int merge_parts;                       /* parts of heads that a block puts together at once, all warps' */
    int sums;                              /* of rows and warps, that a block puts together at once */
    unsigned x_bytes;                      /* of x that a block keeps, at most; a multiple of 16 */
    int zeros;                             /* LAB07_ZEROS, where rows come by tiles; else 0 */
    int share_keys, segments, part_floats; /* see lab07_plan.cuh; floats of one head's part */
    lab07_places at;
    float *out;                     /* [LAB07_SETS][layers][at.floats] */
    unsigned long long *candidates; /* [LAB07_SETS][blocks][top_k]: see lab07_stream.cuh */
    unsigned long long *next;       /* [1], of a launch of many steps: see lab07_many.cuh */
    unsigned *arrivals;             /* [1]: of blocks, at all barriers of the repetition */
    unsigned arrived;               /* what it counts when the launch begins */
    int consumers;                  /* warps of a block */
    unsigned long long *posts;      /* [tokens], mapped host memory: the step's word, when its token is chosen */
    const unsigned *stop;           /* [1], mapped host memory: not 0 when the host wants no further token */
    int stages;
    unsigned stage_bytes, stage_pitch; /* of a chunk at most; and from one to the next, see lab07_tiles.cuh */
    lab07_lie lie;
    int limit, ahead; /* copies under way at most; and as long as the consumers have not begun their phase */
    int copiers;      /* warps that copy */
    choose_args choose;
    long long *stamps; /* [blocks][lab07_stamps_of(layers)], see lab07_stamp; NULL: none are taken */
    int stamped;       /* the step that they are of */
    int planted;       /* in mistakes_ring.cu: which mistake; else 0 */
} lab07_ring_view;

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

/* Where a step stands. In shared memory, once for the consumers and once for each lane that copies, which may be a step
 * ahead. */
typedef struct lab07_stands {
    int position, step, token; /* in a full cache the last position */
    bool appends;              /* the cache is not full */
    bool noted;                /* stamps of this step are taken */
    bool over;                 /* there is no such step */
    lab07_spread spread;
    lab07_segment segment; /* the block's first */
    bool has_segment;
} lab07_stands;

typedef struct lab07_block {
    unsigned char *shared;
    lab07_stands *stands;
    float *out[LAB07_SETS]; /* of those who compute: outputs of the step, and the other set */
    int token;              /* of the warp that makes outputs: the step's */
} lab07_block;

/* lab07_of_stages(v, b) and so on. */
#define OF(type, name, count, text)                                                                                    \
    static __device__ inline type *lab07_of_##name(const lab07_ring_view *v, const lab07_block *b)                     \
    {                                                                                                                  \
        return (type *)(b->shared + v->lie.name);                                                                      \
    }
LAB07_IN_BLOCK(OF)
#undef OF

/* On the host, when all counts are known. */
static inline void lab07_lay_block(lab07_ring_view *v)
{
    size_t bytes = 0;
#define LAY(type, name, count, text)                                                                                   \
    v->lie.name = (unsigned)bytes;                                                                                     \
    bytes += (size_t)(count) * sizeof(type);
    LAB07_IN_BLOCK(LAY)
#undef LAY
    v->lie.bytes = (unsigned)bytes;
}

/* The warps of a block: those that copy, the consumers, and one that makes outputs. */
static __device__ inline int lab07_copier(void) /* which, or LAB07_COPIERS and more */
{
    return (int)threadIdx.x / PK_LANES;
}

static __device__ inline int lab07_thread(void) /* among the consumers */
{
    return (int)threadIdx.x - LAB07_COPIERS * PK_LANES;
}

static __device__ inline int lab07_warp(void)
{
    return (int)threadIdx.x / PK_LANES - LAB07_COPIERS;
}

static __device__ inline int lab07_lane(void)
{
    return (int)threadIdx.x % PK_LANES;
}

/* Where step `step` stands, but for its token. By one thread; others look at it when they have met. */
static __device__ inline void lab07_stand(const lab07_ring_view *v, lab07_stands *s, int step, int position)
{
    s->step = step;
    s->over = false;
    s->appends = position < v->capacity;
    s->position = s->appends ? position : v->capacity - 1;
    s->noted = v->stamps && step == v->stamped;
    s->spread = lab07_spread_of(v->kv_heads, s->position + 1, (int)gridDim.x, v->share_keys);
    s->segment = lab07_segment{0, 0, 0};
    s->has_segment = lab07_segment_of(&s->spread, (int)blockIdx.x, 0, &s->segment);
}

/* One that there is. */
static __device__ inline int lab07_token(const lab07_ring_view *v, int token)
{
    return token >= 0 && token < v->vocab ? token : 0;
}

/* The next segment of the block, which has had `number` of them. Mostly it has one, and that is known. */
static __device__ inline bool lab07_next_segment(const lab07_block *b, int number, lab07_segment *segment)
{
    const lab07_stands *const s = b->stands;
    if (number > 0)
        return number * s->spread.blocks < s->spread.heads &&
               lab07_segment_of(&s->spread, (int)blockIdx.x, number, segment);
    *segment = s->segment;
    return s->has_segment;
}

/* By all threads, before anything else. */
static __device__ inline lab07_block lab07_begin(const lab07_ring_view *v, unsigned char *shared)
{
    __shared__ lab07_stands stands[LAB07_COPIERS + 2]; /* of the others this step's and the next one's */
    const bool copies = lab07_copier() < LAB07_COPIERS;
    lab07_block b = {shared, &stands[copies ? lab07_copier() : LAB07_COPIERS + (v->state->step & 1)], {}, 0};
    b.token = lab07_token(v, v->state->token);
    for (int i = 0; i < LAB07_SETS; i++)
        b.out[i] = v->out + (size_t)((v->state->step + i) % LAB07_SETS * v->layers) * v->at.floats;
    if (threadIdx.x < 2)
        lab07_of_merged(v, &b)[threadIdx.x] =
            lab07_first_merged((int)(blockIdx.x + threadIdx.x), v->heads, (int)gridDim.x);
    if (lab07_thread() == 0 || (copies && lab07_lane() == 0)) {
        lab07_stand(v, b.stands, v->state->step, v->state->position);
        b.stands->token = b.token;
    }
    for (int i = (int)threadIdx.x; i < v->layers; i += (int)blockDim.x)
        lab07_of_layer(v, &b)[i] = v->layer[i];
    for (int i = (int)threadIdx.x; i < LAB07_MATRICES; i += (int)blockDim.x)
        lab07_of_part(v, &b)[i] = v->parts[blockIdx.x * LAB07_MATRICES + (unsigned)i];
    const lab07_part qkv = v->parts[blockIdx.x * LAB07_MATRICES + LAB07_QKV];
    for (int i = (int)threadIdx.x; i < v->layers * v->most_bias; i += (int)blockDim.x)
        if (i % v->most_bias < qkv.rows)
            lab07_of_bias(v, &b)[i] = v->layer[i / v->most_bias].qkv_bias[qkv.first + i % v->most_bias];
    /* Rows behind a matrix's last are loaded too, where nothing may have been copied to yet. */
    for (unsigned i = threadIdx.x; i < (unsigned)v->stages * v->stage_pitch / (unsigned)sizeof(uint4); i += blockDim.x)
        ((uint4 *)lab07_of_stages(v, &b))[i] = make_uint4(0, 0, 0, 0);
    for (int i = (int)threadIdx.x; i < v->query_units; i += (int)blockDim.x)
        lab07_of_query(v, &b)[i] = make_uint4(0, 0, 0, 0); /* components behind a head's last are read too */
    for (int i = (int)threadIdx.x; i < v->zeros; i += (int)blockDim.x)
        lab07_of_zeros(v, &b)[i] = make_uint2(0, 0);
    pk_async_fence();
    if (threadIdx.x == 0) {
        *lab07_of_begun(v, &b) = 0;
        for (int i = 0; i < v->stages; i++) {
            pk_async_barrier_init(&lab07_of_full(v, &b)[i], 1);
            pk_async_barrier_init(&lab07_of_empty(v, &b)[i], (unsigned)(v->consumers * PK_LANES));
        }
        for (int i = 0; i < 2; i++) {
            pk_async_barrier_init(&lab07_of_summed(v, &b)[i], (unsigned)(v->consumers * PK_LANES));
            pk_async_barrier_init(&lab07_of_squared(v, &b)[i], (unsigned)(v->consumers * PK_LANES));
            pk_async_barrier_init(&lab07_of_finished(v, &b)[i], PK_LANES);
            pk_async_barrier_init(&lab07_of_meet(v, &b)[i], (unsigned)((v->consumers + i) * PK_LANES));
        }
        for (int i = 0; i < LAB07_COPIERS; i++)
            pk_async_barrier_init(&lab07_of_turns(v, &b)[i], 1);
        pk_async_barrier_init_fence();
    }
    __syncthreads();
    return b;
}

/* A warp notes them, in each block another one: so that what warps wait for is looked at in all of x. `stamps`: of all
 * blocks, `each` of one. */
static __device__ PK_APART void lab07_note(long long *stamps, int each, int consumers, int place, long long ticks)
{
    if (lab07_warp() == (int)blockIdx.x % consumers && lab07_lane() == 0)
        stamps[(size_t)blockIdx.x * each + place] = ticks;
}

static __device__ inline void lab07_stamp(const lab07_ring_view *v, const lab07_block *b, int layer, int phase,
                                          int event)
{
    if (v->stamps && b->stands->noted) /* the first is known without a load */
        lab07_note(v->stamps, lab07_stamps_of(v->layers), v->consumers,
                   (layer * LAB07_PHASES + phase) * LAB07_STAMPS + event, clock64());
}

/* Of a clock that all processors share, where there is one: else 0, twice. */
static __device__ inline void lab07_stamp_ns(const lab07_ring_view *v, const lab07_block *b, bool end)
{
    long long ns = 0;
    if (!v->stamps || !b->stands->noted)
        return;
#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA)
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
#elif defined(PK_BACKEND_CPU)
    ns = clock64();
#endif
    lab07_note(v->stamps, lab07_stamps_of(v->layers), v->consumers, lab07_phases_of(v->layers) * LAB07_STAMPS + end,
               ns);
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

/* Where a lane that copies is: layer, and matrix or keys. */
static __device__ inline unsigned *lab07_now_copied(const lab07_ring_view *v, const lab07_block *b)
{
    return lab07_of_now(v, b) + v->consumers * PK_LANES + 2 * lab07_copier();
}

/* A phase of a barrier of the ring. Each thread looks at what it has noted itself. */
static __device__ inline void lab07_wait_for(const lab07_ring_view *v, const lab07_block *b, int what,
                                             pk_async_barrier *barrier, unsigned parity)
{
    unsigned polls = 0;
    while (!pk_async_barrier_try(barrier, parity))
        if (lab07_lasts(&polls)) {
            const bool computes = what == LAB07_WAITS_FOR_CHUNK;
            const unsigned at = computes
                                    ? lab07_of_now(v, b)[lab07_thread()]
                                    : lab07_now_copied(v, b)[0] * (unsigned)LAB07_PLACES + lab07_now_copied(v, b)[1];
            lab07_tell(v->arrivals, computes ? LAB07_TELLS_CHUNK : LAB07_TELLS_COPIES,
                       lab07_word(what, (unsigned)b->stands->step, at));
        }
}

/* ---- the warps that copy ---- */

static __device__ inline pk_ring_turn lab07_turn_ahead(pk_ring_turn turn, int by, int stages)
{
    turn.stage += by;
    if (turn.stage >= stages) {
        turn.stage -= stages;
        turn.parity ^= 1u;
    }
    return turn;
}

static __device__ inline pk_ring_turn lab07_turn_back(pk_ring_turn turn, int by, int stages)
{
    turn.stage -= by;
    if (turn.stage < 0) {
        turn.stage += stages;
        turn.parity ^= 1u;
    }
    return turn;
}

typedef struct lab07_asking { /* all chunks are counted by each lane that copies, and every so many copied by it */
    pk_ring_turn turn;        /* where the next chunk goes */
    int before;               /* its own next one: chunks that are others' */
    int asked, own;           /* chunks, and its own: no more than the limit is counted */
    unsigned phase;           /* whose chunks are copied: so many have begun then */
    unsigned parity;          /* of its barrier of turns, when the lane before it has begun its copy */
    bool unsure, over; /* of a launch of many steps: it is not known yet whether there is this one; there is none */
    int of_unsure;     /* chunks of that one, so far */
} lab07_asking;

/* See lab07_many.cuh. */
static __device__ inline void lab07_make_sure(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at);

/* The next chunk's turn is over, whoever's it is. */
static __device__ inline void lab07_count_chunk(const lab07_ring_view *v, lab07_asking *at, int before)
{
    at->before = before;
    at->asked += at->asked < v->limit;
    at->of_unsure += at->unsure;
    at->turn = pk_ring_next(at->turn, v->stages);
}

/* All that the lane has copied has landed. The chunk before its next one is, of those it has copied, `copiers` back. */
static __device__ inline void lab07_wait_landed(const lab07_ring_view *v, const lab07_block *b, const lab07_asking *at)
{
    for (int i = 1; i <= at->own; i++) {
        const int back = i * v->copiers - at->before;
        const pk_ring_turn turn = lab07_turn_back(at->turn, back, v->stages);
        if (back > v->limit)
            return; /* those have landed */
        lab07_wait_for(v, b, LAB07_WAITS_FOR_LIMIT, &lab07_of_full(v, b)[turn.stage], turn.parity);
    }
}

/* No copy may be under way with the next one but the last ones, `limit` in all; or `ahead`, as long as the consumers
 * have not begun the phase that is copied. Then they wait for other blocks' outputs, or soon will, and those come the
 * later the more is under way; later on they wait for the copies. (A phase has begun before its x is there; its first
 * chunks are in the ring by then.) That it has is all that is handed over: relaxed. The second wait ends with a copy
 * that is under way, or another lane's next one, so whatever it lasts for is told elsewhere. */
static __device__ inline void lab07_wait_limit(const lab07_ring_view *v, const lab07_block *b, const lab07_asking *at)
{
    const pk_ring_turn last = lab07_turn_back(at->turn, v->limit, v->stages);
    const pk_ring_turn ahead = lab07_turn_back(at->turn, v->ahead, v->stages);
    if (at->asked == v->limit)
        lab07_wait_for(v, b, LAB07_WAITS_FOR_LIMIT, &lab07_of_full(v, b)[last.stage], last.parity);
    while (at->asked >= v->ahead && !pk_async_barrier_test(&lab07_of_full(v, b)[ahead.stage], ahead.parity) &&
           (int)(pk_add_relaxed_block(lab07_of_begun(v, b), 0u) - at->phase) < 0)
        PK_SPIN_PAUSE();
}

/* By a lane that copies: a chunk, of `count` times `each` bytes that lie `apart`. Waits for buffers and for copies, and
 * for what another block computes only where the ring is full of a step that there may not be. Copy k waits for room;
 * for copies before it to land, which may be another lane's: lab07_wait_limit; and for copy k - 1 to begin, so that a
 * stage's barrier is not a turn further by then. From that landing to this copy the memory has less to do, so what
 * stands between is as little as may be. It is read once a step, so it leaves the L2 first: what blocks hand over
 * stays. */
static __device__ inline void lab07_ask(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                        const unsigned char *from, ptrdiff_t apart, int count, unsigned each)
{
    if (at->over)
        return;
    if (at->before > 0) {
        lab07_count_chunk(v, at, at->before - 1);
        return;
    }
    pk_async_barrier *const full = &lab07_of_full(v, b)[at->turn.stage];
    pk_async_barrier *const empty = &lab07_of_empty(v, b)[at->turn.stage];
    unsigned char *const to = lab07_of_stages(v, b) + (unsigned)at->turn.stage * v->stage_pitch;
    pk_async_barrier *const turns = lab07_of_turns(v, b), *const mine = &turns[lab07_copier()];
    if (at->unsure && at->of_unsure >= v->stages)
        lab07_make_sure(v, b, at); /* there is room only when somebody has used that step's first chunk */
    if (at->over)
        return;
    lab07_wait_for(v, b, LAB07_WAITS_FOR_ROOM, empty, at->turn.parity ^ 1u);
    lab07_wait_limit(v, b, at);
    if (v->copiers > 1)
        lab07_wait_for(v, b, LAB07_WAITS_FOR_LIMIT, mine, at->parity);
    pk_async_barrier_arrive_expect(full, (unsigned)count * each);
    if (v->copiers > 1) {
        pk_async_barrier_arrive(&turns[lab07_copier() + 1 < v->copiers ? lab07_copier() + 1 : 0]);
        at->parity ^= 1u;
    }
#pragma unroll 1
    for (int i = 0; i < count; i++)
        pk_bulk_copy_once(to + (unsigned)i * each, from + i * apart, each, full);
    at->own += at->own < v->limit;
    lab07_count_chunk(v, at, v->copiers - 1);
}

/* A run's rows of a group, `bytes` of them, in chunks of `each`. */
static __device__ inline void lab07_copy_range(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                               const unsigned char *from, unsigned bytes, unsigned each)
{
#pragma unroll 1
    for (unsigned some = each; bytes > 0; bytes -= some, from += some) {
        some = bytes < each ? bytes : each;
        lab07_ask(v, b, at, from, 0, 1, some);
    }
}

/* Rows in pieces: first the group's first ones, of some rows a chunk, then the second ones. */
static __device__ inline void lab07_copy_pieces(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                                const lab07_matrix *m, const unsigned char *from, int rows)
{
#pragma unroll 1
    for (int turn = 0; turn < m->pieces * m->runs; turn++)
#pragma unroll 1
        for (int row = 0; row < rows; row += m->chunk_rows) {
            const int run = turn & (m->runs - 1), unit = (turn >> (m->runs - 1)) * m->piece_units;
            lab07_ask(v, b, at, from + ((size_t)run * m->rows + (size_t)row) * m->pitch + (size_t)unit * sizeof(uint4),
                      m->pitch, lab07_least(rows - row, m->chunk_rows),
                      (unsigned)lab07_least(m->units - unit, m->piece_units) * (unsigned)sizeof(uint4));
        }
}

/* The block's rows of a matrix: group by group, run by run, chunk by chunk, as the consumers use them. */
static __device__ inline void lab07_ask_rows(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                             int which, const uint16_t *weight)
{
    const lab07_matrix *const m = &v->matrix[which];
    const lab07_part part = lab07_of_part(v, b)[which];
    const unsigned char *from = (const unsigned char *)weight + (size_t)part.first * m->pitch;
    lab07_now_copied(v, b)[1] = (unsigned)lab07_phase_of(which);
    at->phase++;
#pragma unroll 1
    for (int first = 0; first < part.rows; first += m->group_rows, from += (size_t)m->group_rows * m->pitch) {
        const int rows = lab07_group_rows(m, part.rows - first);
        if (m->pieces > 1) {
            lab07_copy_pieces(v, b, at, m, from, rows);
            continue;
        }
#pragma unroll 1
        for (int run = 0; run < m->runs; run++)
            lab07_copy_range(v, b, at, from + (size_t)run * m->rows * m->pitch, (unsigned)(rows * m->pitch),
                             (unsigned)(m->chunk_rows * m->pitch));
    }
}

/* The block's keys and values of the cache: some keys and the values that go with them are a chunk. The token's own are
 * not among them. */
static __device__ inline void lab07_ask_keys(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                             const pk_device_layer *layer)
{
    lab07_segment s;
    if (at->unsure)
        lab07_make_sure(v, b, at);
    lab07_now_copied(v, b)[1] = LAB07_PHASE_ATTEND;
    at->phase++;
#pragma unroll 1
    for (int i = 0; lab07_next_segment(b, i, &s); i++) {
        const int end = s.end < b->stands->position ? s.end : b->stands->position;
#pragma unroll 1
        for (int key = s.first; key < end; key += v->chunk_keys) {
            const int keys = lab07_least(end - key, v->chunk_keys);
            const size_t from = ((size_t)s.head * v->capacity + key) * v->head_dim;
            lab07_ask(v, b, at, (const unsigned char *)(layer->k_cache + from),
                      (const unsigned char *)layer->v_cache - (const unsigned char *)layer->k_cache, 2,
                      (unsigned)(keys * v->head_dim) * (unsigned)sizeof(uint16_t));
        }
    }
}

/* ---- the warps that compute ---- */

/* All consumers of the block. */
static __device__ inline void lab07_sync(const lab07_ring_view *v, const lab07_block *b)
{
    pk_warps_sync(lab07_of_meet(v, b), 1, (unsigned)(v->consumers * PK_LANES));
}

/* And the warp that makes outputs. */
static __device__ inline void lab07_sync_all(const lab07_ring_view *v, const lab07_block *b)
{
    pk_warps_sync(lab07_of_meet(v, b) + 1, 2, (unsigned)((v->consumers + 1) * PK_LANES));
}

/* The barrier's phase for group `group` of rows, of which it has every other one: has it ended, or (`before`) the one
 * before it? Between warps of a block: a wait that lasts has its cause elsewhere, and that is what is told. */
static __device__ inline void lab07_wait_group(pk_async_barrier *barrier, unsigned group, bool before)
{
    while (!pk_async_barrier_try(barrier, (group / 2 & 1u) ^ (before ? 1u : 0u))) {
    }
}

/* Where a thread is among the teams of a matrix. */
typedef struct lab07_team {
    int warps, count;   /* of a team; teams */
    int number, thread; /* this thread's, and which it is there; a warp that is left over has a number of count */
} lab07_team;

static __device__ inline lab07_team lab07_team_of(const lab07_matrix *m)
{
    const int thread = lab07_thread();
    lab07_team t;
    t.warps = m->team_warps;
    t.count = m->teams;
    t.number = thread / PK_LANES * m->team_part >> 16;
    t.thread = thread - t.number * t.warps * PK_LANES;
    return t;
}

typedef struct lab07_at { /* where the consumers are */
    int layer;
    unsigned group; /* of rows, from 0 on through all matrices */
    pk_ring_turn turn;
    unsigned arrived; /* of all blocks, when the next barrier is over: less the grid */
} lab07_at;

/* A warp has done with the chunk. By all its lanes, each for what it has read itself; and together, or the next chunk
 * is used as many times as the warp has parts. What it reads may still be on the way to registers; the fence has it
 * read before the next copy writes there. */
static __device__ inline void lab07_give_back(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    pk_async_fence_shared();
    __syncwarp();
    pk_async_barrier_arrive(&lab07_of_empty(v, b)[at->turn.stage]);
    at->turn = pk_ring_next(at->turn, v->stages);
}

/* The next chunk, when it has landed. */
static __device__ inline const unsigned char *lab07_wait_chunk(const lab07_ring_view *v, const lab07_block *b,
                                                               const lab07_at *at)
{
    lab07_wait_for(v, b, LAB07_WAITS_FOR_CHUNK, &lab07_of_full(v, b)[at->turn.stage], at->turn.parity);
    return lab07_of_stages(v, b) + (unsigned)at->turn.stage * v->stage_pitch;
}

/* A layer's outputs in the step's set, or in the other one. */
static __device__ inline float *lab07_outputs(const lab07_ring_view *v, const lab07_block *b, int layer, int other)
{
    return b->out[other] + (size_t)layer * v->at.floats;
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
