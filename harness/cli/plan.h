/* What a decode step of a model must move, and what that takes on a device: reckoned, not measured. */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "cli.h"
#include "decode/pk_model.h"

/* How numbers are stored. */
typedef struct plan_format {
    const char *name, *what;
    double bits; /* of an element, without its scale */
    int group;   /* elements that share a scale of 16 bits: 0: none, -1: the vector of a head or a row of weights */
} plan_format;

/* A format by its name: of weights, or of the KV cache; NULL after pk_fail, which names them. */
const plan_format *plan_weight_format(const char *name);
const plan_format *plan_kv_format(const char *name);

/* A size ("7b"), a model's name, that of a folder in models/, or a path with a slash, as a shape. PK_USAGE with the
 * names that there are. */
pk_status plan_shape(const char *word, pk_model_config *config);

typedef struct plan_request {
    pk_model_config model;
    const plan_format *weights, *kv;
    long long context, batch;
    double kernels; /* K: launches of a step */
} plan_request;

typedef struct plan_bytes {
    double matrix_elements; /* that a step reads: all matrices but the embedding's, of which it reads rows */
    double vector_elements; /* norms and biases: 16 bits each, whatever the matrices have */
    double weight_bits;     /* of a matrix element, with its share of the scale */
    double weights;         /* bytes that a step reads */
    double held_weights;    /* bytes in memory: the embedding too */
    double kv_a_token;      /* of one sequence, all layers */
    double kv_bits;         /* of an element, with its share of the scale */
    double kv;              /* bytes that a step reads: of `context` tokens of each sequence */
    double step;            /* weights and kv */
} plan_bytes;
plan_bytes plan_bytes_of(const plan_request *request);

/* K where the caller says nothing. */
enum { PLAN_KERNELS_A_LAYER = 15, PLAN_KERNELS_BESIDE = 4 };
double plan_kernels_of(const pk_model_config *model);

#endif
