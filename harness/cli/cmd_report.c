/* `report`: results as Markdown, to paste into a write-up. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quote.h"
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

/* A text of the file's as the page shows it. */
static void print_text(const char *before, const char *text, const char *after)
{
    char *quoted = cli_markdown(text);
    printf("%s%s%s", before, quoted, after);
    free(quoted);
}

static void print_row(const cli_result *result, const cli_point *point, bool with_knobs)
{
    print_text("| ", point->variant, strcmp(point->cache, "cold") ? "" : " (cold)");
    if (point->peer[0]) {
        char *program = cli_markdown_code(point->peer);
        printf(" (%s)", program);
        free(program);
    }
    fputs(" |", stdout);
    for (size_t i = 0; with_knobs && i < result->knob_count; i++) {
        char *value = isfinite(point->knobs[i]) ? cli_knob_text(result, i, point->knobs[i]) : cli_copy("-", 1);
        print_text(" ", value, " |");
        free(value);
    }
    print_text(" ", point->status, " |");
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
        print_text(" ", result->knob_names[i], " |");
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
        if (!point->reason[0] || !is_shown(point, false))
            continue;
        char *variant = cli_markdown_code(point->variant), *reason = cli_markdown(point->reason);
        cli_say(2, "- %s %s: %s", variant, point->status, reason);
        free(reason);
        free(variant);
    }
}

/* What stands in the table beside the result's own program, or would. */
static void print_peers(const cli_result *result, bool all)
{
    for (size_t i = 0; i < result->peers.count; i++) {
        bool has_rows = false;
        for (size_t j = 0; j < result->point_count && !has_rows; j++)
            has_rows = is_shown(&result->points[j], all) && !strcmp(result->points[j].peer, result->peers.names[i]);
        char *program = cli_markdown_code(result->peers.names[i]);
        char *started = cli_markdown(result->peers_started_utc.names[i]);
        cli_say(0, "beside it, from a run of its own: %s, %s%s", program, started,
                has_rows ? "" : ", which has nothing at this point (`--all` shows what it has)");
        free(started);
        free(program);
    }
}

static void print_heading(const cli_result *result)
{
    char *device = cli_markdown(result->device), *backend = cli_markdown(result->backend);
    char *program = cli_markdown_code(result->program), *started = cli_markdown(result->started_utc);
    print_text("## ", result->lab, " ");
    print_text("", result->title, "\n\n");
    cli_say(0, "%s%s, %s, %s, %s%s", cli_is_cpu_device(result) ? "**CPU device, not a GPU.** " : "", device, backend,
            program, started, result->is_quick ? ", a quick run (`--quick`)" : "");
    free(started);
    free(program);
    free(backend);
    free(device);
}

static void print_result(const cli_result *result, bool all)
{
    const cli_point *headline = cli_headline(result);
    print_heading(result);
    if (headline) {
        char *line = cli_knobs_text(result, headline->knobs), *knobs = cli_markdown(line);
        if (all)
            cli_say(0, "(the default point is %s)", knobs);
        else
            cli_say(0, "at %s%s", knobs, cli_has_sweep(result) ? " (`--all` for the whole sweep)" : "");
        free(knobs);
        free(line);
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

static pk_status report_group(const cli_together *group, bool all)
{
    cli_result result;
    pk_status status = cli_result_load_group(&result, group);
    if (status == PK_OK) {
        print_result(&result, all);
        cli_result_free(&result);
    }
    return status;
}

/* Of each lab the result that its student wants to see, wherever it was written. */
static pk_status report_chosen(bool all)
{
    cli_labs labs = cli_find_labs();
    pk_status status = PK_OK;
    bool any = false;
    for (size_t i = 0; i < labs.count && status == PK_OK; i++) {
        cli_choice choice = cli_choose_result(labs.labs[i].id);
        if (choice.path) {
            cli_groups group = {NULL, 0};
            cli_groups_add_beside(&group, choice.path);
            cli_say(0, "%s", choice.said);
            putchar('\n');
            status = report_group(&group.groups[0], all);
            cli_groups_free(&group);
            any = true;
        }
        cli_choice_free(&choice);
    }
    cli_labs_free(&labs);
    return any ? status : cli_no_results();
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
        status = report_chosen(all);
    else if (status == PK_OK)
        status = cli_result_groups(words, count, &groups);
    for (size_t i = 0; i < groups.count && status == PK_OK; i++)
        status = report_group(&groups.groups[i], all);
    cli_groups_free(&groups);
    return status == PK_OK ? 0 : cli_failed(status);
}
