/* Memory in the order of the device's work. Each has address space of its own from the call that named it on, so that
 * nothing has to move; pages come as they are touched. A GPU lets graphs share pages that are never in use at once:
 * what graphs reserve is counted as if these did. */
#include "ordered.h"

#include <stdlib.h>

#include "memory.h"

static struct pk_ordered *all;
struct pk_ordered_sizes pk_graph_sizes;

struct pk_ordered *pk_ordered_new(size_t bytes, struct pk_ordered_sizes *sizes, const void *caller)
{
    struct pk_ordered *memory = (struct pk_ordered *)calloc(1, sizeof(*memory));
    if (!memory)
        abort();
    memory->bytes = bytes;
    memory->sizes = sizes;
    memory->references = 1;
    memory->base = pk_memory_reserve(bytes, memory, caller);
    if (!memory->base) {
        free(memory);
        return nullptr;
    }
    memory->next = all;
    memory->link = &all;
    if (all)
        all->link = &memory->next;
    all = memory;
    return memory;
}

void pk_ordered_release(struct pk_ordered *memory)
{
    if (--memory->references > 0)
        return;
    pk_memory_unreserve(memory->base);
    *memory->link = memory->next;
    if (memory->next)
        memory->next->link = memory->link;
    free(memory);
}

struct pk_ordered *pk_ordered_at(const void *address)
{
    return pk_memory_ordered(address);
}

struct pk_op *pk_ordered_op(enum pk_op_kind kind, struct pk_ordered *memory)
{
    struct pk_op *op = pk_op_new(kind);
    op->as.memory = memory;
    memory->references++;
    return op;
}

static void set_present(struct pk_ordered *memory, bool present)
{
    if (memory->present == present)
        return;
    memory->present = present;
    pk_memory_set_present(memory->base, present);
}

void pk_ordered_run(struct pk_op *op)
{
    set_present(op->as.memory, op->kind == PK_OP_ALLOCATE);
}

void pk_ordered_set_live(struct pk_ordered *memory, bool live)
{
    struct pk_ordered_sizes *sizes = memory->sizes;
    if (memory->live == live)
        return;
    memory->live = live;
    if (!live) {
        sizes->used -= memory->bytes;
        pk_ordered_release(memory);
        return;
    }
    memory->references++;
    sizes->used += memory->bytes;
    if (sizes->used > sizes->used_high)
        sizes->used_high = sizes->used;
}

bool pk_ordered_reserve(struct pk_ordered_sizes *sizes, uint64_t bytes)
{
    if (bytes <= sizes->reserved)
        pk_memory_refund(sizes->reserved - bytes);
    else if (pk_memory_fits(bytes - sizes->reserved))
        pk_memory_charge(bytes - sizes->reserved);
    else
        return false;
    sizes->reserved = bytes;
    if (sizes->reserved > sizes->reserved_high)
        sizes->reserved_high = sizes->reserved;
    return true;
}

bool pk_ordered_free_now(struct pk_ordered *memory)
{
    if (!memory->live)
        return false;
    set_present(memory, false);
    if (memory->pool)
        pk_pool_take_back(memory, nullptr, nullptr);
    pk_ordered_set_live(memory, false);
    return true;
}

void pk_ordered_trim_graphs(void)
{
    for (struct pk_ordered *memory = all; memory; memory = memory->next)
        if (!memory->pool && !memory->present && !memory->live)
            pk_memory_drop_pages(memory->base);
    (void)pk_ordered_reserve(&pk_graph_sizes, pk_graph_sizes.used);
}

void pk_ordered_reset(void)
{
    pk_lock();
    for (struct pk_ordered *memory = all, *next; memory; memory = next) {
        next = memory->next;
        (void)pk_ordered_free_now(memory);
    }
    pk_ordered_trim_graphs();
    pk_pools_reset();
    pk_unlock();
}
