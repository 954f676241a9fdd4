#!/usr/bin/env bash
# pk-lab plan: bytes, floor and shares by hand-reckoned numbers, where the machine's figures come from, refusals.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"

# calibration FOLDER NAME KIND GB/S [FIGURE...]: a calibration file in results/FOLDER.
calibration() {
    local folder=$PK_LAB_SOURCE/results/$1 figures=${5-}
    mkdir -p "$folder"
    cat >"$folder/calibration.json" <<JSON
{"schema": "pk-calibration", "version": 1, "run": {"program": "pk_calibrate", "started_utc": "$1"},
 "device": {"backend": "cuda", "kind": "$3", "name": "$2", "memory_bytes": 17179869184,
  "limits": {"launch_us": {"unit": "us", "median": 2, "p10": 2, "p90": 2, "count": 1},
   "launch_sync_us": {"unit": "us", "median": 10, "p10": 9, "p90": 11, "count": 1},
   "gap_us": {"unit": "us", "median": 1, "p10": 1, "p90": 1, "count": 1},
   "read_gb_per_s": {"unit": "GB/s", "median": $4, "p10": $4, "p90": $4, "count": 1}}},
 "figures": [$figures]}
JSON
}

# 2 x 32 x 32 x 128 elements; 32 x (4 x 4096^2 + 3 x 4096 x 11008) + 32000 x 4096 elements of matrices a step.
run plan 7b --context=32k --kv=fp8 --bandwidth=1000 --launch=10
expect 0 'llama-2-7b' '= 262144 bytes = 256 KiB' '1 x 32768 x 256 KiB = 8.59 GB' '6.607e+09 elements of matrices x 16 bits' \
    '13.21 GB + 8.59 GB = 21.8 GB' '= 21805 us a step' '15 x 32 + 4 = 484' '484 x 10 us = 4840 us' '18.2%' \
    'made for 4096 positions' 'needs launch_sync_us' 'needs graph_node_us'
expect_width
run plan 7b --bandwidth=1000
expect 0 '524288 bytes = 512 KiB' 't_L is not known'
expect_no 'made for'
# A batch shares the weights, and the embedding that is not tied is held but not read.
run plan 7b --context=1024 --batch=4 --weights=q4 --kernels=100 --bandwidth=1000 --launch=1
expect 0 'x 4.5 bits' '4 x 1024 x 512 KiB = 2.147 GB' '3.717 GB + 2.147 GB = 5.864 GB' '= 5864 us a step' '= 1466 us/token' \
    'K = 100 a step, as given'
run plan qwen2.5-0.5b --kv=int8 --bandwidth=1000
expect 0 '2 x 24 x 2 x 64 x 8.25 / 8 = 6336 bytes' '24 + 4 = 364'

# A model of models/, or any folder with a config.json.
mkdir -p "$PK_LAB_SOURCE/models/mine"
cat >"$PK_LAB_SOURCE/models/mine/config.json" <<'JSON'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 3, "hidden_size": 64,
 "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 256,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000, "hidden_act": "silu",
 "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2}
JSON
run plan mine --bandwidth=1
expect 0 'models/mine: 3 layers' '2 x 3 x 2 x 16 x 16 / 8 = 384 bytes'
run plan "$PK_LAB_SOURCE/models/mine" --bandwidth=1
expect 0 'models/mine: 3 layers'
run plan ./nothing --bandwidth=1
expect_error 'cannot read ./nothing/config.json'

# The machine: the newest calibration, a file, a folder, a result file's limits.
run plan 7b
expect_error 'no calibration' './lab calibrate'
calibration 2026-01-01T000000Z-old 'Old GPU' gpu 500
node='{"name": "graph_node_us", "unit": "us", "what": "w", "status": "pass", "reason": null, "median": 0.5, "p10": 0.5, "p90": 0.5, "count": 1}'
start='{"name": "graph_launch_sync_us", "unit": "us", "what": "w", "status": "pass", "reason": null, "median": 7, "p10": 7, "p90": 7, "count": 1}'
skipped='{"name": "barrier_us", "unit": "us", "what": "w", "status": "skip", "reason": "none", "median": 3, "p10": 3, "p90": 3, "count": 1}'
calibration 2026-02-01T000000Z-new 'New GPU' gpu 1000 "$node, $start, $skipped"
run plan 7b --context=1024
expect 0 'New GPU, cuda' '= 13752 us a step' '18592' '14236' '14001' 'needs barrier_us' "fits in the device's 16 GiB"
run plan 7b --context=16k
expect 0 "DOES NOT FIT in the device's 16 GiB"
run plan 7b --device="$PK_LAB_SOURCE/results/2026-01-01T000000Z-old"
expect 0 'Old GPU'
run plan 7b --device="$PK_LAB_SOURCE/results/2026-01-01T000000Z-old/calibration.json" --bandwidth=2000
expect 0 'Old GPU' '/ 2000 GB/s'
run plan 7b --device="$repository/harness/tests/data/example-gpu.json"
expect 0 'limits of the run of'
calibration 2026-02-02T000000Z-quick 'Quick GPU' gpu 2000
sed -i 's/"program"/"quick": true, "program"/' "$PK_LAB_SOURCE/results/2026-02-02T000000Z-quick/calibration.json"
run plan 7b
expect 0 'New GPU'
calibration 2026-03-01T000000Z-cpu 'CPU device' cpu 10
run plan 7b
expect 0 'CPU device, not a GPU' 'say nothing about a GPU'
expect_no 'FIT in'

# Refusals.
run plan
expect_error 'plan needs a model' './lab plan 7b'
run plan 7
expect_error "unknown model '7'" "did you mean '7b'" llama-2-7b
run plan 7b --kv=fp7
expect_error "'fp7'" "did you mean 'fp8'" 'bf16, fp16, fp8, int8, int4'
run plan 7b --weights=int3
expect_error "unknown format of weights 'int3'" q4
for wrong in --context=0 --context=-4 --context=2G --batch=0 --batch=1.5 --kernels=0 --bandwidth=0 --bandwidth=fast --launch=-1; do
    run plan 7b --bandwidth=1000 "$wrong"
    expect_error "${wrong%%=*}"
done
run plan 7b --device="$PK_LAB_SOURCE/none.json"
expect_error 'cannot read' none.json
run plan 7b --device="$PK_LAB_SOURCE"
expect_error 'neither calibration.json nor a result file'
calibration 2026-04-01T000000Z-odd 'Odd GPU' gpu -3
run plan 7b --device="$PK_LAB_SOURCE/results/2026-04-01T000000Z-odd"
expect_error 'read_gb_per_s is -3' 'no device measures'
finish
