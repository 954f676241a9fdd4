#!/usr/bin/env python3
"""Lab 03 beside PyTorch: scaled_dot_product_attention in decode, every backend that it has.

    python3 labs/lab03_cooperative/peer_sdpa.py [--json=FILE] [--out=DIR] [--quick] [--seq-len=1024 --batch=1 ...]

  sdpa-auto        the baseline: the backend that PyTorch chooses by itself
  sdpa-flash, sdpa-efficient, sdpa-cudnn, sdpa-math
                   that backend alone; one that cannot is skipped, with PyTorch's reason
  sdpa-...-graph   the same calls in a CUDA graph of one repetition

A step is one call: one query a sequence against L keys, bf16, query heads sharing key/value heads (enable_gqa). A
repetition is `steps` calls back to back on one stream, as a decode loop issues them, and one wait. Steps are easier
here than in the lab: no row is appended, the next query does not come from the last output, and nothing is computed but
attention. Inputs are drawn as the lab draws
its plain ones, and q is rounded to bf16. Steady state (hot): what fits into the L2
stays there. Without --seq-len and --batch, at L = 4096 for 32 sequences, L = 131072 for one and L = 1024 for one.

The bound. Let u = 2^-24 and w = 2^-8, the roundoff of float32 and of bf16, and p_i the weights, n of them. Right
results may round each p_i to bf16 before it is multiplied by v_i, w sum p_i |v_i| together, and round the output to
bf16, w |out|. All else is taken to be in float32, with additions that may cut off instead of round, 2 u each, in any
order:
  a score  s_i is off by 2 (D + 8) u sum_d |q_d k_id| / sqrt(D) and, with 2^x good to 2 units of the last place here
           and whenever a sum is rescaled, 40 times at most, by u (248 + 4 (max - s_i + 1)): p_i by a factor e^delta_i
  a sum    over the keys is off by 2 n u (sum p_i |v_i| + |out|), numerator and denominator together
inputs.c has the same with the lab's own sums, where n is smaller. Needs PyTorch and a GPU: without them it says what
is missing and exits with 77.
"""
from __future__ import annotations

import argparse
import contextlib
import math
import pathlib
import sys
import warnings
from types import ModuleType
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "common" / "python"))

import pk_peer  # noqa: E402
from pk_peer import Contender, Device, Knob, Recorder  # noqa: E402
from pk_result import Failure, Report, Result, Verdict, split  # noqa: E402

KNOBS = [  # problem.c's, with its defaults, which what has no counterpart here keeps: results join only where all agree
    Knob("seq-len", "keys", "L: keys in the cache", 1024, 70, 1, 1 << 24),
    Knob("batch", "sequences", "B: sequences", 1, 2, 1, 1024),
    Knob("heads", "heads", "H: query heads, a multiple of the key/value heads", 32, 4, 1, 1024),
    Knob("kv-heads", "heads", "G: key/value heads", 8, 2, 1, 1024),
    Knob("head-dim", "floats", "D", 128, 64, 8, 1024),
    Knob("steps", "steps", "T: calls a repetition; for long steps the lab's sweeps' 64 and 16, unless given", 128, 3, 1,
         1 << 16),
    Knob("ragged", "%", "none", 0, 0, 0, 100, fixed=True),
    Knob("capacity", "keys", "just enough", 0, 0, 0, 1 << 25, fixed=True),
    Knob("block-k", "keys", "PyTorch's own choice", 72, 72, 8, 4096, fixed=True),
    Knob("stages", "tiles", "likewise", 0, 0, 0, 16, fixed=True),
    Knob("blocks", "blocks", "likewise", 0, 0, 0, 1 << 16, fixed=True),
    Knob("threads", "threads", "likewise", 0, 0, 0, 512, fixed=True),
    Knob("extra-barriers", "barriers", "none", 0, 0, 0, 1 << 16, fixed=True),
]

SHAPES = [  # what the lab's page shows, with the steps of problem.c's sweeps
    {"batch": 32, "seq-len": 4096, "steps": 64},
    {"batch": 1, "seq-len": 131072, "steps": 16},
    {"batch": 1, "seq-len": 1024, "steps": 128},
]

BACKENDS = [("auto", ""), ("flash", "FLASH_ATTENTION"), ("efficient", "EFFICIENT_ATTENTION"),
            ("cudnn", "CUDNN_ATTENTION"), ("math", "MATH")]

Q_LIMIT = 8.0  # k and v are in [-1, 1): problem.c says why
DRAW_K, DRAW_V, DRAW_Q = 0, 1, 4  # parts of the seed, as in reference.cu

U32, U16 = 2.0**-24, 2.0**-8
RESCALES = 40


# ---- inputs ----


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def draw(torch: ModuleType, seed: int, count: int, limit: float, where: str) -> Any:
    """[count] numbers uniform in [-limit, limit), rounded to bf16: output i of the SplitMix64 sequence that begins at
    `seed`, as draw.cu draws them. 64-bit integers wrap, and their bits are those of unsigned ones."""
    values = torch.empty(count, dtype=torch.bfloat16, device=where)

    def shifted(z: Any, bits: int) -> Any:  # zeros come in, not copies of the sign
        return (z >> bits) & ((1 << (64 - bits)) - 1)
    for begin in range(0, count, 1 << 24):
        end = min(count, begin + (1 << 24))
        z = torch.arange(begin + 1, end + 1, dtype=torch.int64, device=where)
        z = z * _signed(0x9E3779B97F4A7C15) + _signed(seed)
        z = (z ^ shifted(z, 30)) * _signed(0xBF58476D1CE4E5B9)
        z = (z ^ shifted(z, 27)) * _signed(0x94D049BB133111EB)
        z = z ^ shifted(z, 31)
        values[begin:end] = (limit * (shifted(z, 40).to(torch.float32) * 2.0**-23 - 1)).to(torch.bfloat16)
    return values


# ---- the problem ----


class Attention:
    """q [B][H][1][D], k and v [B][G][L][D] in bf16; what is wanted and its bound [B][H][D] in float64."""

    def __init__(self, torch: ModuleType, values: dict[str, float], where: str) -> None:
        self.torch, self.where = torch, where
        self.batch, self.heads, self.kv_heads = (int(values[name]) for name in ("batch", "heads", "kv-heads"))
        self.length, self.dim, self.steps = (int(values[name]) for name in ("seq-len", "head-dim", "steps"))
        bf16 = {"dtype": torch.bfloat16, "device": where}
        self.q = torch.empty((self.batch, self.heads, 1, self.dim), **bf16)
        self.k, self.v = (torch.empty((self.batch, self.kv_heads, self.length, self.dim), **bf16) for _ in range(2))
        wanted = (self.batch, self.heads, self.dim)
        self.want, self.bound = (torch.empty(wanted, dtype=torch.float64, device=where) for _ in range(2))
        self.seed = 0

    @property
    def kv_bytes(self) -> float:
        """Of K and V, which a step reads once."""
        return 2.0 * 2 * self.batch * self.kv_heads * self.length * self.dim

    @property
    def flops(self) -> float:
        """A multiplication and an addition for each component of K, and of V, for every query head."""
        return 4.0 * self.batch * self.heads * self.length * self.dim

    def fill(self, seed: int) -> None:
        """Inputs of a seed, in the same memory: graphs have its addresses."""
        if seed == self.seed:
            return
        for part, tensor, limit in ((DRAW_K, self.k, 1.0), (DRAW_V, self.v, 1.0), (DRAW_Q, self.q, Q_LIMIT)):
            tensor.view(-1).copy_(draw(self.torch, split(seed, part), tensor.numel(), limit, self.where))
        ratio = self.heads // self.kv_heads
        for b in range(self.batch):
            for g in range(self.kv_heads):
                mine = slice(g * ratio, (g + 1) * ratio)
                self.want[b, mine], self.bound[b, mine] = reference(
                    self.torch, self.q[b, mine, 0], self.k[b, g], self.v[b, g])
        self.seed = seed

    def step(self) -> Any:
        """One call: [B][H][1][D]."""
        return self.torch.nn.functional.scaled_dot_product_attention(self.q, self.k, self.v, enable_gqa=True)

    def verify(self, out: Any) -> Verdict:
        """All outputs against the reference in float64, each within its own bound. NaN is within none."""
        if out is None or out.shape != self.q.shape:
            return Verdict(checked=self.want.numel(), wrong=self.want.numel(), note="there is no output of this shape")
        error = (out[:, :, 0].to(self.torch.float64) - self.want).abs().view(-1)
        right = error <= self.bound.view(-1)
        wrong = int((~right).sum())
        at = int((~right).nonzero()[0]) if wrong else int((error / self.bound.view(-1)).argmax())
        verdict = Verdict(checked=error.numel(), wrong=wrong, first_wrong=at, got=float(out.reshape(-1)[at]),
                          want=float(self.want.view(-1)[at]), worst_error=float(error.max()),
                          bound=float(self.bound.view(-1)[at]))
        if wrong:
            head = at // self.dim
            verdict.note = f"sequence {head // self.heads}, head {head % self.heads}, component {at % self.dim}"
        return verdict


def reference(torch: ModuleType, q: Any, k: Any, v: Any) -> tuple[Any, Any]:
    """In float64, for the queries q [R][D] that share k and v [n][D]: outputs and their bounds, [R][D]."""
    n, dim = k.shape
    q, k, v = (tensor.to(torch.float64) for tensor in (q, k, v))
    scale = 1 / math.sqrt(dim)
    score = scale * (q @ k.T)
    below = score.max(dim=1, keepdim=True).values - score
    weight = torch.exp(-below)
    weight /= weight.sum(dim=1, keepdim=True)
    out = weight @ v
    size = v.abs()
    absolute = weight @ size + out.abs()
    delta = 2 * (dim + 8) * U32 * scale * (q.abs() @ k.abs().T) + U32 * (8 + 6 * RESCALES + 4 * (below + 1))
    moved = weight * torch.expm1(delta)
    spread = moved @ size + moved.sum(dim=1, keepdim=True) * out.abs()  # at least sum of moved |v - out|
    worst = torch.exp(delta.max(dim=1, keepdim=True).values)
    in_float = worst * spread + 2 * n * U32 * absolute
    return out, in_float + U16 * (absolute + in_float)


# ---- the variants ----


def why_not(error: Exception, said: list[warnings.WarningMessage]) -> str:
    """PyTorch's own reasons, which it gives as warnings before it raises."""
    reasons = [pk_peer.said_by(error)]
    for warning in said:
        text = str(warning.message).split(" (Triggered internally")[0].strip()
        if "kernel not used because" not in text and "runtime disabled" not in text and text not in reasons:
            reasons.append(text)
    return "; ".join(reasons)


class Variant:
    """One backend, call by call or in a graph."""

    def __init__(self, problem: Attention, device: Device, result: Result, backend: str, in_graph: bool) -> None:
        self._problem, self._device, self._result = problem, device, result
        self._backend, self._in_graph = backend, in_graph
        self._graph: Any = None
        self._out: Any = None

    def _chosen(self) -> Any:
        attention = self._device.torch.nn.attention
        if not self._backend:
            return contextlib.nullcontext()
        return attention.sdpa_kernel(getattr(attention.SDPBackend, self._backend))

    def _steps(self) -> None:
        with self._chosen():
            for _ in range(self._problem.steps):
                self._out = self._problem.step()

    def _name_choice(self) -> None:
        torch, problem = self._device.torch, self._problem
        with contextlib.suppress(AttributeError, TypeError, ValueError, RuntimeError):  # not a public function
            choice = torch._fused_sdp_choice(problem.q, problem.k, problem.v, enable_gqa=True)
            self._result.summary += f": {torch.nn.attention.SDPBackend(choice).name.lower()} here"

    def prepare(self) -> None:
        """One call, to see whether the backend can; then the capture."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                with self._chosen():
                    self._out = self._problem.step()
                self._device.synchronize()
            except (RuntimeError, AttributeError, NotImplementedError) as error:
                if isinstance(error, self._device.torch.cuda.OutOfMemoryError) or self._device.is_lost():
                    raise
                raise Failure("skipped", f"this backend cannot: {why_not(error, said)}") from error
        if not self._backend:
            self._name_choice()
        if self._in_graph:
            self._capture()

    def _capture(self) -> None:
        torch = self._device.torch
        try:
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):  # what a backend sets up at its first calls must not be captured
                self._steps()
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._steps()
        except RuntimeError as error:
            self._graph = None
            if isinstance(error, torch.cuda.OutOfMemoryError) or self._device.is_lost():
                raise
            raise Failure("skipped", f"cannot be captured into a CUDA graph: {why_not(error, [])}") from error

    def poison(self) -> None:
        """NaN where the output will be. A graph's is always in the same place; else it is likely in memory of that size
        that was freed last."""
        if self._graph is not None:
            self._out.fill_(math.nan)
            return
        self._out = None
        self._device.torch.full_like(self._problem.q, math.nan)

    def execute(self, recorder: Recorder) -> None:
        """All steps, and one wait."""
        pk_peer.submit_and_wait(self._device, recorder, self._graph.replay if self._graph is not None else self._steps)

    def verify(self) -> Verdict:
        """The last step's output: all steps have the same inputs."""
        return self._problem.verify(self._out)

    def finish(self) -> None:
        """Release the graph and its memory."""
        self._graph = self._out = None


def variant_name(backend: str, in_graph: bool) -> str:
    """As tables and files have it."""
    return f"sdpa-{backend}{'-graph' if in_graph else ''}"


def contenders(problem: Attention, device: Device, values: dict[str, float]) -> list[Contender]:
    """All backends call by call, then all in graphs."""
    found = []
    for in_graph in (False, True):
        for name, backend in BACKENDS:
            variant = variant_name(name, in_graph)
            summary = f"the {name} backend" if backend else "the backend that PyTorch chooses"
            summary += ", in a CUDA graph" if in_graph else ""
            result = Result(variant, summary, variant == "sdpa-auto", values, tokens=problem.steps,
                            bytes_per_token=problem.kv_bytes, flops_per_token=problem.flops,
                            graph_replays_per_token=1 / problem.steps if in_graph else 0.0)
            one = Variant(problem, device, result, backend, in_graph)
            found.append(Contender(result, one.prepare, one.poison, lambda: None, one.execute, one.verify, one.finish))
    return found


# ---- the program ----


def points(options: argparse.Namespace) -> list[dict[str, float]]:
    """The shape that was asked for, or those of the lab's page."""
    values = pk_peer.chosen(options, KNOBS)
    if options.quick or options.seq_len is not None or options.batch is not None:
        return [values]
    steps = {} if options.steps is None else {"steps": options.steps}
    return [{**values, **shape, **steps} for shape in SHAPES]


def check(options: argparse.Namespace) -> None:
    """Knobs that do not go together."""
    values = pk_peer.chosen(options, KNOBS)
    if values["heads"] % values["kv-heads"]:
        raise Failure("usage", f"{values['heads']} query heads cannot share {values['kv-heads']} key/value heads "
                               "evenly: --heads must be a multiple of --kv-heads")
    if values["head-dim"] % 8:
        raise Failure("usage", f"a head of {values['head-dim']} bf16 is no multiple of 16 bytes: use a multiple of 8 "
                               "for --head-dim")


def run(options: argparse.Namespace, device: Device, report: Report, bench: pk_peer.Bench) -> None:
    """Point after point."""
    def make(values: dict[str, float]) -> tuple[Attention, list[Contender]]:
        problem = Attention(device.torch, values, device.name)
        return problem, contenders(problem, device, values)
    pk_peer.bench_points(options, device, report, bench, points(options), make, ("batch", "seq-len"))


def show(report: Report) -> None:
    """A table for each shape. GB/s: K and V, read once a step, over the median wall time of a step."""
    pk_peer.show_points(report, KNOBS, "step")


def device_compiler() -> str:
    """PyTorch and what its backends come from."""
    torch, = pk_peer.needs("torch")
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    return f"PyTorch {torch.__version__}" + (f", cuDNN {cudnn}" if cudnn else "")


PEER = pk_peer.Peer("lab03", "Cooperative kernel", "peer_sdpa.py", "lab03-sdpa.json", __doc__, KNOBS,
                    ("torch", "torch.nn.attention"), check, device_compiler, run, show,
                    [variant_name(name, in_graph) for in_graph in (False, True) for name, _ in BACKENDS])

if __name__ == "__main__":
    sys.exit(pk_peer.main(PEER, sys.argv))
