#!/usr/bin/env bash
# The page of stored results and the README's table: they say what the files in docs/results say, here and in a fixture.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
gpu=$repository/harness/tests/data/example-gpu.json

# The repository's own.
PK_LAB_SOURCE=$repository run index --check
expect 0 'what the stored results say'

stored=$PK_LAB_SOURCE/docs/results
readme=$PK_LAB_SOURCE/README.md
run index
expect_error 'has no folder of a device with result files'
mkdir -p "$stored"/{big,small/hip,notes}
cp "$gpu" "$stored/big/lab01.json"
cp "$gpu" "$stored/small/hip/lab01.json"
sed 's/"id": "lab01",/"id": "lab02",/' "$gpu" >"$stored/small/lab02.json"
touch "$stored/big/lab01-speedup.svg" "$stored/big/lab01-a)(b.svg"
run index
expect_error 'cannot read' README.md
echo '# A page' >"$readme"
run index
expect_error "has no lines '<!-- ./lab index: from docs/results -->'"
[[ ! -e $stored/README.md ]] || fail 'a page is half made'
printf '%s\n' before '<!-- ./lab index: from docs/results -->' old '<!-- end -->' after >"$readme"
cp "$readme" "$fixture/readme"
run index --check
expect 1 'docs/results/README.md is not what the stored results say' 'README.md is not' './lab index makes it anew'
cmp -s "$readme" "$fixture/readme" || fail '--check writes the table'
[[ ! -e $stored/README.md ]] || fail '--check writes the page'
run index
expect 0 'wrote docs/results/README.md' 'wrote README.md'
run index --check
expect 0
output=$(<"$readme")
# One column a device, whatever it lacks; another backend of a device has none.
expect 0 'before <!-- ./lab index: from docs/results --> | lab | baseline | big | small | ' '<!-- end --> after' \
    '| lab01 Launches | sync | fused: 1.09 (1.09 to 1.1) | not measured |' \
    '| lab02 Launches | sync | not measured | fused: 1.09 (1.09 to 1.1) |'
expect_no old
output=$(<"$stored/README.md")
expect 0 '| variant | big | small | small/hip |' '| sync | 9.198 | not measured | 9.198 |' \
    '![lab01-speedup, big](big/lab01-speedup.svg) | not drawn |'
expect_no 'a)(b'

# The device's report: of its files, the figures as they are stored, and nobody's work log.
if command -v gnuplot >/dev/null; then
    [[ ! -e $stored/small/hip/report.md ]] || fail 'a report of another backend'
    output=$(<"$stored/big/report.md")
    expect 0 './lab report docs/results/big --out=OUT' 'measured elsewhere: a machine with NVIDIA H200' \
        '](lab01-speedup.svg)' 'Not stored: lab01-latency.svg'
    mkdir -p "$PK_LAB_SOURCE/logs"
    printf '# Work log\n\n## 2026-03-01T000000Z\n\n- Hypothesis: mine\n' >"$PK_LAB_SOURCE/logs/lab01.md"
    run index --check
    expect 0
    echo '<svg></svg>' >"$stored/big/lab01-speedup.svg"
    run index --check
    expect 1 'docs/results/big/report.html is not'
    expect_no report.md
    sed -i 's/lab01_solution/lab01_other/' "$stored/big/lab01.json"
    run index --check
    expect 1 'docs/results/big/report.md is not' 'docs/results/big/report.html is not'
    cp "$gpu" "$stored/big/lab01.json"
    run index
    PATH=/nowhere run index --check
    expect 0 'no gnuplot' 'reports are left as they are'
fi

# A table that says something else, and results that do.
sed -i 's/fused: 1.09/fused: 1.10/' "$readme"
run index --check
expect 1 'README.md is not what the stored results say'
expect_no docs/results/README.md
run index
expect 0 'wrote README.md'
echo 'withdrawn lab01 variant=fused k=1: a reason' >"$stored/big/evidence.txt"
run index --check
expect 1 docs/results/README.md
run index
output=$(<"$readme")
expect 0 '| lab01 Launches | sync | pdl: 1.07'
output=$(<"$stored/README.md")
expect 0 '| fused | withdrawn |' 'big: results that are withdrawn: 1'
finish
