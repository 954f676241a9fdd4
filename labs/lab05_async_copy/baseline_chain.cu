/* Lab 05, part two: the baseline of --work=chain.
 *
 *   chain-launch  a kernel a phase, in the stream: a phase ends when its kernel does, and then the next begins to read
 */
#include "lab05_chain.cuh"

/* A warp a row, 16-byte loads, eight under way; x comes from the caches. */
static __global__ void chain_phase(const unsigned char *weights, int rows, int units, const float *x, float *out)
{
    for (int row = lab05_warp_in_grid(); row < rows; row += lab05_warps_in_grid()) {
        const float value = lab05_chain_row(weights + (size_t)row * (size_t)units * sizeof(uint4), units, x);
        if (lab05_lane() == 0)
            out[row] = value;
    }
}

static pk_status launch_chain(pk_run *run)
{
    enum { GPU_THREADS = 256, CPU_THREADS = 64 };
    const lab05_chain *const chain = lab05_chain_of(run);
    const lab05_chain_view *const v = &chain->view;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const int threads = pk_run_device(run)->is_gpu ? GPU_THREADS : CPU_THREADS, warps = threads / LAB05_WARP;
    const float *x = v->x;
    for (int t = 0; t < v->passes; t++)
        for (int p = 0; p < v->phases; p++) {
            const lab05_chain_phase *const phase = &chain->phase[p];
            float *const out = v->out + (size_t)(t % LAB05_CHAIN_SETS) * (size_t)v->set_floats + phase->out;
            PK_LAUNCH(chain_phase, (unsigned)((phase->rows + warps - 1) / warps), (unsigned)threads, 0, stream,
                      v->weights + phase->weights, phase->rows, phase->columns / 8, x, out);
            x = out;
        }
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(baseline_chain) = {
    {"chain-launch", "a kernel a phase, in the stream", 0, NULL, launch_chain, NULL},
};
PK_VARIANTS_END(baseline_chain)
