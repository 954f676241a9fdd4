"""What `lab model` writes: a model's folder, whole or not at all, and safetensors files, which it also reads.

The format: 8 bytes little-endian length of a JSON header, the header, then the tensors' bytes without holes
(https://github.com/huggingface/safetensors, its README).
"""
from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import pathlib
import re
import shutil
import struct
import tempfile
from typing import Any, Callable, Iterator


class Failure(Exception):
    """What ends the tool with exit code 2: one line that says what was tried, what happened, what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split()))


# ---- tensors ----


@dataclasses.dataclass
class Tensor:
    """A tensor of a model. `read` gives its elements as bf16 bits, a numpy array of uint16 of that shape."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Any]


def to_bf16(values: Any, name: str) -> Any:
    """Float numbers to bf16 bits, rounded to the nearest, to even between two. Failure where one is not finite."""
    import numpy as np
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    if ((bits & 0x7F800000) == 0x7F800000).any() or ((rounded & 0x7F80) == 0x7F80).any():
        raise Failure(f"tensor {name} holds a number that is not finite in bf16; the file is damaged, or no model")
    return rounded


def _from_bf16(bits: Any, name: str) -> Any:
    if ((bits & 0x7F80) == 0x7F80).any():
        raise Failure(f"tensor {name} holds a number that is not finite; the model's file is damaged, or no model")
    return bits


# ---- safetensors ----

_MOST_HEADER_BYTES = 100_000_000  # as the safetensors library
_ITEM_BYTES = {"BF16": 2, "F16": 2, "F32": 4}


def _header_of(path: pathlib.Path) -> tuple[dict[str, Any], int]:
    """The tensors' entries, and where their bytes begin."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(_MOST_HEADER_BYTES, size - 8):
            raise Failure(f"{path} is no safetensors file, or not all of it is there: a header of {length} bytes")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Failure(f"{path} is no safetensors file: its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise Failure(f"{path} is no safetensors file: its header is no JSON object")
    header.pop("__metadata__", None)
    return header, 8 + length


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _check_entry(path: pathlib.Path, name: str, entry: Any, room: int) -> tuple[str, tuple[int, ...], int]:
    """The type, the shape and where the bytes begin, of an entry that is right."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (KeyError, TypeError, ValueError) as error:
        raise Failure(f"{path}: tensor {name} has no dtype, shape and data_offsets") from error
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise Failure(f"{path}: tensor {name} is of type {dtype}; only BF16, F16 and F32 are read: convert it first")
    if not all(map(_is_count, (*shape, begin, end))) or not begin <= end <= room:
        raise Failure(f"{path}: tensor {name} lies outside of the file; fetch the file again")
    if end - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise Failure(f"{path}: tensor {name} has {end - begin} bytes, which is not its shape; fetch the file again")
    return dtype, shape, begin


def _reader(path: pathlib.Path, name: str, dtype: str, shape: tuple[int, ...], begin: int) -> Callable[[], Any]:
    def read() -> Any:
        import numpy as np
        kind = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}[dtype]
        with path.open("rb") as file:
            file.seek(begin)
            values = np.fromfile(file, dtype=kind, count=math.prod(shape)).reshape(shape)
        return _from_bf16(values, name) if dtype == "BF16" else to_bf16(values, name)
    return read


def read_safetensors(path: pathlib.Path) -> dict[str, Tensor]:
    """The tensors of a file by name; nothing of them is read yet. Failure with what is wrong with it."""
    header, start = _header_of(path)
    room = path.stat().st_size - start
    tensors = {}
    for name, entry in header.items():
        dtype, shape, begin = _check_entry(path, name, entry, room)
        tensors[name] = Tensor(name, shape, _reader(path, name, dtype, shape, start + begin))
    return tensors


def write_safetensors(path: pathlib.Path, tensors: list[Tensor]) -> int:
    """All of them as bf16, in this order, one at a time in memory; how many bytes the file has."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        begin, end = end, end + 2 * math.prod(tensor.shape)
        header[tensor.name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that tensors are aligned
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            bits = tensor.read()
            if bits.shape != tensor.shape or bits.dtype.name != "uint16":
                raise Failure(f"tensor {tensor.name} came out as {bits.dtype} {bits.shape}, not as bf16 {tensor.shape}")
            file.write(bits.astype("<u2", copy=False).tobytes())
    return path.stat().st_size


# ---- text ----


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The object in a file; Failure where there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Failure(f"{path} is not JSON: {error}; fetch the file again") from error
    if not isinstance(document, dict):
        raise Failure(f"{path} holds no JSON object; fetch the file again")
    return document


def write_json(path: pathlib.Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# ---- folders ----

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")  # at most what pk_model_config has room for
_PARTIAL = ".partial-"


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Failure(f"'{name}' is no name for a model: small letters, digits, '.', '_', '-', 63 at most; --name=NAME")
    return name


def name_from(path: pathlib.Path) -> str:
    """A name made of a file's or folder's own."""
    stem = path.name[:-5] if path.name.lower().endswith(".gguf") else path.name
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:63]


@contextlib.contextmanager
def only_one(models: pathlib.Path) -> Iterator[None]:
    """Nobody else writes into the folder meanwhile; what one that was killed left there goes."""
    try:
        models.mkdir(parents=True, exist_ok=True)
        lock = open(models / ".lock", "w", encoding="ascii")
    except OSError as error:
        raise Failure(f"cannot write in {models}: {error.strerror}; check its permissions") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Failure(f"another ./lab model writes into {models}; wait until it has ended") from error
        for left in models.glob(_PARTIAL + "*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextlib.contextmanager
def working_folder(models: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside the models that is gone afterwards, whatever happened. Within only_one."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=models))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _synchronise(folder: pathlib.Path) -> None:
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def put_in_place(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Make the finished folder the model: what had the name goes only when the new one can take it."""
    folder.chmod(0o777 & ~_umask())  # mkdtemp's are private
    _synchronise(folder)
    if not target.exists():
        folder.rename(target)
        return
    with working_folder(target.parent) as aside:
        old = target.rename(aside / "old")
        try:
            folder.rename(target)
        except BaseException:
            old.rename(target)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
