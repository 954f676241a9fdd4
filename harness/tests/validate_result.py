#!/usr/bin/env python3
"""Check result files against harness/schema/result.v1.json, and calibrations against calibration.v1.json.

usage: validate_result.py FILE...
Exit: 0 all valid, 1 some file is not, 2 usage, 77 the python package jsonschema is not installed.
"""
import json
import pathlib
import sys

SCHEMAS = pathlib.Path(__file__).resolve().parent.parent / "schema"


def read_schema(kind):
    """A schema whose references to the result's definitions are its own: any version of jsonschema reads that."""
    result = json.loads((SCHEMAS / "result.v1.json").read_text(encoding="utf-8"))
    text = (SCHEMAS / f"{kind}.v1.json").read_text(encoding="utf-8").replace('"pk-result-v1#/', '"#/')
    schema = json.loads(text)
    schema["definitions"] = {**result["definitions"], **schema["definitions"]}
    return schema


def load_validator(kind="result"):
    """The validator of "result" or "calibration" files; ends the program with 77 where jsonschema is missing."""
    try:
        import jsonschema
    except ImportError:
        print("skipped: python3 has no jsonschema; install it with `apt install python3-jsonschema`")
        raise SystemExit(77)
    schema = read_schema(kind)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def refuse_constant(word):
    raise ValueError(f"{word} is not JSON")


def faults(validator, text):
    """What is wrong with a document, one line each; empty when it is valid."""
    try:
        # Python reads NaN and Infinity by default; JSON has neither.
        document = json.loads(text, parse_constant=refuse_constant)
    except ValueError as error:
        return [f"not JSON: {error}"]
    found = sorted(validator.iter_errors(document), key=lambda error: [str(step) for step in error.absolute_path])
    return [f"{'/'.join(str(step) for step in error.absolute_path) or '(top)'}: {error.message[:300]}" for error in found]


def main(paths):
    if not paths:
        print(__doc__)
        return 2
    validators = {kind: load_validator(kind) for kind in ("result", "calibration")}
    bad = 0
    for path in paths:
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
            lines = faults(validators["calibration" if '"pk-calibration"' in text else "result"], text)
        except (OSError, UnicodeDecodeError) as error:
            lines = [str(error)]
        for line in lines:
            print(f"{path}: {line}")
        bad += bool(lines)
        if not lines:
            print(f"{path}: valid")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
