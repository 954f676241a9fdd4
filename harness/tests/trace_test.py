#!/usr/bin/env python3
"""Timelines of lab 01: python3 trace_test.py SOLUTION TRACED MISTAKES OPTIMIZED

SOLUTION, MISTAKES and OPTIMIZED are lab 01's programs, TRACED is its program with trace_ladder.cu. A timeline is whole
JSON, has every launch of the repetition once, and its parts are in the order in which they must have been. What cannot
be written is refused before anything runs, and a full disk leaves nothing behind. Exit 0 right, 1 wrong, 77 no device."""
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

K, TOKENS = 20, 2  # --quick
FULL = ("the CPU device's own trace", "CUPTI")  # sources that tell of the device
failures = 0


def check(condition, text):
    global failures
    if not condition:
        failures += 1
        print(f"FAILED: {text}")


def run(program, *options, limit=None):
    def limit_size():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [program, "--quick", "--no-timing", *options],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit_size if limit else None,
    )


class Variant:
    """One process of a trace."""

    def __init__(self, trace, about):
        self.about, self.name = about, about["variant"]
        mine = [e for e in trace["traceEvents"] if e["pid"] == about["pid"]]
        self.slices = [e for e in mine if e["ph"] == "X"]
        self.tokens = [e for e in mine if e["ph"] == "i"]
        self.arrows = [e for e in mine if e["ph"] in "sf"]
        self.meta = {(e["name"], e.get("tid")): e["args"] for e in mine if e["ph"] == "M"}
        self.calls = {e["args"]["correlation"]: e for e in self.slices if e["tid"] < 1000}
        self.work = [e for e in self.slices if e["tid"] >= 1000]
        self.kernels = [e for e in self.work if e["cat"] == "kernel"]

    def of(self, category):
        return [e for e in self.slices if e["cat"] == category]


def end(event):
    return event["ts"] + event["dur"]


SLACK = 0.0015  # us: three decimals, rounded twice


def check_order(v, overlaps):
    """What holds of any repetition."""
    for e in v.slices:
        check(e["ts"] >= 0 and e["dur"] >= 0, f"{v.name}: {e} has a time below 0")
        check(e["ts"] <= v.about["repetition_us"] + SLACK, f"{v.name}: {e} begins after the repetition")
    tracks = {}
    for e in v.slices:
        tracks.setdefault(e["tid"], []).append(e)
    for track, events in tracks.items():
        check(("thread_name", track) in v.meta, f"{v.name}: track {track} has no name")
        for a, b in zip(events, events[1:]):
            check(end(a) <= b["ts"] + SLACK, f"{v.name}: on track {track} {a} and {b} overlap")
    for e in v.work:
        call = v.calls.get(e["args"]["correlation"])
        check(call is not None, f"{v.name}: nobody submitted {e}")
        check(call is None or call["ts"] <= e["ts"], f"{v.name}: {e} begins before {call}")
    by_stream = {}
    for e in v.work:
        by_stream.setdefault(e["args"]["stream"], []).append(e)
    for events in by_stream.values() if not overlaps else ():
        events.sort(key=lambda e: e["ts"])
        for a, b in zip(events, events[1:]):
            check(end(a) <= b["ts"] + SLACK, f"{v.name}: in one stream {a} and {b} overlap")
            check(a["args"]["correlation"] <= b["args"]["correlation"], f"{v.name}: {b} overtakes {a}")


def check_arrows(v):
    starts = {e["id"]: e for e in v.arrows if e["ph"] == "s"}
    ends = {e["id"]: e for e in v.arrows if e["ph"] == "f"}
    check(len(starts) + len(ends) == len(v.arrows) and starts.keys() == ends.keys(), f"{v.name}: arrows do not pair")
    check(len(ends) == len(v.work), f"{v.name}: {len(ends)} arrows for {len(v.work)} pieces of work")
    targets = {(e["tid"], e["ts"]) for e in v.work}
    sources = {(e["tid"], e["ts"]) for e in v.calls.values()}
    check(all((e["tid"], e["ts"]) in targets for e in ends.values()), f"{v.name}: an arrow ends nowhere")
    check(all((e["tid"], e["ts"]) in sources for e in starts.values()), f"{v.name}: an arrow begins nowhere")


def check_launches(v, wanted):
    """Every launch once, and behind each launch one kernel."""
    launches = v.of("launch")
    check(v.about["launches"] == wanted, f"{v.name}: counted {v.about['launches']} launches, want {wanted}")
    check(len(launches) == wanted, f"{v.name}: recorded {len(launches)} launches, want {wanted}")
    if v.about["source"] not in FULL:
        return
    kernels = [e for e in v.kernels if "node" not in e["args"]]
    check(len(kernels) == wanted, f"{v.name}: recorded {len(kernels)} kernels, want {wanted}")
    check(
        sorted(e["args"]["correlation"] for e in kernels) == sorted(e["args"]["correlation"] for e in launches),
        f"{v.name}: launches and kernels do not pair",
    )
    for e in kernels:
        check(e["name"].startswith("axpy_"), f"{v.name}: a kernel is named {e['name']}")
        check(v.calls[e["args"]["correlation"]]["args"].get("kernel") == e["name"], f"{v.name}: the launch of {e}")
        check(e["args"]["grid"] == [4, 1, 1] and e["args"]["block"] == [256, 1, 1], f"{v.name}: the shape of {e}")


def check_heading(trace):
    about = trace["otherData"]
    for key in ("device", "driver", "toolkit", "lab", "backend", "source", "started_utc", "program"):
        values = [v["source"] for v in about["variants"]] if key == "source" else [about[key]]
        check(all(values), f"the heading says nothing of {key}")
    check(about["lab"] == "lab01" and about["seed"] == 1, "lab and seed")
    check(about["knobs"] == {"n": "1000", "k": str(K), "tokens": str(TOKENS)}, f"the knobs are {about['knobs']}")
    for v in about["variants"]:
        name = [
            e["args"]["name"]
            for e in trace["traceEvents"]
            if e["pid"] == v["pid"] and e["ph"] == "M" and e["name"] == "process_name"
        ]
        check(len(name) == 1 and name[0].startswith(v["variant"]), f"a process is named {name}")
        check(("CPU device" in name[0]) == (about["kind"] == "CPU device"), f"{name[0]} on a {about['kind']}")
        check(v["left_out"] == 0 and v["lost"] == 0, f"{v['variant']}: something is left out")
        check((v["missing"] == "") == (v["source"] in FULL), f"{v['variant']}: missing: {v['missing']}")


def traced(program, path, *options, code=0):
    result = run(program, f"--trace={path}", *options)
    if result.returncode == 77 and not path.exists():
        print(result.stderr)
        sys.exit(77)
    check(result.returncode == code, f"{program}: exit code {result.returncode}: {result.stderr}")
    check(f"wrote {path}" in result.stdout, f"{program} does not say that it wrote {path}")
    trace = json.loads(path.read_text())
    check_heading(trace)
    return {v["variant"]: Variant(trace, v) for v in trace["otherData"]["variants"]}


def check_ladder(folder, solution):
    variants = traced(solution, folder / "new" / "solution.json")
    check({"launch-sync", "work-only", "stream", "fused"} <= variants.keys(), f"only {list(variants)} are there")
    for name, v in variants.items():
        check_order(v, overlaps=name == "pdl")
        check_launches(v, TOKENS if name in ("work-only", "fused") else K * TOKENS)
        check([e["name"] for e in v.tokens] == [f"token {t}" for t in range(TOKENS)], f"{name}: its tokens")
        if v.about["source"] not in FULL:
            continue
        check_arrows(v)
        waits = {"launch-sync": K * TOKENS}.get(name, TOKENS)
        check(len(v.of("wait")) == waits, f"{name}: {len(v.of('wait'))} waits, want {waits}")
        for e, token in zip(v.of("wait")[waits // TOKENS - 1 :: waits // TOKENS], v.tokens):
            check(end(e) <= token["ts"] + SLACK, f"{name}: {token} before the wait's end")


def check_graph_and_streams(folder, program):
    variants = traced(program, folder / "traced.json")
    graph, streams = variants["graph"], variants["two-streams"]
    check(graph.about["graph_launches"] == TOKENS, "graph: replays counted")
    check(len(graph.of("graph launch")) == TOKENS, "graph: replays recorded")
    check_launches(graph, 0)
    check_launches(streams, K * TOKENS)
    if graph.about["source"] not in FULL:
        return
    for v in (graph, streams):
        check_order(v, overlaps=False)
        check_arrows(v)
    check(len(graph.kernels) == K * TOKENS, f"graph: {len(graph.kernels)} kernels of nodes")
    check(len(graph.work) == (K + 1) * TOKENS, f"graph: {len(graph.work)} nodes ran, want {(K + 1) * TOKENS}")
    nodes = [e["args"]["node"] for e in graph.work]
    check(len(set(nodes)) == K + 1, f"graph: {len(set(nodes))} nodes, want {K + 1}")
    check(all(nodes.count(node) == TOKENS for node in nodes), "graph: a node did not run once a token")
    for e in graph.work:
        call = graph.calls[e["args"]["correlation"]]
        check(call["cat"] == "graph launch", f"graph: {e} was submitted by {call['name']}")
    check(all(e["args"]["bytes"] == 4000 for e in graph.of("copy")), "graph: the copy's bytes")
    check(len({e["tid"] for e in streams.work}) == 2, "two-streams: not two tracks")


def check_refused(folder, program):
    """Before anything runs: nothing is printed, and no other file is written."""
    json_file = folder / "refused.json"
    (folder / "plain").write_text("")
    for option, text in (
        ("--trace=", "names no file"),
        ("--trace", "writes beside the results: give --out=DIR"),
        (f"--trace={folder}", "it is a folder"),
        (f"--trace={folder}/new/", "it is a folder"),
        ("--trace=/dev/null", "device or a pipe"),
        (f"--trace={folder}/plain/trace.json", "cannot create"),
        ("--trace=/proc/trace.json", "cannot write"),
        (f"--trace={folder}/{'x' * 250}", "cannot write"),
        (f"--trace={folder}/{'x' * 700}", "shorter"),
        (f"--trace={json_file}", "is where --json goes"),
    ):
        result = run(program, option, f"--json={json_file}")
        check(result.returncode == 2, f"{option[:60]}: exit code {result.returncode}")
        check(text in " ".join(result.stderr.split()), f"{option[:60]}: says {result.stderr!r}")
        check(result.stdout == "" and not json_file.exists(), f"{option[:60]}: something ran")
    check(not (folder / "new" / "").is_file(), "a refused name became a file")


def check_full_disk(folder, program):
    path = folder / "full.json"
    for before in (None, "as it was"):
        if before:
            path.write_text(before)
        result = run(program, f"--trace={path}", limit=8192)
        check(result.returncode == 2, f"full disk: exit code {result.returncode}")
        check("full.json: cannot write" in " ".join(result.stderr.split()), f"full disk: says {result.stderr!r}")
        check((path.read_text() if path.exists() else None) == before, "full disk: the file has changed")
        check(not list(folder.glob("full.json*.tmp")), "full disk: a temporary file was left")


def check_beside_results(folder, program):
    result = run(program, "--trace", f"--out={folder}/out", "--variant=stream")
    check(result.returncode == 0, f"--out: exit code {result.returncode}: {result.stderr}")
    paths = list((folder / "out").glob("*/lab01-trace.json"))
    check(len(paths) == 1 and (paths[0].parent / "lab01.json").exists(), f"beside the results: {paths}")
    names = [v["variant"] for v in json.loads(paths[0].read_text())["otherData"]["variants"]]
    check(names == ["launch-sync", "stream"], f"beside the results: {names}")


def check_failed_variants(folder, mistakes, optimized):
    """What did not pass is not in it; and where nothing is, there is no file."""
    variants = traced(mistakes, folder / "mistake.json", "--variant=step-dropped", code=1)
    check(list(variants) == ["launch-sync"], f"of a mistake: {list(variants)}")
    source = pathlib.Path(optimized).name
    result = run(optimized, f"--trace={folder}/open.json", "--variant=fused")
    if "is open" in result.stdout:  # a student may have filled it in
        check(result.returncode == 77, f"{source}: exit code {result.returncode}")
        names = [v["variant"] for v in json.loads((folder / "open.json").read_text())["otherData"]["variants"]]
        check(names == ["launch-sync"], f"of an open step: {names}")


def main():
    solution, program, mistakes, optimized = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        check_ladder(folder, solution)
        check_graph_and_streams(folder, program)
        check_refused(folder, solution)
        check_full_disk(folder, solution)
        check_beside_results(folder, solution)
        check_failed_variants(folder, mistakes, optimized)
    print(f"{failures} failed" if failures else "all as it should be")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
