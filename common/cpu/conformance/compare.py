#!/usr/bin/env python3
"""compare.py GPU.json CPU.json: the cases whose result or observed values differ, as a Markdown table.

Both files are what run_all.sh writes. CUDA is right: the first file says what the second should have said.
"""
import json
import sys


def load(path):
    with open(path) as file:
        whole = json.load(file)
    return whole["device"], {(c["concern"], c["case"]): c for c in whole["cases"]}


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def describe(case, other):
    """The case's status, its detail, and what it observed otherwise than `other`."""
    if case is None:
        return "not built"
    text = case["status"]
    if case["detail"]:
        text += ": " + case["detail"]
    for name, value in case["observed"].items():
        if other is None or other["observed"].get(name) != value:
            text += "; %s = %s" % (name, value)
    return cell(text)


def differ(a, b):
    if a is None or b is None:
        return True
    return a["status"] != b["status"] or a["observed"] != b["observed"]


def count(cases):
    passed = sum(c["status"] == "pass" for c in cases.values())
    return "%d of %d pass" % (passed, len(cases))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    (device_a, a), (device_b, b) = load(sys.argv[1]), load(sys.argv[2])
    name_a, name_b = cell(device_a["name"]), cell(device_b["name"])
    print("%s (%s, driver %s): %s." % (name_a, device_a["backend"], device_a["driver"], count(a)))
    print("%s (%s): %s.\n" % (name_b, device_b["backend"], count(b)))
    rows = [key for key in list(a) + [k for k in b if k not in a] if differ(a.get(key), b.get(key))]
    if not rows:
        print("No case differs.")
        return
    print("| case | %s | %s |\n|---|---|---|" % (name_a, name_b))
    for key in rows:
        one, two = a.get(key), b.get(key)
        print("| %s.%s | %s | %s |" % (key[0], key[1], describe(one, two), describe(two, one)))


if __name__ == "__main__":
    main()
