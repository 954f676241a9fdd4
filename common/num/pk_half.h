/* Between float and the two 16-bit formats, on the host: fp16 (IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction
 * bits) and bf16 (float's upper half: 1, 8, 7). To 16 bits: round to nearest, ties to even, subnormals included;
 * what is too large becomes an infinity; a NaN stays a NaN of its sign, made quiet. From 16 bits: exact. */
#ifndef PK_HALF_H
#define PK_HALF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

uint16_t pk_float_to_fp16(float value);
float pk_fp16_to_float(uint16_t bits);

uint16_t pk_float_to_bf16(float value);
float pk_bf16_to_float(uint16_t bits);

#ifdef __cplusplus
}
#endif
#endif
