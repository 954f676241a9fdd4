#!/usr/bin/env bash
# `./lab pack`: the archive that a course hands out, of the committed files. Sourced by ./lab.
: "${root:?}" # of ./lab, as say, warn and die are

# What gives an answer away: solutions with their notes, and programs that are right but for one planted mistake.
readonly left_out_of_packs=(':(exclude)solutions' ':(exclude)labs/*/mistakes*.cu')

git_here() { git -c safe.directory="$root" -C "$root" "$@"; }

# filled_in_steps COMMIT FILE: steps of the file that hold more than they have as shipped.
filled_in_steps() {
    git_here show "$1:$2" | awk '
        match($0, /STEP lab[0-9][0-9]\.[0-9]+/) { step = substr($0, RSTART + 5, RLENGTH - 5); next }
        /END lab[0-9][0-9]\.[0-9]+/ { step = ""; next }
        step != "" && !/^[ \t]*(return pk_todo\(run, "[^"]*"\);|\(void\)[^;]*;( *\/\/.*)?|\/\/.*|\/\*.*\*\/)?[ \t]*$/ {
            if (!(step in said)) print step
            said[step]
        }'
}

# Refuses a commit whose student's files are solved: an archive without solutions would hold them all the same.
check_open() {
    local file steps
    while IFS= read -r file; do
        steps=$(filled_in_steps "$1" "$file" | paste -sd' ')
        [[ -z $steps ]] || die "$file of $1 has filled in ${steps// /, }: students would get that. Commit the file as it is \
shipped (./lab reset ${file:8:2}), or name a commit that has it: --commit=REV"
    done < <(git_here ls-tree -r --name-only "$1" -- labs | grep -E '^labs/lab[0-9]{2}_[^/]*/[^/]*\.cu$')
}

say_changes() {
    local changed
    changed=$(git_here status --porcelain --untracked-files=no | wc -l)
    ((changed == 0)) || warn "$changed files have changes that are not committed: the pack has the committed ones"
}

command_pack() {
    local argument out='' commit=HEAD name what=(.) whole=yes format made
    for argument in "$@"; do
        case $argument in
        --without-solutions) whole=no ;;
        --out=?*) out=${argument#*=} ;;
        --commit=?*) commit=${argument#*=} ;;
        --out | --out= | --commit | --commit=) die "${argument%=} needs a value: ${argument%=}=VALUE" ;;
        *) die "pack takes no '$argument'; see ./lab pack --help" ;;
        esac
    done
    git_here rev-parse --git-dir >/dev/null 2>&1 ||
        die "pack takes what is committed, and $root is no git checkout: git init, git add, git commit there first"
    name=$(git_here rev-parse --short --verify --quiet "$commit^{commit}") || die "there is no commit '$commit'; see git log"
    if [[ $whole == no ]]; then
        what+=("${left_out_of_packs[@]}")
        check_open "$commit"
    fi
    [[ $commit != HEAD ]] || say_changes
    out=${out:-pk-labs-$name.tar.gz}
    case $out in
    *.tar.gz | *.tgz) format=tar.gz ;;
    *.tar) format=tar ;;
    *.zip) format=zip ;;
    *) die "$out ends in none of .tar.gz, .tgz, .tar and .zip, which say what kind of archive it is to be" ;;
    esac
    made=$(mktemp "$(dirname "$out")/.pk-pack-XXXXXX" 2>/dev/null) || die "cannot write in $(dirname "$out"); name another: --out=FILE"
    # shellcheck disable=SC2064 # the name as it is now
    trap "rm -f '$made'; exit 130" INT TERM HUP
    if ! git_here archive --format="$format" --prefix=pk-labs/ "$commit" -- "${what[@]}" >"$made" ||
        ! chmod "$(printf '%o' $((0666 & ~$(umask))))" "$made" || ! mv "$made" "$out"; then
        rm -f "$made"
        die "the archive could not be written"
    fi
    trap - INT TERM HUP
    say "$out: commit $name, $(du -h "$out" | cut -f1)$([[ $whole == yes ]] || echo ', without solutions, notes and planted mistakes')"
}
