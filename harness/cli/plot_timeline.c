/* The tables of a timeline, where one was recorded beside the result. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"
#include "quote.h"
#include "timeline.h"

enum {
    SHOWN_TOKENS = 2,
    CLOSE_UP_KERNELS = 12, /* as many as can be told apart on half a page's width */
    CLOSE_UP_ROWS = 2000,
    RESOLUTION = 2000 /* parts of the width: what is nearer is drawn as one */
};

static int by_end(const void *left, const void *right)
{
    const timeline_bar *a = left, *b = right;
    return (a->end_us > b->end_us) - (a->end_us < b->end_us);
}

/* A variant that leaves its tokens to the device reports none: each is done with its share of the kernels, where the
 * result says how many a repetition has. */
static void find_tokens(const plot_figures *all, timeline_variant *variant)
{
    const plot_variant *measured = plot_variant_named(all, variant->name);
    const double tokens = measured && measured->headline ? measured->headline->tokens : (double)NAN;
    timeline_bar *kernels = cli_grow(NULL, variant->bar_count + 1, sizeof *kernels);
    size_t count = 0;
    for (size_t i = 0; i < variant->bar_count; i++)
        if (variant->bars[i].kind == TIMELINE_KERNEL)
            kernels[count++] = variant->bars[i];
    const bool is_known = tokens >= 1 && tokens <= (double)count && !(fmod((double)count, tokens) > 0);
    if (variant->token_count == 0 && is_known) {
        qsort(kernels, count, sizeof *kernels, by_end);
        variant->token_count = (size_t)tokens;
        variant->tokens_us = cli_grow(NULL, variant->token_count, sizeof *variant->tokens_us);
        for (size_t i = 0; i < variant->token_count; i++)
            variant->tokens_us[i] = kernels[(i + 1) * (count / variant->token_count) - 1].end_us;
        variant->tokens_are_shares = true;
    }
    free(kernels);
}

/* When the tokens that are shown were done; the end of everything where fewer were reported. */
static double window_us(const timeline_variant *variant)
{
    double last = 0;
    if (variant->token_count >= SHOWN_TOKENS)
        return variant->tokens_us[SHOWN_TOKENS - 1];
    for (size_t i = 0; i < variant->bar_count; i++)
        last = variant->bars[i].end_us > last ? variant->bars[i].end_us : last;
    return last;
}

static int by_time(const void *left, const void *right)
{
    const timeline_bar *a = left, *b = right;
    return (a->begin_us > b->begin_us) - (a->begin_us < b->begin_us);
}

/* The end of the first few kernels. */
static double close_up_us(const timeline_variant *variant)
{
    timeline_bar *kernels = cli_grow(NULL, variant->bar_count + 1, sizeof *kernels);
    size_t count = 0;
    for (size_t i = 0; i < variant->bar_count; i++)
        if (variant->bars[i].kind == TIMELINE_KERNEL)
            kernels[count++] = variant->bars[i];
    double end = window_us(variant);
    if (count) {
        qsort(kernels, count, sizeof *kernels, by_time);
        const size_t last = count < CLOSE_UP_KERNELS ? count - 1 : CLOSE_UP_KERNELS - 1;
        end = kernels[last].end_us < end ? kernels[last].end_us : end;
    }
    free(kernels);
    return end;
}

static void put_bar(FILE *file, const timeline_bar *bar)
{
    fprintf(file, "%.3f %.3f %u %d\n", bar->begin_us, bar->end_us, bar->track, (int)bar->kind);
}

/* Bars of a track that begin before `window`; those of a kind that are nearer than `nearest` together as one. */
static void put_bars(FILE *file, const timeline_variant *variant, double window, double nearest, size_t most)
{
    timeline_bar open = {.begin_us = -1};
    fputs("NaN NaN 0 0\n", file); /* a block has a row */
    for (size_t i = 0; i < variant->bar_count && most > 0; i++) {
        const timeline_bar *bar = &variant->bars[i];
        if (bar->begin_us > window)
            continue;
        const bool joins = open.begin_us >= 0 && open.track == bar->track && open.kind == bar->kind &&
                           bar->begin_us - open.end_us < nearest;
        if (joins) {
            open.end_us = bar->end_us > open.end_us ? bar->end_us : open.end_us;
            continue;
        }
        if (open.begin_us >= 0) {
            put_bar(file, &open);
            most--;
        }
        open = *bar;
    }
    if (open.begin_us >= 0)
        put_bar(file, &open);
    fputs("\n\n", file);
}

static pk_status write_bars(const plot_figures *all, const timeline *recorded)
{
    FILE *whole = plot_create(all, "timeline.dat"), *close_up = whole ? plot_create(all, "timeline_close.dat") : NULL;
    for (size_t i = 0; close_up && i < recorded->count; i++) {
        const timeline_variant *variant = &recorded->variants[i];
        const double window = window_us(variant);
        put_bars(whole, variant, window, window / (double)RESOLUTION, variant->bar_count);
        put_bars(close_up, variant, window, 0, CLOSE_UP_ROWS);
    }
    pk_status status = whole && close_up ? PK_OK : PK_USAGE;
    if (whole && plot_finish(whole) != PK_OK)
        status = PK_USAGE;
    if (close_up && plot_finish(close_up) != PK_OK)
        status = PK_USAGE;
    return status;
}

static double shown_tokens(const timeline_variant *variant)
{
    return variant->token_count < SHOWN_TOKENS ? (double)variant->token_count : (double)SHOWN_TOKENS;
}

/* Of the shown tokens; where the host runs ahead of tokens that it does not report, of all. */
static double launches_a_token(const timeline_variant *variant)
{
    const double window = variant->tokens_are_shares ? INFINITY : window_us(variant);
    const double tokens = variant->tokens_are_shares ? (double)variant->token_count : shown_tokens(variant);
    size_t launches = 0;
    for (size_t i = 0; i < variant->bar_count; i++)
        launches += variant->bars[i].is_launch && variant->bars[i].begin_us <= window;
    return (double)launches / (tokens > 0 ? tokens : 1);
}

static double first_token_us(const timeline_variant *variant)
{
    return variant->token_count ? variant->tokens_us[0] : (double)NAN;
}

static double tracks_of(const timeline_variant *variant)
{
    return variant->tracks;
}

/* A word for each variant. */
static void put_list(FILE *file, const char *name, const timeline *recorded,
                     double (*value)(const timeline_variant *variant))
{
    fprintf(file, "%s = '", name);
    for (size_t i = 0; i < recorded->count; i++) {
        const double number = value(&recorded->variants[i]);
        if (isnan(number))
            fputs("NaN ", file);
        else
            fprintf(file, "%.9g ", number);
    }
    fputs("'\n", file);
}

static void put_variables(FILE *file, const timeline *recorded, const char *why)
{
    fputs("timeline_variants = '", file);
    for (size_t i = 0; i < recorded->count; i++)
        fprintf(file, "%s ", recorded->variants[i].name);
    fputs("'\n", file);
    put_list(file, "timeline_window", recorded, window_us);
    put_list(file, "timeline_close_up", recorded, close_up_us);
    put_list(file, "timeline_first_token", recorded, first_token_us);
    put_list(file, "timeline_tokens", recorded, shown_tokens);
    put_list(file, "timeline_launches", recorded, launches_a_token);
    put_list(file, "timeline_tracks", recorded, tracks_of);
    cli_put_gnuplot_string(file, "timeline_why", why);
}

pk_status plot_write_timeline(const plot_figures *all, FILE *variables)
{
    timeline recorded = {NULL, 0};
    char *path = timeline_path(all->result->path), *why = NULL;
    if (!cli_exists(path))
        why = cli_format("needs a timeline beside the result: ./lab run %s --solution --trace",
                         all->result->lab + strcspn(all->result->lab, "0123456789"));
    else if (timeline_load(&recorded, path, all->result) != PK_OK)
        why = cli_plain(pk_error_text()); /* the other figures need none */
    for (size_t i = 0; i < recorded.count; i++)
        find_tokens(all, &recorded.variants[i]);
    const pk_status status = write_bars(all, &recorded);
    if (status == PK_OK)
        put_variables(variables, &recorded, why ? why : "");
    timeline_free(&recorded);
    free(why);
    free(path);
    return status;
}
