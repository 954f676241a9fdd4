"""Numbers and result files for programs in Python, the same as the harness makes them in C: the seeded generator of
common/num/pk_random.c, the statistics of harness/src/stats.c, and files by harness/schema/result.v1.json.

Needs nothing but Python 3.9. Unknown numbers are NaN here and null in files.
"""
from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import platform
import re
import subprocess
import sys
import time
from typing import Any, Iterable, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]  # of the source tree
NAN = math.nan

# ---- the seeded generator ----

_MASK = (1 << 64) - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


def split(seed: int, index: int) -> int:
    """A seed for part `index` of what `seed` stands for: output `index` of SplitMix64's sequence (pk_random_split)."""
    z = (seed + (index + 1) * _GOLDEN_GAMMA) & _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


class Random:
    """xoshiro256** (Blackman and Vigna 2021), its state filled by SplitMix64: pk_random, number for number."""

    def __init__(self, seed: int) -> None:
        self._state = [split(seed, i) for i in range(4)]

    def u64(self) -> int:
        """All 64 bits uniform."""
        return self.below(1 << 64)

    def below(self, bound: int) -> int:
        """Uniform in [0, bound), without modulo bias; `bound` is at least 1."""
        return self.below_each((bound,))[0]

    def below_each(self, bounds: Iterable[int]) -> list[int]:
        """One below each of these, one after the other: millions of them take no call each."""
        s0, s1, s2, s3 = self._state
        found = []
        for bound in bounds:
            rejected = (1 << 64) % bound
            drawn = -1
            while drawn < rejected:
                five = s1 * 5 & _MASK
                drawn = ((five << 7 | five >> 57) & _MASK) * 9 & _MASK
                s2 ^= s0
                s3 ^= s1
                s0, s1, s2, s3 = s0 ^ s3, s1 ^ s2, s2 ^ (s1 << 17 & _MASK), (s3 << 45 | s3 >> 19) & _MASK
            found.append(drawn % bound)
        self._state = [s0, s1, s2, s3]
        return found


# ---- statistics ----


def _of_sorted(values: Sequence[float], q: float) -> float:
    position = q * (len(values) - 1)
    below = int(position)
    fraction = position - below
    if fraction <= 0 or below + 1 >= len(values):
        return values[below]
    return values[below] + fraction * (values[below + 1] - values[below])


def quantile(values: Sequence[float], q: float) -> float:
    """Hyndman and Fan's type 7, as numpy's; NaN when there are no values or one is NaN."""
    if not values or any(math.isnan(value) for value in values):
        return NAN
    return _of_sorted(sorted(values), q)


def median(values: Sequence[float]) -> float:
    """The 0.5-quantile."""
    return quantile(values, 0.5)


def relative_spread(values: Sequence[float]) -> float:
    """1.4826 times the median absolute deviation, over the median: a robust coefficient of variation."""
    middle = median(values)
    if math.isnan(middle) or middle == 0:
        return NAN
    return 1.4826 * median([abs(value - middle) for value in values]) / abs(middle)


def median_error(values: Sequence[float]) -> float:
    """Standard error of the median over the median, for samples near normal: 1.2533 sigma / sqrt(count)."""
    return 1.2533 * relative_spread(values) / math.sqrt(len(values)) if values else NAN


def bootstrap_median(values: Sequence[float], resamples: int, level: float, seed: int) -> tuple[float, float]:
    """Percentile bootstrap interval of the median (Efron and Tibshirani 1993, chapter 13): pk_bootstrap_median."""
    if not values or any(math.isnan(value) for value in values):
        return NAN, NAN
    ordered, count, random = sorted(values), len(values), Random(seed)
    medians = []
    for _ in range(resamples):
        drawn = sorted(random.below_each([count] * count))
        low, high = ordered[drawn[(count - 1) // 2]], ordered[drawn[count // 2]]
        medians.append(low + 0.5 * (high - low))
    medians.sort()
    return _of_sorted(medians, 0.5 * (1 - level)), _of_sorted(medians, 0.5 * (1 + level))


# ---- outcomes ----

EXIT_CODES = {"pass": 0, "wrong": 1, "usage": 2, "fault": 3, "timeout": 4, "skipped": 77, "interrupted": 130}
_RANKS = {"pass": 0, "skipped": 1, "usage": 4, "wrong": 5, "interrupted": 6, "timeout": 7, "fault": 8}


def worse(a: str, b: str) -> str:
    """Of two outcomes the one that names the run: pk_status_worse."""
    return b if _RANKS[b] > _RANKS[a] else a


class Failure(Exception):
    """What ends a variant or a run: an outcome, and one line that says what was tried, what happened, what to do."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = " ".join(reason.split())


# ---- results ----

BOOTSTRAP_RESAMPLES = 2000


@dataclasses.dataclass
class Verdict:
    """What a comparison of all outputs found. `got` and `want` are those at `first_wrong`."""

    checked: int = 0
    wrong: int = 0
    first_wrong: int = 0
    got: float = NAN
    want: float = NAN
    worst_error: float = 0.0
    bound: float = 0.0
    note: str = ""

    def document(self, seed: int) -> dict[str, Any]:
        """By the schema's `validation`."""
        wrong = self.wrong > 0
        return {
            "seed": str(seed),
            "checked": self.checked,
            "wrong": self.wrong,
            "first_wrong": self.first_wrong if wrong else None,
            "got": known(self.got) if wrong else None,
            "want": known(self.want) if wrong else None,
            "worst_error": known(self.worst_error),
            "bound": known(self.bound),
            "note": self.note,
        }


@dataclasses.dataclass
class Result:
    """One variant at one set of knobs. Times are in microseconds, a repetition where the name does not say else."""

    variant: str
    summary: str
    is_baseline: bool
    params: dict[str, float]
    tokens: int = 1
    bytes_per_token: float = NAN
    flops_per_token: float = NAN
    launches_per_token: float = NAN
    graph_replays_per_token: float = NAN
    status: str = "pass"
    reason: str | None = None
    is_unchecked: bool = False  # nothing shows what it computed: the checks below are not made, and null in files
    validation: dict[str, dict[str, Any] | None] = dataclasses.field(
        default_factory=lambda: {"before": None, "after": None, "fresh": None})
    wall: list[float] = dataclasses.field(default_factory=list)
    device: list[float] = dataclasses.field(default_factory=list)
    submit: list[float] = dataclasses.field(default_factory=list)
    token: list[float] = dataclasses.field(default_factory=list)
    ratios: list[float] = dataclasses.field(default_factory=list)
    rounds: int = 0
    dropped_throttled: int = 0
    settled: bool = False
    prepare_us: float = NAN
    first_execute_us: float = NAN
    finish_us: float = NAN

    def fail(self, failure: Failure) -> None:
        """Take over how the variant ended."""
        self.status, self.reason = failure.status, failure.reason

    def us_per_token(self) -> float:
        """Median wall time of a repetition over its tokens."""
        return median(self.wall) / self.tokens

    def gb_per_s(self) -> float:
        """Bytes a token over the time of a token; 1 GB = 1e9 bytes."""
        return self.bytes_per_token / self.us_per_token() * 1e-3

    def speedup(self, seed: int) -> dict[str, Any] | None:
        """Median of the paired ratios and its 95% interval; None where there are none."""
        if self.is_baseline or not self.ratios:
            return None
        low, high = bootstrap_median(self.ratios, BOOTSTRAP_RESAMPLES, 0.95, seed)
        return {"median": median(self.ratios), "low": known(low), "high": known(high), "rounds": len(self.ratios),
                "ratios": list(self.ratios)}

    def document(self, seed: int) -> dict[str, Any]:
        """By the schema's `result`."""
        us = self.us_per_token()
        return {
            "variant": self.variant,
            "summary": self.summary,
            "role": "baseline" if self.is_baseline else "ladder",
            "params": dict(self.params),
            "cache": "hot",
            "status": self.status,
            "reason": self.reason,
            "open_step": None,
            "validation": dict(self.validation),
            "timing": {
                "unit": "us",
                "per": "repetition",
                "rounds": self.rounds,
                "dropped_throttled": self.dropped_throttled,
                "settled": self.settled,
                "wall": samples(self.wall),
                "device": samples(self.device),
                "submit": samples(self.submit),
                "token": samples(self.token),
            },
            "phases": {
                "prepare_us": known(self.prepare_us),
                "first_execute_us": known(self.first_execute_us),
                "finish_us": known(self.finish_us),
            },
            "launches": {
                "per_token": known(self.launches_per_token),
                "graph_replays_per_token": known(self.graph_replays_per_token),
                "per_token_cupti": None,
            },
            "speedup": self.speedup(seed),
            "derived": {
                "tokens": self.tokens,
                "us_per_token": known(us),
                "tokens_per_s": known(1e6 / us),
                "bytes_per_token": known(self.bytes_per_token),
                "flops_per_token": known(self.flops_per_token),
                "gb_per_s": known(self.gb_per_s()),
                "percent_of_read_limit": None,
            },
            "model": None,
        }


@dataclasses.dataclass
class Report:
    """One run: `device`, `environment` and `knobs` by the schema."""

    lab: str
    title: str
    knobs: list[dict[str, Any]]
    program: str
    argv: list[str]
    seed: int
    quick: bool
    device: dict[str, Any]
    environment: dict[str, Any]
    started_utc: str = dataclasses.field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    status: str = "pass"
    note: str | None = None
    results: list[Result] = dataclasses.field(default_factory=list)

    def id(self) -> str:
        """The start and the device's name, as a results folder is called."""
        name = re.sub(r"[^A-Za-z0-9_.]+", "-", self.device["name"]).strip("-.")[:63]
        return f"{self.started_utc.replace(':', '')}-{name or 'device'}"

    def outcome(self) -> str:
        """A skip does not fail a run in which something else passed, and does not pass one in which nothing did."""
        ran = [result for result in self.results if result.status != "skipped"]
        worst = "pass" if any(not result.is_baseline for result in ran) else "skipped"
        for result in ran:
            worst = worse(worst, result.status)
        return worst

    def document(self) -> dict[str, Any]:
        """The whole file, by harness/schema/result.v1.json."""
        return {
            "schema": "pk-result",
            "version": 1,
            "run": {
                "id": self.id(),
                "started_utc": self.started_utc,
                "argv": list(self.argv),
                "command_line": None,
                "program": self.program,
                "seed": str(self.seed),
                "quick": self.quick,
                "git": git_state(),
            },
            "environment": self.environment,
            "device": self.device,
            "lab": {
                "id": self.lab,
                "title": self.title,
                "knobs": list(self.knobs),
            },
            "status": self.status,
            "note": self.note,
            "results": [result.document(self.seed) for result in self.results],
            "fits": [],
            "figures": [],
            "targets": [],
        }


def known(value: float) -> float | None:
    """A number as JSON has it: neither NaN nor infinities."""
    return value if math.isfinite(value) else None


def samples(values: Sequence[float]) -> dict[str, Any] | None:
    """By the schema's `samples`; None when nothing was timed."""
    if not values:
        return None
    return {
        "median": median(values),
        "p10": quantile(values, 0.1),
        "p90": quantile(values, 0.9),
        "p99": quantile(values, 0.99),
        "min": min(values),
        "max": max(values),
        "mean": sum(sorted(values)) / len(values),
        "relative_spread": known(relative_spread(values)),
        "count": len(values),
        "samples": list(values),
    }


# ---- this machine ----


def _value_in(path: str, key: str) -> str:
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(rf"^{key}[\t :=]+\"?([^\"\n]*)", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def environment(driver: str, toolkit: str, compiler: str, device_compiler: str, nvml: bool) -> dict[str, Any]:
    """By the schema's `environment`: this system, and what the program says that it runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "os": _value_in("/etc/os-release", "PRETTY_NAME") or platform.system(),
        "cpu": _value_in("/proc/cpuinfo", "model name") or platform.machine(),
        "cpu_cores": cores,
        "driver": driver,
        "toolkit": toolkit,
        "compiler": compiler,
        "device_compiler": device_compiler,
        "flags": "",
        "build_type": "",
        "tools": {"nvml": nvml, "cupti": False, "nvtx": False},
    }


def git_state() -> dict[str, Any] | None:
    """The commit of the source tree, and whether tracked files differ from it; None outside a work tree of its own."""
    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        if pathlib.Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return None
        commit = git("rev-parse", "--verify", "HEAD")
        return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        commit = os.environ.get("PK_GIT_COMMIT", "")  # for a tree that came without its history
        return {"commit": commit, "dirty": False} if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", commit) else None


# ---- files ----


def ensure_writable(folder: pathlib.Path) -> None:
    """Make the folder, and see that a file can be made in it: asked before a run, not after it."""
    probe = folder / f"probe.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        raise Failure("usage", f"{folder}: cannot write into this folder: {error.strerror}; "
                               "choose another folder") from error


def write_file(path: pathlib.Path, text: str) -> None:
    """Whole or not at all: a temporary file beside it, fsync, rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        if path.exists() and not path.is_file():
            raise Failure("usage", f"{path}: cannot write: it is no file; give a file's name")
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Failure("usage", f"{path}: cannot write: {error.strerror}; choose another file") from error


def write_report(report: Report, path: pathlib.Path) -> None:
    """The report as JSON at `path`."""
    write_file(path, json.dumps(report.document(), indent=1, allow_nan=False) + "\n")


def result_folder(report: Report, root: pathlib.Path, file_name: str) -> pathlib.Path:
    """ROOT/<utc>-<device>, or the first with a number behind it that does not hold such a file yet."""
    base = root / report.id()
    folder, number = base, 2
    while (folder / file_name).exists():
        folder, number = base.with_name(f"{base.name}-{number}"), number + 1
    return folder


# ---- tables ----


def print_table(rows: Iterable[Sequence[str]], right: Iterable[int]) -> None:
    """Columns two blanks apart, or one where 80 columns are too few; those in `right` align right. The first row is the
    heading."""
    lines = [list(row) for row in rows]
    to_the_right = set(right)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    gap = "  " if sum(widths) + 2 * len(widths) - 2 <= 80 else " "
    for line in lines:
        cells = [cell.rjust(width) if column in to_the_right else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(line, widths))]
        print(gap.join(cells).rstrip())
    sys.stdout.flush()


def figure(value: float) -> str:
    """A number as tables show it, or a dash where it is not known."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def print_times(results: Iterable[Result], token: str) -> None:
    """A row a result: the time of a token, which is called so, as a repetition's median, p10 and p90, and on the device;
    GB/s by the median; the median of the paired ratios."""
    rows = [["variant", "result", f"us/{token}", "p10", "p90", "device", "GB/s", "speedup"]]
    for result in results:
        times = [figure(quantile(result.wall, q) / result.tokens) for q in (0.5, 0.1, 0.9)]
        speedup = f"{median(result.ratios):.3g}" if result.ratios else "1" if result.wall else "-"
        rows.append([result.variant, result.status, *times, figure(median(result.device) / result.tokens),
                     figure(result.gb_per_s()), speedup])
    print_table(rows, range(2, 8))
