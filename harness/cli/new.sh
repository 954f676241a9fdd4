#!/usr/bin/env bash
# `./lab new NN name`: a lab from the template, in a tree that has none of its number. Sourced by ./lab.
: "${root:?}" # of ./lab, as say, warn and die are

# from_template TEMPLATE FOLDER: the template's files in the folder, with the lab's number, name and title in them and in
# their names.
from_template() {
    local file
    mkdir -p "$2" || return 1
    for file in "$1"/*; do
        sed -e "s/labNN/lab$number/g; s/LABNN/LAB$number/g; s/@NN@/$number/g; s/@TITLE@/$title/g" "$file" \
            >"$2/$(basename "${file/labNN/lab$number}")" || return 1
    done
}

# with_subdirectory FILE: its text with one more line behind the last lab's.
with_subdirectory() {
    awk -v line="add_subdirectory(labs/$lab)" '
        { text[NR] = $0 }
        /^add_subdirectory\(labs\/lab/ { last = NR }
        END { for (i = 1; i <= NR; i++) { print text[i]; if (i == last) print line } exit !last }' "$1"
}

# What an editor needs to know of the solution: where its headers are.
tell_editors() {
    local flags=$root/solutions/compile_flags.txt
    [[ ! -e $flags ]] || echo "-I../labs/$lab" >>"$flags"
}

# Nothing of a lab that could not be made whole stays.
drop_new() {
    rm -rf "$made"
    if [[ $placed == yes ]]; then
        rm -rf "$root/labs/$lab" "$root/solutions/$lab" "$root/plots/lab$number"-*.gp
        [[ ! -e $root/solutions/compile_flags.txt ]] || sed -i "\\|^-I../labs/$lab\$|d" "$root/solutions/compile_flags.txt"
    fi
}

make_new() {
    local template=$root/harness/cli/template
    from_template "$template/lab" "$made/lab" && from_template "$template/solution" "$made/solution" &&
        from_template "$template/plots" "$made/plots" && with_subdirectory "$root/CMakeLists.txt" >"$made/CMakeLists.txt" ||
        return 1
    placed=yes
    mkdir -p "$root/solutions" && mv "$made/lab" "$root/labs/$lab" && mv "$made/solution" "$root/solutions/$lab" &&
        tell_editors && mv "$made"/plots/* "$root/plots/" && mv "$made/CMakeLists.txt" "$root/CMakeLists.txt"
}

command_new() {
    local number=${1-} name=${2-} lab title made placed=no taken
    (($# == 2)) || die "new needs a number and a name: ./lab new 10 my_lab"
    [[ $number =~ ^[0-9]{1,2}$ ]] || die "'$number' is no lab's number: two digits, such as 10"
    number=$(printf '%02d' "$((10#$number))")
    [[ $number != 00 ]] || die "'00' is no lab's number: they begin at 01"
    [[ $name =~ ^[a-z][a-z0-9_]*$ ]] || die "'$name' is no lab's name: small letters, digits and _, a letter first"
    for taken in "$root/labs/lab$number"_* "$root/solutions/lab$number"_* "$root/plots/lab$number"-*; do
        [[ ! -e $taken ]] || die "lab $number is there already: ${taken#"$root"/}; take another number"
    done
    lab=lab${number}_$name
    title=${name//_/ }
    title=${title^}
    made=$(mktemp -d "$root/labs/.new-XXXXXX") || die "cannot write in $root/labs; check its permissions"
    trap 'drop_new; exit 130' INT TERM HUP
    if ! make_new; then
        drop_new
        die "lab $number could not be made; nothing of it is left"
    fi
    rmdir "$made/plots" "$made"
    trap - INT TERM HUP
    say "labs/$lab, solutions/$lab, plots/lab$number-speedup.gp and a line in CMakeLists.txt are made."
    say "It builds and passes as it is: ./lab test -L lab$number, ./lab run $number --solution, ./lab plot"
    say "Next: docs/adding-a-lab.md says what to change, from problem.c on"
}
