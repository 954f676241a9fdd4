/* Fibers: stacks, and the switch from one to another on the same OS thread. On x86-64 the switch is a few lines of
 * assembly here. Elsewhere Boost.Context switches in a few nanoseconds; without it ucontext does the same with two
 * system calls, some forty times slower. Sanitizers are told of every switch. */
#include "fiber.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "settings.h"

#if defined(__x86_64__) && !defined(__ILP32__)
#define PK_CPU_OWN_SWITCH 1
#elif defined(PK_CPU_UCONTEXT)
#include <ucontext.h>
#else
#include <boost/context/detail/fcontext.hpp>
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(PK_CPU_TSAN_)
#include <sanitizer/tsan_interface.h>
#endif

struct pk_fiber {
#if defined(PK_CPU_OWN_SWITCH)
    void *context; /* the stack pointer, while the fiber is switched away */
#elif defined(PK_CPU_UCONTEXT)
    ucontext_t context;
#else
    boost::context::detail::fcontext_t context;
#endif
    void (*entry)(void *);
    void *argument;
    const void *stack; /* lowest address */
    size_t stack_bytes;
    void *fake_stack;        /* ASan's, while the fiber is switched away */
    void *race_fiber;        /* TSan's name for the fiber */
    struct pk_fiber *leaver; /* who switched here: the new fiber completes that switch */
};

#if defined(__SANITIZE_ADDRESS__)
static void switch_begins(struct pk_fiber *from, struct pk_fiber *to)
{
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
}
static void switch_ends(struct pk_fiber *here)
{
    const void *stack;
    size_t bytes;
    __sanitizer_finish_switch_fiber(here->fake_stack, &stack, &bytes);
    /* The OS thread's own stack is learnt from the first switch away from it. */
    if (here->leaver && !here->leaver->stack) {
        here->leaver->stack = stack;
        here->leaver->stack_bytes = bytes;
    }
}
#elif defined(PK_CPU_TSAN_)
static void switch_begins(struct pk_fiber *, struct pk_fiber *to)
{
    __tsan_switch_to_fiber(to->race_fiber, 0);
}
static void switch_ends(struct pk_fiber *)
{
}
#else
static void switch_begins(struct pk_fiber *, struct pk_fiber *)
{
}
static void switch_ends(struct pk_fiber *)
{
}
#endif

struct pk_fiber *pk_fiber_of_thread(void)
{
    struct pk_fiber *fiber = (struct pk_fiber *)calloc(1, sizeof(*fiber));
#if defined(PK_CPU_TSAN_)
    if (fiber)
        fiber->race_fiber = __tsan_get_current_fiber();
#elif !defined(__SANITIZE_ADDRESS__) /* which learns it from the first switch */
    pthread_attr_t attributes;
    void *stack;
    if (fiber && pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &stack, &fiber->stack_bytes) == 0)
            fiber->stack = stack;
        pthread_attr_destroy(&attributes);
    }
#endif
    return fiber;
}

/* A stack with a page below it that faults, so that an overflow is an error and
 * not a neighbour's data. Each such page costs two kernel mappings, of which a
 * process has 65,530 by default and sanitizers take many: only the first stacks
 * have one. */
static void *new_stack(size_t bytes)
{
    static int guards; /* relaxed: a count only */
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *low = (char *)mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (low == MAP_FAILED)
        return nullptr;
    if (__atomic_add_fetch(&guards, 1, __ATOMIC_RELAXED) <= 2048)
        mprotect(low, page, PROT_NONE);
    return low + page;
}

/* Stacks lie a power of two apart or nearly so, and the same frames of each
 * would meet in the same few sets of the cache: begin each at another line. */
static size_t stagger(size_t stack_bytes)
{
    static unsigned count; /* relaxed: any spread will do */
    return stack_bytes - 64 * (__atomic_fetch_add(&count, 5, __ATOMIC_RELAXED) % 64);
}

#if defined(PK_CPU_OWN_SWITCH)

/* Boost's switch ends in an indirect jump, so that the processor's stack of return addresses is one off after it and
 * every return on the way out of a barrier is mispredicted: most of a barrier's cost. This one ends in a return.
 * Kept on the stack is what the System V ABI has a callee keep; the floating-point modes are the OS thread's. */
extern "C" void pk_fiber_swap(void **from, void *to);
__asm__(".text\n"
        ".balign 16\n"
        ".type pk_fiber_swap, @function\n"
        "pk_fiber_swap:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    "
        "pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq "
        "%rbx\n    popq %rbp\n"
        "    ret\n"
        ".size pk_fiber_swap, . - pk_fiber_swap\n"
        /* The first switch to a fiber returns here: the fiber is in rbx. */
        ".type pk_fiber_begin, @function\n"
        "pk_fiber_begin:\n"
        "    movq %rbx, %rdi\n"
        "    call pk_fiber_enter\n"
        "    ud2\n"
        ".size pk_fiber_begin, . - pk_fiber_begin\n");
extern "C" void pk_fiber_begin(void);

extern "C" void pk_fiber_enter(struct pk_fiber *fiber)
{
    switch_ends(fiber);
    fiber->entry(fiber->argument);
    abort();
}

/* The stack as pk_fiber_swap leaves one: r15 to rbp, the return address; below it, aligned as at a call. */
static void prepare(struct pk_fiber *fiber)
{
    enum { RBX = 4, RETURN = 6, WORDS = 8 }; /* the last is null: there a walk up the stack ends */
    void **words = (void **)((char *)const_cast<void *>(fiber->stack) + fiber->stack_bytes) - WORDS - 1;
    memset(words, 0, WORDS * sizeof(*words));
    words[RBX] = fiber;
    words[RETURN] = (void *)pk_fiber_begin;
    fiber->context = words;
}

void pk_fiber_switch(struct pk_fiber *from, struct pk_fiber *to)
{
    to->leaver = from;
    switch_begins(from, to);
    pk_fiber_swap(&from->context, to->context);
    switch_ends(from);
}

#elif defined(PK_CPU_UCONTEXT)

static void enter(unsigned low, unsigned high)
{
    struct pk_fiber *fiber = (struct pk_fiber *)((uintptr_t)low | (uintptr_t)high << 32);
    switch_ends(fiber);
    fiber->entry(fiber->argument);
    abort();
}

static void prepare(struct pk_fiber *fiber)
{
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = const_cast<void *>(fiber->stack);
    fiber->context.uc_stack.ss_size = fiber->stack_bytes;
    fiber->context.uc_link = nullptr;
    const uintptr_t word = (uintptr_t)fiber;
    makecontext(&fiber->context, (void (*)(void))enter, 2, (unsigned)word, (unsigned)(word >> 32));
}

void pk_fiber_switch(struct pk_fiber *from, struct pk_fiber *to)
{
    to->leaver = from;
    switch_begins(from, to);
    swapcontext(&from->context, &to->context);
    switch_ends(from);
}

#else

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

static void enter(transfer_t from)
{
    struct pk_fiber *fiber = (struct pk_fiber *)from.data;
    fiber->leaver->context = from.fctx;
    switch_ends(fiber);
    fiber->entry(fiber->argument);
    abort();
}

static void prepare(struct pk_fiber *fiber)
{
    char *top = (char *)const_cast<void *>(fiber->stack) + fiber->stack_bytes;
    fiber->context = make_fcontext(top, fiber->stack_bytes, enter);
}

void pk_fiber_switch(struct pk_fiber *from, struct pk_fiber *to)
{
    to->leaver = from;
    switch_begins(from, to);
    const transfer_t back = jump_fcontext(to->context, to);
    from->leaver->context = back.fctx;
    switch_ends(from);
}

#endif

bool pk_fiber_overflows(const struct pk_fiber *fiber, const void *address)
{
    const char *low = (const char *)fiber->stack, *at = (const char *)address;
    return low && at < low && at >= low - sysconf(_SC_PAGESIZE);
}

struct pk_fiber *pk_fiber_new(void (*entry)(void *), void *argument)
{
    char *stack = (char *)new_stack(pk_settings.stack_bytes);
    if (!stack)
        return nullptr;
    /* The fiber itself lies above its stack: near what a switch touches. */
    const size_t bytes = stagger(pk_settings.stack_bytes) - (sizeof(struct pk_fiber) + 63) / 64 * 64;
    struct pk_fiber *fiber = (struct pk_fiber *)(stack + bytes);
    memset(fiber, 0, sizeof(*fiber));
    fiber->entry = entry;
    fiber->argument = argument;
    fiber->stack = stack;
    fiber->stack_bytes = bytes;
#if defined(PK_CPU_TSAN_)
    fiber->race_fiber = __tsan_create_fiber(0);
#endif
    prepare(fiber);
    return fiber;
}
