#!/usr/bin/env bash
# `model`, and `run NN --prompt`: the list of models, how the Python tool and a lab's text program are called, and what is
# refused. The tool, Python and the program are fakes that say how they were called.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
unset PK_LAB_PYTHON
export COLUMNS=80
models=$PK_LAB_SOURCE/models
mkdir -p "$PK_LAB_SOURCE/common"
ln -s "$repository/common/decode" "$PK_LAB_SOURCE/common/decode"

cat >"$fixture/python" <<'PROGRAM'
#!/usr/bin/env bash
[[ $1 == "$PK_LAB_SOURCE/common/decode/python/pk_model_tool.py" ]] || { echo "another program: $1"; exit 9; }
case $2 in
encode)
    [[ -n ${FAKE_IDS-} ]] || { printf 'lab: model: no tokenizer\n     here\n' >&2; exit 2; }
    printf '%s\n' "$@" >"$PK_LAB_SOURCE/called"
    echo "$FAKE_IDS"
    ;;
get) printf '%s\n' "$@"; [[ -z ${FAKE_FETCHES-} ]] || mkdir "$PK_LAB_SOURCE/models/$4"; exit "${FAKE_GET-${FAKE_CODE-0}}" ;;
*) printf '%s\n' "$@"; exit "${FAKE_CODE-0}" ;;
esac
PROGRAM
chmod +x "$fixture/python"

# A folder as the tool leaves it: make_model NAME [FILE...].
make_model() {
    mkdir -p "$models/$1"
    printf '{"model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576, "vocab_size": 49152}' >"$models/$1/config.json"
    head -c 2500000 /dev/zero >"$models/$1/model.safetensors"
    local file
    for file in "${@:2}"; do : >"$models/$1/$file"; done
}

# ---- list ----
run model
expect 0 'smollm2-135m  SmolLM2-135M-Instruct, not here' './lab model get smollm2-135m fetches it'
make_model smollm2-135m tokenizer.json vocab.bin
make_model mute
make_model half vocab.bin
mkdir "$models/.partial-x" "$models/empty"
: >"$models/notes.txt"
run model list
expect 0 'smollm2-135m  llama, 30 layers of 576, 49152 tokens' '2 MB  in and out' 'mute ' 'ids only' 'out; in as ids' \
    'no whole config.json, or no weights' './lab model import PATH'
expect_no 'not here'
expect_no partial
expect_no notes
expect_no 'get smollm2'
expect_width
printf '{"model_type": "\\u001b[2J", "num_hidden_layers": 1, "hidden_size": 2, "vocab_size": 3}' >"$models/empty/config.json"
: >"$models/empty/model.safetensors"
run model
expect 0 '1 layers of 2, 3 tokens'
expect_no $'\033'
for config in '' '{' '[]' '{"model_type": "llama"}' '{"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 2, "vocab_size": -3}'; do
    printf '%s' "$config" >"$models/empty/config.json"
    run model
    expect 0 'empty         no whole config.json'
done
rm -r "$models"

# ---- get, import ----
run model get smollm2-135m
expect_error "are not in $PK_LAB_SOURCE/build/venv" 'PK_LAB_PYTHON='
export PK_LAB_PYTHON=$fixture/python
run model get smollm2-135m
expect 0 get "--models=$models" smollm2-135m
expect_no --replace
run model get smollm2-135m --replace
expect 0 --replace
FAKE_CODE=2 run model get smollm2-135m
expect 2
expect_no 'Random weights' # no lab decodes text yet
FAKE_CODE=130 run model get smollm2-135m
expect 130
for name in gpt-5 ''; do
    run model get "$name"
    expect_error "no model '$name' can be fetched" 'model import PATH'
done
run model get
expect_error 'needs a name'
run model import
expect_error 'needs a path'
run model import "$fixture/none.gguf"
expect_error "there is no $fixture/none.gguf"
run model import "$fixture" --name=mine
expect 0 import --name=mine "$fixture"
run model import "$fixture" --name
expect_error '--name needs a value'
run model imprt x
expect_error "did you mean 'import'"
run model list x
expect_error "'x' is one argument too many"
PK_LAB_PYTHON=$fixture/none run model get smollm2-135m
expect 2 'cannot start'

# ---- text ----
run run 01 --prompt=Hi
expect_error 'lab 01 decodes no text'
run run --prompt=Hi 01
expect_error 'needs a lab'
run targets run 01 --prompt=Hi
[[ -z $output ]] || fail 'something is built for a lab without text'
mkdir "$PK_LAB_SOURCE/solutions/lab02_second"
cp "$PK_LAB_SOURCE"/solutions/lab01_first/optimized.cu "$PK_LAB_SOURCE/solutions/lab02_second/"
: >"$PK_LAB_SOURCE/labs/lab02_second/text.cu"
FAKE_CODE=2 run model get smollm2-135m
expect 2 'Random weights of its shape work without: ./lab run 02 --model=smollm2-135m --prompt-ids=1,2,3'
run run 02 --prompt-ids=1,2
expect_error 'lab02_text is not built'
# shellcheck disable=SC2016 # the program expands it
printf '#!/usr/bin/env bash\nprintf "[%%s]\\n" "${0##*/}" "$@"\nexit "${FAKE_CODE-0}"\n' >"$PK_LAB_BUILD/bin/lab02_text"
chmod +x "$PK_LAB_BUILD/bin/lab02_text"

run run 02 --prompt-ids=1,2 --tokens=4 --graph 0
expect 0 '[lab02_text] [--model=smollm2-135m] [--prompt-ids=1,2] [--tokens=4] [--graph] [0]'
FAKE_CODE=77 run run 02 --model tiny --prompt-ids 1,2
expect 77 '[--model=tiny] [--prompt-ids=1,2]'
run run 02 --prompt=Hi
expect_error './lab model get smollm2-135m fetches it' '--prompt-ids=1,2,3 works in place'
run run 02 --model=/none/mine --prompt=Hi
expect_error 'there is no folder /none/mine'
run run 02 --model=mine --prompt=Hi
expect_error "there is no model 'mine' with a tokenizer" '--prompt-ids=1,2,3 works without'
make_model smollm2-135m tokenizer.json vocab.bin
FAKE_IDS=7,8,9 run run 02 --prompt '-It is "two" words' --variant=graph
expect 0 "[--model=$models/smollm2-135m] [--prompt-ids=7,8,9] [--variant=graph]"
output=$(tail -n 4 "$PK_LAB_SOURCE/called" | tr '\n' '|')
[[ $output == "encode|--|$models/smollm2-135m|-It is \"two\" words|" ]] || fail 'the tool is called otherwise'
FAKE_IDS=7 run run 02 --chat --prompt=Hi --model="$models/smollm2-135m"
expect 0 "[--model=$models/smollm2-135m] [--prompt-ids=7]"
output=$(tail -n 5 "$PK_LAB_SOURCE/called" | tr '\n' '|')
[[ $output == "encode|--chat|--|$models/smollm2-135m|Hi|" ]] || fail 'the tool is called otherwise for a chat'
run run 02 --model=smollm2-135m --prompt-ids=5
expect 0 "[--model=$models/smollm2-135m] [--prompt-ids=5]"
run run 02 --prompt=Hi
expect_error 'not turned into tokens: no tokenizer here; --prompt-ids=1,2,3 works without'
run run 02 --prompt=Hi --model=smollm-135m
expect_error "there is no model 'smollm-135m' with a tokenizer; did you mean 'smollm2-135m'?"
for answer in 'Warning: 3' '1,2;' ' '; do
    FAKE_IDS=$answer run run 02 --prompt=Hi
    expect_error 'not turned into tokens'
done
PK_LAB_PYTHON=$fixture/none run run 02 --prompt=Hi --help # needs neither ids nor Python
expect 0 '[lab02_text]' '[--help]'
cp "$PK_LAB_BUILD/bin/lab01_optimized" "$PK_LAB_BUILD/bin/lab02_optimized"
run run 02 --help
expect 0 './lab run 02 --prompt=TEXT continues a prompt'
run run 01 --help
expect 0
expect_no '--prompt=TEXT'
PK_LAB_PYTHON=$fixture/none run run 02 --prompt=Hi
expect_error '--prompt-ids=1,2,3 works without'
run run 02 --prompt=Hi --prompt-ids=1
expect_error 'two ways to say one thing'
# A number is the lab's own --prompt, but for a chat.
for words in --prompt=40 '--prompt 2^10'; do
    # shellcheck disable=SC2086 # two words
    run targets run 02 $words
    expect 0 lab02_optimized
done
run targets run 02 --prompt=40 --chat
expect 0 lab02_text
run run 02 --prompt-ids=1 --chat
expect_error '--chat is for a prompt in letters'
run run 02 --prompt
expect_error '--prompt needs a value'

# Whose rungs make the text: where there are no kernels of its own, the student's or the solution's.
run run 02 --prompt-ids=1 --solution
expect_error "lab 02's text is made by what is given, and not by your program: leave out --solution"
mkdir "$PK_LAB_SOURCE/labs/lab03_third" "$PK_LAB_SOURCE/solutions/lab03_third"
: >"$PK_LAB_SOURCE/labs/lab03_third/text.c"
cp "$PK_LAB_SOURCE"/labs/lab01_first/optimized.cu "$PK_LAB_SOURCE/labs/lab03_third/"
cp "$PK_LAB_BUILD/bin/lab02_text" "$PK_LAB_BUILD/bin/lab03_text"
run run 03 --prompt-ids=1 --solution
expect_error 'there is no solution of lab 03 here'
cp "$PK_LAB_SOURCE"/solutions/lab01_first/optimized.cu "$PK_LAB_SOURCE/solutions/lab03_third/"
run run 03 --prompt-ids=1 --solution
expect_error 'lab03_text_solution is not built'
cp "$PK_LAB_BUILD/bin/lab02_text" "$PK_LAB_BUILD/bin/lab03_text_solution"
run run 03 --prompt-ids=1 --solution --tokens=3
expect 0 '[lab03_text_solution]' '[--prompt-ids=1] [--tokens=3]'
run run 03 --prompt-ids=1
expect 0 '[lab03_text]'
for words in '--solution --prompt-ids=1:lab03_text_solution' '--prompt-ids=1:lab03_text' \
    '--prompt=x --solution:lab03_text_solution @python'; do
    # shellcheck disable=SC2086 # its words
    run targets run 03 ${words%:*}
    [[ $(flat) == "${words#*:} " ]] || fail "for '${words%:*}' not '${words#*:}'"
done
rm -r "$PK_LAB_SOURCE"/{labs,solutions}/lab03_third

# ---- what ./lab has to prepare ----
while IFS=: read -r command wanted; do
    read -ra words <<<"$command"
    run targets "${words[@]}"
    [[ $(flat) == "$wanted " ]] || fail "for '$command' not '$wanted'"
done <<'CASES'
run 02 --prompt=x:lab02_text @python
run 02 --prompt=x --model=none:lab02_text
run 02 --prompt=x --model=/none:lab02_text
run 02 --prompt=x --help:lab02_text
run 02 --prompt=x --solution:
run 02 --prompt-ids=1:lab02_text
run 02 --tokens=1:lab02_optimized
check 02:lab02_optimized
model get smollm2-135m:@python
model import /:@python
model get gpt-5:
model import /none:
model:
demo:lab01_solution lab02_solution lab02_text @python
CASES

# ---- demo: silent without a text program, and a model that cannot be fetched is no failure ----
# shellcheck disable=SC2016 # the program expands it
printf '#!/usr/bin/env bash\n[[ -z ${PK_REPORTED_FD-} ]] || printf r >&$PK_REPORTED_FD\n' >"$PK_LAB_BUILD/bin/lab02_solution"
chmod +x "$PK_LAB_BUILD/bin/lab02_solution"
# The first failure is the exit code, also when what comes after it is skipped.
while read -r first text wanted; do
    # shellcheck disable=SC2016 # the program expands it
    printf '#!/usr/bin/env bash\n[[ -z ${PK_REPORTED_FD-} ]] || printf r >&$PK_REPORTED_FD\nexit %s\n' "$first" \
        >"$PK_LAB_BUILD/bin/lab02_solution"
    FAKE_IDS=7 FAKE_CODE=$text run demo
    expect "$wanted" 'Lab 02: a real model'
done <<'CASES'
1 77 1
77 1 1
77 0 77
77 77 77
0 77 77
1 3 1
1 130 130
CASES
sed -i 's/^exit .*//' "$PK_LAB_BUILD/bin/lab02_solution"
FAKE_IDS=7 run demo
expect 0 'Lab 02: a real model, smollm2-135m' '> What is a GPU?' "[--model=$models/smollm2-135m] [--prompt-ids=7] [--tokens=32]"
rm -r "$models"
FAKE_GET=2 run demo
expect 0 'It does not speak here: it could not be fetched' '[--model=smollm2-135m] [--prompt-ids=1,2,3] [--tokens=16]'
expect_no '[--prompt-ids=7]'
mkdir "$models"
FAKE_FETCHES=yes FAKE_IDS=7 run demo
expect 0 '[--prompt-ids=7]'
rm "$PK_LAB_SOURCE/labs/lab02_second/text.cu"
run demo
expect 0
expect_no 'real model'
run targets demo
[[ $(flat) == 'lab01_solution lab02_solution ' ]] || fail 'demo asks for Python without a lab that decodes text'
finish
