#!/usr/bin/env bash
# Each step of the labs as they are has a section of a page that explains it, at an anchor that is there.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
rm -r "${PK_LAB_SOURCE:?}"
mkdir "$PK_LAB_SOURCE"
ln -s "$repository"/{labs,solutions} "$PK_LAB_SOURCE"

# For each step "STEP SECTION", as its hint names it.
steps=$(sed -n 's|.*/[*] STEP \(lab[0-9.]*\) for .*|\1|p' "$repository"/labs/*/*.cu)
for step in $steps; do
    run hint "$step" --level=1
    [[ $code == 0 ]] || fail "hint $step ends with $code"
    printf '%s %s\n' "$step" "$(flat | sed -n 's/.* The page: \([^ ]*\) .*/\1/p')"
done >"$fixture/sections"
output=$(python3 - "$repository" "$fixture/sections" <<'CODE'
import pathlib, re, sys
repository = pathlib.Path(sys.argv[1])

def anchors(page):
    """As GitHub makes them: a heading that is there again has a number behind it."""
    seen = {}
    for heading in re.findall(r"^#{1,6} (.*)$", re.sub(r"(?ms)^```.*?^```", "", page.read_text()), re.M):
        anchor = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        yield f"{anchor}-{count}" if count else anchor

lines = pathlib.Path(sys.argv[2]).read_text().splitlines()
for line in lines:
    step, _, section = line.partition(" ")
    page, _, anchor = section.partition("#")
    if not anchor:
        print(f"{step}: no section of its page names it")
    elif anchor not in anchors(repository / page):
        print(f"{step}: {page} has no #{anchor}")
if len(lines) < 100:
    print(f"only {len(lines)} steps")
CODE
)
[[ -z $output ]] || fail 'a step has no section'
finish
