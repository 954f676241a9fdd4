/* The decoder on the device: what a step of decode and a prefill launch, kernel by kernel, on a stream.
 *
 * Nothing here allocates, waits, or asks the runtime anything while it launches, so all of it can be captured into a
 * graph. Device memory is the caller's, sized by pk_decoder_sizes. One sequence (batch 1). Weights are bf16, keys and
 * values in the cache bf16, all else fp32, sums included. */
#ifndef PK_DECODER_H
#define PK_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk_model.h"
#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- where a step stands ---- */

enum {
    PK_FAULT_CACHE_FULL = 1, /* pk_decode_state.fault */
    PK_FAULT_BUCKET = 2,     /* a prefill whose bucket has fewer rows than the prompt has tokens */
    PK_FAULT_NO_NUMBER = 3,  /* all logits are NaN; the token is then 0 */
    PK_FAULTS = 4
};
/* "the cache is full (docs/...)", for a message; of 0: "none". */
const char *pk_decode_fault_text(int fault);

/* What stands in pk_decoder.tokens in place of a token from the step on at which there was a fault, and back. */
#define PK_TOKEN_OF_FAULT(fault) (-1 - (fault))
#define PK_FAULT_OF_TOKEN(token) (-1 - (token))

/* A generation's state, in device memory; a step that takes it from there also moves it on. */
typedef struct pk_decode_state {
    int position; /* of the token that comes in next: so many keys are in the cache before it */
    int token;    /* that token */
    int step;     /* tokens chosen so far, the one after the prompt included */
    int limit;    /* done when step has come here */
    int done;     /* 1: the limit, an end token, or a fault */
    int fault;    /* 0, or PK_FAULT_...: the first that there was */
    int prompt;   /* tokens of the prompt that a prefill takes in; the rest of its bucket is padding */
    int unused;   /* 32 bytes in all */
} pk_decode_state;

/* Where a launched kernel finds these: each by value, or in the state where it is -1. */
typedef struct pk_decode_at {
    pk_decode_state *state; /* device memory */
    int position, token, step;
} pk_decode_at;

/* ---- the decoder ---- */

typedef struct pk_device_layer { /* device memory; matrices as in pk_layer_weights, row below row by their pitch */
    const uint16_t *attn_norm;
    const uint16_t *qkv;      /* q, k, v one below the other: [(heads + 2 kv_heads) * head_dim][hidden] */
    const uint16_t *qkv_bias; /* likewise, or NULL */
    const uint16_t *q_norm, *k_norm;
    const uint16_t *o, *ffn_norm;
    const uint16_t *gate_up; /* gate, then up: [2 ffn][hidden] */
    const uint16_t *down;
    uint16_t *k_cache, *v_cache; /* [kv_heads][capacity][head_dim] */
} pk_device_layer;

typedef struct pk_sampling {
    int top_k;         /* 1: greedy, the first of equals; at most PK_SAMPLE_MOST */
    float temperature; /* above 0; of no matter when greedy */
    uint64_t seed;     /* of the draws: step t draws by (seed, t) */
    bool stop_at_end;  /* the model's end tokens end the generation */
} pk_sampling;
enum { PK_SAMPLE_MOST = 64, PK_SAMPLE_BLOCKS = 64 };

typedef struct pk_decoder_shape { /* what the caller chooses */
    int capacity;                 /* positions that the cache has room for */
    int most_rows;                /* longest bucket of a prefill; 1: none */
    int steps;                    /* tokens that are kept */
    int logit_rows;               /* logits that are kept: of step t in row t % logit_rows */
    pk_quant weights;             /* what pk_quant_of is asked for; the kernels here read bf16, which is 0 */
} pk_decoder_shape;

typedef struct pk_decoder_sizes { /* bytes */
    size_t weights, cache, tables, scratch, state, tokens, logits, prompt;
} pk_decoder_sizes;

typedef struct pk_decoder_memory { /* device memory of those sizes, 256-byte aligned */
    void *weights, *cache, *tables, *scratch, *state, *tokens, *logits, *prompt;
} pk_decoder_memory;

typedef enum pk_decoder_buffer_of { /* that memory as a list */
                                    PK_DECODER_WEIGHTS,
                                    PK_DECODER_CACHE,
                                    PK_DECODER_TABLES,
                                    PK_DECODER_SCRATCH,
                                    PK_DECODER_STATE,
                                    PK_DECODER_TOKENS,
                                    PK_DECODER_LOGITS,
                                    PK_DECODER_PROMPT, /* written by pk_decoder_begin, read by a prefill */
                                    PK_DECODER_BUFFERS
} pk_decoder_buffer_of;

typedef struct pk_decoder_buffer {
    const char *name; /* "weights" */
    size_t bytes;
    void **device; /* where in the memory it goes */
} pk_decoder_buffer;

typedef struct pk_decoder {
    pk_model_config config;
    pk_decoder_shape shape;
    pk_sampling sampling;
    int processors, threads; /* of the device; threads of a block */
    int splits;              /* parts that attention may share a head's keys among */

    const uint16_t *embedding, *final_norm, *logits_weight;
    pk_device_layer *layer; /* [layers], host memory */

    const float *rope; /* [capacity][head_dim / 2][2]: cosine, sine */
    pk_decode_state *state;
    int *tokens;   /* [steps]: what each step chose, or PK_TOKEN_OF_FAULT */
    float *logits; /* [logit_rows][vocab] */
    int *prompt;   /* [most_rows] */

    /* scratch, fp32 [most_rows][...] unless said */
    float *x;           /* hidden: the residual stream */
    float *normed;      /* hidden */
    float *qkv;         /* (heads + 2 kv_heads) * head_dim */
    float *heads;       /* heads * head_dim: what attention gives */
    float *branch;      /* hidden: what is about to be added to x */
    float *gate_up;     /* 2 ffn */
    float *act;         /* ffn */
    uint16_t *rounded;  /* bf16: the input of a batched projection, the widest of them */
    float *partial;     /* [heads][splits][head_dim + 2]: attention's parts: sum, maximum, denominator */
    unsigned *arrivals; /* [heads + 1]: how many parts are there; 0 between kernels */
    float *best;        /* [PK_SAMPLE_BLOCKS][PK_SAMPLE_MOST][2]: candidates and, as bits, their tokens */
} pk_decoder;

/* Bytes of device memory for the shape. PK_USAGE for a shape that the model or the kernels cannot have. */
pk_status pk_decoder_size(const pk_model_config *config, const pk_decoder_shape *shape, int processors,
                          pk_decoder_sizes *sizes);

/* All buffers of `sizes`, for whoever allocates them into `memory`. */
void pk_decoder_list(const pk_decoder_sizes *sizes, pk_decoder_memory *memory,
                     pk_decoder_buffer buffer[PK_DECODER_BUFFERS]);

/* Bytes that a decoder needs in use: of the logits one row, since further ones are kept to be judged. */
size_t pk_decoder_bytes(const pk_decoder_sizes *sizes, const pk_decoder_shape *shape);

/* Threads of a block that suit a GPU, or the CPU device. */
int pk_decoder_threads(bool is_gpu);

/* Lay the decoder out in `memory`. Host memory for the layers is the decoder's: pk_decoder_close. */
pk_status pk_decoder_open(pk_decoder *decoder, const pk_model_config *config, const pk_decoder_shape *shape,
                          const pk_sampling *sampling, int processors, int threads, const pk_decoder_memory *memory);
void pk_decoder_close(pk_decoder *decoder);

/* Fill the weights and tables, in stream order: from a model in host memory, whose weights are the shape's, or seeded
 * random ones made on the device, bf16, the same as pk_model_random's. Waits until they are there. PK_USAGE: other
 * weights than the shape's. */
pk_status pk_decoder_load(const pk_decoder *decoder, const pk_model *model, void *stream);
pk_status pk_decoder_load_random(const pk_decoder *decoder, uint64_t seed, void *stream);

/* The state at a generation's beginning: `prompt` tokens to take in, `limit` to choose. In stream order. */
pk_status pk_decoder_begin(const pk_decoder *decoder, const int *prompt, int prompt_tokens, int limit, void *stream);

/* ---- a step of decode ---- */

/* One projection, y = W x and what is done with it. */
typedef enum pk_projection {
    PK_PROJECT_PLAIN,    /* y = W x + bias */
    PK_PROJECT_RESIDUAL, /* y = residual + W x */
    PK_PROJECT_GATED,    /* y[i] = act(W x [i]) * (W x)[rows / 2 + i] */
    PK_PROJECT_QKV       /* q, k rotated; q to y, k and v into the cache */
} pk_projection;

typedef struct pk_matvec { /* one launch of a matrix-vector kernel; the kernel's one argument */
    pk_decode_at at;       /* first in the argument of each kernel that depends on it */
    pk_projection kind;
    int rows, columns; /* of W */
    int pairs;         /* of rows, that a block takes: 1, 2 or 4 */
    const uint16_t *weight, *bias;
    const float *x;       /* [columns] */
    const uint16_t *norm; /* [columns]: x is RMS-normed with it on its way in; NULL: as it is */
    float norm_eps;
    float *y;   /* [rows] */
    int y_rows; /* y is [y_rows][rows], and step t writes row t % y_rows; 0: [rows] */
    const float *residual;
    pk_activation activation;
    int heads, kv_heads, head_dim, capacity; /* PK_PROJECT_QKV */
    const float *rope;
    uint16_t *k_cache, *v_cache;
} pk_matvec;

struct pk_step_kernel;

/* How a step is launched. Zero: as a naive engine launches it, on plain stream order. */
typedef struct pk_decode_how {
    bool fused; /* norm into the projection, rotation, append, activation and residual into its end */
    bool pdl;   /* programmatic dependent launches (PK_NEED_PDL) */
    bool holds; /* in a full cache's last position a step follows the other: its key and value in place of the last */
    /* NULL, or what launches the matrix-vector kernels instead, with the grid and block given. */
    pk_status (*matvec)(const pk_matvec *matvec, unsigned blocks, unsigned threads, void *stream);
    /* NULL, or what is told each kernel of a fused step in place of its launch (pk_step.cuh), with `context`. */
    pk_status (*record)(void *context, const struct pk_step_kernel *kernel);
    void *context;
} pk_decode_how;

/* Launch one step: token in, logits out, the next token chosen. Where `at` holds -1 the state is read, and where its
 * step is -1 the state is moved on from where the step stood, however that was said. Without a move the state still
 * takes the token, and PK_FAULT_NO_NUMBER. Returns PK_FAULT when a launch fails. PK_USAGE: quantised weights, unless
 * kernels are told and not launched. */
pk_status pk_decode_step(const pk_decoder *decoder, pk_decode_at at, const pk_decode_how *how, void *stream);

/* Decode a text: step i takes tokens[i] at position i, whatever was chosen before it. Logits after each token but the
 * last go to host memory, logits [count - 1][vocab]. Waits. The first positions of the cache, row 0 of the logits that
 * are kept, and the first of the tokens become others. PK_USAGE: more tokens than the cache has positions. */
pk_status pk_decode_text(const pk_decoder *decoder, const pk_decode_how *how, const int *tokens, int count,
                         float *logits, void *stream);

/* Kernels that pk_decode_step launches. */
int pk_decode_step_launches(const pk_decoder *decoder, const pk_decode_how *how);
/* The projections of a step, by name: q, k, v, qkv, o, gate, up, gate+up, down, logits. One of layer `layer`, from
 * whatever the scratch holds, as a step of this form launches it: to measure it by itself. */
typedef struct pk_decode_matrix {
    const uint16_t *weight; /* [rows][columns], device */
    int rows, columns;
} pk_decode_matrix;
typedef enum pk_decode_part {
    PK_PART_Q,
    PK_PART_K,
    PK_PART_V,
    PK_PART_QKV,
    PK_PART_O,
    PK_PART_GATE,
    PK_PART_UP,
    PK_PART_GATE_UP,
    PK_PART_DOWN,
    PK_PART_LOGITS
} pk_decode_part;
pk_decode_matrix pk_decode_matrix_of(const pk_decoder *decoder, int layer, pk_decode_part part);
/* y = W x: x and y are scratch of the decoder's, of at least that many columns and rows. */
pk_status pk_decode_project(const pk_decoder *decoder, const pk_decode_matrix *matrix, const float *x, float *y,
                            void *stream);

/* Does the kernel `func`, a node's cudaKernelNodeParams.func, depend on where a step stands, given its one argument?
 * Then the argument, of *bytes bytes, begins with a pk_decode_at. For kernels of pk_decode_step itself. */
bool pk_decode_kernel_moves(const void *func, const void *argument, size_t *bytes);
/* Weight bytes that a step reads, the token's row of an embedding that is a matrix of its own aside, and key and value
 * bytes at `position`; position -1: no keys and values. */
double pk_decode_step_bytes(const pk_model_config *config, double position);
/* The same where pk_quant_of is asked for `weights`: the blocks' own bytes. */
double pk_decode_step_bytes_of(const pk_model_config *config, pk_quant weights, double position);

/* ---- prefill ---- */

/* A bucket's rows: the smallest of 1, 16, 32, 64, ... that holds `length`; `most` where that is smaller. */
static inline int pk_prefill_bucket(int length, int most)
{
    int rows = length <= 1 ? 1 : 16;
    while (rows < length)
        rows *= 2;
    return rows < most ? rows : most;
}

/* Launch the prefill of the first state.prompt tokens of decoder->prompt as a batch of `rows` (at least state.prompt;
 * the rest is padding, which touches no key or value that is in use), and the choice of the first token. The rows'
 * positions are state.position and those after it; keys of positions before are taken as they are in the cache. The
 * state becomes that of step 1. `gemm` NULL: the plain tiled kernel; else one that pk_prefill_plan has seen with these
 * rows. A prompt that is longer than `rows` ends as PK_FAULT_BUCKET in the state. PK_USAGE: more rows than the shape's
 * most_rows; a shape that `gemm` has no plan for. */
struct pk_gemm;
pk_status pk_prefill_plan(const pk_decoder *decoder, int rows, struct pk_gemm *gemm);
pk_status pk_prefill(const pk_decoder *decoder, int rows, struct pk_gemm *gemm, void *stream);
int pk_prefill_launches(const pk_decoder *decoder);

#ifdef __cplusplus
}
#endif
#endif
