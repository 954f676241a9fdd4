/* Lab 06, the fused epilogue: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   fused       all operations of an element in one kernel, a thread an element, a launch a layer
 *   vector      16 bytes a thread, in a grid that strides
 *   graph       the launches of all layers in one graph
 *   persistent  all layers in one launch: a block keeps its part of the residual in registers
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in the headers: lab06_number.cuh has numbers, chunks, tanh and where a row lies, lab06_launch.cuh the launches. */
#include "lab06_launch.cuh"

/* ---- the formula ---- */

/* tanh-GELU of v, by lab06_tanh<MATH>. */
template <int MATH> static __device__ inline float gelu(float v)
{
    float activated = 0;
    /* STEP lab06.1 for fused, vector, graph, persistent: tanh-GELU of v (about 2 lines) */
    const float inner = LAB06_SCALE * (v + LAB06_CUBE * v * v * v);
    activated = 0.5f * v * (1 + lab06_tanh<MATH>(inner));
    /* END lab06.1 */
    return activated;
}

/* The SiLU gate, by lab06_exp<MATH> and lab06_divide<MATH>. */
template <int MATH> static __device__ inline float silu_gate(float gate, float up)
{
    float activated = 0;
    /* STEP lab06.2 for fused, vector, graph, persistent: gate / (1 + e^-gate) * up (about 1 line) */
    activated = lab06_divide<MATH>(gate, 1 + lab06_exp<MATH>(-gate)) * up;
    /* END lab06.2 */
    return activated;
}

/* `v` and `up` have their bias; GELU has no up. */
template <int ACT, int MATH> static __device__ inline float activate(float v, float up)
{
    return ACT == LAB06_GELU ? gelu<MATH>(v) : silu_gate<MATH>(v, up);
}

/* ---- rung 1: one kernel ---- */

/* A thread has one element of a layer: its column of row blockIdx.x. */
template <int TYPE, int ACT, int MATH> static __global__ void epilogue_element(lab06_view v, int layer)
{
    const lab06_row<TYPE> row = lab06_row_of<TYPE>(&v, layer, (int)blockIdx.x);
    const int column = (int)(blockIdx.y * blockDim.x + threadIdx.x);
    /* STEP lab06.3 for fused: if there is such a column: x + bias, activate, add what stands before, write (about 5 lines) */
    if (column < v.columns) {
        const float x = lab06_read(row.x[column]) + lab06_read(row.bias[column]);
        const float up = ACT == LAB06_SILU_GATE ? lab06_read(row.x_up[column]) + lab06_read(row.bias_up[column]) : 0;
        lab06_write(&row.out[column], lab06_read(row.before[column]) + activate<ACT, MATH>(x, up));
    }
    /* END lab06.3 */
}

static pk_status fused_prepare(pk_run *run)
{
    return lab06_plan_elements(run, LAB06_KERNEL(run, epilogue_element));
}

/* The launches of all layers, in stream order; no wait. */
static pk_status launch_layers(pk_run *run)
{
    const lab06_plan *const p = lab06_plan_of(run);
    const lab06_view *const v = &lab06_of(run)->view;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab06.4 for fused, vector, graph: launch p->layer_kernel for each layer: p->grid blocks, LAB06_THREADS each (about 3 lines) */
    const lab06_layer_kernel epilogue = p->layer_kernel;
    for (int layer = 0; layer < v->layers; layer++)
        PK_LAUNCH(epilogue, p->grid, LAB06_THREADS, 0, stream, *v, layer);
    /* END lab06.4 */
    return PK_OK;
}

static pk_status launch_and_wait(pk_run *run)
{
    PK_TRY(launch_layers(run));
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)pk_run_stream(run)));
    return PK_OK;
}

/* ---- rung 2: 16 bytes a thread ---- */

/* `count` numbers at `from` into value [in_chunk]: by one load where they are a whole chunk. What is not there stays as
 * it was. */
template <int TYPE>
static __device__ inline void get_chunk(const typename lab06_number<TYPE>::stored *from, int count, float *value)
{
    /* STEP lab06.5 for vector, graph, persistent: lab06_load_16 and unpack if lab06_is_whole, else one by one (about 6 lines) */
    if (lab06_is_whole<TYPE>(from, count)) {
        lab06_chunk<TYPE>::unpack(lab06_load_16(from), value);
        return;
    }
#pragma unroll
    for (int i = 0; i < lab06_number<TYPE>::in_chunk; i++)
        if (i < count)
            value[i] = lab06_read(from[i]);
    /* END lab06.5 */
}

template <int TYPE>
static __device__ inline void put_chunk(typename lab06_number<TYPE>::stored *to, int count, const float *value)
{
    /* STEP lab06.6 for vector, graph, persistent: pack and store 16 bytes if lab06_is_whole, else one by one (about 6 lines) */
    if (lab06_is_whole<TYPE>(to, count)) {
        *(uint4 *)to = lab06_chunk<TYPE>::pack(value);
        return;
    }
#pragma unroll
    for (int i = 0; i < lab06_number<TYPE>::in_chunk; i++)
        if (i < count)
            lab06_write(&to[i], value[i]);
    /* END lab06.6 */
}

/* A layer's epilogue of the `count` columns from `column` on. held [in_chunk]: what stands before the layer; becomes
 * what was written, as it is read again. */
template <int TYPE, int ACT, int MATH>
static __device__ inline void epilogue_chunk(const lab06_row<TYPE> *row, int column, int count, float *held)
{
    enum { IN_CHUNK = lab06_number<TYPE>::in_chunk };
    float x[IN_CHUNK] = {}, bias[IN_CHUNK] = {}, up[IN_CHUNK] = {}, bias_up[IN_CHUNK] = {};
    /* STEP lab06.7 for vector, graph, persistent: get x and bias, and those of up for the gate; add to held, each lab06_as_stored<TYPE>; put (about 10 lines) */
    get_chunk<TYPE>(row->x + column, count, x);
    get_chunk<TYPE>(row->bias + column, count, bias);
    if (ACT == LAB06_SILU_GATE) {
        get_chunk<TYPE>(row->x_up + column, count, up);
        get_chunk<TYPE>(row->bias_up + column, count, bias_up);
    }
#pragma unroll
    for (int i = 0; i < IN_CHUNK; i++)
        held[i] = lab06_as_stored<TYPE>(held[i] + activate<ACT, MATH>(x[i] + bias[i], up[i] + bias_up[i]));
    put_chunk<TYPE>(row->out + column, count, held);
    /* END lab06.7 */
}

/* Chunk `i` of a layer: which row, from which column on, how many numbers of it there are. */
template <int TYPE>
static __device__ inline void place_of_chunk(const lab06_view *v, unsigned i, int *row, int *column, int *count)
{
    enum { IN_CHUNK = lab06_number<TYPE>::in_chunk };
    const unsigned in_row = (unsigned)(v->columns + IN_CHUNK - 1) / IN_CHUNK; /* chunks */
    /* STEP lab06.8 for vector, graph, persistent: chunks are numbered row after row; a row's last one may be short (about 3 lines) */
    *row = (int)(i / in_row);
    *column = (int)(i % in_row) * IN_CHUNK;
    *count = v->columns - *column < IN_CHUNK ? v->columns - *column : IN_CHUNK;
    /* END lab06.8 */
}

/* Chunks of a layer. */
template <int TYPE> static __device__ inline unsigned chunks_of_layer(const lab06_view *v)
{
    enum { IN_CHUNK = lab06_number<TYPE>::in_chunk };
    return (unsigned)v->rows * ((unsigned)(v->columns + IN_CHUNK - 1) / IN_CHUNK);
}

template <int TYPE, int ACT, int MATH> static __global__ void epilogue_vector(lab06_view v, int layer)
{
    const unsigned chunks = chunks_of_layer<TYPE>(&v), each = gridDim.x * blockDim.x;
    /* STEP lab06.9 for vector, graph: for this thread's chunks, `each` apart: get what stands before, do the epilogue (about 7 lines) */
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < chunks; i += each) {
        int at, column, count;
        place_of_chunk<TYPE>(&v, i, &at, &column, &count);
        const lab06_row<TYPE> row = lab06_row_of<TYPE>(&v, layer, at);
        float held[lab06_number<TYPE>::in_chunk] = {};
        get_chunk<TYPE>(row.before + column, count, held);
        epilogue_chunk<TYPE, ACT, MATH>(&row, column, count, held);
    }
    /* END lab06.9 */
}

static pk_status vector_prepare(pk_run *run)
{
    return lab06_plan_layers(run, LAB06_KERNEL(run, epilogue_vector));
}

/* ---- rung 3: one graph ---- */

static pk_status graph_prepare(pk_run *run)
{
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    PK_TRY(lab06_plan_layers(run, LAB06_KERNEL(run, epilogue_vector)));
    lab06_plan *const p = lab06_plan_of(run);
    /* STEP lab06.10 for graph: capture launch_layers into p->graph, end the capture in any case, instantiate p->exec (about 5 lines) */
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    const pk_status launched = launch_layers(run);
    PK_CHECK(cudaStreamEndCapture(stream, &p->graph));
    PK_TRY(launched);
    PK_CHECK(cudaGraphInstantiate(&p->exec, p->graph, 0));
    /* END lab06.10 */
    return PK_OK;
}

static pk_status replay(pk_run *run)
{
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_plan *const p = lab06_plan_of(run);
    /* STEP lab06.11 for graph: replay the graph, then wait once (about 2 lines) */
    PK_GRAPH_LAUNCH(p->exec, stream);
    PK_CHECK(cudaStreamSynchronize(stream));
    /* END lab06.11 */
    return PK_OK;
}

/* ---- rung 4: all layers in one launch ---- */

/* A thread has the same HELD chunks in all layers: i, i + each, i + 2 each, ..., and goes on to the next HELD when it
 * has done all layers of these. An element of a layer depends on the same element of the layer before and on nothing
 * else, so what a thread waits for is what it has made itself: there is no barrier, of blocks or of the grid. */
template <int TYPE, int ACT, int MATH> static __global__ void epilogue_layers(lab06_view v)
{
    enum { IN_CHUNK = lab06_number<TYPE>::in_chunk, HELD = 16 / IN_CHUNK };
    const unsigned chunks = chunks_of_layer<TYPE>(&v), each = gridDim.x * blockDim.x;
    for (unsigned first = blockIdx.x * blockDim.x + threadIdx.x; first < chunks; first += HELD * each) {
        int at[HELD], column[HELD], count[HELD];
        float held[HELD][IN_CHUNK] = {};
#pragma unroll
        for (int k = 0; k < HELD; k++) {
            at[k] = column[k] = count[k] = 0;
            if (first + k * each < chunks)
                place_of_chunk<TYPE>(&v, first + k * each, &at[k], &column[k], &count[k]);
        }
        /* STEP lab06.12 for persistent: get each chunk's residual before layer 0; then layer by layer the epilogue of each, from held (about 10 lines) */
#pragma unroll
        for (int k = 0; k < HELD; k++)
            get_chunk<TYPE>(lab06_row_of<TYPE>(&v, 0, at[k]).before + column[k], count[k], held[k]);
        for (int layer = 0; layer < v.layers; layer++) {
#pragma unroll
            for (int k = 0; k < HELD; k++) {
                const lab06_row<TYPE> row = lab06_row_of<TYPE>(&v, layer, at[k]);
                epilogue_chunk<TYPE, ACT, MATH>(&row, column[k], count[k], held[k]);
            }
        }
        /* END lab06.12 */
    }
}

static pk_status persistent_prepare(pk_run *run)
{
    return lab06_plan_all(run, LAB06_KERNEL(run, epilogue_layers));
}

static pk_status persistent(pk_run *run)
{
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_plan *const p = lab06_plan_of(run);
    const lab06_view *const v = &lab06_of(run)->view;
    /* STEP lab06.13 for persistent: one launch of p->all_kernel, one wait (about 3 lines) */
    const lab06_all_kernel epilogue = p->all_kernel;
    PK_LAUNCH(epilogue, p->grid, LAB06_THREADS, 0, stream, *v);
    PK_CHECK(cudaStreamSynchronize(stream));
    /* END lab06.13 */
    return PK_OK;
}

PK_VARIANTS(ladder) = {
    {"fused", "one kernel a layer, a thread an element", 0, fused_prepare, launch_and_wait, lab06_free_plan},
    {"vector", "one kernel a layer, 16 bytes a thread", 0, vector_prepare, launch_and_wait, lab06_free_plan},
    {"graph", "the layers' kernels in one graph", PK_NEED_GRAPH, graph_prepare, replay, lab06_free_plan},
    {"persistent", "all layers in one launch, the residual in registers", 0, persistent_prepare, persistent,
     lab06_free_plan},
};
PK_VARIANTS_END(ladder)
