/* How a kernel fails: it ends, with an error that sticks. A bad access in a kernel is such a fault, as on a GPU; where
 * a sanitizer is there, it reports bad accesses better itself. */
#include "engine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "fiber.h"
#include "memory.h"

static void report_fault(const struct pk_op *op, cudaError_t error)
{
    fprintf(stderr, "CPU device: %s: %s; kernel %s, block (%u,%u,%u), thread (%u,%u,%u)\n", cudaGetErrorName(error),
            pk_self->why[0] ? pk_self->why : cudaGetErrorString(error), op->as.kernel.grid.code->name, blockIdx.x,
            blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
}

/* Pointers among the arguments are known by their type: whether each is the device's. What lies in a struct is not
 * looked at. False: the kernel does not run, as it would fault on a GPU. */
static bool arguments_are_reachable(const struct pk_op *op)
{
    const pk_cpu_kernel *code = op->as.kernel.grid.code;
    char what[320];
    for (unsigned i = 0; i < code->n_params; ++i) {
        const void *pointer;
        if (!code->pointers[i])
            continue;
        memcpy(&pointer, op->as.kernel.grid.packet + code->offsets[i], sizeof(pointer));
        if (pk_memory_may_be_argument(pointer, what, sizeof(what)))
            continue;
        fprintf(stderr,
                "CPU device: %s: argument %u of kernel %s, %p, is %s (memory for kernels: cudaMalloc, "
                "cudaMallocManaged, cudaMallocHost, cudaHostRegister)\n",
                cudaGetErrorName(cudaErrorIllegalAddress), i + 1, code->name, pointer, what);
        return false;
    }
    return true;
}

void pk_kernel_run(struct pk_runner *runner, struct pk_op *op)
{
    runner->why[0] = '\0';
    if (!arguments_are_reachable(op)) {
        pk_set_fault(cudaErrorIllegalAddress);
        pk_blocks_drop(runner, op);
        return;
    }
    if (sigsetjmp(runner->escape, 0) == 0) {
        pk_in_kernel = true;
        pk_block_bind(runner->block, &op->as.kernel.grid);
        pk_blocks_run(runner, op);
        pk_in_kernel = false;
        pk_turn_end();
        return;
    }
    pk_in_kernel = false;
    report_fault(op, runner->fault);
    pk_set_fault(runner->fault);
    pk_block_abandon(runner->block);
    pk_blocks_drop(runner, op);
    pk_turn_end();
}

void pk_runner_fault(cudaError_t error)
{
    pk_self->fault = error;
    siglongjmp(pk_self->escape, 1);
}

void pk_runner_fault_because(cudaError_t error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pk_self->why, sizeof(pk_self->why), format, arguments);
    va_end(arguments);
    pk_runner_fault(error);
}

extern "C" void pk_cpu_trap(void)
{
    if (!pk_in_kernel)
        abort();
    pk_runner_fault_because(cudaErrorLaunchFailure, "__trap()");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(PK_CPU_TSAN_)
static struct sigaction before_segv, before_bus, before_fpe;

/* What the address is that a kernel touched. PK_CPU_CHECK has the addresses around allocations to itself, so it also
 * knows what a bad one of the host's is. */
static void describe_bad_access(const void *address)
{
    char what[320];
    if (pk_in_kernel) {
        const char *const full = pk_fiber_overflows(pk_running_block->current, address)
                                     ? "the guard of a full stack: PK_CPU_STACK_KB=256 gives each thread more"
                                     : nullptr;
        if (full || !pk_memory_reachable(address, 1, what, sizeof(what)))
            snprintf(pk_self->why, sizeof(pk_self->why), "bad access at %p, %s", address, full ? full : what);
        return;
    }
    if (!pk_settings.check)
        return;
    if (pk_memory_is_device_only(address, what, sizeof(what)))
        fprintf(stderr, "CPU device: check: the host reads or writes device memory: %p is in %s\n", address, what);
}

static void on_signal(int signal, siginfo_t *info, void *)
{
    if (signal == SIGSEGV)
        describe_bad_access(info->si_addr);
    if (signal == SIGFPE && pk_in_kernel)
        snprintf(pk_self->why, sizeof(pk_self->why), "a whole number is divided by zero, at which a GPU does not stop");
    if (pk_in_kernel) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, signal);
        pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        pk_runner_fault(signal == SIGSEGV  ? cudaErrorIllegalAddress
                        : signal == SIGBUS ? cudaErrorMisalignedAddress
                                           : cudaErrorLaunchFailure);
    }
    /* Not a kernel's: as if this handler were not there. The access is tried again and meets the old one. */
    sigaction(signal, signal == SIGSEGV ? &before_segv : signal == SIGBUS ? &before_bus : &before_fpe, nullptr);
}

void pk_faults_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &before_segv);
    sigaction(SIGBUS, &action, &before_bus);
    sigaction(SIGFPE, &action, &before_fpe);
}

/* The handler needs its own stack: the fault may be that a thread's stack is full. */
void pk_faults_prepare_thread(void)
{
    stack_t stack;
    memset(&stack, 0, sizeof(stack));
    stack.ss_size = 64 * 1024;
    stack.ss_sp = malloc(stack.ss_size);
    if (stack.ss_sp)
        sigaltstack(&stack, nullptr);
}

#else

void pk_faults_catch(void)
{
}

void pk_faults_prepare_thread(void)
{
}

#endif
