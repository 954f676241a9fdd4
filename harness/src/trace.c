/* One repetition's events: kept up to a limit, named, put in order. */
#include "trace.h"

#include <stdlib.h>
#include <string.h>

void pk_trace_init(pk_trace *trace, size_t limit)
{
    memset(trace, 0, sizeof *trace);
    trace->limit = limit;
    trace->source = trace->missing = trace->variant = "";
    (void)pthread_mutex_init(&trace->lock, NULL);
}

void pk_trace_free(pk_trace *trace)
{
    for (size_t i = 0; i < trace->name_count; i++)
        free(trace->names[i]);
    free(trace->names);
    free(trace->events);
    (void)pthread_mutex_destroy(&trace->lock);
    memset(trace, 0, sizeof *trace);
}

/* Twice the room, `least` at first and `most` at last; NULL when memory is out, and all is as it was. */
static void *grown(void *array, size_t *room, size_t least, size_t most, size_t element)
{
    size_t wanted = *room ? 2 * *room : least;
    wanted = wanted < most ? wanted : most;
    void *larger = realloc(array, wanted * element);
    if (larger)
        *room = wanted;
    return larger;
}

/* The trace's copy of the name; NULL when memory is out. Names are few: a lab's kernels and the runtime's calls. The
 * last ones are the likeliest. */
static const char *own_name(pk_trace *trace, const char *name)
{
    if (!*name)
        return "";
    for (size_t i = trace->name_count; i-- > 0;)
        if (strcmp(trace->names[i], name) == 0)
            return trace->names[i];
    if (trace->name_count == trace->name_room) {
        char **names = grown(trace->names, &trace->name_room, 16, SIZE_MAX / sizeof *names, sizeof *names);
        if (!names)
            return NULL;
        trace->names = names;
    }
    char *copy = strdup(name);
    if (copy)
        trace->names[trace->name_count++] = copy;
    return copy;
}

static bool has_room(pk_trace *trace)
{
    if (trace->count < trace->room)
        return true;
    if (trace->count >= trace->limit)
        return false;
    pk_trace_event *events = grown(trace->events, &trace->room, 1024, trace->limit, sizeof *events);
    if (events)
        trace->events = events;
    return events != NULL;
}

void pk_trace_begin_at(pk_trace *trace, uint64_t begin_ns)
{
    (void)pthread_mutex_lock(&trace->lock);
    size_t kept = 0;
    for (size_t i = 0; i < trace->count; i++)
        if (trace->events[i].begin_ns >= begin_ns)
            trace->events[kept++] = trace->events[i];
    trace->count = kept;
    trace->left_out = 0;
    trace->begin_ns = begin_ns;
    (void)pthread_mutex_unlock(&trace->lock);
}

/* With the lock held. */
static void keep(pk_trace *trace, const pk_trace_event *event)
{
    const char *name = has_room(trace) ? own_name(trace, event->name) : NULL;
    if (!name) {
        trace->left_out++;
        return;
    }
    trace->events[trace->count] = *event;
    trace->events[trace->count++].name = name;
}

void pk_trace_add(pk_trace *trace, const pk_trace_event *event)
{
    (void)pthread_mutex_lock(&trace->lock);
    if (event->kind == PK_TRACE_SPAN || event->begin_ns >= trace->begin_ns) /* else of the repetition that went ahead */
        keep(trace, event);
    (void)pthread_mutex_unlock(&trace->lock);
}

/* ---- what a call is ---- */

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool pk_trace_call_kind(const char *name, pk_trace_kind *kind)
{
    *kind = PK_TRACE_CALL;
    if (begins(name, "cudaLaunchKernel") || begins(name, "cudaLaunchCooperativeKernel"))
        *kind = PK_TRACE_LAUNCH;
    else if (begins(name, "cudaGraphLaunch"))
        *kind = PK_TRACE_REPLAY;
    else if (begins(name, "cudaMemcpy"))
        *kind = PK_TRACE_COPY_CALL;
    else if (begins(name, "cudaMemset"))
        *kind = PK_TRACE_FILL_CALL;
    else if (strstr(name, "Synchronize"))
        *kind = PK_TRACE_WAIT;
    else /* a launch's configuration is put aside and taken up again around it: no call of the program's */
        return !strstr(name, "CallConfiguration") && !begins(name, "cudaGet") && !begins(name, "cudaPeek") &&
               !begins(name, "cudaDeviceGet") && !begins(name, "cudaStreamGet") && !begins(name, "cudaStreamIs") &&
               !begins(name, "cudaFuncGet") && !begins(name, "cudaMemGetInfo") && !begins(name, "cudaOccupancy") &&
               !strstr(name, "Query");
    return true;
}

bool pk_trace_is_of_device(pk_trace_kind kind)
{
    return kind >= PK_TRACE_KERNEL;
}

static int by_number(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Of two that begin together the longer comes first: it is the one that holds the other. */
static int by_time(const pk_trace_event *a, const pk_trace_event *b)
{
    const int begin = by_number(a->begin_ns, b->begin_ns);
    return begin ? begin : by_number(b->end_ns, a->end_ns);
}

/* ---- which replay handed over which work ---- */

static int pointed_by_time(const void *left, const void *right)
{
    return by_time(*(pk_trace_event *const *)left, *(pk_trace_event *const *)right);
}

static bool is_of_graph(const pk_trace_event *event)
{
    return pk_trace_is_of_device(event->kind) && event->node != 0;
}

static bool is_replay(const pk_trace_event *event)
{
    return event->kind == PK_TRACE_REPLAY;
}

/* Those that `wanted` is true of, by time, into `found`. */
static size_t find_by_time(pk_trace *trace, bool (*wanted)(const pk_trace_event *), pk_trace_event **found)
{
    size_t count = 0;
    for (size_t i = 0; i < trace->count; i++)
        if (wanted(&trace->events[i]))
            found[count++] = &trace->events[i];
    if (count)
        qsort(found, count, sizeof(pk_trace_event *), pointed_by_time);
    return count;
}

/* Has a call this number, and no other than a replay? A mark of a token has a number of its own kind. */
static bool is_number_of_replay(const pk_trace *trace, uint64_t number)
{
    bool found = false;
    for (size_t i = 0; i < trace->count; i++) {
        const pk_trace_event *event = &trace->events[i];
        if (pk_trace_is_of_device(event->kind) || event->kind == PK_TRACE_TOKEN || event->call != number)
            continue;
        if (!is_replay(event))
            return false;
        found = true;
    }
    return found;
}

/* Does the work at `i` belong to another replay than that at `first`, where one began? */
typedef bool begins_run(pk_trace_event *const *work, size_t first, size_t i);

static bool has_another_number(pk_trace_event *const *work, size_t first, size_t i)
{
    return work[i]->call != work[first]->call;
}

static bool runs_again(pk_trace_event *const *work, size_t first, size_t i)
{
    return work[i]->graph != work[first]->graph || work[i]->node == work[first]->node;
}

/* How many runs there are by that rule, and which of them each piece of work is of. */
static size_t find_runs(size_t *run_of, pk_trace_event *const *work, size_t count, begins_run *rule)
{
    size_t runs = 0, first = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || rule(work, first, i)) {
            first = i;
            runs++;
        }
        run_of[i] = runs - 1;
    }
    return runs;
}

/* Is this all that the source tells of replays: their numbers, and those of their work? */
typedef struct told {
    bool work_is_theirs; /* no work has another number than a replay's */
    bool all_have_work;
} told;

static told what_is_told(const pk_trace *trace, pk_trace_event *const *work, size_t work_count,
                         pk_trace_event *const *replays, size_t replay_count)
{
    told is = {true, true};
    for (size_t i = 0; i < work_count && is.work_is_theirs; i++)
        if (i == 0 || work[i]->call != work[i - 1]->call)
            is.work_is_theirs = is_number_of_replay(trace, work[i]->call);
    for (size_t r = 0; r < replay_count && is.all_have_work; r++) {
        size_t i = 0;
        while (i < work_count && work[i]->call != replays[r]->call)
            i++;
        is.all_have_work = i < work_count;
    }
    return is;
}

static uint64_t greatest_number(const pk_trace *trace)
{
    uint64_t greatest = 0;
    for (size_t i = 0; i < trace->count; i++)
        if (trace->events[i].kind != PK_TRACE_TOKEN && trace->events[i].call > greatest)
            greatest = trace->events[i].call;
    return greatest;
}

static void pair(pk_trace *trace, pk_trace_event **work, size_t *run_of, size_t work_count, pk_trace_event **replays,
                 size_t replay_count)
{
    const told is = what_is_told(trace, work, work_count, replays, replay_count);
    if (work_count == 0 || (is.work_is_theirs && is.all_have_work))
        return;
    const bool known = find_runs(run_of, work, work_count, has_another_number) == replay_count ||
                       find_runs(run_of, work, work_count, runs_again) == replay_count;
    if (!known && is.work_is_theirs)
        return; /* a graph of nothing that is recorded */
    const uint64_t above = greatest_number(trace);
    for (size_t i = 0; i < work_count; i++)
        work[i]->call = known ? above + 1 + run_of[i] : 0;
    for (size_t r = 0; known && r < replay_count; r++)
        replays[r]->call = above + 1 + r;
    trace->unpaired = known ? 0 : work_count;
}

void pk_trace_pair_replays(pk_trace *trace)
{
    pk_trace_event **work = calloc(trace->count + 1, sizeof(pk_trace_event *));
    pk_trace_event **replays = calloc(trace->count + 1, sizeof(pk_trace_event *));
    size_t *run_of = calloc(trace->count + 1, sizeof *run_of);
    if (work && replays && run_of) {
        const size_t work_count = find_by_time(trace, is_of_graph, work);
        pair(trace, work, run_of, work_count, replays, find_by_time(trace, is_replay, replays));
    }
    free(work); /* without memory for it the numbers stay as they came */
    free(replays);
    free(run_of);
}

/* ---- order ---- */

static int by_stream(const pk_trace_event *a, const pk_trace_event *b)
{
    const int side = (int)pk_trace_is_of_device(a->kind) - (int)pk_trace_is_of_device(b->kind);
    if (side)
        return side;
    return pk_trace_is_of_device(a->kind) ? by_number(a->stream, b->stream) : by_number(a->thread, b->thread);
}

static int before_lanes(const void *left, const void *right)
{
    const pk_trace_event *a = left, *b = right;
    const int stream = by_stream(a, b);
    return stream ? stream : by_time(a, b);
}

static int with_lanes(const void *left, const void *right)
{
    const pk_trace_event *a = left, *b = right;
    const int stream = by_stream(a, b), lane = by_number(a->lane, b->lane);
    return stream ? stream : lane ? lane : by_time(a, b);
}

/* Each event of a stream takes the first lane that is free when it begins; beyond the last they overlap. */
static void give_lanes(pk_trace *trace)
{
    enum { LANES = 32 };
    uint64_t free_at[LANES] = {0};
    for (size_t i = 0; i < trace->count; i++) {
        pk_trace_event *event = &trace->events[i];
        if (!pk_trace_is_of_device(event->kind))
            continue;
        if (i > 0 && by_stream(event, &trace->events[i - 1]) != 0)
            memset(free_at, 0, sizeof free_at);
        while (event->lane < LANES - 1 && free_at[event->lane] > event->begin_ns)
            event->lane++;
        free_at[event->lane] = event->end_ns;
    }
}

/* All spans together, moved so that the last one ends with the last kernel: they are of the repetition's last kernel,
 * and by a clock of which only differences are known. */
static void place_spans(pk_trace *trace)
{
    uint64_t last = 0, end = 0;
    for (size_t i = 0; i < trace->count; i++) {
        const pk_trace_event *event = &trace->events[i];
        if (event->kind == PK_TRACE_SPAN)
            last = event->end_ns > last ? event->end_ns : last;
        else if (event->kind == PK_TRACE_KERNEL && event->begin_ns <= trace->end_ns)
            end = event->end_ns > end ? event->end_ns : end;
    }
    end = end ? end : trace->end_ns; /* a source that tells of no kernel */
    for (size_t i = 0; i < trace->count; i++) {
        pk_trace_event *event = &trace->events[i];
        if (event->kind != PK_TRACE_SPAN)
            continue;
        const uint64_t ahead = last - event->end_ns, length = event->end_ns - event->begin_ns;
        event->end_ns = end > ahead ? end - ahead : 0;
        event->begin_ns = event->end_ns > length ? event->end_ns - length : 0;
    }
}

void pk_trace_settle(pk_trace *trace)
{
    place_spans(trace);
    size_t kept = 0;
    for (size_t i = 0; i < trace->count; i++)
        if (trace->events[i].begin_ns <= trace->end_ns)
            trace->events[kept++] = trace->events[i];
    trace->count = kept;
    if (kept == 0)
        return;
    qsort(trace->events, kept, sizeof *trace->events, before_lanes);
    give_lanes(trace);
    qsort(trace->events, kept, sizeof *trace->events, with_lanes);
}
