#!/usr/bin/env python3
"""Check the labs as shipped: python3 check_steps.py SOURCE_FOLDER

- the student's files are optimized.cu and the further .cu files of the solution, by the numbers of their steps;
- fences are well formed and numbered lab01.1, lab01.2, ... in order, on through the lab's files, and name the rungs
  that stand on the step: each is one of the file's PK_VARIANTS, and each of those is named by a step; "all rungs" names
  them all, in a lab of one file;
- PK_VARIANTS has the role ladder in optimized.cu, and in a further file its name: chain in chain.cu;
- outside the fences the student's file and the solution are the same, to the letter;
- every step is open in labs/ (nothing but pk_todo, (void) casts and comments) and filled in in solutions/;
- HINTS.md has three hints for each step, and the page names each step: README.md, or for chain.cu also CHAIN.md.

A student's file that differs from the committed one is work in progress: its steps may be filled in.
Exit 0 right, 1 wrong."""
import pathlib
import re
import subprocess
import sys

FENCE = re.compile(r"^\s*/\* (?:(STEP) (lab\d\d\.\d+) for ([a-z0-9, -]+):.*|(END) (lab\d\d\.\d+)) \*/$")
VARIANT = re.compile(r'^\s*\{"([^"]+)",', re.M)
OPEN_LINE = re.compile(r"^\s*(return pk_todo\(run, \"lab\d\d\.\d+\"\);|\(void\)[^;]*;|)$")


def parse(path, complain):
    """-> (lines outside the fences, {step: [lines inside]}, {step: [rungs]})"""
    outside, steps, rungs, inside = [], {}, {}, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if not fence:
            if re.search(r"/\*\s*(STEP|END)\b", line):
                complain(f"{path}:{number}: not a fence: write /* STEP lab01.2 for stream: what to do */ or /* END lab01.2 */")
            (outside if inside is None else steps[inside]).append(line)
            continue
        outside.append(line)
        kind, step = fence.group(1) or fence.group(4), fence.group(2) or fence.group(5)
        if (kind == "STEP") != (inside is None) or (kind == "END" and step != inside):
            complain(f"{path}:{number}: {kind} {step} does not pair with the fence before it")
        if kind == "STEP":
            if step in steps:
                complain(f"{path}:{number}: step {step} is there twice")
            steps[step] = []
            rungs[step] = re.split(r", *", fence.group(3))
        inside = step if kind == "STEP" else None
    if inside is not None:
        complain(f"{path}: step {inside} has no END")
    return outside, steps, rungs


def check_rungs(path, rungs, alone, complain):
    text = path.read_text()
    roles = re.findall(r"^PK_VARIANTS(?:_END)?\((\w*)\)", text, re.M)
    role = "ladder" if path.name == "optimized.cu" else path.stem
    if roles != [role, role]:
        complain(f"{path}: the roles of PK_VARIANTS and PK_VARIANTS_END are {roles}, not {role} in both")
    variants = VARIANT.findall(text[text.find("PK_VARIANTS("):])
    named = set()
    for step, names in rungs.items():
        if names == ["all rungs"] and not alone:
            complain(f"{path}: step {step} is for 'all rungs', those of the lab's other files too: name them")
        names = variants if names == ["all rungs"] else names
        named.update(names)
        for name in names:
            if name not in variants:
                complain(f"{path}: step {step} is for '{name}', which is none of {', '.join(variants)}")
    for name in variants:
        if name not in named:
            complain(f"{path}: no step is for {name}")


def worked_on(source, path):
    """Does the file differ from the committed one? Not known outside a checkout: then no."""
    command = ["git", "-C", str(source), "diff", "--quiet", "HEAD", "--", str(path)]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 1


def check_hints(lab, name, steps, complain):
    hints = (lab / "HINTS.md").read_text()
    page = (lab / "README.md").read_text()
    own = lab / f"{pathlib.Path(name).stem.upper()}.md"  # a part's own page
    if own.exists():
        page += own.read_text()
    for step in steps:
        section = re.search(rf"^## {re.escape(step)}\b.*?(?=^## |\Z)", hints, re.M | re.S)
        levels = re.findall(r"^### Hint (\d)", section.group(0), re.M) if section else []
        if levels != ["1", "2", "3"]:
            complain(f"{lab / 'HINTS.md'}: step {step} has hints {levels}, not 1, 2, 3")
        if step not in page:
            complain(f"{lab / 'README.md'}: does not name step {step}")


def student_files(solutions):
    """The names of a lab's student's files, in the order of their steps."""
    def first_step(path):
        numbers = [int(fence) for fence in re.findall(r"/\* STEP lab\d\d\.(\d+)", path.read_text())]
        return (path.name != "optimized.cu", min(numbers, default=10**9), path.name)
    return [path.name for path in sorted(solutions.glob("*.cu"), key=first_step)]


def check_file(source, lab, name, alone, before, complain):
    """A student's file, its steps numbered on from `before`; -> how many it has"""
    student, solution = lab / name, source / "solutions" / lab.name / name
    if not student.exists():
        complain(f"{student} is not there, and {solution} is")
        return 0
    outside, steps, rungs = parse(student, complain)
    solved_outside, solved, _ = parse(solution, complain)
    check_rungs(student, rungs, alone, complain)
    number = lab.name[:5]
    wanted = [f"{number}.{i}" for i in range(before + 1, before + len(steps) + 1)]
    if list(steps) != wanted:
        complain(f"{student}: steps are {list(steps)}, not {wanted}")
    for a, b in zip(outside + [None], solved_outside + [None]):
        if a != b:
            complain(f"{student}: outside the steps the student's file and the solution differ:\n  {a}\n  {b}")
            break
    shipped = not worked_on(source, student)
    for step, lines in steps.items():
        if shipped and not all(OPEN_LINE.match(line) for line in lines):
            complain(f"{student}: step {step} is not open as shipped")
        code = [line for line in solved.get(step, []) if not OPEN_LINE.match(line)]
        if not code or "pk_todo" in "".join(solved[step]):
            complain(f"{solution}: step {step} is not filled in")
    check_hints(lab, name, steps, complain)
    return len(steps)


def check_lab(source, lab, complain):
    names = student_files(source / "solutions" / lab.name)
    if names[:1] != ["optimized.cu"]:
        complain(f"{source / 'solutions' / lab.name}: there is no optimized.cu")
    steps = 0
    for name in names:
        steps += check_file(source, lab, name, len(names) == 1, steps, complain)
    return steps


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    wrong = []
    labs = sorted(path for path in (source / "labs").glob("lab[0-9][0-9]_*") if path.is_dir())
    steps = sum(check_lab(source, lab, wrong.append) for lab in labs)
    if not labs or not steps:
        wrong.append(f"no labs with steps below {source / 'labs'}")
    for text in wrong:
        print(text, file=sys.stderr)
    print(f"{len(labs)} labs, {steps} steps, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
