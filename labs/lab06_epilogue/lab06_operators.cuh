/* Lab 06: the operators of a framework, one kernel each. A thread has one element of [rows][columns]; blocks go over
 * rows in x and over columns in y. Each result is stored as TYPE, so in bf16 each is rounded. Given. */
#ifndef LAB06_OPERATORS_CUH
#define LAB06_OPERATORS_CUH

#include "lab06_launch.cuh"

/* A matrix in device memory: row r begins `stride` elements behind row r - 1. */
template <int TYPE> struct lab06_matrix {
    typename lab06_number<TYPE>::stored *at;
    int stride;
};

template <int TYPE> static __device__ inline float lab06_at(const lab06_matrix<TYPE> *m, int column)
{
    return lab06_read(m->at[(size_t)blockIdx.x * m->stride + column]);
}

template <int TYPE> static __device__ inline void lab06_set(const lab06_matrix<TYPE> *m, int column, float value)
{
    lab06_write(&m->at[(size_t)blockIdx.x * m->stride + column], value);
}

static __device__ inline int lab06_column(void)
{
    return (int)(blockIdx.y * blockDim.x + threadIdx.x);
}

/* Operators of one operand, and of two. */
enum {
    LAB06_OP_CUBE,
    LAB06_OP_TIMES,
    LAB06_OP_PLUS_ONE,
    LAB06_OP_TANH,
    LAB06_OP_SIGMOID,
    LAB06_OP_GELU,
    LAB06_OP_SILU
};
enum { LAB06_OP_ADD, LAB06_OP_MULTIPLY };

template <int OP, int MATH> static __device__ inline float lab06_one_of(float a, float factor)
{
    if (OP == LAB06_OP_CUBE)
        return a * a * a;
    if (OP == LAB06_OP_TIMES)
        return factor * a;
    if (OP == LAB06_OP_PLUS_ONE)
        return 1 + a;
    if (OP == LAB06_OP_TANH)
        return lab06_tanh<MATH>(a);
    if (OP == LAB06_OP_SIGMOID)
        return lab06_divide<MATH>(1.0f, 1 + lab06_exp<MATH>(-a));
    if (OP == LAB06_OP_SILU)
        return lab06_divide<MATH>(a, 1 + lab06_exp<MATH>(-a));
    return 0.5f * a * (1 + lab06_tanh<MATH>(LAB06_SCALE * (a + LAB06_CUBE * a * a * a)));
}

/* The activation of what has its bias; GELU has no up. */
template <int ACT, int MATH> static __device__ inline float lab06_activate(float v, float up)
{
    return ACT == LAB06_GELU ? lab06_one_of<LAB06_OP_GELU, MATH>(v, 0.0f)
                             : lab06_one_of<LAB06_OP_SILU, MATH>(v, 0.0f) * up;
}

template <int TYPE, int OP, int MATH>
static __global__ void lab06_map(int columns, lab06_matrix<TYPE> to, lab06_matrix<TYPE> a, float factor)
{
    const int column = lab06_column();
    if (column < columns)
        lab06_set(&to, column, lab06_one_of<OP, MATH>(lab06_at(&a, column), factor));
}

/* A stride of 0 makes one row of b serve all of a's. */
template <int TYPE, int OP>
static __global__ void lab06_join(int columns, lab06_matrix<TYPE> to, lab06_matrix<TYPE> a, lab06_matrix<TYPE> b)
{
    const int column = lab06_column();
    if (column >= columns)
        return;
    const float x = lab06_at(&a, column), y = lab06_at(&b, column);
    lab06_set(&to, column, OP == LAB06_OP_ADD ? x + y : x * y);
}

/* The matrices of a layer. */
template <int TYPE> struct lab06_layer {
    lab06_matrix<TYPE> x, bias, before, out;
};

template <int TYPE> static inline lab06_layer<TYPE> lab06_layer_of(const lab06_view *v, int layer)
{
    typedef typename lab06_number<TYPE>::stored stored;
    const size_t rows = (size_t)v->rows, pitch = (size_t)v->pitch, parts = (size_t)v->parts;
    stored *const out = (stored *)v->out + (size_t)layer * rows * pitch;
    const lab06_layer<TYPE> found = {{(stored *)v->x + (size_t)layer * rows * parts * pitch, v->parts * v->pitch},
                                     {(stored *)v->bias + (size_t)layer * parts * pitch, 0},
                                     {layer == 0 ? (stored *)v->h : out - rows * pitch, v->pitch},
                                     {out, v->pitch}};
    return found;
}

/* The launches: of grids over `columns`, on the variable `stream` and `v` of the function around them. */
#define LAB06_MAP(OP, columns, to, a, factor)                                                                          \
    PK_LAUNCH((lab06_map<TYPE, OP, MATH>), lab06_grid_over(v, columns), LAB06_THREADS, 0, stream, columns, to, a,      \
              factor)
#define LAB06_JOIN(OP, columns, to, a, b)                                                                              \
    PK_LAUNCH((lab06_join<TYPE, OP>), lab06_grid_over(v, columns), LAB06_THREADS, 0, stream, columns, to, a, b)

static inline dim3 lab06_grid_over(const lab06_view *v, int columns)
{
    return dim3((unsigned)v->rows, (unsigned)(columns + LAB06_THREADS - 1) / LAB06_THREADS);
}

#endif
