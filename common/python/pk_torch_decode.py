"""Decode in PyTorch, token by token, beside a lab's decoder: what the peers of labs 04 and 07 are made of.

  torch-eager        every operation of every token issued by the host, which waits once, at the end
  torch-graph        the baseline: the same operations in one CUDA graph of a token, replayed for each
  torch-compile      torch.compile, mode reduce-overhead: Inductor's kernels, cuBLAS and a CUDA graph of its own
  torch-compile-max  torch.compile, mode max-autotune-no-cudagraphs, attention left to Inductor: matrix-vector kernels
                     of its own with what stands before and after them fused in, tuned by trial; in one CUDA graph.
                     Only where --variant names it: the trials take minutes, and a longer --watchdog

A repetition is T decode steps at batch 1 after a prompt of P tokens, whose prefill is not timed. The token is chosen
by argmax on the device and fed back there, and so is the position: no variant waits for the host between tokens. q, k
and v come from one matrix, gate and up from another. Attention goes through scaled_dot_product_attention over a static
cache of P + T rows, rounded up to a multiple of 64, and a mask: PyTorch's kernels for that do not split the keys among
blocks, so long prompts cost its first three variants more than they must. Weights are bf16, seeded and random, drawn
on the device from the labs' ranges: not their numbers, and the check knows them. Steady state (hot): what fits into
the L2 stays there.

Each variant has a process of its own (pk_workers.py). One that dies, by a signal or by its limit of --watchdog seconds
a step, is reported with what ended it, and the others are measured. Eager and graph are prepared side by side,
measured in interleaved rounds and written; then torch.compile is at work, for all models at once, while nothing is
measured; then it is measured, interleaved with the graph again. --model=A,B measures both and compiles for both at
once.

The check. Every token of a repetition and all logits of its last step, against a forward pass in float64 over the
whole sequence, a matrix at a time: a token is right if its logit there is no further below the greatest than two
results may be off. How far one may be off is found by Monte Carlo arithmetic (Parker, "Monte Carlo arithmetic", UCLA
CSD-970002, 1997): passes with a random error of bf16's roundoff, 2^-8 of the value, wherever a kernel may round to
bf16. The bound is 8 times the root mean square over the vocabulary of what that changes. Errors of logits are sums of
thousands of small ones, near normal: 150,000 of them reach 4.5 times that; the rest is for roundings that agree where
random ones do not. A pass over P + T tokens is 2 (P + T) operations a weight, 4e11 for 1.2 billion of them and 160
tokens: tens of milliseconds where float64 has tensor cores, and three passes judge a sequence. Needs PyTorch and a
GPU: without them it says what is missing and exits with 77.
"""
from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import functools
import importlib
import math
import os
import pathlib
from types import ModuleType
from typing import Any, Callable, Sequence

import pk_peer
import pk_result
import pk_workers
from pk_decoder_shapes import SHAPES, Shape, step_bytes, step_flops
from pk_peer import Contender, Device, Knob, Recorder, now_us
from pk_result import Failure, Random, Report, Result, Verdict, figure, split

MODULES = ("torch", "torch.nn.attention")
ROOM_STEP = 64      # rows that a cache is rounded up to: attention's kernels want a mask's rows aligned
WARM_UP_CALLS = 3   # Inductor's own graph: tuned in the first call, recorded in the second, replayed in the third
NOISE_PASSES = 2
BOUND_SIGMAS = 8.0
CUDA_KERNEL_NODE = 0  # cudaGraphNodeTypeKernel


def room_of(prompt: int, tokens: int) -> int:
    """Rows of the cache."""
    return -(-(prompt + tokens) // ROOM_STEP) * ROOM_STEP


@dataclasses.dataclass(frozen=True)
class Lab:
    """Whose decode it is. `script`: which workers start, too. `given`: the knob that says how many tokens are in the
    cache before decode. The knobs are problem.c's, with its defaults: results join only where all agree."""

    id: str
    title: str
    script: pathlib.Path
    given: str
    knobs: Sequence[Knob]

    def model(self, values: dict[str, float]) -> str:
        """Its name."""
        return next(knob for knob in self.knobs if knob.name == "model").choices[int(values["model"])]

    def shape(self, values: dict[str, float]) -> Shape:
        """Of the model."""
        return SHAPES[self.model(values)]


# ---- the problem ----


class Decode:
    """The weights, the prompt of a seed, a decoder that has read it, and what is right."""

    def __init__(self, torch: ModuleType, lab: Lab, values: dict[str, float], seed: int, where: str) -> None:
        import pk_torch_model  # needs PyTorch  # pylint: disable=import-outside-toplevel
        self.torch, self.model, self.where = torch, pk_torch_model, where
        self.shape = lab.shape(values)
        self.prompt_tokens, self.tokens = int(values[lab.given]), int(values["tokens"])
        self.room = room_of(self.prompt_tokens, self.tokens)
        self.weights = pk_torch_model.random_weights(self.shape, split(seed, 0), where)
        self._reference = pk_torch_model.Reference(self.shape, self.weights)
        self._known: dict[tuple[int, ...], tuple[Any, Any]] = {}
        self._prefilled = self.decoder()
        self._decoders: list[Any] = []
        self.prompt = torch.zeros(self.prompt_tokens, dtype=torch.int64, device=where)
        self.seed = 0

    def decoder(self, grouped: bool = False) -> Any:
        """Another sequence with the same weights."""
        return self.model.Decoder(self.shape, self.weights, self.room, grouped)

    def follow(self, decoder: Any) -> None:
        """Give this decoder each prompt."""
        decoder.poison(self.prompt_tokens)
        self._decoders.append(decoder)
        self._hand_over(decoder)

    def _hand_over(self, decoder: Any) -> None:
        for own, read in zip(decoder.buffers(), self._prefilled.buffers()):
            own.copy_(read)

    def fill(self, seed: int) -> None:
        """The prompt of a seed, in the same memory: graphs have its addresses."""
        if seed == self.seed:
            return
        random = Random(split(seed, 1))
        prompt = [random.below(self.shape.vocab) for _ in range(self.prompt_tokens)]
        self._known.clear()
        with self.torch.inference_mode():
            self.prompt.copy_(self.torch.tensor(prompt))
            self._prefilled.poison(self.prompt_tokens)
            self._prefilled.prefill(self.prompt)
            for decoder in self._decoders:
                self._hand_over(decoder)
        self.seed = seed

    def _wanted(self, sequence: Any) -> tuple[Any, Any]:
        """Logits after the prompt's last position and each one after it, and a bound for each position."""
        key = tuple(sequence.tolist())
        if key not in self._known:
            torch, first = self.torch, self.prompt_tokens - 1
            generator = torch.Generator(self.where).manual_seed(split(self.seed, 2) % (1 << 63))
            want = self._reference.logits(sequence, first)
            square = 0
            for _ in range(NOISE_PASSES):
                square += (self._reference.logits(sequence, first, generator) - want).square().mean(-1)
            self._known[key] = want, BOUND_SIGMAS * (square / NOISE_PASSES).sqrt()
        return self._known[key]

    def verify(self, decoder: Any, logits: Any) -> Verdict:
        """The first token, each that was decoded, and the logits [1][vocab] of the last step. NaN is no right logit."""
        torch, count = self.torch, self.tokens + 1
        chosen = decoder.tokens[self.prompt_tokens - 1:self.prompt_tokens + self.tokens]
        verdict = Verdict(checked=count + self.shape.vocab)
        strange = ((chosen < 0) | (chosen >= self.shape.vocab)).nonzero()
        if strange.numel() or logits is None or tuple(logits.shape) != (1, self.shape.vocab):
            at = int(strange[0]) if strange.numel() else count
            verdict.wrong, verdict.first_wrong = max(1, strange.numel()), at
            verdict.note = f"token {at}: never written, or none of the vocabulary" if strange.numel() else \
                "there are no logits of the last step"
            return verdict
        want, bound = self._wanted(torch.cat((self.prompt, chosen[:-1])))
        best = want.max(-1).values
        short = best - want.gather(1, chosen[:, None])[:, 0]
        error = (logits[0].to(torch.float64) - want[-1]).abs()
        right = torch.cat((short <= 2 * bound, error <= bound[-1]))
        verdict.wrong = int((~right).sum())
        verdict.worst_error, verdict.bound = float(error.max()), float(bound[-1])
        at = verdict.first_wrong = int((~right).nonzero()[0]) if verdict.wrong else 0
        if at < count:
            verdict.got, verdict.want = float(best[at] - short[at]), float(best[at])
            verdict.note = f"token {at} is {int(chosen[at])}: its right logit, and the greatest, which is more than " \
                           f"{2 * float(bound[at]):.3g} above it"
        else:
            verdict.got, verdict.want = float(logits[0, at - count]), float(want[-1, at - count])
            verdict.note = f"logit {at - count} of the last step; it may be off by {float(bound[-1]):.3g}"
        if not verdict.wrong:
            verdict.note = ""
        return verdict


# ---- the variants ----


def count_kernels(graph: Any) -> float:
    """Kernels in a CUDA graph, asked from the driver; NaN where that cannot be."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        handle, count, kind = ctypes.c_void_p(graph.raw_cuda_graph()), ctypes.c_size_t(), ctypes.c_int()
        if driver.cuGraphGetNodes(handle, None, ctypes.byref(count)) != 0:
            return math.nan
        nodes = (ctypes.c_void_p * count.value)()
        if driver.cuGraphGetNodes(handle, nodes, ctypes.byref(count)) != 0:
            return math.nan
        kernels = 0
        for node in nodes:
            if driver.cuGraphNodeGetType(ctypes.c_void_p(node), ctypes.byref(kind)) != 0:
                return math.nan
            kernels += kind.value == CUDA_KERNEL_NODE
        return float(kernels)
    except (OSError, AttributeError, TypeError, RuntimeError):  # no such library, or PyTorch before 2.8
        return math.nan


class Variant:
    """One way to issue a step. A subclass says how to `make` the call that does it."""

    grouped = False

    def __init__(self, problem: Decode, device: Device, result: Result) -> None:
        self._problem, self._device, self._result = problem, device, result
        self._decoder: Any = None
        self._call: Callable[[], Any] | None = None
        self._logits: Any = None

    def _make(self) -> Callable[[], Any]:
        raise NotImplementedError

    def prepare(self) -> None:
        """All that is done once: compile, tune, capture."""
        with self._device.torch.inference_mode():
            self._decoder = self._problem.decoder(self.grouped)
            self._problem.follow(self._decoder)
            self._call = self._make()

    def _warm_up(self, call: Callable[[], Any]) -> None:
        """Aside: what a library sets up in its first calls must not be captured. Each call is the first step."""
        torch = self._device.torch
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP_CALLS):
                self._decoder.rewind(self._problem.prompt_tokens)
                call()
        torch.cuda.current_stream().wait_stream(aside)

    def _capture(self, call: Callable[[], Any]) -> tuple[Any, Any]:
        """A graph of one step, and its logits, which are in the same place after each replay."""
        torch = self._device.torch
        self._warm_up(call)
        try:
            graph = torch.cuda.CUDAGraph(keep_graph=True)
        except TypeError:  # PyTorch before 2.8
            graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = call()
        return graph, logits

    def poison(self) -> None:
        """Rows, tokens and logits that are to be written."""
        with self._device.torch.inference_mode():
            self._decoder.poison(self._problem.prompt_tokens)
            if self._logits is not None:
                self._logits.fill_(math.nan)

    def reset(self) -> None:
        """To the moment after the prompt."""
        with self._device.torch.inference_mode():
            self._decoder.rewind(self._problem.prompt_tokens)

    def execute(self, recorder: Recorder) -> None:
        """All tokens, and one wait."""
        call, logits = self._call, None
        with self._device.torch.inference_mode():
            start = now_us()
            for _ in range(self._problem.tokens):
                logits = call()
            recorder.submit_us = now_us() - start
        recorder.all_launched()
        self._device.synchronize()
        self._logits = logits

    def verify(self) -> Verdict:
        """Tokens and last logits."""
        with self._device.torch.inference_mode():
            return self._problem.verify(self._decoder, self._logits)

    def finish(self) -> None:
        """Release all but the weights."""
        self._decoder = self._call = self._logits = None


class Eager(Variant):
    """The host issues every operation."""

    def _make(self) -> Callable[[], Any]:
        graph, _ = self._capture(self._decoder.step)  # only to count
        self._result.launches_per_token = count_kernels(graph)
        return self._decoder.step


class Graph(Variant):
    """One replay a token."""

    def _step(self) -> Callable[[], Any]:
        return self._decoder.step

    def _make(self) -> Callable[[], Any]:
        graph, logits = self._capture(self._step())
        kernels = count_kernels(graph)
        self._result.summary += f" of {kernels:g} kernels" if math.isfinite(kernels) else ""
        self._result.launches_per_token = 0.0

        def replay() -> Any:
            graph.replay()
            return logits
        return replay


class CompiledGraph(Graph):
    """Inductor's kernels, its matrix-vector kernels among them, in one graph."""

    grouped = True

    def _step(self) -> Callable[[], Any]:
        torch = self._device.torch
        compiled = torch.compile(self._decoder.step, mode="max-autotune-no-cudagraphs", fullgraph=True, dynamic=False)

        def step() -> Any:
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # plain operations, to be fused
                return compiled()
        return step


class Compiled(Variant):
    """As its documentation says: reduce-overhead, and a mark where a new step begins."""

    def _make(self) -> Callable[[], Any]:
        torch = self._device.torch
        compiled = torch.compile(self._decoder.step, mode="reduce-overhead", fullgraph=True, dynamic=False)
        skips = torch._dynamo.utils.counters["inductor"]  # pylint: disable=protected-access
        before = skips["cudagraph_skips"]

        def step() -> Any:
            torch.compiler.cudagraph_mark_step_begin()
            return compiled()
        for _ in range(WARM_UP_CALLS):
            self._decoder.rewind(self._problem.prompt_tokens)
            step()
        if skips["cudagraph_skips"] != before:
            raise Failure("skipped", "Inductor made no CUDA graph of the step, so this is not what reduce-overhead is "
                                     "meant to be; TORCH_LOGS=cudagraphs says why")
        self._result.launches_per_token = 0.0
        return step


@dataclasses.dataclass(frozen=True)
class Kind:
    """A variant, and when it has its turn."""

    name: str
    summary: str
    make: type[Variant]
    late: bool = False       # prepared after the others were measured
    on_request: bool = False


BASELINE = "torch-graph"
VARIANTS = [
    Kind("torch-eager", "every operation issued by the host", Eager),
    Kind(BASELINE, "the same operations in one CUDA graph a token", Graph),
    Kind("torch-compile", "torch.compile, reduce-overhead", Compiled, late=True),
    Kind("torch-compile-max", "torch.compile, max-autotune-no-cudagraphs, in one CUDA graph a token", CompiledGraph,
         late=True, on_request=True),
]


def kinds(options: argparse.Namespace) -> list[Kind]:
    """Those that --variant names, and the baseline; without it all that nobody needs to ask for."""
    if options.variant is None:
        return [kind for kind in VARIANTS if not kind.on_request]
    return [kind for kind in VARIANTS if kind.name == BASELINE or kind.name in options.variant]


def empty_result(lab: Lab, kind: Kind, values: dict[str, float]) -> Result:
    """Nothing measured yet."""
    size = lab.shape(values), values[lab.given], int(values["tokens"])
    return Result(kind.name, kind.summary, kind.name == BASELINE, values, tokens=size[2],
                  bytes_per_token=step_bytes(*size), flops_per_token=step_flops(*size),
                  graph_replays_per_token=0.0 if kind.make is Eager else 1.0)


def work(lab: Lab, setup: dict[str, Any]) -> pk_workers.Work:
    """What a variant's own process does."""
    device = Device(pk_peer.needs(*MODULES)[0])
    values = setup["values"]
    kind = next(kind for kind in VARIANTS if kind.name == setup["variant"])
    try:
        with device.torch.inference_mode():
            problem = Decode(device.torch, lab, values, setup["seed"], device.name)
    except device.torch.cuda.OutOfMemoryError as error:
        raise Failure("skipped", f"no device memory for the weights and the caches of {lab.model(values)}: use a "
                                 "smaller --model, one at a time, or fewer tokens") from error
    result = empty_result(lab, kind, values)
    one = kind.make(problem, device, result)
    return pk_workers.Work(device, problem.fill, Contender(result, one.prepare, one.poison, one.reset, one.execute,
                                                           one.verify, one.finish))


# ---- the program ----


def check(lab: Lab, options: argparse.Namespace) -> None:
    """Knobs that do not go together."""
    for values in pk_peer.points(options, lab.knobs):
        name, positions = lab.model(values), values[lab.given] + values["tokens"]
        if positions > SHAPES[name].max_positions:
            raise Failure("usage", f"{values[lab.given]} tokens of prompt and {values['tokens']} more are "
                                   f"{positions} positions, and {name} has {SHAPES[name].max_positions}: use fewer")


def run(lab: Lab, options: argparse.Namespace, _: Device, report: Report, bench: pk_workers.StagedBench) -> None:
    """Each point, in interleaved rounds. Few are owed, since eager repetitions may take seconds."""
    plan = pk_peer.Plan(min_rounds=2, time_limit_s=options.time_limit, warm_up_repetitions=1, max_rounds=200)
    points, chosen = pk_peer.points(options, lab.knobs), kinds(options)
    compiling = len(points) * sum(kind.late for kind in chosen)
    threads = min(8, max(1, (os.cpu_count() or 1) // max(1, compiling)))  # each imports PyTorch: not as many as cores
    with pk_workers.workers(lab.script, len(points) * len(chosen), options.watchdog,
                            {"TORCHINDUCTOR_COMPILE_THREADS": str(threads)}) as started:
        rest = iter(started)
        variants: list[list[pk_workers.Remote]] = []
        for values in points:
            variants.append([])
            for kind in chosen:
                setup = {"variant": kind.name, "values": values, "seed": options.seed}
                said = f"{lab.id}: {lab.model(values)}, {kind.name}"
                result = empty_result(lab, kind, values)
                variants[-1].append(pk_workers.Remote(result, said, next(rest), setup, kind.late))
                report.results.append(result)
        bench.run_points(variants, plan if options.timing else None)


def _row(result: Result, seed: int) -> list[str]:
    times = [figure(pk_result.quantile(result.wall, q) / result.tokens) for q in (0.5, 0.1, 0.9)]
    speedup = result.speedup(seed)
    return [result.variant, result.status, *times,
            *(figure(pk_result.median(us) / result.tokens) for us in (result.device, result.submit)),
            figure(1e6 / result.us_per_token()), figure(result.gb_per_s()),
            f"{speedup['median']:.3g}" if speedup else "1" if result.is_baseline and result.wall else "-"]


def show(lab: Lab, report: Report) -> None:
    """A table for each model. GB/s: what a token reads over its median wall time. ratio: how much faster than the
    baseline, from paired repetitions."""
    print(f"{report.lab} {report.title} beside {report.environment['device_compiler']} on {report.device['name']}, "
          f"hot, seed={report.seed}")
    for values in [dict(point) for point in dict.fromkeys(tuple(r.params.items()) for r in report.results)]:
        results = [result for result in report.results if result.params == values]
        knobs = " ".join(f"{knob.name}={knob.spelled(values[knob.name])}" for knob in lab.knobs if not knob.fixed)
        print(f"{knobs}\n")
        rows = [["variant", "result", "us/token", "p10", "p90", "device", "submit", "tok/s", "GB/s", "ratio"]]
        rows += [_row(result, report.seed) for result in results]
        pk_result.print_table(rows, range(2, 10))
        print()
        for result in results:
            if math.isfinite(result.prepare_us):
                launches = result.launches_per_token or math.nan
                said = f", {launches:g} kernel launches a token" if math.isfinite(launches) else ""
                print(f"{result.variant}: {result.prepare_us * 1e-6:.1f} s to prepare{said}")
        print()


def device_compiler() -> str:
    """PyTorch, and Triton, in which Inductor writes its kernels."""
    torch, = pk_peer.needs("torch")
    try:
        triton, = pk_peer.needs("triton")
    except Failure:
        return f"PyTorch {torch.__version__}"
    return f"PyTorch {torch.__version__}, Triton {triton.__version__}"


def peer_of(lab: Lab, said: str | None) -> pk_peer.Peer:
    """The lab's program. `said`: what it is, which `--help` has ahead of what all of them are."""
    def of_lab(function: Callable[..., None]) -> Callable[..., None]:
        return functools.partial(function, lab)
    return pk_peer.Peer(lab.id, lab.title, "peer_torch.py", f"{lab.id}-torch.json", f"{said}\n{__doc__}", lab.knobs,
                        MODULES, of_lab(check), device_compiler, of_lab(run), of_lab(show),
                        [kind.name for kind in VARIANTS], watchdog_s=180, bench=pk_workers.StagedBench)


def main(lab: Lab, said: str | None, argv: list[str]) -> int:
    """The program, or a variant's part of it."""
    if argv[1:2] == [pk_workers.OPTION]:
        with contextlib.suppress(ImportError, OSError):  # ahead of the first request, which says what is missing
            importlib.import_module("torch")
        return pk_workers.serve(functools.partial(work, lab), argv)
    return pk_peer.main(peer_of(lab, said), argv)
