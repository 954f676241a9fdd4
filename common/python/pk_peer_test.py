"""What the tests of peers have in common: complaints, how a program ends, and the knobs as a lab's problem.c has them.

A test file has functions test_<part> and ends with `sys.exit(pk_peer_test.main(globals(), sys.argv))`.
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import ast
import contextlib
import io
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
from typing import Any, Iterable, Mapping, Sequence

import pk_peer
import pk_result
from pk_peer import Knob

_MOST_SHOWN = 20
_complaints: list[str] = []


def expect(right: bool, text: str) -> None:
    """Complain when it is not so."""
    if not right:
        _complaints.append(text)


# ---- how a program ends ----


def ended(program: pathlib.Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """In a process of its own: exit code and what it says, in one line."""
    done = subprocess.run([sys.executable, str(program), *arguments], capture_output=True, text=True,
                          env={**os.environ, **environment}, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def judge_ends(program: pathlib.Path, cases: Iterable[tuple[Sequence[str], int, str]]) -> None:
    """Arguments, the exit code, and words that are said."""
    for arguments, code, words in cases:
        got, text = ended(program, *arguments)
        expect(got == code and words in text and "Traceback" not in text, f"{arguments}: {got}, {text!r}")


def judge_lacks(program: pathlib.Path, stand_ins: Mapping[str, str], words: str, *arguments: str) -> None:
    """A skip that says so, where these modules stand before the real ones: name, or name with /, and text."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in stand_ins.items():
            path = pathlib.Path(folder) / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        got, text = ended(program, "--quick", *arguments, PYTHONPATH=folder)
        expect(got == 77 and "SKIPPED: " in text and words in text, f"{words}: {got}, {text!r}")


MISSING = "raise ImportError('not here')\n"  # a stand-in that cannot be imported
WITHOUT_GPU = "class cuda:\n    is_available = staticmethod(lambda: False)\n__version__ = '2'\n"  # a stand-in for torch


# ---- a device, and what is run on it ----


class Moment:
    """As much of an event as a host needs, which has done all when it records."""

    def __init__(self) -> None:
        self._at_us = math.nan

    def record(self) -> None:
        """Now."""
        self._at_us = pk_peer.now_us()

    def synchronize(self) -> None:
        """Nothing runs behind the host's back."""

    def elapsed_time(self, other: Moment) -> float:
        """Milliseconds from this one to the other."""
        return (other._at_us - self._at_us) * 1e-3


class Host:
    """As much of a pk_peer.Device as variants and a bench on the host need."""

    name, sensors = "cpu", pk_peer.Sensors("")

    def __init__(self, torch: types.ModuleType) -> None:
        self.torch = torch

    def synchronize(self) -> None:
        """Nothing runs behind the host's back."""

    def events(self) -> tuple[Moment, Moment]:
        """Likewise."""
        return Moment(), Moment()

    def is_lost(self) -> bool:
        """Never."""
        return False

    failure = pk_peer.Device.failure

    def document(self, before: Any) -> dict[str, Any]:
        """Made up."""
        return {"backend": "cpu", "kind": "cpu", "name": "Made-up host", "arch": "x", "processors": 1, "warp_size": 1,
                "l2_bytes": 1, "memory_bytes": 1, "clocks": {"before": before, "after": None},
                "limits": {"launch_us": None, "launch_sync_us": None, "gap_us": None, "read_gb_per_s": None}}

    def environment(self, device_compiler: str) -> dict[str, Any]:
        """Likewise."""
        return pk_result.environment("1", "13", "Python", device_compiler, False)


def judge_points(knobs: Sequence[Knob], unit: str) -> None:
    """bench_points and show_points, on a stand-in for PyTorch: a contender at two points, and no memory at a third."""
    cuda = types.SimpleNamespace(OutOfMemoryError=MemoryError, empty_cache=lambda: None)
    device: Any = Host(types.SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    options = pk_peer.parse_options("", knobs, ["--quick", "--time-limit=0.01"])
    name = next(knob.name for knob in knobs if not knob.fixed and not knob.choices)
    points = [{**pk_peer.chosen(options, knobs), name: value} for value in (1, 2, 3)]
    filled: list[int] = []

    def make(values: dict[str, float]) -> tuple[Any, list[pk_peer.Contender]]:
        if values[name] == 3:
            raise MemoryError
        result = pk_result.Result("only", "one", True, values)
        verdict = pk_result.Verdict(checked=1, wrong=0)
        return types.SimpleNamespace(fill=filled.append), [pk_peer.Contender(
            result, lambda: None, lambda: None, lambda: None, lambda _: None, lambda: verdict, lambda: None)]

    report = pk_result.Report("lab99", "None", [knob.document() for knob in knobs], "peer.py", [], 1, True,
                              device.document(None), device.environment("Made-up 1"))
    bench = pk_peer.Bench(device, pk_peer.Watchdog(60, print), 1, lambda: None)
    try:
        pk_peer.bench_points(options, device, report, bench, points, make, (name,))
        expect(False, "no memory passes")
    except pk_result.Failure as failure:
        expect(failure.status == "usage" and f"--{name}=3," in failure.reason, f"no memory: {failure.reason}")
    expect([result.params[name] for result in report.results] == [1, 2] and filled == [1, 2] * 2, f"filled: {filled}")
    expect(all(result.status == "pass" and len(result.wall) >= 8 for result in report.results), "a point is not timed")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        pk_peer.show_points(report, knobs, unit)
    text = out.getvalue()
    expect(text.count(f"us/{unit}") == 2 and f"{name}=1" in text and f"{name}=2" in text, f"shown: {text}")


# ---- knobs ----


def _names_in(text: str, names: dict[str, int]) -> None:
    """Adds the names of whole numbers in C: enumerations, constants, #defines."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for name, value in re.findall(r"^(?:#define|static const [a-z ]+) (\w+) (?:= )?([^;\n]+);?$", text, re.MULTILINE):
        number = _number(value, names)
        if number is not None:
            names[name] = number
    for body in re.findall(r"\benum\b[^{;]*\{([^}]*)\}", text):
        following: int | None = 0
        for entry in filter(None, map(str.strip, body.split(","))):
            name, _, value = entry.partition("=")
            number = _number(value, names) if value else following
            following = None if number is None else number + 1
            if number is not None:
                names[name.strip()] = number


_OPERATIONS = {ast.LShift: int.__lshift__, ast.Add: int.__add__, ast.Sub: int.__sub__, ast.Mult: int.__mul__}


def _number(text: str, names: Mapping[str, int]) -> int | None:
    """Of a constant expression of whole numbers; None where it has more than that, or a name that is not known."""
    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.BinOp):
            return _OPERATIONS[type(node.op)](value(node.left), value(node.right))
        return names[node.id]  # type: ignore[attr-defined]
    try:
        return value(ast.parse(re.sub(r"(?<=\d)[uUlL]+\b", "", text.strip()), mode="eval").body)
    except (AttributeError, KeyError, SyntaxError):
        return None


def _choices_in(text: str, values: list[str]) -> tuple[str, ...]:
    """What a row's values, without default and quick, choose from: the strings of a list that they name."""
    for word in re.findall(r"\b[a-z]\w*\b", " ".join(values)):
        listed = re.search(rf"\b{word}\[\w*\] = \{{([^{{}}]*)\}}", text)
        if listed:
            return tuple(re.findall(r"\"([^\"]+)\"", listed[1]))
    return ()


def knobs_in(problem: pathlib.Path) -> list[dict[str, Any]]:
    """The rows of a problem.c's table: name, unit, choices, and default, quick, low and high, None where its text alone
    does not say. Constants are looked for in the lab's folder and in common/decode."""
    names: dict[str, int] = {}
    for folder in (pk_result.ROOT / "common" / "decode", problem.parent):
        for path in sorted(folder.glob("*.h")) + ([problem] if folder == problem.parent else []):
            _names_in(path.read_text(encoding="utf-8"), names)
    text = problem.read_text(encoding="utf-8")
    lists = text + "".join(path.read_text(encoding="utf-8") for path in sorted(problem.parent.glob("*.c")))
    table = re.search(r"const pk_knob lab\d\d_knobs\[\w*\] = \{(.*?)\n\};", text, re.DOTALL)
    rows = re.findall(r"\{\"([\w-]+)\",\s*\"([^\"]*)\",\s*(?:\"[^\"]*\"\s*)+,\s*(.*?)\},\n", f"{table[1]}\n", re.DOTALL) \
        if table else []
    found = []
    for name, unit, rest in rows:
        values = [value.strip() for value in rest.split(",")]
        choices = _choices_in(lists, values[2:])
        decimals = _number(values[-1], names) or 0
        numbers = [_number(value, names) for value in values[:4]]
        if choices:
            numbers[2:] = [0, len(choices) - 1]
        units = [number if number is None or not decimals else number / 10**decimals for number in numbers]
        found.append({"name": name, "unit": unit, "choices": choices,
                      **dict(zip(("default", "quick", "low", "high"), units))})
    return found


def judge_knobs(knobs: Sequence[Knob], problem: pathlib.Path, fields: Sequence[str] = ("default", "quick")) -> None:
    """The knobs are problem.c's, in its order: names, units, choices, and these fields where its text says them."""
    rows = knobs_in(problem)
    expect(bool(rows) and len(rows) == len(knobs), f"{len(knobs)} knobs, and problem.c has {len(rows)}")
    for knob, row in zip(knobs, rows):
        for field in ("name", "unit", "choices", *fields):
            got, want = getattr(knob, field), row[field]
            expect(want is None or got == want, f"knob {knob.name}: {field} is {got!r}, in problem.c {want!r}")


# ---- a test file ----


def main(tests: Mapping[str, Any], argv: Sequence[str]) -> int:
    """argv: the file, a part, and what its test takes. What a part complains of before it finds that it lacks something
    counts."""
    part, *arguments = argv[1:]
    lacks = None
    try:
        tests[f"test_{part}"](*arguments)
    except pk_result.Failure as failure:
        lacks = failure.reason
    except Exception as error:
        if "only 0-dimensional arrays can be converted" not in str(error):
            raise
        lacks = "this Triton's interpreter does not work with this numpy; numpy below 2.4 does"
    for complaint in _complaints[:_MOST_SHOWN]:
        print(complaint)
    print(f"{part}: {len(_complaints)} complaints")
    if lacks and not _complaints:
        print(f"SKIPPED: {lacks}")
        return 77
    return 1 if _complaints else 0
