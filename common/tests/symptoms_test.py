#!/usr/bin/env python3
"""symptoms_test.py SOURCE_TREE: the table of docs/troubleshooting.md, "By symptom", is of what there is.

- a row has a symptom, a cause, a fix and a command, and there are 40 rows or more;
- what a symptom quotes is a text of the sources: its parts between numbers and names stand in one string of them;
- `mistake NN name` is a variant that a test of the lab demands to fail; a command of ./lab is one, and the options it is
  given are the lab's, the command's or every program's."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
faults = []


def texts():
    """All sources as one text each, strings that follow each other joined, and line breaks gone."""
    for folder in ("common", "harness", "labs", "lab"):
        path = root / folder
        files = [path] if path.is_file() else sorted(
            p for p in path.rglob("*") if p.suffix in (".c", ".h", ".cu", ".cuh", ".cpp", ".sh") and "tests" not in p.parts)
        for file in files:
            text = re.sub(r'"\s*\n?\s*(?:PAGE\s*)?"', "", file.read_text())
            yield re.sub(r"\\n|\s+", " ", text)


def parts(quoted):
    """Of "saw 39 steps, not 40": what is the same in every message."""
    return [part for part in re.split(r"lab\d\d(?:\.\d+)?|'[^']*'|--[a-z]+(?![a-z-])|\d+|\bnsys\b", quoted) if len(part.strip(" :;,.")) > 2]


def in_sources(quoted):
    pieces = parts(quoted)
    for text in SOURCES:
        at = 0
        for piece in pieces:
            at = text.find(piece.strip(), at)
            if at < 0:
                break
        else:
            return True
    return False


def check_mistake(words, row):
    number, variant = words[1], words[2]
    demands = "".join(path.read_text() for path in root.glob(f"labs/lab{number}_*/CMakeLists.txt"))
    if not re.search(rf"\b{re.escape(variant)}\b", demands):
        faults.append(f"no test of lab {number} demands that '{variant}' fails: {row}")


def check_command(command, row):
    words = command.split()
    words = words[[i for i, word in enumerate(words) if word.endswith("lab")][0] + 1:]
    words = [word for word in words if not word.startswith("--backend")]
    name = words[0]
    help_text = root / f"harness/cli/help/{name}.txt"
    if not help_text.exists():
        faults.append(f"there is no command '{name}': {row}")
        return
    known = help_text.read_text() + (root / "harness/src/options.c").read_text()
    for path in root.glob(f"labs/lab{words[1] if len(words) > 1 else '--'}_*/*.c"):
        known += path.read_text()
    for option in re.findall(r"--([a-z0-9-]+)", " ".join(words[1:])):
        if option != "toknes" and f'"{option}"' not in known and f"--{option}" not in known:
            faults.append(f"--{option} is no option of it: {row}")


SOURCES = list(texts())
page = (root / "docs/troubleshooting.md").read_text()
table = page[page.index("\n## By symptom"):]
table = table[:table.index("\n## ", 1)]
rows = [line for line in table.splitlines() if re.match(r"\| (?!symptom|\*\*)", line)]
for line in rows:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    if len(cells) != 4 or not all(cells):
        faults.append(f"a row needs a symptom, a cause, a fix and a command: {line}")
        continue
    for quoted in re.findall(r"`([^`]+)`", cells[0]):
        if not in_sources(quoted):
            faults.append(f"no source says `{quoted}`")
    commands = re.findall(r"`([^`]+)`", cells[3])
    if not commands:
        faults.append(f"no command: {line}")
    for command in commands:
        if "mistake " in command:
            check_mistake(command[command.index("mistake "):].split(), command)
        elif "./lab " in command:
            check_command(command, command)
if len(rows) < 40:
    faults.append(f"{len(rows)} rows, and 40 are wanted")
for fault in faults:
    print("FAILED:", fault)
print(f"{len(rows)} rows")
sys.exit(bool(faults))
