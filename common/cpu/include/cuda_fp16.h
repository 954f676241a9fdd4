/* fp16. Source: CUDA Math API, "Half Precision Intrinsics". */
#ifndef PK_CPU_CUDA_FP16_H
#define PK_CPU_CUDA_FP16_H

#include "pk_cpu/half.h"

typedef pk_cpu_small<pk_cpu_fp16> __half;
typedef pk_cpu_small2<pk_cpu_fp16> __half2;
typedef __half half;
typedef __half2 half2;

PK_CPU_HALF_NAMES_(__half, __half2, half, half2, __halves, half2)

#endif
