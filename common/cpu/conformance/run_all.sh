#!/bin/sh
# run_all.sh BUILD_DIR OUT_DIR: runs every conformance program of a build, and joins their results in
# OUT_DIR/conformance.json. Prints one line for each case that fails or differs as known, and a last line of counts.
# Exit code 0: none failed; 1: some did; 77: no device.
set -u
if [ $# -ne 2 ] || [ ! -d "$1/bin" ]; then
    echo "usage: $0 BUILD_DIR OUT_DIR (BUILD_DIR has bin/conformance_*)" >&2
    exit 2
fi
build=$1
out=$2
here=$(dirname "$0")
parts=$out/conformance
mkdir -p "$parts" || exit 2
rm -f "$parts"/*.json "$out/conformance.json"

for program in "$build"/bin/conformance_*; do
    concern=${program##*/conformance_}
    timeout -k 5 240 "$program" --limit 30 --known "$here/known_differences.txt" --json "$parts/$concern.json" \
        >"$parts/$concern.log" 2>&1
    code=$?
    case $code in
    0 | 1 | 77) grep '^FAILED\|^differs' "$parts/$concern.log" ;;
    *) echo "FAILED  $concern: exit code $code, see conformance/$concern.log" ;;
    esac
done

python3 - "$out/conformance.json" "$parts" <<'END'
import glob, json, sys

device, cases = None, []
for path in sorted(glob.glob(sys.argv[2] + "/*.json")):
    with open(path) as file:
        part = json.load(file)
    device = device or part["device"]
    cases += part["cases"]
with open(sys.argv[1], "w") as file:
    json.dump({"device": device, "cases": cases}, file, indent=1)
    file.write("\n")
count = {}
for case in cases:
    count[case["status"]] = count.get(case["status"], 0) + 1
name = "%s (%s)" % (device["name"], device["backend"]) if device else "no device"
print("%s: %d cases, %s" % (name, len(cases), ", ".join("%d %s" % (count[s], s) for s in sorted(count)) or "none"))
logs, results = len(glob.glob(sys.argv[2] + "/*.log")), len(glob.glob(sys.argv[2] + "/*.json"))
if not cases:
    sys.exit(77)
sys.exit(1 if count.get("fail") or count.get("not run") or logs != results else 0)
END
