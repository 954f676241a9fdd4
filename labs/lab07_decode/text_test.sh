#!/bin/sh
# Tests of lab07_text: text_test.sh PROGRAM refusals|stops|ends|hangs, text_test.sh PROGRAM same LAB04_TEXT GOLDEN TOKENS,
# text_test.sh PROGRAM real LAB04_TEXT GOLDEN TOKENS MODELS. GOLDEN: the folder of golden files, whose prompts are taken.
# Exit code 77: the device lacks what ring-many needs, there is no such model, or a step is open.
set -u
program=$1
# shellcheck source=../../common/decode/tests/prompt_tests.sh
. "$(dirname "$0")/../../common/decode/tests/prompt_tests.sh"

# A rung that is open says which step is the first, and where there is text meanwhile; a device, what it lacks.
"$program" --model=tiny --prompt-ids=1 --tokens=1 >"$output" 2>"$errors"
if [ $? -eq 77 ]; then
    open="step lab07[.][0-9]+ is open: .*; with --solution the solution makes the text"
    lacks="ring-many is not for this device: .*; ./lab run 04 --prompt=TEXT works without"
    told | grep -Eq "$open|$lacks|no usable GPU: " ||
        fail "exit code 77, and it does not say why: $(cat "$errors")"
    [ -s "$output" ] && fail "exit code 77, and it printed $(cat "$output")"
    [ "$failed" -eq 0 ] && exit 77
    exit 1
fi

# as_lab04 LAB04_TEXT ARGUMENTS... [-- ARGUMENTS of lab 07 alone...]: the same tokens, by one launch.
as_lab04() {
    other=$1
    shift
    common=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        common="$common $1"
        shift
    done
    [ $# -eq 0 ] || shift
    # shellcheck disable=SC2086 # its words
    want=$("$other" --print-ids $common 2>"$errors") || fail "lab 04: $common: $(cat "$errors")"
    # shellcheck disable=SC2086
    got=$(ids $common "$@") || fail "$common $*: exit code $?"
    [ "$got" = "$want" ] || fail "$common $*: at token $(differ "$got" "$want"): $got, and lab 04 makes $want"
    [ "$(count "$got")" -lt 2 ] || told | grep -q "decode by 1 launch of ring-many" || fail "$common $*: $(told)"
}

# The first place, from 0, at which two lists differ.
differ() {
    awk -v a="$1" -v b="$2" 'BEGIN { n = split(a, x, ","); split(b, y, ","); for (i = 1; i <= n && x[i] == y[i]; i++); print i - 1 }'
}

# The golden models' shapes and prompts, greedy and drawn, whatever the plan.
same() {
    for model in tiny tiny-qwen2 tiny-qwen3; do
        for prompt in 1 2 3; do
            of="--model=$model --prompt-ids=$(golden_list "$2/$model.json" prompt "$prompt")"
            # shellcheck disable=SC2086 # its words
            as_lab04 "$1" $of --tokens="$3"
        done
        # shellcheck disable=SC2086
        as_lab04 "$1" $of --tokens=24 --top-k=20 --seed=3 --temperature=0.7
    done
    for plan in "--blocks=1 --consumers=1" "--blocks=3 --consumers=3 --ring=6 --chunk=1 --in-flight=3 --share-keys=1"; do
        # shellcheck disable=SC2086
        as_lab04 "$1" --model=odd-64 --prompt-ids=1,2,3 --tokens=12 -- $plan
    done
}

# A real model: three prompts.
real() {
    model=$4/smollm2-135m
    [ -f "$model/config.json" ] || exit 77
    for prompt in 1 2 3; do
        as_lab04 "$1" --model="$model" --prompt-ids="$(golden_list "$2/smollm2-135m.json" prompt "$prompt")" --tokens="$3"
    done
}

# made_few N: the kernel made so many tokens at most that nobody took.
made_few() { [ "$(told | sed -n 's/.*it had made \([0-9]*\) more.*/\1/p' | grep . || echo 0)" -le "$1" ]; }

# In the middle: by a signal, because nobody reads on, by the option. The kernel sees the word, and makes few tokens more.
stops() {
    stopped --stop-after=0
    made_few 1000 || fail "interrupted: the kernel went on: $(told)"
    unread --stop-after=0
    for after in 1 2 7; do
        got=$(ids --model=tiny --prompt-ids=1,2 --tokens=14000 --stop-after="$after")
        [ "$(count "$got")" -eq "$after" ] || fail "--stop-after=$after: $got"
        told | grep -q "; $after came: --stop-after reached" || fail "--stop-after=$after: $(told)"
        made_few 1000 || fail "--stop-after=$after: the kernel went on: $(told)"
    done
    want=$(ids --model=tiny --prompt-ids=1,2 --tokens=7)
    [ "$got" = "$want" ] || fail "--stop-after=7: $got, and $want are made without"
}

# A model of one layer, all weights 0, with room for 12 positions: it chooses token 0 for ever.
make_small_model() {
    awk -v folder="$1" 'BEGIN {
        config = folder "/config.json"
        printf "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 32, \"intermediate_size\": 64, " >config
        printf "\"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"head_dim\": 16, " >config
        printf "\"vocab_size\": 64, \"max_position_embeddings\": 12, \"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\", " >config
        printf "\"tie_word_embeddings\": true, \"eos_token_id\": 63}\n" >config
        layer = "model.layers.0."
        add("model.embed_tokens.weight", "64,32", 2048); add("model.norm.weight", "32", 32)
        add(layer "input_layernorm.weight", "32", 32); add(layer "post_attention_layernorm.weight", "32", 32)
        add(layer "self_attn.q_proj.weight", "32,32", 1024); add(layer "self_attn.k_proj.weight", "16,32", 512)
        add(layer "self_attn.v_proj.weight", "16,32", 512); add(layer "self_attn.o_proj.weight", "32,32", 1024)
        add(layer "mlp.gate_proj.weight", "64,32", 2048); add(layer "mlp.up_proj.weight", "64,32", 2048)
        add(layer "mlp.down_proj.weight", "32,64", 2048)
        header = "{" header "}"
        while (length(header) % 8) header = header " "
        print length(header), bytes, header
    }
    function add(name, shape, count) {
        header = header (header ? "," : "") "\"" name "\":{\"dtype\":\"BF16\",\"shape\":[" shape "],\"data_offsets\":[" bytes + 0 "," bytes + 2 * count "]}"
        bytes += 2 * count
    }' | {
        read -r length bytes header
        # shellcheck disable=SC2059 # the length, eight bytes, the lowest first
        printf "\\$(printf %o $((length % 256)))\\$(printf %o $((length / 256)))\\0\\0\\0\\0\\0\\0"
        printf "%-${length}s" "$header"
        head -c "$bytes" /dev/zero
    } >"$1/model.safetensors"
}

# By itself: an end token, the number asked for, the cache's end.
ends() {
    got=$(ids --model=tiny-qwen3 --prompt-ids=1,2,3 --top-k=64 --temperature=9 --seed=1 --tokens=2000)
    told | grep -q "came: the model ended the text" || fail "no end token among $(count "$got"): $(told)"
    made_few 0 || fail "behind the end: $(told)"
    got=$(ids --model=tiny --prompt-ids=1,2 --tokens=3)
    { [ "$(count "$got")" -eq 3 ] && told | grep -q "; 3 came: --tokens reached"; } || fail "--tokens=3: $got: $(told)"
    got=$(ids --model=tiny --prompt-ids=1,2 --tokens=1)
    { [ "$(count "$got")" -eq 1 ] && told | grep -q "decode by no launch"; } || fail "--tokens=1: $got: $(told)"
    folder=$(mktemp -d) || exit 1
    trap 'rm -rf "$errors" "$output" "$folder"' EXIT
    make_small_model "$folder"
    got=$(ids --model="$folder" --prompt-ids=1,2,3,4,5 --tokens=50)
    { [ "$got" = 0,0,0,0,0,0,0,0 ] && told | grep -q "; 8 came: the cache is full"; } || fail "a full cache: $got: $(told)"
    got=$(ids --model="$folder" --prompt-ids=1,2,3,4,5,6,7,8,9,10,11,12 --tokens=50)
    { [ "$got" = 0 ] && told | grep -q "; 1 came: the cache is full"; } || fail "a prompt that fills the cache: $got: $(told)"
}

refusals() {
    refusals_of_all
    refused "graph.*leave it out; ./lab run 04 --prompt=TEXT has it" --model=tiny --prompt-ids=1 --graph=0
    refused "ring-many alone posts its tokens: leave it out" --model=tiny --prompt-ids=1 --variant=ring-spread
    refused "reads bf16: leave it out" --model=tiny --prompt-ids=1 --weights=q8_0
    refused "blocks.*outside" --model=tiny --prompt-ids=1 --blocks=-1
    refused "not even one chunk of 8 KB.*--in-flight=2: use --in-flight=8" --model=tiny --prompt-ids=1 --chunk=8 --in-flight=2
    refused "a grid of 1000 blocks cannot be resident.*use --blocks=" --model=tiny --prompt-ids=1 --blocks=1000
    refused "a ring of 1 chunks.*is no ring: use a larger --ring" --model=tiny --prompt-ids=1 --ring=1 --chunk=1 --in-flight=1
    refused "did you mean --stop-after" --model=tiny --prompt-ids=1 --stop-aftr=1
}

# Of a kernel that loses a candidate: the text ends by the watchdog, with what its blocks wait for.
hangs() {
    "$program" --model=tiny --prompt-ids=1,2 --tokens=9 --print-ids --watchdog=1 >"$output" 2>"$errors"
    code=$?
    [ "$code" -eq 4 ] || fail "exit code $code, not 4: $(cat "$errors")"
    told | grep -q "made no token for 1 s behind the first 1: block.*0: .*waits for block 1's candidates" ||
        fail "it told $(cat "$errors")"
}

case $2 in
same) same "$3" "$4" "$5" ;;
real) real "$3" "$4" "$5" "$6" ;;
ends) ends ;;
stops) stops ;;
refusals) refusals ;;
hangs) hangs ;;
*) fail "no tests '$2'" ;;
esac
exit "$failed"
