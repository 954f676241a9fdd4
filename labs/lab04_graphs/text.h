/* Lab 04's text program: between its options (text.c) and what runs on the device (text.cu). */
#ifndef LAB04_TEXT_H
#define LAB04_TEXT_H

#include "decode/pk_prompt.h"

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

typedef struct text_engine text_engine;

/* The decoder in device memory, its weights, and the graphs of one step and of a prefill by the prompt's bucket: all
 * that takes memory or time once. PK_USAGE, PK_FAULT; close it either way. */
pk_status text_open(text_engine **engine, const pk_prompt_setup *setup, const pk_device_info *device, bool fused,
                    text_way way);
void text_close(text_engine *engine);

/* As pk_prompt_lab's, whatever the way: TEXT_LAUNCH, or that of text_open. `limit`: at most the set-up's. */
pk_status text_generate(text_engine *engine, text_way way, const int *prompt, int limit, pk_prompt_taker *take,
                        void *context, pk_prompt_result *result);

int text_launches(const text_engine *engine); /* kernels a token */

#ifdef __cplusplus
}
#endif
#endif
