#!/usr/bin/env bash
# primer.sh SOURCE_TREE PROGRAM...: the primer's program runs, and docs/primer.md quotes it whole, piece by piece in its
# order, and what it prints.
set -uo pipefail
source=$1/docs/primer.cu page=$1/docs/primer.md
shift

blocks() { # KIND: the lines of the page's fenced blocks of this kind
    awk -v fence="\`\`\`$1" '/^```/ { inside = $0 == fence; next } inside' "$page"
}

out=$("$@")
code=$?
((code == 0)) || exit "$code"
printf '%s\n' "$out"
diff <(blocks text) <(printf '%s\n' "$out") || { echo "FAILED: the page quotes other output"; exit 1; }
# Empty lines between the pieces are not quoted.
diff <(blocks cuda | grep -v '^$') <(grep -v '^$' "$source") || { echo "FAILED: page and program differ"; exit 1; }
