#!/usr/bin/env bash
# `profile`: the commands for each tool, refusals, what runs them; the profiles of the real labs; the page's commands.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
tools=$fixture/tools
mkdir "$tools"
export PATH=$tools:$PATH
profile=$PK_LAB_SOURCE/labs/lab01_first/profile.txt
fake() { # NAME: a tool that says how it was started
    # shellcheck disable=SC2016 # the tool expands it
    printf '#!/bin/sh\necho "ran %s $*"\nexit "${FAKE_CODE:-0}"\n' "$1" >"$tools/$1"
    chmod +x "$tools/$1"
}
is_line() { grep -qxF -- "$1" <<<"$output" || fail "no line '$1'"; }

# ---- what is printed ----
run profile 01 --print
expect 0
is_line './lab --backend=build run 01 --no-timing --quick=auto --json=results/profile/lab01.json --trace=results/profile/lab01-trace.json'
is_line './lab --backend=build plot results/profile/lab01.json'
printf '# about\n\nvariants a,b\nkernel ^step|other\nskip 3\nmetrics m.sum\namd-variants c\namd-counters X Y\n' >"$profile"
bin=$PK_LAB_BUILD/bin
run profile 01 --tool=nsys --print --n=3 '--text=two words'
is_line "nsys profile --trace=cuda,nvtx --cuda-graph-trace=node --force-overwrite=true --output=results/profile/lab01 $bin/lab01_optimized --no-timing --variant=a,b --n=3 '--text=two words'"
run profile 1 --tool ncu --print --solution --variant=z
expect 0 "--kernel-name 'regex:^step|other' --launch-skip 3 " "launch__registers_per_thread,m.sum $bin/lab01_solution --no-timing --variant=z"
expect_no variant=a
run profile 01 --tool=rocprof --print --baseline
expect 0 'rocprofv3 --hip-trace' "rocprofv3 --pmc X Y --kernel-include-regex 'step|other'" "$bin/lab01_baseline --no-timing --variant=c"
for tool in rocprofv2 omniperf rocprof-compute; do
    run profile 01 --tool=$tool --print
    expect 0 "$tool " "$bin/lab01_optimized --no-timing --variant=c"
done
fake rocprof
run profile 01 --tool=rocprof --print
if ! command -v rocprofv3 rocprofv2 >/dev/null; then expect 0 "echo 'pmc: X Y' >results/profile/lab01-counters.txt" 'rocprof --hip-trace'; fi

# ---- refusals ----
run profile
expect_error "needs a lab's number"
run profile 01 --tool=nsis
expect_error "no tool 'nsis'" "did you mean 'nsys'" omniperf
run profile 09
expect_error "unknown lab '09'"
for tool in nsys ncu rocprofv3 omniperf; do
    command -v "$tool" /usr/local/cuda/bin/"$tool" /opt/rocm/bin/"$tool" >/dev/null && continue
    run profile 01 --tool=$tool
    expect_error "$tool is not on PATH: install" './lab profile 01 --tool=trace'
done
echo 'kernels x' >>"$profile"
run profile 01 --print
expect_error "labs/lab01_first/profile.txt:9: 'kernels' is no key" 'docs/adding-a-lab.md#profile'
sed -i '$d' "$profile"
fake nsys
run profile 01 --tool=nsys
if [[ $code == 2 ]]; then
    expect_error 'nsys sees nothing of the backend' './lab --backend=cuda' '--tool=trace'
else # a build for a GPU
    expect 0 '$ nsys profile' "ran nsys profile --trace=cuda,nvtx" 'ran nsys stats'
fi

# ---- what runs ----
# shellcheck disable=SC2016 # the script expands it
printf '#!/bin/sh\necho "ran $*"\nexit ${FAKE_CODE:-0}\n' >"$PK_LAB_SOURCE/lab"
chmod +x "$PK_LAB_SOURCE/lab"
run profile 01 --solution
expect 0 '$ ./lab --backend=build run 01 --solution' 'ran --backend=build run 01 --solution --no-timing --quick=auto --variant=a,b' \
    'ran --backend=build plot results/profile/lab01.json' 'docs/profiling.md'
FAKE_CODE=77 run profile 01
expect 77 'ran --backend=build run 01'
expect_no plot

# ---- the real labs, and the page ----
page=$(sed -e ':join' -e '/\\$/{N; s/ *\\\n */ /; b join' -e '}' "$repository/docs/profiling.md")
export PK_LAB_SOURCE=$repository PK_LAB_BUILD=$repository/build/auto
rm "$tools"/*
all=
for folder in "$repository"/labs/lab*/; do
    name=$(basename "$folder")
    number=${name:3:2}
    [[ -e $folder/profile.txt ]] || continue
    for word in $(sed -n 's/^\(kernel-\|amd-\)\?variants //p' "$folder/profile.txt" | tr ',' ' '); do
        grep -qs "{\"$word\"," "$folder"/*.cu || fail "$name has no variant $word"
    done
    for word in $(sed -n 's/^\(amd-\)\?kernel ^\?//p' "$folder/profile.txt" | tr '|' ' '); do
        grep -qsE "__global__ .*\b$word" "$folder"/*.cu "$folder"/*.cuh "$repository"/common/decode/*.cu* || fail "$name has no kernel $word"
    done
    for tool in trace nsys ncu rocprofv3 rocprofv2 rocprof-compute omniperf; do
        run profile "$number" --tool=$tool --print
        expect 0
        all+=$output$'\n'
        [[ $tool =~ ^(rocprofv2|rocprof-compute|omniperf)$ && $number != 04 ]] && continue # shown for one lab
        [[ $number == 07 ]] && continue
        while IFS= read -r line; do
            grep -qxF -- "$line" <<<"$page" || fail "docs/profiling.md does not have: $line"
        done <<<"$output"
    done
done
while IFS= read -r line; do
    grep -qxF -- "$line" <<<"$all" || fail "docs/profiling.md has a command that nothing prints: $line"
done < <(grep -E '^(nsys (profile|stats) |ncu --|rocprofv[23] |omniperf |rocprof-compute |\./lab run [0-9]+ --no-timing)' <<<"$page")
finish
