#!/usr/bin/env python3
"""Figures against what a peer measured: python3 targets_test.py SOLUTION

From a file, and from a folder of runs, in which the newest file of this device counts and what does not fit is passed
over; a named file that does not fit is refused before anything runs. Exit 0 right, 1 wrong, 77 no device."""
from __future__ import annotations

import copy
import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

complaints: list[str] = []


def expect(right: bool, text: str) -> None:
    """Complain when it is not so."""
    if not right:
        complaints.append(text)


def run(program: str, *options: str) -> tuple[int, str]:
    """Exit code, and all that was said."""
    done = subprocess.run([program, "--quick", "--variant=resident", *options], capture_output=True, text=True,
                          timeout=200, check=False)
    if done.returncode == 77:
        print(done.stderr)
        sys.exit(77)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def peer_of(document: dict[str, Any], us: dict[str, float], **changes: Any) -> dict[str, Any]:
    """A peer's file with these times a token, after a lab's; `changes` to the knobs of all its results."""
    peer = copy.deepcopy(document)
    pattern = peer["results"][0]
    peer["results"] = []
    for variant, time_us in us.items():
        result = copy.deepcopy(pattern)
        result["variant"], result["derived"]["us_per_token"], result["status"] = variant, time_us, "pass"
        result["params"].update(changes)
        peer["results"].append(result)
    return peer


def put(path: pathlib.Path, document: dict[str, Any]) -> pathlib.Path:
    """As JSON, in a folder of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def figures_beside(program: str, folder: pathlib.Path, peers: pathlib.Path) -> tuple[dict[str, float], list[str]]:
    """Of a run beside these: a figure times the least time a token, which is the peer's; and the files used."""
    path = folder / "out.json"
    code, said = run(program, f"--peers={peers}", f"--json={path}", "--time-limit=0.01")
    expect(code == 0, f"--peers={peers.name}: exit code {code}: {said}")
    document = json.loads(path.read_text(encoding="utf-8"))
    least = min(result["derived"]["us_per_token"] for result in document["results"])
    found = {figure["name"]: figure["value"] * least for figure in document["figures"]}
    found = {name: value for name, value in found.items() if " over torch" in name}
    return found, document.get("peers", [])


def agree(got: dict[str, float], want: dict[str, float], what: str) -> None:
    """Names and numbers."""
    right = got.keys() == want.keys() and all(abs(got[name] / want[name] - 1) < 1e-9 for name in want)
    expect(right, f"{what}: {got}, want {want}")


def main(program: str) -> int:
    """The test."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        code, said = run(program, "--no-timing", f"--json={folder / 'lab.json'}")
        expect(code == 0, f"exit code {code}: {said}")
        lab = json.loads((folder / "lab.json").read_text(encoding="utf-8"))
        expect("peers" not in lab, "a run without peers names some")

        good = peer_of(lab, {"torch-graph": 9e4, "torch-compile": 5e4, "torch-compile-max": 4e4, "torch-eager": 2e5})
        failed = peer_of(lab, {"torch-compile": 1.0})["results"][0]
        good["results"].append({**failed, "status": "wrong"})
        path = put(folder / "lab04-torch.json", good)
        got, files = figures_beside(program, folder, path)
        agree(got, {"best over torch-graph, tiny": 9e4, "best over torch-compile, tiny": 4e4}, "a file")
        expect(files == [str(path)], f"the files are {files}")

        results = folder / "results"
        put(results / "2026-01-01T000000Z-a" / "lab04-torch.json",
            peer_of(lab, {"torch-graph": 1e4, "torch-compile": 3e4}))
        newest = put(results / "2026-01-03T000000Z-a" / "lab04-torch.json", peer_of(lab, {"torch-graph": 7e4}))
        for day, path_name, odd in (
                (4, "lab04-torch.json", peer_of(lab, {"torch-graph": 1.0}, prompt=6)),  # another point
                (5, "lab04-torch.json", {**good, "device": {**lab["device"], "name": "Another GPU"}}),
                (6, "lab04-trace.json", good), (7, "lab04.json", good), (7, "lab03-torch.json", good),
                (8, "lab04-torch.json", {**good, "version": 2}), (9, "lab04-torch.json", {"schema": "pk-result"})):
            put(results / f"2026-01-{day:02}T000000Z-a" / path_name, odd)
        (results / "2026-01-09T000000Z-b").mkdir()
        (results / "2026-01-09T000000Z-b" / "lab04-torch.json").write_text("{", encoding="utf-8")
        got, files = figures_beside(program, folder, results)
        agree(got, {"best over torch-graph, tiny": 7e4, "best over torch-compile, tiny": 3e4}, "a folder")
        expect(str(newest) in files and len(files) == 3, f"the files are {files}")  # one of them for another point

        json_file = folder / "refused.json"
        for odd, words in (({**good, "device": {**lab["device"], "name": "Another GPU"}}, "it is of another device"),
                           ({**good, "lab": {**lab["lab"], "id": "lab03"}}, "it is of another lab"),
                           ({**good, "lab": {**lab["lab"], "knobs": lab["lab"]["knobs"][1:]}}, "its knobs are not"),
                           ({**good, "schema": "other"}, "no result file of version 1")):
            code, said = run(program, f"--peers={put(folder / 'odd.json', odd)}", f"--json={json_file}")
            expect(code == 2 and words in said and not json_file.exists(), f"{words}: {code}, {said}")
        code, said = run(program, f"--peers={folder / 'none.json'}", f"--json={json_file}")
        expect(code == 2 and "No such file" in said and "name a result file" in said, f"no file: {code}, {said}")
    for complaint in complaints:
        print(complaint)
    print(f"{len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
