# shellcheck shell=bash
# Checks models with spin (https://spinroot.com): for the check.sh of a lab's models, which sets `models`, their folder,
# and reads this. The right ones in every order of accesses that there is, then with one mistake planted at a time, each of
# which must be caught as what it is. Exit code 77: no spin.
#
#   start right MODEL [DEFINE...]                   a run beside others; likewise right_and_all_used, ends,
#   start caught MODEL MISTAKE ERROR [DEFINE...]    and with a mistake
#   finish                                          0 when all came to what was demanded
set -u
: "${models:?the check.sh of a lab sets it}"
readonly most_mib=1200 deepest=20000 # memory of a run, and accesses on the longest way
failures=0 running=0

skip() {
    echo "skipped: $1"
    exit 77
}

command -v spin >/dev/null || skip "spin is not installed: apt-get install spin"
command -v gcc >/dev/null || skip "spin needs gcc to read its models: apt-get install gcc"
available_kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2>/dev/null)
((${available_kib:-$((most_mib * 1024))} >= most_mib * 1024)) ||
    skip "only $((available_kib / 1024)) MiB of memory are free, of $most_mib"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/one" && cd "$work/one" || exit 1
at_once=1
(($(nproc) < 2 || ${available_kib:-0} < 2 * most_mib * 1024)) || at_once=2

# ---- one run ----

fail() {
    printf '%-52s FAILED: %s\n' "$what" "$1"
    grep -v -e '^$' -e '^hint' pan.log | head -n 40
    [[ ! -e $model.trail ]] || spin -t -k "$model.trail" -p -g "${defines[@]}" "$models/$model" | tail -n 100
    failures=$((failures + 1))
}

pass() { printf '%-52s %s\n' "$what" "$1"; }

# start CASE...: in a folder of its own, beside another; what it says comes out when it has ended. finish: all have.
start() {
    ((running < at_once)) || { wait -n; running=$((running - 1)); }
    started=$((${started:-0} + 1))
    (
        mkdir "$work/$started" && cd "$work/$started" || exit 1
        "$@" >said 2>&1
        cat said
        ((failures == 0)) || : >"$work/failed"
        rm -rf "${work:?}/$started"
    ) &
    running=$((running + 1))
}
finish() {
    wait
    [[ ! -e $work/failed ]]
}

# search "CC OPTIONS" "PAN OPTIONS" MODEL [DEFINE...]: all that the model can do, in pan.log.
search() {
    local compile run define
    read -ra compile <<<"$1"
    read -ra run <<<"$2"
    model=$3.pml what="$3 ${*:4}" defines=()
    for define in "${@:4}"; do defines+=("-D$define"); done
    if ! spin -a "${defines[@]}" "$models/$model" >pan.log 2>&1 ||
        ! gcc -w "${compile[@]}" -DNOFAIR -DMEMLIM=$most_mib -o pan pan.c >>pan.log 2>&1; then
        fail "the model does not compile"
        return 1
    fi
    ./pan -m$deepest "${run[@]}" >pan.log 2>&1
}

states() { sed -n 's/^ *\([0-9]*\) states, stored.*/\1 states/p' pan.log; }

# searched_all: it came to its end, found nothing, and left out nothing.
searched_all() {
    if ! grep -q 'errors: 0$' pan.log; then
        fail "$(sed -n 's/^pan:1: //p' pan.log)"
    elif grep -qE 'max search depth|Search not completed|out of memory|reached -DMEMLIM' pan.log; then
        fail "not all was searched"
    else
        return 0
    fi
    return 1
}

# ---- what is demanded ----

# right MODEL [DEFINE...]: no assertion fails, and no run stops before all have ended.
right() {
    search "-O1 -DSAFETY" -w23 "$@" && searched_all && pass "right: $(states)"
}

# right_and_all_used: and every statement is reached; other_lane waits for ever.
right_and_all_used() {
    right "$@" || return
    ! grep -E '\.pml:[0-9]+, state' pan.log | grep -qv '"-end-"$' || fail "statements that are never reached"
}

# ends MODEL [DEFINE...]: there is no cycle, so that every run ends. With `right`: all have ended then.
ends() {
    search "-O1 -DNP" "-l -w22" "$@" && searched_all && pass "every run ends: $(states)"
}

# caught MODEL MISTAKE ERROR [DEFINE...]: planted, it is found as this error.
caught() {
    local error=$3
    search "-O0 -DSAFETY" -w22 "$1" "$2" "${@:4}" || return
    if grep -q 'errors: 0$' pan.log; then
        fail "not caught"
    elif ! grep '^pan:1: ' pan.log | grep -qF "$error"; then
        fail "caught as something else than '$error'"
    else
        pass "caught: $error"
    fi
}

# With arguments, check.sh MODEL [DEFINE...]: one model, is it right?
if (($# > 0)); then
    right "$@"
    exit $((failures > 0))
fi
