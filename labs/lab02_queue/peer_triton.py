#!/usr/bin/env python3
"""Lab 02 beside Triton: a persistent kernel with a real work queue on the device, and a launch for every step.

    python3 labs/lab02_queue/peer_triton.py [--json=FILE] [--out=DIR] [--quick] [--n=1024 ...]

  triton-launch-sync  the baseline: a Triton launch for each step of each request, and a wait
  triton-counter      one launch: programs claim (request, step) items from a counter, wait for the request's earlier
                      step, do the whole step, publish it. The lab's `counter` variant, access for access

Same problem as problem.c (axpy form, all requests there at once), same knobs, same seeded inputs, same serial
reference, bit for bit, same result file. Needs PyTorch, Triton and a GPU: without them it says what is missing and
exits with 77.

Exact. With the default a = 2^-6 no step rounds: x holds integers with 1 <= |x| <= 8, start values are multiples of 2^-6
up to 2^10, so every state is a multiple of 2^-6 below 2^10 + S / 8, and fits in 24 bits up to S = 2^20. With another a
each step is one fused multiply-add, rounded once: the reference rounds just so.
"""
from __future__ import annotations

import argparse
import math
import pathlib
import sys
from types import ModuleType
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "common" / "python"))

import pk_peer  # noqa: E402
import pk_result  # noqa: E402
from pk_peer import Contender, Device, Knob, Recorder, now_us  # noqa: E402
from pk_result import Failure, Random, Report, Result, Verdict, figure, split  # noqa: E402

KNOBS = [  # problem.c's
    Knob("n", "floats", "length of a state", 1024, 100, 1, 1 << 28),
    Knob("steps", "steps", "steps a request", 64, 7, 1, 1 << 20),
    Knob("requests", "requests", "requests a repetition", 64, 19, 1, 1 << 20),
    Knob("blocks", "blocks", "programs of the persistent kernel; 0: one a processor", 0, 0, 0, 1 << 16),
    Knob("threads", "threads", "of a program: num_warps in Triton, a power of two", 256, 64, 32, 1024),
    Knob("a", "", "factor of the axpy form", 2.0**-6, 2.0**-6, -1000, 1000, float),
    Knob("form", "", "axpy", 0, 0, 0, 1, fixed=True, choices=("axpy", "dense")),
    Knob("arrival", "", "at once", 0, 0, 0, 2, fixed=True, choices=("at-once", "poisson", "bursts")),
    Knob("load", "%", "for requests over time", 80, 50, 1, 1000, fixed=True),
    Knob("burst", "requests", "likewise", 8, 8, 1, 1 << 20, fixed=True),
    Knob("in-flight", "requests", "all", 0, 0, 0, 1 << 20, fixed=True),
    Knob("ring", "slots", "for work that the host feeds", 1024, 8, 2, 1 << 20, fixed=True),
    Knob("quantum", "steps", "likewise", 16, 2, 1, 1 << 20, fixed=True),
    Knob("first", "", "where counters start", (1 << 32) - 1000, (1 << 32) - 20, 0, (1 << 32) - 1),
    Knob("cancel", "%", "none", 0, 0, 0, 100, fixed=True),
    Knob("stop", "steps", "never", 0, 0, 0, 1 << 40, fixed=True),
]

TOKENS_KEPT = 256  # latencies, of a repetition
GUARD = 1024  # floats before and after a buffer that is written


# ---- inputs: draw_axpy of inputs.c, number for number ----

X_LARGEST = 8
START_STEPS = 1 << 16  # multiples of 2^-6 up to 2^10


def draw_axpy(seed: int, count: int) -> tuple[list[float], list[float]]:
    """x and the start values of all requests, [count] each."""
    random = Random(split(seed, 0))
    x, start = [0.0] * count, [0.0] * count
    for i in range(count):
        sign = 1.0 if random.below(2) else -1.0
        x[i] = sign * (1 + random.below(X_LARGEST))
        start[i] = 2.0**-6 * (random.below(2 * START_STEPS + 1) - START_STEPS)
    return x, start


# ---- the serial reference, on the host ----


def fused_multiply_add(torch: ModuleType, a: Any, x: Any, y: Any) -> Any:
    """a x + y of float32 values that are held as float64, rounded once to float32, as float64. a x is exact in float64;
    the sum is rounded to odd there, so that rounding it again gives what rounding once would (Boldo and Melquiond,
    "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", IEEE TC 57(4), 2008)."""
    product = a * x
    total = product + y
    back = total - product
    error = (product - (total - back)) + (y - back)  # Knuth's two-sum: total + error is exact
    even = (total.view(torch.int64) & 1) == 0
    # Away from zero by one bit where the exact sum is larger in size than `total`, else towards it.
    outwards = torch.where((error > 0) == (total > 0), 1, -1)
    odd = (total.view(torch.int64) + torch.where(even & (error != 0), outwards, 0)).view(torch.float64)
    return odd.to(torch.float32).to(torch.float64)


def serial(torch: ModuleType, x: Any, start: Any, steps: int, a: float) -> tuple[Any, Any]:
    """States [R][n] after `steps` steps one after the other, and tokens [R][steps], float32, on the host."""
    requests, n = start.shape
    wide_x, state = x.to(torch.float64), start.to(torch.float64)
    factor = torch.tensor(a, dtype=torch.float32).to(torch.float64)
    trace = torch.empty((requests, steps), dtype=torch.float32)
    for step in range(steps):
        state = fused_multiply_add(torch, factor, wide_x, state)
        trace[:, step] = state[:, step % n].to(torch.float32)
    # Serial execution itself is judged by the closed form: a step rounds once, by at most 2^-24 |y|.
    exact = start.to(torch.float64) + steps * factor * wide_x
    bound = steps * 2.0**-24 * (start.to(torch.float64).abs() + steps * (factor * wide_x).abs())
    if not bool(((state - exact).abs() <= bound).all()):
        raise Failure("wrong", "the serial reference itself is wrong: it is not the closed form y + S a x")
    return state.to(torch.float32), trace


# ---- the problem on the device ----


class Problem:
    """Buffers, reference and kernels. `where` is PyTorch's name of a device."""

    def __init__(self, torch: ModuleType, kernels: ModuleType, values: dict[str, float], where: str, processors: int,
                 warp_size: int) -> None:
        self.torch, self.kernels = torch, kernels
        self.n, self.steps, self.requests = int(values["n"]), int(values["steps"]), int(values["requests"])
        self.a = float(values["a"])
        self.programs = int(values["blocks"]) or processors
        self.threads = int(values["threads"])
        self.warps = max(1, self.threads // warp_size)
        # Counters are 32 bits on the device: from `first` on as a signed number, the same bits.
        self.first = int(values["first"]) - (1 << 32 if values["first"] >= 1 << 31 else 0)
        self.total = self.requests * self.steps
        on_device = {"device": where}
        shape = (self.requests, self.n)
        self.x = torch.empty(shape, dtype=torch.float32, **on_device)
        self.start = torch.empty(shape, dtype=torch.float32, **on_device)
        self._guarded = [torch.empty(count + 2 * GUARD, dtype=torch.float32, **on_device)
                         for count in (self.requests * self.n, self.total)]
        self.state, self.trace = (buffer[GUARD:-GUARD] for buffer in self._guarded)
        self.claimed = torch.empty(1, dtype=torch.int32, **on_device)
        self.done = torch.empty(self.requests, dtype=torch.int32, **on_device)
        self.seed = 0
        self._x = self._start = self._want = self._want_trace = None

    def fill(self, seed: int) -> None:
        """Inputs of a seed, and what serial execution makes of them."""
        if seed == self.seed:
            return
        torch, shape = self.torch, (self.requests, self.n)
        x, start = draw_axpy(seed, self.requests * self.n)
        self._x = torch.tensor(x, dtype=torch.float32).reshape(shape)
        self._start = torch.tensor(start, dtype=torch.float32).reshape(shape)
        self._want, self._want_trace = serial(torch, self._x, self._start, self.steps, self.a)
        self.x.copy_(self._x)
        self.start.copy_(self._start)
        self.seed = seed

    def poison(self) -> None:
        """NaN in all that is to be written, and around it."""
        for buffer in self._guarded:
            buffer.view(self.torch.int32).fill_(-1)

    def reset(self) -> None:
        """The start of a repetition."""
        self.state.copy_(self.start.view(-1))
        self.claimed.fill_(self.first)
        self.done.fill_(self.first)

    def launch_counter(self) -> None:
        """One launch for all steps of all requests."""
        block = min(self.threads * 4, 1 << (self.n - 1).bit_length())
        self.kernels.counter[(self.programs,)](
            self.state, self.x, self.trace, self.claimed, self.done, self.first, self.n, self.steps, self.requests,
            self.total, self.a, BLOCK=block, num_warps=self.warps)

    def launch_step(self, request: int, step: int) -> None:
        """One step of one request, an element a thread."""
        programs = (self.n + self.threads - 1) // self.threads
        self.kernels.one_step[(programs,)](self.state, self.x, self.trace, request, step, self.n, self.steps, self.a,
                                           BLOCK=self.threads, num_warps=self.warps)

    def verify(self) -> Verdict:
        """All states and all tokens, bit for bit; and the guards."""
        torch, verdict = self.torch, Verdict()
        state, trace = self.state.cpu().view(self.requests, self.n), self.trace.cpu().view(self.requests, self.steps)
        for got, want in ((state, self._want), (trace, self._want_trace)):
            wrong = (got.view(torch.int32) != want.view(torch.int32)).view(-1)
            count = int(wrong.sum())
            if count and not verdict.wrong:
                i = int(wrong.nonzero()[0])
                verdict.first_wrong = verdict.checked + i
                verdict.got, verdict.want = float(got.view(-1)[i]), float(want.view(-1)[i])
                verdict.worst_error = float((got.double() - want.double()).abs().max())
                verdict.note = self._state_note(i, verdict) if got is state else self._trace_note(i)
            verdict.wrong += count
            verdict.checked += got.numel()
        for name, buffer in zip(("state", "trace"), self._guarded):
            guards = torch.cat((buffer[:GUARD], buffer[-GUARD:])).view(torch.int32)
            if bool((guards != -1).any()):
                verdict.wrong += 1
                verdict.note = verdict.note or f"a write missed the buffer '{name}': its guards have changed"
        return verdict

    def _state_note(self, i: int, verdict: Verdict) -> str:
        where = f"request {i // self.n}, element {i % self.n}"
        change = self.a * float(self._x.view(-1)[i])
        if math.isnan(verdict.got):
            return f"{where}: never written, or computed from something that was not"
        if abs(verdict.got - verdict.want) < abs(change) / 2:
            return f"{where}: off by less than a step: rounded otherwise than in serial execution"
        seen = (verdict.got - float(self._start.view(-1)[i])) / change if change else math.nan
        if abs(seen - round(seen)) < 1e-3 and seen > -0.5:
            return f"{where}: it looks as if it saw {round(seen)} steps, not {self.steps}"
        return f"{where}: no whole number of steps from this repetition's start values"

    def _trace_note(self, i: int) -> str:
        return f"the token of step {i % self.steps} of request {i // self.steps}"


# ---- the variants ----


def run_counter(problem: Problem, device: Device, recorder: Recorder) -> None:
    """One launch, one wait."""
    start = now_us()
    problem.launch_counter()
    recorder.submit_us = now_us() - start
    device.synchronize()


def run_launch_sync(problem: Problem, device: Device, recorder: Recorder) -> None:
    """Steps in turns: the next step of each request, and again. A token's latency runs from the moment that its step
    could begin: the step before it was done, or the repetition began."""
    stride = problem.total // (TOKENS_KEPT + 1) + 1
    ready = [now_us()] * problem.requests
    number = 0
    for step in range(problem.steps):
        for request in range(problem.requests):
            if recorder.instrumented:
                start = now_us()
                problem.launch_step(request, step)
                recorder.submit_us += now_us() - start
            else:
                problem.launch_step(request, step)
            device.synchronize()
            now = now_us()
            if number % stride == stride // 2:
                recorder.token_us.append(now - ready[request])
            ready[request] = now
            number += 1


def contenders(problem: Problem, device: Device, values: dict[str, float]) -> list[Contender]:
    """The baseline and the persistent kernel."""
    def contender(name: str, summary: str, is_baseline: bool, launches: float, execute: Any) -> Contender:
        result = Result(name, summary, is_baseline, values, tokens=problem.total,
                        bytes_per_token=3 * 4 * problem.n / problem.steps, flops_per_token=2.0 * problem.n,
                        launches_per_token=launches, graph_replays_per_token=0.0)

        def prepare() -> None:  # the first launch compiles
            problem.reset()
            if is_baseline:
                problem.launch_step(0, 0)
            else:
                problem.launch_counter()
            device.synchronize()
        return Contender(result, prepare, problem.poison, problem.reset,
                         lambda recorder: execute(problem, device, recorder), problem.verify, lambda: None)
    return [
        contender("triton-launch-sync", "a Triton launch for each step of each request, and a wait", True, 1.0,
                  run_launch_sync),
        contender("triton-counter", "one Triton launch: programs claim whole steps from a counter", False,
                  1.0 / problem.total, run_counter),
    ]


# ---- the program ----


def check(options: argparse.Namespace) -> None:
    """Knobs that do not go together."""
    values = pk_peer.chosen(options, KNOBS)
    if values["threads"] % 32 or int(values["threads"]) & (int(values["threads"]) - 1):
        raise Failure("usage", f"--threads={values['threads']:g}: Triton takes a power of two of warps: use 32, 64, "
                               "128, 256, 512 or 1024")
    if values["requests"] * values["steps"] > 1 << 30:
        raise Failure("usage", f"requests x steps is {values['requests'] * values['steps']:g}: use at most 2^30")
    if values["requests"] * values["n"] > 1 << 26:
        raise Failure("usage", f"requests x n is {values['requests'] * values['n']:g}: inputs are drawn one by one on "
                               "the host: use at most 2^26")


def run(options: argparse.Namespace, device: Device, report: Report, bench: pk_peer.Bench) -> None:
    """The one point."""
    import peer_kernels  # needs Triton  # pylint: disable=import-outside-toplevel
    values = pk_peer.chosen(options, KNOBS)
    try:
        problem = Problem(device.torch, peer_kernels, values, device.name, device.processors,
                          device.properties.warp_size)
    except device.torch.cuda.OutOfMemoryError as error:
        raise Failure("usage", "no device memory for the buffers: use a smaller --n, --requests or --steps") from error
    variants = pk_peer.selected(options, contenders(problem, device, values))
    report.results += [variant.result for variant in variants]
    plan = pk_peer.Plan(min_rounds=4 if options.quick else 10, time_limit_s=options.time_limit)
    bench.run(variants, problem.fill, plan if options.timing else None)


def show(report: Report) -> None:
    """The table of a lab program."""
    params = report.results[0].params
    knobs = " ".join(f"{knob.name}={params[knob.name]}" for knob in KNOBS if not knob.fixed)
    print(f"{report.lab} {report.title} on {report.device['name']}, {report.environment['device_compiler']}\n"
          f"{knobs}\nseed={report.seed} (replay with --seed={report.seed})\n")
    rows = [["variant", "result", "us/token", "device", "submit", "launches", "speedup [95%]"]]
    for result in report.results:
        speedup = result.speedup(report.seed)
        launches = f"{result.launches_per_token:.3g}" if math.isfinite(result.launches_per_token) else "-"
        rows.append([result.variant, result.status, figure(result.us_per_token()),
                     figure(pk_result.median(result.device) / result.tokens),
                     figure(pk_result.median(result.submit) / result.tokens), launches,
                     f"{speedup['median']:.3g} [{speedup['low']:.3g}, {speedup['high']:.3g}]" if speedup else
                     "1" if result.is_baseline and result.wall else "-"])
    pk_result.print_table(rows, range(2, 6))
    print()


def device_compiler() -> str:
    """Triton's name and version."""
    return f"Triton {pk_peer.needs('triton')[0].__version__}"


PEER = pk_peer.Peer("lab02", "Persistent queue", "peer_triton.py", "lab02-triton.json", __doc__, KNOBS,
                    ("torch", "triton"), check, device_compiler, run, show, ("triton-launch-sync", "triton-counter"))

if __name__ == "__main__":
    sys.exit(pk_peer.main(PEER, sys.argv))
