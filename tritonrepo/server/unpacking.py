"""Outputs as a server sends them, over either protocol: what does not fit its own description is a ValueError.

Nothing that a server says about a size is believed before it is compared with what arrived, so that no response takes
more memory than its own bytes. Source of the forms: Triton's docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.server.tensors import Tensor, numpy_type, of_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 256 << 20
"""Maximum size of a response in bytes, over either protocol."""

LONGEST = 4000
"""How much of an error's words is kept, in characters: a traceback of Python fits."""

SHOWN = 60
"""How much of a value from the server a message quotes, in characters."""


class Described(NamedTuple):
    """What a response says about one of its outputs."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of its values."""
        return prod(self.shape)


def unpacked(head: object, content: bytes) -> dict[str, Tensor]:
    """Return the outputs that a JSON head describes; the binary ones follow one another in `content`."""
    found: dict[str, Tensor] = {}
    rest = memoryview(content)
    for described, output in _described(head):
        _once(described, found)
        parameters = output.get("parameters", {})
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            found[described.name] = of_json(described, output.get("data"))
            continue
        if type(size) is not int or not 0 <= size <= len(rest):
            raise ValueError(f"output {described.name} has {_quoted(size)} bytes, but {len(rest)} are left")
        found[described.name] = of_binary(described, rest[:size])
        rest = rest[size:]
    if rest:
        raise ValueError(f"{len(rest)} bytes follow the last output")
    return found


def of_messages(outputs: Sequence[Any], contents: Sequence[bytes]) -> dict[str, Tensor]:
    """Return the outputs of a gRPC response, whose contents are in the same order.

    Without contents, the values of each output are in the output itself (the KServe protocol's InferTensorContents).
    """
    if contents and len(contents) != len(outputs):
        raise ValueError(f"it has {len(outputs)} outputs, but the contents of {len(contents)}")
    found: dict[str, Tensor] = {}
    for number, output in enumerate(outputs):
        described = Described(output.name, output.datatype, _shape(output.name, [*output.shape]))
        _once(described, found)
        if contents:
            found[described.name] = of_binary(described, memoryview(contents[number]))
        else:
            values = [value for _, field in output.contents.ListFields() for value in field]
            found[described.name] = _of_list(described, values)
    return found


def of_json(described: Described, data: object) -> Tensor:
    """Return the output with these values from JSON: a list, which may be nested."""
    values = list(_flat(data if isinstance(data, list) else [data]))
    kinds = _kinds(described.datatype)
    for value in values:
        if type(value) not in kinds:
            raise ValueError(f"output {described.name} is {described.datatype}, but has the value {_quoted(value)}")
    return _of_list(described, values)


def of_event(name: str, datatype: str, value: object) -> Tensor:
    """Return the output with the value, or the list of values, of an event, which has no shapes."""
    count = sum(1 for _ in _flat(value)) if isinstance(value, list) else 1
    return of_json(Described(name, datatype, (count,)), value)


def _kinds(datatype: str) -> set[type]:
    """Return Python's types of a data type's values in JSON."""
    if datatype in {"BOOL", "BYTES"}:
        return {bool} if datatype == "BOOL" else {str}
    return {int} if "INT" in datatype else {int, float}


def _flat(values: list[Any]) -> Iterator[object]:
    stack = [iter(values)]
    while stack:
        for value in stack[-1]:
            if isinstance(value, list):
                stack.append(iter(value))
                break
            yield value
        else:
            stack.pop()


def _of_list(described: Described, values: Sequence[object]) -> Tensor:
    _counted(described, len(values))
    try:
        return of_values(described.name, described.datatype, values, described.shape)
    except (TypeError, OverflowError, ValueError) as error:
        raise ValueError(f"output {described.name} is not {described.datatype}: {error}") from None


def of_binary(described: Described, content: memoryview) -> Tensor:
    """Return the output with this content."""
    import numpy as np

    kind = numpy_type(described.datatype)
    if described.datatype == "BYTES":
        strings = list(_strings(described, content))
        _counted(described, len(strings))
        values: NDArray[Any] = np.array(strings, dtype=object)
    elif described.datatype == "BF16":
        _sized(described, content, 2)
        values = (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        _sized(described, content, np.dtype(kind).itemsize)
        values = np.frombuffer(content, dtype=kind)
    return Tensor(described.name, described.datatype, values.reshape(described.shape))


def _strings(described: Described, content: memoryview) -> Iterator[bytes]:
    """Yield strings, each after its length in four bytes."""
    place = 0
    while place < len(content):
        start = place + 4
        size = struct.unpack_from("<I", content, place)[0] if start <= len(content) else len(content)
        if start + size > len(content):
            raise ValueError(f"output {described.name} has a string that is cut off at byte {len(content)}")
        yield bytes(content[start : start + size])
        place = start + size


def _described(head: object) -> Iterator[tuple[Described, Mapping[str, Any]]]:
    outputs = head.get("outputs") if isinstance(head, dict) else None
    if not isinstance(outputs, list):
        raise ValueError(f"it must be an object with a list of outputs, not {_quoted(head)}")  # noqa: TRY004
    for output in outputs:
        if not isinstance(output, dict):
            raise ValueError(f"an output must be an object, not {_quoted(output)}")  # noqa: TRY004
        name, datatype = output.get("name"), output.get("datatype")
        if not isinstance(name, str) or not isinstance(datatype, str):
            raise ValueError(f"an output must have a name and a datatype: {_quoted(output)}")  # noqa: TRY004
        yield Described(name, datatype, _shape(name, output.get("shape"))), output


def _shape(name: str, shape: object) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"output {name} has the shape {_quoted(shape)}, but needs a list of sizes")
    return tuple(shape)


def _once(described: Described, found: Mapping[str, Tensor]) -> None:
    if described.name in found:
        raise ValueError(f"output {described.name} occurs twice")


def _counted(described: Described, count: int) -> None:
    if count != described.size:
        raise ValueError(f"output {described.name} has shape {_quoted([*described.shape])}, but {count} values")


def _sized(described: Described, content: memoryview, size: int) -> None:
    if len(content) != described.size * size:
        what = f"output {described.name} is {described.datatype} with shape {_quoted([*described.shape])}"
        raise ValueError(f"{what}, but has {len(content)} bytes")


def shortened(words: str) -> str:
    """Return a server's words, as many as a person reads."""
    return f"{words[:LONGEST]}…" if len(words) > LONGEST else words


def _quoted(value: object) -> str:
    """Return a value in JSON, shortened; of a container only as much as is shown."""
    import json

    pieces, length = [], 0
    for piece in json.JSONEncoder(default=str).iterencode(value):
        pieces.append(piece)
        length += len(piece)
        if length > SHOWN:
            break
    text = "".join(pieces)
    return f"{text[:SHOWN]}…" if len(text) > SHOWN else text
