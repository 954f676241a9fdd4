#!/usr/bin/env bash
# hip_distribution.sh CMAKE SOURCE_TREE: the device libraries are found in the folder of the clang that hipcc names,
# where Debian 13 keeps them. hipcc, clang and libraries are stand-ins.
set -uo pipefail
cmake=$1 tree=$2
prefix=$(mktemp -d) || exit 1
trap 'rm -rf "$prefix"' EXIT

mkdir -p "$prefix"/{bin,lib,clang/99/amdgcn/bitcode}
touch "$prefix/lib/libamdhip64.so" "$prefix/clang/99/amdgcn/bitcode/ocml.bc"
printf '#!/bin/sh\necho "Debian clang version 99.0.1"\n' >"$prefix/bin/hipcc"
printf '#!/bin/sh\necho "%s/clang/99"\n' "$prefix" >"$prefix/bin/clang++-99"
chmod +x "$prefix"/bin/*

cat >"$prefix/probe.cmake" <<'END'
cmake_minimum_required(VERSION 3.22)
include(${TREE}/common/cmake/PkHipDistribution.cmake)
set(PK_COMMON_DIR ${TREE}/common)
pk_find_distribution_hip()
message("${CMAKE_HIP_COMPILER} ${CMAKE_HIP_FLAGS}")
END
out=$(PATH=$prefix/bin:$PATH "$cmake" "-DTREE=$tree" "-DCMAKE_PREFIX_PATH=$prefix" -P "$prefix/probe.cmake" 2>&1)
printf '%s\n' "$out"
[[ $out == *"$prefix/bin/clang++-99 "*"--rocm-device-lib-path=$prefix/clang/99/amdgcn/bitcode"* ]] ||
    { echo "FAILED: the libraries in clang's folder were not found"; exit 1; }
