#!/usr/bin/env bash
# `cc`: a program that is no lab's is compiled for the CPU device and runs; what cannot be compiled is said in a sentence.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
export TMPDIR=$fixture/temporary
mkdir -p "$fixture/program/include" "$TMPDIR"
cd "$fixture/program" || exit 1

# ---- refused before anything is compiled ----
run cc
expect_error 'cc needs a file'
run cc nowhere.cu
expect_error "cannot read 'nowhere.cu': No such file or directory"
run cc include
expect_error "'include' is a folder"
: >notes.txt
run cc notes.txt
expect_error "'notes.txt' does not end in .cu, .cpp, .cc, .cxx or .c"
: >empty.cu
run cc empty.cu --cheked
expect_error "unknown option '--cheked'" "did you mean '--checked'"
for option in -arch=sm_90 -gencode -lineinfo --use_fast_math; do
    run cc empty.cu "$option"
    expect_error "unknown option '$option'" "nvcc's own"
done
run cc empty.cu -o
expect_error '-o needs a value'
run cc empty.cu -std=c++14
expect_error '-std=c++14 is too old' '-std=c++17'
run cc empty.cu -o empty.cu
expect_error "would overwrite 'empty.cu'" '-o NAME'
run cc empty.cu -o include
expect_error "'include', which is a folder" '-o NAME'
run targets cc nowhere.cu
[[ -z $output ]] || fail 'something is built for a file that is not there'
run cc empty.cu
if [[ $output == *'cc compiles for the CPU device, and this build is for'* ]]; then
    expect_error './lab --backend=cpu cc'
    finish
    exit
fi
run targets cc empty.cu
[[ $output == pk_cpu || $output == pk_cpu_checked ]] || fail 'not the library of the CPU device'

# ---- compiled and run: three languages, each with its options ----
echo 'enum { N = 100 };' >include/size.h
cat >add.cu <<'CODE'
#include "size.h"
__global__ void add(int n, const float *a, const float *b, float *c)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        c[i] = a[i] + b[i];
}
double sum(const float *x, int n);
extern "C" int standard(void);
int main(int argc, char **)
{
    float *x;
    cudaMallocManaged(&x, 3 * N * sizeof *x);
    for (int i = 0; i < N; i++)
        x[i] = i, x[N + i] = SCALE;
    PK_CPU_LAUNCH(add, (N + 63) / 64, 64, 0, 0, N, x, x + N, x + 2 * N);
    cudaDeviceSynchronize();
    printf("sum %g, C++ %ld, C %d\n", sum(x + 2 * N, N), __cplusplus / 100, standard());
    cudaFree(x);
    return argc > 1;
}
CODE
echo 'double sum(const float *x, int n) { double s = 0; while (n--) s += *x++; return s; }' >sum.cpp
echo 'int standard(void) { int *untyped = (void *)0; return untyped ? 0 : (int)(__STDC_VERSION__ / 100); }' >standard.c
run cc add.cu sum.cpp standard.c -Iinclude -D SCALE=2 -O1 -std=c++20 -std=c11 -o vectors
expect 0 'The program is ./vectors' 'Run it: ' ' ./vectors'
output=$(./vectors 2>&1)
code=$?
expect 0 'sum 5150, C++ 2020, C 2011'
run cc add.cu sum.cpp standard.c -I include -DSCALE=3
expect 0 'The program is ./add'
output=$(./add 2>&1)
code=$?
expect 0 'sum 5250, C++ 2017'

cat >reverse.cu <<'CODE'
__global__ void turn_round(int *x)
{
    __shared__ int tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = tile[63 - threadIdx.x];
}
int main()
{
    int *x;
    cudaMalloc(&x, 64 * sizeof *x);
    PK_CPU_LAUNCH(turn_round, 1, 64, 0, 0, x);
    return cudaDeviceSynchronize() != cudaSuccess;
}
CODE
run cc reverse.cu --checked
if [[ $output != *'this build cannot check accesses'* ]]; then
    expect 0 'each access checked' 'PK_CPU_CHECK=1 ./reverse'
    output=$(PK_CPU_CHECK=1 ./reverse 2>&1)
    code=$?
    expect 1 'uninitialised shared memory: tile' reverse.cu:5
fi

# ---- refused for what stands in the program ----
cat >launch.cu <<'CODE'
template <class T> __global__ void first(T *) {}
__global__ void second(int) {} // first<<<1, 1>>>(x);
#if defined(__CUDA_ARCH__)
void never() { second<<<1, 1>>>(0); }
#endif
int main()
{
    const char *text = "second<<<1, 1>>>(0)";
    const int threads = 1'0; first<int><<<1, threads>>>(nullptr);
    second<<<dim3(2), 1, 0, 0>>>(*text);
}
CODE
run cc launch.cu
expect_error '<<<...>>>' 'launch.cu:9, launch.cu:10;' 'PK_CPU_LAUNCH(first<int>, grid, block, smem, stream, arguments...)' \
    docs/no-gpu.md
[[ ! -e launch ]] || fail 'there is a program'

# PTX that nothing calls, and the host's own instructions, are compiled.
cat >ptx.cu <<'CODE'
static inline __device__ unsigned unused() { unsigned r; asm("mov.u32 %0, %%laneid;" : "=r"(r)); return r; }
__global__ void lane(unsigned *x)
{
#if defined(__CUDA_ARCH__)
    asm volatile("membar.gl;");
#elif defined(PTX)
    asm volatile(
        "{\n\t.reg .pred p;\n\t" /* a comment: */
        "mov.u32 %0, %%laneid;\n\t}"
        : "=r"(*x));
#elif defined(ADDRESS)
    asm volatile("cvta.to.shared.u64 %0, %1;" : "=h"(*x) : "l"(x));
#elif defined(TRAP)
    __asm__ __volatile__(R"(trap;)");
#elif defined(BLOCK)
    asm volatile("\n\tbar.sync 0;"); // the assembler means the next line
#elif defined(HOST)
    asm volatile("frobnicate");
#else
    asm volatile("" ::: "memory");
#endif
}
int main()
{
    asm volatile("nop");
    PK_CPU_LAUNCH(lane, 1, 1, 0, 0, nullptr);
    return cudaDeviceSynchronize() != cudaSuccess;
}
CODE
run cc ptx.cu
expect 0 'The program is ./ptx'
for place in PTX:7 ADDRESS:12 TRAP:14 BLOCK:16; do
    run cc ptx.cu "-D${place%:*}"
    expect_error 'inline PTX cannot run on the CPU device' "ptx.cu:${place#*:};" 'defined(__CUDA_ARCH__)'
    expect_no 'no such instruction'
done
run cc ptx.cu -DHOST
expect 2 'ptx.cu:18' 'ptx.cu does not compile'
expect_no PTX

echo '#include <cuda_runtime.h>' >header.c
run cc header.c
expect_error 'header.c is C' 'which are C++'
echo 'int main() { return nothing; }' >wrong.cpp
run cc wrong.cpp
expect 2 nothing 'wrong.cpp does not compile'
cat >dynamic.cu <<'CODE'
extern __shared__ int tile[];
__global__ void fill() { tile[threadIdx.x] = 1; }
int main() { PK_CPU_LAUNCH(fill, 1, 1, 4, 0); }
CODE
run cc dynamic.cu
expect 2 'dynamic cannot be linked' 'T *name = (T *)pk_cpu_dynamic_shared()'

[[ -z $(ls "$TMPDIR") ]] || fail "left behind: $(ls "$TMPDIR")"
finish
