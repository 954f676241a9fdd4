/* bf16. Source: CUDA Math API, "Bfloat16 Precision Intrinsics". */
#ifndef PK_CPU_CUDA_BF16_H
#define PK_CPU_CUDA_BF16_H

#include "pk_cpu/half.h"

typedef pk_cpu_small<pk_cpu_bf16> __nv_bfloat16;
typedef pk_cpu_small2<pk_cpu_bf16> __nv_bfloat162;
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

PK_CPU_HALF_NAMES_(__nv_bfloat16, __nv_bfloat162, bfloat16, bfloat162, __halves, bfloat162)

#endif
