"""Lab 02 in Triton: the kernels. Imported by peer_triton.py once it is known that Triton is there.

A program is what CUDA calls a block. Everything that is not a vector is the same in all its threads: an atomic on one
word is done by one thread, and its result is handed to the others behind a barrier.
"""
import triton
import triton.language as tl


@triton.jit
def axpy_step(state, x, trace, request, step, first, stride, n, steps, a, BLOCK: tl.constexpr):
    """lab02_axpy: BLOCK elements from first on, from first + stride on, ... of state <- state + a x, and the token."""
    base = request.to(tl.int64) * n
    traced = step % n
    for begin in range(first, n, stride):
        i = begin + tl.arange(0, BLOCK)
        inside = i < n
        y = tl.fma(a, tl.load(x + base + i, mask=inside), tl.load(state + base + i, mask=inside))
        tl.store(state + base + i, y, mask=inside)
        # One lane holds the token's element: where all lanes point to the same word, it alone writes.
        token = trace + (request.to(tl.int64) * steps + step) + tl.zeros([BLOCK], tl.int32)
        tl.store(token, y, mask=i == traced)


# Numbers that change from launch to launch: without this, one that is 1 or a multiple of 16 is compiled anew.
@triton.jit(do_not_specialize=["request", "step"])
def one_step(state, x, trace, request, step, n, steps, a, BLOCK: tl.constexpr):
    """One step of one request, spread over as many programs as it needs: the baseline's launch."""
    program = tl.program_id(0)
    axpy_step(state, x, trace, request, step, program * BLOCK, tl.num_programs(0) * BLOCK, n, steps, a, BLOCK)


@triton.jit(do_not_specialize=["first", "steps", "requests", "total"])
def counter(state, x, trace, claimed, done, first, n, steps, requests, total, a, BLOCK: tl.constexpr):
    """The `counter` variant: programs claim whole steps from a counter until none is left.

    Numbers go through step 0 of all requests, then step 1 of all, and so on. claimed [1] and each word of done
    [requests] count from `first`, modulo 2^32. Claims are in order, so the step that is waited for is claimed by a
    program that runs, which waits for an earlier one at most.
    """
    number = tl.atomic_add(claimed, 1, sem="relaxed", scope="gpu") - first
    while number < total:
        request = number % requests
        step = number // requests
        # Acquire, device scope, by one thread, and a barrier behind it: whoever sees the word sees the state that was
        # published with it. Pairs with the release below.
        while tl.atomic_add(done + request, 0, sem="acquire", scope="gpu") - first != step:
            pass
        axpy_step(state, x, trace, request, step, 0, BLOCK, n, steps, a, BLOCK)
        tl.debug_barrier()  # all threads have written
        # Release, device scope, by one thread behind the barrier. Pairs with the acquire above.
        tl.atomic_xchg(done + request, first + step + 1, sem="release", scope="gpu")
        number = tl.atomic_add(claimed, 1, sem="relaxed", scope="gpu") - first
