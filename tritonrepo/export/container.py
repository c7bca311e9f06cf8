"""The GGUF container: metadata and the location of each tensor (ggml, docs/gguf.md, versions 2 and 3, little-endian).

`gguf.GGUFReader` makes an array of every string of a vocabulary, which takes seconds. This module reads the header in
one pass and uses the `gguf` library only for tensors: the sizes of quantized blocks, and their values.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tritonrepo.diagnostics import Stop, fatal

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
MOST_DIMENSIONS = 4
ALIGNMENT = 32
BLOCKS = 256
"""Quantized blocks that are a row for gguf; each has 32 values or more."""


class Place(NamedTuple):
    """A tensor's dims in row-major order, the number of its type, and its first byte in the file."""

    shape: tuple[int, ...]
    kind: int
    start: int


@dataclass(frozen=True, slots=True)
class Container:
    """The header of a GGUF file."""

    path: Path
    metadata: Mapping[str, Value]
    tensors: Mapping[str, Place]

    def text(self, key: str) -> str:
        """Return a string; raise Stop if it is missing or of another type."""
        value = self.metadata.get(key)
        if isinstance(value, str):
            return value
        raise self._unlike(key, "a string")

    def whole(self, key: str, default: int | None = None) -> int:
        """Return an integer of 0 or more; raise Stop if it is of another type, or missing without a default."""
        value = self.metadata.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise self._unlike(key, "an integer of 0 or more")

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number above 0; raise Stop if it is of another type, or missing without a default."""
        value = self.metadata.get(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value)
        raise self._unlike(key, "a number above 0")

    def texts(self, key: str) -> list[str]:
        """Return a list of strings; raise Stop if it is missing or of another type."""
        value = self.metadata.get(key)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return cast("list[str]", value)
        raise self._unlike(key, "a list of strings")

    def _unlike(self, key: str, needed: str) -> Stop:
        value = self.metadata.get(key)
        message = f"{key} is missing" if value is None else f"{key} must be {needed}, not {value!r:.40}"
        return fatal("gguf-metadata", str(self.path), message, "Use another GGUF file.")

    def array(self, name: str) -> NDArray[Any]:
        """Return a tensor's values as FP32, dequantized; raise Stop if it is missing or incomplete."""
        import numpy as np
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        place = self.tensors.get(name)
        if place is None:
            raise fatal("gguf-tensor", str(self.path), f"tensor {name} is missing", "Use another GGUF file.")
        try:
            kind = GGMLQuantizationType(place.kind)
            block, nbytes = GGML_QUANT_SIZES[kind]
            *rows, columns = place.shape
            stored = (*rows, columns // block * nbytes)
            data: NDArray[Any] = np.memmap(self.path, np.uint8, "r", place.start, stored)
            if block > 1:  # gguf works on 16 rows at once, whatever their length
                data = data.reshape(-1, math.gcd(data.size // nbytes, BLOCKS) * nbytes)
            return np.asarray(dequantize(data, kind), np.float32).reshape(place.shape)
        except (NotImplementedError, ValueError, KeyError) as error:
            raise fatal(
                "gguf-tensor",
                str(self.path),
                f"tensor {name} of type {place.kind} and shape {list(place.shape)} cannot be read: {error}",
                "Download the file again. If that does not help, use a file in F16, Q8_0, Q4_K or Q4_0.",
            ) from error


def read(path: Path) -> Container:
    """Read the header; raise Stop (`gguf-unreadable`) if it is missing, not GGUF, truncated or another version."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            metadata, tensors = _header(_Cursor(data))
    except OSError as error:
        raise fatal(
            "gguf-unreadable", str(path), f"the GGUF file cannot be read: {error.strerror}", "Check the path."
        ) from error
    except (_Unlike, ValueError, struct.error) as error:
        # mmap raises ValueError for an empty file; UnicodeDecodeError is also a ValueError.
        raise _broken(path, f"the GGUF file is damaged or incomplete: {error}") from error
    return Container(path, metadata, tensors)


def _broken(path: Path, message: str) -> Stop:
    return fatal("gguf-unreadable", str(path), message, "Download the file again, and check its size and SHA-256.")


class _Unlike(Exception):  # noqa: N818  it becomes a diagnostic where the file is known
    """The reason why bytes cannot be a GGUF header."""


class _Cursor:
    """Reads values one after the other; one that ends after the file raises struct.error or _Unlike."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def number(self, kind: int) -> Scalar:
        layout = "<" + FORMATS[kind]
        (value,) = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return cast("Scalar", value)

    def count(self, kind: int = 10) -> int:
        return cast("int", self.number(kind))

    def text(self) -> str:
        end = self.count() + self.at
        if end > len(self.data):
            raise _Unlike(
                f"a string in the header ends at byte {end:,}, but the file has only {len(self.data):,} bytes"
            )
        value = self.data[self.at : end].decode()
        self.at = end
        return value

    def scalar(self, kind: int) -> Scalar:
        if kind == STRING:
            return self.text()
        if kind not in FORMATS:
            raise _Unlike(f"unknown value type {kind} at byte {self.at:,}")
        return self.number(kind)

    def value(self) -> Value:
        kind = self.count(4)
        if kind != ARRAY:
            return self.scalar(kind)
        kind, length = self.count(4), self.count()
        if kind not in FORMATS:
            return [self.scalar(kind) for _ in range(length)]
        layout = f"<{length}{FORMATS[kind]}"
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return list(values)


def _header(cursor: _Cursor) -> tuple[dict[str, Value], dict[str, Place]]:
    if cursor.data[:4] != MAGIC:
        raise _Unlike(f"it begins with {cursor.data[:4]!r}, not {MAGIC!r}")
    cursor.at = 4
    if (version := cursor.count(4)) not in VERSIONS:
        raise _Unlike(f"its version is {version}, but only the little-endian versions 2 and 3 are supported")
    tensor_count, key_count = cursor.count(), cursor.count()
    metadata: dict[str, Value] = {}
    for _ in range(key_count):
        key = cursor.text()
        if key in metadata:
            raise _Unlike(f"duplicate key {key}")
        metadata[key] = cursor.value()
    return metadata, _places(cursor, tensor_count, metadata.get("general.alignment", ALIGNMENT))


def _places(cursor: _Cursor, count: int, alignment: Value) -> dict[str, Place]:
    if not isinstance(alignment, int) or alignment < 1:
        raise _Unlike(f"general.alignment must be at least 1, not {alignment}")
    found: dict[str, Place] = {}
    for _ in range(count):
        name, dimensions = cursor.text(), cursor.count(4)
        if dimensions > MOST_DIMENSIONS:
            raise _Unlike(f"tensor {name} has {dimensions} dimensions, but at most {MOST_DIMENSIONS} are allowed")
        # The file has the fastest dimension first, NumPy last.
        shape = tuple(cursor.count() for _ in range(dimensions))[::-1]
        found[name] = Place(shape, cursor.count(4), cursor.count())
    data = -(-cursor.at // alignment) * alignment
    return {name: place._replace(start=data + place.start) for name, place in found.items()}
