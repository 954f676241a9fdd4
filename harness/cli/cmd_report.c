/* `report`: the latest results as Markdown, to paste into a write-up. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results.h"

/* A cell with the figure, or a dash where it is not known. */
static void print_number(const char *format, double value)
{
    putchar(' ');
    if (isfinite(value))
        printf(format, value);
    else
        putchar('-');
    fputs(" |", stdout);
}

static void print_row(const cli_result *result, const cli_point *point, bool with_knobs)
{
    printf("| %s%s |", point->variant, strcmp(point->cache, "cold") ? "" : " (cold)");
    for (size_t i = 0; with_knobs && i < result->knob_count; i++)
        print_number("%.0f", point->knobs[i]);
    printf(" %s |", point->status);
    print_number("%.4g", point->us_per_token);
    if (isfinite(point->speedup))
        printf(" %.3g (%.3g to %.3g) |", point->speedup, point->speedup_low, point->speedup_high);
    else
        fputs(" - |", stdout);
    print_number("%.4g", point->launches_per_token);
    print_number("%.4g", point->gb_per_s);
    print_number("%.2g", point->percent_of_read_limit);
    putchar('\n');
}

/* One row a variant and point: a default point that the sweep measured again stands for both. */
static bool is_shown(const cli_point *point, bool all)
{
    return all ? !point->is_repeat : point->is_default && !strcmp(point->cache, "hot");
}

static void print_table(const cli_result *result, bool all)
{
    fputs("| variant |", stdout);
    for (size_t i = 0; all && i < result->knob_count; i++)
        printf(" %s |", result->knob_names[i]);
    fputs(" status | us/token | speedup (95%) | launches | GB/s | % B_read |\n|---|", stdout);
    for (size_t i = 0; i < 6 + (all ? result->knob_count : 0); i++)
        fputs("---|", stdout);
    putchar('\n');
    for (size_t i = 0; i < result->point_count; i++)
        if (is_shown(&result->points[i], all))
            print_row(result, &result->points[i], all);
}

static void print_reasons(const cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (point->reason[0] && is_shown(point, false))
            cli_say(2, "- `%s` %s: %s", point->variant, point->status, point->reason);
    }
}

static void print_result(const cli_result *result, bool all)
{
    const cli_point *headline = cli_headline(result);
    printf("## %s %s\n\n", result->lab, result->title);
    cli_say(0, "%s%s, %s, `%s`, %s", cli_is_cpu_device(result) ? "**CPU device, not a GPU.** " : "", result->device,
            result->backend, result->program, result->started_utc);
    if (headline) {
        char *knobs = cli_knobs_text(result, headline->knobs);
        if (all)
            cli_say(0, "(the default point is %s)", knobs);
        else
            cli_say(0, "at %s%s", knobs, cli_has_sweep(result) ? " (`--all` for the whole sweep)" : "");
        free(knobs);
    }
    putchar('\n');
    if (headline) {
        print_table(result, all);
        putchar('\n');
        print_reasons(result);
    } else {
        puts("The run ended before its first result.");
    }
    putchar('\n');
}

/* Each lab's newest result, wherever it was written. */
static void latest_paths(cli_names *paths)
{
    cli_labs labs = cli_find_labs();
    for (size_t i = 0; i < labs.count; i++) {
        char *path = cli_newest_result(labs.labs[i].id, NULL);
        if (path)
            cli_names_add(paths, path);
        free(path);
    }
    cli_labs_free(&labs);
}

int cmd_report(int argc, char **argv)
{
    const char *word = NULL;
    bool all = false;
    cli_option options[] = {{"--all", NULL, &all}};
    size_t words;
    cli_names paths = {NULL, 0};
    pk_status status = cli_parse(argc, argv, options, 1, &word, 1, &words);
    if (status == PK_OK && !words)
        latest_paths(&paths);
    if (status == PK_OK && !paths.count)
        status = cli_result_paths(word, &paths);
    for (size_t i = 0; i < paths.count && status == PK_OK; i++) {
        cli_result result;
        status = cli_result_load(&result, paths.names[i]);
        if (status == PK_OK) {
            print_result(&result, all);
            cli_result_free(&result);
        }
    }
    cli_names_free(&paths);
    return status == PK_OK ? 0 : cli_failed(status);
}
