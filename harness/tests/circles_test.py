#!/usr/bin/env python3
"""No circle among the harness's parts: python3 circles_test.py NM ARCHIVE SOURCE_FOLDER

A part is a source with its headers. Parts that stand on each other in a circle can only be understood, tested and
changed together; what two of them need belongs in a part below both, or is handed in by who calls. Looked at are
- what each part includes: one that includes another's header stands on it;
- what each object of the library calls or reads in another, by NM: public headers hide whose function it is.
Exit 0 right, 1 wrong."""
import pathlib
import re
import subprocess
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"/]+)"', re.M)


def includes(folder):
    """-> {part: {part: where}}; a part's name is its files' without the ending."""
    graph = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".c", ".cu", ".h")):
        of = graph.setdefault(path.stem, {})
        for name in INCLUDE.findall(path.read_text()):
            if (folder / name).exists() and pathlib.Path(name).stem != path.stem:
                of[pathlib.Path(name).stem] = f"{path.name} includes {name}"
    return graph


def calls(nm, archive):
    """-> {object: {object: where}}"""
    defined, wanted, current = {}, {}, None
    for line in subprocess.run([nm, archive], check=True, capture_output=True, text=True).stdout.splitlines():
        if line.endswith(":"):
            current = line[:-1]
            wanted[current] = set()
            continue
        words = line.split()
        if len(words) < 2:
            continue
        kind, symbol = words[-2:]
        if kind == "U":
            wanted[current].add(symbol)
        elif kind in "TDBRC":  # weak ones are inline functions and templates: no part owns them
            defined[symbol] = current
    return {
        part: {defined[s]: f"{part} needs {s}" for s in sorted(symbols) if defined.get(s, part) != part}
        for part, symbols in wanted.items()
    }


def circle(graph):
    """The steps of one circle, as texts; [] when there is none."""
    done, path = set(), []

    def visit(part):
        if part in path:
            ring = path[path.index(part) :] + [part]
            return [graph[a][b] for a, b in zip(ring, ring[1:])]
        if part in done:
            return []
        path.append(part)
        for other in graph.get(part, {}):
            found = visit(other)
            if found:
                return found
        path.pop()
        done.add(part)
        return []

    for start in sorted(graph):
        found = visit(start)
        if found:
            return found
    return []


def main():
    nm, archive, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    wrong = False
    for what, graph in (("includes", includes(folder)), ("calls", calls(nm, archive))):
        edges = sum(len(others) for others in graph.values())
        found = circle(graph)
        print(f"{what}: {len(graph)} parts, {edges} edges, {'a circle' if found else 'no circle'}")
        for step in found:
            print(f"  {step}")
        wrong |= bool(found) or edges == 0
    sys.exit(wrong)


if __name__ == "__main__":
    main()
