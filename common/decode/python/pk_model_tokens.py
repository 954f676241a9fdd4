"""Text and tokens: vocab.bin (common/decode/pk_vocab.h), tokenizer.json from what a GGUF file says of its tokenizer,
chat templates, text to token ids.

A byte-level vocabulary (GPT-2's) writes each byte as a printable character; a SentencePiece one writes U+2581 for a
blank and <0x0A> for a byte.
"""
from __future__ import annotations

import datetime
import pathlib
import re
import struct
from typing import Any

from pk_model_files import Failure, read_json
from pk_model_shape import Model, number

# ---- tokens to bytes ----


def _byte_of_character() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 characters are themselves, the other bytes follow from U+0100 on.
    Source: openai/gpt-2, src/encoder.py, bytes_to_unicode."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{chr(byte): byte for byte in printable}, **{chr(256 + i): byte for i, byte in enumerate(others)}}


_BYTE_OF = _byte_of_character()


def byte_level(token: str) -> bytes:
    """What a token of a byte-level vocabulary adds to the text."""
    if all(character in _BYTE_OF for character in token):
        return bytes(_BYTE_OF[character] for character in token)
    return token.encode("utf-8", errors="replace")


def sentence_piece(token: str) -> bytes:
    """What a token of a SentencePiece vocabulary adds to the text."""
    byte = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", token)
    return bytes([int(byte[1], 16)]) if byte else token.replace("\u2581", " ").encode("utf-8", errors="replace")


_MAGIC = b"PKVOCAB1"
_MOST_BYTES = (1 << 32) - 1  # what an offset can say


def vocab_file(vocab: list[bytes]) -> bytes:
    """The bytes of vocab.bin."""
    offsets = [0]
    for token in vocab:
        offsets.append(offsets[-1] + len(token))
    if offsets[-1] > _MOST_BYTES:
        raise Failure(f"the vocabulary has {offsets[-1]} bytes, too many for vocab.bin")
    return _MAGIC + struct.pack(f"<{len(offsets) + 2}I", len(vocab), 0, *offsets) + b"".join(vocab)


def read_vocab(path: pathlib.Path) -> list[bytes]:
    """The tokens of a vocab.bin; Failure where it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}; ./lab model import writes it") from error
    count = struct.unpack_from("<I", data, 8)[0] if len(data) >= 16 and data[:8] == _MAGIC else -1
    start = 16 + 4 * (count + 1)
    if count < 0 or start > len(data):
        raise Failure(f"{path} is no vocab.bin, or not all of it is there; import the model again")
    offsets = struct.unpack_from(f"<{count + 1}I", data, 16)
    if offsets[0] != 0 or start + offsets[-1] != len(data) or any(a > b for a, b in zip(offsets, offsets[1:])):
        raise Failure(f"{path} is damaged: its offsets are not in order; import the model again")
    return [data[start + begin:start + end] for begin, end in zip(offsets, offsets[1:])]


# ---- from GGUF ----

_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5  # llama.cpp's token types; 1 is an ordinary one
_ENDS_BY_NAME = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "</s>")
_MOST_ENDS = 8  # PK_MODEL_MOST_ENDS

_LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# How text is cut into words before merges, by GGUF's tokenizer.ggml.pre: a kind, and its expression.
# Sources: the models' own tokenizer.json; llama.cpp, src/llama-vocab.cpp.
_CUTS = {
    "gpt-2": ("gpt2", ""), "gpt2": ("gpt2", ""), "smollm": ("digits", ""),
    "llama-bpe": ("split", _LLAMA3), "llama3": ("split", _LLAMA3), "llama-v3": ("split", _LLAMA3),
    "qwen2": ("split", _QWEN2),
}
_ADDS_BEGIN = ("llama-bpe", "llama3", "llama-v3")  # where the file does not say
_COMPOSES = ("qwen2",)  # Unicode's NFC before all else


def _cutter(pre: str) -> Any:
    from tokenizers import Regex, pre_tokenizers
    kind, expression = _CUTS[pre]
    if kind == "split":
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if kind == "gpt2":
        return words
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])


def _byte_level_tokenizer(tokens: list[str], types: list[int], merges: list[str], pre: str, begin: str | None) -> str:
    """The text of tokenizer.json. `begin`: a token that stands before every text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=pairs,
                                     ignore_merges=_CUTS[pre][1] == _LLAMA3))
    tokenizer.pre_tokenizer = _cutter(pre)
    tokenizer.decoder = decoders.ByteLevel()
    if pre in _COMPOSES:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token, kind in zip(tokens, types)
                                  if kind == _CONTROL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token, kind in zip(tokens, types)
                          if kind == _USER_DEFINED])
    if begin is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, tokens.index(begin))])
    return tokenizer.to_str()


def _adds_nothing(kind: int) -> bool:
    return kind in (_CONTROL, _UNUSED)


def _bytes_of(token: str, kind: int, byte_level_vocab: bool) -> bytes:
    if _adds_nothing(kind):
        return b""
    if kind == _USER_DEFINED:
        return token.encode("utf-8", errors="replace")
    return byte_level(token) if byte_level_vocab else sentence_piece(token)


def _ends(fields: Any, tokens: list[str], types: list[int]) -> list[int]:
    """What ends a text: the tokens that the file names, then control tokens by which families end a turn or text."""
    named = [fields.get(f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot", "eom")]
    known = {token: i for i, token in enumerate(tokens) if types[i] == _CONTROL}
    ends = [token for token in [*named, *(known.get(name) for name in _ENDS_BY_NAME)] if token is not None]
    return list(dict.fromkeys(int(token) for token in ends))[:_MOST_ENDS]


def _tokenizer_config(fields: Any, tokens: list[str], begin: int | None, ends: list[int],
                      adds_begin: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": adds_begin}
    if begin is not None:
        document["bos_token"] = tokens[begin]
    if ends:
        document["eos_token"] = tokens[ends[0]]
    template = fields.get("tokenizer.chat_template")
    return {**document, "chat_template": template} if template else document


def from_gguf(model: Model, fields: Any) -> None:
    """Fills in what the model's file says of tokens: vocab, tokenizer, and the config's begin and end."""
    tokens = fields.get("tokenizer.ggml.tokens")
    if tokens is None:
        model.notes.append("the file has no tokenizer: token ids only, no text")
        return
    kinds, pre = fields.get("tokenizer.ggml.model", ""), fields.get("tokenizer.ggml.pre", "")
    types = fields.get("tokenizer.ggml.token_type", [1] * len(tokens))
    begin, ends = fields.get("tokenizer.ggml.bos_token_id"), _ends(fields, tokens, types)
    if len(tokens) > model.config["vocab_size"] or len(types) != len(tokens):
        raise Failure(f"the file has {len(tokens)} tokens of {len(types)} types, and {model.config['vocab_size']} rows "
                      "of the embedding; it is damaged, or no model")
    if any(not 0 <= token < len(tokens) for token in [*ends, begin or 0]):
        raise Failure("the file's token that begins or ends a text is none of its tokens; it is damaged")
    if ends:
        model.config["eos_token_id"] = ends
    if begin is not None:
        model.config["bos_token_id"] = begin
    if kinds not in ("gpt2", "llama"):
        model.notes.append(f"a tokenizer of the kind '{kinds}' is not known here: token ids only, no text")
        return
    model.vocab = [_bytes_of(token, kind, kinds == "gpt2") for token, kind in zip(tokens, types)]
    adds_begin = bool(fields.get("tokenizer.ggml.add_bos_token", pre in _ADDS_BEGIN)) and begin is not None
    model.tokenizer_config = _tokenizer_config(fields, tokens, begin, ends, adds_begin)
    if kinds != "gpt2" or pre not in _CUTS:
        model.notes.append(f"no text to tokens: how '{pre or kinds}' cuts text is not known here; import the model's "
                           "HuggingFace folder for that")
        return
    merges = fields.need("tokenizer.ggml.merges")
    model.tokenizer = _byte_level_tokenizer(tokens, types, merges, pre, tokens[begin] if adds_begin else None)


# ---- from a HuggingFace folder ----


def _kind_of_vocab(tokenizer: dict[str, Any]) -> str:
    """By the decoder: "ByteLevel", "SentencePiece" or another's name."""
    decoder = tokenizer.get("decoder") or {}
    kinds = [decoder.get("type"), *(part.get("type") for part in decoder.get("decoders", []))]
    if "ByteLevel" in kinds:
        return "ByteLevel"
    return "SentencePiece" if "ByteFallback" in kinds or "Metaspace" in kinds else str(kinds[0])


def _vocab_of(tokenizer: dict[str, Any], count: int) -> list[bytes] | None:
    kind = _kind_of_vocab(tokenizer)
    to_bytes = {"ByteLevel": byte_level, "SentencePiece": sentence_piece}.get(kind)
    ordinary = (tokenizer.get("model") or {}).get("vocab")
    if to_bytes is None or not isinstance(ordinary, dict):
        return None
    vocab = [b""] * count
    for token, i in ordinary.items():
        if 0 <= i < count:
            vocab[i] = to_bytes(token)
    for added in tokenizer.get("added_tokens", []):
        if 0 <= added["id"] < count:
            vocab[added["id"]] = b"" if added.get("special") else added["content"].encode()
    return vocab


def from_huggingface(model: Model, folder: pathlib.Path) -> None:
    """Fills in what the folder says of tokens; tokenizer.json is taken as it is."""
    path = folder / "tokenizer.json"
    if not path.exists():
        model.notes.append(f"no tokenizer.json in {folder}: token ids only, no text")
        return
    tokenizer = read_json(path)
    try:
        model.vocab = _vocab_of(tokenizer, number(model.config, "vocab_size"))
    except (AttributeError, KeyError, TypeError) as error:
        raise Failure(f"{path} is no tokenizer of the package tokenizers ({error!r}); fetch it again") from error
    if model.vocab is None:
        model.notes.append(f"what tokens of the kind '{_kind_of_vocab(tokenizer)}' add to a text is not known here: "
                           "no text")
    model.tokenizer = path.read_text(encoding="utf-8")
    if (folder / "tokenizer_config.json").exists():
        model.tokenizer_config = read_json(folder / "tokenizer_config.json")
    if (folder / "chat_template.jinja").exists():
        model.tokenizer_config["chat_template"] = (folder / "chat_template.jinja").read_text(encoding="utf-8")


# ---- text to ids ----


def _text_of(token: Any) -> str:
    return token.get("content", "") if isinstance(token, dict) else token or ""


def _template(folder: pathlib.Path, config: dict[str, Any]) -> str:
    template = config.get("chat_template")
    if isinstance(template, list):  # several, by name
        template = next((entry.get("template") for entry in template if entry.get("name") == "default"), None)
    if not isinstance(template, str):
        raise Failure(f"the model in {folder} has no chat template; leave out --chat")
    return template


def as_chat(folder: pathlib.Path, prompt: str) -> str:
    """The text that asks the model for its answer to the prompt. The template is the model's: it runs in a sandbox."""
    import jinja2
    import jinja2.sandbox
    config = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)
    sandbox = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                           extensions=["jinja2.ext.loopcontrols"])
    sandbox.globals["raise_exception"] = refuse
    sandbox.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    try:
        return sandbox.from_string(_template(folder, config)).render(
            messages=[{"role": "user", "content": prompt}], add_generation_prompt=True,
            bos_token=_text_of(config.get("bos_token")), eos_token=_text_of(config.get("eos_token")))
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise Failure(f"the chat template of {folder} failed: {error}; leave out --chat") from error


def encode(folder: pathlib.Path, text: str, chat: bool) -> list[int]:
    """The text's token ids; with `chat`, of a conversation that begins with it."""
    import tokenizers
    path = folder / "tokenizer.json"
    if not path.exists():
        raise Failure(f"{folder} has no tokenizer.json, so no text can be turned into tokens")
    try:
        text.encode("utf-8")
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except UnicodeEncodeError as error:
        raise Failure("the text is not UTF-8; set the terminal's encoding to UTF-8") from error
    except Exception as error:  # the package raises no other kind
        raise Failure(f"{path} cannot be read by the package tokenizers: {error}; import the model again") from error
    return tokenizer.encode(as_chat(folder, text) if chat else text, add_special_tokens=not chat).ids


def decode(folder: pathlib.Path, ids: list[int]) -> str:
    """The text that these tokens make; control tokens add nothing."""
    vocab = read_vocab(folder / "vocab.bin")
    wrong = [token for token in ids if not 0 <= token < len(vocab)]
    if wrong:
        raise Failure(f"{wrong[0]} is no token of {folder}, which has 0 to {len(vocab) - 1}")
    return b"".join(vocab[token] for token in ids).decode("utf-8", errors="replace")
