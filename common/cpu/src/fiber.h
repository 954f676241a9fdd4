/* Fibers: stacks, and the switch from one to another on the same OS thread. */
#ifndef PK_CPU_FIBER_H
#define PK_CPU_FIBER_H

#include <stdbool.h>

struct pk_fiber;
/* The calling OS thread's own stack as a fiber. */
struct pk_fiber *pk_fiber_of_thread(void);
/* A new fiber with its own stack that will run entry(argument); entry never returns. Null: no memory. */
struct pk_fiber *pk_fiber_new(void (*entry)(void *), void *argument);
/* Whether the address is just below the fiber's stack: it is full. */
bool pk_fiber_overflows(const struct pk_fiber *fiber, const void *address);
void pk_fiber_switch(struct pk_fiber *from, struct pk_fiber *to);

#endif
