#!/usr/bin/env bash
# For the tests of Ctrl-C, which source it: until_sign SIGN PROGRAM ARGUMENT... starts a program, its output into
# "$folder"/out and err, and returns when a line of err matches SIGN, or it has ended. Sets `program`, its process.
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

until_sign() {
    local sign=$1
    shift
    set -m # or the program would begin with Ctrl-C ignored
    "$@" >"$folder/out" 2>"$folder/err" </dev/null &
    program=$!
    set +m
    until grep -q "$sign" "$folder/err" || ! kill -0 "$program" 2>/dev/null; do
        sleep 0.02
    done
}
