#!/usr/bin/env python3
"""Lab 05, part one, beside Triton and PyTorch: a stream of pages of keys, a score a page.

    python3 labs/lab05_async_copy/peer_triton.py [--json=FILE] [--out=DIR] [--quick] [--pages=524288 ...]

  torch-eager    the baseline: index_select, and the product by einsum, an operator each
  torch-compile  the same by torch.compile, spelled out: gather and sum in one kernel, where PyTorch can
  triton-loads   one launch: programs that stay take pages by loads; with num_stages of 2 and more the compiler asks for
                 later ones ahead (cp.async)
  triton-tensor  the same with a tensor descriptor: TMA copies of boxes, compute capability 9.0 and up

Same problem as problem.c (--work=stream), same knobs, same seeded inputs, same result file; every score is demanded bit
for bit. Components of pages are integers from -8 to 8, those of q from -4 to 4, scales are sixteenths up to 15: a float
holds every sum on the way, in whatever order it is done. Sums of a page's rows are at most 256 x 8 = 2^11, which even
TF32 holds, should einsum use it.

--stages is num_stages, --threads num_warps, --blocks the grid. What is not given is chosen before timing: each
combination of a short list runs a few times, and the fastest is taken; the result's summary names it. --quick takes the
first that can be launched. Steady state (hot). Needs PyTorch, Triton and a GPU: without them it says what is missing
and exits with 77.
"""
from __future__ import annotations

import argparse
import array
import dataclasses
import itertools
import math
import pathlib
import sys
from types import ModuleType
from typing import Any, Callable, Iterator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "common" / "python"))

import pk_peer  # noqa: E402
from pk_peer import Contender, Device, Knob, Recorder  # noqa: E402
from pk_result import Failure, Random, Report, Result, Verdict, split  # noqa: E402

KNOBS = [  # problem.c's, with its defaults: results join only where all agree
    Knob("work", "", "stream", 0, 0, 0, 4, fixed=True, choices=("stream", "latency", "chain", "bursts", "offload")),
    Knob("pages", "pages", "P: of the stream", 1 << 19, 61, 1, 1 << 24),
    Knob("rows", "keys", "of a page, a multiple of 8", 16, 16, 8, 256),
    Knob("dim", "numbers", "D: of a key, 64 or 128", 128, 128, 64, 128),
    Knob("stages", "pages", "num_stages; 0: what the variant finds best", 0, 2, 0, 64),
    Knob("blocks", "blocks", "programs; 0: what the variant finds best", 0, 4, 0, 1 << 16),
    Knob("threads", "threads", "of a program: num_warps, a power of two; 0: what the variant finds best", 0, 0, 0, 512),
    Knob("swizzle", "", "Triton's own choice", 1, 1, 0, 1, fixed=True),
    Knob("steps", "loads", "for other work", 1 << 19, 200, 1, 1 << 24, fixed=True),
    Knob("shape", "", "likewise", 2, 0, 0, 3, fixed=True,
         choices=("small", "uneven", "llama-3.2-1b", "qwen2.5-0.5b")),
    Knob("tokens", "passes", "likewise", 4, 3, 1, 1 << 10, fixed=True),
    Knob("consumers", "warps", "likewise", 8, 2, 1, 14, fixed=True),
    Knob("ring", "KB", "likewise", 192, 4, 2, 224, fixed=True),
    Knob("chunk", "KB", "likewise", 0, 1, 0, 64, fixed=True),
    Knob("in-flight", "KB", "likewise", 0, 2, 0, 224, fixed=True),
    Knob("chunk-k", "pages", "likewise", 8, 3, 1, 32, fixed=True),
    Knob("max-in-flight", "chunks", "likewise", 0, 5, 0, 1 << 16, fixed=True),
    Knob("prefill-blocks", "blocks", "likewise", 0, 2, 0, 1 << 16, fixed=True),
    Knob("bursts", "bursts", "likewise", 16, 2, 1, 4096, fixed=True),
    Knob("decode-steps", "steps", "likewise", 400, 4, 1, 1 << 20, fixed=True),
    Knob("decode-width", "numbers", "likewise", 512, 24, 8, 4096, fixed=True),
    Knob("table", "", "where pages lie in the pool", 0, 0, 0, 1, choices=("shuffled", "in-order")),
]

MOST_DRAWN = 1 << 25  # numbers of a seed, one by one on the host
GUARD = 1024          # floats before and after the scores
NEAR = 64             # pages whose scores a wrong one is compared with

# ---- inputs: those of problem.c, number for number ----

MOST_PATTERNS, LARGEST, LARGEST_Q, SIXTEENTHS = 1021, 8, 4, 15
SEED_PATTERNS, SEED_Q, SEED_SCALE, SEED_TABLE = 500, 501, 502, 503


def patterns_of(pages: int) -> int:
    """How many pages are drawn: page i of the pool is pattern i modulo their number."""
    return min(pages, MOST_PATTERNS)


def draw_integers(seed: int, part: int, count: int, largest: int) -> Iterator[int]:
    """`count` of -largest to largest, of a part of the seed."""
    drawn = Random(split(seed, part)).below_each(itertools.repeat(2 * largest + 1, count))
    return (value - largest for value in drawn)


def draw_scale(seed: int, pages: int) -> list[float]:
    """1 to 15 sixteenths each."""
    drawn = Random(split(seed, SEED_SCALE)).below_each(itertools.repeat(SIXTEENTHS, pages))
    return [(1 + value) / 16 for value in drawn]


def draw_table(seed: int, pages: int) -> list[int]:
    """A permutation (Fisher and Yates, from the inside out)."""
    table = [0] * pages
    for page, at in enumerate(Random(split(seed, SEED_TABLE)).below_each(range(1, pages + 1))):
        table[page] = table[at]
        table[at] = page
    return table


# ---- the problem ----


class Stream:
    """The pool [P][rows][D] in bf16, table, q, scale and scores [P]; the reference on the host. `where` is PyTorch's
    name of a device."""

    def __init__(self, torch: ModuleType, values: dict[str, float], where: str) -> None:
        self.torch = torch
        self.pages, self.rows, self.dim = (int(values[name]) for name in ("pages", "rows", "dim"))
        self.pool = torch.empty((self.pages, self.rows, self.dim), dtype=torch.bfloat16, device=where)
        self.table = torch.empty(self.pages, dtype=torch.int32, device=where)
        self.q = torch.empty(self.dim, dtype=torch.float32, device=where)
        self.scale = torch.empty(self.pages, dtype=torch.float32, device=where)
        self._guarded = torch.empty(self.pages + 2 * GUARD, dtype=torch.float32, device=where)
        self.out = self._guarded[GUARD:-GUARD]
        self._in_order = int(values["table"]) == 1
        self.seed: int | None = None
        self._sums = self._scale = self._want = None  # float64: of page table[p] with q, its scale, their product

    @property
    def bytes(self) -> float:
        """Each page, its score, its scale and its place in the table once: sweeps.c."""
        return self.pages * (2.0 * self.rows * self.dim + 4 + 4 + 4)

    @property
    def flops(self) -> float:
        """A multiplication and an addition for each component."""
        return 2.0 * self.pages * self.rows * self.dim

    def fill(self, seed: int) -> None:
        """Inputs of a seed, and their scores."""
        if seed == self.seed:
            return
        torch, count = self.torch, patterns_of(self.pages)
        drawn = array.array("b", draw_integers(seed, SEED_PATTERNS, count * self.rows * self.dim, LARGEST))
        patterns = torch.frombuffer(drawn, dtype=torch.int8).reshape(count, self.rows, self.dim)
        q = torch.tensor(list(draw_integers(seed, SEED_Q, self.dim, LARGEST_Q)))
        table = torch.arange(self.pages) if self._in_order else torch.tensor(draw_table(seed, self.pages))
        scale = torch.tensor(draw_scale(seed, self.pages), dtype=torch.float64)
        on_device = patterns.to(self.pool.device).to(torch.bfloat16)
        for begin in range(0, self.pages, count):
            part = self.pool[begin:begin + count]
            part.copy_(on_device[:len(part)])
        for to, source in ((self.table, table), (self.q, q), (self.scale, scale)):
            to.copy_(source)
        self._sums = (patterns.sum(dim=1) @ q)[table % count].to(torch.float64)  # sums of whole numbers
        self._scale = scale
        self._want = (self._sums * scale).to(torch.float32)
        self.seed = seed

    def poison(self) -> None:
        """NaN in all that is to be written, and around it."""
        self._guarded.view(self.torch.int32).fill_(-1)

    def verify(self, out: Any) -> Verdict:
        """All scores, bit for bit; and the guards."""
        torch = self.torch
        if out is None or out.shape != self.out.shape or out.dtype != torch.float32:
            return Verdict(checked=self.pages, wrong=self.pages, note="there are no such scores")
        got, want = out.cpu(), self._want
        wrong = got.view(torch.int32) != want.view(torch.int32)
        verdict = Verdict(checked=self.pages, wrong=int(wrong.sum()))
        if verdict.wrong:
            page = int(wrong.nonzero()[0])
            verdict.first_wrong, verdict.got, verdict.want = page, float(got[page]), float(want[page])
            verdict.worst_error = float((got.double() - want.double()).abs().max())
            verdict.note = self._note(page, verdict.got)
        guards = torch.cat((self._guarded[:GUARD], self._guarded[-GUARD:])).view(torch.int32)
        if out is self.out and bool((guards != -1).any()):
            verdict.wrong += 1
            verdict.note = verdict.note or "a write missed the buffer 'out': its guards have changed"
        return verdict

    def _note(self, page: int, got: float) -> str:
        if math.isnan(got):
            return f"page {page}: NaN: never written, or of bytes that had not come yet"
        for away in (step * side for step in range(1, NEAR + 1) for side in (-1, 1)):
            if 0 <= page + away < self.pages and float(self._sums[page + away] * self._scale[page]) == got:
                return f"page {page} has the score of page {page + away}"
        if got == float(self._sums[page]):
            return f"page {page} is not scaled"
        return f"page {page}: not the sum of its rows: some left out, taken twice, or with other components of q"


# ---- PyTorch ----


def by_operators(torch: ModuleType) -> Callable[[Any, Any, Any, Any], Any]:
    """As a program has it that uses PyTorch as it comes: the pages in a row, then a product."""
    def score(pool: Any, table: Any, q: Any, scale: Any) -> Any:
        return torch.einsum("prd,d->p", pool.index_select(0, table).float(), q) * scale
    return score


def spelled(_: ModuleType) -> Callable[[Any, Any, Any, Any], Any]:
    """The formula: to a compiler that fuses, einsum would be a matrix product and a kernel of its own."""
    def score(pool: Any, table: Any, q: Any, scale: Any) -> Any:
        return (pool.index_select(0, table).float() * q).sum(dim=(1, 2)) * scale
    return score


class OfTorch:
    """The stream by PyTorch's own operators, call by call or compiled."""

    def __init__(self, problem: Stream, device: Device, compiled: bool) -> None:
        self._problem, self._device, self._compiled = problem, device, compiled
        self._call: Any = None
        self._out: Any = None

    def prepare(self) -> None:
        """Compile, and call once to see whether it can."""
        torch = self._device.torch
        try:
            self._call = torch.compile(spelled(torch), dynamic=False) if self._compiled else by_operators(torch)
            self._run()
            self._device.synchronize()
        except Exception as error:  # the compiler has exceptions of its own
            if isinstance(error, torch.cuda.OutOfMemoryError) or self._device.is_lost():
                raise
            raise Failure("skipped", f"PyTorch cannot: {pk_peer.said_by(error)}") from error

    def _run(self) -> None:
        problem = self._problem
        self._out = self._call(problem.pool, problem.table, problem.q, problem.scale)

    def poison(self) -> None:
        """No scores; and NaN where they are likely to be: in memory of that size that was freed last."""
        self._out = None
        self._device.torch.full_like(self._problem.out, math.nan)

    def execute(self, recorder: Recorder) -> None:
        """All pages, and one wait."""
        pk_peer.submit_and_wait(self._device, recorder, self._run)

    def verify(self) -> Verdict:
        """All scores."""
        return self._problem.verify(self._out)

    def finish(self) -> None:
        """Release the scores, and what was compiled."""
        self._out = self._call = None


# ---- Triton ----


@dataclasses.dataclass(frozen=True)
class Launch:
    """How a kernel is launched. `pages`: a turn of a program's."""

    warps: int
    stages: int
    pages: int
    programs: int

    def __str__(self) -> str:
        turn = f", {self.pages} pages a turn" if self.pages > 1 else ""
        return f"{self.programs} programs, num_warps={self.warps}, num_stages={self.stages}{turn}"


# What is tried: num_warps, num_stages, pages a turn. A page of 4 KB is 8 chunks of 16 bytes for each thread of a warp.
OF_LOADS = ((1, 4), (1, 2, 3, 5), (1, 4))
OF_BOXES = ((1, 2, 4), (2, 3, 5, 8), (1,))
A_PROCESSOR = (1, 2, 4, 8, 16, 32)  # programs


def launches(values: dict[str, float], tried: tuple[tuple[int, ...], ...], processors: int,
             warp_size: int) -> list[Launch]:
    """All that the knobs leave open."""
    warps, stages, pages = tried
    warps = (max(1, int(values["threads"]) // warp_size),) if values["threads"] else warps
    stages = (int(values["stages"]),) if values["stages"] else stages
    programs = (int(values["blocks"]),) if values["blocks"] else tuple(each * processors for each in A_PROCESSOR)
    return [Launch(*one) for one in itertools.product(warps, stages, pages, programs)]


class OfTriton:
    """A kernel of ours in Triton: `launch` starts it in one of the ways `tried`, the fastest of them, or, unless they
    are to be `measured`, the first that can be launched."""

    def __init__(self, problem: Stream, device: Device, result: Result, tried: list[Launch], measured: bool) -> None:
        self._problem, self._device, self._result, self._tried = problem, device, result, tried
        self._measured = measured and len(tried) > 1
        self._best = tried[0]

    def launch(self, how: Launch) -> None:
        """One launch for all pages."""
        raise NotImplementedError

    def ready(self) -> None:
        """Before the first launch; a skip where there can be none."""

    def prepare(self) -> None:
        """Compile what is tried, and keep the fastest."""
        self.ready()
        least, reason = math.inf, ""
        for how in self._tried:
            try:
                self.launch(how)
                self._device.synchronize()
            except Exception as error:  # too much shared memory, or what a compiler raises
                if self._device.is_lost():
                    raise
                reason = pk_peer.said_by(error)
                continue
            taken = min(self._taken(how) for _ in range(3)) if self._measured else 0.0
            if taken < least:
                least, self._best = taken, how
            if not self._measured:
                break
        if least == math.inf:
            raise Failure("skipped", f"Triton cannot launch it: {reason}")
        self._result.summary += f": {self._best}"

    def _taken(self, how: Launch) -> float:
        begin, end = self._device.events()
        begin.record()
        self.launch(how)
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def execute(self, recorder: Recorder) -> None:
        """One launch, one wait."""
        pk_peer.submit_and_wait(self._device, recorder, lambda: self.launch(self._best))

    def verify(self) -> Verdict:
        """All scores."""
        return self._problem.verify(self._problem.out)

    def finish(self) -> None:
        """Nothing is held."""


class Loads(OfTriton):
    """By loads, which the compiler may ask for ahead."""

    def launch(self, how: Launch) -> None:
        problem = self._problem
        kernels().read_loads[(how.programs,)](
            problem.pool, problem.table, problem.q, problem.scale, problem.out, problem.pages, PAGES=how.pages,
            ROWS=problem.rows, BLOCK_ROWS=1 << (problem.rows - 1).bit_length(), DIM=problem.dim, STAGES=how.stages,
            num_warps=how.warps)


class Boxes(OfTriton):
    """By a tensor descriptor, made once on the host."""

    _boxes: Any = None

    def ready(self) -> None:
        problem, torch = self._problem, self._device.torch
        try:
            descriptor, = pk_peer.needs("triton.tools.tensor_descriptor")
        except Failure as failure:
            raise Failure("skipped", f"this {device_compiler()} has no tensor descriptors that the host makes: take 3.4 "
                                     "or later") from failure
        if torch.version.hip:
            raise Failure("skipped", "HIP has no bulk asynchronous copy")
        if self._device.properties.major < 9:
            raise Failure("skipped", "TMA takes compute capability 9.0, and this device has "
                                     f"{self._device.properties.major}.{self._device.properties.minor}")
        if problem.rows & (problem.rows - 1):
            raise Failure("skipped", f"a box of Triton's has a power of two of rows, and a page has {problem.rows}: use "
                                     "--rows=8, 16, 32, 64, 128 or 256")
        self._boxes = descriptor.TensorDescriptor.from_tensor(
            problem.pool.view(problem.pages * problem.rows, problem.dim), [problem.rows, problem.dim])

    def launch(self, how: Launch) -> None:
        problem = self._problem
        kernels().read_boxes[(how.programs,)](
            self._boxes, problem.table, problem.q, problem.scale, problem.out, problem.pages, ROWS=problem.rows,
            DIM=problem.dim, STAGES=how.stages, num_warps=how.warps)

    def finish(self) -> None:
        self._boxes = None


def kernels() -> ModuleType:
    """peer_kernels.py, which needs Triton."""
    import peer_kernels  # pylint: disable=import-outside-toplevel
    return peer_kernels


def contenders(problem: Stream, device: Device, values: dict[str, float], quick: bool) -> list[Contender]:
    """PyTorch's two, then Triton's two."""
    found = []

    def add(name: str, summary: str, make: Callable[[Result], Any], launches_per_token: float = math.nan) -> None:
        result = Result(name, summary, name == VARIANTS[0], values, bytes_per_token=problem.bytes,
                        flops_per_token=problem.flops, launches_per_token=launches_per_token,
                        graph_replays_per_token=0.0)
        one = make(result)
        found.append(Contender(result, one.prepare, getattr(one, "poison", problem.poison), lambda: None, one.execute,
                               one.verify, one.finish))

    def in_triton(kind: type[OfTriton], tried: tuple[tuple[int, ...], ...]) -> Callable[[Result], OfTriton]:
        ways = launches(values, tried, device.processors, device.properties.warp_size)
        return lambda result: kind(problem, device, result, ways, not quick)
    add("torch-eager", "index_select and einsum", lambda _: OfTorch(problem, device, False))
    add("torch-compile", "the formula by torch.compile", lambda _: OfTorch(problem, device, True))
    add("triton-loads", "Triton, loads", in_triton(Loads, OF_LOADS), 1.0)
    add("triton-tensor", "Triton, a tensor descriptor", in_triton(Boxes, OF_BOXES), 1.0)
    return found


# ---- the program ----

VARIANTS = ("torch-eager", "torch-compile", "triton-loads", "triton-tensor")


def check(options: argparse.Namespace) -> None:
    """Knobs that do not go together."""
    values = {name: int(value) for name, value in pk_peer.chosen(options, KNOBS).items()}
    pages, rows, dim, threads = (values[name] for name in ("pages", "rows", "dim", "threads"))
    if rows % 8:
        raise Failure("usage", f"a page of {rows} keys is no multiple of 8: use --rows={(rows + 7) // 8 * 8}")
    if dim not in (64, 128):
        raise Failure("usage", f"kernels are made for keys of 64 and 128 numbers, not {dim}: use one of these for --dim")
    if threads % 32 or threads & (threads - 1):
        raise Failure("usage", f"--threads={threads}: Triton takes a power of two of warps: use 32, 64, 128, 256 or 512")
    drawn = patterns_of(pages) * rows * dim + 2 * pages
    if drawn > MOST_DRAWN:
        raise Failure("usage", f"{drawn} numbers would be drawn one by one on the host, more than {MOST_DRAWN}: use "
                               "fewer --pages or --rows")


def run(options: argparse.Namespace, device: Device, report: Report, bench: pk_peer.Bench) -> None:
    """The one point."""
    def make(values: dict[str, float]) -> tuple[Stream, list[Contender]]:
        problem = Stream(device.torch, values, device.name)
        return problem, contenders(problem, device, values, options.quick)
    pk_peer.bench_points(options, device, report, bench, [pk_peer.chosen(options, KNOBS)], make, ("pages", "rows"))


def show(report: Report) -> None:
    """The table, and how Triton's kernels were launched. GB/s: the fewest bytes over the median wall time."""
    pk_peer.show_points(report, KNOBS, "pass")
    for result in report.results:
        if result.status == "pass":
            print(f"{result.variant}: {result.summary}")
    print()


def device_compiler() -> str:
    """PyTorch's and Triton's versions."""
    torch, triton = pk_peer.needs("torch", "triton")
    return f"PyTorch {torch.__version__}, Triton {triton.__version__}"


PEER = pk_peer.Peer("lab05", "Async copies", "peer_triton.py", "lab05-triton.json", __doc__, KNOBS, ("torch", "triton"),
                    check, device_compiler, run, show, VARIANTS, watchdog_s=300)

if __name__ == "__main__":
    sys.exit(pk_peer.main(PEER, sys.argv))
