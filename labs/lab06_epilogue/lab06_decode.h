/* Lab 06, --work=decode: the labs' decoder, whose gated activation is an epilogue in the product of one row. */
#ifndef LAB06_DECODE_H
#define LAB06_DECODE_H

#include "decode/pk_decoder.h"
#include "decode/pk_text.h"
#include "lab06.h"

typedef struct lab06_decode {
    pk_decoder decoder;
    int tokens[PK_TEXT_MOST]; /* of a text: step i takes in tokens[i], whatever was chosen before it */
    int steps;                /* tokens but the last: logits after each, in a row of their own */
    const char *missing;      /* why there is nothing to decode, or NULL */
} lab06_decode;

#endif
