/* The choice of a token from logits that are given: ties, numbers that are none, each top_k, and draws as the same
 * arithmetic gives on the host; no number at all is a fault. Exit code 77 where there is no device. */
#include "decoder_bench.h"

#include <math.h>

#include "num/pk_random.h"

#include "decode/decode_internal.h"
#include "decode/pk_choose.h"

enum { MOST_VOCAB = 5003, STEPS = 200 };

static int failures;

static void expect(bool right, const char *what, int vocab, int top_k, int step)
{
    if (right)
        return;
    failures++;
    fprintf(stderr, "sampling_test: %s, vocabulary of %d, best %d, step %d\n", what, vocab, top_k, step);
}

static pk_status open_chooser(decoder_bench *b, int vocab, int top_k, float temperature, uint64_t seed, int threads)
{
    const pk_decoder_shape shape = {16, 1, STEPS, 1, PK_QUANT_BF16};
    const pk_sampling sampling = {top_k, temperature, seed, false};
    pk_model_config config;
    PK_TRY(pk_model_config_named("tiny", &config));
    config.layers = 1;
    config.vocab = vocab;
    config.end_count = 0;
    config.begin_token = -1;
    PK_TRY(bench_open(b, &config, &shape, &sampling, 2, threads));
    return pk_device_fill(b->d.arrivals, 0, (size_t)(config.heads + 1) * sizeof(unsigned), b->stream);
}

static pk_status choose_at(decoder_bench *b, const float *logits, pk_decode_at at, int step, int *token)
{
    const pk_decode_how how = {true, false, false, bench_no_matvec, NULL, NULL};
    PK_TRY(bench_write(b, b->d.logits, logits, (size_t)b->d.config.vocab * sizeof *logits));
    PK_TRY(pk_decode_logits_and_choose(&b->d, b->d.x, at, &how, b->stream));
    return bench_read(b, token, b->d.tokens + step, sizeof *token);
}

static pk_status choose_from(decoder_bench *b, const float *logits, int step, int *token)
{
    const pk_decode_state beginning = {0, 0, 0, STEPS, 0, 0, 0, 0};
    const pk_decode_at at = {b->d.state, 0, 0, step};
    PK_TRY(bench_write(b, b->d.state, &beginning, sizeof beginning));
    return choose_at(b, logits, at, step, token);
}

/* ---- the same on the host ---- */

/* The best `top_k` of the logits that are numbers, the first of equals first; how many there are. */
static int best_of(const float *logits, int vocab, int top_k, int *best)
{
    int count = 0;
    for (int i = 0; i < vocab; i++) {
        if (isnan(logits[i]))
            continue;
        int at = count;
        for (; at > 0 && logits[best[at - 1]] < logits[i]; at--)
            if (at < top_k)
                best[at] = best[at - 1];
        if (at < top_k)
            best[at] = i;
        count += count < top_k;
    }
    return count;
}

/* The token that is drawn. Where the draw falls so near an edge between two that another expf may give the other one,
 * *other is that one. expf errs by 2 units of its last place, the sums by one a weight: 2^-16 of the sum is more. */
static int draw_of(const float *logits, int vocab, const pk_sampling *sampling, int step, int *other)
{
    int best[PK_SAMPLE_MOST];
    const int count = best_of(logits, vocab, sampling->top_k, best);
    double weight[PK_SAMPLE_MOST], sum = 0;
    if (count == 0)
        return *other = PK_TOKEN_OF_FAULT(PK_FAULT_NO_NUMBER);
    for (int i = 0; i < count; i++) {
        weight[i] = exp((double)((logits[best[i]] - logits[best[0]]) / sampling->temperature));
        sum += weight[i];
    }
    double left = (double)pk_choose_draw(sampling->seed, step) * sum;
    int chosen = 0;
    for (; chosen + 1 < count && left >= weight[chosen]; chosen++)
        left -= weight[chosen];
    const double slack = sum * 0x1p-16;
    *other = best[chosen];
    if (left < slack && chosen > 0)
        *other = best[chosen - 1];
    else if (weight[chosen] - left < slack && chosen + 1 < count)
        *other = best[chosen + 1];
    return best[chosen];
}

/* Is the state's fault this one, and the generation ended by it? Where none belongs it has not ended. */
static pk_status expect_fault(decoder_bench *b, int fault, const char *what)
{
    pk_decode_state state;
    PK_TRY(bench_read(b, &state, b->d.state, sizeof state));
    expect(state.fault == fault && state.done == (fault != 0), what, b->d.config.vocab, b->d.sampling.top_k, 0);
    return PK_OK;
}

/* ---- cases ---- */

static void random_logits(float *logits, int vocab, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, seed);
    for (int i = 0; i < vocab; i++)
        logits[i] = 16 * pk_random_float(&random) - 8;
}

/* Greedy: places of the best, and what stands beside it. */
static pk_status greedy(decoder_bench *b, float *logits)
{
    const int vocab = b->d.config.vocab, places[] = {0, 1, vocab / 2, vocab - 2, vocab - 1};
    int token = -1;
    for (int i = 0; i < 5; i++) {
        for (int j = i; j < 5; j++) {
            random_logits(logits, vocab, (uint64_t)(i * 5 + j));
            logits[places[i]] = logits[places[j]] = 9;
            PK_TRY(choose_from(b, logits, i, &token));
            expect(token == places[i], "not the first of equals", vocab, 1, i);
        }
        random_logits(logits, vocab, 1);
        for (int j = 0; j < vocab; j++)
            if (j != places[i])
                logits[j] = NAN;
        logits[places[i]] = -INFINITY;
        PK_TRY(choose_from(b, logits, i, &token));
        expect(token == places[i], "not the one number among NaN", vocab, 1, i);
    }
    for (int j = 0; j < vocab; j++)
        logits[j] = -3;
    PK_TRY(choose_from(b, logits, 0, &token));
    expect(token == 0, "not the first where all are equal", vocab, 1, 0);
    return PK_OK;
}

/* A fault in place of a token, greedy or not, the step by value or in the state; one number is none. */
static pk_status no_number(decoder_bench *b, float *logits)
{
    enum { STEP = 5 };
    const pk_decode_state beginning = {3, 1, STEP, STEPS, 0, 0, 0, 0};
    const int vocab = b->d.config.vocab, top_k = b->d.sampling.top_k;
    for (int of_state = 0; of_state < 2; of_state++) {
        const pk_decode_at at = {b->d.state, 0, 0, of_state ? -1 : STEP};
        int token = -1;
        for (int j = 0; j < vocab; j++)
            logits[j] = NAN;
        logits[vocab / 2] = -INFINITY;
        PK_TRY(bench_write(b, b->d.state, &beginning, sizeof beginning));
        PK_TRY(choose_at(b, logits, at, STEP, &token));
        expect(token == vocab / 2, "not the one number", vocab, top_k, STEP);
        PK_TRY(expect_fault(b, 0, "a fault where there is a number"));
        logits[vocab / 2] = NAN;
        PK_TRY(bench_write(b, b->d.state, &beginning, sizeof beginning));
        PK_TRY(choose_at(b, logits, at, STEP, &token));
        expect(token == PK_TOKEN_OF_FAULT(PK_FAULT_NO_NUMBER), "a token where there is no number", vocab, top_k, STEP);
        PK_TRY(expect_fault(b, PK_FAULT_NO_NUMBER, "no number, and no fault"));
    }
    return PK_OK;
}

/* Draws of 1 to 64 at one temperature; logits with ties and NaN among them. */
static pk_status draws(decoder_bench *b, float *logits, int steps)
{
    const pk_sampling *const sampling = &b->d.sampling;
    const int vocab = b->d.config.vocab;
    for (int step = 0; step < steps; step++) {
        int token = -1, other = -1;
        random_logits(logits, vocab, (uint64_t)step + 100);
        for (int i = 0; i < vocab; i++) {
            logits[i] = floorf(logits[i] * 4) / 4;
            if (i % 7 == step % 7)
                logits[i] = NAN;
        }
        const int want = draw_of(logits, vocab, sampling, step, &other);
        PK_TRY(choose_from(b, logits, step, &token));
        expect(token == want || token == other, "another draw than the host's", vocab, sampling->top_k, step);
    }
    return PK_OK;
}

/* Cold is greedy; hot is even: each of four equal chances comes 50 +- 25 times in 200 (4 standard deviations are 24.5).
 */
static pk_status temperatures(float *logits)
{
    int seen[4] = {0, 0, 0, 0};
    for (int hot = 0; hot < 2; hot++) {
        decoder_bench b;
        pk_status status = open_chooser(&b, 257, 4, hot ? 1e6f : 1e-3f, 11, 64);
        random_logits(logits, 257, 5);
        for (int i = 0; i < 4; i++)
            logits[60 * i + 7] = 10 + (float)i;
        for (int step = 0; step < STEPS && status == PK_OK; step++) {
            int token = -1;
            status = choose_from(&b, logits, step, &token);
            const bool one_of_four = token >= 7 && token <= 187 && (token - 7) % 60 == 0;
            expect(hot ? one_of_four : token == 187, "not by its temperature", 257, 4, step);
            if (hot && one_of_four)
                seen[(token - 7) / 60]++;
        }
        bench_close(&b);
        PK_TRY(status);
    }
    for (int i = 0; i < 4; i++)
        expect(seen[i] >= 25 && seen[i] <= 75, "a hot choice is not even", 257, 4, i);
    return PK_OK;
}

static pk_status one_case(int vocab, int top_k, int threads, float *logits, int steps)
{
    decoder_bench b;
    bool whole = false;
    pk_status status = open_chooser(&b, vocab, top_k, 1.5f, 42, threads);
    if (status == PK_OK)
        status = top_k == 1 ? greedy(&b, logits) : draws(&b, logits, steps);
    if (status == PK_OK)
        status = no_number(&b, logits);
    if (status == PK_OK)
        status = bench_guards(&b, &whole);
    expect(status != PK_OK || whole, "written behind a buffer", vocab, top_k, 0);
    bench_close(&b);
    return status;
}

static void refused(void)
{
    static const pk_sampling bad[] = {
        {0, 1, 0, false}, {PK_SAMPLE_MOST + 1, 1, 0, false}, {2, 0, 0, false}, {2, NAN, 0, false}};
    for (int i = 0; i < 4; i++) {
        pk_decoder d;
        pk_model_config config;
        const pk_decoder_shape shape = {16, 1, 1, 1, PK_QUANT_BF16};
        const pk_decoder_memory none = {};
        expect(pk_model_config_named("tiny", &config) == PK_OK &&
                   pk_decoder_open(&d, &config, &shape, &bad[i], 1, 32, &none) == PK_USAGE,
               "not refused", config.vocab, bad[i].top_k, i);
    }
}

static pk_status all(float *logits)
{
    static const int vocabs[] = {257, 7, 40, MOST_VOCAB}; /* 40: fewer than the best 64 */
    static const int threads[] = {32, 128, 512, 64};
    PK_TRY(temperatures(logits));
    for (int v = 0; v < 4; v++)
        PK_TRY(one_case(vocabs[v], 1, threads[v], logits, 0));
    PK_TRY(one_case(257, 20, 32, logits, STEPS));
    for (int top_k = 2; top_k <= PK_SAMPLE_MOST; top_k++)
        PK_TRY(one_case(257, top_k, 32 << top_k % 3, logits, 4));
    PK_TRY(one_case(40, PK_SAMPLE_MOST, 32, logits, 20));
    PK_TRY(one_case(1, PK_SAMPLE_MOST, 64, logits, 2));
    return one_case(MOST_VOCAB, PK_SAMPLE_MOST, 32, logits, 10); /* 40 slices of 126: 64 of each */
}

int main(void)
{
    static float logits[MOST_VOCAB];
    pk_device_info device;
    pk_status status = pk_device_open(&device);
    if (status == PK_OK) {
        refused();
        status = all(logits);
    }
    if (status != PK_OK)
        fprintf(stderr, "sampling_test: %s\n", pk_error_text());
    pk_device_close();
    return status != PK_OK ? pk_exit_code(status) : failures != 0;
}
