#!/usr/bin/env bash
# interrupt.sh PROGRAM ARGUMENT...: Ctrl-C in the middle of a sweep. What was measured is kept, and exit code and text say
# so. The sign to send it is the program's first line of progress, however long that takes; so the rest of the sweep has to
# take longer than this script needs to see it.
set -uo pipefail
# shellcheck source=until_sign.sh
source "$(dirname "$0")/until_sign.sh"

until_sign '^sweep' "$@"
kill -INT "$program" 2>/dev/null
wait "$program"
code=$?
cat "$folder/out" "$folder/err"
if ((code == 77)); then
    exit 77
fi
((code == 130)) || { echo "FAILED: exit code $code, not 130"; exit 1; }
grep -q 'interrupted: these results are of what had been measured' "$folder/err" || { echo 'FAILED: no word of it'; exit 1; }
grep -qE '^launch-sync +interrupted ' "$folder/out" || { echo 'FAILED: the table does not say what was interrupted'; exit 1; }
