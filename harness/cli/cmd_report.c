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
    printf("| %s%s", point->variant, strcmp(point->cache, "cold") ? "" : " (cold)");
    if (point->peer[0])
        printf(" (`%s`)", point->peer);
    fputs(" |", stdout);
    for (size_t i = 0; with_knobs && i < result->knob_count; i++) {
        char *value = isfinite(point->knobs[i]) ? cli_knob_text(result, i, point->knobs[i]) : cli_copy("-", 1);
        printf(" %s |", value);
        free(value);
    }
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

/* What stands in the table beside the result's own program, or would. */
static void print_peers(const cli_result *result, bool all)
{
    for (size_t i = 0; i < result->peers.count; i++) {
        const char *program = result->peers.names[i];
        bool has_rows = false;
        for (size_t j = 0; j < result->point_count && !has_rows; j++)
            has_rows = is_shown(&result->points[j], all) && !strcmp(result->points[j].peer, program);
        cli_say(0, "beside it, from a run of its own: `%s`, %s%s", program, result->peers_started_utc.names[i],
                has_rows ? "" : ", which has nothing at this point (`--all` shows what it has)");
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
    print_peers(result, all);
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
static void latest(cli_groups *groups)
{
    cli_labs labs = cli_find_labs();
    for (size_t i = 0; i < labs.count; i++) {
        char *path = cli_newest_result(labs.labs[i].id, NULL);
        if (path)
            cli_groups_add(groups, path);
        free(path);
    }
    cli_labs_free(&labs);
}

int cmd_report(int argc, char **argv)
{
    const char *words[CLI_MOST_FILES];
    bool all = false;
    cli_option options[] = {{"--all", NULL, &all}};
    size_t count;
    cli_groups groups = {NULL, 0};
    pk_status status = cli_parse(argc, argv, options, 1, words, CLI_MOST_FILES, &count);
    if (status == PK_OK && !count)
        latest(&groups);
    if (status == PK_OK && !groups.count)
        status = cli_result_groups(words, count, &groups);
    for (size_t i = 0; i < groups.count && status == PK_OK; i++) {
        cli_result result;
        status = cli_result_load_group(&result, &groups.groups[i]);
        if (status == PK_OK) {
            print_result(&result, all);
            cli_result_free(&result);
        }
    }
    cli_groups_free(&groups);
    return status == PK_OK ? 0 : cli_failed(status);
}
