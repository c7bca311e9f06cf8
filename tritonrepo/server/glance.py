"""What a response over gRPC holds, read without making arrays of it: for who has hundreds of streams to follow.

Source of the binary form: Triton's docs/protocol/extension_binary_data.md, and of BYTES, tritonclient/utils.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from tritonrepo.server.calls import BROKEN, CallError

SIZES: Mapping[str, str] = {"UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q"} | {
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
}
"""Data type of integers → its letter in `struct`."""


def contents(response: Any) -> dict[str, tuple[Any, bytes]]:  # noqa: ANN401  tritonclient has no types
    """Return name → description and binary values of each output; raise CallError if they do not belong together."""
    outputs, raw = response.outputs, response.raw_output_contents
    if len(outputs) != len(raw):
        raise CallError(BROKEN, f"the response has {len(outputs)} outputs, but the contents of {len(raw)}")
    return {output.name: (output, content) for output, content in zip(outputs, raw, strict=True)}


def text(found: Mapping[str, tuple[Any, bytes]], name: str) -> bytes:
    """Return the texts of an output one after another, in UTF-8; nothing if the response lacks it."""
    if name not in found:
        return b""
    content, place, texts = found[name][1], 0, []
    while place < len(content):
        end = place + 4
        size = int.from_bytes(content[place:end], "little")
        texts.append(content[end : end + size])
        place = end + size
    if place != len(content):
        raise CallError(BROKEN, f"output {name} is cut off within a text")
    return texts[0] if len(texts) == 1 else b"".join(texts)


def number(found: Mapping[str, tuple[Any, bytes]], name: str) -> int | None:
    """Return the sum of an output of integers; None if the response lacks it."""
    if name not in found:
        return None
    output, content = found[name]
    letter = SIZES.get(output.datatype)
    if letter is None or len(content) % struct.calcsize(letter):
        return None
    return int(sum(struct.unpack(f"<{len(content) // struct.calcsize(letter)}{letter}", content)))
