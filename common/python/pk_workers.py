"""Variants of a peer in processes of their own: one that dies by a signal or does not come to an end is reported with
what ended it, and the others are measured all the same.

The parent starts `python3 SCRIPT --worker` for each variant, asks it for one thing at a time, and tells it when to run
a repetition, so that rounds are interleaved as within one process: a worker that is not asked does nothing. Requests
and answers are lines of JSON over two pipes; what libraries print goes to a file, whose last line is quoted when a
worker dies. Variants that need long to prepare do so after the others have been measured and written.
"""
from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import json
import math
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Iterator, Sequence

import pk_result
from pk_peer import Bench, Contender, Device, Plan, Repetition, now_us
from pk_result import Failure, Result, Verdict

OPTION = "--worker"
_PARENT_DIED = 1  # PR_SET_PDEATHSIG, prctl(2)


# ---- the worker's side ----


@dataclasses.dataclass
class Work:
    """What a script makes of a variant in the process that is its own."""

    device: Device
    fill: Callable[[int], None]  # draws inputs from a seed
    contender: Contender


class _Host:
    """Answers the parent's requests, one after the other."""

    def __init__(self, make: Callable[[dict[str, Any]], Work]) -> None:
        self._make = make
        self._work: Work | None = None

    @property
    def work(self) -> Work:
        """What `open` made."""
        assert self._work is not None
        return self._work

    def open(self, setup: dict[str, Any], seed: int) -> dict[str, Any]:
        """Make it, draw inputs, prepare."""
        start = now_us()
        self._work = self._make(setup)
        made = now_us()
        self.fill(seed)
        filled = now_us()
        self.work.contender.prepare()
        result = self.work.contender.result
        return {"made_us": made - start, "filled_us": filled - made, "prepare_us": now_us() - filled,
                "summary": result.summary, "launches_per_token": pk_result.known(result.launches_per_token)}

    def fill(self, seed: int) -> dict[str, Any]:
        """Inputs of a seed."""
        self.work.fill(seed)
        return {}

    def poison(self) -> dict[str, Any]:
        """What is to be written."""
        self.work.contender.poison()
        return {}

    def repeat(self, instrumented: bool) -> dict[str, Any]:
        """Run one repetition, and time it here."""
        repetition = self.work.contender.repeat(self.work.device, instrumented)
        return {"wall_us": repetition.wall_us, "token_us": repetition.token_us,
                "device_us": pk_result.known(repetition.device_us), "submit_us": pk_result.known(repetition.submit_us)}

    def verify(self) -> dict[str, Any]:
        """Judge the last repetition."""
        verdict = dataclasses.asdict(self.work.contender.verify())
        return {name: pk_result.known(value) if isinstance(value, float) else value for name, value in verdict.items()}

    def finish(self) -> dict[str, Any]:
        """Release."""
        self.work.contender.finish()
        return {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked; a failure is an answer too."""
        try:
            return {"answer": getattr(self, request["do"])(**request["with"])}
        except Exception as error:  # whatever a library raises
            failure = error
            if self._work is not None:
                failure = self._work.device.failure(error)
            elif not isinstance(error, Failure):
                failure = Failure("fault", f"{type(error).__name__}: {error}")
            return {"failure": [failure.status, failure.reason]}


def serve(make: Callable[[dict[str, Any]], Work], argv: Sequence[str]) -> int:
    """A worker's whole program: `SCRIPT --worker REQUESTS ANSWERS`, two open files."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent says what to do
    host = _Host(make)
    with open(int(argv[2]), encoding="utf-8") as requests, open(int(argv[3]), "w", encoding="utf-8") as answers:
        for line in requests:
            answers.write(json.dumps(host.answer(json.loads(line))) + "\n")
            answers.flush()
    sys.stdout.flush()
    os._exit(0)  # nothing is left to do, and libraries that are torn down in some order have nothing to add


# ---- the parent's side ----


def _last_line(path: pathlib.Path) -> str:
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


class Worker:
    """A process that has a variant. Ends with the context that made it."""

    def __init__(self, script: pathlib.Path, log: pathlib.Path, limit_s: float, environment: dict[str, str]) -> None:
        self._log, self._limit_s = log, limit_s
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        self._text = b""
        self._asked: tuple[str, float] | None = None  # and until when
        with open(log, "wb") as output:
            # A group of its own, so that what a compiler starts ends with it.
            self._process = subprocess.Popen([sys.executable, str(script), OPTION, str(requests), str(answers)],
                                             stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                             pass_fds=(requests, answers), start_new_session=True,
                                             env={**environment, **os.environ})
        os.close(requests)
        os.close(answers)

    def _ended(self, what: str) -> Failure:
        """It closed its pipe without an answer."""
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            code = self.kill()
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            said = f"its process was ended by {name}"
        else:
            said = f"its process ended with exit code {code}"
        last = _last_line(self._log)
        return Failure("fault", f"{said} in {what}" + (f"; the last that it said: {last}" if last else ""))

    def kill(self) -> int:
        """At once, with all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def close(self) -> None:
        """It has nothing more to do."""
        for end in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                os.close(end)
        self._requests = self._answers = -1
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def send(self, do: str, **arguments: Any) -> None:
        """Ask for something; `receive` is to follow."""
        self._asked = (do, time.monotonic() + self._limit_s)
        line = json.dumps({"do": do, "with": arguments}) + "\n"
        with contextlib.suppress(BrokenPipeError):  # it has ended: receive says how
            os.write(self._requests, line.encode())

    def receive(self) -> dict[str, Any]:
        """What it answers. Raises its failure, or that it ended, or that it did not answer in time."""
        assert self._asked is not None
        what, until = self._asked
        while b"\n" not in self._text:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                self.kill()
                raise Failure("timeout", f"no answer for {self._limit_s:g} s in {what}: its process was ended; raise "
                                         "--watchdog where it was only slow")
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise self._ended(what)
            self._text += part
        line, self._text = self._text.split(b"\n", 1)
        self._asked = None
        message = json.loads(line)
        if "failure" in message:
            raise Failure(*message["failure"])
        return message["answer"]

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Both."""
        self.send(do, **arguments)
        return self.receive()


def _number(value: float | None) -> float:
    return pk_result.NAN if value is None else value


class Remote(Contender):
    """A variant whose worker does what is asked of a Contender. `late`: it prepares after the others were measured."""

    def __init__(self, result: Result, said: str, worker: Worker, setup: dict[str, Any], late: bool) -> None:
        """`said`: which one it is, to who waits for it."""
        super().__init__(result, self._prepare, self._poison, _nothing, _not_here, self._verify, self._finish)
        self.said, self.late = said, late
        self._worker, self._setup = worker, setup
        self.prepared_us = pk_result.NAN  # by the worker's own clock

    def begin(self, seed: int) -> None:
        """To prepare; others may begin as well."""
        self._worker.send("open", setup=self._setup, seed=seed)

    def _prepare(self) -> None:
        opened = self._worker.receive()
        self.result.summary = opened["summary"]
        self.result.launches_per_token = _number(opened["launches_per_token"])
        self.prepared_us = opened["prepare_us"]

    def fill(self, seed: int) -> None:
        """Inputs of a seed."""
        self._worker.ask("fill", seed=seed)

    def _poison(self) -> None:
        self._worker.ask("poison")

    def repeat(self, device: Device, instrumented: bool) -> Repetition:
        """Timed where it runs."""
        told = self._worker.ask("repeat", instrumented=instrumented)
        return Repetition(told["wall_us"], told["token_us"], _number(told["device_us"]), _number(told["submit_us"]))

    def _verify(self) -> Verdict:
        told = self._worker.ask("verify")
        return Verdict(**{name: _number(value) if name in ("got", "want", "worst_error", "bound") else value
                          for name, value in told.items()})

    def _finish(self) -> None:
        if self.active:
            with contextlib.suppress(Failure):
                self._worker.ask("finish")
        self._worker.close()


def _nothing() -> None:
    pass


def _not_here(_: Any) -> None:
    raise AssertionError("a remote variant runs in its worker")


@contextlib.contextmanager
def workers(script: pathlib.Path, count: int, limit_s: float, environment: dict[str, str]) -> Iterator[list[Worker]]:
    """So many, all of them started at once; ended whatever happens. `environment`: what they are told unless the
    environment says it already."""
    started: list[Worker] = []
    with tempfile.TemporaryDirectory(prefix="pk-peer-") as folder:
        try:
            for i in range(count):
                started.append(Worker(script, pathlib.Path(folder) / f"{i}.log", limit_s, environment))
            yield started
        finally:
            for worker in started:
                worker.kill()


class StagedBench(Bench):
    """Several points of variants that have workers. First those that are ready soon are prepared, all side by side,
    then verified and measured point by point; then the late ones, with the baseline again beside them. What is known is
    saved at each of these steps."""

    grace_s = 60  # to end a worker that gave no answer, and to go on with the others

    def run_points(self, points: Sequence[Sequence[Remote]], plan: Plan | None) -> None:
        """`plan` None: verify only."""
        for late in (False, True):
            groups = [[one for one in point if one.late == late] for point in points]
            self._open_all([one for group in groups for one in group])
            for point, group in zip(points, groups):
                if not group:
                    continue
                baselines = [one for one in point if one.result.is_baseline and one.active]
                beside = [*(one for one in baselines if one not in group), *group]
                self._measure_point(beside, plan)
                for one in group:
                    if one not in baselines:
                        self._finish(one)
                self._save()
        for point in points:
            for one in point:
                self._finish(one)

    def _open_all(self, group: Sequence[Remote]) -> None:
        for one in group:
            one.begin(self._seed)
        for one in group:
            one.active = self._guarded(one, "prepare", one.prepare)
            one.result.prepare_us = one.prepared_us
            said = f"{one.prepared_us * 1e-6:.1f} s to prepare" if one.active else one.result.reason
            print(f"{one.said}: {said}", file=sys.stderr, flush=True)
        for one in group:
            self._verify(one, "before", self._seed)
        if group:
            self._save()

    def _fill(self, group: Sequence[Remote], seed: int) -> None:
        for one in group:
            if one.active:
                self._guarded(one, "inputs", functools.partial(one.fill, seed))

    def _measure_point(self, group: list[Remote], plan: Plan | None) -> None:
        self._fill(group, self._seed)
        if plan:
            self._measure(list(group), plan)
        for one in group:
            self._verify(one, "after", self._seed)
        self._fill(group, self._seed + 1)
        for one in group:
            self._verify(one, "fresh", self._seed + 1)

    def _finish(self, one: Remote) -> None:
        if math.isnan(one.result.finish_us):
            start = now_us()
            one.finish()
            one.result.finish_us = now_us() - start
