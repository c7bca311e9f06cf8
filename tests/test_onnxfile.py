"""The header of an ONNX file: what the onnx package writes is read, without its weights, and damage is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graphs import Value, node, onnx_file
from tritonrepo.onnxfile import BrokenError, Tensor, header
from tritonrepo.tree import File, of_bytes, on_disk

TYPES = {
    "FLOAT": "FP32",
    "UINT8": "UINT8",
    "INT8": "INT8",
    "UINT16": "UINT16",
    "INT16": "INT16",
    "INT32": "INT32",
    "INT64": "INT64",
    "STRING": "STRING",
    "BOOL": "BOOL",
    "FLOAT16": "FP16",
    "DOUBLE": "FP64",
    "UINT32": "UINT32",
    "UINT64": "UINT64",
    "BFLOAT16": "BF16",
    "COMPLEX64": None,
}


def written(place: Path, inputs: list[Value], outputs: list[Value], table: dict[str, object] | None = None) -> File:
    path = place / "model.onnx"
    onnx_file(path, inputs, outputs, node("Add", [value.name for value in inputs], [outputs[0].name]), table)
    return on_disk(path, path.stat().st_size)


@pytest.mark.parametrize(("kind", "data_type"), TYPES.items(), ids=TYPES)
def test_each_data_type_is_the_one_of_a_model_config(tmp_path: Path, kind: str, data_type: str | None) -> None:
    found = header(written(tmp_path, [Value("x", kind, ["batch", 3])], [Value("y", kind, [3])]))
    import onnx

    element = getattr(onnx.TensorProto, kind)
    assert found.inputs == (Tensor("x", data_type, (-1, 3), element=element),)
    assert found.outputs == (Tensor("y", data_type, (3,), element=element),)
    assert found.ir_version == 9
    assert found.opsets == {"": 17}


def test_tensors_have_the_order_and_the_dims_of_the_graph(tmp_path: Path) -> None:
    inputs = [Value("zeta", "INT64", ["b", "t"]), Value("alpha", "FLOAT", [1, 300, 7]), Value("", "BOOL", [])]
    found = header(written(tmp_path, inputs, [Value("y", "FLOAT", ["b", 2**40])]))
    assert [(tensor.name, tensor.dims) for tensor in found.inputs] == [
        ("zeta", (-1, -1)),
        ("alpha", (1, 300, 7)),
        ("", ()),
    ]
    assert found.outputs[0].dims == (-1, 2**40)


def test_an_input_with_an_initializer_is_none(tmp_path: Path) -> None:
    inputs = [Value("x", "FLOAT", ["b", 2]), Value("bias", "FLOAT", [2])]
    file = written(tmp_path, inputs, [Value("y", "FLOAT", ["b", 2])], {"bias": np.ones(2, np.float32)})
    assert [tensor.name for tensor in header(file).inputs] == ["x"]
    assert [tensor.name for tensor in header(file).overridable] == ["bias"]


def test_what_is_no_tensor_has_no_type(tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    sequence = helper.make_tensor_sequence_value_info("s", onnx.TensorProto.FLOAT, [2])
    unranked = helper.make_tensor_value_info("u", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([], "g", [], [sequence, unranked])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    found = header(on_disk(tmp_path / "m.onnx", (tmp_path / "m.onnx").stat().st_size))
    assert found.outputs == (Tensor("s", None, None, "sequence"), Tensor("u", "FP32", None, element=1))


def test_weights_are_skipped(tmp_path: Path) -> None:
    heavy = written(
        tmp_path,
        [Value("x", "FLOAT", ["b", 2])],
        [Value("y", "FLOAT", ["b", 2])],
        {"w": np.zeros(4_000_000, np.float32)},
    )
    read = 0

    def counted(offset: int, n: int) -> bytes:
        nonlocal read
        read += n
        return heavy.read(offset, n)

    assert header(File(heavy.size, counted)).inputs == (Tensor("x", "FP32", (-1, 2), element=1),)
    assert heavy.size > 16_000_000
    assert read < 1_000_000


BROKEN = {
    "nothing": (b"", "it has no graph"),
    "a text": (b"version https://git-lfs.github.com/spec/v1\n", "begins no field"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00", ""),
    "no version": (b"\x3a\x00", "it has no IR version"),
    "a field without number": (b"\x02\x00", "ends after byte 2"),
    "a group": (b"\x0b\x08\x01", "begins no field"),
    "a number without end": (b"\x08" + b"\xff" * 12, "has no end"),
    "a length past the end": (b"\x08\x09\x3a\xff\xff\xff\xff\x07", "ends after byte 8"),
    "a name past all names": (
        b"\x08\x09\x3a\x85\x80\x08" + b"\x5a\x81\x80\x08" + b"\x0a\xfd\xff\x07" + b"x" * 0x1FFFD,
        "has 131,069 bytes",
    ),
}


@pytest.mark.parametrize(("content", "why"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_model_is_an_error(content: bytes, why: str) -> None:
    with pytest.raises(BrokenError) as error:
        header(of_bytes(content))
    assert why in str(error.value)


def test_a_file_that_ends_early_is_an_error_wherever_it_ends(tmp_path: Path) -> None:
    whole = written(tmp_path, [Value("x", "FLOAT", ["b", 2])], [Value("y", "FLOAT", ["b", 2])]).content()
    assert len(whole) < 200
    graph = whole.index(b"\x3a")
    for end in range(graph + 2, graph + 2 + whole[graph + 1]):
        with pytest.raises(BrokenError):
            header(of_bytes(whole[:end]))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_an_error(content: bytes) -> None:
    try:
        header(of_bytes(content))
    except BrokenError as error:
        assert str(error)


def test_fields_of_any_wire_type_are_passed_over() -> None:
    tensor = b"\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x03"
    graph = b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x78\x05" + b"\x5a" + bytes([len(tensor)]) + tensor
    found = header(of_bytes(b"\x08\x09" + b"\x79" + bytes(8) + b"\x3a" + bytes([len(graph)]) + graph))
    assert found.inputs == (Tensor("x", "FP32", (3,), element=1),)
