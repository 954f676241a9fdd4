# shellcheck shell=sh
# What tests of the programs labNN_text have in common; to be sourced. $program: the one that is tested.
failed=0
errors=$(mktemp) || exit 1
output=$(mktemp) || exit 1
trap 'rm -f "$errors" "$output"' EXIT

# What stood on the standard error, its broken lines joined.
told() { tr -s '\n ' ' ' <"$errors"; }

fail() {
    echo "text_test: $*" >&2
    failed=1
}

# ids ARGUMENTS...: what it prints, and a failure where it ends otherwise than well.
ids() {
    "$program" --print-ids "$@" 2>"$errors"
    code=$?
    [ "$code" -eq 0 ] || cat "$errors" >&2
    return "$code"
}

count() { printf '%s\n' "$1" | tr , '\n' | grep -c .; }

# golden_list FILE prompt|greedy N: the Nth list of that name in a golden file.
golden_list() { sed -n "s/.*\"$2\": *\[\([0-9,]*\)\].*/\1/p" "$1" | sed -n "$3p"; }

# refused MATCH ARGUMENTS...: exit code 2, one line on the standard error that matches, and nothing beside it.
refused() {
    match=$1
    shift
    said=$("$program" "$@" 2>"$errors")
    code=$?
    [ "$code" -eq 2 ] || fail "$*: exit code $code, not 2"
    [ -z "$said" ] || fail "$*: it printed $said"
    told | grep -q "$match" || fail "$*: '$match' was expected: $(cat "$errors")"
}

# What the front end refuses, in every lab.
refusals_of_all() {
    refused "the prompt is empty" --model=tiny --prompt-ids=
    refused "the prompt is empty" --model=tiny
    refused "which model" --prompt-ids=1
    refused "is no token" --model=tiny --prompt-ids=1,,2
    refused "is no token" --model=tiny --prompt-ids=1,-2
    refused "is no token" --model=tiny --prompt-ids=1,
    refused "there is no token 99999999" --model=tiny --prompt-ids=1,99999999
    refused "did you mean --tokens" --model=tiny --prompt-ids=1 --token=3
    refused "tokens" --model=tiny --prompt-ids=1 --tokens=0
    refused "tiny" --model=no-such-model --prompt-ids=1
    refused "no-such-folder" --model=./no-such-folder --prompt-ids=1
    refused "takes no value" --model=tiny --prompt-ids=1 --print-ids=1
    long=$(awk 'BEGIN { for (i = 0; i < 140000; i++) printf "%s1", i ? "," : "" }' | cut -c 1-130000)
    refused "shorten it" --model=tiny --prompt-ids="${long}1"
}

# stopped ARGUMENTS...: a signal once text comes. What came ends with a line, and the figures are of it.
stopped() {
    : >"$output"
    "$program" --model=tiny --prompt-ids=1,2 --tokens=14000 "$@" >"$output" 2>"$errors" &
    running=$!
    while kill -0 "$running" 2>/dev/null && ! [ -s "$output" ]; do sleep 0.02; done
    kill -TERM "$running" 2>/dev/null
    wait "$running"
    code=$?
    [ "$code" -ne 77 ] || return 0 # the device lacks it
    ! told | grep -q "the cache is full" || return 0 # a device that was faster than the signal
    [ "$code" -eq 130 ] || fail "$*: exit code $code, not 130: $(cat "$errors")"
    told | grep -q "came: interrupted" || fail "$*: it does not say that it was interrupted: $(cat "$errors")"
    grep -q "^TTFT [0-9.]* ms" "$errors" || fail "$*: no time to the first token: $(cat "$errors")"
    came=$(told | sed -n 's/.*; \([0-9]*\) came: .*/\1/p')
    commas=$(tr -cd , <"$output" | wc -c)
    [ "$((commas + 1))" = "$came" ] || fail "$*: it says $came tokens, and has written $((commas + 1))"
    [ "$(tail -c 1 "$output" | wc -l)" -eq 1 ] || fail "$*: the last line has no end"
}

# unread ARGUMENTS...: nobody reads on.
unread() {
    : >"$errors"
    "$program" --model=tiny --prompt-ids=1,2 --tokens=14000 "$@" 2>"$errors" | head -c 9 >"$output"
    [ "$(wc -c <"$output")" -eq 9 ] || [ -s "$errors" ] || fail "$* | head: $(cat "$output")"
    ! grep -q "TTFT" "$errors" || fail "$* | head: all tokens were decoded for nobody"
}
