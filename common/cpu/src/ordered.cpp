/* Memory in the order of the device's work. Each has address space of its own from the call that named it on, so that
 * nothing has to move; pages come as they are touched, and go when what is reserved is trimmed. A GPU lets graphs share
 * pages that are never in use at once: the sizes here are counted as if these did. */
#include "ordered.h"

#include <stdlib.h>

#include "memory.h"

static struct pk_ordered *all;
static struct pk_ordered_sizes sizes;
static uint64_t live_bytes;

struct pk_ordered *pk_ordered_new(size_t bytes, const void *caller)
{
    struct pk_ordered *memory = (struct pk_ordered *)calloc(1, sizeof(*memory));
    if (!memory)
        abort();
    memory->bytes = bytes;
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

static void set_present(struct pk_ordered *memory, bool present)
{
    if (memory->present == present)
        return;
    memory->present = present;
    pk_memory_set_present(memory->base, present);
    if (!present) {
        sizes.used -= memory->bytes;
        return;
    }
    sizes.used += memory->bytes;
    if (sizes.used > sizes.used_high)
        sizes.used_high = sizes.used;
    if (sizes.used > sizes.reserved) { /* launches beside each other: each had room for its own */
        pk_memory_charge(sizes.used - sizes.reserved);
        sizes.reserved = sizes.used;
    }
    if (sizes.reserved > sizes.reserved_high)
        sizes.reserved_high = sizes.reserved;
}

void pk_ordered_release(struct pk_ordered *memory)
{
    if (--memory->references > 0)
        return;
    set_present(memory, false);
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

void pk_ordered_run(struct pk_op *op)
{
    set_present(op->as.memory, op->kind == PK_OP_ALLOCATE);
}

void pk_ordered_set_live(struct pk_ordered *memory, bool live)
{
    if (memory->live == live)
        return;
    memory->live = live;
    if (live) {
        live_bytes += memory->bytes;
        memory->references++;
    } else {
        live_bytes -= memory->bytes;
        pk_ordered_release(memory);
    }
}

bool pk_ordered_make_room(size_t bytes)
{
    const uint64_t wanted = live_bytes + bytes;
    if (wanted <= sizes.reserved)
        return true;
    if (!pk_memory_fits(wanted - sizes.reserved))
        return false;
    pk_memory_charge(wanted - sizes.reserved);
    sizes.reserved = wanted;
    if (sizes.reserved > sizes.reserved_high)
        sizes.reserved_high = sizes.reserved;
    return true;
}

bool pk_ordered_free_now(struct pk_ordered *memory)
{
    if (!memory->live)
        return false;
    set_present(memory, false);
    pk_ordered_set_live(memory, false);
    return true;
}

void pk_ordered_trim(void)
{
    const uint64_t kept = live_bytes > sizes.used ? live_bytes : sizes.used;
    for (struct pk_ordered *memory = all; memory; memory = memory->next)
        if (!memory->present && !memory->live)
            pk_memory_drop_pages(memory->base);
    if (sizes.reserved > kept) {
        pk_memory_refund(sizes.reserved - kept);
        sizes.reserved = kept;
    }
}

struct pk_ordered_sizes *pk_ordered_counts(void)
{
    return &sizes;
}

void pk_ordered_reset(void)
{
    pk_lock();
    for (struct pk_ordered *memory = all, *next; memory; memory = next) {
        next = memory->next;
        (void)pk_ordered_free_now(memory);
    }
    pk_ordered_trim();
    pk_unlock();
}
