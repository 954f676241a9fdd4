/* Lab 06, the fused epilogue: the baselines. Every operation is a kernel that reads its operands from memory and writes
 * its result there; what stands between two of them is in buffers that prepare has made.
 *
 *   pointwise  the formula operation by operation, as a framework runs it when a program spells it out: ten kernels a
 *              layer for tanh-GELU, five for the SiLU gate
 *   operators  with the activation as an operator of its own, as frameworks have it too: three kernels, or four */
#include "lab06_operators.cuh"

typedef struct buffers { /* of a layer, used again by the next */
    void *biased, *work; /* [rows][parts][pitch], [rows][pitch] */
} buffers;

static pk_status make_buffers(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    buffers *const b = (buffers *)calloc(1, sizeof *b);
    if (!b)
        return pk_out_of_memory("lab06");
    pk_run_set_variant_data(run, b);
    const size_t bytes = (size_t)lab->view.rows * (size_t)lab->view.pitch * lab06_element_bytes(lab->type);
    PK_TRY(pk_device_alloc(&b->biased, bytes * (size_t)lab->view.parts));
    return pk_device_alloc(&b->work, bytes);
}

static void free_buffers(pk_run *run)
{
    buffers *const b = (buffers *)pk_run_variant_data(run);
    if (b) {
        pk_device_free(b->biased);
        pk_device_free(b->work);
    }
    free(b);
    pk_run_set_variant_data(run, NULL);
}

template <int TYPE> struct temporaries {
    lab06_matrix<TYPE> biased, up, work; /* up: the second part of `biased` */
};

template <int TYPE> static temporaries<TYPE> temporaries_of(pk_run *run)
{
    typedef typename lab06_number<TYPE>::stored stored;
    const buffers *const b = (const buffers *)pk_run_variant_data(run);
    const lab06_view *const v = &lab06_of(run)->view;
    const int stride = v->parts * v->pitch;
    const temporaries<TYPE> t = {{(stored *)b->biased, stride},
                                 {(stored *)b->biased + (v->parts - 1) * v->pitch, stride},
                                 {(stored *)b->work, v->pitch}};
    return t;
}

/* x + bias, all parts of it: between gate and up are the columns up to the pitch, which have to be left out. */
template <int TYPE>
static pk_status add_bias(const lab06_view *v, const lab06_layer<TYPE> *l, const temporaries<TYPE> *t,
                          cudaStream_t stream)
{
    const int columns = (v->parts - 1) * v->pitch + v->columns;
    LAB06_JOIN(LAB06_OP_ADD, columns, t->biased, l->x, l->bias);
    return PK_OK;
}

/* 0.5 v (1 + tanh(scale (v + cube v^3))), v = x + bias, and the residual: ten kernels. */
template <int TYPE, int MATH> static pk_status gelu_pointwise(pk_run *run, int layer, cudaStream_t stream)
{
    const lab06_view *const v = &lab06_of(run)->view;
    const lab06_layer<TYPE> l = lab06_layer_of<TYPE>(v, layer);
    const temporaries<TYPE> t = temporaries_of<TYPE>(run);
    PK_TRY(add_bias<TYPE>(v, &l, &t, stream));
    LAB06_MAP(LAB06_OP_CUBE, v->columns, t.work, t.biased, 0.0f);
    LAB06_MAP(LAB06_OP_TIMES, v->columns, t.work, t.work, LAB06_CUBE);
    LAB06_JOIN(LAB06_OP_ADD, v->columns, t.work, t.biased, t.work);
    LAB06_MAP(LAB06_OP_TIMES, v->columns, t.work, t.work, LAB06_SCALE);
    LAB06_MAP(LAB06_OP_TANH, v->columns, t.work, t.work, 0.0f);
    LAB06_MAP(LAB06_OP_PLUS_ONE, v->columns, t.work, t.work, 0.0f);
    LAB06_MAP(LAB06_OP_TIMES, v->columns, t.biased, t.biased, 0.5f);
    LAB06_JOIN(LAB06_OP_MULTIPLY, v->columns, t.work, t.biased, t.work);
    LAB06_JOIN(LAB06_OP_ADD, v->columns, l.out, l.before, t.work);
    return PK_OK;
}

/* sigmoid(g) g up: five kernels. */
template <int TYPE, int MATH> static pk_status gate_pointwise(pk_run *run, int layer, cudaStream_t stream)
{
    const lab06_view *const v = &lab06_of(run)->view;
    const lab06_layer<TYPE> l = lab06_layer_of<TYPE>(v, layer);
    const temporaries<TYPE> t = temporaries_of<TYPE>(run);
    PK_TRY(add_bias<TYPE>(v, &l, &t, stream));
    LAB06_MAP(LAB06_OP_SIGMOID, v->columns, t.work, t.biased, 0.0f);
    LAB06_JOIN(LAB06_OP_MULTIPLY, v->columns, t.work, t.biased, t.work);
    LAB06_JOIN(LAB06_OP_MULTIPLY, v->columns, t.work, t.work, t.up);
    LAB06_JOIN(LAB06_OP_ADD, v->columns, l.out, l.before, t.work);
    return PK_OK;
}

/* bias, activation, residual; the gate has a product besides. */
template <int TYPE, int MATH> static pk_status by_operators(pk_run *run, int layer, cudaStream_t stream)
{
    const lab06_view *const v = &lab06_of(run)->view;
    const lab06_layer<TYPE> l = lab06_layer_of<TYPE>(v, layer);
    const temporaries<TYPE> t = temporaries_of<TYPE>(run);
    PK_TRY(add_bias<TYPE>(v, &l, &t, stream));
    if (v->parts == 1) {
        LAB06_MAP(LAB06_OP_GELU, v->columns, t.work, t.biased, 0.0f);
    } else {
        LAB06_MAP(LAB06_OP_SILU, v->columns, t.work, t.biased, 0.0f);
        LAB06_JOIN(LAB06_OP_MULTIPLY, v->columns, t.work, t.work, t.up);
    }
    LAB06_JOIN(LAB06_OP_ADD, v->columns, l.out, l.before, t.work);
    return PK_OK;
}

typedef pk_status (*layer_launches)(pk_run *run, int layer, cudaStream_t stream);

/* The instance of launches<TYPE, MATH> for the run's knobs. */
#define LAUNCHES(run, launches)                                                                                        \
    (lab06_of(run)->type == LAB06_FP32                                                                                 \
         ? (lab06_of(run)->math == LAB06_EXACT ? launches<LAB06_FP32, LAB06_EXACT> : launches<LAB06_FP32, LAB06_FAST>) \
         : (lab06_of(run)->math == LAB06_EXACT ? launches<LAB06_BF16, LAB06_EXACT>                                     \
                                               : launches<LAB06_BF16, LAB06_FAST>))

static pk_status launch_all(pk_run *run, layer_launches launches)
{
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int layer = 0; layer < lab06_of(run)->view.layers; layer++)
        PK_TRY(launches(run, layer, stream));
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static pk_status pointwise(pk_run *run)
{
    return launch_all(run,
                      lab06_of(run)->act == LAB06_GELU ? LAUNCHES(run, gelu_pointwise) : LAUNCHES(run, gate_pointwise));
}

static pk_status operators(pk_run *run)
{
    return launch_all(run, LAUNCHES(run, by_operators));
}

PK_VARIANTS(baseline) = {
    {"pointwise", "each operation of the formula a kernel", 0, make_buffers, pointwise, free_buffers},
    {"operators", "bias, activation, residual: a kernel each", 0, make_buffers, operators, free_buffers},
};
PK_VARIANTS_END(baseline)
