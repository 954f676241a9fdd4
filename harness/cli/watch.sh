#!/usr/bin/env bash
# ./lab watch: build and run a lab again whenever one of its files is saved. Sourced by ./lab, whose names it uses.
: "${root:?}" "${backend:?}" "${may_install:?}" # of ./lab, as say and die are
# lab_folder WORD: labs/labNN_name of "4", "04", "lab04" or its whole name.
lab_folder() {
    local word=${1#lab} folder
    [[ $word =~ ^[0-9]$ ]] && word=0$word
    for folder in "$root"/labs/lab[0-9][0-9]_*; do
        [[ ${folder##*/} == "lab$word" || ${folder##*/} == "lab${word}_"* ]] || continue
        printf '%s\n' "$folder"
        return
    done
    return 1
}

# What is looked at: names, times and sizes of the lab's sources. Polled, as a network folder tells of no changes.
sources_now() { find "$1" -maxdepth 1 -type f \( -name '*.cu' -o -name '*.cuh' -o -name '*.[ch]' \) -printf '%p %T@ %s\n'; }

newest_result() { find "$root/results" -path "$root/results/2*/$1.json" 2>/dev/null | sort | tail -n 1; }

# One run; its results go to the folder of the watch's first one, so that a hundred saves leave one.
watched_run() {
    local id=$1 before code places=()
    shift
    before=$(newest_result "$id")
    [[ -z $watch_json ]] || places=("--json=$watch_json" "--csv=${watch_json%.json}.csv")
    "$root/lab" "--backend=$backend" "${install_option[@]}" run "${id#lab}" --quick --no-timing "$@" "${places[@]}"
    code=$?
    [[ -n $watch_json || $(newest_result "$id") == "$before" ]] || watch_json=$(newest_result "$id")
    return "$code"
}

command_watch() {
    local argument once=no arguments=() folder id code seen watch_json='' install_option=()
    for argument in "$@"; do
        if [[ $argument == --once ]]; then once=yes; else arguments+=("$argument"); fi
    done
    [[ -n ${arguments[0]-} && ${arguments[0]} != -* ]] || die "watch needs a lab's number first: ./lab watch 04"
    folder=$(lab_folder "${arguments[0]}") || die "unknown lab '${arguments[0]}'; see ./lab list"
    id=${folder##*/} id=${id%%_*}
    [[ $may_install == yes ]] || install_option=(--no-install)
    trap 'exit 130' INT TERM HUP
    while :; do
        seen=$(sources_now "$folder")
        watched_run "$id" "${arguments[@]:1}"
        code=$?
        [[ $once == no && $code != 130 ]] || exit "$code"
        say "Watching ${folder#"$root"/}: the next save runs this again; Ctrl-C ends it"
        while [[ $(sources_now "$folder") == "$seen" ]]; do sleep 0.3; done
        say ''
    done
}
