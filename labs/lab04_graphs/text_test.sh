#!/bin/sh
# Tests of lab04_text: text_test.sh PROGRAM ways|refusals|stops, or text_test.sh PROGRAM golden FILE MODELS. Exit code 77: there is
# no device, or no such model.
set -u
program=$1
failed=0
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT
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

# The same ids whatever the way; with the rehearsal before and without.
ways() {
    for form in fused unfused; do
        for draw in --top-k=1 "--top-k=8 --seed=3"; do
            # shellcheck disable=SC2086 # two words
            set -- --model=tiny --prompt-ids=1,2,3,4,5 --tokens=24 --form=$form $draw
            want=$(ids "$@" --graph=0)
            code=$?
            [ "$code" -ne 77 ] || exit 77
            commas=$(printf %s "$want" | tr -cd , | wc -c)
            [ "$commas" -eq 23 ] || told | grep -q "the model ended the text" ||
                fail "$*: 24 tokens were asked for: $want"
            for way in --graph=1 --variant=capture --variant=while --parity=1; do
                got=$(ids "$@" "$way")
                code=$?
                [ "$code" -ne 77 ] || continue # the device lacks it
                [ "$got" = "$want" ] || fail "$* $way: $got, and by launches $want"
                told | grep -q "decode by .*graph" || fail "$* $way: no graph was used"
            done
        done
    done
    PK_GRAPH=0 "$program" --model=tiny --prompt-ids=1 --tokens=2 2>&1 | grep -q "kernel by kernel" ||
        fail "PK_GRAPH=0 was not heeded"
}

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

refusals() {
    refused "the prompt is empty" --model=tiny --prompt-ids=
    refused "the prompt is empty" --model=tiny
    refused "which model" --prompt-ids=1
    refused "is no token" --model=tiny --prompt-ids=1,,2
    refused "is no token" --model=tiny --prompt-ids=1,-2
    refused "is no token" --model=tiny --prompt-ids=1,
    refused "there is no token 99999999" --model=tiny --prompt-ids=1,99999999
    refused "did you mean --tokens" --model=tiny --prompt-ids=1 --token=3
    refused "is none of capture, resident, while" --model=tiny --prompt-ids=1 --variant=loop
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

# By a signal, and because nobody reads on.
stops() {
    output=$(mktemp) || exit 1
    trap 'rm -f "$errors" "$output"' EXIT
    for way in --variant=resident --variant=capture --variant=while --graph=0; do
        stopped "$way"
        : >"$errors"
        "$program" --model=tiny --prompt-ids=1,2 --tokens=14000 "$way" 2>"$errors" | head -c 9 >"$output"
        [ "$(wc -c <"$output")" -eq 9 ] || [ -s "$errors" ] || fail "$way | head: $(cat "$output")"
        ! grep -q "TTFT" "$errors" || fail "$way | head: all tokens were decoded for nobody"
    done
}

# The first prompt of the golden file, and 16 tokens that transformers chose after it.
golden() {
    file=$1
    model=$2/smollm2-135m
    [ -f "$model/config.json" ] || exit 77
    prompt=$(sed -n 's/.*"prompt": *\[\([0-9,]*\)\].*/\1/p' "$file" | head -n 1)
    want=$(sed -n 's/.*"greedy": *\[\([0-9,]*\)\].*/\1/p' "$file" | head -n 1 | cut -d , -f 1-16)
    if [ -z "$prompt" ] || [ -z "$want" ]; then
        fail "$file has no prompt"
    fi
    got=$(ids --model="$model" --prompt-ids="$prompt" --tokens=16)
    [ "$got" = "$want" ] || fail "$got, and transformers chose $want"
    text=$("$program" --model="$model" --prompt-ids="$prompt" --tokens=4 2>"$errors")
    [ "$text" = " 9, " ] || fail "text '$text' where ' 9, ' follows"
}

case $2 in
ways) ways ;;
refusals) refusals ;;
stops) stops ;;
golden) golden "$3" "$4" ;;
*) fail "no tests '$2'" ;;
esac
exit "$failed"
