#!/usr/bin/env bash
# memory.sh PROGRAM ARGUMENT...: less and less memory, from more than the program needs to hardly enough to start it.
# However little there is, the program passes, or ends with exit code 3 and a line that says what to do.
set -uo pipefail
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

failed=0 passed=0 refused=0
for limit in 4000000 60000 40000 30000 24000 18000 12000 10000 8000; do # KiB
    (
        ulimit -v "$limit"
        exec "$@"
    ) >"$folder/out" 2>&1 </dev/null
    code=$?
    # The loader had too little for the libraries: nothing of the program has run.
    ((code == 127)) && grep -q 'error while loading shared libraries' "$folder/out" && continue
    case $code in
    0) ((++passed)) ;;
    3)
        ((++refused))
        tr -s ' \n' ' ' <"$folder/out" | grep -qE 'ulimit|memory|#launch-limits' && continue
        failed=1
        echo "FAILED: ulimit -v $limit: exit code 3, and no word of memory"
        cat "$folder/out"
        ;;
    *)
        failed=1
        echo "FAILED: ulimit -v $limit: exit code $code"
        cat "$folder/out"
        ;;
    esac
done
echo "$passed passed, $refused were refused"
((failed == 0 && passed > 0 && refused > 0))
