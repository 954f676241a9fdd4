/* A dense decoder-only transformer: its shape, and its weights in host memory.
 *
 * The families are those of HuggingFace's LlamaForCausalLM (Llama, SmolLM2), Qwen2ForCausalLM and Qwen3ForCausalLM:
 * RMSNorm (Zhang and Sennrich, NeurIPS 2019), rotary embedding of half-split pairs (Su et al., "RoFormer", 2021),
 * grouped-query attention (Ainslie et al., EMNLP 2023), gated feed-forward (Shazeer, "GLU variants", 2020). */
#ifndef PK_MODEL_H
#define PK_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pk_activation { PK_ACTIVATION_SILU, PK_ACTIVATION_GELU_TANH } pk_activation;

enum { PK_MODEL_MOST_ENDS = 8 };

typedef struct pk_model_config {
    char name[64];   /* "qwen2.5-0.5b", or the folder that it came from */
    char family[16]; /* "llama", "qwen2" or "qwen3" */
    int layers;
    int hidden;          /* width of the residual stream, a multiple of 8 */
    int heads, kv_heads; /* query heads, a multiple of the key/value heads */
    int head_dim;        /* 16 to 256, a multiple of 16; not always hidden / heads */
    int ffn;             /* width between up and down projection, a multiple of 8 */
    int vocab;           /* rows of the embedding and of the logits */
    int max_positions;   /* longest sequence that the model was made for */
    double rms_eps;
    double rope_theta;
    /* Llama 3's stretch of long wavelengths; rope_factor 1: none. Source: transformers, _compute_llama3_parameters. */
    double rope_factor, rope_low_freq, rope_high_freq;
    int rope_original_positions;
    bool qkv_bias;       /* Qwen2 */
    bool qk_norm;        /* Qwen3: RMSNorm over each head of q and k, before the rotation */
    bool tied_embedding; /* the logits' matrix is the embedding */
    pk_activation activation;
    int begin_token; /* -1: none */
    int end_tokens[PK_MODEL_MOST_ENDS], end_count;
} pk_model_config;

/* A configuration by its name: tiny, tiny-qwen2, tiny-qwen3, odd-64, odd-80, odd-128, tiny-256, smollm2-135m,
 * qwen2.5-0.5b, llama-3.2-1b, qwen3-8b. PK_USAGE with the names that there are. */
pk_status pk_model_config_named(const char *name, pk_model_config *config);
const char *pk_model_config_name(size_t index); /* NULL past the last */

/* From the text of a HuggingFace config.json, `origin` naming it in errors. PK_USAGE: not JSON, a family or an option
 * that is not computed here (sliding windows, other rope types...), a value out of range. */
pk_status pk_model_config_parse(const char *json, const char *origin, pk_model_config *config);

/* Ranges and divisibility, for configurations from anywhere. */
pk_status pk_model_config_check(const pk_model_config *config);

/* Rotations a position, radians: [head_dim / 2], of pair (i, i + head_dim / 2). */
void pk_model_rope_frequencies(const pk_model_config *config, double *frequency);

/* ---- weights ---- */

/* How matrices are stored: bf16 (the upper half of a float), or blocks (pk_quant.h). */
typedef enum pk_quant { PK_QUANT_BF16, PK_QUANT_Q8_0, PK_QUANT_Q4_K, PK_QUANTS } pk_quant;

/* All matrices are bf16, row-major [out][in], as HuggingFace has them; in a quantised model these point to rows of
 * blocks. */
typedef struct pk_layer_weights {
    const uint16_t *attn_norm;                /* [hidden] */
    const uint16_t *q;                        /* [heads * head_dim][hidden] */
    const uint16_t *k, *v;                    /* [kv_heads * head_dim][hidden] */
    const uint16_t *q_bias, *k_bias, *v_bias; /* [rows of q, k, v], NULL without qkv_bias */
    const uint16_t *q_norm, *k_norm;          /* [head_dim], NULL without qk_norm */
    const uint16_t *o;                        /* [hidden][heads * head_dim] */
    const uint16_t *ffn_norm;                 /* [hidden] */
    const uint16_t *gate, *up;                /* [ffn][hidden] */
    const uint16_t *down;                     /* [hidden][ffn] */
} pk_layer_weights;

typedef struct pk_model {
    pk_model_config config;
    pk_quant weights;                 /* what pk_quant_of is asked for, for each matrix but the embedding */
    const uint16_t *embedding;        /* [vocab][hidden] */
    const uint16_t *final_norm;       /* [hidden] */
    const uint16_t *logits;           /* [vocab][hidden]; the embedding where tied */
    pk_layer_weights *layer;          /* [layers] */
    struct pk_model_storage *storage; /* what the pointers lead into */
} pk_model;

/* Seeded random weights of the configuration's shape: element i of tensor t is pk_model_random_weight(seed, t, i, ...),
 * on every machine. PK_FAULT (out of host memory). Close it with pk_model_close. */
pk_status pk_model_random(const pk_model_config *config, uint64_t seed, pk_model *model);

/* A folder with config.json and model.safetensors, or model.safetensors.index.json and its shards. Files are mapped and
 * read as they are used, and must not be written to until the model is closed: one that is cut off then ends the
 * program by SIGBUS. Tensors of F32 and F16, and those at odd addresses, are copied to memory of the model's own,
 * rounded to bf16. PK_USAGE with what is wrong with which file or tensor, and what to do: anything that the format does
 * not allow, a tensor that is missing or of another shape or type, one of the decoder that the configuration has no
 * place for, a file that was written to while it was read. PK_FAULT: out of host memory. Close it with pk_model_close.
 */
pk_status pk_model_open(const char *folder, pk_model *model);

void pk_model_close(pk_model *model);

/* The tensors of a model by number: the embedding, each layer's, the final norm, and the logits' matrix where it is one
 * of its own. What a configuration lacks (biases, head norms) has no number. */
typedef struct pk_model_tensor {
    char name[64];        /* HuggingFace's: "model.layers.3.self_attn.q_proj.weight" */
    size_t rows, columns; /* rows 1: a vector */
    float centre, spread; /* seeded random weights are uniform in centre +- spread: see config.c for the choice */
} pk_model_tensor;

size_t pk_model_tensor_count(const pk_model_config *config);
pk_model_tensor pk_model_tensor_at(const pk_model_config *config, size_t number);
/* Where the model holds the tensor's address. */
const uint16_t **pk_model_tensor_slot(pk_model *model, size_t number);

#ifdef __cplusplus
}
#endif
#endif
