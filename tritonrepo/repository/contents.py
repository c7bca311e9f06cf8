"""What a model file holds, told by its first bytes and, of a zip archive, by the names in it; nothing is unpacked.

Source: git-lfs, docs/spec.md; pytorch, caffe2/serialize/inline_container.cc, torch/csrc/jit/serialization/import.cpp,
torch/serialization.py, torch/csrc/inductor/aoti_package/model_package_loader.cpp; safetensors, README.md; onnx,
onnx/onnx.proto; the zip format, APPNOTE.TXT 6.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import StrEnum

from tritonrepo.tree import File

HEAD = 64
END = struct.Struct("<4s4H2IH")
END_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
ENTRY = struct.Struct("<4s6H3I5H2I")
COMMENT = 0xFFFF
LISTING = 16 << 20
"""A longer list of names is not read."""

POINTER = b"version https://git-lfs"
LARGEST_POINTER = 1024
"""A Git LFS pointer is smaller."""

ONNX_FIELDS = (b"\x12", b"\x1a", b"\x22", b"\x28", b"\x32", b"\x3a", b"\x42")
"""The keys of ModelProto's other fields, one of which follows the IR version."""

MOST_IR = b"\x40"


PULL = "Run `git lfs pull` to get the file itself."
"""The hint for a pointer."""


class Content(StrEnum):
    """What a file holds, in words that follow "is"."""

    EMPTY = "empty"
    POINTER = "a Git LFS pointer"
    TORCHSCRIPT = "a TorchScript archive"
    CHECKPOINT = "a checkpoint of torch.save"
    EXPORTED = "a program of torch.export"
    COMPILED = "a package of AOTInductor"
    ARCHIVE = "a zip archive"
    CUT_OFF = "a zip archive whose end is missing"
    PICKLE = "a pickle"
    SAFETENSORS = "a safetensors file"
    ONNX = "an ONNX model"
    HDF5 = "an HDF5 file"
    XML = "an XML file"
    UNKNOWN = ""


STARTS = {
    b"\x89HDF\r\n\x1a\n": Content.HDF5,
    b"<?xml": Content.XML,
    b"<net ": Content.XML,
    b"\x80\x02": Content.PICKLE,
    b"\x80\x03": Content.PICKLE,
    b"\x80\x04": Content.PICKLE,
    b"\x80\x05": Content.PICKLE,
}


def content(file: File) -> Content:
    """Return what a file holds; UNKNOWN if its bytes do not say so surely."""
    head = file.read(0, HEAD) if file.size else b""
    if head.startswith(b"PK\x03\x04"):
        return _archive(file)
    if not file.size or (head.startswith(POINTER) and file.size < LARGEST_POINTER):
        return Content.POINTER if file.size else Content.EMPTY
    found = next((found for start, found in STARTS.items() if head.startswith(start)), Content.UNKNOWN)
    if head[8:10] == b'{"' and 0 < int.from_bytes(head[:8], "little") <= file.size - 8:
        return Content.SAFETENSORS
    if head[:1] == b"\x08" and head[1:2] < MOST_IR and head[2:3] in ONNX_FIELDS:
        return Content.ONNX
    return found


def is_archive(file: File) -> bool:
    """Return whether a file ends like a zip archive, whatever it begins with."""
    return b"PK\x05\x06" in _tail(file)


def _archive(file: File) -> Content:
    """Return what a zip archive holds, by the names below their one directory."""
    if not is_archive(file):
        return Content.CUT_OFF
    names = zip_names(file)
    inner = {name.partition("/")[2] for name in names or ()}
    if names is None:
        found = Content.UNKNOWN
    elif any("/data/aotinductor/" in f"/{name}" for name in names):
        found = Content.COMPILED
    elif inner & {"constants.pkl", "model.json"}:
        found = Content.TORCHSCRIPT
    elif "data.pkl" in inner:
        found = Content.CHECKPOINT
    else:
        exported = "archive_format" in inner or "serialized_exported_program.json" in inner | names
        found = Content.EXPORTED if exported else Content.ARCHIVE
    return found


def zip_names(file: File) -> frozenset[str] | None:
    """Return the names in a zip archive; None if its list is broken or too long to be read."""
    try:
        place = _listing(file)
        return None if place is None else frozenset(_names(file.read(*place)))
    except (struct.error, ValueError):
        return None


def _listing(file: File) -> tuple[int, int] | None:
    """Return offset and length of the list of names, which the end of the file says."""
    tail = _tail(file)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        return None
    _, *_, length, offset, _ = END.unpack_from(tail, at)
    if at >= LOCATOR.size and tail.startswith(b"PK\x06\x07", at - LOCATOR.size):
        _, _, where, _ = LOCATOR.unpack_from(tail, at - LOCATOR.size)
        found = END_64.unpack(file.read(where, END_64.size))
        length, offset = found[-2], found[-1]
    return (offset, length) if length <= LISTING and offset + length <= file.size else None


def _tail(file: File) -> bytes:
    """Return the last bytes of a file, as far from its end as that of a zip archive may start."""
    start = max(0, file.size - COMMENT - END.size)
    return file.read(start, file.size - start)


def _names(listing: bytes) -> Iterator[str]:
    at = 0
    while at < len(listing):
        found = ENTRY.unpack_from(listing, at)
        if found[0] != b"PK\x01\x02":
            raise ValueError(at)
        name, extra, comment = found[10:13]
        start = at + ENTRY.size
        yield listing[start : start + name].decode("utf-8", "replace")
        at = start + name + extra + comment
