# SPDX-License-Identifier: Apache-2.0
"""Recognises the kind of a foreign checkpoint by its bytes and names.

Pickles are read opcode by opcode, which gives the classes in them; none is ever loaded.
"""

from __future__ import annotations

import io
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from td3_driver.checkpoints.checkpoint import CheckpointError, one_line

_HEAD_BYTES = 512
_PICKLES = 5  # that torch's older format writes one after the other before the tensors
# Of tensors and plain data; what is left of a pickle's names says what it really holds.
_PLAIN_MODULES = (
    "torch._utils", "torch.storage", "collections", "builtins", "__builtin__",
    "_codecs", "copyreg", "copy_reg",
)  # fmt: skip
_REMEDY = "save its state_dict() where its code is, and convert that"

# What reading a member of a damaged or encrypted archive raises.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, IndexError, RuntimeError, ValueError, OSError,
    EOFError,
)  # fmt: skip

_BEGINS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run git lfs pull"),
    (b"td3_driver replay", "a replay file of this package, not a checkpoint"),
)
_IN_ZIP = (
    ("parameter_list", "an archive of Stable-Baselines 2 (TensorFlow)"),
    ("model.weights.h5", "a Keras model"),
    ("constants.pkl", f"a TorchScript module; {_REMEDY}"),
    ("archive_format", f"a program of torch.export; {_REMEDY}"),
)
_IN_FOLDER = (
    ("rllib_checkpoint.json", "a checkpoint of RLlib, whose weights are pickled with its code"),
    ("algorithm_state.pkl", "a checkpoint of RLlib, whose weights are pickled with its code"),
    ("policies", "a checkpoint of RLlib, whose weights are pickled with its code"),
    ("saved_model.pb", "a SavedModel of TensorFlow"),
    ("lightning_logs", "a folder of PyTorch Lightning; name the .ckpt file in it"),
    ("hparams.yaml", "a folder of PyTorch Lightning; name the .ckpt file in it"),
    ("_CHECKPOINT_METADATA", "a checkpoint of Orbax (JAX)"),
    ("policy.pth", "an unpacked Stable-Baselines3 archive; zip the files in it again"),
)


def check(path: Path) -> None:
    """Check that a file may be written by torch, or be a Stable-Baselines3 archive.

    Raises:
        CheckpointError: If it is of another kind, which is named, or damaged.
    """
    try:
        with path.open("rb") as file:
            what = _what(path, file)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if what:
        raise CheckpointError(f"{path}: cannot be converted: it is {what}")


def folder(path: Path) -> str:
    """The kind of a folder, by the names in it; empty if not known."""
    there = {entry.name for entry in path.iterdir()}
    return next((what for name, what in _IN_FOLDER if name in there), "")


def classes(file: BinaryIO) -> list[str]:
    """The classes and functions that a torch file or a pickle would call when loaded."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                found = [name for name in archive.namelist() if name.endswith("data.pkl")]
                file = io.BytesIO(archive.read(found[0]))
    except _DAMAGE:
        return []
    file.seek(0)
    return sorted({name for name in _names(file) if not _is_plain(name)})


def unreadable(path: Path, file: BinaryIO, error: Exception) -> str:
    """Why torch does not load a file, or a member of it: the code in it, or damage."""
    named = classes(file)
    if not named:
        file.seek(0)
        kind = "archive" if (start := file.read(4)) == b"PK\x03\x04" else "pickle"
        why = f"its {kind} cannot be read: {one_line(error)}"
        if start[:1] not in (b"P", b"\x80"):
            why = "its bytes are no archive and no pickle"
        elif "weights" in why.lower():  # torch's advice to run the code in it after all
            why = f"its {kind} is damaged"
        return f"{path}: is damaged, or none of the files that can be converted: {why}"
    what = "a whole module, pickled" if _is_module(named) else "pickled, with more than tensors"
    shown = ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
    return (
        f"{path}: cannot be read, at least not without running code in it: it is {what}"
        f" ({shown}); {_REMEDY}"
    )


def _is_module(named: list[str]) -> bool:
    return any("torch.nn." in name or name.startswith("__main__") for name in named)


def _what(path: Path, file: BinaryIO) -> str:
    """The kind of a file that cannot be converted; empty if it may be converted."""
    head = file.read(_HEAD_BYTES)
    if not head:
        return "empty"
    try:
        if zipfile.is_zipfile(file):
            return _of_zip(file)
    except _DAMAGE as error:
        return f"a damaged zip archive: {one_line(error)}"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive that is damaged or cut off"
    for start, what in _BEGINS:
        if head.startswith(start):
            return what
    size = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and 2 <= size < 1 << 30:
        return "a safetensors file; load it where its code is, and torch.save the state dicts"
    if path.suffix == ".onnx" or (head[:1] == b"\x08" and b"pytorch" in head):
        return "an ONNX model, an actor alone: it has no critic to learn with"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    return _of_text(head)


def _of_zip(file: BinaryIO) -> str:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if any(item.flag_bits & 1 for item in archive.infolist()):
            return "an encrypted zip archive"
        damaged = archive.testzip()  # torch checks no checksum
    if damaged is not None:
        return f"a damaged zip archive: the checksum of {damaged} is wrong"
    leaves = {name.rpartition("/")[2] for name in names}
    for name, what in _IN_ZIP:
        if name in leaves:
            return what
    if names and all(name.endswith(".npy") for name in names):
        return "an archive of NumPy arrays"
    if "policy.pth" in names or "data.pkl" in leaves:
        return ""
    if "policy.pth" in leaves:
        return "a zip archive with a Stable-Baselines3 model in a folder; zip that folder's files"
    shown = ", ".join(names[:3]) or "nothing"
    return f"a zip archive of neither torch nor Stable-Baselines3 (in it: {shown})"


def _of_text(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html")):
        return "a web page; download the file itself"
    if start.startswith(b"<"):
        return "an XML file"
    if start.startswith((b"{", b"[")):
        return "text, perhaps JSON"
    text = all(byte in b"\t\r\n" or byte >= 32 for byte in head)
    # The oldest pickles are text as well.
    return "text" if text and not head.startswith((b"(", b"c")) else ""


def _names(file: BinaryIO) -> Iterator[str]:
    """Every global that the first pickles of a file name, as module.name."""
    for _ in range(_PICKLES):
        texts: list[str] = []  # those pushed so far; a global's two are the last
        memo: list[str] = []
        try:
            for opcode, argument, _at in pickletools.genops(file):
                if opcode.name in ("GLOBAL", "INST"):
                    yield str(argument).replace(" ", ".")
                elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                    yield f"{texts[-2]}.{texts[-1]}"
                elif opcode.name == "MEMOIZE":
                    memo.append(texts[-1] if texts else "")
                elif opcode.name in ("BINGET", "LONG_BINGET"):
                    texts.extend(memo[int(argument or 0) :][:1])
                elif isinstance(argument, str):
                    texts.append(argument)
        # No pickle, or one that is cut off, or tells of more bytes than there is memory.
        except (ValueError, OverflowError, EOFError, MemoryError):
            return


def _is_plain(name: str) -> bool:
    module, _, leaf = name.rpartition(".")
    plain_torch = module == "torch" and (leaf.endswith("Storage") or leaf in ("Size", "device"))
    return plain_torch or module in _PLAIN_MODULES
