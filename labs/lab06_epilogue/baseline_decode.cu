/* Lab 06, --work=decode: the decoder of labs 04 and up, fused, with exact forms of its activation and with fast ones.
 * Given: what is asked is how far logits drift. */
#include "decode/pk_matvec.cuh"

#include "lab06_decode.h"
#include "lab06_operators.cuh"

/* The decoder's matrix-vector kernel, but for the activation at its end. */
struct fast_forms {
    static __device__ inline float activate(pk_activation activation, float x)
    {
        return activation == PK_ACTIVATION_SILU ? lab06_one_of<LAB06_OP_SILU, LAB06_FAST>(x, 0.0f)
                                                : lab06_one_of<LAB06_OP_GELU, LAB06_FAST>(x, 0.0f);
    }
};

template <int PAIRS> static __global__ void __launch_bounds__(PK_MATVEC_THREADS, 4) fast_matvec(pk_matvec m)
{
    pk_matvec_chunks<PAIRS> chunks;
    pk_matvec_ask<PAIRS>(&m, &chunks);
    pk_matvec_finish<PAIRS, fast_forms>(&m, &chunks);
}

static pk_status launch_fast_matvec(const pk_matvec *m, unsigned blocks, unsigned threads, void *stream)
{
    PK_MATVEC_LAUNCH(PK_LAUNCH, fast_matvec, m, blocks, threads, (cudaStream_t)stream);
    return PK_OK;
}

static pk_status prepare(pk_run *run)
{
    const char *const missing = lab06_of(run)->decode->missing;
    return missing ? pk_fail(PK_SKIP, "%s", missing) : PK_OK;
}

static pk_status decode_text(pk_run *run, const pk_decode_how *how)
{
    const lab06_decode *const d = lab06_of(run)->decode;
    for (int i = 0; i < d->steps; i++) {
        const pk_decode_at at = {d->decoder.state, i, d->tokens[i], i};
        PK_TRY(pk_decode_step(&d->decoder, at, how, pk_run_stream(run)));
    }
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)pk_run_stream(run)));
    return PK_OK;
}

static pk_status decode(pk_run *run)
{
    pk_decode_how how = {};
    how.fused = true;
    return decode_text(run, &how);
}

static pk_status decode_fast(pk_run *run)
{
    pk_decode_how how = {};
    how.fused = true;
    how.matvec = launch_fast_matvec;
    return decode_text(run, &how);
}

PK_VARIANTS(baseline_decode) = {
    {"decode", "the decoder, with exact forms of its activation", 0, prepare, decode, NULL},
    {"decode-fast", "the decoder, with fast forms", 0, prepare, decode_fast, NULL},
};
PK_VARIANTS_END(baseline_decode)
