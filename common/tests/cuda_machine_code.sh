#!/usr/bin/env bash
# cuda_machine_code.sh CUOBJDUMP PROGRAM ENTRY...: list what a CUDA program holds and fail when an ENTRY is not in it:
# sm_80 is machine code, compute_90 is PTX. With no cuobjdump (its argument is then empty or ends in NOTFOUND) the
# section .nv_fatbin is read directly; a layout that is not known is a skip (exit 77), with that reason.
set -uo pipefail

cuobjdump=$1 program=$2
shift 2
section=$(mktemp) || exit 1
trap 'rm -f "$section"' EXIT

# One line an entry. cuobjdump lists files by the architecture in their name: t.3.sm_90.cubin, t.3.sm_90.ptx.
list_by_cuobjdump() {
    "$cuobjdump" --list-elf "$program" | sed -n 's/.*\.\(sm_[0-9a-z]*\)\.cubin$/\1/p'
    "$cuobjdump" --list-ptx "$program" | sed -n 's/.*\.sm_\([0-9a-z]*\)\.ptx$/compute_\1/p'
}

# The section holds containers, in 32-bit words: magic 0xBA55ED50; header size in the upper half of the next word; two
# words of size. In each, entries: kind (1 PTX, 2 machine code) in the lower half of word 0; sizes of header and of
# content in words 1 and 2; architecture in word 7. NVIDIA does not document this: what does not fit is not guessed.
list_by_section() {
    objcopy -O binary --only-section=.nv_fatbin "$program" "$section" || return
    od -An -v -t u4 -w4 "$section" | awk '
        { word[NR - 1] = $1 }
        END {
            at = 0 # a number: an unset variable is an empty text as an index
            while (at < NR) {
                if (word[at] != 3126193488) { at++; continue }
                entry = at + int(word[at + 1] / 65536) / 4
                end = entry + word[at + 2] / 4
                while (entry < end) {
                    kind = word[entry] % 65536
                    if (kind != 1 && kind != 2) exit
                    print (kind == 1 ? "compute_" : "sm_") word[entry + 7]
                    step = (word[entry + 1] + word[entry + 2]) / 4
                    if (step <= 0) exit
                    entry += step
                }
                at = int(end)
            }
        }'
}

if [[ -x $cuobjdump ]]; then
    entries=$(list_by_cuobjdump)
else
    echo "no cuobjdump here: reading the section .nv_fatbin"
    entries=$(list_by_section)
    if [[ -z $entries ]] && readelf --wide --sections "$program" | grep -q '\.nv_fatbin'; then
        echo "skipped: no cuobjdump here, and the section .nv_fatbin has a layout that this test does not know"
        exit 77
    fi
fi
if [[ -z $entries ]]; then
    echo "FAILED: $program holds no CUDA code"
    exit 1
fi
echo "${program##*/} holds$(sort <<<"$entries" | uniq -c | awk '{ n = $1; $1 = ""; printf "%s %d%s", (NR > 1 ? "," : ""), n, $0 }')"

for entry in "$@"; do
    if ! grep -qx "$entry" <<<"$entries"; then
        echo "FAILED: no $entry in $program"
        exit 1
    fi
done
