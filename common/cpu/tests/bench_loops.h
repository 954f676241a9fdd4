/* Loops that bench.cpp compares kernels with. */
#ifndef PK_CPU_BENCH_LOOPS_H
#define PK_CPU_BENCH_LOOPS_H

void loop_axpy(float *y, const float *x, float a, int n);
void loop_gate(float *y, const float *x, float a, int n);
void loop_stencil(float *y, const float *x, float a, int n);

#endif
