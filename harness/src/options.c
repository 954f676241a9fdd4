/* The command line of a lab program. */
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "pk/program.h"
#include "print.h"

enum { MAX_NAMES = 128 };

static const char *const common_options[] = {"help",      "list",       "variant",  "seed",  "quick",     "sweep",
                                             "no-timing", "time-limit", "watchdog", "check", "cold",      "out",
                                             "json",      "csv",        "trace",    "peers", "print-plan"};
enum { COMMON_COUNT = sizeof common_options / sizeof common_options[0] };

static pk_status unknown_option(const pk_lab *lab, const char *name)
{
    const char *names[MAX_NAMES];
    size_t count = 0;
    for (size_t i = 0; i < COMMON_COUNT; i++)
        names[count++] = common_options[i];
    for (size_t i = 0; i < lab->knob_count && count < MAX_NAMES; i++)
        names[count++] = lab->knobs[i].name;
    const char *near = pk_nearest(name, names, count);
    if (near)
        return pk_fail(PK_USAGE, "%s: no option --%s; did you mean --%s? (--help lists them)", lab->id, name, near);
    return pk_fail(PK_USAGE, "%s: no option --%s (--help lists them)", lab->id, name);
}

static pk_status parse_sweep(pk_options *options, const pk_lab *lab, const char *value)
{
    if (!value || strcmp(value, "auto") == 0)
        options->sweep = PK_SWEEP_AUTO;
    else if (strcmp(value, "quick") == 0)
        options->sweep = PK_SWEEP_QUICK;
    else if (strcmp(value, "full") == 0)
        options->sweep = PK_SWEEP_FULL;
    else
        return pk_fail(PK_USAGE, "%s: --sweep=%s: use --sweep, --sweep=quick or --sweep=full", lab->id, value);
    return PK_OK;
}

static pk_status parse_seed(pk_options *options, const char *value)
{
    long long seed;
    pk_status status = pk_parse_integer(&seed, "--seed", value, 0, INT64_MAX);
    if (status == PK_OK)
        options->seed = (uint64_t)seed;
    return status;
}

static pk_status parse_choice(long long *number, const pk_knob *knob, const char *what, const char *value)
{
    char names[256] = "";
    size_t used = 0;
    for (*number = 0; *number <= knob->maximum; ++*number)
        if (strcmp(value, knob->choices[*number]) == 0)
            return PK_OK;
    for (long long c = 0; c <= knob->maximum && used < sizeof names; c++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", c ? ", " : "", knob->choices[c]);
    return pk_fail(PK_USAGE, "%s: '%s' is none of %s", what, value, names);
}

static pk_status parse_knob(long long *number, const pk_knob *knob, const char *what, const char *value)
{
    if (knob->choices)
        return parse_choice(number, knob, what, value);
    if (knob->decimals == 0)
        return pk_parse_integer(number, what, value, knob->minimum, knob->maximum);
    double scale = 1 / pk_knob_in_units(knob, 1), given;
    pk_status status = pk_parse_number(&given, what, value, pk_knob_in_units(knob, knob->minimum),
                                       pk_knob_in_units(knob, knob->maximum));
    if (status != PK_OK)
        return status;
    *number = llround(given * scale);
    if (fabs((double)*number - given * scale) > 1e-3)
        return pk_fail(PK_USAGE, "%s: %s has more than %d decimals", what, value, knob->decimals);
    return PK_OK;
}

/* Options that take a value. `*known` is false when the name is none of them. */
static pk_status parse_valued(pk_options *options, const pk_lab *lab, const char *name, const char *value, bool *known)
{
    *known = true;
    if (strcmp(name, "variant") == 0)
        options->variants = value;
    else if (strcmp(name, "seed") == 0)
        return parse_seed(options, value);
    else if (strcmp(name, "time-limit") == 0)
        return pk_parse_number(&options->time_limit_s, "--time-limit", value, 0.001, 3600);
    else if (strcmp(name, "watchdog") == 0)
        return pk_parse_number(&options->watchdog_s, "--watchdog", value, 0.1, 86400);
    else if (strcmp(name, "out") == 0)
        options->out = value;
    else if (strcmp(name, "json") == 0)
        options->json = value;
    else if (strcmp(name, "csv") == 0)
        options->csv = value;
    else if (strcmp(name, "peers") == 0)
        options->peers = value;
    else {
        for (size_t i = 0; i < lab->knob_count; i++) {
            const pk_knob *knob = &lab->knobs[i];
            char what[72];
            if (strcmp(name, knob->name) != 0)
                continue;
            snprintf(what, sizeof what, "--%s", name);
            options->knob_given[i] = true;
            return parse_knob(&options->knobs[i], knob, what, value);
        }
        *known = false;
    }
    return PK_OK;
}

#if defined(PK_BACKEND_CPU)
enum { ON_CPU_DEVICE = true };
#else
enum { ON_CPU_DEVICE = false };
#endif

/* --NAME, or --NAME=auto, which asks for it where `suits` says. */
static pk_status parse_auto(bool *flag, const pk_lab *lab, const char *name, const char *value, bool suits)
{
    if (value && strcmp(value, "auto") != 0)
        return pk_fail(PK_USAGE, "%s: --%s=%s: use --%s or --%s=auto", lab->id, name, value, name, name);
    *flag |= !value || suits;
    return PK_OK;
}

static pk_status parse_trace(pk_options *options, const pk_lab *lab, const char *value)
{
    if (value && !*value)
        return pk_fail(PK_USAGE, "%s: --trace= names no file: give one, or --trace to have it beside the results",
                       lab->id);
    options->trace = value ? value : "";
    return PK_OK;
}

/* What is written in two ways at one place would be there in one of them. */
static pk_status check_trace(const pk_options *options, const pk_lab *lab)
{
    if (!options->trace)
        return PK_OK;
    if (!*options->trace && !options->out)
        return pk_fail(PK_USAGE,
                       "%s: --trace without a file writes beside the results: give --out=DIR too, or --trace=FILE",
                       lab->id);
    const char *others[] = {options->json, options->csv};
    for (size_t i = 0; i < 2; i++)
        if (others[i] && strcmp(others[i], options->trace) == 0)
            return pk_fail(PK_USAGE, "%s: --trace=%s is where %s goes: name two files", lab->id, options->trace,
                           i ? "--csv" : "--json");
    return PK_OK;
}

static bool parse_flag(pk_options *options, const char *name)
{
    if (strcmp(name, "no-timing") == 0)
        options->timing = false;
    else if (strcmp(name, "check") == 0)
        options->check = true;
    else if (strcmp(name, "awkward") == 0)
        options->awkward = true;
    else if (strcmp(name, "print-plan") == 0) {
        options->print_plan = true;
        options->timing = false;
    } else if (strcmp(name, "list") == 0)
        options->list = true;
    else
        return false;
    return true;
}

/* One argument "--name", "--name=value" or "--name value"; `*index` moves past what was used. */
static pk_status parse_one(pk_options *options, const pk_lab *lab, int argc, char **argv, int *index)
{
    const char *argument = argv[*index];
    if (strncmp(argument, "--", 2) != 0 || argument[2] == '\0')
        return pk_fail(PK_USAGE, "%s: '%s' is not an option: options are --name=value (--help lists them)", lab->id,
                       argument);
    char name[64];
    size_t length = strcspn(argument + 2, "=");
    if (length >= sizeof name)
        return pk_fail(PK_USAGE, "%s: no option %s (--help lists them)", lab->id, argument);
    memcpy(name, argument + 2, length);
    name[length] = '\0';
    const char *value = argument[2 + length] == '=' ? argument + 3 + length : NULL;

    if (strcmp(name, "sweep") == 0)
        return parse_sweep(options, lab, value);
    if (strcmp(name, "trace") == 0)
        return parse_trace(options, lab, value);
    if (strcmp(name, "quick") == 0)
        return parse_auto(&options->quick, lab, name, value, ON_CPU_DEVICE && lab->slow_on_cpu);
    if (strcmp(name, "cold") == 0)
        return parse_auto(&options->cold, lab, name, value, !ON_CPU_DEVICE); /* it has no cache to flush */
    if (!value && parse_flag(options, name))
        return PK_OK;
    const char *given = value ? value : *index + 1 < argc ? argv[*index + 1] : "";
    bool known;
    pk_status status = parse_valued(options, lab, name, given, &known);
    if (!known && value && parse_flag(options, name))
        return pk_fail(PK_USAGE, "%s: --%s takes no value", lab->id, name);
    if (!known)
        return unknown_option(lab, name);
    if (!value && *index + 1 >= argc)
        return pk_fail(PK_USAGE, "%s: --%s needs a value: --%s=VALUE", lab->id, name, name);
    if (!value)
        ++*index;
    return status;
}

pk_status pk_options_set_knobs(long long *knobs, const pk_lab *lab, const char *text)
{
    while (*text) {
        char name[64], value[64];
        if (sscanf(text, "%63[^= ]=%63[^ ]", name, value) != 2)
            return pk_fail(PK_USAGE, "%s: '%s' is no list of knobs: write n=1 k=3", lab->id, text);
        size_t i = 0;
        while (i < lab->knob_count && strcmp(lab->knobs[i].name, name) != 0)
            i++;
        if (i == lab->knob_count)
            return pk_fail(PK_USAGE, "%s: an awkward size names the knob '%s', which the lab does not have", lab->id,
                           name);
        pk_status status = parse_knob(&knobs[i], &lab->knobs[i], name, value);
        if (status != PK_OK)
            return status;
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return PK_OK;
}

static pk_status check_variant_names(const pk_options *options, const pk_lab *lab)
{
    const char *names[MAX_NAMES];
    size_t count = 0;
    for (size_t f = 0; f < pk_variant_file_count; f++) {
        const pk_variant_list list = pk_variant_files[f].variants();
        for (size_t i = 0; i < list.count && count < MAX_NAMES; i++)
            names[count++] = list.variants[i].name;
    }
    const char *rest = options->variants;
    while (rest && *rest) {
        char name[64];
        size_t length = strcspn(rest, ","), found = 0;
        snprintf(name, sizeof name, "%.*s", (int)length, rest);
        while (found < count && strcmp(names[found], name) != 0)
            found++;
        if (found == count) {
            const char *near = pk_nearest(name, names, count);
            return pk_fail(PK_USAGE, "%s: no variant '%s'%s%s%s (--list lists them)", lab->id, name,
                           near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        rest += length + (rest[length] == ',');
    }
    return PK_OK;
}

static void set_defaults(pk_options *options, const pk_lab *lab)
{
    for (size_t i = 0; i < lab->knob_count; i++)
        if (!options->knob_given[i])
            options->knobs[i] = options->quick ? lab->knobs[i].quick : lab->knobs[i].value;
    options->slow = ON_CPU_DEVICE && lab->slow_on_cpu && !options->quick;
    options->awkward |= options->timing;
    if (options->watchdog_s <= 0)
        options->watchdog_s = options->quick ? 10 : 60;
    if (options->time_limit_s <= 0)
        options->time_limit_s = options->quick ? 0.5 : 3;
}

pk_status pk_options_parse(pk_options *options, const pk_lab *lab, int argc, char **argv, bool *done)
{
    memset(options, 0, sizeof *options);
    *done = false;
    options->timing = true;
    options->seed = 1;
    options->knobs = calloc(lab->knob_count + 1, sizeof *options->knobs);
    options->knob_given = calloc(lab->knob_count + 1, sizeof *options->knob_given);
    if (!options->knobs || !options->knob_given)
        return pk_out_of_memory(lab->id);
    const char *quick = getenv("QUICK");
    if (quick && strcmp(quick, "") != 0 && strcmp(quick, "0") != 0 && strcmp(quick, "1") != 0)
        return pk_fail(PK_USAGE, "%s: QUICK=%s in the environment: QUICK=1 asks for smoke shapes, QUICK=0 does not",
                       lab->id, quick);
    options->quick = quick && strcmp(quick, "1") == 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            pk_print_lab_help(lab, argv[0]);
            *done = true;
            return PK_OK;
        }
        pk_status status = parse_one(options, lab, argc, argv, &i);
        if (status != PK_OK)
            return status;
    }
    if (options->list) {
        pk_print_variants(lab);
        *done = true;
        return PK_OK;
    }
    if (options->check && !options->timing)
        return pk_fail(PK_USAGE, "%s: --check judges speed and --no-timing measures none: give one of them", lab->id);
    set_defaults(options, lab);
    const pk_status traced = check_trace(options, lab);
    return traced == PK_OK ? check_variant_names(options, lab) : traced;
}

void pk_options_free(pk_options *options)
{
    free(options->knobs);
    free(options->knob_given);
}
