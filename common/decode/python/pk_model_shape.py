"""The models that the decoder computes, by HuggingFace's names: which tensors a config.json asks for, of what shape. As
common/decode/pk_model.h, whose parser has the last word on what a config.json may say."""
from __future__ import annotations

import dataclasses
from typing import Any

from pk_model_files import Failure, Tensor

FAMILIES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}


@dataclasses.dataclass
class Model:
    """A model that was read and is not written yet."""

    config: dict[str, Any]
    tensors: list[Tensor]
    vocab: list[bytes] | None = None  # what each token adds to the text
    tokenizer: str | None = None  # the text of tokenizer.json
    tokenizer_config: dict[str, Any] = dataclasses.field(default_factory=dict)
    types: str = ""  # of the weights where they came from: "Q4_1, Q8_0, F32"
    notes: list[str] = dataclasses.field(default_factory=list)  # what the user should know, a line each


def number(config: dict[str, Any], key: str, low: int = 1, high: int = 1 << 24) -> int:
    value = config.get(key)
    if type(value) is not int or not low <= value <= high:
        raise Failure(f"the model's {key} is {value!r}, not a number from {low} to {high}: no model for this decoder")
    return value


def _layer(config: dict[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    hidden, ffn, head_dim = (number(config, key) for key in ("hidden_size", "intermediate_size", "head_dim"))
    q, kv = (number(config, key) * head_dim for key in ("num_attention_heads", "num_key_value_heads"))
    shapes: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (q, hidden),
        "self_attn.k_proj.weight": (kv, hidden),
        "self_attn.v_proj.weight": (kv, hidden),
        "self_attn.o_proj.weight": (hidden, q),
        "post_attention_layernorm.weight": (hidden,),
        "mlp.gate_proj.weight": (ffn, hidden),
        "mlp.up_proj.weight": (ffn, hidden),
        "mlp.down_proj.weight": (hidden, ffn),
    }
    if config["model_type"] == "qwen2":
        shapes.update({f"self_attn.{name}_proj.bias": (rows,) for name, rows in (("q", q), ("k", kv), ("v", kv))})
    if config["model_type"] == "qwen3":
        shapes.update({f"self_attn.{name}_norm.weight": (head_dim,) for name in ("q", "k")})
    return {prefix + name: shape for name, shape in shapes.items()}


def tensor_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """What the config asks for, in the order in which it is written."""
    if config.get("model_type") not in FAMILIES:
        raise Failure(f"a model of type '{config.get('model_type')}' is not computed here; these are: "
                      + ", ".join(FAMILIES))
    hidden, vocab = number(config, "hidden_size"), number(config, "vocab_size")
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden)}
    for layer in range(number(config, "num_hidden_layers", 1, 1000)):
        shapes.update(_layer(config, f"model.layers.{layer}."))
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, hidden)
    return shapes


def choose_tensors(config: dict[str, Any], found: dict[str, Tensor]) -> list[Tensor]:
    """Those that the config asks for, all of them and no others."""
    shapes = tensor_shapes(config)
    for name, shape in shapes.items():
        if name not in found:
            raise Failure(f"the model lacks tensor {name}; fetch it again, or is it of another family than it says?")
        if found[name].shape != shape:
            raise Failure(f"tensor {name} has shape {found[name].shape}, where its config asks for {shape}")
    unknown = [name for name in found if name not in shapes]
    if unknown:
        raise Failure(f"tensor {unknown[0]} is nothing that is computed here: a model with it would give other text")
    return [found[name] for name in shapes]
