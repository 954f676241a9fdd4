#!/usr/bin/env bash
# ./lab asm: the right file is compiled, the right kernel shown, and nothing is left behind. Compiler and disassembler are
# fake ones, which say what nvcc 13, nvdisasm 13 and clang 15 did; for the CPU device they are the machine's.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
command -v objdump >/dev/null || exit 77
folder=$PK_LAB_SOURCE/labs/lab01_first
cat >"$folder/optimized.cu" <<'CODE'
#define __global__
static __global__ void add_one(int *y)
{
    *y += 1;
}
__global__ void add_two(int *y) { *y += 2; }
void (*used[])(int *) = {add_one, add_two};
CODE
echo '__global__ void __launch_bounds__(256) elsewhere(int *y) { *y = 3; }' >"$folder/lab01.cuh"
cat >"$fixture/compiler" <<'PROGRAM'
#!/usr/bin/env bash
echo "$*" >>"${0%/*}/asked"
out=${*: -1} options=("${@/#--generate-code*/-DNOTHING}")
[[ -z ${FAKE_BROKEN-} ]] || {
    echo 'optimized.cu:5: no'
    exit 1
}
case " $* " in
*' -ptx '*) cat >"$out" <<'PTX' ;;
.entry _Z7add_twoPi(
	.param .u64 p
)
{
	add.s32 	%r2, %r1, 2;
	ret;
}
.entry _Z7add_onePi(
	.param .u64 p
)
{
///source/labs/optimized.cu:5     *y += 1; 
	.loc	1 5 5
	add.s32 	%r2, %r1, 1;
	ret;
}
PTX
*' -cubin '*) : >"$out" && printf '%s\n' 'ptxas info    : Function properties for _Z7add_onePi' \
    '    0 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads' \
    'ptxas info    : Used 14 registers, used 0 barriers, 32 bytes smem' ;;
*' -S '*) cat >"$out" <<'AMD' ;;
_ZL7add_twoPi:                          ; @_ZL7add_twoPi
	s_nop 2
	.section	.rodata,#alloc
; NumSgprs: 99
	.globl	_ZL7add_onePi ; -- Begin function _ZL7add_onePi
_ZL7add_onePi:                          ; @_ZL7add_onePi
.Lfunc_begin1:
	.cfi_startproc
	.loc	3 5 2                           ; labs/lab01_first/optimized.cu:4:8
	s_endpgm
	.section	.rodata,#alloc
; NumSgprs: 13
; NumVgprs: 6
; ScratchSize: 0
; LDSByteSize: 32 bytes/workgroup (compile time only)
; Occupancy: 8
    .name:           _ZL7add_onePi
    .sgpr_spill_count: 0
    .symbol:         _ZL7add_onePi.kd
    .vgpr_spill_count: 3
AMD
*) exec c++ "${options[@]/#--offload-arch*/-DNOTHING}" ;;
esac
PROGRAM
cat >"$fixture/nvdisasm" <<'PROGRAM'
#!/usr/bin/env bash
[[ "$1 $2" == '-g -c' && -e $3 ]] || exit 1
cat <<SASS
//--------------------- .text._Z7add_twoPi --------------------------
.text._Z7add_twoPi:
        /*0000*/                   NOP ;
//--------------------- .text._Z7add_onePi --------------------------
.text._Z7add_onePi:
        .type           _Z7add_onePi,@function
	//## File "$PK_LAB_SOURCE/labs/lab01_first/optimized.cu", line 4 inlined at "/x.cu", line 9
        /*0000*/                   IADD3 R0, R0, 0x1, RZ ;
//--------------------- .nv.shared.reserved.0 ---------
        /*0040*/                   NOP ;
SASS
PROGRAM
chmod +x "$fixture/compiler" "$fixture/nvdisasm"
cat >"$PK_LAB_BUILD/compile_commands.json" <<CODE
[{"directory": "$PK_LAB_BUILD", "file": "$folder/baseline.cu",
  "command": "false -o labs/lab01_optimized.dir/baseline.cu.o -c $folder/baseline.cu"},
 {"directory": "$PK_LAB_BUILD", "file": "$folder/optimized.cu",
  "command": "$fixture/compiler --generate-code=arch=compute_80,code=[sm_80] --generate-code=arch=compute_90,code=[compute_90,sm_90] --offload-arch=gfx90a -x c++ -o labs/lab01_optimized.dir/optimized.cu.o -c $folder/optimized.cu"}]
CODE
export TMPDIR=$fixture
run asm 01 add_one
expect_no add_two
if [[ $output == *'CPU device'* ]]; then
    expect 0 'machine code of this host, which is no GPU' '<add_one(int*)>:' '*y += 1;' ret
elif [[ $output == *gfx90a* ]]; then
    expect 0 'gfx90a: 13 SGPRs, 6 VGPRs, 32 bytes of LDS, 0 bytes of scratch, 8 waves a SIMD; spilled: 0 SGPRs, 3 VGPRs' \
        $'\n// optimized.cu:4     *y += 1;\n\ts_endpgm'
    expect_no .cfi
    expect_no s_nop
else
    expect 0 'sm_90: Used 14 registers' '32 bytes smem' '4 bytes spill stores, 8 bytes spill loads' '.entry _Z7add_onePi(' \
        $'// optimized.cu:5     *y += 1;\n' 'add.s32'
    expect_no .loc
    [[ $output == *'No machine code of sm_90: there is no nvdisasm'* || $output == *'Machine code of sm_90'* ]] ||
        fail 'no word of machine code'
    PATH=$fixture:$PATH run asm 01 add_one
    expect 0 'Machine code of sm_90' $'\n// optimized.cu:4     *y += 1;\n        /*0000*/                   IADD3 R0'
    expect_no NOP
    expect_no .type
    grep -q -- '-arch=sm_90 -ptx' "$fixture/asked" || fail 'PTX of another architecture'
fi
! compgen -G "$fixture/lab-asm-*" >/dev/null || fail 'a folder is left behind'
! grep -q -- '-o labs/' "$fixture/asked" || fail "the build's own object was asked for"
rm -f "$fixture/asked"
run asm 01 add_on
expect_error "has no kernel 'add_on'" "did you mean 'add_one'"
run asm 01 frobnicate
expect_error 'it has ' elsewhere add_two
[[ ! -e $fixture/asked ]] || fail 'something was compiled for a kernel that is not there'
run asm 01 add_one --solution
expect_error "not in lab01_solution"
FAKE_BROKEN=1 run asm 01 add_one
expect_error 'labs/lab01_first/optimized.cu does not compile: optimized.cu:5: no'
run asm 01
expect_error "a lab and a kernel's name"
finish
