#!/bin/sh
# Tests of lab04_text: text_test.sh PROGRAM ways|refusals|stops, or text_test.sh PROGRAM golden FILE MODELS. Exit code
# 77: there is no device, or no such model.
set -u
program=$1
# shellcheck source=../../common/decode/tests/prompt_tests.sh
. "$(dirname "$0")/../../common/decode/tests/prompt_tests.sh"

# The same ids whatever the way; with the rehearsal before and without.
ways() {
    for form in fused unfused; do
        for draw in --top-k=1 "--top-k=8 --seed=3"; do
            # shellcheck disable=SC2086 # two words
            set -- --model=tiny --prompt-ids=1,2,3,4,5 --tokens=24 --form=$form $draw
            want=$(ids "$@" --graph=0)
            code=$?
            [ "$code" -ne 77 ] || exit 77
            [ "$(count "$want")" -eq 24 ] || told | grep -q "the model ended the text" ||
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

refusals() {
    refusals_of_all
    refused "is none of capture, resident, while" --model=tiny --prompt-ids=1 --variant=loop
}

stops() {
    for way in --variant=resident --variant=capture --variant=while --graph=0; do
        stopped "$way"
        unread "$way"
    done
}

# The first prompt of the golden file, and 16 tokens that transformers chose after it.
golden() {
    file=$1
    model=$2/smollm2-135m
    [ -f "$model/config.json" ] || exit 77
    prompt=$(golden_list "$file" prompt 1)
    want=$(golden_list "$file" greedy 1 | cut -d , -f 1-16)
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
