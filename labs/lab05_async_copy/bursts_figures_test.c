/* Test of part three's figures: lab05_bursts_analyse of made-up points gives the ratios that their numbers say, takes
 * none but those at the defaults, and leaves out what it has no points for. */
#include "analysis_stand_in.h"
#include "lab05_problem.h"

static void expect_count(const pk_analysis *analysis, size_t want)
{
    if (analysis->count == want)
        return;
    printf("FAILED: %zu figures, not %zu; the last is '%s'\n", analysis->count, want,
           analysis->count ? analysis->name[analysis->count - 1] : "");
    failed = 1;
}

static void defaults(long long *knobs, int work)
{
    for (size_t i = 0; i < LAB05_KNOBS; i++)
        knobs[i] = lab05_knobs[i].value;
    knobs[LAB05_KNOB_WORK] = work;
}

static const pk_phase *spans(pk_phase *three, double prefill_us, double decode_us, double beside_us)
{
    const double us[] = {prefill_us, decode_us, beside_us};
    const char *const names[] = {"prefill", "decode", "beside"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(three[i].name, sizeof three[i].name, "%s", names[i]);
        three[i].us = us[i];
    }
    return three;
}

int main(void)
{
    long long bursts[LAB05_KNOBS], narrow[LAB05_KNOBS], bus[LAB05_KNOBS], other_bus[LAB05_KNOBS];
    pk_phase apart[3], plain[3], shaped[3], off[3];
    defaults(bursts, LAB05_BURSTS);
    defaults(narrow, LAB05_BURSTS);
    narrow[LAB05_KNOB_IN_FLIGHT] = 44;
    defaults(bus, LAB05_OFFLOAD);
    defaults(other_bus, LAB05_OFFLOAD);
    other_bus[LAB05_KNOB_IN_FLIGHT] = 4;
    const pk_point points[] = {
        /* Another point of a sweep comes first, with other numbers: it does not count. */
        {.variant = "burst-native",
         .knobs = narrow,
         .token_p99_us = 500,
         .phases = spans(off, 1, 1, 1),
         .phase_count = 3},
        {.variant = "burst-apart",
         .is_baseline = true,
         .knobs = bursts,
         .token_p99_us = 20,
         .phases = spans(apart, 4500, 6000, 0),
         .phase_count = 3},
        {.variant = "burst-bulk",
         .is_baseline = true,
         .knobs = bursts,
         .token_p99_us = 100,
         .phases = spans(plain, 5000, 9000, 5000),
         .phase_count = 3},
        {.variant = "burst-native",
         .knobs = bursts,
         .token_p99_us = 23,
         .phases = spans(shaped, 5500, 8000, 6000),
         .phase_count = 3},
        {.variant = "burst-shaped", .knobs = bursts, .token_p99_us = 30, .phases = shaped, .phase_count = 3},
        {.variant = "offload-engine", .is_baseline = true, .knobs = bus, .us_per_token = 100},
        {.variant = "offload-bulk", .knobs = bus, .us_per_token = 125},
        {.variant = "offload-bulk", .knobs = other_bus, .us_per_token = 50}, /* without the engine at the same pages */
    };
    pk_analysis all = {.count = 0}, none = {.count = 0};
    lab05_bursts_analyse(points, PK_COUNT(points), &all);
    expect(&all, "decode p99, idle", 20);
    expect(&all, "bulk: decode p99, all at once over idle", 5);
    expect(&all, "bulk: decode p99, shaped over idle", 1.15);
    expect(&all, "bulk: prefill shaped of all at once", 100 * 5000 / 5500.0);
    expect(&all, "bulk: prefill all at once of apart", 90);
    expect(&all, "bulk: decode that ran beside prefill", 75);
    expect(&all, "over the bus: bulk copies of the copy engine", 80);
    expect_count(&all, 7); /* none of the pair by loads, which lacks burst-plain */
    lab05_bursts_analyse(points, 1, &none);
    expect_count(&none, 0);
    /* The targets are about figures that are there. */
    for (size_t i = 0; i < LAB05_TARGETS; i++) {
        const char *const subject = lab05_targets[i].subject;
        bool there = strncmp(subject, "bulk: ", strlen("bulk: ")) != 0;
        for (size_t k = 0; k < all.count; k++)
            there = there || strcmp(all.name[k], subject) == 0;
        if (there)
            continue;
        printf("FAILED: a target is about '%s', which is no figure\n", subject);
        failed = 1;
    }
    return failed;
}
