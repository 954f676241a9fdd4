"""Models in GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), read by the package gguf.

A quantised weight becomes the number that it stands for, rounded to bf16: what is lost by quantising stays lost.
"""
from __future__ import annotations

import math
import pathlib
import re
from typing import Any, Callable

import pk_model_tokens
from pk_model_files import Failure, Tensor, to_bf16
from pk_model_shape import FAMILIES, Model, choose_tensors

_TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER_TENSORS = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
_ROPE_FACTORS = "rope_freqs.weight"
_MOST_BLOCK_VALUES = 1 << 24  # dequantised at a time: 64 MB of floats


class Fields:
    """The key-value pairs of a file."""

    def __init__(self, reader: Any, path: pathlib.Path) -> None:
        self._fields, self._path = reader.fields, path

    def get(self, key: str, otherwise: Any = None) -> Any:
        field = self._fields.get(key)
        return otherwise if field is None else field.contents()

    def need(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            raise Failure(f"{self._path} has no {key}: no model that is computed here, or an old file; convert it anew")
        return value


def _open(path: pathlib.Path) -> Any:
    import gguf
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise Failure(f"{path} is no GGUF file: it does not begin with these letters")
    try:
        return gguf.GGUFReader(str(path))
    except Exception as error:  # whatever numpy makes of a file that is cut off or damaged
        raise Failure(f"{path} cannot be read as GGUF: {error}; is all of it there? Fetch it again") from error


# ---- the shape ----


def _short(value: float) -> float:
    """The number that was meant by one stored in 32 bits: 1e-05 and not 9.999999747378752e-06."""
    import numpy as np
    return float(str(np.float32(value)))


def llama3_factors(head_dim: int, theta: float, scaling: dict[str, Any]) -> list[float]:
    """By how much each pair's frequency is divided, where long wavelengths are stretched; what GGUF stores of it.
    Source: transformers, _compute_llama3_parameters."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    factors = []
    for pair in range(head_dim // 2):
        wavelength = 2 * math.pi * theta ** (2 * pair / head_dim)
        turns = scaling["original_max_position_embeddings"] / wavelength
        smooth = min(1.0, max(0.0, (turns - low) / (high - low)))
        factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return factors


def _rope_scaling(fields: Fields, arch: str, config: dict[str, Any], factors: Any) -> dict[str, Any] | None:
    """The stretch of Llama 3.1 and 3.2, of which GGUF has kept the factors alone."""
    kind = fields.get(f"{arch}.rope.scaling.type", "none")
    if kind != "none":
        raise Failure(f"the model's rotary embedding is scaled ({kind}), which is not computed here")
    if factors is None:
        return None
    scaling = {"rope_type": "llama3", "factor": float(max(factors)), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}
    wanted = llama3_factors(config["head_dim"], config["rope_theta"], scaling)
    if len(factors) != len(wanted) or any(abs(a / b - 1) > 1e-4 for a, b in zip(factors, wanted)):
        raise Failure("the model's rotary embedding has factors that are not Llama 3's; import its HuggingFace folder")
    return scaling


def _check_plain(fields: Fields, arch: str, head_dim: int) -> None:
    """Refuse what would make the decoder compute another model than this one."""
    if fields.get("split.count", 1) > 1:
        raise Failure("the model is split into several GGUF files; join them first (llama-gguf-split --merge)")
    for key, plain in ((f"{arch}.expert_count", 0), (f"{arch}.attention.sliding_window", 0),
                       (f"{arch}.rope.dimension_count", head_dim), (f"{arch}.attention.value_length", head_dim)):
        if fields.get(key, plain) != plain:
            raise Failure(f"the model has {key} {fields.get(key)}, where only {plain} is computed here")


def _config(fields: Fields, found: dict[str, Tensor], factors: Any) -> dict[str, Any]:
    arch = fields.need("general.architecture")
    if arch not in FAMILIES:
        raise Failure(f"a GGUF file of architecture '{arch}' is not computed here; these are: {', '.join(FAMILIES)}")
    hidden, heads = fields.need(f"{arch}.embedding_length"), fields.need(f"{arch}.attention.head_count")
    kv_heads = fields.get(f"{arch}.attention.head_count_kv", heads)
    if not isinstance(heads, int) or not isinstance(kv_heads, int) or heads < 1:
        raise Failure("the model's number of heads differs from layer to layer, which is not computed here")
    head_dim = fields.get(f"{arch}.attention.key_length", hidden // heads)
    _check_plain(fields, arch, head_dim)
    embedding = found.get("model.embed_tokens.weight")
    config = {
        "architectures": [FAMILIES[arch]], "model_type": arch,
        "hidden_size": hidden, "intermediate_size": fields.need(f"{arch}.feed_forward_length"),
        "num_hidden_layers": fields.need(f"{arch}.block_count"),
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "vocab_size": embedding.shape[0] if embedding else 0,
        "max_position_embeddings": fields.need(f"{arch}.context_length"),
        "rms_norm_eps": _short(fields.need(f"{arch}.attention.layer_norm_rms_epsilon")),
        "rope_theta": _short(fields.get(f"{arch}.rope.freq_base", 10000.0)),
        "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
        "tie_word_embeddings": "lm_head.weight" not in found, "torch_dtype": "bfloat16",
    }
    scaling = _rope_scaling(fields, arch, config, factors)
    return {**config, "rope_scaling": scaling} if scaling else config


# ---- the tensors ----


def _huggingface_name(name: str) -> str:
    layer = re.fullmatch(r"blk\.(\d+)\.(.+)", name)
    if layer and layer[2] in _LAYER_TENSORS:
        return f"model.layers.{layer[1]}.{_LAYER_TENSORS[layer[2]]}"
    return _TENSORS.get(name, name)


def to_half_split(rows: Any, heads: int) -> Any:
    """Rows of a Llama's q or k as HuggingFace has them. GGUF's rotate neighbours (2 i, 2 i + 1), where HuggingFace's
    rotate (i, i + head_dim / 2): its converter has interleaved each head's halves (llama.cpp, convert_hf_to_gguf.py,
    LlamaModel.permute), and this takes them apart again. Rows: [heads * head_dim][...]."""
    apart = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2)
    return apart.reshape(rows.shape)


def _dequantised(tensor: Any, name: str, shape: tuple[int, ...]) -> Any:
    """As bf16 bits, some rows at a time, so that a large matrix is never held as floats."""
    import gguf
    import numpy as np
    if len(shape) == 1:
        return to_bf16(gguf.quants.dequantize(tensor.data, tensor.tensor_type), name).reshape(shape)
    at_once = max(1, _MOST_BLOCK_VALUES // shape[1])
    blocks = [to_bf16(gguf.quants.dequantize(tensor.data[row:row + at_once], tensor.tensor_type), name)
              for row in range(0, shape[0], at_once)]
    return np.concatenate(blocks).reshape(shape)


def _reader(tensor: Any, name: str, shape: tuple[int, ...], heads: int) -> Callable[[], Any]:
    """`heads`: of which the rows are interleaved; 0: they are not."""
    def read() -> Any:
        try:
            bits = _dequantised(tensor, name, shape)
        except (NotImplementedError, ValueError) as error:
            raise Failure(f"tensor {name} of type {tensor.tensor_type.name} cannot be read: {error}; convert the model "
                          "to Q8_0 or BF16 first") from error
        return to_half_split(bits, heads) if heads else bits
    return read


def _interleaved_heads(fields: Fields, name: str) -> int:
    if fields.get("general.architecture") != "llama" or not re.search(r"\.self_attn\.[qk]_proj\.", name):
        return 0
    heads = fields.need("llama.attention.head_count")
    return heads if ".q_proj." in name else fields.get("llama.attention.head_count_kv", heads)


def _tensors(reader: Any, fields: Fields) -> tuple[dict[str, Tensor], Any]:
    """By HuggingFace's names, and the rotary embedding's factors, where the file has them."""
    found, factors = {}, None
    for tensor in reader.tensors:
        if tensor.name == _ROPE_FACTORS:
            factors = [float(value) for value in tensor.data]
            continue
        name = _huggingface_name(tensor.name)
        shape = tuple(int(extent) for extent in reversed(tensor.shape))
        found[name] = Tensor(name, shape, _reader(tensor, name, shape, _interleaved_heads(fields, name)))
    return found, factors


# ---- the whole ----


def _types(reader: Any) -> str:
    counts: dict[str, int] = {}
    for tensor in reader.tensors:
        counts[tensor.tensor_type.name] = counts.get(tensor.tensor_type.name, 0) + tensor.n_elements
    return ", ".join(sorted(counts, key=lambda kind: -counts[kind]))


def read(path: pathlib.Path) -> Model:
    """The model in a file; its weights are read when they are written. Failure with what is wrong with it."""
    reader = _open(path)
    fields = Fields(reader, path)
    found, factors = _tensors(reader, fields)
    config = _config(fields, found, factors)
    model = Model(config, choose_tensors(config, found), types=_types(reader))
    pk_model_tokens.from_gguf(model, fields)
    return model
