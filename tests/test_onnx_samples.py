"""The header of an ONNX file on models made at random: what the onnx package reads, and on damaged ones an error."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.onnx_samples import damaged, expected, some_model
from tritonrepo.onnxfile import BrokenError, Header, header
from tritonrepo.onnxfile.types import ELEMENTS
from tritonrepo.tree import File, of_bytes, on_disk

MODELS = 400
DAMAGED = 2_000


def in_order(found: Header) -> Header:
    return replace(found, externals=tuple(sorted((each._replace(fault=None) for each in found.externals), key=repr)))


def test_models_are_read_as_the_onnx_package_reads_them() -> None:
    import onnx

    assert list(ELEMENTS) == [name.lower() for name, _ in onnx.TensorProto.DataType.items()][: len(ELEMENTS)]
    dice = random.Random("models")
    for _ in range(MODELS):
        content = some_model(dice).SerializeToString()
        assert in_order(header(of_bytes(content))) == expected(onnx.load_from_string(content))


def test_models_read_through_a_small_window_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random("windows")
    models = [some_model(dice).SerializeToString() for _ in range(40)]
    whole = [header(of_bytes(content)) for content in models]
    for name, size in (("FIRST", 64), ("NEXT", 32), ("LARGEST", 128)):
        monkeypatch.setattr(f"tritonrepo.onnxfile.wire.{name}", size)
    assert [header(of_bytes(content)) for content in models] == whole


def test_damaged_models_are_read_or_an_error() -> None:
    dice = random.Random("damage")
    models = [some_model(dice).SerializeToString() for _ in range(50)]
    broken = 0
    for number in range(DAMAGED):
        try:
            header(of_bytes(damaged(dice, models[number % len(models)])))
        except BrokenError:
            broken += 1
    assert DAMAGED // 4 < broken < DAMAGED


def test_what_protobuf_reads_is_never_an_error() -> None:
    """A damaged model that the onnx package still reads has a header, if it has a graph and an IR version."""
    import onnx
    from google.protobuf.message import DecodeError

    dice = random.Random("both")
    models = [some_model(dice).SerializeToString() for _ in range(50)]
    both = 0
    for number in range(DAMAGED // 2):
        content = damaged(dice, models[number % len(models)])
        try:
            model = onnx.load_from_string(content)
        except DecodeError:
            continue
        if model.HasField("graph") and model.HasField("ir_version"):
            header(of_bytes(content))
            both += 1
    assert both > DAMAGED // 40


def test_weights_of_more_than_2_gib_are_not_read(tmp_path: Path) -> None:
    """The file is a hole: 2.5 GiB of weights, and what follows them."""
    import onnx

    dice = random.Random("large")
    weights = onnx.TensorProto(name="w", data_type=1, dims=[5 << 27]).SerializeToString()
    model = some_model(dice)
    rest = model.SerializeToString()
    size, path = 5 << 29, tmp_path / "model.onnx"
    tensor = weights + b"\x4a" + varint(size)
    graph = b"\x2a" + varint(len(tensor) + size) + tensor
    with path.open("wb") as stream:
        stream.write(b"\x3a" + varint(len(graph) + size) + graph)
        stream.seek(size, 1)
        stream.write(rest)
    model.graph.initializer.add(name="w")
    read = 0

    def counted(offset: int, n: int) -> bytes:
        nonlocal read
        content = file.read(offset, n)
        read += len(content)
        return content

    file = on_disk(path, path.stat().st_size)
    assert in_order(header(File(file.size, counted))) == expected(model)
    assert read < 1 << 20


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])
