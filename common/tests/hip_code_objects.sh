#!/usr/bin/env bash
# hip_code_objects.sh BUNDLER PROGRAM ARCHITECTURE...: list the AMD code objects in a program and their kernels. Fails
# when one of the bundles lacks an architecture, or holds no kernel for it.
#
# The section .hip_fatbin holds one bundle for each source file that has kernels, one after the other; a bundle holds
# one ELF file for each architecture; a kernel K has the symbol K.kd, its descriptor.
set -uo pipefail

bundler=$1 program=$2
shift 2
readonly magic=__CLANG_OFFLOAD_BUNDLE__

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}

objcopy -O binary --only-section=.hip_fatbin "$program" "$folder/all" || fail "objcopy cannot read $program"
[[ -s $folder/all ]] || fail "$program has no section .hip_fatbin: it was not compiled as HIP"
mapfile -t starts < <(LC_ALL=C grep -abo "$magic" "$folder/all" | cut -d: -f1)
((${#starts[@]})) || fail "the section .hip_fatbin of $program holds no bundle"

# kernels FILE: the names of the kernels in a code object
kernels() {
    readelf --wide --symbols "$1" | awk '$4 == "OBJECT" && sub(/\.kd$/, "", $8) { print $8 }' | sort -u
}

size=$(stat -c %s "$folder/all")
for i in "${!starts[@]}"; do
    end=${starts[i + 1]:-$size}
    tail -c "+$((starts[i] + 1))" "$folder/all" | head -c "$((end - starts[i]))" >"$folder/bundle"
    targets=$("$bundler" --list --type=o --input="$folder/bundle") || fail "$bundler cannot list bundle $i"
    for architecture in "$@"; do
        # A target may name features after the architecture: hipv4-amdgcn-amd-amdhsa--gfx90a:xnack+
        target=$(grep -m1 -E -- "--$architecture(:|\$)" <<<"$targets") ||
            fail "bundle $i has no code for $architecture; it has: ${targets//$'\n'/ }"
        "$bundler" --unbundle --type=o --targets="$target" --input="$folder/bundle" --output="$folder/object" ||
            fail "$bundler cannot take $target out of bundle $i"
        names=$(kernels "$folder/object")
        [[ -n $names ]] || fail "bundle $i has no kernel for $architecture"
        echo "bundle $i, $architecture: $(wc -l <<<"$names") kernels: ${names//$'\n'/ }"
    done
done
