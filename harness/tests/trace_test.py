#!/usr/bin/env python3
"""Timelines of lab 01: python3 trace_test.py SOLUTION TRACED MISTAKES OPTIMIZED

SOLUTION, MISTAKES and OPTIMIZED are lab 01's programs, TRACED is its program with trace_ladder.cu. A timeline is whole
JSON, has every launch of the repetition once, and its parts are in the order in which they must have been. What cannot
be written is refused before anything runs, and a full disk leaves nothing behind. Exit 0 right, 1 wrong, 77 no
device.

Each complaint says what was expected and what was seen; below them stands each variant of which something is wrong,
event by event."""
import collections
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import traceback

K, TOKENS = 20, 2  # --quick
FULL = ("the CPU device's own trace", "CUPTI")  # sources that tell of the device
MOST_EVENTS = 200  # of a variant that are shown
MOST_ALIKE = 4  # complaints from one line of this file that are shown: 40 launches that are wrong alike say no more
failures = 0
shown = collections.Counter()
suspects = []  # variants of which something is wrong


def check(condition, text, variant=None, depth=1):
    global failures
    if condition:
        return
    failures += 1
    line = sys._getframe(depth).f_lineno
    shown[line] += 1
    if shown[line] <= MOST_ALIKE:
        print(f"FAILED (line {line}): {text}")
    elif shown[line] == MOST_ALIKE + 1:
        print(f"FAILED (line {line}): and more of this kind")
    if variant and variant not in suspects:
        suspects.append(variant)


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

    def check(self, condition, text):
        check(condition, f"{self.name}: {text}", self, depth=2)

    def names(self):
        """The host's calls, and how many of each."""
        return dict(collections.Counter(e["name"] for e in self.slices if e["tid"] < 1000))

    @staticmethod
    def numbers(events):
        return [e["args"]["correlation"] for e in events]

    def show(self):
        """All that was told of it, in the order of time."""
        print(f"\n{self.name}: {self.about}")
        for e in sorted(self.slices + self.tokens, key=lambda e: e["ts"])[:MOST_EVENTS]:
            print(f"  {brief(e)}")


def end(event):
    return event["ts"] + event.get("dur", 0)


def brief(event):
    if event is None:
        return "none"
    arguments = event.get("args", {})
    number = f" number {arguments['correlation']}" if "correlation" in arguments else ""
    node = f" node {arguments['node']}" if "node" in arguments else ""
    when = f"{event['ts']:.3f} to {end(event):.3f} us, track {event['tid']}"
    return f"[{event['cat']} {event['name']!r}{number}{node}: {when}]"


SLACK = 0.0015  # us: three decimals, rounded twice
SKEW = {"CUPTI": 2.0}  # us: it converts the device's times to the host's clock, which is not exact


def check_order(v, overlaps):
    """What holds of any repetition."""
    for e in v.slices:
        v.check(e["ts"] >= 0 and e["dur"] >= 0, f"a time is below 0: {brief(e)}")
        v.check(
            e["ts"] <= v.about["repetition_us"] + SLACK,
            f"the repetition ends at {v.about['repetition_us']}, and after it begins {brief(e)}",
        )
    tracks = collections.defaultdict(list)
    for e in v.slices:
        tracks[e["tid"]].append(e)
    for track, events in tracks.items():
        v.check(("thread_name", track) in v.meta, f"track {track} has no name")
        for a, b in zip(events, events[1:]):
            v.check(end(a) <= b["ts"] + SLACK, f"on track {track} overlap {brief(a)} and {brief(b)}")
    skew = SKEW.get(v.about["source"], 0)
    for e in v.work:
        call = v.calls.get(e["args"]["correlation"])
        v.check(call is not None, f"no call has the number of {brief(e)}; the calls have {v.numbers(v.calls.values())}")
        v.check(call is None or call["ts"] <= e["ts"] + skew, f"{brief(e)} begins before its call, {brief(call)}")
    by_stream = collections.defaultdict(list)
    for e in v.work:
        by_stream[e["args"]["stream"]].append(e)
    for stream, events in by_stream.items() if not overlaps else ():
        events.sort(key=lambda e: e["ts"])
        for a, b in zip(events, events[1:]):
            v.check(end(a) <= b["ts"] + SLACK, f"in stream {stream} overlap {brief(a)} and {brief(b)}")
            v.check(
                a["args"]["correlation"] <= b["args"]["correlation"],
                f"in stream {stream} {brief(b)} was handed over before {brief(a)}, which ran first",
            )


def check_arrows(v):
    starts = {e["id"]: e for e in v.arrows if e["ph"] == "s"}
    ends = {e["id"]: e for e in v.arrows if e["ph"] == "f"}
    v.check(
        len(starts) + len(ends) == len(v.arrows) and starts.keys() == ends.keys(),
        f"arrows do not pair: {len(v.arrows)} halves, {len(starts)} begin, {len(ends)} end",
    )
    v.check(len(ends) == len(v.work), f"{len(ends)} arrows, want one for each of {len(v.work)} pieces of work")
    targets = {(e["tid"], e["ts"]) for e in v.work}
    sources = {(e["tid"], e["ts"]) for e in v.calls.values()}
    for ends_of, places, what in ((ends, targets, "ends at no work"), (starts, sources, "begins at no call")):
        for e in ends_of.values():
            v.check((e["tid"], e["ts"]) in places, f"an arrow {what}: track {e['tid']}, {e['ts']} us")


def check_launches(v, wanted):
    """Every launch once, and behind each launch one kernel."""
    launches = v.of("launch")
    v.check(v.about["launches"] == wanted, f"the launch macro counted {v.about['launches']} launches, want {wanted}")
    v.check(len(launches) == wanted, f"{len(launches)} launches are recorded, want {wanted}; calls: {v.names()}")
    if v.about["source"] not in FULL:
        return
    kernels = [e for e in v.kernels if "node" not in e["args"]]
    v.check(len(kernels) == wanted, f"{len(kernels)} kernels outside graphs are recorded, want {wanted}")
    ran, launched = (sorted(v.numbers(events)) for events in (kernels, launches))
    v.check(ran == launched, f"numbers of kernels {ran}, of launches {launched}")
    for e in kernels:
        label = v.calls.get(e["args"]["correlation"], {"args": {}})["args"].get("kernel")
        v.check(e["name"].startswith("axpy_"), f"a kernel is named {e['name']}, want axpy_...")
        v.check(label == e["name"], f"the launch of {brief(e)} says that it launches {label}")
        shape = [e["args"].get("grid"), e["args"].get("block")]
        v.check(shape == [[4, 1, 1], [256, 1, 1]], f"{brief(e)} has grid and block {shape}, want [4,1,1], [256,1,1]")


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
        check(
            v["left_out"] == 0 and v["lost"] == 0, f"{v['variant']}: {v['left_out']} events left out, {v['lost']} lost"
        )
        check(
            (v["missing"] == "") == (v["source"] in FULL),
            f"{v['variant']}, told by {v['source']}: what is missing is {v['missing']!r}",
        )


def traced(program, path, *options, code=0):
    result = run(program, f"--trace={path}", *options)
    if result.returncode == 77 and not path.exists():
        print(result.stderr)
        sys.exit(77)
    check(result.returncode == code, f"{program}: exit code {result.returncode}, want {code}: {result.stderr}")
    if f"wrote {path}" not in result.stdout or not path.exists():
        print(f"FAILED: {program} does not say that it wrote {path}, or did not write it")
        print(result.stdout, result.stderr)
        sys.exit(1)
    trace = json.loads(path.read_text())
    check_heading(trace)
    return {v["variant"]: Variant(trace, v) for v in trace["otherData"]["variants"]}


def check_ladder(folder, solution):
    variants = traced(solution, folder / "new" / "solution.json")
    check({"launch-sync", "work-only", "stream", "fused"} <= variants.keys(), f"only {list(variants)} are there")
    for name, v in variants.items():
        check_order(v, overlaps=name == "pdl")
        check_launches(v, TOKENS if name in ("work-only", "fused") else K * TOKENS)
        tokens = [e["name"] for e in v.tokens]
        v.check(tokens == [f"token {t}" for t in range(TOKENS)], f"its tokens are {tokens}, want {TOKENS} from 0 on")
        if v.about["source"] not in FULL:
            continue
        check_arrows(v)
        waits = {"launch-sync": K * TOKENS}.get(name, TOKENS)
        v.check(len(v.of("wait")) == waits, f"{len(v.of('wait'))} waits, want {waits}; calls: {v.names()}")
        for e, token in zip(v.of("wait")[waits // TOKENS - 1 :: waits // TOKENS], v.tokens):
            v.check(end(e) <= token["ts"] + SLACK, f"{brief(token)} stands before the end of {brief(e)}")


def check_graph_and_streams(folder, program):
    variants = traced(program, folder / "traced.json")
    check({"graph", "two-streams"} <= variants.keys(), f"only {list(variants)} are there")
    graph, streams = variants["graph"], variants["two-streams"]
    replays = graph.of("graph launch")
    graph.check(
        graph.about["graph_launches"] == TOKENS == len(replays),
        f"{graph.about['graph_launches']} replays counted, {len(replays)} recorded, want {TOKENS}; {graph.names()}",
    )
    check_launches(graph, 0)
    check_launches(streams, K * TOKENS)
    if graph.about["source"] not in FULL:
        return
    for v in (graph, streams):
        check_order(v, overlaps=False)
        check_arrows(v)
    # A driver may make a small copy of a graph by a kernel of its own, and CUPTI then records that.
    copies = [e for e in graph.work if e["cat"] == "copy" or e["name"].startswith("memcpy")]
    kinds = {"kernel": len(graph.work) - len(copies), "copy": len(copies)}
    wanted = {"kernel": K * TOKENS, "copy": TOKENS}
    graph.check(kinds == wanted, f"{kinds} ran in graphs, want {wanted}")
    nodes = collections.Counter(e["args"].get("node") for e in graph.work)
    graph.check(None not in nodes, f"{nodes[None]} pieces of work say nothing of their node")
    graph.check(len(nodes) == K + 1, f"{len(nodes)} nodes, want {K + 1}")
    graph.check(set(nodes.values()) == {TOKENS}, f"a node did not run once a token: {dict(nodes)}")
    for e in graph.work:
        call = graph.calls.get(e["args"]["correlation"])
        graph.check(call is not None and call["cat"] == "graph launch", f"{brief(e)} was handed over by {brief(call)}")
    for i, call in enumerate(replays):
        mine = [e for e in graph.work if e["args"]["correlation"] == call["args"]["correlation"]]
        graph.check(len(mine) == K + 1, f"replay {i}, {brief(call)}, handed over {len(mine)} nodes, want {K + 1}")
    for e in graph.of("copy"):
        graph.check(e["args"]["bytes"] == 4000, f"{brief(e)} has {e['args']['bytes']} bytes, want 4000")
    tracks = {e["tid"] for e in streams.work}
    streams.check(len(tracks) == 2, f"work is on the tracks {sorted(tracks)}, want two")


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
        check(result.returncode == 2, f"{option[:60]}: exit code {result.returncode}, want 2: {result.stderr}")
        check(text in " ".join(result.stderr.split()), f"{option[:60]}: says {result.stderr!r}, want {text!r}")
        check(
            result.stdout == "" and not json_file.exists(), f"{option[:60]}: something ran, and said {result.stdout!r}"
        )
    check(not (folder / "new" / "").is_file(), "a refused name became a file")


def check_full_disk(folder, program):
    """A limit to a process's files stands for a full disk. A driver may have files of its own, which need more."""
    path = folder / "full.json"
    alone = run(program, limit=8192)
    if alone.returncode != 0:
        print(f"not checked: a full disk, since without a trace the program ends with {alone.returncode} there:")
        print(alone.stderr)
        return
    for before in (None, "as it was"):
        if before:
            path.write_text(before)
        result = run(program, f"--trace={path}", limit=8192)
        check(result.returncode == 2, f"full disk: exit code {result.returncode}, want 2: {result.stderr}")
        check("full.json: cannot write" in " ".join(result.stderr.split()), f"full disk: says {result.stderr!r}")
        left = path.stat().st_size if path.exists() else None
        check((path.read_text() if path.exists() else None) == before, f"full disk: the file has changed: {left} bytes")
        check(not list(folder.glob("full.json*.tmp")), f"full disk: left behind: {list(folder.glob('full.json*.tmp'))}")


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
        check(result.returncode == 77, f"{source}: exit code {result.returncode}, want 77: {result.stderr}")
        names = [v["variant"] for v in json.loads((folder / "open.json").read_text())["otherData"]["variants"]]
        check(names == ["launch-sync"], f"of an open step: {names}")


def main():
    solution, program, mistakes, optimized = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for part, *arguments in (
            (check_ladder, solution),
            (check_graph_and_streams, program),
            (check_refused, solution),
            (check_full_disk, solution),
            (check_beside_results, solution),
            (check_failed_variants, mistakes, optimized),
        ):
            try:
                part(folder, *arguments)
            except Exception:  # the other parts have something to say, too
                check(False, f"{part.__name__} ended by {traceback.format_exc()}")
    for variant in suspects:
        variant.show()
    print(f"{failures} failed" if failures else "all as it should be")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
