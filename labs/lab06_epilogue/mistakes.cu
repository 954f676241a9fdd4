/* Lab 06, the fused epilogue: planted mistakes. Each variant is wrong in one way that has been made for real, and the
 * harness must catch it: the tests lab06.mistake.* run them one by one and demand the right exit code and reason. */
#include "lab06_launch.cuh"

#include <math.h>

/* ---- wrong in the formula, a thread an element ---- */

enum {
    RIGHT,
    WITHOUT_ONE,   /* 0.5 v tanh(...) */
    WITHOUT_SCALE, /* tanh(v + cube v^3) */
    WITHOUT_CUBE,  /* tanh(scale v) */
    SCALE_INSIDE,  /* the scale for v only: tanh(scale v + cube v^3) */
    OVERFLOWS,     /* tanh as (e^2i - 1) / (e^2i + 1) */
    NAN_LOST,      /* fmaxf(v, -30) */
    INFINITY_LOST, /* fminf(v, 1e38) */
    BIAS_OF_ROW,   /* bias[row] */
    BIAS_SHIFTED,  /* bias of the next column */
    BIAS_OF_LAYER_0,
    RESIDUAL_TWICE,
    RESIDUAL_LOST,
    RESIDUAL_OF_H, /* the first layer's, in all layers */
    TWICE_ROUNDED, /* to bf16: the activation, and then the sum */
    GATE_AND_UP_CHANGED,
    WITHOUT_UP,
    FAST_FORMS
};

template <int MISTAKE> static __device__ inline float wrong_gelu(float v)
{
    const float cube = MISTAKE == WITHOUT_CUBE ? 0 : LAB06_CUBE * v * v * v;
    const float inner = MISTAKE == WITHOUT_SCALE  ? v + cube
                        : MISTAKE == SCALE_INSIDE ? LAB06_SCALE * v + cube
                                                  : LAB06_SCALE * (v + cube);
    float t = MISTAKE == FAST_FORMS ? lab06_tanh<LAB06_FAST>(inner) : tanhf(inner);
    if (MISTAKE == OVERFLOWS)
        t = (expf(2 * inner) - 1) / (expf(2 * inner) + 1);
    return 0.5f * v * ((MISTAKE == WITHOUT_ONE ? 0.0f : 1.0f) + t);
}

template <int MISTAKE> static __device__ inline float wrong_gate(float gate, float up)
{
    if (MISTAKE == OVERFLOWS)
        return gate * expf(gate) / (1 + expf(gate)) * up;
    if (MISTAKE == GATE_AND_UP_CHANGED)
        return up / (1 + expf(-up)) * gate;
    if (MISTAKE == FAST_FORMS)
        return lab06_divide<LAB06_FAST>(gate, 1 + lab06_exp<LAB06_FAST>(-gate)) * up;
    return gate / (1 + expf(-gate)) * (MISTAKE == WITHOUT_UP ? 1 : up);
}

template <int TYPE, int ACT, int MISTAKE> static __global__ void wrong_element(lab06_view v, int layer)
{
    const lab06_row<TYPE> row = lab06_row_of<TYPE>(&v, layer, (int)blockIdx.x);
    const int column = (int)(blockIdx.y * blockDim.x + threadIdx.x);
    if (column >= v.columns)
        return;
    const int shifted = column + 1 < v.columns ? column + 1 : column;
    const int of_bias = MISTAKE == BIAS_OF_ROW ? (int)blockIdx.x : MISTAKE == BIAS_SHIFTED ? shifted : column;
    const typename lab06_number<TYPE>::stored *const bias =
        MISTAKE == BIAS_OF_LAYER_0 ? lab06_row_of<TYPE>(&v, 0, 0).bias : row.bias;
    float x = lab06_read(row.x[column]) + lab06_read(bias[of_bias]);
    if (MISTAKE == NAN_LOST)
        x = fmaxf(x, -30.0f);
    if (MISTAKE == INFINITY_LOST)
        x = fminf(x, 1e38f);
    const float up = ACT == LAB06_SILU_GATE ? lab06_read(row.x_up[column]) + lab06_read(row.bias_up[column]) : 0;
    float term = ACT == LAB06_GELU ? wrong_gelu<MISTAKE>(x) : wrong_gate<MISTAKE>(x, up);
    if (MISTAKE == TWICE_ROUNDED)
        term = lab06_as_stored<LAB06_BF16>(term);
    float before = lab06_read(row.before[column]);
    if (MISTAKE == RESIDUAL_TWICE)
        before = 2 * before;
    if (MISTAKE == RESIDUAL_LOST)
        before = 0;
    if (MISTAKE == RESIDUAL_OF_H)
        before = lab06_read(lab06_row_of<TYPE>(&v, 0, (int)blockIdx.x).before[column]);
    lab06_write(&row.out[column], before + term);
}

static pk_status launch_layers(pk_run *run)
{
    const lab06_plan *const p = lab06_plan_of(run);
    const lab06_view *const v = &lab06_of(run)->view;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_layer_kernel epilogue = p->layer_kernel;
    for (int layer = 0; layer < v->layers; layer++)
        PK_LAUNCH(epilogue, p->grid, LAB06_THREADS, 0, stream, *v, layer);
    return PK_OK;
}

static pk_status launch_and_wait(pk_run *run)
{
    PK_TRY(launch_layers(run));
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)pk_run_stream(run)));
    return PK_OK;
}

template <int MISTAKE> static pk_status wrong_prepare(pk_run *run)
{
    const bool gelu = lab06_of(run)->act == LAB06_GELU;
    return lab06_plan_elements(run, lab06_of(run)->type == LAB06_FP32
                                        ? (gelu ? wrong_element<LAB06_FP32, LAB06_GELU, MISTAKE>
                                                : wrong_element<LAB06_FP32, LAB06_SILU_GATE, MISTAKE>)
                                        : (gelu ? wrong_element<LAB06_BF16, LAB06_GELU, MISTAKE>
                                                : wrong_element<LAB06_BF16, LAB06_SILU_GATE, MISTAKE>));
}

/* ---- wrong at the edges, 4 floats a thread ---- */

enum { TAIL_LEFT_OUT, TAIL_WHOLE, ONE_CHUNK_A_THREAD };

/* Rows of whole chunks only, or the last chunk whole where a row ends within it; or no loop: what a grid does not take
 * at once is left out. */
template <int MISTAKE> static __global__ void wrong_chunks(lab06_view v, int layer)
{
    const int in_row = MISTAKE == TAIL_LEFT_OUT ? v.columns / 4 : (v.columns + 3) / 4, chunks = v.rows * in_row;
    const int each = (int)(gridDim.x * blockDim.x);
    for (int i = (int)(blockIdx.x * blockDim.x + threadIdx.x); i < chunks; i += each) {
        const lab06_row<LAB06_FP32> row = lab06_row_of<LAB06_FP32>(&v, layer, i / in_row);
        const int column = i % in_row * 4;
        for (int j = 0; j < 4; j++) {
            const bool there = column + j < v.columns;
            const float x = there ? row.x[column + j] + row.bias[column + j] : 0,
                        before = there ? row.before[column + j] : 0;
            if (there || MISTAKE == TAIL_WHOLE)
                row.out[column + j] = before + wrong_gelu<RIGHT>(x);
        }
        if (MISTAKE == ONE_CHUNK_A_THREAD)
            break;
    }
}

template <int MISTAKE> static pk_status chunks_prepare(pk_run *run)
{
    return lab06_plan_layers(run, wrong_chunks<MISTAKE>);
}

/* ---- wrong in what is kept ---- */

/* x + bias is written over x: right in the first repetition, and has the bias twice in the second. */
static __global__ void add_bias_in_place(lab06_view v, int layer)
{
    const lab06_row<LAB06_FP32> row = lab06_row_of<LAB06_FP32>(&v, layer, (int)blockIdx.x);
    const int column = (int)(blockIdx.y * blockDim.x + threadIdx.x);
    if (column < v.columns)
        ((float *)row.x)[column] = row.x[column] + row.bias[column];
}

static __global__ void without_bias(lab06_view v, int layer)
{
    const lab06_row<LAB06_FP32> row = lab06_row_of<LAB06_FP32>(&v, layer, (int)blockIdx.x);
    const int column = (int)(blockIdx.y * blockDim.x + threadIdx.x);
    if (column < v.columns)
        row.out[column] = row.before[column] + wrong_gelu<RIGHT>(row.x[column]);
}

static pk_status in_place(pk_run *run)
{
    const lab06_view *const v = &lab06_of(run)->view;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int layer = 0; layer < v->layers; layer++) {
        PK_LAUNCH(add_bias_in_place, lab06_grid_of_elements(v), LAB06_THREADS, 0, stream, *v, layer);
        PK_LAUNCH(without_bias, lab06_grid_of_elements(v), LAB06_THREADS, 0, stream, *v, layer);
    }
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

/* The residual is kept in h, where it is updated by every layer: the second repetition begins where the first ended. */
static __global__ void updates_h(lab06_view v, int layer)
{
    const lab06_row<LAB06_FP32> row = lab06_row_of<LAB06_FP32>(&v, layer, (int)blockIdx.x);
    const int column = (int)(blockIdx.y * blockDim.x + threadIdx.x);
    if (column >= v.columns)
        return;
    float *const h = (float *)v.h + (size_t)blockIdx.x * v.pitch + column;
    *h += wrong_gelu<RIGHT>(row.x[column] + row.bias[column]);
    row.out[column] = *h;
}

static pk_status updates_h_prepare(pk_run *run)
{
    return lab06_plan_elements(run, updates_h);
}

/* All layers in one launch, in bf16, and what stands before a layer is the register, which nobody has rounded. */
static __global__ void keeps_unrounded(lab06_view v)
{
    for (int row = (int)blockIdx.x; row < v.rows; row += (int)gridDim.x)
        for (int column = (int)threadIdx.x; column < v.columns; column += (int)blockDim.x) {
            float held = lab06_read(lab06_row_of<LAB06_BF16>(&v, 0, row).before[column]);
            for (int layer = 0; layer < v.layers; layer++) {
                const lab06_row<LAB06_BF16> at = lab06_row_of<LAB06_BF16>(&v, layer, row);
                held += wrong_gelu<RIGHT>(lab06_read(at.x[column]) + lab06_read(at.bias[column]));
                lab06_write(&at.out[column], held);
            }
        }
}

/* All layers in one launch, and a layer reads what another thread has written in the layer before: its own columns from
 * the other end of the row. Without a barrier of the grid it may not be there yet. */
static __global__ void other_slice(lab06_view v)
{
    const int threads = (int)(gridDim.x * blockDim.x), me = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    for (int layer = 0; layer < v.layers; layer++)
        for (int i = me; i < v.rows * v.columns; i += threads) {
            const int mine = layer % 2 == 0 ? i : v.rows * v.columns - 1 - i;
            const lab06_row<LAB06_FP32> at = lab06_row_of<LAB06_FP32>(&v, layer, mine / v.columns);
            const int column = mine % v.columns;
            at.out[column] = at.before[column] + wrong_gelu<RIGHT>(at.x[column] + at.bias[column]);
        }
}

static pk_status launch_all(pk_run *run)
{
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_all_kernel epilogue = lab06_plan_of(run)->all_kernel;
    PK_LAUNCH(epilogue, lab06_plan_of(run)->grid, LAB06_THREADS, 0, stream, lab06_of(run)->view);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static pk_status unrounded_prepare(pk_run *run)
{
    return lab06_plan_all(run, keeps_unrounded);
}

static pk_status other_slice_prepare(pk_run *run)
{
    return lab06_plan_all(run, other_slice);
}

/* ---- wrong in the launches ---- */

static pk_status layer_lost(pk_run *run)
{
    const lab06_plan *const p = lab06_plan_of(run);
    const lab06_view *const v = &lab06_of(run)->view;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_layer_kernel epilogue = p->layer_kernel;
    for (int layer = 0; layer < v->layers - 1; layer++)
        PK_LAUNCH(epilogue, p->grid, LAB06_THREADS, 0, stream, *v, layer);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

/* The launches are not captured but made, and the graph is replayed besides. */
static pk_status launches_and_replays(pk_run *run)
{
    PK_TRY(launch_layers(run));
    PK_GRAPH_LAUNCH(lab06_plan_of(run)->exec, (cudaStream_t)pk_run_stream(run));
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)pk_run_stream(run)));
    return PK_OK;
}

static pk_status graph_prepare(pk_run *run)
{
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    PK_TRY(wrong_prepare<RIGHT>(run));
    lab06_plan *const p = lab06_plan_of(run);
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    const pk_status launched = launch_layers(run);
    PK_CHECK(cudaStreamEndCapture(stream, &p->graph));
    PK_TRY(launched);
    PK_CHECK(cudaGraphInstantiate(&p->exec, p->graph, 0));
    return PK_OK;
}

#define WRONG(name, summary, mistake)                                                                                  \
    {                                                                                                                  \
        name, summary, 0, wrong_prepare<mistake>, launch_and_wait, lab06_free_plan                                     \
    }

PK_VARIANTS(ladder) = {
    WRONG("right", "nothing wrong: the others' frame", RIGHT),
    WRONG("without-one", "the 1 + before tanh forgotten", WITHOUT_ONE),
    WRONG("without-scale", "tanh without its scale", WITHOUT_SCALE),
    WRONG("without-cube", "tanh of v alone", WITHOUT_CUBE),
    WRONG("scale-inside", "the scale for v and not for its cube", SCALE_INSIDE),
    WRONG("overflows", "e^x where it is beyond a float", OVERFLOWS),
    WRONG("nan-lost", "a NaN made a number by fmaxf", NAN_LOST),
    WRONG("infinity-lost", "an infinity made a number by fminf", INFINITY_LOST),
    WRONG("bias-of-row", "the bias by the row", BIAS_OF_ROW),
    WRONG("bias-shifted", "the bias of the next column", BIAS_SHIFTED),
    WRONG("bias-of-layer-0", "the first layer's bias in all layers", BIAS_OF_LAYER_0),
    WRONG("residual-twice", "the residual added twice", RESIDUAL_TWICE),
    WRONG("residual-lost", "no residual", RESIDUAL_LOST),
    WRONG("residual-of-h", "the first layer's residual in all layers", RESIDUAL_OF_H),
    WRONG("twice-rounded", "rounded to bf16 before the sum and after it", TWICE_ROUNDED),
    WRONG("gate-and-up", "gate and up changed", GATE_AND_UP_CHANGED),
    WRONG("without-up", "the gate alone", WITHOUT_UP),
    WRONG("fast-forms", "fast forms where exact ones are asked for", FAST_FORMS),
    {"tail-left-out", "whole chunks only", 0, chunks_prepare<TAIL_LEFT_OUT>, launch_and_wait, lab06_free_plan},
    {"tail-whole", "a whole chunk at a row's end", 0, chunks_prepare<TAIL_WHOLE>, launch_and_wait, lab06_free_plan},
    {"one-chunk", "no loop over what the grid does not take at once", 0, chunks_prepare<ONE_CHUNK_A_THREAD>,
     launch_and_wait, lab06_free_plan},
    {"in-place", "x + bias written over x", 0, NULL, in_place, NULL},
    {"updates-h", "the residual updated where the next repetition finds it", 0, updates_h_prepare, launch_and_wait,
     lab06_free_plan},
    {"keeps-unrounded", "the residual of the next layer from the register, unrounded", 0, unrounded_prepare, launch_all,
     lab06_free_plan},
    {"other-slice", "a residual that another block has made, and no barrier", 0, other_slice_prepare, launch_all,
     lab06_free_plan},
    {"layer-lost", "all layers but the last", 0, wrong_prepare<RIGHT>, layer_lost, lab06_free_plan},
    {"graph", "the layers launched, and replayed besides", PK_NEED_GRAPH, graph_prepare, launches_and_replays,
     lab06_free_plan},
};
PK_VARIANTS_END(ladder)
