#!/usr/bin/env python3
"""What lab 07's rungs tell beside their results: python3 tells_test.py SOLUTION

Stamps in a timeline: of each rung that streams, every block has a track, each phase of the last step once, in order,
nothing over another, and the last of all where the last kernel ends. Without --stamps there is none. Measures: of a
launch of many steps that stay where they are, how many tokens the host heard, the time of its first and last tenth, that
memory is what it was, and how many steps were judged in double: of a sweep's points fewer. Exit 0 right, 1 wrong, 77 no device."""
from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

RUNGS = ("ring-ahead", "ring-flag", "ring-spread", "ring-many", "ring-quant", "ring-many-quant")
BLOCKS, LAYERS = 3, 2  # of --quick, and of its model
OF_A_LAYER = ("qkv", "attend", "merge", "o", "gate-up", "down")
ORDER = [f"{phase}, layer {layer}" for layer in range(LAYERS) for phase in OF_A_LAYER] + ["logits", "choose"]
SLACK_US = 0.0015  # a nanosecond, and its rounding
WAITS = "waits: "
complaints: list[str] = []


def expect(right: bool, text: str) -> None:
    """Complain when it is not so."""
    if not right:
        complaints.append(text)


def traced(program: str, folder: pathlib.Path, *options: str) -> dict[str, Any] | int:
    """The timeline of a run with these options, or its exit code."""
    path = folder / "trace.json"
    done = subprocess.run([program, "--quick", "--no-timing", "--tokens=2", f"--blocks={BLOCKS}", f"--trace={path}",
                           *options], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        print(done.stdout + done.stderr)
        return done.returncode
    return json.loads(path.read_text(encoding="utf-8"))


def check_block(rung: str, block: str, spans: list[dict[str, Any]]) -> None:
    """One block's phases."""
    spans = sorted(spans, key=lambda span: (span["ts"], span["dur"]))
    works = [span["name"] for span in spans if not span["name"].startswith(WAITS)]
    expect(works == ORDER, f"{rung}, {block}: the phases are {works}")
    for span in spans:
        expect(span["name"].removeprefix(WAITS) in ORDER, f"{rung}, {block}: a span '{span['name']}'")
        expect(f"block {span['args']['block']}" == block, f"{rung}, {block}: a span of {span['args']}")
    for before, behind in zip(spans, spans[1:]):
        expect(before["ts"] + before["dur"] <= behind["ts"] + SLACK_US,
               f"{rung}, {block}: '{behind['name']}' begins before '{before['name']}' ends")


def check_rung(trace: dict[str, Any], about: dict[str, Any]) -> None:
    """One variant's tracks."""
    rung, process = about["variant"], about["pid"]
    events = [event for event in trace["traceEvents"] if event["pid"] == process]
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    spans = [event for event in events if event.get("cat") == "phase"]
    blocks = [name for name in tracks.values() if name.startswith("block ")]
    expect(blocks == [f"block {i}" for i in range(BLOCKS)], f"{rung}: the tracks are {list(tracks.values())}")
    expect(about["left_out"] == 0, f"{rung}: {about['left_out']} events left out")
    for track, name in tracks.items():
        if name.startswith("block "):
            check_block(rung, name, [span for span in spans if span["tid"] == track])
    kernels = [event for event in events if event.get("cat") == "kernel"]
    if kernels and spans:
        last = max(kernels, key=lambda kernel: kernel["ts"])
        end, ends = last["ts"] + last["dur"], max(span["ts"] + span["dur"] for span in spans)
        expect(abs(end - ends) <= SLACK_US, f"{rung}: the last span ends at {ends}, and the last kernel at {end}")


def check_measures(program: str, folder: pathlib.Path) -> None:
    """Of as many steps as have a tenth, and of too few."""
    path = folder / "result.json"
    for tokens in (30, 9):
        done = subprocess.run([program, "--quick", "--no-timing", "--variant=ring-many", "--hold=on", "--position=7",
                               f"--tokens={tokens}", f"--json={path}"], capture_output=True, text=True, timeout=300,
                              check=False)
        expect(done.returncode == 0, f"{tokens} tokens: exit code {done.returncode}: {done.stdout}{done.stderr}")
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        told = next(result["measures"] for result in results if result["variant"] == "ring-many")
        expect(told["tokens-heard"] == tokens, f"{tokens} tokens: {told['tokens-heard']} heard")
        expect(told["memory-grown"] == 0, f"{tokens} tokens: memory has grown by {told['memory-grown']} bytes")
        expect(told["steps-in-double"] == 8, f"{tokens} tokens: {told['steps-in-double']} judged in double")
        tenths = [told.get(name, 0) for name in ("first-tenth-us", "last-tenth-us", "last-over-first-tenth")]
        expect(all(tenth > 0 for tenth in tenths) == (tokens >= 10), f"{tokens} tokens: tenths of {tenths}")
        expect(sum(tenths[:2]) < 1e6, f"{tokens} tokens: tenths of {tenths} us a token")


def check_sweep(program: str, folder: pathlib.Path) -> None:
    """At its points fewer steps are judged in double; none is a point that was there: of sweeps all of whose knobs are
    given there is none."""
    path = folder / "sweep.json"
    done = subprocess.run([program, "--quick", "--sweep=quick", "--time-limit=0.1", "--variant=ring-many", "--tokens=6",
                           "--model=tiny", "--weights=bf16", "--chunk=1", "--in-flight=3", f"--json={path}"],
                          capture_output=True, text=True, timeout=300, check=False)
    expect(done.returncode == 0, f"a sweep: exit code {done.returncode}: {done.stdout}{done.stderr}")
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    judged = [result["measures"]["steps-in-double"] for result in results if result["variant"] == "ring-many"]
    expect(judged[0] == 6, f"the default point: {judged[0]} judged in double")
    expect(len(judged) > 3 and set(judged[1:]) == {2}, f"a sweep's points: {judged[1:]} judged in double")
    points = [json.dumps(result["params"]) for result in results if result["variant"] == "ring-many"]
    expect(len(set(points)) == len(points), f"a sweep: {len(points)} points, of which {len(set(points))} differ")


def main(program: str) -> int:
    """The test."""
    with tempfile.TemporaryDirectory() as name:
        trace = traced(program, pathlib.Path(name), "--stamps=on", "--variant=" + ",".join(RUNGS))
        without = traced(program, pathlib.Path(name), "--variant=ring-many") if not isinstance(trace, int) else trace
        if isinstance(trace, int) or isinstance(without, int):
            return trace if isinstance(trace, int) else int(without)
        check_measures(program, pathlib.Path(name))
        check_sweep(program, pathlib.Path(name))
    seen = [about for about in trace["otherData"]["variants"] if about["variant"] in RUNGS]
    expect(len(seen) == len(RUNGS), f"the timeline has {[about['variant'] for about in seen]}")
    for about in seen:
        check_rung(trace, about)
    expect(not any(event.get("cat") == "phase" for event in without["traceEvents"]), "spans without --stamps")
    for complaint in complaints[:20]:
        print(complaint)
    return len(complaints) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
