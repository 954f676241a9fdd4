#!/usr/bin/env bash
# The script ./lab: help and names without a build, set-up that installs or says how, builds that fail or are stopped.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
root=$fixture/root
tools=$fixture/tools
mkdir -p "$root/harness/cli" "$root/labs" "$tools"
cp "$repository/lab" "$root/lab"
cp -r "$repository/harness/cli/help" "$root/harness/cli/help"

# The builds below are by the tools of that PATH, whatever the environment wraps around a compiler.
unset CMAKE_C_COMPILER_LAUNCHER CMAKE_CXX_COMPILER_LAUNCHER PK_CPU_CHECK
# The first NAME on PATH, but for a compiler cache that goes by a compiler's name: it would look for the compiler on the
# PATH below.
tool_of() { # NAME
    local path
    while read -r path; do
        [[ $(readlink -f "$path") == */ccache ]] || { echo "$path" && return; }
    done < <(type -aP "$1")
    return 1
}
# A PATH with only what the script itself needs, so that tools can be taken away.
for tool in bash env awk cat cut sed tr grep head tail sort find dirname mkdir sleep nproc stat rm cp make cmake ctest cc \
    c++ ld as ar ranlib uname chmod touch sh readlink flock; do
    path=$(tool_of "$tool") && ln -s "$path" "$tools/$tool"
done
for tool in apt-get sudo; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/apt.log"\ncase "$*" in *sudo*true*) exit 1;; esac\nexit 0\n' \
        "$tool" "$fixture" >"$tools/$tool"
    chmod +x "$tools/$tool"
done
printf '#!/bin/sh\ncase "$*" in *criterion*) exit 100;; esac\n' >"$tools/apt-cache"
chmod +x "$tools/apt-cache"

lab() {
    output=$(PATH=$tools "$root/lab" "$@" 2>&1 </dev/null)
    code=$?
}

# ---- names, without a build ----
lab
expect 0 './lab demo' 'Exit codes'
lab run --help
expect 0 'usage: ./lab run'
lab demo --help
expect 0 'usage: ./lab demo'
lab watch 01 --quick --help
expect 0 'usage: ./lab watch'
# On a narrow terminal: the same words, in lines that it has room for.
if command -v python3 >/dev/null; then
    output=$(python3 - "$root" "$repository/harness/tests" <<'CODE'
import pathlib, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[2])
from on_terminal import on_terminal, too_long
root = pathlib.Path(sys.argv[1])

def shown_in(columns, *words):
    return on_terminal(columns, [root / "lab", *words])[0]

for path in sorted((root / "harness/cli/help").glob("*.txt")):
    shown = shown_in(60, *([] if path.stem == "lab" else [path.stem]), "--help")
    for line in too_long(shown, 60):
        print(f"{path.stem} --help: {line!r} in 60 columns")
    if shown.split() != path.read_text().split():
        print(f"{path.stem} --help: other words in 60 columns")
    if path.stem != "lab" and shown_in(100, path.stem, "--help") != path.read_text():
        print(f"{path.stem} --help: not as it is in 100 columns")
shown = shown_in(40, "hnit")
if too_long(shown, 40) or "did you mean 'hint'" not in " ".join(shown.split()):
    print(f"an error in 40 columns: {shown!r}")
CODE
)
    [[ -z $output ]] || fail 'a narrow terminal'
fi
lab dmeo
expect_error "unknown command 'dmeo'" "did you mean 'demo'"
lab xyzzyxyz
expect_error "unknown command 'xyzzyxyz'"
expect_no 'did you mean'
lab --backend=cuba run 01
expect_error "unknown backend 'cuba'" "did you mean 'cuda'"
lab --backend=cdua run 01
expect_error "unknown backend 'cdua'" "did you mean 'cuda'"
lab --backend=hpi run 01
expect_error "did you mean 'hip'"
lab --nonsense
expect_error "unknown option '--nonsense'"
lab demo now
expect_error "demo takes no 'now'"
[[ ! -e $root/build ]] || fail 'asking for help made a build folder'
[[ ! -e $fixture/apt.log ]] || fail 'asking for help called apt'

# ---- set-up ----
rm "$tools/cmake"
lab --no-install run 01
expect 2 'apt-get update &&' 'apt-get install -y --no-install-recommends cmake' gnuplot-nox 'figures are not drawn' \
    'cannot go on without: cmake'
[[ $(grep -c 'install -y' <<<"$output") == 1 ]] || fail 'more than one line to run'
[[ ! -e $fixture/apt.log ]] || fail '--no-install called apt'
lab run 01 # apt "succeeds" and installs nothing
expect 2 'Installing with apt: cmake' 'cannot go on without: cmake'
output=$(<"$fixture/apt.log")
code=0
expect 0 'install -y --no-install-recommends' cmake
ln -s "$(command -v cmake)" "$tools/cmake"

# ---- builds: a small project with the real one's targets ----
cp "$repository/CMakePresets.json" "$root"
cat >"$root/main.c" <<'CODE'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "targets") && !strcmp(argv[2], "model"))
        return puts("@python") < 0;
    if (argc > 2 && !strcmp(argv[1], "targets")) /* as cmd_targets */
        return strcmp(argv[2], "run") || puts("lab01_optimized") < 0;
    printf("pk-lab");
    for (int i = 1; i < argc; i++)
        printf(" %s", argv[i]);
    if (getenv("PK_CPU_CHECK"))
        printf(" with PK_CPU_CHECK=%s", getenv("PK_CPU_CHECK"));
    printf("\n");
    return getenv("FAKE_CODE") ? atoi(getenv("FAKE_CODE")) : 0;
}
CODE
cat >"$root/CMakeLists.txt" <<'CODE'
cmake_minimum_required(VERSION 3.22)
project(fake LANGUAGES C)
include(CTest)
message(STATUS "Backend: cpu (for a test)")
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
add_executable(pk-lab main.c)
add_library(student STATIC student.c)
add_custom_target(lab01_optimized DEPENDS student)
add_custom_target(lab01_solution)
add_executable(some_test main.c)
add_test(NAME good COMMAND ${CMAKE_COMMAND} -E true)
add_test(NAME perhaps COMMAND ${CMAKE_COMMAND} -E echo)
CODE
echo 'int student;' >"$root/student.c"
mkdir -p "$root/labs/lab01_x"
lab --no-install --backend=cpu run 01 --n=3
expect 0 'pk-lab run 01 --n=3' 'Backend: cpu (for a test)'
[[ -x $root/build/cpu/bin/pk-lab && -s $root/build/cpu/lab-build.log ]] || fail 'no program or no log in build/cpu'
output=$(PK_BACKEND=cpu FAKE_CODE=77 PATH=$tools "$root/lab" run 01 2>&1)
code=$?
expect 77 'pk-lab run 01'
[[ $output == 'pk-lab run 01' ]] || fail 'a build that is up to date is not quiet'

lab --backend=cpu run 01 --help
expect 0 'pk-lab run 01 --help'

# Whoever comes second waits; through a link it is the same; a copy is built anew, and runs its own programs.
# The first has the lock until the second has said that it waits, or for a minute.
: >"$fixture/second"
# shellcheck disable=SC2016 # the inner shell's
flock "$root/build/.lock-cpu" sh -c 'touch "$1/held"; i=0
    while [ $i -lt 1200 ] && ! grep -q waiting "$1/second"; do sleep 0.05; i=$((i + 1)); done' - "$fixture" &
until [[ -e $fixture/held ]]; do sleep 0.02; done
PATH=$tools "$root/lab" --backend=cpu run 01 >"$fixture/second" 2>&1 </dev/null
code=$?
output=$(<"$fixture/second")
expect 0 'Another ./lab builds in build/cpu: waiting for it' 'pk-lab run 01'
ln -s "$root/lab" "$fixture/link"
output=$(PATH=$tools "$fixture/link" --backend=cpu run 01 2>&1)
code=$?
expect 0 'pk-lab run 01'
cp -r "$root" "$fixture/copy"
sed -i 's/"pk-lab"/"pk-lab of the copy"/' "$fixture/copy/main.c"
output=$(PATH=$tools "$fixture/copy/lab" --backend=cpu --no-install run 01 2>&1)
code=$?
expect 0 "build/cpu was built for $root" 'pk-lab of the copy run 01'
rm -r "$fixture/copy"
sed -i 's/"pk-lab"/"newer pk-lab"/' "$root/main.c"
lab --backend=cpu list
expect 0 'newer pk-lab list'
# In a checked build the checks are on, unless they are switched off.
lab --no-install --backend=cpu-checked list
expect 0 'newer pk-lab list with PK_CPU_CHECK=1'
output=$(PK_CPU_CHECK=0 PATH=$tools "$root/lab" --backend=cpu-checked list 2>&1)
code=$?
expect 0 'newer pk-lab list with PK_CPU_CHECK=0'
# cc is for the CPU device, whatever else there is.
output=$(PK_BACKEND='' PATH=$tools "$root/lab" cc a.cu 2>&1)
code=$?
expect 0 'newer pk-lab cc a.cu'
[[ ! -e $root/build/auto ]] || fail 'cc made a build folder of its own'
lab demo --backend=cpu --no-install
expect 0 'newer pk-lab demo' Building
[[ ! -e $root/build/cpu/bin/some_test ]] || fail 'demo builds tests'
lab test --backend=cpu --no-install
expect 0 '100% tests passed' 'out of 2'
[[ -e $root/build/cpu/bin/some_test ]] || fail 'test does not build tests'
lab test --backend=cpu --no-install -R nothing-is-called-so
expect 1
# shellcheck disable=SC2016 # the braces are CMake's
sed -i 's/perhaps COMMAND.*/perhaps COMMAND ${CMAKE_COMMAND} -E false)/' "$root/CMakeLists.txt"
lab test --backend=cpu --no-install
expect 1 'tests failed out of 2' perhaps

# ---- Python packages, for a command that needs them ----
mkdir -p "$root/common/decode/python"
echo gguf >"$root/common/decode/python/requirements.txt"
lab --backend=cpu model get x # no python3, and apt installs nothing
expect 0 'Installing with apt: python3-venv' 'install python3-venv' 'newer pk-lab model get x'
lab --backend=cpu --no-install model get x
expect 0 'build/venv/bin/pip install -r common/decode/python/requirements.txt' 'newer pk-lab model get x'
cat >"$tools/python3" <<'PROGRAM'
#!/usr/bin/env bash
case "$*" in
*find_spec*) [[ -e ${0%/*}/packages ]] ;; # in build/venv/bin
*'import venv'*) [[ -z ${FAKE_NO_VENV-} ]] ;;
*version_info*) [[ -z ${FAKE_OLD-} ]] ;;
*'-m venv'*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python3" ;;
*'-m pip'*install*)
    [[ ${FAKE_PIP-} != slow ]] || { touch "${0%/*}/begun"; exec sleep 78.$FAKE_ID; }
    [[ -z ${FAKE_PIP-} ]] || { echo "$FAKE_PIP"; exit 1; }
    touch "${0%/*}/packages"
    ;;
--version) echo 'Python 3.5.0' ;;
esac
PROGRAM
chmod +x "$tools/python3"
FAKE_NO_VENV=1 lab --backend=cpu model get x
expect 0 'install python3-venv' 'newer pk-lab model get x'
FAKE_OLD=1 lab --backend=cpu model get x
expect 0 'Python 3.5.0 is too old' PK_LAB_PYTHON 'newer pk-lab model get x'
FAKE_PIP=$'WARNING: NewConnectionError("[Errno -2] Name or service not known")\nERROR: No matching' \
    lab --backend=cpu model get x
expect 0 'could not be installed: [Errno -2] Name or service not known; is there a network?' build/lab-python.log \
    'newer pk-lab model get x'
[[ ! -e $root/build/venv ]] || fail 'packages that could not be installed left build/venv'
PK_LAB_PYTHON=mine lab --backend=cpu model get x
[[ $output == 'newer pk-lab model get x' ]] || fail "the user's own Python is not left alone"
export FAKE_ID=$$
set -m
FAKE_PIP=slow PATH=$tools "$root/lab" --backend=cpu model get x >"$fixture/output" 2>&1 </dev/null &
script=$!
set +m
for _ in {1..1200}; do
    [[ -e $root/build/venv/bin/begun ]] && break
    sleep 0.05
done
kill -INT -- "-$script"
wait "$script" 2>/dev/null
code=$?
output=$(<"$fixture/output")
expect 130 interrupted
[[ ! -e $root/build/venv ]] || fail 'an interrupted installation left build/venv'
! pgrep -x -f "sleep 78.$$" >/dev/null || fail 'pip is still running'
lab --backend=cpu model get x
expect 0 'Installing Python packages into build/venv' 'newer pk-lab model get x'
[[ -e $root/build/venv/bin/packages ]] || fail 'no packages in build/venv'
lab --backend=cpu model get x
[[ $output == 'newer pk-lab model get x' ]] || fail 'packages that are there are installed again'

# Errors that a student's file leads to: said with the file's own lines, whatever the compiler makes of them.
mkdir -p "$root/labs/lab01_x"
cat >"$root/labs/lab01_x/header.h" <<'CODE'
template <class T> void launch(T value) { value.nothing(); int unused = nowhere; }
#define PK_CHECK(call) do { call; no_such_name(); } while (0)
CODE
cat >"$root/labs/lab01_x/optimized.cu" <<'CODE'
#include "header.h"
void kernel(int);
void run(int n)
{
    kernel<<<1, n>>>(n);
    launch(n);
    PK_CHECK(kernel(n));
}
CODE
cp "$root/CMakeLists.txt" "$fixture/before"
cat >>"$root/CMakeLists.txt" <<'CODE'
enable_language(CXX)
add_library(cu STATIC labs/lab01_x/optimized.cu)
set_source_files_properties(labs/lab01_x/optimized.cu PROPERTIES LANGUAGE CXX COMPILE_OPTIONS -xc++)
add_dependencies(lab01_optimized cu)
CODE
lab --backend=cpu run 01
expect 2 'the build failed' 'labs/lab01_x/optimized.cu:5: ' '    kernel<<<1, n>>>(n);' \
    'PK_LAUNCH(kernel, grid, block, smem, stream, args...)' 'labs/lab01_x/optimized.cu:6: ' '    launch(n);' \
    'labs/lab01_x/optimized.cu:7: ' 'PK_CHECK(kernel(n));' lab-build.log
expect_no 'instantiation of'
expect_no header.h
expect_width
[[ $(grep -c 'optimized.cu:5:' <<<"$output") == 1 ]] || fail 'one line is said twice'
sed -i -e 's/kernel<<<1, n>>>(n);/kernel(nn);/' -e '/launch(n)/d' -e '/PK_CHECK/d' "$root/labs/lab01_x/optimized.cu"
lab --backend=cpu run 01
expect 2 'labs/lab01_x/optimized.cu:5: ' '    kernel(nn);' 'That is outside the steps' './lab reset 01 optimized.cu'
expect_no PK_LAUNCH
cp "$root/labs/lab01_x/optimized.cu" "$fixture/outside"
sed -i -e '1i/* STEP lab01.3 for one: is over */\n/* END lab01.3 */\n/* STEP lab01.4 for one: launch */' -e '$a/* END lab01.4 */' \
    "$root/labs/lab01_x/optimized.cu"
lab --backend=cpu run 01
expect 2 'labs/lab01_x/optimized.cu:8: in step lab01.4: ' 'Stuck? ./lab hint 01.4' 'mend that and run the command again'
expect_no 'outside the steps'
# What a step leaves incomplete the compiler sees behind it.
for last in 'kernel(n)' 'int k = 1'; do
    printf '%s\n' 'void kernel(int);' 'int run(int n)' '{' '    /* STEP lab01.4 for one: launch */' "    $last" \
        '    /* END lab01.4 */' '    (void)n;' '    return 0;' '}' >"$root/labs/lab01_x/optimized.cu"
    lab --backend=cpu run 01
    expect 2 'labs/lab01_x/optimized.cu:7: behind step lab01.4: ' "    $last" 'Stuck? ./lab hint 01.4'
    expect_no 'outside the steps'
done
expect 2 "The step's last line, 5, may want a semicolon or a bracket:"
cp "$fixture/outside" "$root/labs/lab01_x/optimized.cu"
# A further file is the student's where the solution has one of its name.
cp "$root/labs/lab01_x/optimized.cu" "$root/labs/lab01_x/chain.cu"
sed -i 's/optimized\.cu/chain.cu/' "$root/CMakeLists.txt"
lab --backend=cpu run 01
expect 2 'the first messages'
[[ $output != *$'\n    kernel(nn);'* ]] || fail 'a file of the lab is taken for the student'"'s"
mkdir -p "$root/solutions/lab01_x"
touch "$root/solutions/lab01_x"/{optimized,chain}.cu
lab --backend=cpu run 01
expect 2 'labs/lab01_x/chain.cu:5: ' $'\n    kernel(nn);'
rm -r "$root/solutions"
# A file that is away; one that is a copy of another.
mv "$root/labs/lab01_x/chain.cu" "$root/labs/lab01_x/chian.cu"
lab --backend=cpu run 01
expect 2 'labs/lab01_x/chain.cu is not there' './lab reset 01 chain.cu'
cp "$fixture/before" "$root/CMakeLists.txt"
cat >>"$root/CMakeLists.txt" <<'CODE'
add_custom_target(link COMMAND echo "labs/lab01_x/CMakeFiles/files.c.o: undefined reference to `pk_chain_variants'" COMMAND false VERBATIM)
add_dependencies(lab01_optimized link)
CODE
lab --backend=cpu run 01
expect 2 'labs/lab01_x/chain.cu does not end as it was shipped, in pk_chain_variants:' './lab reset 01 chain.cu'
cp "$fixture/before" "$root/CMakeLists.txt"

# ---- watch ----
cp "$repository/harness/cli/watch.sh" "$root/harness/cli"
lab watch
expect_error "watch needs a lab's number"
lab watch 09
expect_error "unknown lab '09'"
FAKE_CODE=77 lab --backend=cpu watch 1 --once --variant=a
expect 77 'newer pk-lab run 01 --quick --no-timing --variant=a'
expect_no Watching
set -m
PATH=$tools "$root/lab" --backend=cpu --no-install watch 01 >"$fixture/output" 2>&1 </dev/null &
script=$!
set +m
# watched N: until it has run so often and waits again.
watched() {
    for _ in {1..600}; do
        [[ $(grep -c Watching "$fixture/output") -ge $1 ]] && return
        sleep 0.05
    done
    fail "it has not run $1 times"
}
watched 1
echo '// saved' >>"$root/labs/lab01_x/optimized.cu"
watched 2
echo '// no source' >"$root/labs/lab01_x/NOTES.md"
sleep 0.7
kill -INT -- "-$script"
wait "$script" 2>/dev/null
code=$?
output=$(<"$fixture/output")
expect 130 'newer pk-lab run 01 --quick --no-timing' 'Watching labs/lab01_x'
[[ $(grep -c 'pk-lab run' "$fixture/output") == 2 ]] || fail 'it did not run once for each save'

# A file of the student's that does not compile stops what needs it, and nothing else.
echo 'int student = oops;' >"$root/student.c"
lab --backend=cpu run 01
expect 2 'the build failed' oops 'lab-build.log'
lab --backend=cpu hint 01.1
expect 0 'newer pk-lab hint 01.1'

# A semicolon that is missing ahead of a macro: the compiler names what the macro begins with, ./lab the line. (Clang
# names the line by itself.)
printf '%s\n' 'void student(void) {' '    int i = 0 // for one' '' '    /* a macro' $'       begins */\n\t\tPK_CHECK(i);' '}' \
    >"$root/labs/lab01_x/optimized.cu"
printf '%s\n' '#define PK_CHECK(x) do { x; } while (0)' "#line 1 \"$root/labs/lab01_x/optimized.cu\"" >"$root/student.c"
cat "$root/labs/lab01_x/optimized.cu" >>"$root/student.c"
lab --backend=cpu run 01
if [[ $output != *'labs/lab01_x/optimized.cu:2:'* ]]; then
    expect 2 'labs/lab01_x/optimized.cu:6: expected' 'A semicolon is missing above it, at the end of line 2:' 'int i = 0'
fi
# Where no macro follows, it is the line that is named; of a line above it, which may end without one, nothing is said.
printf '%s\n' 'void student(int i) {' '    for (; i < 9; i++)' $'\t\ti += 2 /* two */' '    i++;' '}' \
    >"$root/labs/lab01_x/optimized.cu"
echo "#line 1 \"$root/labs/lab01_x/optimized.cu\"" | cat - "$root/labs/lab01_x/optimized.cu" >"$root/student.c"
lab --backend=cpu run 01
expect 2 'labs/lab01_x/optimized.cu:3: expected' 'i += 2 /* two */'
expect_no 'missing above it'
[[ $output != *before* ]] || expect 2 'The semicolon is missing at the end of that line.'

# Ctrl-C while it builds: the compiler goes too.
echo 'add_custom_command(TARGET pk-lab PRE_LINK COMMAND sh -c "touch started; exec sleep 77.'"$$"'" VERBATIM)' >>"$root/CMakeLists.txt"
touch "$root/main.c"
set -m
PATH=$tools "$root/lab" --backend=cpu list >"$fixture/output" 2>&1 </dev/null &
script=$!
set +m
for _ in {1..1200}; do
    [[ -e $root/build/cpu/started ]] && break
    sleep 0.05
done
[[ -e $root/build/cpu/started ]] || fail 'the slow build did not begin'
kill -INT -- "-$script"
wait "$script" 2>/dev/null
code=$?
output=$(<"$fixture/output")
expect 130 interrupted
for _ in {1..600}; do
    pgrep -x -f "sleep 77.$$" >/dev/null || break
    sleep 0.05
done
! pgrep -x -f "sleep 77.$$" >/dev/null || fail 'the build is still running'
finish
