#!/usr/bin/env python3
"""compare.py [--into PAGE] GPU.json CPU.json: what two devices said, as Markdown tables.

Both files are what run_all.sh writes. CUDA is right: the first file says what the second should have said. With
--into, the tables replace what stands in PAGE between the lines <!-- compare.py --> and <!-- end -->.
"""
import json
import sys

BEGIN, END = "<!-- compare.py -->\n", "<!-- end -->\n"


def load(path):
    with open(path) as file:
        whole = json.load(file)
    return whole["device"], {(c["concern"], c["case"]): c for c in whole["cases"]}


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def is_error(name):
    """An observed error of a function against the exact value: measured, so never the same."""
    return name.endswith(", ulp") or name.endswith(", absolute")


def observed(case):
    return {name: value for name, value in case["observed"].items() if not is_error(name)}


def describe(case, other):
    """The case's status, its detail, and what it observed otherwise than `other`."""
    if case is None:
        return "not there"
    text = case["status"]
    if case["detail"]:
        text += ": " + case["detail"]
    for name, value in observed(case).items():
        if other is None or other["observed"].get(name) != value:
            text += "; %s = %s" % (name, value)
    return cell(text)


def differ(a, b):
    if a is None or b is None:
        return True
    return a["status"] != b["status"] or observed(a) != observed(b)


def tally(cases, concern):
    mine = [c["status"] for (of, _), c in cases.items() if of == concern]
    counts = ["%d %s" % (mine.count(s), s) for s in ("pass", "differs", "skip", "fail", "not run") if s in mine]
    return " ".join(counts) or "not run yet"


def count(cases):
    return "%d of %d cases pass" % (sum(c["status"] == "pass" for c in cases.values()), len(cases))


def about(device):
    text = "- %s: %s backend, %s" % (cell(device["name"]), device["backend"], device["arch"])
    if device["backend"] != "cpu":
        text += ", toolkit %s, a driver for CUDA %s" % (device["toolkit"], device["driver"])
    return text


def tables(gpu, cpu):
    (device_a, a), (device_b, b) = gpu, cpu
    name_a, name_b = cell(device_a["name"]), cell(device_b["name"].split(",")[0])
    keys = list(a) + [key for key in b if key not in a]
    lines = ["%s: %s." % (about(device_a), count(a)), "%s: %s." % (about(device_b), count(b)), ""]

    lines += ["| concern | %s | %s |" % (name_a, name_b), "|---|---|---|"]
    for concern in dict.fromkeys(key[0] for key in keys):
        lines.append("| %s | %s | %s |" % (concern, tally(a, concern), tally(b, concern)))

    # A concern that one of them has not run is said above, once.
    both = {concern for concern, _ in a} & {concern for concern, _ in b}
    rows = [key for key in keys if key[0] in both and differ(a.get(key), b.get(key))]
    lines += ["", "Cases that do not say the same:" if rows else "All cases say the same.", ""]
    if rows:
        lines += ["| case | %s | %s |" % (name_a, name_b), "|---|---|---|"]
    for key in rows:
        one, two = a.get(key), b.get(key)
        lines.append("| %s.%s | %s | %s |" % (key[0], key[1], describe(one, two), describe(two, one)))

    lines += ["", "Largest error of functions against the exact value:", ""]
    lines += ["| function and range | %s | %s |" % (name_a, name_b), "|---|---|---|"]
    for key in keys:
        one, two = (cases.get(key, {"observed": {}})["observed"] for cases in (a, b))
        for name in filter(is_error, list(one) + [n for n in two if n not in one]):
            lines.append("| %s | %s | %s |" % (cell(name), one.get(name, ""), two.get(name, "")))
    return "\n".join(lines) + "\n"


def main():
    arguments = sys.argv[1:]
    page = arguments[1] if arguments[:1] == ["--into"] and len(arguments) == 4 else None
    if len(arguments) != (4 if page else 2):
        sys.exit(__doc__)
    text = tables(load(arguments[-2]), load(arguments[-1]))
    if not page:
        print(text, end="")
        return
    with open(page) as file:
        whole = file.read()
    before, rest = whole.split(BEGIN)
    after = rest.split(END)[1]
    with open(page, "w") as file:
        file.write(before + BEGIN + "\n" + text + "\n" + END + after)


if __name__ == "__main__":
    main()
