/* How executable graphs run. A graph's ops are linked once, at instantiation; a run hands out the roots, and each op
 * that ends makes those ready that follow it, on the OS thread that ended it: no host step between nodes, and nothing
 * to allocate. An op arms itself again as it ends. A child graph or a conditional node is an op that runs a body of
 * its own, once or again and again. All under the lock. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "ordered.h"

/* ---- building ---- */

void pk_op_copy_work(struct pk_op *to, const struct pk_op *from)
{
    pk_op_drop_payload(to);
    to->kind = from->kind;
    to->as = from->as;
    if (from->kind == PK_OP_ALLOCATE || from->kind == PK_OP_FREE)
        to->as.memory->references++;
    if (from->kind != PK_OP_KERNEL)
        return;
    const unsigned bytes = from->as.kernel.grid.code->packet_bytes;
    to->as.kernel.grid.packet = bytes > sizeof(to->packet_inline) ? (unsigned char *)malloc(bytes) : to->packet_inline;
    if (!to->as.kernel.grid.packet)
        pk_records_do_not_fit();
    memcpy(to->as.kernel.grid.packet, from->as.kernel.grid.packet, bytes);
}

/* `room` more pointers behind *list. */
static void *more(void *list, int count, int room)
{
    list = realloc(list, (size_t)(count + room) * sizeof(void *));
    if (!list)
        pk_records_do_not_fit();
    return list;
}

static void collect_conditions(struct pk_image *image, const struct CUgraph_st *graph)
{
    for (size_t i = 0; i < graph->conditions.count; ++i)
        pk_conditions_add(&image->conditions, &graph->conditions.at[i]);
}

static struct pk_body *build_body(struct pk_image *image, struct CUgraph_st *graph)
{
    const int n = (int)graph->nodes.count;
    struct pk_body *body = (struct pk_body *)calloc(1, sizeof(*body));
    if (!body)
        pk_records_do_not_fit();
    image->bodies = (struct pk_body **)more(image->bodies, image->n_bodies, 1);
    image->bodies[image->n_bodies++] = body;
    collect_conditions(image, graph);
    body->image = image;
    body->n_ops = n;
    body->ops = (struct pk_op **)more(nullptr, n, 1);
    body->roots = (struct pk_op **)more(nullptr, n, 1);
    for (int i = 0; i < n; ++i) {
        struct CUgraphNode_st *node = graph->nodes.at[i];
        struct pk_op *op = pk_op_new(PK_OP_MARK);
        op->body = body;
        op->node = node->origin ? node->origin : node->id;
        node->live = op;
        body->ops[i] = op;
        if (!node->disabled)
            pk_op_copy_work(op, node->work);
        if (op->kind == PK_OP_GRAPH) {
            op->as.graph.n_bodies = node->n_children;
            op->as.graph.bodies = (struct pk_body **)more(nullptr, node->n_children, 0);
            for (int c = 0; c < node->n_children; ++c)
                op->as.graph.bodies[c] = build_body(image, node->children[c]);
        }
        if (op->kind == PK_OP_RECORD || op->kind == PK_OP_WAIT) {
            image->event_ops = (struct pk_op **)more(image->event_ops, image->n_events, 1);
            op->as.event.slot = image->n_events;
            image->event_ops[image->n_events++] = op;
        }
    }
    for (int i = 0; i < n; ++i) {
        const struct CUgraphNode_st *node = graph->nodes.at[i];
        for (size_t e = 0; e < node->after.count; ++e)
            pk_op_follow(node->after.at[e]->live, node->live);
    }
    for (int i = 0; i < n; ++i) {
        body->ops[i]->indegree = body->ops[i]->blockers;
        if (body->ops[i]->indegree == 0)
            body->roots[body->n_roots++] = body->ops[i];
    }
    return body;
}

struct pk_image *pk_image_build(struct CUgraph_st *snapshot)
{
    struct pk_image *image = (struct pk_image *)calloc(1, sizeof(*image));
    if (!image)
        pk_records_do_not_fit();
    image->references = 1;
    image->graph_id = snapshot->id;
    build_body(image, snapshot);
    for (size_t i = 0; i < image->conditions.count; ++i)
        image->conditions.at[i].value = image->conditions.at[i].initial;
    return image;
}

void pk_image_release(struct pk_image *image)
{
    if (!image || --image->references > 0)
        return;
    for (int b = 0; b < image->n_bodies; ++b) {
        struct pk_body *body = image->bodies[b];
        for (int i = 0; i < body->n_ops; ++i) {
            if (body->ops[i]->kind == PK_OP_GRAPH)
                free(body->ops[i]->as.graph.bodies);
            pk_op_release(body->ops[i]);
        }
        free(body->ops);
        free(body->roots);
        free(body);
    }
    free(image->bodies);
    free(image->conditions.at);
    free(image->event_ops);
    free(image);
}

/* ---- launching ---- */

/* What an event had recorded when the graph was launched is what its wait node waits for; and from then on the event
 * is recorded anew, which the record node completes. The waits come first, so that no launch waits for itself. */
static struct pk_op **prepare_events(struct pk_image *image)
{
    if (image->n_events == 0)
        return nullptr;
    struct pk_op **events = (struct pk_op **)calloc((size_t)image->n_events, sizeof(*events));
    if (!events)
        pk_records_do_not_fit();
    for (int i = 0; i < image->n_events; ++i) {
        const struct pk_op *op = image->event_ops[i];
        if (op->kind == PK_OP_WAIT && op->as.event.event->record) {
            events[i] = op->as.event.event->record;
            events[i]->references++;
        }
    }
    for (int i = 0; i < image->n_events; ++i) {
        const struct pk_op *op = image->event_ops[i];
        if (op->kind != PK_OP_RECORD || !pk_event_alive(op->as.event.event))
            continue;
        struct pk_op *mark = pk_op_new(PK_OP_MARK);
        pk_op_promise(mark);
        mark->references++; /* this list's */
        pk_op_release(op->as.event.event->record);
        op->as.event.event->record = mark;
        op->as.event.event->capture_id = 0;
        events[i] = mark;
    }
    return events;
}

struct pk_op *pk_image_launch(struct pk_image *image)
{
    struct pk_op *op = pk_op_new(PK_OP_GRAPH);
    image->references++;
    op->as.graph.how = PK_GRAPH_LAUNCH;
    op->as.graph.n_bodies = 1;
    op->as.graph.bodies = image->bodies;
    op->as.graph.image = image;
    op->as.graph.events = prepare_events(image);
    return op;
}

/* ---- running ---- */

static struct pk_condition *find_condition(const struct pk_image *image, cudaGraphConditionalHandle handle)
{
    for (size_t i = 0; i < image->conditions.count; ++i)
        if (image->conditions.at[i].handle == handle)
            return &image->conditions.at[i];
    return nullptr;
}

extern "C" void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value)
{
    const struct pk_op *kernel = pk_running_kernel();
    struct pk_condition *condition = kernel && kernel->body ? find_condition(kernel->body->image, handle) : nullptr;
    if (condition)
        __atomic_store_n(&condition->value, value, __ATOMIC_RELAXED);
}

/* The body that the op runs next, or null where it has ended. */
static struct pk_body *next_body(const struct pk_op *op)
{
    const struct pk_graph_op *graph = &op->as.graph;
    if (pk_fault())
        return nullptr;
    if (graph->how == PK_GRAPH_LAUNCH || graph->how == PK_GRAPH_CHILD)
        return graph->bodies[0];
    const struct pk_condition *condition = find_condition(op->body->image, graph->handle);
    const unsigned value = condition ? __atomic_load_n(&condition->value, __ATOMIC_RELAXED) : 0;
    unsigned choice = value;
    if (graph->how == PK_GRAPH_IF || graph->how == PK_GRAPH_WHILE)
        choice = value ? 0 : 1;
    return choice < (unsigned)graph->n_bodies ? graph->bodies[choice] : nullptr;
}

static void end(struct pk_op *op, struct pk_op **finished)
{
    op->next = *finished;
    *finished = op;
}

static void run_body(struct pk_op *op, struct pk_op **finished)
{
    struct pk_body *body = next_body(op);
    if (!body || body->n_ops == 0) {
        end(op, finished);
        return;
    }
    body->outer = op;
    body->left = body->n_ops;
    for (int i = 0; i < body->n_roots; ++i)
        pk_op_become_ready(body->roots[i], finished);
}

static void begin_launch(struct pk_op *op)
{
    struct pk_image *image = op->as.graph.image;
    image->launch = op;
    for (size_t i = 0; i < image->conditions.count; ++i) {
        struct pk_condition *condition = &image->conditions.at[i];
        if (condition->flags & cudaGraphCondAssignDefault)
            __atomic_store_n(&condition->value, condition->initial, __ATOMIC_RELAXED);
    }
}

/* The first run of a record node completes what the event has stood for since the launch; a later one in a loop
 * records the event anew. */
static void record(struct pk_op *op, struct pk_op **finished)
{
    struct pk_op **pending = &op->body->image->launch->as.graph.events[op->as.event.slot];
    struct pk_op *mark = *pending;
    struct CUevent_st *event = op->as.event.event;
    *pending = nullptr;
    end(op, finished);
    if (mark) {
        /* Last in, first out: the host hears of it before what follows here is handed out. */
        mark->blockers = 0;
        end(mark, finished);
        pk_op_release(mark);
    } else if (pk_event_alive(event)) {
        pk_op_release(event->record);
        event->record = pk_op_ended_now();
    }
}

/* Comes here twice where it has to wait. */
static void wait(struct pk_op *op, struct pk_op **finished)
{
    struct pk_op **pending = &op->body->image->launch->as.graph.events[op->as.event.slot];
    struct pk_op *earlier = *pending;
    *pending = nullptr;
    pk_op_follow(op, earlier);
    pk_op_release(earlier);
    if (op->blockers == 0)
        end(op, finished);
}

void pk_graph_ready(struct pk_op *op, struct pk_op **finished)
{
    if (op->kind == PK_OP_RECORD) {
        record(op, finished);
    } else if (op->kind == PK_OP_WAIT) {
        wait(op, finished);
    } else {
        if (op->as.graph.how == PK_GRAPH_LAUNCH)
            begin_launch(op);
        run_body(op, finished);
    }
}

int pk_body_priority(const struct pk_op *op)
{
    return op->body->image->launch->priority;
}

const struct pk_op *pk_body_launch(const struct pk_op *op)
{
    return op->body->image->launch;
}

uint64_t pk_body_graph(const struct pk_op *op)
{
    return op->body->image->graph_id;
}

void pk_body_op_ended(struct pk_op *op, struct pk_op **finished)
{
    struct pk_body *body = op->body;
    if (--body->left > 0)
        return;
    struct pk_op *outer = body->outer;
    if (outer->as.graph.how == PK_GRAPH_WHILE)
        run_body(outer, finished);
    else
        end(outer, finished);
}

void pk_graph_launch_ended(struct pk_op *op, struct pk_op **finished)
{
    struct pk_image *image = op->as.graph.image;
    for (int i = 0; op->as.graph.events && i < image->n_events; ++i) {
        struct pk_op *left = op->as.graph.events[i];
        /* A record node in a branch that was not taken: nobody may wait for it for ever. */
        if (left && image->event_ops[i]->kind == PK_OP_RECORD)
            end(left, finished);
        pk_op_release(left);
    }
    free(op->as.graph.events);
    op->as.graph.events = nullptr;
    pk_image_release(image);
}
