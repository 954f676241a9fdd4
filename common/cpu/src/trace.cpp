/* The device's own trace: <pk_cpu/trace.h>. */
#include "trace.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <pk_cpu/trace.h>

#include "engine.h"
#include "error.h"
#include "os.h"

bool pk_trace_is_on;

/* Guarded by the lock. */
static pk_cpu_trace_take *take_event;
static void *take_context;
static uint64_t trace_began_ns;

static uint64_t calls; /* numbered so far: relaxed, only the numbers matter */
static __thread uint64_t calling;

extern "C" int pk_cpu_trace_begin(pk_cpu_trace_take *take, void *context)
{
    (void)pk_enter();
    pk_lock();
    const bool free = !take_event && take;
    if (free) {
        take_event = take;
        take_context = context;
        trace_began_ns = pk_now_ns();
        __atomic_store_n(&pk_trace_is_on, true, __ATOMIC_RELAXED);
    }
    pk_unlock();
    return free;
}

extern "C" void pk_cpu_trace_end(void)
{
    pk_lock();
    __atomic_store_n(&pk_trace_is_on, false, __ATOMIC_RELAXED);
    take_event = nullptr;
    pk_unlock();
}

/* With the lock held. */
static void tell(const pk_cpu_trace_event *event)
{
    if (take_event && event->begin_ns >= trace_began_ns)
        take_event(event, take_context);
}

/* ---- calls ---- */

uint64_t pk_trace_call_number(void)
{
    return calling;
}

void pk_trace_call::begin(const char *function)
{
    if (calling)
        return;
    calling = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    name = function;
    begin_ns = pk_now_ns();
}

void pk_trace_call::end()
{
    pk_cpu_trace_event event = {};
    event.kind = PK_CPU_TRACE_CALL;
    event.name = name;
    event.begin_ns = begin_ns;
    event.end_ns = pk_now_ns();
    event.call = calling;
    event.thread = (uint64_t)syscall(SYS_gettid);
    calling = 0;
    pk_lock();
    tell(&event);
    pk_unlock();
}

/* ---- work ---- */

void pk_trace_op_begins_now(struct pk_op *op)
{
    if (op->began_ns == 0)
        op->began_ns = pk_now_ns();
}

static bool describe_work(const struct pk_op *op, pk_cpu_trace_event *event)
{
    switch (op->kind) {
    case PK_OP_KERNEL:
        event->kind = PK_CPU_TRACE_KERNEL;
        event->name = op->as.kernel.grid.code->name;
        event->grid[0] = op->as.kernel.grid.size.x;
        event->grid[1] = op->as.kernel.grid.size.y;
        event->grid[2] = op->as.kernel.grid.size.z;
        event->block[0] = op->as.kernel.grid.block.x;
        event->block[1] = op->as.kernel.grid.block.y;
        event->block[2] = op->as.kernel.grid.block.z;
        return true;
    case PK_OP_COPY:
        event->kind = PK_CPU_TRACE_COPY;
        event->bytes = op->as.copy.width * op->as.copy.height * op->as.copy.depth;
        return true;
    case PK_OP_FILL:
        event->kind = PK_CPU_TRACE_FILL;
        event->bytes = op->as.fill.width * op->as.fill.height * op->as.fill.element_bytes;
        return true;
    case PK_OP_HOST:
        event->kind = PK_CPU_TRACE_HOST_FUNCTION;
        return true;
    case PK_OP_MARK:
    case PK_OP_GRAPH:
    case PK_OP_RECORD:
    case PK_OP_WAIT:
    case PK_OP_ALLOCATE:
    case PK_OP_FREE:
        break;
    }
    return false;
}

void pk_trace_op_ends_now(struct pk_op *op)
{
    pk_cpu_trace_event event = {};
    event.name = "";
    if (op->began_ns == 0 || !describe_work(op, &event))
        return;
    const struct pk_op *launch = op->body ? pk_body_launch(op) : op;
    event.begin_ns = op->began_ns;
    event.end_ns = pk_now_ns();
    event.call = launch->call;
    event.stream = launch->stream;
    event.graph = op->body ? pk_body_graph(op) : 0;
    event.node = op->node;
    tell(&event);
}
