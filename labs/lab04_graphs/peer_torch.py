#!/usr/bin/env python3
"""Lab 04 beside PyTorch: the same decode, token by token, at the same shapes.

    python3 labs/lab04_graphs/peer_torch.py [--json=FILE] [--out=DIR] [--quick] [--model=llama-3.2-1b ...]
"""
from __future__ import annotations

import pathlib
import sys

SCRIPT = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(SCRIPT.parents[2] / "common" / "python"))

import pk_torch_decode  # noqa: E402
from pk_peer import Knob  # noqa: E402

NAMES = ("tiny", "tiny-qwen2", "tiny-qwen3", "smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b", "qwen3-8b")
KNOBS = [  # what has no counterpart here keeps its default
    Knob("work", "", "decode", 1, 1, 0, 3, fixed=True,
         choices=("axpy", "decode", "prefill", "project")),
    Knob("model", "", "the decoder's shape, with seeded random weights", NAMES.index("qwen2.5-0.5b"), 0, 0,
         len(NAMES) - 1, choices=NAMES, several=True),
    Knob("form", "", "PyTorch's own", 0, 0, 0, 1, fixed=True, choices=("unfused", "fused")),
    Knob("prompt", "tokens", "P: in the cache before decode", 32, 5, 1, 1 << 17),
    Knob("tokens", "tokens", "T: steps of decode a repetition", 128, 6, 1, 1 << 20),
    Knob("top-k", "tokens", "greedy", 1, 1, 1, 64, fixed=True),
    Knob("graph", "", "as the variants say", 1, 1, 0, 1, fixed=True),
    Knob("capacity", "positions", "just enough", 0, 0, 0, 1 << 20, fixed=True),
    Knob("requests", "prompts", "for prefill", 8, 3, 1, 1 << 16, fixed=True),
    Knob("exact", "", "likewise", 0, 0, 0, 1, fixed=True),
    Knob("pool", "graphs", "likewise", 20, 4, 1, 20, fixed=True),
    Knob("part", "", "for one projection", 7, 7, 0, 9, fixed=True,
         choices=("q", "k", "v", "qkv", "o", "gate", "up", "gate+up", "down", "logits")),
    Knob("n", "floats", "for the AXPYs", 1 << 20, 1000, 1, 1 << 28, fixed=True),
    Knob("k", "steps", "likewise", 500, 20, 1, 100000, fixed=True),
    Knob("replays", "times", "likewise", 1, 1, 1, 1 << 16, fixed=True),
]
LAB = pk_torch_decode.Lab("lab04", "Execution graphs", SCRIPT, "prompt", KNOBS)

if __name__ == "__main__":
    sys.exit(pk_torch_decode.main(LAB, __doc__, sys.argv))
