#!/usr/bin/env python3
"""Lab 06 beside PyTorch: bias, tanh-GELU or the SiLU gate, and residual, layer by layer.

    python3 labs/lab06_epilogue/peer_torch.py [--json=FILE] [--out=DIR] [--quick] [--rows=1000 --type=bf16 ...]

  torch-spelled        the baseline: the formula operation by operation, each an operator of PyTorch's
  torch-operators      with torch.nn.functional.gelu or silu: a kernel for bias, activation and residual each
  torch-compile        the formula by torch.compile: one kernel of Triton's, where PyTorch can
  torch-...-graph      the same calls in a CUDA graph of one repetition

A repetition is all layers, one behind the other on one stream, and one wait; each layer's output is kept. Steady state
(hot): what fits into the L2 stays there.

Inputs are drawn by PyTorch from the seed, in the lab's ranges: x is uniform up to --span, the bias up to 1, h up to 4,
multiples of 2^-13 as they are stored. Each layer is judged by what stands before it as it was written, in float64, as
judge.c does it, by the bound at the head of reference.c. In bf16 PyTorch stores what an operator gives as bf16, and a
compiled kernel may: all are judged by the bound of the lab's baselines, with u = 2^-8. Needs PyTorch and a GPU: without
them it says what is missing and exits with 77.
"""
from __future__ import annotations

import argparse
import math
import pathlib
import sys
from types import ModuleType
from typing import Any, Callable

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "common" / "python"))

import pk_peer  # noqa: E402
from pk_peer import Contender, Device, Knob, Recorder  # noqa: E402
from pk_result import Failure, Report, Result, Verdict, split  # noqa: E402

TYPES, ACTS = ("fp32", "bf16"), ("gelu", "silu-gate")
KNOBS = [  # problem.c's, with its defaults: results join only where all agree
    Knob("work", "", "layers", 0, 0, 0, 2, fixed=True, choices=("layers", "product", "decode")),
    Knob("rows", "rows", "T: of a layer", 1000, 13, 1, 1 << 20),
    Knob("columns", "numbers", "H: of a row", 3072, 102, 1, 1 << 20),
    Knob("layers", "layers", "L: of a repetition", 32, 3, 1, 1024),
    Knob("pitch", "numbers", "the columns", 0, 0, 0, 1 << 21, fixed=True),
    Knob("type", "", "of the matrices", 0, 0, 0, 1, choices=TYPES),
    Knob("act", "", "the activation", 0, 0, 0, 1, choices=ACTS),
    Knob("math", "", "PyTorch's own", 0, 0, 0, 1, fixed=True, choices=("exact", "fast")),
    Knob("gate", "", "that of exact forms", 0, 0, 0, 1, fixed=True, choices=("as-math", "exact")),
    Knob("span", "", "x is drawn from -span to span", 8, 8, 1, 512),
    Knob("inner", "numbers", "none", 768, 72, 8, 1 << 14, fixed=True),
    Knob("model", "", "none", 1, 0, 0, 2, fixed=True, choices=("tiny", "qwen2.5-0.5b", "smollm2-135m")),
]

DRAW_X, DRAW_BIAS, DRAW_H = 600, 601, 602  # parts of the seed
SCALE, CUBE = 0.7978845608028654, 0.044715
U32, U16 = 2.0**-24, 2.0**-8
FORMS = ("spelled", "operators", "compile")


# ---- the formula ----


def spelled(torch: ModuleType, gate: bool) -> Callable[[Any, Any, Any], Any]:
    """As a program writes it out: x [T][H], bias [H], before [T][H]; of the gate x [2][T][H], bias [2][1][H]."""
    def of_gelu(x: Any, bias: Any, before: Any) -> Any:
        v = x + bias
        return before + 0.5 * v * (1.0 + torch.tanh(SCALE * (v + CUBE * torch.pow(v, 3.0))))

    def of_gate(x: Any, bias: Any, before: Any) -> Any:
        v = x + bias
        return before + v[0] * torch.sigmoid(v[0]) * v[1]
    return of_gate if gate else of_gelu


def by_operators(torch: ModuleType, gate: bool) -> Callable[[Any, Any, Any], Any]:
    """With the activation as one operator."""
    functional = torch.nn.functional

    def of_gelu(x: Any, bias: Any, before: Any) -> Any:
        return before + functional.gelu(x + bias, approximate="tanh")

    def of_gate(x: Any, bias: Any, before: Any) -> Any:
        v = x + bias
        return before + functional.silu(v[0]) * v[1]
    return of_gate if gate else of_gelu


def activation(torch: ModuleType, gate: bool, x: Any, bias: Any, unit: float) -> tuple[Any, Any]:
    """In float64: the activation and how far one that was computed may be off, as reference.c has it."""
    v = x.double() + bias.double()
    d1 = 0.0 if unit == U32 else unit  # in fp32 x + bias is exact
    extra = 0.0 if unit == U32 else unit
    if gate:
        rest = torch.sigmoid(-v[0])
        term = v[0] * torch.sigmoid(v[0]) * v[1]
        of_exp = rest * (4 * U32 + d1 * v[0].abs())
        return term, term.abs() * (of_exp * of_exp.exp() + U32 + extra + 3 * unit + 2 * d1) + 2.0**-121 * (
            1 + v[1].abs())
    inner = SCALE * (v + CUBE * v**3)
    t = torch.tanh(inner)
    moved = inner.abs() * (7 * unit + 3 * d1)
    near = torch.where(inner.abs() > 100, torch.zeros_like(t), (1 - t * t) * (moved * (2 * moved).exp() + 2 * unit))
    itself = torch.where(inner.abs() > 10, 1 - t.abs(), (4 * U32 + extra) * t.abs())
    return 0.5 * v * (1 + t), 0.5 * v.abs() * (near + itself + (3 * unit + d1) * (1 + t)) + 2.0**-121


# ---- the problem ----


class Epilogue:
    """x [L][T][H], of the gate [L][2][T][H]; bias; h [T][H]; all of one type."""

    def __init__(self, torch: ModuleType, values: dict[str, float], where: str) -> None:
        self.torch, self.where = torch, where
        self.rows, self.columns, self.layers = (int(values[name]) for name in ("rows", "columns", "layers"))
        self.gate, self.span = values["act"] == 1, int(values["span"])
        self.dtype = torch.bfloat16 if values["type"] == 1 else torch.float32
        self.unit = U16 if values["type"] == 1 else U32
        parts = (2,) if self.gate else ()
        made = {"dtype": self.dtype, "device": where}
        self.x = torch.empty((self.layers, *parts, self.rows, self.columns), **made)
        self.bias = torch.empty((self.layers, *parts, 1, self.columns), **made)
        self.h = torch.empty((self.rows, self.columns), **made)
        self.seed = 0

    @property
    def layer_bytes(self) -> float:
        """Fewest, as sweeps.c counts them."""
        numbers = (2 if self.gate else 1) + 1 + 1 / self.layers
        return numbers * self.rows * self.columns * self.h.element_size()

    def fill(self, seed: int) -> None:
        """Inputs of a seed, in the same memory: graphs have its addresses."""
        if seed == self.seed:
            return
        for part, tensor, limit in ((DRAW_X, self.x, self.span), (DRAW_BIAS, self.bias, 1), (DRAW_H, self.h, 4)):
            source = self.torch.Generator(device=self.where)
            source.manual_seed(split(seed, part) % (1 << 63))
            for one in tensor if tensor.dim() > 2 else (tensor,):
                steps = self.torch.randint(-limit * 8192, limit * 8192 + 1, one.shape, generator=source,
                                           device=self.where, dtype=self.torch.int32)
                one.copy_((steps.to(self.torch.float32) * 2.0**-13).to(self.dtype))
        self.seed = seed

    def run(self, form: Callable[[Any, Any, Any], Any]) -> list[Any]:
        """All layers: what each has written."""
        outs, before = [], self.h
        for layer in range(self.layers):
            before = form(self.x[layer], self.bias[layer], before)
            outs.append(before)
        return outs

    def verify(self, outs: list[Any] | None) -> Verdict:
        """Every number of every layer. NaN is within no bound."""
        size = self.rows * self.columns
        if outs is None or any(out.shape != self.h.shape or out.dtype != self.dtype for out in outs):
            return Verdict(checked=size * self.layers, wrong=size * self.layers, note="there is no such output")
        verdict, before = Verdict(checked=size * self.layers, wrong=0), self.h
        for layer, out in enumerate(outs):
            term, slack = activation(self.torch, self.gate, self.x[layer], self.bias[layer], self.unit)
            want, got = before.double() + term, out.double()
            slack = slack + want.abs() * 2.0**-52
            low, high = ((want + side).to(self.torch.float32).to(self.dtype).double() for side in (-slack, slack))
            right = (got >= low) & (got <= high)
            error = (got - want).abs()
            wrong = int((~right).sum())
            if wrong and not verdict.wrong:
                at = int((~right).view(-1).nonzero()[0])
                verdict.first_wrong, verdict.got = layer * size + at, float(got.view(-1)[at])
                verdict.want = float(want.view(-1)[at])
                verdict.note = f"layer {layer}, row {at // self.columns}, column {at % self.columns}"
            verdict.wrong += wrong
            worst = float(error.max())
            if math.isnan(worst) or worst > (verdict.worst_error or 0.0):
                verdict.worst_error = worst
                verdict.bound = float(slack.view(-1)[int(error.argmax())])
            before = out
        return verdict


# ---- the variants ----


class Variant:
    """A form, call by call or in a graph."""

    def __init__(self, problem: Epilogue, device: Device, form: str, in_graph: bool) -> None:
        self._problem, self._device, self._form, self._in_graph = problem, device, form, in_graph
        self._call: Any = None
        self._graph: Any = None
        self._outs: list[Any] | None = None

    def prepare(self) -> None:
        """Compile, and call once to see whether it can; then the capture."""
        torch, gate = self._device.torch, self._problem.gate
        try:
            self._call = by_operators(torch, gate) if self._form == "operators" else spelled(torch, gate)
            if self._form == "compile":
                self._call = torch.compile(self._call, dynamic=False)
            self._outs = self._problem.run(self._call)
            self._device.synchronize()
            if self._in_graph:
                self._capture()
        except Exception as error:  # the compiler has exceptions of its own
            if isinstance(error, torch.cuda.OutOfMemoryError) or self._device.is_lost():
                raise
            raise Failure("skipped", f"PyTorch cannot: {pk_peer.said_by(error)}") from error

    def _capture(self) -> None:
        torch = self._device.torch
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._problem.run(self._call)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outs = self._problem.run(self._call)

    def poison(self) -> None:
        """NaN where the outputs will be, as far as that is known."""
        if self._graph is not None:
            for out in self._outs or ():
                out.fill_(math.nan)
            return
        self._outs = None

    def execute(self, recorder: Recorder) -> None:
        """All layers, and one wait."""
        pk_peer.submit_and_wait(self._device, recorder, self._graph.replay if self._graph is not None else self._layers)

    def _layers(self) -> None:
        self._outs = self._problem.run(self._call)

    def verify(self) -> Verdict:
        """All layers' outputs."""
        return self._problem.verify(self._outs)

    def finish(self) -> None:
        """Release the graph and its memory."""
        self._graph = self._outs = self._call = None


def variant_name(form: str, in_graph: bool) -> str:
    """As tables and files have it."""
    return f"torch-{form}{'-graph' if in_graph else ''}"


def contenders(problem: Epilogue, device: Device, values: dict[str, float]) -> list[Contender]:
    """All forms call by call, then all in graphs."""
    says = {"spelled": "each operation an operator", "operators": "the activation an operator",
            "compile": "the formula by torch.compile"}
    found = []
    for in_graph in (False, True):
        for form in FORMS:
            name = variant_name(form, in_graph)
            summary = says[form] + (", in a CUDA graph" if in_graph else "")
            result = Result(name, summary, name == "torch-spelled", values, tokens=problem.layers,
                            bytes_per_token=problem.layer_bytes,
                            flops_per_token=(7.0 if problem.gate else 11.0) * problem.rows * problem.columns,
                            graph_replays_per_token=1 / problem.layers if in_graph else 0.0)
            one = Variant(problem, device, form, in_graph)
            found.append(Contender(result, one.prepare, one.poison, lambda: None, one.execute, one.verify, one.finish))
    return found


# ---- the program ----


def check(options: argparse.Namespace) -> None:
    """Knobs that do not go together."""
    values = pk_peer.chosen(options, KNOBS)
    if values["rows"] * values["columns"] > 1 << 31:
        raise Failure("usage", f"{values['rows']} x {values['columns']} numbers are more than 2^31: use fewer --rows")


def run(options: argparse.Namespace, device: Device, report: Report, bench: pk_peer.Bench) -> None:
    """The one point."""
    def make(values: dict[str, float]) -> tuple[Epilogue, list[Contender]]:
        problem = Epilogue(device.torch, values, device.name)
        return problem, contenders(problem, device, values)
    pk_peer.bench_points(options, device, report, bench, [pk_peer.chosen(options, KNOBS)], make, ("rows", "layers"))


def show(report: Report) -> None:
    """The table. GB/s: the fewest bytes of a layer over its median wall time."""
    pk_peer.show_points(report, KNOBS, "layer")


def device_compiler() -> str:
    """PyTorch's version."""
    torch, = pk_peer.needs("torch")
    return f"PyTorch {torch.__version__}"


PEER = pk_peer.Peer("lab06", "The fused epilogue", "peer_torch.py", "lab06-torch.json", __doc__, KNOBS, ("torch",), check,
                    device_compiler, run, show,
                    [variant_name(form, in_graph) for in_graph in (False, True) for form in FORMS])

if __name__ == "__main__":
    sys.exit(pk_peer.main(PEER, sys.argv))
