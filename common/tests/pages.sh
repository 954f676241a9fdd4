#!/usr/bin/env bash
# pages.sh SOURCE_TREE: every page and heading that an error message sends its reader to is there, and so is what each link
# in a page or a notebook leads to within the tree. A heading's anchor is its text in small letters, with hyphens for spaces
# and without other signs; a second one of the same text ends in -1.
set -uo pipefail
cd "$1" || exit 1

# Messages name pages as docs/page.md#heading; pk_hints.c joins the page's name to "#heading)".
references() {
    grep -rhoE 'docs/[a-z-]+\.md(#[a-z0-9-]+)?' --include='*.c' --include='*.cu' --include='*.h' --include='*.cpp' \
        common harness labs solutions 2>/dev/null
    sed -n 's|.*"#\([a-z0-9-]*\)).*|docs/troubleshooting.md#\1|p' common/pk_hints.c
}

# without_code PAGE: a fence may stand in a list, indented.
without_code() { awk '/^ *```/ { code = !code; next } !code' "$1"; }

declare -A anchors_of
# find_anchors PAGE: its headings' anchors, a line each, in anchors_of.
find_anchors() {
    [[ -z ${anchors_of[$1]-} ]] || return 0
    anchors_of[$1]=$(without_code "$1" | sed -n 's/^##* *//p' | tr '[:upper:]' '[:lower:]' | tr ' ' '-' | tr -cd 'a-z0-9_\n-' |
        awk '{ print $0 (seen[$0]++ ? "-" seen[$0] - 1 : "") }')
}

wrong=0 count=0
fail() {
    echo "FAILED: $1"
    wrong=1
}

# check TARGET WHERE: "page.md#heading", its page by its path from here.
check() {
    local page=${1%%#*}
    count=$((count + 1))
    if [[ ! -e $page ]]; then
        fail "no page for $1$2"
    elif [[ $1 == *#* && $page == *.md ]]; then
        find_anchors "$page"
        grep -qx -- "${1#*#}" <<<"${anchors_of[$page]}" || fail "no heading for $1$2"
    fi
}

while read -r reference; do
    check "$reference" ''
done < <(references | sort -u)
((count > 10)) || fail "only $count references in messages"

# shellcheck disable=SC2016 # backticks of Markdown
readonly no_code_spans='s/`[^`]*`//g'

# links PAGE: what stands in parentheses behind a bracket, and in an image's source; other sites' are not looked at.
links() {
    case $1 in
    *.md) without_code "$1" ;;
    *) cat "$1" ;;
    esac | sed "$no_code_spans" | grep -oE '\]\([^) ]+\)|src="[^"]+"' | sed -E 's/^\]\(|\)$|^src="|"$//g' |
        grep -vE '^[a-z]+:' | sort -u
}
# Those of git's where this is a checkout: other folders may hold anything.
all_pages() {
    { git -c safe.directory="$PWD" ls-files --cached --others --exclude-standard -- '*.md' '*.ipynb' 2>/dev/null ||
        find . \( -path ./build -o -path ./models -o -path ./results \) -prune -o \( -name '*.md' -o -name '*.ipynb' \) -print; } |
        sed 's|^\./||' | grep -v ^harness/cli/template/ | sort
}
pages=0
while IFS= read -r page; do
    pages=$((pages + 1))
    while IFS= read -r link; do
        case $link in
        '#'*) target=$page$link ;;
        *) target=$(dirname "$page")/$link ;;
        esac
        target=$(realpath -ms --relative-to=. "${target%%#*}")$([[ $target != *#* ]] || echo "#${target#*#}")
        [[ $target == solutions/* && ! -e solutions ]] && continue # a course pack
        [[ $target == ../* ]] && { fail "$page: $link leads out of the tree"; continue; }
        check "$target" " in $page"
    done < <(links "$page")
done < <(all_pages)
# in_words TIME: "3.5 h", as a page has it: "three and a half hours".
in_words() {
    local -ra words=(no one two three four five six seven eight nine ten)
    case $1 in
    '45 min') echo 'three quarters of an hour' ;;
    '1 h') echo 'an hour' ;;
    [2-9].5\ h) echo "${words[${1%%.*}]} and a half hours" ;;
    [2-9]\ h) echo "${words[${1% h}]} hours" ;;
    *) echo "${1/%min/minutes}" ;;
    esac
}
# The course's times are those that the labs' pages say.
while IFS='|' read -r _ link time _; do
    page=${link#*\(../} time=$(xargs <<<"$time")
    page=${page%%\)*}
    tr -s '\n ' ' ' <"$page" | grep -qi -- "about $(in_words "$time")" || fail "docs/course.md says $time of $page, and it says another"
done < <(grep -E '^\| \[[^]]*\]\(\.\./labs/' docs/course.md)

echo "$count references and links, $pages pages"
((wrong == 0 && pages > 0))
