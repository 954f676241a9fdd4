#!/usr/bin/env bash
# `lab pack` and `lab new`, in a copy of the tree: what is packed and what is not, what is refused; a course pack configures,
# and in it a lab that students solve and a lab that was made of the template build and pass their tests.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
command -v git >/dev/null || exit 77
# The files as they are here, committed or not, as one commit.
tree=$fixture/tree
mkdir "$tree"
(cd "$repository" && git -c safe.directory="$repository" ls-files -z --cached --others --exclude-standard -- . ':(exclude)docs/results' |
    xargs -0 cp --parents --no-dereference -t "$tree" 2>/dev/null)
commit() { git -C "$tree" add -A && git -C "$tree" -c user.name=t -c user.email=t@t commit -qm "$1"; }
git -C "$tree" init -q
commit shipped
lab() {
    output=$(cd "$fixture" && env -u PK_LAB_SOURCE -u PK_LAB_BUILD "$tree/lab" "$@" 2>&1 </dev/null)
    code=$?
}

# ---- pack: refusals ----
lab pack --without-solution
expect_error "pack takes no '--without-solution'"
lab pack --out
expect_error '--out needs a value'
lab pack --out=pack.rar
expect_error 'pack.rar ends in none of .tar.gz'
lab pack --out=/nowhere/pack.tar
expect_error 'cannot write in /nowhere'
lab pack --commit=nothing
expect_error "there is no commit 'nothing'"
echo 'float more;' >>"$tree/labs/lab01_launches/baseline.cu"
cp "$tree"/solutions/lab05_async_copy/chain.cu "$tree/labs/lab05_async_copy"
lab pack --without-solutions --out=early.tar
expect 0 '2 files have changes that are not committed'
commit solved
lab pack --without-solutions --out=solved.tar
expect_error 'labs/lab05_async_copy/chain.cu of HEAD has filled in lab05.' './lab reset 05' '--commit=REV'
[[ ! -e $fixture/solved.tar && -z $(find "$fixture" -maxdepth 1 -name '.pk-pack*') ]] || fail 'a refused pack left a file'
lab pack --without-solutions --commit=HEAD~1 --out=pack.tar.gz
expect 0 'pack.tar.gz: commit ' 'without solutions, notes and planted mistakes'
lab pack --commit=HEAD~1 --out=whole.zip
expect 0 whole.zip
[[ $(head -c 2 "$fixture/whole.zip") == PK ]] || fail 'the ending does not say what kind of archive it is'

# ---- new, in a whole tree: editors learn where the solution's headers are ----
mv "$tree/harness/cli/template/plots" "$fixture/plots"
lab new 11 other
expect 2 'lab 11 could not be made'
! git -C "$tree" status --porcelain | grep -qE 'lab11|CMakeLists|compile_flags|[.]new-' || fail 'something of it is left'
mv "$fixture/plots" "$tree/harness/cli/template/plots"
lab new 11 other
expect 0 labs/lab11_other
[[ $(tail -n 1 "$tree/solutions/compile_flags.txt") == -I../labs/lab11_other ]] || fail 'solutions/compile_flags.txt'

# ---- pack: what is in it ----
names=$(tar -tzf "$fixture/pack.tar.gz")
grep -E '^pk-labs/solutions/|/mistakes[^/]*\.cu$|NOTES' <<<"$names" | grep -v ^pk-labs/harness/cli/template/ && fail 'answers are in the pack'
for name in lab README.md labs/lab05_async_copy/chain.cu labs/lab01_launches/HINTS.md plots/theme.gp; do
    grep -qx "pk-labs/$name" <<<"$names" || fail "$name is not in the pack"
done
[[ $(tar -xzOf "$fixture/pack.tar.gz" pk-labs/labs/lab01_launches/optimized.cu | grep -c pk_todo) -gt 1 ]] || fail 'no steps'
tar -xzf "$fixture/pack.tar.gz" -C "$fixture"
tree=$fixture/pk-labs

# ---- new: refusals, and nothing left of them ----
lab new 10
expect_error 'new needs a number and a name'
lab new ten my_lab
expect_error "'ten' is no lab's number"
lab new 10 My-Lab
expect_error "'My-Lab' is no lab's name"
lab new 1 again
expect_error 'lab 01 is there already: labs/lab01_launches'
mv "$tree/harness/cli/template/plots" "$fixture/plots"
lab new 10 my_lab
expect 2 'lab 10 could not be made; nothing of it is left'
[[ -z $(find "$tree" -name '*lab10*' -o -name '.new-*') ]] || fail 'something is left'
mv "$fixture/plots" "$tree/harness/cli/template/plots"

# ---- new ----
lab new 10 my_lab
expect 0 'labs/lab10_my_lab, solutions/lab10_my_lab' './lab test -L lab10'
grep -A1 'add_subdirectory(labs/lab' "$tree/CMakeLists.txt" | grep -qx 'add_subdirectory(labs/lab10_my_lab)' || fail 'CMake is not told'
[[ $(head -n 1 "$tree/labs/lab10_my_lab/README.md") == '# My lab' ]] || fail 'no title'
! grep -rqE 'labNN|LABNN|@(NN|TITLE)@' "$tree"/{labs,solutions}/lab10_my_lab "$tree"/plots/lab10-* || fail 'the template shows'
(cd "$tree" && mkdir "$fixture/only" && cp -r --parents labs/lab10_my_lab solutions/lab10_my_lab "$fixture/only" &&
    python3 harness/tests/labs/check_steps.py "$fixture/only") >"$fixture/steps" 2>&1 || fail "$(<"$fixture/steps")"

# ---- the pack configures; both labs build, and pass or are skipped ----
# The libraries that labs are linked with are those of this very build, which were made of the same files: what the pack
# lacks is in none of them. Make's "fast" targets compile the labs' own files and link.
build=$fixture/pack-build
whole=$(dirname "$(dirname "$pk_lab")")
mapfile -t options < <(sed -nE 's/^((PK_(BACKEND|SANITIZE|CPU_CHECKED|CPU_NATIVE|CJSON_[A-Z]*)|CMAKE_(BUILD_TYPE|CUDA_ARCHITECTURES|HIP_ARCHITECTURES)):[A-Z]+=.*)/-D\1/p' \
    "$whole/CMakeCache.txt")
programs=(lab10_optimized lab10_solution lab10_mistakes lab01_optimized lab01_solution lab01_mistakes)
output=$(cmake -S "$tree" -B "$build" -G 'Unix Makefiles' "${options[@]}" 2>&1 &&
    (cd "$whole" && find . -name '*.a' -exec cp --parents -t "$build" {} +) &&
    mkdir -p "$build/bin" && make -C "$build" -j2 lab10_given/fast lab01_given/fast 2>&1 &&
    make -C "$build" -j2 "${programs[@]/%//fast}" 2>&1)
code=$?
if [[ $code != 0 ]]; then
    fail 'the pack does not build'
    finish
fi
output=$(ctest --test-dir "$build" -R '^lab(10[.](s|o|p|m|j).*|01[.](optimized|solution|mistake[.]step-dropped))$' 2>&1)
code=$?
expect 0 '100% tests passed'
for test in lab10.optimized lab01.optimized lab01.solution lab01.mistake.step-dropped; do
    grep -qE " $test \.+\*+Skipped" <<<"$output" || fail "$test is not skipped"
done
for test in lab10.solution lab10.problem lab10.judged lab10.mistake.one-kernel; do
    grep -qE " $test \.+ +Passed" <<<"$output" || fail "$test does not pass"
done

# ---- the command in a pack ----
export PK_LAB_SOURCE=$tree PK_LAB_BUILD=$build
run run 01 --solution
expect_error 'no solution of lab 01 here, as in a course pack'
run list
expect 0 lab05.37 lab10.2
run targets demo
expect 0 lab01_optimized lab10_solution
"$build/bin/lab10_solution" --quick --time-limit=0.05 --json="$fixture/r/lab10.json" >/dev/null 2>&1
if command -v gnuplot >/dev/null; then
    run plot "$fixture/r/lab10.json"
    expect 0 'wrote lab10-speedup.svg'
fi
finish
