/* Lab 07, rungs 3 to 7: planted mistakes. Each variant is wrong in one way that people get wrong, and the harness
 * must catch it. The kernel is the lab's own, lab07_stream.cuh; what the ladder fills in is here, and asks v->planted.
 */
#define LAB07_TAKES_NEWEST(v) ((v)->planted != NEWEST_LOST)
#define LAB07_HALVES_SWAPPED(v) ((v)->planted == HALVES)
#define LAB07_SEES_LAST(v) ((v)->planted != MANY_SOME || blockIdx.x != 1)
#define LAB07_STOPS_ALONE(v)                                                                                           \
    ((v)->planted == MANY_STOP_ALONE && blockIdx.x == 1 && pk_load_relaxed_system((v)->stop) != 0)

/* X(MISTAKE, function, "variant", hand, "summary") */
#define MISTAKES(X)                                                                                                    \
    X(AHEAD_RIGHT, ahead_right, "ring-ahead-right", BARRIER, "blocks meet behind every phase, as it should be")        \
    X(AHEAD_WRAPS, ahead_wraps, "ring-ahead-wraps", BARRIER, "the same; the count of arrivals passes 2^32")            \
    X(FLAG_RIGHT, flag_right, "ring-flag-right", FLAG, "blocks wait for outputs, as it should be")                     \
    X(SPREAD_RIGHT, spread_right, "ring-spread-right", FLAG, "all blocks share the keys, as it should be")             \
    X(REVERSED, reversed, "ring-spread-reversed", FLAG, "parts put together from the last to the first")               \
    X(PART_BY_ITSELF, part_by_itself, "ring-part-by-itself", FLAG, "parts added up, each by its own maximum")          \
    X(NEWEST_LOST, newest_lost, "ring-newest-lost", FLAG, "attention misses the token's own key")                      \
    X(NOT_POISONED, not_poisoned, "ring-not-poisoned", FLAG, "the other set is left as it was")                        \
    X(OLD_VALUE, old_value, "ring-old-value", FLAG, "what is missing is taken as it is")                               \
    X(OUTPUT_LOST, output_lost, "ring-output-lost", FLAG, "the last row of a layer is not written")                    \
    X(LIMIT_0, limit_0, "ring-limit-0", FLAG, "no copy may be under way")                                              \
    X(KEYS_FIRST, keys_first, "ring-keys-first", FLAG, "keys asked for before the rows that are used before them")     \
    X(BIAS_LOST, bias_lost, "ring-bias-lost", FLAG, "no bias")                                                         \
    X(UP_ACTIVE, up_active, "ring-up-active", FLAG, "up activated, and multiplied with gate")                          \
    X(NOT_KEPT, not_kept, "ring-not-kept", FLAG, "the residual stream is added to, and not kept")                      \
    X(NOT_TURNED, not_turned, "ring-not-turned", FLAG, "q and k as they are, wherever the token stands")               \
    X(NOT_RESCALED, not_rescaled, "ring-not-rescaled", FLAG, "old sums kept by the old maximum")                       \
    X(ROW_SHORT, row_short, "ring-row-short", FLAG, "shares that leave the last row out")                              \
    X(OVERLAP, overlap, "ring-overlap", FLAG, "a share that begins before the last one has ended")                     \
    BLOCK_MISTAKES(X)

/* Of weights in blocks. */
#define BLOCK_MISTAKES(X)                                                                                              \
    X(QUANT_RIGHT, quant_right, "ring-quant-right", FLAG, "weights in blocks, as it should be")                        \
    X(UNSIGNED, unsigned_bytes, "ring-quant-unsigned", FLAG, "Q8_0's bytes taken without their sign")                  \
    X(SCALE_NEXT, scale_next, "ring-quant-scale-next", FLAG, "the scale of the sub-block beside it")                   \
    X(SCALE_MIN, scale_min, "ring-quant-scale-min", FLAG, "scale and minimum of a sub-block swapped")                  \
    X(HIGH_BITS, high_bits, "ring-quant-high-bits", FLAG, "sub-blocks 4 to 7 without the high two bits")               \
    X(HALVES, halves, "ring-quant-halves", FLAG, "a byte's high half taken for the first sub-block")                   \
    X(MIN_ADDED, min_added, "ring-quant-min-added", FLAG, "the minimum added, not subtracted")                         \
    X(PITCH, pitch, "ring-quant-pitch", FLAG, "rows taken to follow each other without a gap")

/* Those of a launch of many steps; likewise, without the hand. */
#define MISTAKES_OF_MANY(X)                                                                                            \
    X(MANY_RIGHT, many_right, "ring-many-right", "all steps in one launch, as it should be")                           \
    X(MANY_SLOW, many_slow, "ring-many-slow", "the same, and slow: all tokens take longer than the watchdog waits")    \
    X(MANY_KEPT, many_kept, "ring-many-kept", "candidates of the other set are left as they were")                     \
    X(MANY_OUTPUTS_KEPT, many_outputs_kept, "ring-many-outputs-kept", "outputs of the other set, likewise")            \
    X(MANY_STALE, many_stale, "ring-many-stale", "the token that came in is told, not the one that was chosen")        \
    X(MANY_SOME, many_some, "ring-many-some", "a block does not see that a step is the last one")                      \
    X(MANY_LOST, many_lost, "ring-many-lost", "a block's candidate is not handed over")                                \
    X(MANY_LOST_LATE, many_lost_late, "ring-many-lost-late", "the same, in step 30")                                   \
    X(MANY_POST_EARLY, many_post_early, "ring-many-post-early", "the token that came in is posted")                    \
    X(MANY_POST_LOST, many_post_lost, "ring-many-post-lost", "step 1's token is not posted")                           \
    X(MANY_POST_LATE, many_post_late, "ring-many-post-late", "nothing is posted before the last step")                 \
    X(MANY_GOES_ON, many_goes_on, "ring-many-goes-on", "an end token does not end it")                                 \
    X(MANY_STOP_ALONE, many_stop_alone, "ring-many-stop-alone", "a block looks at the host's word for itself")

#define NUMBER(mistake, ...) mistake,
enum mistake { MISTAKES(NUMBER) MISTAKES_OF_MANY(NUMBER) FIRST_OF_BLOCKS = QUANT_RIGHT };
#undef NUMBER

#include "lab07_ring_plan.cuh"

static __device__ inline void stream_layer(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                           const pk_device_layer *layer)
{
    if (v->planted == KEYS_FIRST)
        lab07_ask_keys(v, b, at, layer);
    lab07_ask_rows(v, b, at, LAB07_QKV, layer->qkv);
    if (v->planted != KEYS_FIRST)
        lab07_ask_keys(v, b, at, layer);
    lab07_ask_rows(v, b, at, LAB07_O, layer->o);
    lab07_ask_rows(v, b, at, LAB07_GATE_UP, layer->gate_up);
    lab07_ask_rows(v, b, at, LAB07_DOWN, layer->down);
}

static __device__ inline float finish_row(const lab07_ring_view *v, const lab07_block *b, const lab07_task *task,
                                          float factor, float sum, float second, int row, int own)
{
    (void)row;
    float value = factor * sum;
    if (task->bias && v->planted != BIAS_LOST)
        value = fmaf(factor, sum, pk_from_bf16(task->bias[own]));
    if (task->which == LAB07_GATE_UP)
        value = v->planted == UP_ACTIVE ? value * pk_activate(v->activation, factor * second)
                                        : pk_activate(v->activation, value) * (factor * second);
    if (task->which == LAB07_O || task->which == LAB07_DOWN) {
        value += lab07_of_residual(v, b)[own];
        if (v->planted != NOT_KEPT)
            lab07_of_residual(v, b)[own] = value;
    }
    return value;
}

template <int T>
static __device__ inline void turn_head(const lab07_ring_view *v, const uint16_t *gain, const float *turn,
                                        lab07_pairs<T> *p)
{
    const int half = v->head_dim / 2;
    float squares = 0;
    for (int t = 0; t < T; t++)
        squares = fmaf(p->low[t], p->low[t], fmaf(p->high[t], p->high[t], squares));
    const float factor = gain ? rsqrtf(pk_sum_lanes(squares) / (float)v->head_dim + v->eps) : 1;
    for (int t = 0; t < T; t++) {
        const int i = lab07_lane() + t * PK_LANES;
        if (i >= half || v->planted == NOT_TURNED)
            continue;
        const float low = p->low[t] * factor * (gain ? pk_from_bf16(gain[i]) : 1);
        const float high = p->high[t] * factor * (gain ? pk_from_bf16(gain[half + i]) : 1);
        p->low[t] = fmaf(low, turn[2 * i], -(high * turn[2 * i + 1]));
        p->high[t] = fmaf(high, turn[2 * i], low * turn[2 * i + 1]);
    }
}

static __device__ inline float take_scores(const lab07_ring_view *v, const float score[LAB07_OWN_SCORES],
                                           const bool there[LAB07_OWN_SCORES], float top, lab07_weighed *s,
                                           float weight[LAB07_OWN_SCORES])
{
    const float keep = v->planted == NOT_RESCALED ? 1 : exp2f(s->top - top);
    s->top = top;
    s->weight *= keep;
    for (int k = 0; k < LAB07_OWN_SCORES; k++) {
        weight[k] = there[k] ? exp2f(score[k] - top) : 0;
        s->weight += weight[k];
    }
    return keep;
}

static __device__ inline float merge_parts_in_order(const lab07_ring_view *v, const float *parts, int count, int stride,
                                                    int i, float *top, float *weight)
{
    float sum = 0;
    *top = LOWEST;
    *weight = 0;
#pragma unroll 4
    for (int p = 0; p < count; p++)
        *top = fmaxf(*top, parts[p * stride + v->head_dim]);
#pragma unroll 4
    for (int p = 0; p < count; p++) {
        const float *const part = parts + (v->planted == REVERSED ? count - 1 - p : p) * stride;
        const float factor = v->planted == PART_BY_ITSELF ? 1 : exp2f(part[v->head_dim] - *top);
        *weight = fmaf(factor, part[v->head_dim + 1], *weight);
        sum = fmaf(factor, part[i], sum);
    }
    return sum;
}

template <int N>
static __device__ inline void wait_for_fours(const lab07_ring_view *v, const float *x, const int at[N], float4 got[N])
{
    unsigned polls = 0;
    const float *lacking;
    do {
        lacking = NULL;
#pragma unroll
        for (int i = 0; i < N; i++)
            if (v->planted != OLD_VALUE && lab07_lacks(got[i])) {
                lacking = x + at[i];
                got[i] = lab07_load_4(x + at[i]);
            }
        if (lacking) {
            PK_SPIN_PAUSE();
            lab07_waits_for_output(v, lacking, &polls);
        }
    } while (lacking);
}

static __device__ inline void write_output(const lab07_ring_view *v, const lab07_block *b, int layer, int place,
                                           float value)
{
    if (v->planted == OUTPUT_LOST &&
        (place == v->at.x + v->hidden - 1 || place == v->at.x + v->at.again + v->hidden - 1))
        return;
    lab07_store(lab07_outputs(v, b, layer, 0) + place, value);
    if (v->planted != NOT_POISONED && v->planted != MANY_OUTPUTS_KEPT)
        lab07_poison(lab07_outputs(v, b, layer, 1) + place);
}

/* ---- weights in blocks ---- */

static __device__ inline void pairs_of_bytes(const lab07_ring_view *v, unsigned word, unsigned pair[2])
{
    for (int i = 0; i < 2; i++) {
        const unsigned bits = word >> 8 * i, sign = bits & 0x00800080u;
        pair[i] = lab07_add_pairs(lab07_these_or(bits, 0x007f007fu, 0x43004300u),
                                  v->planted == UNSIGNED ? 0xc300c300u & ~((sign >> 7) * 0xffffu) : sign | 0xc300c300u);
    }
}

static __device__ inline void scales_of_block(const lab07_ring_view *v, const unsigned packed[3], bool mins,
                                              unsigned scales[2])
{
    const bool other = v->planted == SCALE_MIN ? !mins : mins;
    const unsigned own = other ? packed[1] : packed[0], third = packed[2] >> (other ? 4 : 0);
    scales[0] = own & 0x3f3f3f3fu;
    scales[1] = (third & 0x0f0f0f0fu) | (own >> 2 & (v->planted == HIGH_BITS ? 0 : 0x30303030u));
    for (int i = 0; i < 2 && v->planted == SCALE_NEXT && !mins; i++)
        scales[i] = (scales[i] >> 8 & 0x00ff00ffu) | (scales[i] & 0x00ff00ffu) << 8;
}

static __device__ inline float sum_of_block(const lab07_ring_view *v, const unsigned scales[2], bool mins, float d,
                                            const float value[PK_Q4_K_PARTS], float sum)
{
    float of_block = 0;
    for (int i = 0; i < PK_Q4_K_PARTS; i++)
        of_block = fmaf(lab07_byte(scales[i / 4], i % 4), value[i], of_block);
    return fmaf(!mins ? 16 * d : v->planted == MIN_ADDED ? d : -d, of_block, sum);
}

static __device__ inline void hand_candidate(const lab07_ring_view *v, const lab07_block *b, int k,
                                             unsigned long long word)
{
    const bool late = v->planted == MANY_KEPT && blockIdx.x == 1 && b->stands->step > 1; /* block 0 does not wait */
    for (int i = 0; late && i < 100000 && pk_load_relaxed_device(v->next) >> 32 != (unsigned)b->stands->step; i++)
        PK_SPIN_PAUSE();
    if (v->planted != MANY_KEPT)
        pk_store_relaxed_device(lab07_candidates(v, b, (int)blockIdx.x, 1) + k, LAB07_NO_WORD);
    const bool lost = v->planted == MANY_LOST || (v->planted == MANY_LOST_LATE && b->stands->step == 30);
    if (!lost || blockIdx.x != 1)
        pk_store_release_device(lab07_candidates(v, b, (int)blockIdx.x, 0) + k, word);
}

static __device__ inline void tell_token(const lab07_ring_view *v, const lab07_block *b, bool last, int token)
{
    if (v->planted == MANY_GOES_ON)
        last = b->stands->step + 1 >= v->state->limit;
    pk_store_release_device(v->next,
                            lab07_next_of(b->stands->step, last, v->planted == MANY_STALE ? b->stands->token : token));
}

static __device__ inline void post_token(const lab07_ring_view *v, const lab07_block *b, bool last, int token)
{
    const int step = b->stands->step;
    for (const long long begin = clock64(); v->planted == MANY_SLOW && clock64() - begin < 100 * 1000 * 1000;)
        PK_SPIN_PAUSE();
    if (v->planted == MANY_GOES_ON)
        last = step + 1 >= v->state->limit;
    if (v->planted == MANY_POST_LOST && step == 1)
        return;
    if (v->planted == MANY_POST_LATE && !last)
        return;
    if (v->planted == MANY_POST_LATE) /* all of them */
        for (int i = 0; i < step; i++)
            pk_store_relaxed_system(v->posts + i, lab07_next_of(i, false, v->choose.tokens[i]));
    pk_store_relaxed_system(v->posts + step,
                            lab07_next_of(step, last, v->planted == MANY_POST_EARLY ? b->stands->token : token));
}

static __device__ inline bool host_stops(const lab07_ring_view *v)
{
    return v->planted != MANY_STOP_ALONE && pk_load_relaxed_system(v->stop) != 0;
}

/* ---- plans ---- */

static void short_shares(const lab07_matrix *m, int blocks, double fair, const double *had, int *ends)
{
    lab07_even_shares(m, blocks, fair, had, ends);
    ends[blocks - 1]--;
}

static void overlapping_shares(const lab07_matrix *m, int blocks, double fair, const double *had, int *ends)
{
    lab07_even_shares(m, blocks, fair, had, ends);
    ends[0] = ends[1] + 1;
}

static pk_status prepare(pk_run *run, enum mistake planted, lab07_ring_kernel kernel, unsigned barriers)
{
    const bool blocks = planted >= FIRST_OF_BLOCKS && planted < MANY_RIGHT;
    const bool spread =
        planted == SPREAD_RIGHT || planted == REVERSED || planted == PART_BY_ITSELF || planted >= FIRST_OF_BLOCKS;
    const int share_keys = spread ? lab07_of(run)->share_keys : 0;
    const lab07_shares shares = planted == ROW_SHORT ? short_shares
                                : planted == OVERLAP ? overlapping_shares
                                                     : lab07_even_shares;
    if (blocks)
        PK_TRY(lab07_quant_prepare(run, LAB07_QUANT_KERNEL(run, LAB07_FLAG), barriers, share_keys, shares));
    else
        PK_TRY(lab07_ring_prepare(run, kernel, barriers, share_keys, shares));
    lab07_ring_view *const v = &lab07_ring_plan_of(run)->view;
    v->planted = planted;
    if (planted == LIMIT_0)
        v->limit = 0;
    if (planted == PITCH) { /* still a multiple of 16, or there would be no copy */
        lab07_matrix *const down = &v->matrix[LAB07_DOWN];
        down->pitch = (int)pk_quant_row_bytes(down->format, (size_t)down->columns) / 16 * 16;
    }
    return PK_OK;
}

static pk_status execute(pk_run *run)
{
    const lab07_ring_plan *const plan = lab07_ring_plan_of(run);
    const lab07_ring_kernel stream_step = plan->kernel;
    lab07_ring_view view = plan->view;
    PK_TRY(lab07_ring_poison(run));
    const bool many = view.planted >= MANY_RIGHT;
    const unsigned before = view.planted == AHEAD_WRAPS ? 0u - plan->barriers - 2u : 0u; /* in step 1 */
    PK_TRY(pk_device_upload(lab07_of(run)->arrivals, &before, sizeof before, pk_run_stream(run)));
    for (int step = 0; step < (many ? 1 : lab07_of(run)->tokens); step++) {
        view.arrived = before + (unsigned)step * plan->barriers;
        PK_LAUNCH_COOPERATIVE(stream_step, (unsigned)plan->blocks, (unsigned)plan->threads, plan->shared_bytes,
                              lab07_stream(run), view);
    }
    if (many)
        PK_TRY(lab07_hear(run));
    PK_CHECK(cudaStreamSynchronize(lab07_stream(run)));
    return lab07_tell_stamps(run);
}

#define PREPARE(mistake, function, name, hand, summary)                                                                \
    static pk_status function(pk_run *run)                                                                             \
    {                                                                                                                  \
        return prepare(run, mistake, LAB07_RING_KERNEL(run, LAB07_##hand),                                             \
                       lab07_step_barriers<LAB07_##hand>(lab07_of(run)->decoder.config.layers));                       \
    }
MISTAKES(PREPARE)

#define PREPARE_MANY(mistake, function, name, summary)                                                                 \
    static pk_status function(pk_run *run)                                                                             \
    {                                                                                                                  \
        return prepare(run, mistake, LAB07_MANY_KERNEL(run), 0);                                                       \
    }
MISTAKES_OF_MANY(PREPARE_MANY)

#define VARIANT(mistake, function, name, hand, summary)                                                                \
    {name, summary, PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY, function, execute, lab07_ring_finish},
#define VARIANT_OF_MANY(mistake, function, name, summary) VARIANT(mistake, function, name, , summary)
PK_VARIANTS(mistakes_ring) = {MISTAKES(VARIANT) MISTAKES_OF_MANY(VARIANT_OF_MANY)};
PK_VARIANTS_END(mistakes_ring)
