/* Lab 04, execution graphs: what a variant sees.
 *
 * The lab poses three problems, chosen by --work:
 *   axpy     K dependent launches on a vector, lab 01's: the API, before the model
 *   decode   T steps of a decoder after a prompt of P tokens: the lab
 *   prefill  R prompts one after the other, each until its first token: what a graph is for each length of
 * and one more, of given code only: project, one projection of all layers beside a plain read of the same bytes, so
 * that it is known that no baseline is slow for want of a better kernel. */
#ifndef LAB04_H
#define LAB04_H

#include <stdbool.h>

#include "decode/pk_decoder.h"
#include "pk/lab.h"

enum { LAB04_AXPY, LAB04_DECODE, LAB04_PREFILL, LAB04_PROJECT }; /* --work */

enum {
    LAB04_AXPY_THREADS = 256,
    LAB04_WEIGHTS_SEED = 1, /* the weights are the same whatever the inputs' seed */
    LAB04_MOST_BUCKETS = 20,
    LAB04_READ_WORDS = 1 << 15 /* so many that hardly two warps of a plain read meet at one */
};

typedef struct lab04_axpy { /* y += a x, k times, and all of that `replays` times */
    int n, k, replays;
    float a;
    const float *x; /* [n], device */
    float *y;       /* [n], device */
    float *start;   /* [n], device: y at the start of a repetition */
} lab04_axpy;

typedef struct lab04 {
    int work;
    bool graphs;  /* false, --graph=0 or PK_GRAPH=0: what a graph would launch is launched kernel by kernel */
    int launched; /* kernels that one step, one prompt, or the K AXPYs launch: what a graph of it must hold */
    lab04_axpy axpy;

    pk_decoder decoder;
    pk_decode_how how; /* --form */
    int prompt;        /* P: tokens in the cache before step 0 */
    int tokens;        /* T: steps of a repetition */
    int first_token;   /* what step 0 takes in: chosen after the prompt */

    int *host_token;             /* [T], pinned: where tokens are copied to that the host waits for */
    pk_decode_state *host_state; /* [T], pinned: where each step stands, for a graph that is told from outside */

    struct pk_gemm *gemm;    /* the vendor's library for a prompt's projections, or NULL: the plain tiled kernel */
    int requests;            /* R */
    int *lengths;            /* [R], host */
    const int *prompts;      /* [R][most_rows], device */
    pk_decode_state *states; /* [R], device: each request's beginning */
    int pool;                /* graphs that a pool may keep */
    pk_decode_part part;     /* --part, of --work=project */
    int copies;              /* layers that have it */
    const float *project_x;  /* [columns], device */
    float *project_y;        /* [copies][rows], device */
    unsigned *project_words; /* [copies][LAB04_READ_WORDS], device */
} lab04;

#endif
