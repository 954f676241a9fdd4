#!/usr/bin/env bash
# Which steps are open, hints in levels, the solution's steps, and reset.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
file=$PK_LAB_SOURCE/labs/lab01_first/optimized.cu

# ---- status ----
run status
expect 0 '0 of 3' 'none yet' 'Next: step lab01.1' './lab hint 01.1'
expect_width
sed -i 's|    return pk_todo(run, "lab01.1");|    done(run); // pk_todo was here, "pk_todo" too|' "$file"
run status
expect 0 '1 of 3' 'Next: step lab01.2'
[[ $output =~ lab01.1\ +done ]] || fail 'lab01.1 is not done: a remark about pk_todo is no call'
[[ $output =~ lab01.2\ +open ]] || fail 'lab01.2 is not open'
[[ $output =~ lab01.3\ +open ]] || fail 'lab01.3 is not open: its kernel is empty'
cp "$file" "$fixture/before"
sed -i 's|(void)n, (void)blockIdx;|(void)n; y[n] = 1;|' "$file"
run status
[[ $output =~ lab01.3\ +done ]] || fail 'lab01.3 is not done'
cp "$fixture/before" "$file"

# ---- hints ----
run hint 01.1
expect 0 'lab01.1, hint 1 of 3' 'Streams keep order.' 'More: ./lab hint 01.1'
expect_no 'Not a sync'
run hint lab01.1
expect 0 'hint 2 of 3' 'this heading is code' 'Not a sync a step.'
expect_no 'One sync'
run hint 1.1 --level=1
expect 0 'hint 1 of 3'
run hint 01.1
expect 0 'hint 3 of 3' 'One sync a token.' './lab solution 01.1'
expect_no 'Wait where'
run hint 01.1
expect 0 'hint 3 of 3'
[[ $(<"$PK_LAB_SOURCE/.lab-progress") == 'hint lab01.1 3' ]] || fail 'the progress file is not as documented'
run hint 01
expect 0 'lab01.2, hint 1 of 1' 'Wait where?'
run hint 01.1 --level=4
expect_error '--level'
run hint 01.1 --level=many
expect_error '--level'
run hint 01.9
expect_error "no step '01.9'" '01.1 to 01.3'
run hint 02.1
expect_error 'no steps are marked'
rm "$PK_LAB_SOURCE/.lab-progress"
mkdir "$PK_LAB_SOURCE/.lab-progress"
run hint 01.1
expect 2 'Streams keep order.' 'lab: '
rmdir "$PK_LAB_SOURCE/.lab-progress"

# ---- solution ----
run solution 01.2
expect 0 'lab01.2: wait once' 'wait_once(run);' NOTES.md
expect_no launch_in_order
run solution 01
expect 0 launch_in_order wait_once
run solution 01 --diff
expect 0 '+    wait_once(run);' '-    return pk_todo(run, "lab01.2");'
run solution 01.5
expect_error 'no step 01.5'
run solution 02
expect_error 'cannot read'

# ---- reset ----
run reset 01
expect_error 'no git checkout' 'download'
cd "$PK_LAB_SOURCE" || exit 1
cp "$file" "$fixture/student"
sed -i 's|    done(run);.*|    return pk_todo(run, "lab01.1");|' "$file"
cp "$file" "$fixture/shipped"
git init -q . 2>/dev/null
commit() { git add -A && git -c user.name=t -c user.email=t@t commit -qm "$1"; }
commit shipped
run reset 01
expect 0 'as shipped already'
cp "$fixture/student" "$file"
commit "the student's own work" # the newest commit is not what was shipped
run reset 01
expect 0 'Yours is kept as labs/lab01_first/optimized.cu.bak-' 'as shipped again'
cmp -s "$file" "$fixture/shipped" || fail 'the file is not as shipped'
cmp -s "$file".bak-* "$fixture/student" || fail "the student's file is not kept"
finish
