#!/usr/bin/env bash
# no_gpu.sh PROGRAM [ARGUMENT...]: a program for a GPU, on a machine where none is visible, says so in one message,
# which may be broken into lines, and exits 77. A GPU that is there is hidden from it: -1 is no device's number, and AMD's runtime takes an empty list for
# no list at all.
set -uo pipefail

output=$(CUDA_VISIBLE_DEVICES=-1 HIP_VISIBLE_DEVICES=-1 "$@" 2>&1 </dev/null)
code=$?
printf '%s\n' "$output"

if ((code != 77)); then
    echo "FAILED: exit code $code instead of 77"
    exit 1
fi
if (($(grep -vc '^  ' <<<"$output") != 1)); then
    echo "FAILED: more than one message"
    exit 1
fi
output=$(tr -s ' \n' '  ' <<<"$output")
if [[ $output != *"no usable GPU: "*"--backend=cpu"* ]]; then
    echo "FAILED: the line does not say that there is no usable GPU, and what to do"
    exit 1
fi
