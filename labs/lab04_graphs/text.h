/* Lab 04's text program: between its command line (text.c) and what runs on the device (text.cu). */
#ifndef LAB04_TEXT_H
#define LAB04_TEXT_H

#include "decode/pk_decoder.h"
#include "pk_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a token's kernels come to the device. */
typedef enum text_way {
    TEXT_LAUNCH,   /* one by one */
    TEXT_CAPTURE,  /* a graph, told by the host before each replay where the step stands */
    TEXT_RESIDENT, /* the same graph; the device moves on by itself, so the next replay need not wait for the token */
    TEXT_WHILE     /* a loop in a graph: one launch for all tokens */
} text_way;

typedef struct text_setup {
    pk_model_config config;
    const pk_model *model; /* NULL: seeded random weights */
    pk_sampling sampling;
    int prompt, limit; /* tokens: of the prompt, and at most after it */
    bool fused;
    text_way way;
    const int *stop; /* read atomically; other than 0: no token is waited for any more */
} text_setup;

typedef struct text_result {
    int tokens;       /* that came */
    bool ended;       /* by an end token of the model's */
    double first_us;  /* from the prompt on the host to the first token there */
    double decode_us; /* from the first token to the last, both on the host */
} text_result;

/* Takes a token as it comes, on the caller's thread. */
typedef void text_taker(void *context, int token);

typedef struct text_engine text_engine;

/* The decoder in device memory, its weights, and the graphs of one step and of a prefill by the prompt's bucket: all
 * that takes memory or time once. `device` is what pk_device_open gave. PK_USAGE, PK_FAULT; close it either way. */
pk_status text_open(text_engine **engine, const text_setup *setup, const pk_device_info *device);
void text_close(text_engine *engine);

/* The same prompt again gives the same tokens, whatever the way. Each is handed to `take`. TEXT_LAUNCH, or the way of
 * the set-up. `limit`: at most the set-up's. PK_INTERRUPTED when `stop` is set: *result says what came until then, and
 * the device may still be busy, with all tokens of a loop; neither the engine nor the device may be used or closed
 * then. */
pk_status text_generate(text_engine *engine, text_way way, const int *prompt, int limit, text_taker *take,
                        void *context, text_result *result);

int text_rows(const text_engine *engine);     /* of the prompt's bucket */
int text_launches(const text_engine *engine); /* kernels a token */

#ifdef __cplusplus
}
#endif
#endif
