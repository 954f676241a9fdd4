#!/usr/bin/env bash
# pages.sh SOURCE_TREE: every page and heading that an error message sends its reader to is there. A heading's anchor
# is its text in small letters, with hyphens for spaces and without other signs.
set -uo pipefail
cd "$1" || exit 1

# Messages name pages as docs/page.md#heading; pk_hints.c joins the page's name to "#heading)".
references() {
    grep -rhoE 'docs/[a-z0-9-]+\.md(#[a-z0-9-]+)?' --include='*.c' --include='*.cu' --include='*.h' --include='*.cpp' \
        common harness labs solutions
    sed -n 's|.*"#\([a-z0-9-]*\)).*|docs/troubleshooting.md#\1|p' common/pk_hints.c
}

anchors() {
    sed -n 's/^##* *//p' "$1" | tr '[:upper:]' '[:lower:]' | tr ' ' '-' | tr -cd 'a-z0-9-\n'
}

wrong=0 count=0
while read -r reference; do
    count=$((count + 1))
    page=${reference%%#*}
    if [[ ! -e $page ]]; then
        echo "FAILED: no page for $reference"
        wrong=1
    elif [[ $reference == *#* ]] && ! anchors "$page" | grep -qx -- "${reference#*#}"; then
        echo "FAILED: no heading for $reference"
        wrong=1
    fi
done < <(references | sort -u)
echo "$count pages and headings"
((wrong == 0 && count > 10))
