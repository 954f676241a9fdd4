/* Progress of long work: a bar that redraws itself on a terminal, plain lines elsewhere; and whether to use colour. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pk/host.h"
#include "pk/utf8.h"

struct pk_progress {
    FILE *out;
    char *what;
    size_t total, done;
    bool terminal, any_shown, last_shown;
    double shown_us; /* when the last line or bar was drawn */
    char label[64];  /* of the last step */
};

/* Between two redraws. A log does not need ten lines a second. */
static const double terminal_interval_us = 1e5, log_interval_us = 1e6;
enum { BAR = 24, PLAIN_WIDTH = 80 };

static bool is_terminal(FILE *out)
{
    const int file = fileno(out);
    return file >= 0 && isatty(file);
}

static bool is_dumb(void)
{
    const char *term = getenv("TERM");
    return !term || strcmp(term, "dumb") == 0;
}

bool pk_use_colour(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR"); /* https://no-color.org: set and not empty */
    return is_terminal(out) && !is_dumb() && !(no_colour && *no_colour);
}

static size_t terminal_width(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return PLAIN_WIDTH;
}

/* The bar fits in one terminal line: a wrapped one could not be drawn over. */
static void draw_bar(const pk_progress *progress)
{
    char bar[BAR + 1], line[512];
    const double share = progress->total ? (double)progress->done / (double)progress->total : 1.0;
    const size_t filled = (size_t)(share * (double)BAR + 0.5);
    for (size_t i = 0; i < BAR; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR] = 0;
    (void)snprintf(line, sizeof line, "%s [%s] %zu/%zu %s", progress->what, bar, progress->done, progress->total,
                   progress->label);
    const size_t bytes = pk_utf8_bytes(line, terminal_width(progress->out) - 1);
    (void)fprintf(progress->out, "\r\033[K%.*s", (int)bytes, line);
}

static void show(pk_progress *progress, double now_us)
{
    if (progress->terminal)
        draw_bar(progress);
    else
        (void)fprintf(progress->out, "%s: %zu/%zu%s%s\n", progress->what, progress->done, progress->total,
                      progress->label[0] ? " " : "", progress->label);
    (void)fflush(progress->out);
    progress->any_shown = true;
    progress->last_shown = true;
    progress->shown_us = now_us;
}

pk_progress *pk_progress_begin(FILE *out, const char *what, size_t total)
{
    pk_progress *progress = calloc(1, sizeof *progress);
    char *name = strdup(what);
    if (!progress || !name) { /* no progress is shown; the functions below take NULL */
        free(progress);
        free(name);
        return NULL;
    }
    progress->out = out;
    progress->what = name;
    progress->total = total;
    progress->terminal = is_terminal(out) && !is_dumb();
    return progress;
}

void pk_progress_step(pk_progress *progress, size_t done, const char *label)
{
    if (!progress)
        return;
    const double now_us = pk_now_us();
    const double interval_us = progress->terminal ? terminal_interval_us : log_interval_us;
    progress->done = done < progress->total ? done : progress->total;
    progress->last_shown = false;
    (void)snprintf(progress->label, sizeof progress->label, "%s", label ? label : "");
    if (!progress->any_shown || progress->done == progress->total || now_us - progress->shown_us >= interval_us)
        show(progress, now_us);
}

void pk_progress_end(pk_progress *progress)
{
    if (!progress)
        return;
    if (progress->terminal) {
        (void)fputs("\r\033[K", progress->out);
        (void)fflush(progress->out);
    } else if (progress->any_shown && !progress->last_shown) {
        show(progress, pk_now_us()); /* where it ended, when it ended early */
    }
    free(progress->what);
    free(progress);
}
