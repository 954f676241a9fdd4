#!/usr/bin/env python3
"""Lab 07 beside PyTorch: the same decode, token by token, at the same shapes.

    python3 labs/lab07_decode/peer_torch.py [--json=FILE] [--out=DIR] [--quick] [--model=llama-3.2-1b ...]

Keys and values of the positions before step 0 are not drawn, as the lab's are, but a prompt's, and step 0 takes in what
follows it: so there is at least one. What is read and done in a step is the same.
"""
from __future__ import annotations

import pathlib
import sys

SCRIPT = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(SCRIPT.parents[2] / "common" / "python"))

import pk_torch_decode  # noqa: E402
from pk_peer import Knob  # noqa: E402

NAMES = ("tiny", "tiny-qwen2", "tiny-qwen3", "odd-64", "odd-80", "odd-128", "smollm2-135m", "qwen2.5-0.5b",
         "llama-3.2-1b", "qwen3-8b", "tiny-256")
OFF_ON = ("off", "on")
KNOBS = [  # what has no counterpart here keeps its default
    Knob("model", "", "the decoder's shape, with seeded random weights", NAMES.index("llama-3.2-1b"), 0, 0,
         len(NAMES) - 1, choices=NAMES, several=True),
    Knob("position", "keys", "P: keys and values in the cache before step 0", 512, 5, 1, 1 << 18),
    Knob("tokens", "tokens", "T: steps of decode a repetition", 32, 4, 1, 1 << 20),
    Knob("top-k", "tokens", "greedy", 1, 1, 1, 64, fixed=True),
    Knob("capacity", "positions", "just enough", 0, 0, 0, 1 << 20, fixed=True),
    Knob("blocks", "blocks", "of the lab's kernels", 0, 3, 0, 1 << 20, fixed=True),
    Knob("consumers", "warps", "likewise", 8, 2, 1, 8, fixed=True),
    Knob("ring", "KB", "likewise", 0, 6, 0, 208, fixed=True),
    Knob("chunk", "KB", "likewise", 16, 1, 1, 64, fixed=True),
    Knob("in-flight", "KB", "likewise", 0, 3, 0, 200, fixed=True),
    Knob("share-keys", "keys", "likewise", 48, 2, 1, 1 << 18, fixed=True),
    Knob("stop-after", "tokens", "never", 0, 0, 0, 1 << 20, fixed=True),
    Knob("ends", "", "none", 0, 0, 0, 1, fixed=True, choices=OFF_ON),
    Knob("stamps", "", "none", 0, 0, 0, 1, fixed=True, choices=OFF_ON),
    Knob("weights", "", "of matrices", 0, 0, 0, 2, fixed=True, choices=("bf16", "q8_0", "q4_k")),
    Knob("hold", "", "no", 0, 0, 0, 1, fixed=True, choices=OFF_ON),
]
LAB = pk_torch_decode.Lab("lab07", "Decode as one kernel", SCRIPT, "position", KNOBS)

if __name__ == "__main__":
    sys.exit(pk_torch_decode.main(LAB, __doc__, sys.argv))
