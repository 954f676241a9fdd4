/* What two results say about a gate. Times are compared as paired ratios only. */
#include "gate_judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"

enum {
    FEWEST_ROUNDS = 3, /* two say next to nothing of their spread */
    FEW_ROUNDS = 6,    /* of fewer not even the least and the largest hold the median in 95 of 100 cases: 1 - 2 / 2^n */
    SEED = 1           /* fixed: the same two files give the same interval */
};
/* A baseline that takes so many times as long in one run as in the other is worth a word: host or clock was another. */
static const double ANOTHER_STATE = 1.05;

/* ---- which points, which variants ---- */

static bool is_hot(const cli_point *point)
{
    return !point->is_repeat && !strcmp(point->cache, "hot");
}

static const cli_point *point_of(const cli_result *result, const char *variant, const double *knobs)
{
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (is_hot(point) && !strcmp(point->variant, variant) && cli_same_knobs(result, point->knobs, knobs))
            return point;
    }
    return NULL;
}

/* The first that runs at the knobs: the one that ratios of its run are against. */
static const cli_point *baseline_at(const cli_result *result, const double *knobs)
{
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (is_hot(point) && !strcmp(point->role, "baseline") && cli_passed(point) &&
            cli_same_knobs(result, point->knobs, knobs))
            return point;
    }
    return NULL;
}

static gate_pair named_pair(const gate_sides *sides, const double *knobs)
{
    for (size_t i = 0; i + 1 < sides->pairs.count; i += 2) {
        const cli_point *before = point_of(sides->before, sides->pairs.names[i], knobs);
        const cli_point *after = point_of(sides->after, sides->pairs.names[i + 1], knobs);
        if (before && after && cli_passed(before) && cli_passed(after))
            return (gate_pair){before, after, NULL};
    }
    return (gate_pair){NULL, NULL, cli_format("of the variants that --variant names, no pair passed in both")};
}

/* Untimed results come last: there the order of the file decides. */
static bool is_faster(const cli_point *point, const cli_point *than)
{
    return !than || point->us_per_token < than->us_per_token ||
           (isfinite(point->us_per_token) && !isfinite(than->us_per_token));
}

gate_pair gate_pair_at(const gate_sides *sides, const double *knobs)
{
    if (sides->pairs.count)
        return named_pair(sides, knobs);
    gate_pair best = {NULL, NULL, NULL};
    for (size_t i = 0; i < sides->before->point_count; i++) {
        const cli_point *before = &sides->before->points[i];
        if (!is_hot(before) || !cli_passed(before) || strcmp(before->role, "ladder") != 0 ||
            !cli_same_knobs(sides->before, before->knobs, knobs))
            continue;
        const cli_point *after = point_of(sides->after, before->variant, knobs);
        if (!after || !cli_passed(after))
            continue;
        best.before = is_faster(before, best.before) ? before : best.before;
        best.after = is_faster(after, best.after) ? after : best.after;
    }
    if (!best.before)
        best.why = cli_format("no variant of the ladder passed in both");
    return best;
}

/* A token: a launch is a kernel's or a graph's, as in the labs' targets. */
static double launches_of(const cli_point *point)
{
    return point->launches_per_token + point->graph_replays_per_token;
}

/* ---- time ---- */

typedef struct gate_ratio {
    double value, low, high;
    const char *why; /* there is none; NULL when there is */
} gate_ratio;

static gate_ratio no_ratio(const char *why)
{
    return (gate_ratio){(double)NAN, (double)NAN, (double)NAN, why};
}

/* Of few rounds: Student's interval of the ratios' logarithms, widened as that of many. */
static gate_ratio ratio_of_few(const double *ratios, size_t rounds)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < rounds; i++)
        sum += log(ratios[i]);
    const double mean = sum / (double)rounds;
    for (size_t i = 0; i < rounds; i++)
        squares += (log(ratios[i]) - mean) * (log(ratios[i]) - mean);
    const double error = sqrt(squares / (double)(rounds - 1) / (double)rounds);
    const double half = PK_BETWEEN_RUNS * pk_student_t(0.95, rounds - 1) * error;
    return (gate_ratio){exp(mean), exp(mean - half), exp(mean + half), NULL};
}

static gate_ratio ratio_of_rounds(const double *ratios, size_t rounds)
{
    if (rounds < FEW_ROUNDS)
        return ratio_of_few(ratios, rounds);
    const pk_interval interval = pk_paired_interval(ratios, rounds, SEED);
    return (gate_ratio){pk_median(ratios, rounds), interval.low > 0 ? interval.low : 0, interval.high, NULL};
}

/* Round by round, `over`'s time over `under`'s: a round has two samples of each, one on the way there and one on the
 * way back (docs/measuring.md). */
static gate_ratio paired_ratio(const cli_point *over, const cli_point *under)
{
    const size_t rounds = over->wall.count / 2;
    if (over->wall.count != under->wall.count || over->wall.count % 2)
        return no_ratio("the two were not timed in the same rounds");
    if (over->tokens > under->tokens || over->tokens < under->tokens)
        return no_ratio("the two did not make as many tokens");
    if (rounds < FEWEST_ROUNDS)
        return no_ratio("fewer than three rounds were timed");
    double *ratios = cli_grow(NULL, rounds, sizeof *ratios);
    bool are_times = true;
    for (size_t i = 0; i < rounds; i++) {
        const double *a = &over->wall.values[2 * i], *b = &under->wall.values[2 * i];
        ratios[i] = (a[0] + a[1]) / (b[0] + b[1]);
        are_times &= a[0] > 0 && a[1] > 0 && b[0] > 0 && b[1] > 0 && isfinite(ratios[i]) && ratios[i] > 0;
    }
    const gate_ratio ratio = are_times ? ratio_of_rounds(ratios, rounds) : no_ratio("a sample is no time");
    free(ratios);
    return isnan(ratio.low) && !ratio.why ? no_ratio("memory is out") : ratio;
}

/* How many times as long the baseline took in BEFORE's run as in AFTER's; 1 where either side is that baseline: the two
 * variants were then timed in one run. */
static double drift_of(const cli_point *first, const cli_point *second, const cli_point *before, const cli_point *after)
{
    const bool in_one_run = first == before || second == after;
    return in_one_run
               ? 1
               : pk_median(first->wall.values, first->wall.count) / pk_median(second->wall.values, second->wall.count);
}

/* Of two runs, each against the baseline that ran in its own rounds. The two intervals are independent: their relative
 * widths add as squares.
 * A host or a clock that was slower in one of the runs cancels out where it slows variant and baseline alike. It need
 * not: a baseline waits for the host, and a graph for the device. So the interval reaches on to the ratio that the two
 * would have if what changed the baseline's time had left theirs alone. `*drift` is that change. */
static gate_ratio ratio_of_runs(const gate_sides *sides, const cli_point *before, const cli_point *after, double *drift)
{
    const cli_point *first = baseline_at(sides->before, before->knobs);
    const cli_point *second = baseline_at(sides->after, after->knobs);
    const gate_ratio one = {1, 1, 1, NULL};
    if (!first || !second || strcmp(first->variant, second->variant) != 0)
        return no_ratio("the two runs have no baseline in common, which pairs them");
    if (launches_of(first) < launches_of(second) || launches_of(first) > launches_of(second))
        return no_ratio("the baselines of the two runs make other numbers of launches: they are two programs");
    const gate_ratio was = first == before ? one : paired_ratio(first, before);
    const gate_ratio is = second == after ? one : paired_ratio(second, after);
    if (was.why || is.why)
        return was.why ? was : is;
    const double value = is.value / was.value;
    const double down = hypot(log(is.value / is.low), log(was.high / was.value));
    const double up = hypot(log(is.high / is.value), log(was.value / was.low));
    *drift = drift_of(first, second, before, after);
    return (gate_ratio){value, value * exp(-down) * fmin(1, *drift), value * exp(up) * fmax(1, *drift), NULL};
}

/* ---- other figures ---- */

static double measure_of(const cli_point *point, const char *name)
{
    for (size_t i = 0; i < point->measure_count; i++)
        if (!strcmp(point->measures[i].name, name))
            return point->measures[i].value;
    return (double)NAN;
}

/* NaN where the result has none. Memory is what the lab's problem takes and what the variant holds beside it. */
static double figure_of(const cli_point *point, const char *figure)
{
    if (!strcmp(figure, "launches"))
        return launches_of(point);
    if (!strcmp(figure, "held-bytes"))
        return point->held_bytes;
    if (!strcmp(figure, "memory"))
        return measure_of(point, "buffer-bytes") + point->held_bytes;
    return measure_of(point, figure);
}

/* a / b, where nothing over nothing is no change. */
static double over(double a, double b)
{
    return a == 0 && b == 0 ? 1 : a / b; // NOLINT(clang-analyzer-core.DivideZero): infinite is what is meant
}

/* ---- one point ---- */

static gate_verdict verdict_of(const cli_gate *gate, double low, double high)
{
    const bool at_least = gate->relation == GATE_AT_LEAST;
    if (at_least ? low >= gate->limit : high <= gate->limit)
        return GATE_PASS;
    return (at_least ? high < gate->limit : low > gate->limit) ? GATE_FAIL : GATE_UNCLEAR;
}

static gate_outcome not_measured(char *why)
{
    return (gate_outcome){GATE_NOT_MEASURED, (double)NAN, (double)NAN, (double)NAN, false, why};
}

/* Why a ratio of times is shown and not judged, as by `check`; NULL where it is. */
static const char *not_to_be_judged(const gate_sides *sides)
{
    if (cli_is_cpu_device(sides->before) || cli_is_cpu_device(sides->after))
        return "the CPU device's times say nothing about a GPU";
    if (sides->before->is_quick || sides->after->is_quick)
        return "a quick run's sizes are for a smoke test (--quick)";
    return NULL;
}

static gate_outcome judge_time(const cli_gate *gate, const gate_sides *sides, gate_pair pair)
{
    double drift = 1;
    const gate_ratio ratio =
        sides->one_run ? paired_ratio(pair.before, pair.after) : ratio_of_runs(sides, pair.before, pair.after, &drift);
    if (ratio.why)
        return not_measured(cli_format("%s", ratio.why));
    gate_outcome outcome = {verdict_of(gate, ratio.low, ratio.high), ratio.value, ratio.low, ratio.high, true, NULL};
    const char *why_not = not_to_be_judged(sides);
    if (why_not) {
        outcome.verdict = GATE_NOT_JUDGED;
        outcome.note = cli_format("%s", why_not);
    } else if (drift > ANOTHER_STATE || drift < 1 / ANOTHER_STATE) {
        outcome.note = cli_format("the runs' common baseline took %.3g times as long in AFTER's, and the interval "
                                  "reaches as far",
                                  1 / drift);
    } else {
        outcome.note = cli_copy("", 0);
    }
    return outcome;
}

/* In new memory; with the name that is meant, where it is misspelt. */
static char *not_recorded(const cli_point *point, const char *side, const char *figure)
{
    static const char *const known[] = {"launches", "time", "memory", "held-bytes"};
    const char *why = !strcmp(figure, "memory") ? " (buffer-bytes, and held_bytes of its phases)" : "";
    const size_t count = point->measure_count + PK_COUNT(known);
    const char **names = cli_grow(NULL, count, sizeof *names);
    memcpy(names, known, sizeof known);
    for (size_t i = 0; i < point->measure_count; i++)
        names[PK_COUNT(known) + i] = point->measures[i].name;
    const char *nearest = pk_nearest(figure, names, count);
    free(names);
    const bool misspelt = nearest && strcmp(nearest, figure) != 0;
    return cli_format("%s recorded no %s%s%s%s%s", side, figure, why, misspelt ? "; did you mean '" : "",
                      misspelt ? nearest : "", misspelt ? "'?" : "");
}

static gate_outcome judge_figure(const cli_gate *gate, gate_pair pair)
{
    const double before = figure_of(pair.before, gate->figure), after = figure_of(pair.after, gate->figure);
    const bool wants_before = gate->form != GATE_AFTER && gate->form != GATE_AFTER_OVER;
    const double other = gate->over ? figure_of(pair.after, gate->over) : 1;
    if (!isfinite(after) || (wants_before && !isfinite(before)))
        return not_measured(not_recorded(isfinite(after) ? pair.before : pair.after,
                                         isfinite(after) ? "BEFORE" : "AFTER", gate->figure));
    if (gate->over && !isfinite(other))
        return not_measured(not_recorded(pair.after, "AFTER", gate->over));
    if (before < 0 || after < 0 || other < 0)
        return not_measured(cli_format("a negative number is none of %s", gate->figure));
    double value = after;
    if (gate->form == GATE_BEFORE_OVER_AFTER)
        value = over(before, after);
    else if (gate->form == GATE_CHANGE)
        value = 100 * (over(after, before) - 1);
    else if (gate->form == GATE_ADDED)
        value = after - before;
    else if (gate->over)
        value = over(after, other);
    return (gate_outcome){verdict_of(gate, value, value), value, value, value, false, cli_copy("", 0)};
}

static gate_outcome judge_at(const cli_gate *gate, const gate_sides *sides, const double *knobs)
{
    gate_pair pair = gate_pair_at(sides, knobs);
    if (!pair.before)
        return not_measured(pair.why);
    return strcmp(gate->figure, "time") ? judge_figure(gate, pair) : judge_time(gate, sides, pair);
}

/* ---- the points of a gate ---- */

/* The number that a condition's value is of this lab's knob; false, with why in new memory, where it has none such. */
static bool value_of(const cli_result *result, const gate_condition *condition, size_t *knob, double *value, char **why)
{
    *knob = 0;
    while (*knob < result->knob_count && strcmp(result->knob_names[*knob], condition->knob) != 0)
        ++*knob;
    if (*knob == result->knob_count) {
        *why = cli_format("%s has no knob '%s'", result->lab, condition->knob);
        return false;
    }
    const cli_names *choices = &result->knob_choices[*knob];
    for (size_t i = 0; i < choices->count; i++) {
        *value = (double)i;
        if (!strcmp(choices->names[i], condition->value))
            return true;
    }
    char *end;
    *value = strtod(condition->value, &end);
    if (choices->count || *end || !isfinite(*value)) {
        *why = cli_format("%s=%s is no value of %s", condition->knob, condition->value, result->lab);
        return false;
    }
    return true;
}

static bool holds(gate_relation relation, double number, double value)
{
    return relation == GATE_AT_LEAST  ? number >= value
           : relation == GATE_AT_MOST ? number <= value
                                      : number >= value && number <= value;
}

/* Is the point one that the gate is about? *why is set when the lab has no such points at all. */
static bool is_meant(const cli_gate *gate, const cli_result *result, const cli_point *point, char **why)
{
    if (!gate->condition_count)
        return point->is_default;
    for (size_t i = 0; i < gate->condition_count && !*why; i++) {
        size_t knob;
        double value;
        if (!value_of(result, &gate->conditions[i], &knob, &value, why) ||
            !holds(gate->conditions[i].relation, point->knobs[knob], value))
            return false;
    }
    return !*why;
}

static bool is_first_at_its_knobs(const cli_result *result, const cli_point *point)
{
    for (const cli_point *other = result->points; other < point; other++)
        if (is_hot(other) && cli_same_knobs(result, other->knobs, point->knobs))
            return false;
    return true;
}

/* How far the value is on the right side of the limit. */
static double margin(const cli_gate *gate, const gate_outcome *outcome)
{
    const double beyond = outcome->value - gate->limit;
    return gate->relation == GATE_AT_LEAST ? beyond : -beyond;
}

static bool is_worse(const cli_gate *gate, const gate_outcome *a, const gate_outcome *than)
{
    return a->verdict != than->verdict ? a->verdict > than->verdict : margin(gate, a) < margin(gate, than);
}

/* Which point of how many the outcome is of, and whose variants', where they are not what is said above. */
static void say_point(gate_outcome *outcome, const gate_sides *sides, const cli_point *point, size_t points)
{
    if (point->is_default && points == 1)
        return;
    gate_pair pair = gate_pair_at(sides, point->knobs);
    char *knobs = cli_knobs_apart(sides->before, point);
    const bool is_known = isfinite(outcome->value);
    char *of = points > 1 ? cli_format("%s of %zu points, ", is_known ? "the worst" : "one", points) : cli_copy("", 0);
    char *who = pair.before ? cli_format(": %s, %s", pair.before->variant, pair.after->variant) : cli_copy("", 0);
    char *note = cli_format("%s%s%sat %s%s", outcome->note, *outcome->note ? "; " : "", of,
                            *knobs ? knobs : "the default point", who);
    free(pair.why);
    free(knobs);
    free(of);
    free(who);
    free(outcome->note);
    outcome->note = note;
}

gate_outcome gate_judge(const cli_gate *gate, const gate_sides *sides)
{
    gate_outcome worst = {0};
    const cli_point *at = NULL;
    size_t points = 0;
    char *why = NULL;
    for (size_t i = 0; i < sides->before->point_count && !why; i++) {
        const cli_point *point = &sides->before->points[i];
        if (!is_hot(point) || !is_meant(gate, sides->before, point, &why) ||
            !is_first_at_its_knobs(sides->before, point))
            continue;
        gate_outcome outcome = judge_at(gate, sides, point->knobs);
        if (!points++ || is_worse(gate, &outcome, &worst)) {
            free(worst.note);
            worst = outcome;
            at = point;
        } else {
            free(outcome.note);
        }
    }
    if (at) {
        say_point(&worst, sides, at, points);
        return worst;
    }
    char *where = gate_where(gate);
    if (!why)
        why = cli_format("BEFORE has no result %s", where);
    free(where);
    return not_measured(why);
}
