/* Products by cuBLASLt or hipBLASLt. The build defines PK_GEMM_CUBLASLT or PK_GEMM_HIPBLASLT, or neither.
 *
 * The libraries' matrices lie by columns: to them w [n][k] is a k x n matrix, x [m][k] a k x m one, and y [m][n] the
 * n x m product of w transposed and x.
 *
 * Launches are counted (pk_device.h), and a library does not say how many kernels a product takes. So a plan tries the
 * algorithms that the library proposes, best first, each in a stream capture that is thrown away, and takes the first
 * whose graph is one kernel. Where there is none it asks in another way (`questions`), and at the end the plan is the
 * plain kernel. The capture also makes the runtime load the kernel, which it might not do in a later one.
 * Sources: cuBLAS Library, "Using the cuBLASLt API"; hipBLASLt API reference. */
#if defined(PK_GEMM_CUBLASLT)
#include <cublasLt.h>
#elif defined(PK_GEMM_HIPBLASLT)
#include <hipblaslt/hipblaslt.h>
#endif

#include "gemm_library.h"

#include <stdio.h>
#include <stdlib.h>

#include "pk_gpu.h"

#if defined(PK_GEMM_CUBLASLT) || defined(PK_GEMM_HIPBLASLT)

/* The libraries' names differ by their beginning only. */
#if defined(PK_GEMM_CUBLASLT)
#define LT(name) cublasLt##name
#define LT_VALUE(name) CUBLASLT_##name
#define BLAS_VALUE(name) CUBLAS_##name
#define TYPE_VALUE(name) CUDA_##name
#define LT_LIBRARY "cuBLASLt"
typedef cublasStatus_t lt_status;
#else
#define LT(name) hipblasLt##name
#define LT_VALUE(name) HIPBLASLT_##name
#define BLAS_VALUE(name) HIPBLAS_##name
#define TYPE_VALUE(name) HIP_##name
#define LT_LIBRARY "hipBLASLt"
typedef hipblasStatus_t lt_status;
#endif

enum {
    PROPOSALS = 32, /* asked for at once: each costs a capture until one is taken, mostly one of the first three */
    ALIGNMENT = 16  /* bytes, of x, w and y: that of a row of bf16 whose length is a multiple of 8 */
};
static const size_t workspace_bytes = (size_t)32 << 20; /* what NVIDIA advises for Hopper */

/* Ways to ask for algorithms, tried in this order.
 *
 * Where x has few rows there are few tiles, and the library likes to share k among blocks: a second kernel then adds
 * the parts, or one clears them before. Without a workspace there is no place for parts. And for a product of more rows
 * there are tiles enough for all processors, and it proposes what does not share k: an algorithm is a kernel with its
 * tile, and cuBLASLt can be asked whether it serves fewer rows as well. hipBLASLt's C interface cannot. */
typedef struct question {
    size_t workspace; /* bytes that an algorithm may want */
    int least_rows;   /* proposals are for as many rows of x at least */
} question;
static const question questions[] = {{workspace_bytes, 1},
                                     {0, 1},
#if defined(PK_GEMM_CUBLASLT)
                                     {0, 128},
                                     {0, 512}
#endif
};
enum { QUESTIONS = sizeof questions / sizeof questions[0] };

typedef struct plan {
    int m, n, k;
    bool gelu;           /* bias and GELU at its end */
    bool plain;          /* no algorithm of one kernel: all below is unused */
    int asked, proposal; /* which question's it is */
    LT(MatmulDesc_t) product;
    LT(MatrixLayout_t) w, x, y;
    LT(MatmulAlgo_t) algorithm;
} plan;

struct pk_gemm {
    LT(Handle_t) handle;
    void *workspace;
    cudaStream_t trial; /* where plans are tried */
    plan *plans;
    int plan_count;
};

static pk_status lt_failed(const char *call, lt_status status)
{
    return pk_fail(PK_FAULT,
                   "products by " LT_LIBRARY ": %s gave status %d; configure with -DPK_BLAS=off for the plain kernel",
                   call, (int)status);
}

#define LT_CHECK(call)                                                                                                 \
    do {                                                                                                               \
        const lt_status lt_status_ = (call);                                                                           \
        if (lt_status_ != BLAS_VALUE(STATUS_SUCCESS))                                                                  \
            return lt_failed(#call, lt_status_);                                                                       \
    } while (0)

const char *pk_gemm_library(void)
{
#if defined(PK_GEMM_CUBLASLT)
    static char name[48];
    const int version = (int)cublasLtGetVersion(); /* 130001 is 13.0.1 */
    snprintf(name, sizeof name, LT_LIBRARY " %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    return name;
#else
    return LT_LIBRARY;
#endif
}

size_t pk_gemm_bytes(const pk_gemm *gemm)
{
    return gemm ? workspace_bytes : 0;
}

static pk_status open_parts(pk_gemm *gemm)
{
    LT_CHECK(LT(Create)(&gemm->handle));
    PK_TRY(pk_device_alloc(&gemm->workspace, workspace_bytes));
    PK_CHECK(cudaStreamCreateWithFlags(&gemm->trial, cudaStreamNonBlocking));
    return PK_OK;
}

pk_status pk_gemm_open(pk_gemm **gemm)
{
    *gemm = (pk_gemm *)calloc(1, sizeof **gemm);
    if (!*gemm)
        return pk_out_of_memory("products by " LT_LIBRARY);
    const pk_status status = open_parts(*gemm);
    if (status != PK_OK) {
        pk_gemm_close(*gemm);
        *gemm = NULL;
    }
    return status;
}

static void release_plan(plan *p)
{
    if (p->product)
        (void)LT(MatmulDescDestroy)(p->product);
    const LT(MatrixLayout_t) layouts[3] = {p->w, p->x, p->y};
    for (int i = 0; i < 3; i++)
        if (layouts[i])
            (void)LT(MatrixLayoutDestroy)(layouts[i]);
}

void pk_gemm_close(pk_gemm *gemm)
{
    if (!gemm)
        return;
    for (int i = 0; i < gemm->plan_count; i++)
        release_plan(&gemm->plans[i]);
    free(gemm->plans);
    if (gemm->trial)
        (void)cudaStreamDestroy(gemm->trial);
    pk_device_free(gemm->workspace);
    if (gemm->handle)
        (void)LT(Destroy)(gemm->handle);
    free(gemm);
}

static const plan *find_plan(const pk_gemm *gemm, int m, int n, int k, bool gelu)
{
    for (int i = 0; i < gemm->plan_count; i++)
        if (gemm->plans[i].m == m && gemm->plans[i].n == n && gemm->plans[i].k == k && gemm->plans[i].gelu == gelu)
            return &gemm->plans[i];
    return NULL;
}

static lt_status multiply(const pk_gemm *gemm, const plan *p, const void *x, const void *w, float *y, int accumulate,
                          cudaStream_t stream)
{
    const float one = 1, keep = accumulate ? 1.0f : 0.0f;
    return LT(Matmul)(gemm->handle, p->product, &one, w, p->w, x, p->x, &keep, y, p->y, y, p->y, &p->algorithm,
                      gemm->workspace, workspace_bytes, stream);
}

/* Whether the plan's algorithm takes one kernel and nothing else. Only captured, so any address will do. */
static pk_status is_one_kernel(const pk_gemm *gemm, const plan *p, int accumulate, bool *yes)
{
    cudaGraph_t graph = NULL;
    cudaGraphNode_t node = NULL;
    cudaGraphNodeType type = cudaGraphNodeTypeKernel;
    size_t nodes = 0;
    float *const any = (float *)gemm->workspace;
    *yes = false;
    /* Relaxed: loading a kernel may allocate. */
    PK_CHECK(cudaStreamBeginCapture(gemm->trial, cudaStreamCaptureModeRelaxed));
    const lt_status status = multiply(gemm, p, any, any, any, accumulate, gemm->trial);
    cudaError_t error = cudaStreamEndCapture(gemm->trial, &graph);
    if (status != BLAS_VALUE(STATUS_SUCCESS) || error != cudaSuccess) {
        (void)cudaGetLastError(); /* this algorithm cannot be captured: the next one */
    } else {
        error = cudaGraphGetNodes(graph, NULL, &nodes);
        if (error == cudaSuccess && nodes == 1) {
            error = cudaGraphGetNodes(graph, &node, &nodes);
            if (error == cudaSuccess)
                error = cudaGraphNodeGetType(node, &type);
            *yes = type == cudaGraphNodeTypeKernel;
        }
    }
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (status == BLAS_VALUE(STATUS_SUCCESS) && graph)
        PK_CHECK(error);
    return PK_OK;
}

static pk_status limit_proposals(LT(MatmulPreference_t) preference, const question *q)
{
    LT_CHECK(LT(MatmulPreferenceSetAttribute)(preference, LT_VALUE(MATMUL_PREF_MAX_WORKSPACE_BYTES), &q->workspace,
                                              sizeof q->workspace));
#if defined(PK_GEMM_CUBLASLT)
    const uint32_t no_reduction = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = ALIGNMENT;
    LT_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &no_reduction,
                                                  sizeof no_reduction));
    const cublasLtMatmulPreferenceAttributes_t of[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    for (int i = 0; i < 4; i++)
        LT_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, of[i], &alignment, sizeof alignment));
#endif
    return PK_OK;
}

typedef struct proposals {
    LT(MatmulHeuristicResult_t) of[PROPOSALS];
    int count;
} proposals;

/* `about`: the product that is asked about. */
static pk_status propose(const pk_gemm *gemm, const plan *about, const question *q, LT(MatmulPreference_t) preference,
                         proposals *to)
{
    PK_TRY(limit_proposals(preference, q));
    const lt_status status = LT(MatmulAlgoGetHeuristic)(gemm->handle, about->product, about->w, about->x, about->y,
                                                        about->y, preference, PROPOSALS, to->of, &to->count);
    if (status == BLAS_VALUE(STATUS_NOT_SUPPORTED))
        to->count = 0; /* the library's word for a shape that it has nothing for */
    else
        LT_CHECK(status);
    return PK_OK;
}

static pk_status ask(const pk_gemm *gemm, const plan *about, const question *q, proposals *to)
{
    LT(MatmulPreference_t) preference;
    LT_CHECK(LT(MatmulPreferenceCreate)(&preference));
    const pk_status status = propose(gemm, about, q, preference, to);
    (void)LT(MatmulPreferenceDestroy)(preference);
    return status;
}

/* Can the plan's algorithm make its product? One that was proposed for another number of rows may not. */
static bool serves(const pk_gemm *gemm, const plan *p, const question *q)
{
#if defined(PK_GEMM_CUBLASLT)
    cublasLtMatmulHeuristicResult_t result = {};
    return p->m >= q->least_rows || (cublasLtMatmulAlgoCheck(gemm->handle, p->product, p->w, p->x, p->y, p->y,
                                                             &p->algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
                                     result.workspaceSize <= workspace_bytes);
#else
    (void)gemm, (void)p, (void)q; /* all questions are about the product itself */
    return true;
#endif
}

/* The first of the proposals that is one kernel, both ways where it may have to add, becomes the plan's; plain: there
 * is none. */
static pk_status take_one_kernel(const pk_gemm *gemm, plan *p, const question *q, const proposals *from)
{
    p->plain = false;
    for (p->proposal = 0; p->proposal < from->count; p->proposal++) {
        bool set = false, added = false;
        p->algorithm = from->of[p->proposal].algo;
        if (from->of[p->proposal].state == BLAS_VALUE(STATUS_SUCCESS) && serves(gemm, p, q))
            PK_TRY(is_one_kernel(gemm, p, 0, &set));
        if (set && !p->gelu)
            PK_TRY(is_one_kernel(gemm, p, 1, &added));
        if (p->gelu ? set : added)
            return PK_OK;
    }
    p->plain = true;
    return PK_OK;
}

static pk_status set_bias(const plan *p, const void *bias)
{
    LT_CHECK(LT(MatmulDescSetAttribute)(p->product, LT_VALUE(MATMUL_DESC_BIAS_POINTER), &bias, sizeof bias));
    return PK_OK;
}

/* The bias is said before each run; until then any address will do. Its numbers are of y's type. */
static pk_status describe_end(const pk_gemm *gemm, plan *p)
{
    const LT(Epilogue_t) end = LT_VALUE(EPILOGUE_GELU_BIAS);
    LT_CHECK(LT(MatmulDescSetAttribute)(p->product, LT_VALUE(MATMUL_DESC_EPILOGUE), &end, sizeof end));
    return set_bias(p, gemm->workspace);
}

static pk_status describe(const pk_gemm *gemm, plan *p)
{
    const int32_t transposed = BLAS_VALUE(OP_T);
    LT_CHECK(LT(MatmulDescCreate)(&p->product, BLAS_VALUE(COMPUTE_32F), TYPE_VALUE(R_32F)));
    LT_CHECK(LT(MatmulDescSetAttribute)(p->product, LT_VALUE(MATMUL_DESC_TRANSA), &transposed, sizeof transposed));
    LT_CHECK(LT(MatrixLayoutCreate)(&p->w, TYPE_VALUE(R_16BF), (uint64_t)p->k, (uint64_t)p->n, p->k));
    LT_CHECK(LT(MatrixLayoutCreate)(&p->x, TYPE_VALUE(R_16BF), (uint64_t)p->k, (uint64_t)p->m, p->k));
    LT_CHECK(LT(MatrixLayoutCreate)(&p->y, TYPE_VALUE(R_32F), (uint64_t)p->n, (uint64_t)p->m, p->n));
    return p->gelu ? describe_end(gemm, p) : PK_OK;
}

static pk_status answer(const pk_gemm *gemm, plan *p, const question *q)
{
    plan about = {};
    proposals found = {};
    about.m = p->m > q->least_rows ? p->m : q->least_rows, about.n = p->n, about.k = p->k, about.gelu = p->gelu;
    pk_status status = describe(gemm, &about);
    if (status == PK_OK)
        status = ask(gemm, &about, q, &found);
    release_plan(&about);
    return status == PK_OK ? take_one_kernel(gemm, p, q, &found) : status;
}

static pk_status make_plan(const pk_gemm *gemm, plan *p)
{
    PK_TRY(describe(gemm, p));
    p->plain = true;
    for (p->asked = 0; p->asked < QUESTIONS; p->asked++) {
        const question *const q = &questions[p->asked];
        if (p->asked > 1 && p->m >= q->least_rows)
            continue; /* as the one before */
        PK_TRY(answer(gemm, p, q));
        if (!p->plain)
            break;
    }
    return PK_OK;
}

static pk_status add_plan(pk_gemm *gemm, int m, int n, int k, bool gelu)
{
    plan *const plans = (plan *)realloc(gemm->plans, (size_t)(gemm->plan_count + 1) * sizeof *plans);
    if (!plans)
        return pk_out_of_memory("products by " LT_LIBRARY);
    gemm->plans = plans;
    plan fresh = {};
    fresh.m = m, fresh.n = n, fresh.k = k, fresh.gelu = gelu;
    const pk_status status = make_plan(gemm, &fresh);
    if (status == PK_OK)
        gemm->plans[gemm->plan_count++] = fresh;
    else
        release_plan(&fresh);
    return status;
}

pk_status pk_gemm_plan(pk_gemm *gemm, int m, int n, int k)
{
    return !gemm || find_plan(gemm, m, n, k, false) ? PK_OK : add_plan(gemm, m, n, k, false);
}

pk_status pk_gemm_plan_gelu(pk_gemm *gemm, int m, int n, int k)
{
    if (!find_plan(gemm, m, n, k, true))
        PK_TRY(add_plan(gemm, m, n, k, true));
    return find_plan(gemm, m, n, k, true)->plain
               ? pk_fail(PK_SKIP,
                         LT_LIBRARY " has no product of [%d][%d] and [%d][%d] with bias and GELU in one kernel", m, k,
                         n, k)
               : PK_OK;
}

void pk_gemm_say_plan(const pk_gemm *gemm, int m, int n, int k, char *text, size_t bytes)
{
    const plan *const p = gemm ? find_plan(gemm, m, n, k, false) : NULL;
    if (gemm && !p)
        snprintf(text, bytes, "no plan");
    else if (!p || p->plain)
        snprintf(text, bytes, "plain tiled kernel");
    else
        snprintf(text, bytes, LT_LIBRARY ", question %d of %d, proposal %d", p->asked + 1, (int)QUESTIONS,
                 p->proposal + 1);
}

static pk_status no_plan(int m, int n, int k, const char *call)
{
    return pk_fail(PK_USAGE,
                   "product of [%d][%d] and [%d][%d] transposed by " LT_LIBRARY
                   ": no plan for this shape; call %s for it before",
                   m, k, n, k, call);
}

/* Counted as one launch, as its plan is. */
static pk_status launch_plan(const pk_gemm *gemm, const plan *p, const uint16_t *x, const uint16_t *w, float *y,
                             int accumulate, void *stream)
{
    static const pk_launch_site site = {LT_LIBRARY " product", NULL, 0};
    const unsigned unknown[3] = {0, 0, 0}; /* the library does not say */
    pk_launch_begin(&site, unknown, unknown, stream);
    const lt_status status = multiply(gemm, p, x, w, y, accumulate, (cudaStream_t)stream);
    pk_launch_end();
    LT_CHECK(status);
    return PK_OK;
}

pk_status pk_gemm_library_run(pk_gemm *gemm, const uint16_t *x, const uint16_t *w, float *y, int m, int n, int k,
                              int accumulate, void *stream, bool *done)
{
    const plan *const p = find_plan(gemm, m, n, k, false);
    if (!p)
        return no_plan(m, n, k, "pk_gemm_plan");
    *done = !p->plain;
    return p->plain ? PK_OK : launch_plan(gemm, p, x, w, y, accumulate, stream);
}

pk_status pk_gemm_run_gelu(pk_gemm *gemm, const uint16_t *x, const uint16_t *w, const float *bias, float *y, int m,
                           int n, int k, void *stream)
{
    const plan *const p = find_plan(gemm, m, n, k, true);
    if (!p || p->plain)
        return no_plan(m, n, k, "pk_gemm_plan_gelu");
    PK_TRY(set_bias(p, bias));
    return launch_plan(gemm, p, x, w, y, 0, stream);
}

#else

const char *pk_gemm_library(void)
{
    return "plain tiled kernel";
}

size_t pk_gemm_bytes(const pk_gemm *gemm)
{
    (void)gemm;
    return 0;
}

pk_status pk_gemm_open(pk_gemm **gemm)
{
    *gemm = NULL;
    return PK_OK;
}

void pk_gemm_close(pk_gemm *gemm)
{
    (void)gemm;
}

pk_status pk_gemm_plan(pk_gemm *gemm, int m, int n, int k)
{
    (void)gemm, (void)m, (void)n, (void)k;
    return PK_OK;
}

void pk_gemm_say_plan(const pk_gemm *gemm, int m, int n, int k, char *text, size_t bytes)
{
    (void)gemm, (void)m, (void)n, (void)k;
    snprintf(text, bytes, "plain tiled kernel");
}

/* Never called, nor the next two: there is no gemm. */
pk_status pk_gemm_library_run(pk_gemm *gemm, const uint16_t *x, const uint16_t *w, float *y, int m, int n, int k,
                              int accumulate, void *stream, bool *done)
{
    (void)gemm, (void)x, (void)w, (void)y, (void)m, (void)n, (void)k, (void)accumulate, (void)stream;
    *done = false;
    return PK_OK;
}

pk_status pk_gemm_plan_gelu(pk_gemm *gemm, int m, int n, int k)
{
    (void)gemm, (void)m, (void)n, (void)k;
    return pk_fail(PK_SKIP, "no vendor's library of products in this build");
}

pk_status pk_gemm_run_gelu(pk_gemm *gemm, const uint16_t *x, const uint16_t *w, const float *bias, float *y, int m,
                           int n, int k, void *stream)
{
    (void)gemm, (void)x, (void)w, (void)bias, (void)y, (void)m, (void)n, (void)k, (void)stream;
    return pk_fail(PK_USAGE, "no vendor's library of products in this build");
}

#endif
