"""How a peer is measured: what others offer for a lab's problem, in PyTorch, by the rules of docs/measuring.md.

Verified in full before timing, after it and with fresh inputs; interleaved rounds (A B B A) with paired ratios; wall,
device and submission times apart; clocks read through NVML where it is there, and throttled rounds dropped; a watchdog.
PyTorch is looked for when a device is opened, so that this module can be read without it.
"""
from __future__ import annotations

import argparse
import ctypes
import dataclasses
import functools
import importlib
import os
import pathlib
import signal
import sys
import textwrap
import threading
import time
from types import ModuleType
from typing import Any, Callable, Sequence

import pk_result
from pk_result import Failure, Report, Result, Verdict


def now_us() -> float:
    """Host time in microseconds, from any moment on."""
    return time.perf_counter_ns() * 1e-3


# ---- options ----


@dataclasses.dataclass(frozen=True)
class Knob:
    """A knob of the lab's: an option --name=value, or a fixed one, which is not offered here and is listed all the
    same, so that result files have the lab's own knobs. `kind` is int or float; with `choices` the value is given by
    their names."""

    name: str
    unit: str
    help: str
    default: float
    quick: float
    low: float
    high: float
    kind: type = int
    fixed: bool = False
    choices: tuple[str, ...] = ()  # what 0, 1, ... stand for
    several: bool = False  # the option takes "A,B": a point for each

    def document(self) -> dict[str, Any]:
        """By the schema's `knobs`."""
        choices = {"choices": list(self.choices)} if self.choices else {}
        return {"name": self.name, "unit": self.unit, **choices}

    def spelled(self, value: float) -> str:
        """The value as an option gives it."""
        return self.choices[int(value)] if self.choices else f"{value}"


def _numbers_in(knob: Knob) -> Callable[[str], list[float]]:
    parse = _number_in(knob)
    return lambda text: [parse(part) for part in dict.fromkeys(text.split(","))]


def _number_in(knob: Knob) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if knob.choices:
            if text not in knob.choices:
                raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(knob.choices)}")
            return knob.choices.index(text)
        try:
            value = knob.kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
        if not knob.low <= value <= knob.high:
            raise argparse.ArgumentTypeError(f"{text} is not in {knob.low} to {knob.high}")
        return value
    return parse


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise Failure("usage", f"{message} (--help lists the options)")


def parse_options(description: str, knobs: Sequence[Knob], argv: Sequence[str], watchdog_s: float = 60,
                  add_own: Callable[[argparse.ArgumentParser], None] | None = None) -> argparse.Namespace:
    """The knobs, each in an attribute of its name with _ for -, what all peers take, and what `add_own` adds. None: the
    knob was not given; `quick` is already what --quick or QUICK=1 say. Raises Failure for what cannot be met."""
    parser = _Parser(description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    for knob in knobs:
        if knob.fixed:
            continue
        values = ", ".join(knob.choices) if knob.choices else f"{knob.low} to {knob.high} {knob.unit}".rstrip()
        parser.add_argument(f"--{knob.name}", type=_numbers_in(knob) if knob.several else _number_in(knob),
                            metavar=knob.spelled(knob.default),
                            help=f"{knob.help} ({values}{'; A,B measures each' if knob.several else ''})")
    if add_own:
        add_own(parser)
    parser.add_argument("--variant", type=lambda text: text.split(","), metavar="A,B",
                        help="only these, and the baseline")
    parser.add_argument("--seed", type=_number_in(Knob("seed", "", "", 1, 1, 0, (1 << 64) - 2)), default=1, metavar="1",
                        help="inputs are drawn from it: the same seed, the same inputs")
    parser.add_argument("--quick", action="store_true", help="smoke shapes; also QUICK=1 in the environment")
    parser.add_argument("--no-timing", dest="timing", action="store_false", help="verify only")
    parser.add_argument("--time-limit", type=_number_in(Knob("time-limit", "s", "", 3, 3, 0.01, 3600, float)),
                        metavar="3", help="seconds of measuring a point, after the fewest rounds")
    parser.add_argument("--watchdog", type=_number_in(Knob("watchdog", "s", "", 60, 60, 1, 86400, float)),
                        default=watchdog_s, metavar=f"{watchdog_s:g}",
                        help="seconds without progress until the run is ended")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the results to this file")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="write them below DIR/<utc>-<device>/")
    options = parser.parse_args(argv)
    options.quick = options.quick or os.environ.get("QUICK") == "1"
    if options.time_limit is None:
        options.time_limit = 0.5 if options.quick else 3.0
    return options


def chosen(options: argparse.Namespace, knobs: Sequence[Knob]) -> dict[str, float]:
    """The knobs' values by name: as given, else the default or, with --quick, the smoke shape's."""
    values = {}
    for knob in knobs:
        given = None if knob.fixed else getattr(options, knob.name.replace("-", "_"))
        values[knob.name] = given if given is not None else knob.quick if options.quick else knob.default
    return values


def points(options: argparse.Namespace, knobs: Sequence[Knob]) -> list[dict[str, float]]:
    """The knobs' values at each point that was asked for: what `chosen` says, for each value of the knobs that take
    several."""
    found = [chosen(options, [knob for knob in knobs if not knob.several])]
    for knob in knobs:
        if knob.several:
            alone = chosen(options, [knob])[knob.name]
            values = alone if isinstance(alone, list) else [alone]
            found = [{**one, knob.name: value} for value in values for one in found]
    order = [knob.name for knob in knobs]
    return [{name: one[name] for name in order} for one in found]


def check_variants(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Those of --variant are among these."""
    for name in options.variant or ():
        if name not in names:
            raise Failure("usage", f"--variant: '{name}' is none of {', '.join(names)}")


def needs(*names: str) -> list[ModuleType]:
    """Import what has to be installed; a skip that says what is missing."""
    try:
        return [importlib.import_module(name) for name in names]
    except (ImportError, OSError) as error:  # OSError: installed, but a library that it needs is not
        raise Failure("skipped", f"{sys.executable} cannot import {' and '.join(names)}: {error}; install "
                                 "it, or name another python3") from error


# ---- sensors ----

_THROTTLE_WORDS = {
    0x1: "idle", 0x2: "application_setting", 0x4: "power_cap", 0x8: "hardware_slowdown", 0x10: "sync_boost",
    0x20: "software_thermal", 0x40: "hardware_thermal", 0x80: "power_brake", 0x100: "display_setting",
}
_THROTTLED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80  # slowed by power, heat or hardware: harness/src/throttle.h
_SENSOR_PERIOD_US = 20000  # a query costs tens of microseconds


class Sensors:
    """NVML, as harness/src/nvml.c reads it: clocks, temperature, power and throttling of one NVIDIA device."""

    def __init__(self, pci_bus_id: str) -> None:
        self.driver = ""
        self._device = ctypes.c_void_p()
        self._library: ctypes.CDLL | None = None
        self._last_us, self._last = -1e9, False
        try:
            library = ctypes.CDLL("libnvidia-ml.so.1")
            if library.nvmlInit_v2() != 0:
                return
            if library.nvmlDeviceGetHandleByPciBusId_v2(pci_bus_id.encode(), ctypes.byref(self._device)) != 0:
                library.nvmlShutdown()
                return
        except (OSError, AttributeError):  # no such library, or no such function in it
            return
        self._library = library
        text = ctypes.create_string_buffer(96)
        if self._call(("nvmlSystemGetDriverVersion",), text, len(text), device=False):
            self.driver = text.value.decode(errors="replace")

    def __bool__(self) -> bool:
        return self._library is not None

    def _call(self, names: Sequence[str], *arguments: Any, device: bool = True) -> bool:
        for name in names:
            function = getattr(self._library, name, None)
            if function is not None:
                return function(*([self._device] if device else []), *arguments) == 0
        return False

    def _read(self, name: str, *arguments: int) -> int | None:
        value = ctypes.c_uint()
        return value.value if self._call((name,), *arguments, ctypes.byref(value)) else None

    def _reasons(self) -> int:
        mask = ctypes.c_ulonglong()
        names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
        return mask.value if self._call(names, ctypes.byref(mask)) else 0

    def state(self) -> dict[str, Any] | None:
        """By the schema's `clock_state`; None where the sensors cannot be read."""
        if not self:
            return None
        milliwatts, reasons = self._read("nvmlDeviceGetPowerUsage"), self._reasons()
        bits = [1 << i for i in range(64) if reasons >> i & 1]
        return {
            "sm_mhz": self._read("nvmlDeviceGetClockInfo", 1),
            "memory_mhz": self._read("nvmlDeviceGetClockInfo", 2),
            "temperature_c": self._read("nvmlDeviceGetTemperature", 0),
            "power_w": None if milliwatts is None else (milliwatts + 500) // 1000,
            "throttled": bool(reasons & _THROTTLED),
            "throttle_reasons": [_THROTTLE_WORDS.get(bit, hex(bit)) for bit in bits],
        }

    def throttled(self) -> bool:
        """Now? Asked at most once a period: a round shorter than that shares a reading."""
        if self and now_us() - self._last_us > _SENSOR_PERIOD_US:
            self._last = bool(self._reasons() & _THROTTLED)
            self._last_us = now_us()
        return self._last


# ---- the device ----


def said_by(error: BaseException) -> str:
    """The first line of an exception; its name where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


class Device:
    """The first GPU that PyTorch sees; a skip where there is none."""

    def __init__(self, torch: ModuleType) -> None:
        self.torch = torch
        if not torch.cuda.is_available():
            raise Failure("skipped", f"PyTorch {torch.__version__} finds no GPU: this needs one")
        try:
            self.name = "cuda:0"
            torch.cuda.set_device(0)
            self.properties = torch.cuda.get_device_properties(0)
            torch.empty(1, device=self.name)
        except RuntimeError as error:
            raise Failure("fault", f"PyTorch finds a GPU and cannot use it: {error}") from error
        where = [getattr(self.properties, name, -1) for name in ("pci_domain_id", "pci_bus_id", "pci_device_id")]
        self.sensors = Sensors("{:04x}:{:02x}:{:02x}.0".format(*where) if min(where) >= 0 else "")

    @property
    def processors(self) -> int:
        """Multiprocessors, or compute units."""
        return self.properties.multi_processor_count

    def synchronize(self) -> None:
        """Until all work has ended."""
        self.torch.cuda.synchronize()

    def events(self) -> tuple[Any, Any]:
        """Two that know when the device passes them."""
        return self.torch.cuda.Event(enable_timing=True), self.torch.cuda.Event(enable_timing=True)

    def failure(self, error: BaseException) -> Failure:
        """What an exception in a variant means: too little memory is a skip, all else is a fault."""
        if isinstance(error, Failure):
            return error
        text = next(iter(str(error).splitlines()), "")
        if isinstance(error, self.torch.cuda.OutOfMemoryError):
            return Failure("skipped", f"it needs more memory than the device has free: {text}")
        return Failure("fault", f"{type(error).__name__}: {text}")

    def is_lost(self) -> bool:
        """A fault that outlives its call takes the context with it."""
        try:
            self.synchronize()
        except RuntimeError:
            return True
        return False

    def document(self, before: dict[str, Any] | None) -> dict[str, Any]:
        """By the schema's `device`. The limits are measured by the labs' own programs, not here."""
        properties = self.properties
        hip = self.torch.version.hip is not None
        return {
            "backend": "hip" if hip else "cuda",
            "kind": "gpu",
            "name": properties.name,
            "arch": properties.gcnArchName.split(":")[0] if hip else f"sm_{properties.major}{properties.minor}",
            "processors": properties.multi_processor_count,
            "warp_size": properties.warp_size,
            "l2_bytes": properties.L2_cache_size,
            "memory_bytes": properties.total_memory,
            "clocks": {"before": before, "after": None},
            "limits": {"launch_us": None, "launch_sync_us": None, "gap_us": None, "read_gb_per_s": None},
        }

    def environment(self, device_compiler: str) -> dict[str, Any]:
        """By the schema's `environment`."""
        version = self.torch.version
        python = ".".join(str(part) for part in sys.version_info[:3])
        toolkit = f"ROCm {version.hip}" if version.hip else str(version.cuda)
        return pk_result.environment(self.sensors.driver, toolkit, f"Python {python}, PyTorch {self.torch.__version__}",
                                     device_compiler, bool(self.sensors))


# ---- the watchdog ----


class Watchdog:
    """Ends the process with 4 when nothing has moved for so many seconds; `give_up` is told what was being done."""

    def __init__(self, seconds: float, give_up: Callable[[str], None]) -> None:
        self._seconds, self._give_up = seconds, give_up
        self._what, self._since = "the set-up", time.monotonic()
        self._done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def progress(self, what: str) -> None:
        """Something moves: `what` begins."""
        self._what, self._since = what, time.monotonic()

    def stop(self) -> None:
        """The run is over."""
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(min(self._seconds / 10, 1)):
            if time.monotonic() - self._since > self._seconds:
                try:
                    self._give_up(f"no progress for {self._seconds:g} s in {self._what}: ended by the watchdog; raise "
                                  "--watchdog where it was only slow")
                finally:
                    sys.stdout.flush()
                    os._exit(pk_result.EXIT_CODES["timeout"])


# ---- a variant ----


class Recorder:
    """What a repetition says while it runs. `end` is the event that ends an instrumented one."""

    def __init__(self, end: Any = None) -> None:
        self.instrumented = end is not None
        self._end = end
        self.submit_us = 0.0  # inside launch calls, summed; by instrumented repetitions
        self.token_us: list[float] = []  # latencies of single tokens, where the host learns of them

    def all_launched(self) -> None:
        """All work is in the stream, and the host has not waited yet: the device's time ends where the work does. A
        variant that does not say so ends when it returns."""
        if self._end is not None:
            self._end.record()
            self._end = None


def submit_and_wait(device: Device, recorder: Recorder, submit: Callable[[], None]) -> None:
    """A repetition that the host submits in one go and then waits for."""
    start = now_us()
    submit()
    recorder.submit_us = now_us() - start
    recorder.all_launched()
    device.synchronize()


@dataclasses.dataclass
class Repetition:
    """What was measured of one. Device and submission are known of an instrumented one."""

    wall_us: float
    token_us: list[float]
    device_us: float = pk_result.NAN
    submit_us: float = pk_result.NAN


@dataclasses.dataclass
class Contender:
    """One variant. `prepare` is done once; then for each repetition `reset` (not timed), `execute` (timed; returns when
    all work has ended), and in verified ones `poison` before and `verify` after. `finish` releases."""

    result: Result
    prepare: Callable[[], None]
    poison: Callable[[], None]
    reset: Callable[[], None]
    execute: Callable[[Recorder], None]
    verify: Callable[[], Verdict]
    finish: Callable[[], None]
    active: bool = False
    walls: list[float] = dataclasses.field(default_factory=list)
    tokens: list[float] = dataclasses.field(default_factory=list)

    def repeat(self, device: Device, instrumented: bool) -> Repetition:
        """Reset, execute and time, with events around an instrumented one."""
        self.reset()
        device.synchronize()
        if not instrumented:
            recorder = Recorder()
            start = now_us()
            self.execute(recorder)
            return Repetition(now_us() - start, recorder.token_us)
        begin, end = device.events()
        recorder = Recorder(end)
        begin.record()
        start = now_us()
        self.execute(recorder)
        wall = now_us() - start
        recorder.all_launched()
        end.synchronize()
        return Repetition(wall, recorder.token_us, begin.elapsed_time(end) * 1e3, recorder.submit_us)


def selected(options: argparse.Namespace, found: Sequence[Contender]) -> list[Contender]:
    """Those that --variant names, and the baseline, to which ratios are taken."""
    if options.variant is None:
        return list(found)
    return [one for one in found if one.result.is_baseline or one.result.variant in options.variant]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long to measure. `instrument_every` rounds follow `instrumented` repetitions of each variant with events
    around them."""

    min_rounds: int
    time_limit_s: float
    instrument_every: int = 4
    instrumented: int = 1
    max_rounds: int = 1000
    warm_up_repetitions: int = 3
    warm_up_us: float = 20000
    settle: float = 0.002


class Bench:
    """All variants of one point: prepared, verified, timed, verified again. What goes wrong stays with its variant,
    but for a lost device and a hang."""

    grace_s = 0.0  # that the watchdog waits longer than it is told to

    def __init__(self, device: Device, watchdog: Watchdog, seed: int, save: Callable[[], None]) -> None:
        """`save` writes what is known so far."""
        self._device, self._watchdog, self._seed, self._save = device, watchdog, seed, save

    def run(self, contenders: list[Contender], fill: Callable[[int], None], plan: Plan | None) -> None:
        """`fill` draws inputs from a seed and makes the reference. `plan` None: verify only."""
        try:
            fill(self._seed)
            for contender in contenders:
                self._open(contender)
            if plan:
                self._measure(contenders, plan)
                self._save()
            for contender in contenders:
                self._verify(contender, "after", self._seed)
            fill(self._seed + 1)
            for contender in contenders:
                self._verify(contender, "fresh", self._seed + 1)
        finally:
            for contender in contenders:
                start = now_us()
                contender.finish()
                contender.result.finish_us = now_us() - start

    def _guarded(self, contender: Contender, what: str, action: Callable[[], None]) -> bool:
        self._watchdog.progress(f"variant '{contender.result.variant}' ({what})")
        try:
            action()
            return True
        except Exception as error:  # whatever a library raises stays with its variant
            failure = self._device.failure(error)
            contender.active = False
            contender.result.fail(failure)
            if failure.status == "fault" and self._device.is_lost():
                raise Failure("fault", f"the device was lost to the fault in '{contender.result.variant}': "
                                       f"{failure.reason}") from error
            return False

    def _open(self, contender: Contender) -> None:
        start = now_us()
        contender.active = self._guarded(contender, "prepare", contender.prepare)
        contender.result.prepare_us = now_us() - start
        self._verify(contender, "before", self._seed)

    def _verify(self, contender: Contender, when: str, seed: int) -> None:
        said = {"before": "before timing", "after": "after timing", "fresh": "with fresh inputs"}[when]

        def verify() -> None:
            contender.poison()
            repetition = contender.repeat(self._device, False)
            if when == "before":
                contender.result.first_execute_us = repetition.wall_us
            verdict = contender.verify()
            contender.result.validation[when] = verdict.document(seed)
            if verdict.checked == 0 or verdict.wrong:
                raise Failure("wrong", f"{said}: {verdict.wrong} of {verdict.checked} outputs wrong (seed {seed}); "
                                       f"first at [{verdict.first_wrong}]: got {verdict.got:.9g}, want "
                                       f"{verdict.want:.9g}: {verdict.note}")
        if contender.active:
            self._guarded(contender, said, verify)

    def _warm_up(self, contender: Contender, plan: Plan) -> None:
        start, done = now_us(), 0
        while done < plan.warm_up_repetitions or now_us() - start < plan.warm_up_us:
            contender.repeat(self._device, False)
            done += 1

    def _timed(self, contender: Contender) -> None:
        repetition = contender.repeat(self._device, False)
        contender.walls.append(repetition.wall_us)
        contender.tokens += repetition.token_us

    def _instrument(self, contender: Contender) -> None:
        repetition = contender.repeat(self._device, True)
        contender.result.device.append(repetition.device_us)
        contender.result.submit.append(repetition.submit_us)

    def _round(self, contenders: Sequence[Contender]) -> None:
        for contender in contenders:
            contender.walls, contender.tokens = [], []
        for contender in [*contenders, *reversed(contenders)]:
            if contender.active:
                self._guarded(contender, "timing", functools.partial(self._timed, contender))

    @staticmethod
    def _keep(contenders: Sequence[Contender]) -> None:
        baseline = next((c for c in contenders if c.active and c.result.is_baseline), None)
        for contender in contenders:
            if not contender.active:
                continue
            result = contender.result
            result.wall += contender.walls
            result.token += contender.tokens
            result.rounds += 1
            if baseline and baseline is not contender:
                result.ratios.append(sum(baseline.walls) / sum(contender.walls))

    @staticmethod
    def _settled(contenders: Sequence[Contender], plan: Plan) -> bool:
        return all(pk_result.median_error(c.result.ratios or c.result.wall) < plan.settle
                   for c in contenders if c.active)

    def _measure(self, contenders: list[Contender], plan: Plan) -> None:
        for contender in contenders:
            if contender.active:
                self._guarded(contender, "warm-up", functools.partial(self._warm_up, contender, plan))

        def instrument(number: int) -> None:
            if number % plan.instrument_every == 0:
                for contender in contenders * plan.instrumented:
                    if contender.active:
                        self._guarded(contender, "events", functools.partial(self._instrument, contender))
        self._rounds(contenders, plan, functools.partial(self._round, contenders), instrument)

    def _rounds(self, contenders: list[Contender], plan: Plan, measure: Callable[[], None],
                behind: Callable[[int], None]) -> None:
        """Rounds until all have settled, or for so long. `measure` fills in each one's `walls`; a round in which the
        device was throttled is left out. `behind` comes after each, with its number."""
        start, kept = now_us(), 0
        for number in range(plan.max_rounds):
            throttled = self._device.sensors.throttled()
            measure()
            if self._device.sensors.throttled() or throttled:
                for contender in contenders:
                    contender.result.dropped_throttled += len(contender.walls)
            else:
                self._keep(contenders)
                kept += 1
            behind(number)
            if kept >= plan.min_rounds and self._settled(contenders, plan):
                for contender in contenders:
                    contender.result.settled = contender.active
                return
            late = now_us() - start > plan.time_limit_s * 1e6
            # Past the time limit a few rounds are owed still, unless every one of them is throttled.
            if late and (kept >= plan.min_rounds or number >= 4 * plan.min_rounds):
                return


def bench_points(options: argparse.Namespace, device: Device, report: Report, bench: Bench,
                 points: Sequence[dict[str, float]], make: Callable[[dict[str, float]], tuple[Any, list[Contender]]],
                 sizes: Sequence[str]) -> None:
    """Point after point, each with all the device's memory. `make` gives a point's problem, which can `fill`, and its
    contenders; `sizes` are the knobs that its memory grows with. Few rounds are owed, each with two instrumented
    repetitions: what one launch, or a graph of some, does varies little."""
    plan = Plan(min_rounds=4 if options.quick else 10, time_limit_s=options.time_limit, instrument_every=1,
                instrumented=2, max_rounds=200)
    for values in points:
        try:
            problem, found = make(values)
            variants = selected(options, found)
            report.results += [variant.result for variant in variants]
            bench.run(variants, problem.fill, plan if options.timing else None)
        except device.torch.cuda.OutOfMemoryError as error:
            asked = " ".join(f"--{name}={values[name]}" for name in sizes)
            raise Failure("usage", f"no device memory for {asked}, or for its reference: use smaller ones") from error
        del problem, found, variants
        device.torch.cuda.empty_cache()


# ---- a run ----


@dataclasses.dataclass
class Peer:
    """A program of this kind. `run` gets the options, the device, the report to fill and a Bench."""

    lab: str
    title: str
    program: str
    file_name: str  # of the result file in a results folder: not the lab's own, which `./lab status` looks for
    description: str
    knobs: Sequence[Knob]
    modules: Sequence[str]
    check: Callable[[argparse.Namespace], None]
    device_compiler: Callable[[], str]
    run: Callable[[argparse.Namespace, Device, Report, Any], None]
    show: Callable[[Report], None]
    variants: Sequence[str]
    watchdog_s: float = 60  # longer where something compiles for long
    bench: type[Bench] = Bench
    add_options: Callable[[argparse.ArgumentParser], None] | None = None  # of its own


def show_points(report: Report, knobs: Sequence[Knob], unit: str) -> None:
    """A table for each point, with times a `unit`."""
    print(f"{report.lab} {report.title} beside {report.environment['device_compiler']} on {report.device['name']}, "
          f"hot, seed={report.seed}")
    for params in [dict(point) for point in dict.fromkeys(tuple(r.params.items()) for r in report.results)]:
        print("\n" + " ".join(f"{knob.name}={knob.spelled(params[knob.name])}" for knob in knobs if not knob.fixed)
              + "\n")
        pk_result.print_times((result for result in report.results if result.params == params), unit)
    print()


def _say(peer: Peer, text: str) -> None:
    sys.stdout.flush()
    print(text if text.startswith(peer.lab) else f"{peer.lab}: {text}", file=sys.stderr, flush=True)


def _target(options: argparse.Namespace, peer: Peer, report: Report) -> list[pathlib.Path]:
    paths = []
    if options.json:
        paths.append(options.json)
    if options.out:
        paths.append(pk_result.result_folder(report, options.out, peer.file_name) / peer.file_name)
    for path in paths:
        pk_result.ensure_writable(path.parent)
    return paths


def _mark_unfinished(report: Report, failure: Failure) -> None:
    for result in report.results:
        if result.status == "pass" and not (result.validation["fresh"] or result.is_unchecked and result.wall):
            result.fail(failure)


def _save(report: Report, paths: Sequence[pathlib.Path]) -> None:
    """What is known while the run goes on: if it is killed, this stays."""
    note = "the run had not ended when this was written"
    results = [dataclasses.replace(result) for result in report.results]
    so_far = dataclasses.replace(report, status="interrupted", note=note, results=results)
    _mark_unfinished(so_far, Failure("interrupted", f"not done: {note}"))
    for path in paths:
        pk_result.write_report(so_far, path)


def _finish(peer: Peer, report: Report, device: Device, paths: Sequence[pathlib.Path], status: str | None,
            note: str | None) -> int:
    """Judge, print and write; `status` None: as the results say."""
    report.device["clocks"]["after"] = device.sensors.state()
    report.status = status or report.outcome()
    report.note = note
    if report.results:
        peer.show(report)
        # Each reason once: it may be the same at every point.
        for line in dict.fromkeys(f"{r.variant}: {r.status}: {r.reason}" for r in report.results if r.reason):
            print(textwrap.fill(line, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))
        for path in paths:
            pk_result.write_report(report, path)
            print(f"wrote {path}")
    if note:
        _say(peer, note)
    return pk_result.EXIT_CODES[report.status]


def heed_sigterm() -> None:
    """What `timeout` sends ends a run as Ctrl-C does: what was measured by then is written."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _measure_and_finish(peer: Peer, options: argparse.Namespace, argv: Sequence[str]) -> int:
    torch = needs(*peer.modules)[0]
    device = Device(torch)
    report = Report(peer.lab, peer.title, [knob.document() for knob in peer.knobs], peer.program, list(argv),
                    options.seed, options.quick, device.document(device.sensors.state()),
                    device.environment(peer.device_compiler()))
    paths = _target(options, peer, report)

    def give_up(note: str) -> None:
        _mark_unfinished(report, Failure("timeout", note))
        _finish(peer, report, device, paths, "timeout", note)

    watchdog = Watchdog(options.watchdog + peer.bench.grace_s, give_up)
    status: str | None = None
    note: str | None = None
    try:
        save = functools.partial(_save, report, paths)
        peer.run(options, device, report, peer.bench(device, watchdog, options.seed, save))
    except KeyboardInterrupt:
        status, note = "interrupted", "interrupted: these results are of what had been measured by then"
    except Failure as failure:
        status, note = failure.status, failure.reason
    if note:
        _mark_unfinished(report, Failure("interrupted" if status == "interrupted" else "skipped", f"not done: {note}"))
    watchdog.progress("writing the results")
    code = _finish(peer, report, device, paths, status, note)
    watchdog.stop()
    return code


def main(peer: Peer, argv: Sequence[str]) -> int:
    """The whole program: the exit code (docs/measuring.md)."""
    try:
        options = parse_options(peer.description, peer.knobs, argv[1:], peer.watchdog_s, peer.add_options)
        check_variants(options, peer.variants)
        peer.check(options)
        heed_sigterm()
        return _measure_and_finish(peer, options, argv)
    except Failure as failure:
        _say(peer, f"{'SKIPPED: ' if failure.status == 'skipped' else ''}{failure.reason}")
        return pk_result.EXIT_CODES[failure.status]
