"""What common/decode knows of its models, for programs in Python: the shapes, their tensors, the bytes of a step.

Needs nothing but Python 3.9.
"""
from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Shape:
    """What common/decode's pk_model_config has of a model's shape. rope_factor 1: no stretch of wavelengths."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    rms_eps: float
    rope_theta: float
    max_positions: int
    tied: bool = True
    qkv_bias: bool = False
    qk_norm: bool = False
    rope_factor: float = 1
    rope_low: float = 0
    rope_high: float = 0
    rope_original: int = 0


SHAPES = {  # those of common/decode/config.c, in its order
    "tiny": Shape(2, 64, 4, 2, 16, 128, 256, 1e-5, 10000, 8192),
    "tiny-qwen2": Shape(2, 64, 7, 1, 16, 128, 256, 1e-6, 1e6, 8192, qkv_bias=True),
    "tiny-qwen3": Shape(2, 64, 8, 2, 32, 128, 256, 1e-6, 1e6, 8192, tied=False, qk_norm=True),
    "odd-64": Shape(2, 72, 2, 2, 64, 136, 331, 1e-6, 1e6, 1 << 18, qkv_bias=True),
    "odd-80": Shape(2, 88, 3, 1, 80, 104, 521, 1e-5, 10000, 1 << 18, tied=False),
    "odd-128": Shape(2, 104, 4, 2, 128, 168, 257, 1e-6, 1e6, 1 << 18, qk_norm=True),
    "tiny-256": Shape(1, 256, 4, 2, 64, 2048, 331, 1e-5, 10000, 1 << 18, tied=False),
    "smollm2-135m": Shape(30, 576, 9, 3, 64, 1536, 49152, 1e-5, 100000, 8192),
    "qwen2.5-0.5b": Shape(24, 896, 14, 2, 64, 4864, 151936, 1e-6, 1e6, 32768, qkv_bias=True),
    "llama-3.2-1b": Shape(16, 2048, 32, 8, 64, 8192, 128256, 1e-5, 500000, 131072, rope_factor=32, rope_low=1,
                          rope_high=4, rope_original=8192),
    "qwen3-8b": Shape(36, 4096, 32, 8, 128, 12288, 151936, 1e-6, 1e6, 40960, tied=False, qk_norm=True),
}
QUANTS = {"bf16": (1, 2), "q8_0": (32, 34), "q4_k": (256, 144)}  # weights of a block, and its bytes: pk_quant.h


def tensors(shape: Shape) -> dict[str, tuple[tuple[int, ...], float, float]]:
    """Name: dimensions, centre and spread of its seeded random weights, as common/decode/config.c chooses them."""
    def matrix(rows: int, columns: int, scale: float) -> tuple[tuple[int, ...], float, float]:
        return (rows, columns), 0.0, scale * math.sqrt(3 / columns)
    q_rows, kv_rows = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    found = {"embedding": matrix(shape.vocab, shape.hidden, 2), "norm": ((shape.hidden,), 1.0, 0.125)}
    if not shape.tied:
        found["head"] = matrix(shape.vocab, shape.hidden, 2)
    for i in range(shape.layers):
        layer = {
            "attn_norm": ((shape.hidden,), 1.0, 0.125), "q": matrix(q_rows, shape.hidden, 1.5),
            "k": matrix(kv_rows, shape.hidden, 1.5), "v": matrix(kv_rows, shape.hidden, 1),
            "o": matrix(shape.hidden, q_rows, 1), "ffn_norm": ((shape.hidden,), 1.0, 0.125),
            "gate": matrix(shape.ffn, shape.hidden, 1), "up": matrix(shape.ffn, shape.hidden, 1),
            "down": matrix(shape.hidden, shape.ffn, 1)}
        if shape.qkv_bias:
            layer.update(q_bias=((q_rows,), 0.0, 1.0), k_bias=((kv_rows,), 0.0, 1.0), v_bias=((kv_rows,), 0.0, 1.0))
        if shape.qk_norm:
            layer.update(q_norm=((shape.head_dim,), 1.5, 0.125), k_norm=((shape.head_dim,), 1.5, 0.125))
        found.update((f"{i}.{name}", value) for name, value in layer.items())
    return found


def quant_of(wanted: str, columns: int) -> str:
    """What a matrix with rows of so many columns has where `wanted` is asked for: pk_quant_of."""
    if wanted == "q4_k" and columns % QUANTS["q4_k"][0] == 0:
        return wanted
    return "q8_0" if wanted != "bf16" and columns % QUANTS["q8_0"][0] == 0 else "bf16"


def weight_bytes(shape: Shape, weights: str = "bf16") -> float:
    """Read by every token: all weights but the embedding, of which it is one row unless the logits need them all."""
    total = 0.0
    for name, (dimensions, _, _) in tensors(shape).items():
        if name == "embedding" and not shape.tied:
            continue
        of_block, block_bytes = QUANTS[quant_of(weights, dimensions[-1]) if len(dimensions) > 1 else "bf16"]
        total += math.prod(dimensions) / of_block * block_bytes
    return total


def kv_bytes(shape: Shape, keys: float) -> float:
    """Of so many rows of the cache."""
    return 2.0 * 2 * shape.layers * shape.kv_heads * shape.head_dim * keys


def step_bytes(shape: Shape, given: float, tokens: int, weights: str = "bf16") -> float:
    """What a token reads: the weights, and on average the rows given and half of those decoded."""
    return weight_bytes(shape, weights) + kv_bytes(shape, given + (tokens + 1) / 2)


def step_flops(shape: Shape, given: float, tokens: int) -> float:
    """Of a token: two operations a weight, which is of two bytes, and attention's."""
    return weight_bytes(shape) + 4.0 * shape.layers * shape.heads * shape.head_dim * (given + (tokens + 1) / 2)
