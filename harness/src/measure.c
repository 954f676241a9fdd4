/* Interleaved timing. A round runs the contenders in an order that is drawn for it, and then backwards (B A C C A B):
 * a drift of clocks or temperature that is linear in time falls on all alike, and what a place in the order costs too;
 * a round gives each contender one paired ratio. */
#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_random.h"
#include "pk/host.h"
#include "runner.h"
#include "watchdog.h"

static const double SENSOR_PERIOD_US = 20000; /* an NVML query costs tens of microseconds */

static bool repeat(pk_report *report, pk_contender *contender, pk_cache_state cache, double *wall_us)
{
    pk_watchdog_progress(contender->run.variant->name);
    pk_status status = pk_repetition_prepare(&contender->run, cache);
    if (status == PK_OK)
        status = pk_repetition_execute(&contender->run, wall_us);
    if (status == PK_OK)
        return true;
    pk_contender_fail(report, contender, status);
    pk_repetition_left_behind(&contender->run);
    return false;
}

static void warm_up(pk_report *report, pk_contender *contender, const pk_measure_plan *plan)
{
    double start = pk_now_us(), wall;
    for (size_t i = 0; contender->active && !contender->run.bench->stuck && !pk_interrupted(); i++) {
        if (i >= plan->warm_up_repetitions && pk_now_us() - start >= plan->warm_up_us)
            return;
        if (!repeat(report, contender, plan->cache, &wall))
            return;
    }
}

static pk_status keep_tokens(pk_result *result, const pk_run *run)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < run->token_count && status == PK_OK; i++)
        status = pk_samples_add(&result->token, run->token_us[i]);
    return status;
}

static pk_status keep_spans(pk_result *result, const pk_run *run)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < run->span_count && status == PK_OK; i++) {
        const pk_phase *span = &run->spans[i];
        size_t at = 0;
        while (at < result->span_count && strcmp(result->spans[at].name, span->name) != 0)
            at++;
        if (at == PK_MAX_PHASES)
            return pk_fail(PK_USAGE, "repetitions time more than %d parts: '%s' has no place", PK_MAX_PHASES,
                           span->name);
        if (at == result->span_count)
            memcpy(result->spans[result->span_count++].name, span->name, sizeof span->name);
        status = pk_samples_add(&result->spans[at].us, span->us);
    }
    return status;
}

/* The medians of all spans so far, among the phases. */
static pk_status summarise_spans(pk_result *result)
{
    for (size_t i = 0; i < result->span_count; i++) {
        const pk_span_samples *span = &result->spans[i];
        size_t at = 0;
        if (span->us.count == 0)
            continue; /* each was throttled */
        while (at < result->phase_count && strcmp(result->phases[at].name, span->name) != 0)
            at++;
        if (at == PK_MAX_PHASES)
            return pk_fail(PK_USAGE, "a variant times more than %d parts: '%s' has no place", PK_MAX_PHASES,
                           span->name);
        if (at == result->phase_count)
            memcpy(result->phases[result->phase_count++].name, span->name, sizeof span->name);
        result->phases[at].us = pk_median(span->us.values, span->us.count);
    }
    return PK_OK;
}

/* The instrumented repetition: events around execute, and the clock around each launch call. Its wall time is not
 * kept, since the instruments are in it. */
static pk_status instrumented(pk_contender *contender, pk_cache_state cache, void *begin, void *end, double *device_us)
{
    pk_run *run = &contender->run;
    pk_status status = pk_repetition_prepare(run, cache);
    if (status == PK_OK)
        status = pk_device_event_record(begin, run->bench->stream);
    if (status != PK_OK)
        return status;
    double wall;
    pk_launch_time_calls(true);
    status = pk_repetition_execute(run, &wall);
    pk_launch_time_calls(false);
    if (status == PK_OK)
        status = pk_device_event_record(end, run->bench->stream);
    if (status == PK_OK)
        status = pk_device_event_synchronize(end);
    if (status == PK_OK)
        status = pk_device_event_elapsed_us(device_us, begin, end);
    return status;
}

static pk_status instrument_all(pk_report *report, pk_contender *contenders, size_t count, pk_cache_state cache,
                                void *begin, void *end)
{
    for (size_t i = 0; i < count; i++) {
        if (!contenders[i].active)
            continue;
        pk_watchdog_progress(contenders[i].run.variant->name);
        double device_us;
        pk_status status = instrumented(&contenders[i], cache, begin, end, &device_us);
        if (status != PK_OK) {
            pk_contender_fail(report, &contenders[i], status);
            continue;
        }
        pk_result *result = &report->results[contenders[i].result];
        status = pk_samples_add(&result->device, device_us);
        if (status == PK_OK)
            status = pk_samples_add(&result->submit, contenders[i].run.launches.submit_us);
        if (status != PK_OK)
            return status;
    }
    return PK_OK;
}

/* The order of a round, drawn anew for each: what comes first pays for what was done between the rounds, and what comes
 * behind another finds the caches as that left them. Fisher and Yates. */
static void draw_order(size_t *order, size_t count, pk_random *random)
{
    for (size_t i = 0; i < count; i++) {
        const size_t j = pk_random_below(random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

static pk_status run_round(pk_report *report, pk_contender *contenders, size_t count, const pk_measure_plan *plan,
                           pk_random *random)
{
    pk_status status = PK_OK;
    size_t order[PK_MAX_CONTENDERS];
    draw_order(order, count, random);
    for (size_t i = 0; i < count; i++) {
        const pk_result *result = &report->results[contenders[i].result];
        contenders[i].tokens = result->token.count;
        for (size_t k = 0; k < PK_MAX_PHASES; k++)
            contenders[i].spans[k] = result->spans[k].us.count;
    }
    for (size_t step = 0; step < 2 * count && status == PK_OK; step++) {
        const size_t half = step / count;
        pk_contender *contender = &contenders[order[half == 0 ? step : 2 * count - 1 - step]];
        if (!contender->active || contender->run.bench->stuck || pk_interrupted())
            continue;
        if (!repeat(report, contender, plan->cache, &contender->walls[half]))
            continue;
        status = keep_spans(&report->results[contender->result], &contender->run);
        if (status == PK_OK && plan->keep_tokens)
            status = keep_tokens(&report->results[contender->result], &contender->run);
    }
    return status;
}

static pk_contender *first_baseline(const pk_report *report, pk_contender *contenders, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (contenders[i].active && report->results[contenders[i].result].is_baseline)
            return &contenders[i];
    return NULL;
}

static pk_status keep_round(pk_report *report, pk_contender *contenders, size_t count)
{
    const pk_contender *baseline = first_baseline(report, contenders, count);
    for (size_t i = 0; i < count; i++) {
        if (!contenders[i].active)
            continue;
        pk_result *result = &report->results[contenders[i].result];
        const double *walls = contenders[i].walls;
        pk_status status = pk_samples_add(&result->wall, walls[0]);
        if (status == PK_OK)
            status = pk_samples_add(&result->wall, walls[1]);
        if (status == PK_OK && baseline && baseline != &contenders[i])
            status = pk_samples_add(&result->ratio, (baseline->walls[0] + baseline->walls[1]) / (walls[0] + walls[1]));
        if (status != PK_OK)
            return status;
        result->rounds++;
    }
    return PK_OK;
}

static void drop_round(pk_report *report, pk_contender *contenders, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pk_result *result = &report->results[contenders[i].result];
        result->token.count = contenders[i].tokens;
        for (size_t k = 0; k < PK_MAX_PHASES; k++)
            result->spans[k].us.count = contenders[i].spans[k];
        if (contenders[i].active)
            result->dropped_throttled += 2;
    }
}

/* Is the standard error of the median over the median below the limit? For samples near normal it is 1.2533 sigma /
 * sqrt(n), where n counts only what is independent: that is asked last, between rounds, as it can only make it larger.
 */
static bool is_settled(const pk_samples *samples, double limit)
{
    const pk_summary summary = pk_summarise(samples->values, samples->count);
    const double error = 1.2533 * summary.relative_spread / sqrt((double)samples->count);
    return error < limit && error * sqrt(pk_correlation_time(samples->values, samples->count)) < limit;
}

static bool settled(const pk_report *report, const pk_contender *contenders, size_t count, double limit)
{
    for (size_t i = 0; i < count; i++) {
        const pk_result *result = &report->results[contenders[i].result];
        const pk_samples *samples = result->ratio.count ? &result->ratio : &result->wall;
        if (contenders[i].active && !is_settled(samples, limit))
            return false;
    }
    return true;
}

/* Throttled during the round? Sensors are read at most once a period: a round shorter than that shares a reading. */
static bool throttled_now(void)
{
    static double last_us;
    static bool last;
    double now = pk_now_us();
    if (now - last_us > SENSOR_PERIOD_US) {
        pk_clock_state state = {.known = false};
        pk_nvml_read(&state);
        last = pk_nvml_throttled(&state);
        last_us = now;
    }
    return last;
}

static pk_status measure_rounds(pk_report *report, pk_contender *contenders, size_t count, const pk_measure_plan *plan,
                                void *begin, void *end)
{
    double start = pk_now_us();
    pk_random random; /* of other orders in each pass */
    pk_random_seed(&random, plan->seed + (count ? report->results[contenders[0].result].rounds : 0));
    for (size_t round = 0, kept = 0; round < plan->max_rounds && !pk_interrupted(); round++) {
        bool throttled = throttled_now();
        pk_status status = run_round(report, contenders, count, plan, &random);
        if (status != PK_OK || pk_interrupted() || contenders[0].run.bench->stuck)
            return status;
        throttled = throttled_now() || throttled;
        if (throttled) {
            drop_round(report, contenders, count);
        } else {
            status = keep_round(report, contenders, count);
            kept++;
        }
        if (status == PK_OK && plan->instrument_every > 0 && round % plan->instrument_every == 0)
            status = instrument_all(report, contenders, count, plan->cache, begin, end);
        if (status != PK_OK)
            return status;
        bool late = pk_now_us() - start > plan->time_limit_s * 1e6;
        if (kept >= plan->min_rounds && settled(report, contenders, count, plan->settle)) {
            for (size_t i = 0; i < count; i++)
                report->results[contenders[i].result].settled |= contenders[i].active;
            return PK_OK;
        }
        /* Past the time limit a few rounds are owed still, unless every one of them is throttled. */
        if (late && (kept >= plan->min_rounds || round >= 4 * plan->min_rounds))
            return PK_OK;
    }
    return PK_OK;
}

static pk_status summarise_ratio(pk_result *result, uint64_t seed)
{
    const pk_samples *ratio = &result->ratio;
    if (ratio->count == 0)
        return PK_OK;
    result->speedup = pk_median(ratio->values, ratio->count);
    result->speedup_interval = pk_paired_interval(ratio->values, ratio->count, seed);
    /* Of ratios that are numbers neither is NaN, unless there was no memory to sort them in. */
    return isnan(result->speedup) || isnan(result->speedup_interval.low) ? pk_out_of_memory("the speedups") : PK_OK;
}

pk_status pk_measure(pk_report *report, pk_contender *contenders, size_t count, const pk_measure_plan *plan)
{
    void *begin = NULL, *end = NULL;
    double *walls = calloc(2 * count + 1, sizeof *walls);
    if (!walls)
        return pk_out_of_memory("the timing");
    pk_status status = pk_device_event_create(&begin);
    if (status == PK_OK)
        status = pk_device_event_create(&end);
    if (status == PK_OK) {
        for (size_t i = 0; i < count; i++) {
            contenders[i].walls = &walls[2 * i];
            if (contenders[i].active)
                warm_up(report, &contenders[i], plan);
        }
        status = measure_rounds(report, contenders, count, plan, begin, end);
        for (size_t i = 0; i < count; i++) {
            pk_status summarised = summarise_ratio(&report->results[contenders[i].result], plan->seed);
            if (summarised == PK_OK)
                summarised = summarise_spans(&report->results[contenders[i].result]);
            status = status == PK_OK ? summarised : status;
        }
    }
    pk_device_event_destroy(begin);
    pk_device_event_destroy(end);
    free(walls);
    return status;
}
