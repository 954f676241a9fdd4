#!/usr/bin/env bash
# ./lab update: fetch and merge a newer version of the labs, and keep what the student wrote. Sourced by ./lab.
: "${root:?}" # of ./lab, as say and die are
in_tree() { git -C "$root" "$@"; }

# The files that students write, of the labs as they are and as they will be: those that a solution has too.
students_files() {
    { in_tree ls-tree -r --name-only HEAD && in_tree ls-tree -r --name-only "$upstream"; } | sort -u |
        sed -n 's|^solutions/\(lab[^/]*/[^/]*[.]cu\)$|labs/\1|p'
}

# steps_into SHIPPED YOURS: the shipped text, with what stands between the fences of each step in yours.
steps_into() {
    awk '
        { id = ""; if (match($0, /lab[0-9.]+/)) id = substr($0, RSTART, RLENGTH) }
        FNR == NR && /\/[*] STEP lab/ { step = id; next }
        FNR == NR && /\/[*] END lab/ { whole[step]; step = ""; next }
        FNR == NR { if (step != "") text[step] = text[step] $0 "\n"; next }
        /\/[*] STEP lab/ { step = id; print; next }
        /\/[*] END lab/ { if (step in whole) printf "%s", text[step]; step = "" }
        !(step in whole)' "$2" "$1"
}

# Puts the student's files back as they were, when the update does not come to its end.
give_up() {
    local file
    in_tree merge --abort 2>/dev/null
    for file in "${mine[@]}"; do cp -p "$kept/$file" "$root/$file"; done
    rm -rf "$kept"
}

# Computes for each of $mine what it is to be: a merge of three, or the new file with the student's steps.
prepare_files() {
    local file base
    base=$(in_tree merge-base HEAD "$upstream")
    for file in "${mine[@]}"; do
        mkdir -p "$kept/${file%/*}"
        cp -p "$root/$file" "$kept/$file"
        cp -p "$root/$file" "$root/$file.bak-$utc"
        in_tree show "$base:$file" >"$kept/base"
        in_tree show "$upstream:$file" >"$kept/shipped"
        if ! git merge-file -p -q "$kept/$file" "$kept/base" "$kept/shipped" >"$kept/$file.new"; then
            steps_into "$kept/shipped" "$kept/$file" >"$kept/$file.new"
            conflicts+=("$file")
        fi
    done
}

# Which of the student's files both sides changed, in $mine; refuses where something else of theirs is in the way.
look_at_changes() {
    local file base changed local_changes in_the_way=()
    base=$(in_tree merge-base HEAD "$upstream") || die "$upstream has no history in common with yours; clone it anew"
    changed=$(in_tree diff --name-only --no-renames "$base" "$upstream")
    while IFS= read -r file; do
        if [[ ! -e $root/$file ]] || ! grep -qxF "$file" <<<"$changed"; then continue; fi
        in_tree diff --quiet "$base" -- "$file" || mine+=("$file")
    done < <(students_files)
    local_changes=$(in_tree diff --name-only HEAD)
    while IFS= read -r file; do
        [[ -z $file || " ${mine[*]} " == *" $file "* ]] || in_the_way+=("$file")
    done < <(grep -xF -f <(printf '%s\n' "$local_changes" | grep .) <<<"$changed")
    ((${#in_the_way[@]} == 0)) ||
        die "these have changes of yours and are new upstream: ${in_the_way[*]}; commit them, or put them aside with git stash, and again"
}

merge_upstream() {
    local file others
    ((${#mine[@]} == 0)) || in_tree checkout -q HEAD -- "${mine[@]}"
    in_tree merge -q --no-edit "$upstream" >"$kept/log" 2>&1 && return
    for file in "${mine[@]}"; do
        in_tree ls-files -u -- "$file" | grep -q . || continue
        in_tree checkout -q --theirs -- "$file" && in_tree add -- "$file"
    done
    others=$(in_tree diff --name-only --diff-filter=U)
    [[ -z $others ]] || die "you and $upstream changed the same lines of: ${others//$'\n'/ }; nothing was changed here. git merge $upstream leaves them to you"
    in_tree commit -q --no-edit >>"$kept/log" 2>&1 ||
        die "git could not merge $upstream: $(head -n 3 "$kept/log" | tr '\n' ' '); nothing was changed here"
}

command_update() {
    local upstream mine=() conflicts=() kept utc file
    (($# <= 1)) || die "update takes one branch: ./lab update origin/main"
    command -v git >/dev/null || die "update needs git: install it"
    in_tree rev-parse -q --verify HEAD >/dev/null 2>&1 || die "$root is no git checkout; download the new version beside it, and copy your files of labs/ over"
    upstream=${1:-$(in_tree rev-parse --abbrev-ref '@{upstream}' 2>/dev/null)}
    [[ -n $upstream ]] || die "this branch follows none; name where the labs come from: ./lab update origin/main"
    [[ $upstream == */* ]] || die "'$upstream' is no branch of a remote: ./lab update origin/main"
    in_tree fetch -q "${upstream%%/*}" || die "${upstream%%/*} could not be fetched; is there a network? git remote -v says where it is"
    in_tree rev-parse -q --verify "$upstream" >/dev/null || die "${upstream%%/*} has no branch ${upstream#*/}; git branch -r lists them"
    if in_tree merge-base --is-ancestor "$upstream" HEAD; then
        say "Nothing is new in $upstream."
        return
    fi
    look_at_changes
    kept=$(mktemp -d) && utc=$(date -u +%Y-%m-%dT%H%M%SZ)
    trap give_up EXIT
    prepare_files
    merge_upstream
    for file in "${mine[@]}"; do cp "$kept/$file.new" "$root/$file"; done
    trap - EXIT
    rm -rf "$kept"
    for file in "${mine[@]}"; do
        if [[ " ${conflicts[*]} " == *" $file "* ]]; then
            say "$file: the new one, with your steps in it. What you changed outside them is in ${file##*/}.bak-$utc"
        else
            say "$file: yours, with what is new around your steps. As it was: ${file##*/}.bak-$utc"
        fi
    done
    say "Merged $upstream. Next: ./lab status"
}
