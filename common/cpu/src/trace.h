/* Where the device tells its trace what happens. Each costs a load and a branch while no trace is on. */
#ifndef PK_CPU_TRACE_INTERNAL_H
#define PK_CPU_TRACE_INTERNAL_H

#include <stdint.h>

struct pk_op;

/* Whether a trace is on: relaxed; what is told in the moment of a change may be taken or not. */
extern bool pk_trace_is_on;
static inline bool pk_tracing(void)
{
    return __builtin_expect(__atomic_load_n(&pk_trace_is_on, __ATOMIC_RELAXED), false);
}

/* A call of the runtime, from here to the end of the scope; one inside another is a part of that. */
struct pk_trace_call {
    const char *name = nullptr; /* null: not traced */
    uint64_t begin_ns = 0;
    explicit pk_trace_call(const char *function)
    {
        if (pk_tracing())
            begin(function);
    }
    ~pk_trace_call()
    {
        if (__builtin_expect(name != nullptr, false))
            end();
    }
    pk_trace_call(const pk_trace_call &) = delete;
    pk_trace_call &operator=(const pk_trace_call &) = delete;

  private:
    void begin(const char *function);
    void end();
};
#define PK_CALL_AS(name) const struct pk_trace_call trace_call_(name)
#define PK_CALL() PK_CALL_AS(__func__)

/* The number of the calling thread's call, or 0. */
uint64_t pk_trace_call_number(void);

/* With the lock held: an OS thread begins to work on the op, or the last one has ended it. */
void pk_trace_op_begins_now(struct pk_op *op);
void pk_trace_op_ends_now(struct pk_op *op);

#endif
