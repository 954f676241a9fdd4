/* The program labNN_text, behind `./lab run NN --prompt=...`: continues a prompt of token ids, and writes the text as
 * it comes. All labs' programs have this in common: the command line, the model, the text, Ctrl-C, the figures. How
 * tokens are decoded is the lab's. */
#ifndef PK_PROMPT_H
#define PK_PROMPT_H

#include "pk_decoder.h"
#include "pk_device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_prompt_setup {
    pk_model_config config;
    const pk_model *model; /* NULL: seeded random weights */
    pk_sampling sampling;
    int prompt, limit; /* tokens: of the prompt, and at most after it; the cache has room for them */
    const int *stop;   /* read atomically; other than 0: no token is wanted any more */
} pk_prompt_setup;

typedef struct pk_prompt_result {
    int tokens;       /* that came */
    bool ended;       /* by an end token of the model's */
    const char *end;  /* what ended it that is the lab's own, "--stop-after reached"; else NULL */
    double first_us;  /* from the prompt on the host to the first token there */
    double decode_us; /* from the first token to the last, both on the host */
} pk_prompt_result;

/* Takes a token as it comes, on the caller's thread. */
typedef void pk_prompt_taker(void *context, int token);

/* ---- what a lab gives ---- */

typedef struct pk_prompt_option { /* of the lab's own */
    const char *name;             /* "graph", given as --graph=VALUE */
    /* `what`: "--graph". PK_USAGE: a value that it cannot have, or an option that makes no sense here. */
    pk_status (*set)(const char *what, const char *value);
} pk_prompt_option;

typedef struct pk_prompt_lab {
    const char *program, *number; /* "lab04_text", "04" */
    const char *help;             /* its options, as lines of the help */
    const pk_prompt_option *options;
    size_t option_count;

    /* All that takes memory or time once. `device` is what pk_device_open gave; it and the set-up outlive the engine.
     * close is called either way. */
    pk_status (*open)(void **engine, const pk_prompt_setup *setup, const pk_device_info *device);
    /* Before the text, untimed; may be NULL. PK_INTERRUPTED as below. */
    pk_status (*warm_up)(void *engine, const int *prompt);
    /* The same prompt again gives the same tokens. PK_INTERRUPTED when setup.stop is set: *result says what came until
     * then; the device may still be busy, and neither it nor the engine is used or closed any more. */
    pk_status (*generate)(void *engine, const int *prompt, pk_prompt_taker *take, void *context,
                          pk_prompt_result *result);
    /* How tokens were decoded, as it goes on from "decode ": "by a graph: 34 kernels a token". */
    void (*describe)(const void *engine, char *text, size_t bytes);
    void (*close)(void *engine); /* NULL: nothing */
} pk_prompt_lab;

int pk_prompt_main(const pk_prompt_lab *given, int argc, char **argv);

/* For a lab's options and its notes: a number in a range; one of these names, from `first` on; a line on the standard
 * error, as the terminal has room. */
pk_status pk_prompt_integer(int *to, const char *what, const char *value, int least, int most);
pk_status pk_prompt_choice(int *to, const char *what, const char *value, const char *const *names, int first);
void pk_prompt_tell(const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 1, 2)))
#endif
    ;

/* ---- for an engine: a decoder with room for the prompt and its text ---- */

typedef struct pk_prompt_decoder {
    pk_decoder decoder;
    pk_decoder_memory memory;
    struct pk_gemm *gemm; /* of prefill; NULL: the plain kernel */
    int prompt, rows;     /* tokens, and rows of their bucket */
    void *stream;
} pk_prompt_decoder;

/* Device memory, weights, and the products of the prompt's bucket planned. Close it either way. */
pk_status pk_prompt_decoder_open(pk_prompt_decoder *d, const pk_prompt_setup *setup, const pk_device_info *device);
void pk_prompt_decoder_close(pk_prompt_decoder *d);

/* Is the token one of the model's that end a text, where such tokens do? */
bool pk_prompt_ends(const pk_prompt_decoder *d, int token);

#ifdef __cplusplus
}
#endif
#endif
