/* What one repetition of a variant did and when: calls of the host, and what they made the device do. Who tells is
 * recorder.h's; trace_json.h writes it as a file. */
#ifndef PK_TRACE_H
#define PK_TRACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All events of a file: some 50 MB of memory while it is recorded, and 100 MB as it is written. Variants share it
 * evenly. What comes beyond is counted, and the file says how much it was. */
enum { PK_TRACE_MOST_EVENTS = 1 << 18 };

/* A block's track is that of a stream beyond all streams. */
static const uint64_t PK_TRACE_BLOCKS = (uint64_t)1 << 62;

typedef enum pk_trace_kind {
    PK_TRACE_LAUNCH, /* from here on: the host is in a call that hands over a kernel */
    PK_TRACE_REPLAY, /* or a graph */
    PK_TRACE_COPY_CALL,
    PK_TRACE_FILL_CALL,
    PK_TRACE_WAIT,   /* or waits for the device */
    PK_TRACE_CALL,   /* or does anything else */
    PK_TRACE_TOKEN,  /* a moment: the variant said that a token was done */
    PK_TRACE_KERNEL, /* from here on: the device works */
    PK_TRACE_COPY,
    PK_TRACE_FILL,
    PK_TRACE_HOST_FUNCTION,
    PK_TRACE_SPAN /* what a block of a kernel did, as the variant's own stamps tell it */
} pk_trace_kind;

typedef struct pk_trace_event {
    pk_trace_kind kind;
    uint32_t lane; /* of the device's: which of the tracks that its stream needs, since work in a stream may overlap */
    const char *name;          /* the trace's own; "" for none */
    uint64_t begin_ns, end_ns; /* by the source's clock, which is one for host and device; SPAN: by a clock of its own
                                  until pk_trace_settle */
    uint64_t call;   /* of the host: the call's number; of the device: of the call that handed it over. 0: not known.
                        TOKEN: its number */
    uint64_t thread; /* of the host, as the system numbers it; 0: not known */
    uint64_t stream; /* of the device, as the source numbers it; SPAN: PK_TRACE_BLOCKS and its block */
    uint64_t graph, node;       /* of the device: the graph that ran it; 0: none, or not known */
    uint32_t grid[3], block[3]; /* KERNEL, and LAUNCH where only the launch macro tells; 0: not known */
    uint64_t bytes;             /* COPY, FILL */
} pk_trace_event;

typedef struct pk_trace {
    const char *variant; /* not owned, as the next two */
    const char *source;  /* who told: "CUPTI" */
    const char *missing; /* what the source cannot tell, as a sentence; "" when nothing */
    bool is_baseline;
    pk_trace_event *events;
    size_t count, room, limit;
    uint64_t left_out;          /* events beyond the limit */
    uint64_t lost;              /* events that the source had and could not give */
    bool lost_more;             /* and some that it could not count */
    uint64_t unpaired;          /* work of graphs of which the source does not tell which replay handed it over */
    uint64_t launches, replays; /* of the repetition, as the launch macro counted them */
    uint64_t begin_ns, end_ns;  /* of the repetition */
    char **names;
    size_t name_count, name_room;
    pthread_mutex_t lock;
} pk_trace;

/* An empty trace that holds `limit` events at most. Its memory grows as events come. */
void pk_trace_init(pk_trace *trace, size_t limit);
void pk_trace_free(pk_trace *trace);

/* The repetition begins at `begin_ns`: events that began before it go, and those that a source tells of later. */
void pk_trace_begin_at(pk_trace *trace, uint64_t begin_ns);

/* Add an event, from any thread; its name is copied. Where there is no room or no memory it is counted as left out. */
void pk_trace_add(pk_trace *trace, const pk_trace_event *event);

/* What a call of the runtime is, by CUDA's name for it. False when it only asks (cudaGetLastError, cudaStreamQuery):
 * then it is left out of traces. */
bool pk_trace_call_kind(const char *name, pk_trace_kind *kind);

/* Put right which replay handed over which work of a graph, where the source's numbers cannot be true: in CUPTI before
 * CUDA 13.1 update 1 they are wrong in every recording of a process but the first ("Updates in CUDA 13.1 Update 1",
 * CUPTI's release notes). As replays follow each other, the nth call handed over the nth run: of equal numbers, or, if
 * there are not as many of those as calls, from one run of a graph's first node to the next. Both get a number that
 * nothing else has. Where neither is as many, the work is counted as unpaired. */
void pk_trace_pair_replays(pk_trace *trace);

/* After the last event: what began after the end of the repetition goes; the host's events come first, by thread and
 * time, then the device's by stream, lane and time; and lanes are given, so that no two of one overlap. */
void pk_trace_settle(pk_trace *trace);

bool pk_trace_is_of_device(pk_trace_kind kind);

#endif
