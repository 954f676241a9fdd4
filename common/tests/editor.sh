#!/usr/bin/env bash
# editor.sh SOURCE_TREE FILE...: clangd, told by .clangd and compile_flags.txt what an editor's is told, sees no error and no
# warning in the files. No build is needed for it, and no CUDA. 77 where there is no clangd.
set -uo pipefail
cd "$1" || exit 1
shift
command -v clangd >/dev/null || {
    echo 'no clangd here: apt-get install clangd'
    exit 77
}
# --check-lines: what an editor does at each further line is not tried. A diagnostic is "E[time] [its name] Line 3: text"; what a check of refactorings says besides has no name before its line.
wrong=0
for file in "$@"; do
    if ! log=$(clangd --check="$file" --check-lines=1-1 2>&1) && ! grep -q 'All checks completed' <<<"$log"; then
        echo "FAILED: $file: clangd: $(tail -n 1 <<<"$log")"
        wrong=1
    fi
    while IFS= read -r line; do
        echo "FAILED: $file: ${line#*\] }"
        wrong=1
    done < <(grep -E '^E\[[^]]*\] (\[[^]]*\] Line|config error)' <<<"$log")
done
echo "$# files"
exit "$wrong"
