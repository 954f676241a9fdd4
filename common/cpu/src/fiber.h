/* Fibers: stacks, and the switch from one to another on the same OS thread. */
#ifndef PK_CPU_FIBER_H
#define PK_CPU_FIBER_H

struct pk_fiber;
/* The calling OS thread's own stack as a fiber. */
struct pk_fiber *pk_fiber_of_thread(void);
/* A new fiber with its own stack that will run entry(argument); entry never returns. Null: no memory. */
struct pk_fiber *pk_fiber_new(void (*entry)(void *), void *argument);
void pk_fiber_switch(struct pk_fiber *from, struct pk_fiber *to);

#endif
