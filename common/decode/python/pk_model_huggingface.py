"""Models in a HuggingFace folder: config.json, model.safetensors or its shards, tokenizer.json and what lies beside."""
from __future__ import annotations

import pathlib
from typing import Any

import pk_model_tokens
from pk_model_files import Failure, Tensor, read_json, read_safetensors
from pk_model_shape import FAMILIES, Model, choose_tensors

_WITHOUT_MEANING = ("rotary_emb.inv_freq",)  # kept by old versions; computed from the config
_MOST_ENDS = 8  # PK_MODEL_MOST_ENDS


def _config(folder: pathlib.Path) -> dict[str, Any]:
    """As the file has it, with what newer versions moved where pk_model_config_parse and older ones look for it."""
    config = read_json(folder / "config.json")
    if config.get("model_type") not in FAMILIES:
        raise Failure(f"{folder} is of type '{config.get('model_type')}', which is not computed here; these are: "
                      + ", ".join(FAMILIES))
    if config.get("quantization_config"):
        raise Failure(f"{folder} is quantised ({config['quantization_config'].get('quant_method')}); import the model "
                      "that it was made from, or a GGUF file of it")
    heads = config.get("num_attention_heads")
    config.setdefault("num_key_value_heads", heads)
    if config.get("head_dim") is None and isinstance(heads, int) and heads > 0:
        config["head_dim"] = config.get("hidden_size", 0) // heads
    config["tie_word_embeddings"] = bool(config.get("tie_word_embeddings", False))
    rope = config.pop("rope_parameters", None)
    if isinstance(rope, dict):
        config["rope_theta"] = rope.get("rope_theta", config.get("rope_theta", 10000.0))
        if rope.get("rope_type", "default") != "default":
            config["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    config.pop("dtype", None)
    config["torch_dtype"] = "bfloat16"
    return config


def end_tokens(*documents: dict[str, Any]) -> list[int]:
    """All tokens that end a text by these documents, once each."""
    ends: list[int] = []
    for document in documents:
        value = document.get("eos_token_id")
        for token in value if isinstance(value, list) else [value]:
            if type(token) is int and token >= 0 and token not in ends:
                ends.append(token)
    return ends[:_MOST_ENDS]


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        if not (folder / "model.safetensors").exists():
            raise Failure(f"{folder} has no model.safetensors; only safetensors files are read, no .bin or .pth")
        return [folder / "model.safetensors"]
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise Failure(f"{index} has no weight_map; fetch it again")
    files = sorted(set(names.values()))
    for name in files:
        if "/" in name or not (folder / name).is_file():
            raise Failure(f"{index} names the file '{name}', which is not in its folder; fetch all of its files")
    return [folder / name for name in files]


def _tensors(folder: pathlib.Path, tied: bool) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in _files(folder):
        for name, tensor in read_safetensors(path).items():
            if name in found:
                raise Failure(f"{path} holds tensor {name} a second time; which of them is meant cannot be known")
            if not name.endswith(_WITHOUT_MEANING) and not (tied and name == "lm_head.weight"):
                found[name] = tensor
    return found


def read(folder: pathlib.Path) -> Model:
    """The model in a folder; its weights are read when they are written. Failure with what is wrong with it."""
    config = _config(folder)
    generation = folder / "generation_config.json"
    ends = end_tokens(config, read_json(generation) if generation.exists() else {})
    if ends:
        config["eos_token_id"] = ends
    model = Model(config, choose_tensors(config, _tensors(folder, config["tie_word_embeddings"])), types="safetensors")
    pk_model_tokens.from_huggingface(model, folder)
    return model
