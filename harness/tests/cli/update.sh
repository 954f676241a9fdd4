#!/usr/bin/env bash
# ./lab update in two scratch repositories: what the student wrote stays, whatever came from upstream.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
upstream=$fixture/upstream
student=$fixture/student
file=labs/lab01_first/optimized.cu
export GIT_CONFIG_GLOBAL=$fixture/gitconfig GIT_CONFIG_NOSYSTEM=1
printf '[user]\nname = t\nemail = t@t\n[init]\ndefaultBranch = main\n[advice]\ndetachedHead = false\n' >"$GIT_CONFIG_GLOBAL"
command -v git >/dev/null || exit 77

mkdir -p "$upstream/harness/cli"
cp "$repository/lab" "$upstream"
cp -r "$repository/harness/cli"/{help,update.sh} "$upstream/harness/cli"
cp -r "$PK_LAB_SOURCE"/{labs,solutions} "$upstream"
printf '*.bak-*\n' >"$upstream/.gitignore"
git init -q "$upstream"
git -C "$upstream" add -A
git -C "$upstream" commit -qm shipped
git clone -q "$upstream" "$fixture/clone"

# fresh: the student's repository anew, and upstream as it was.
fresh() {
    rm -rf "$student"
    cp -r "$fixture/clone" "$student"
    git -C "$upstream" reset -q --hard "$(git -C "$fixture/clone" rev-parse HEAD)"
}

# upstream_edits FILE SED: a commit upstream.
upstream_edits() {
    sed -i "$2" "$upstream/$1"
    git -C "$upstream" commit -qam "edit $1"
}

update() {
    output=$("$student/lab" update "$@" 2>&1 </dev/null)
    code=$?
    expect_width
}

fill_in='s|return pk_todo(run, "lab01.1");|mine(run);|'
text_of() { tr -s '\n ' ' ' <"$student/$file"; }

# has TEXT...: the student's file does.
has() {
    local text
    for text in "$@"; do [[ $(text_of) == *"$text"* ]] || fail "the file has no '$text': $(text_of)"; done
    ! grep -q '^<<<<<<<' "$student/$file" || fail 'the file has conflict marks'
}

fresh
update
expect 0 'Nothing is new in origin/main'

# Another part of the file is new: by git's own merge; committed or not.
for commits in no yes; do
    fresh
    sed -i "$fill_in" "$student/$file"
    cp "$student/$file" "$fixture/yours"
    [[ $commits == no ]] || git -C "$student" commit -qam mine
    upstream_edits "$file" 's|in a kernel|in the kernel|'
    update
    expect 0 "$file: yours, with what is new around your steps" 'Next: ./lab status'
    has 'mine(run);' 'in the kernel'
    cmp -s "$student/$file".bak-* "$fixture/yours" || fail 'the file as it was is not kept'
done

# The very step's fence is new: the student's lines go into the new one; and what is committed stays in the history.
for commits in no yes; do
    fresh
    sed -i -e "$fill_in" -e 's|(void)kernel; /.*|(void)kernel, changed();|' "$student/$file"
    cp "$student/$file" "$fixture/yours"
    [[ $commits == no ]] || git -C "$student" commit -qam mine
    upstream_edits "$file" 's|launch in order (about 2 lines)|launch them in order|;s|return pk_todo(run, "lab01.1");|return pk_todo(run, "lab01.1"); /* new */|'
    upstream_edits labs/lab01_first/README.md 's|First|The first|'
    update
    expect 0 "$file: the new one, with your steps in it"
    has 'STEP lab01.1 for stream: launch them in order */ mine(run); /* END lab01.1 */' 'return pk_todo(run, "lab01.2");'
    cmp -s "$student/$file".bak-* "$fixture/yours" || fail 'the file as it was is not kept'
    grep -q 'The first' "$student/labs/lab01_first/README.md" || fail 'the page is not new'
    git -C "$student" merge-base --is-ancestor origin/main HEAD || fail 'nothing was merged'
    update
    expect 0 'Nothing is new'
done

# What is no student's file and in the way: nothing changes.
fresh
sed -i "$fill_in" "$student/$file"
cp "$student/$file" "$fixture/yours"
echo mine >>"$student/labs/lab01_first/HINTS.md"
upstream_edits labs/lab01_first/HINTS.md 's|Streams|All streams|'
upstream_edits "$file" 's|launch in order|launch|'
update
expect 2 'are new upstream: labs/lab01_first/HINTS.md' 'git stash'
cmp -s "$student/$file" "$fixture/yours" || fail "the student's file changed"
git -C "$student" commit -qam 'the same lines'
git -C "$upstream" reset -q --hard "$(git -C "$fixture/clone" rev-parse HEAD)"
echo other >>"$upstream/labs/lab01_first/HINTS.md"
git -C "$upstream" commit -qam other
sed -i 's|wait once|wait|' "$upstream/$file"
git -C "$upstream" commit -qam wait
sed -i 's|mine(run)|mine(run, 2)|' "$student/$file"
cp "$student/$file" "$fixture/yours"
update
expect 2 'you and origin/main changed the same lines of: labs/lab01_first/HINTS.md' 'nothing was changed here'
cmp -s "$student/$file" "$fixture/yours" || fail "the student's file changed"
[[ ! -e $student/.git/MERGE_HEAD ]] || fail 'a merge is under way'

update nothing
expect_error "'nothing' is no branch of a remote"
update origin/none
expect_error 'has no branch none'
git -C "$student" remote set-url origin "$fixture/gone"
update
expect 2 'origin could not be fetched'
update a b
expect_error 'takes one branch'
rm -rf "$student/.git"
update
expect_error 'is no git checkout'
finish
