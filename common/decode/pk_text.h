/* A text by which a decoder is judged: how well it predicts it, and how far its logits are from the model's in double.
 *
 * Perplexity is e to the mean of -log p over the tokens behind the first, each given all those before it, whatever
 * would have been chosen: 1 for who knows the text, the vocabulary's size for who guesses. Of random weights it says
 * nothing about language, but it moves as that of real ones does when a decoder computes something else. */
#ifndef PK_TEXT_H
#define PK_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "pk_model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PK_TEXT_DRAWN = 64, PK_TEXT_MOST = 256 }; /* tokens of a drawn text; of any */

/* The shipped one, some hundred words of English. */
extern const char pk_text_shipped[];

/* The tokens of a text for the model, at most `most` of them, and how many. For real weights ("smollm2-135m", the one
 * vocabulary in which the shipped text is known) the shipped text; else seeded ones, of all of the vocabulary. */
int pk_text_tokens(const pk_model_config *config, bool real, int most, int tokens[PK_TEXT_MOST]);

typedef struct pk_text_judged {
    double perplexity;
    double perplexity_reference, l2,
        kl; /* without a reference NaN. l2, kl: of the token whose logits are farthest off */
} pk_text_judged;

/* got [count - 1][vocab]: logits after each token but the last; want likewise, or NULL. */
pk_text_judged pk_text_judge(const int *tokens, int count, size_t vocab, const float *got, const double *want);

#ifdef __cplusplus
}
#endif
#endif
