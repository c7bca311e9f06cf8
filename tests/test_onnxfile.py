"""The header of an ONNX file: what the onnx package writes is read, without its weights, and damage is an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graphs import Value, node, onnx_file
from tests.tabled import tabled
from tritonrepo.onnxfile import UNSEEN, BrokenError, External, Header, Tensor, external, header, used, wire
from tritonrepo.tree import File, of_bytes, on_disk

if TYPE_CHECKING:
    from onnx import TensorProto

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
    assert found.outputs == (
        Tensor("s", None, None, "sequence", written="seq(tensor(float))"),
        Tensor("u", "FP32", None, element=1),
    )


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
    "nothing": (b"", "it is empty"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00", "it is a pickle"),
    "a text": (b"hello\n", "it is a text file"),
    "a text that is cut in a character": (b"x" + "é".encode() * 300, "it is a text file"),
    "a page": (b"\n<!DOCTYPE html><html>", "it is an HTML page"),
    "a page without a type": (b"<HTML><head>", "it is an HTML page"),
    "zeros": (bytes(1000), "it is a file of zeros"),
    "an archive": (b"PK\x03\x04" + bytes(30), "it is a zip archive"),
    "weights": (b"\x40\x00\x00\x00\x00\x00\x00\x00" + b'{"a":{}}', "it is a safetensors file"),
    "a message without a graph": (b"\x08\x09", "it has no graph"),
    "no version": (b"\x3a\x00", "it has no IR version"),
    "a field without number": (b"\x02\x00\xff", "byte 0 begins no field"),
    "a group": (b"\x0b\x08\x01", "it is cut off"),
    "a number without end": (b"\x08" + b"\xff" * 12, "has no end"),
    "a length past the end": (
        b"\x08\x09\x3a\xff\xff\xff\xff\x07",
        "it is cut off: the field at byte 2 needs 2,147,483,647 more bytes",
    ),
    "a name past all names": (
        b"\x08\x09\x3a\x85\x80\x08" + b"\x5a\x81\x80\x08" + b"\x0a\xfd\xff\x07" + b"x" * 0x1FFFD,
        "has 131,069 bytes",
    ),
}


@tabled(("content", "why"), BROKEN.values(), ids=BROKEN)
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


def test_the_operators_of_all_graphs_and_the_models_own_functions() -> None:
    import onnx
    from onnx import helper

    own = helper.make_function(
        "my.own", "Twice", ["a"], ["b"], [node("Sum", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    empty = helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, None)
    deep = helper.make_graph([node("Neg", ["x"], ["z"])], "deep", [], [empty])
    inner = helper.make_node("If", ["c"], ["z"], then_branch=deep, else_branch=deep)
    graph = helper.make_graph(
        [
            helper.make_node("If", ["c"], ["y"], then_branch=helper.make_graph([inner], "g", [], [empty])),
            helper.make_node("Twice", ["y"], ["z"], domain="my.own"),
            helper.make_node("Identity", ["y"], ["w"], domain="ai.onnx"),
        ],
        *("g", [], []),
    )
    imports = [("ai.onnx", 16), ("my.own", 1), ("", 17), ("", 9)]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*each) for each in imports], functions=[own])
    found = header(of_bytes(model.SerializeToString()))
    assert found.operators == {("", "If"), ("", "Neg"), ("", "Identity"), ("my.own", "Twice")}
    assert found.functions == {("my.own", "Twice")}
    assert found.opsets == {"": 17, "my.own": 1}


def stored(name: str, **said: str) -> TensorProto:
    """Weights of two floats in another file."""
    import onnx

    tensor = onnx.TensorProto(name=name, data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
    for key, text in said.items():
        tensor.external_data.add(key=key, value=text)
    return tensor


def test_weights_in_other_files_wherever_they_are() -> None:
    from onnx import helper

    sub = helper.make_graph([], "s", [], [], [stored("b", location="b.bin", offset="4096", length="8")])
    inside = stored("unsaid", location="c.bin", length="-8", offset="abc")
    far = helper.make_function("f", "F", [], [], [helper.make_node("Constant", [], ["q"], value=inside)], [])
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=sub),
        helper.make_node("Constant", [], ["k"], value=stored("", location="k.bin")),
        helper.make_node("Other", [], ["k"], value=stored("o")),
    ]
    near = stored("n", location="never")
    near.data_location = 0
    graph = helper.make_graph(nodes, "g", [], [], [stored("w", location="w.bin", length="8"), near])
    file = of_bytes(helper.make_model(graph, functions=[far]).SerializeToString())
    assert sorted(header(file).externals) == [
        External("b", "b.bin", 4096, 8, 8, "subgraph"),
        External("k", "k.bin", None, None, 8, "constant"),
        External(
            "o", None, None, None, 8, "attribute", ("they name no file", "model format error! Missing 'location'")
        ),
        External("unsaid", "c.bin", None, None, 8, "function", ('"length" is "-8", which is not a number', "")),
        External("w", "w.bin", None, 8, 8),
    ]
    assert external(file) == {"b.bin", "k.bin", "c.bin", "w.bin"}


def test_the_names_that_a_graph_uses() -> None:
    import onnx
    from onnx import helper

    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    sub = helper.make_graph([node("Neg", ["outer"], ["z"])], "s", [], [out])
    graph = helper.make_graph([helper.make_node("If", ["c"], ["unused"], then_branch=sub)], "g", [], [out])
    assert used(of_bytes(helper.make_model(graph).SerializeToString())) == {"c", "outer", "y"}


def test_before_ir_version_4_no_input_can_be_left_out() -> None:
    graph = field(5, field(8, b"x")) + field(15, field(1, field(8, b"s"))) + field(11, field(1, b"x"))
    graph += field(11, field(1, b"s")) + field(11, field(1, b"y"))
    new, old = (header(of_bytes(b"\x08" + bytes([version]) + field(7, graph))) for version in (4, 3))
    assert [tensor.name for tensor in new.overridable] == ["x", "s"]
    assert [tensor.name for tensor in new.inputs] == [tensor.name for tensor in old.inputs] == ["y"]
    assert old.overridable == ()


def field(number: int, content: bytes) -> bytes:
    """A field of a message with a length below 128."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def test_messages_that_come_twice_are_merged() -> None:
    """What protobuf does: the fields of both count, and of a scalar or a oneof the last."""
    shape = field(2, field(1, b"\x08\x03"))
    twice = field(2, field(4, b"") + field(1, b"\x08\x01" + shape)) + field(2, field(1, b"\x08\x07" + shape))
    info = field(1, b"a") + field(1, b"b") + twice
    assert header(of_bytes(b"\x08\x08\x08\x09" + field(7, field(11, info)) + field(7, field(12, info)))) == Header(
        9,
        (Tensor("b", "INT64", (3, 3), element=7),),
        (Tensor("b", "INT64", (3, 3), element=7),),
    )


def test_messages_in_one_another_are_followed_as_far_as_protobuf_does() -> None:
    """In TypeProto, a sequence of sequences; 100 messages are the limit."""
    import onnx

    for depth, fine in ((48, True), (60, False), (5000, False)):
        model = onnx.ModelProto(ir_version=8)
        content = b""
        for _ in range(depth):
            content = long(4, long(1, content))
        model_bytes = b"\x08\x08" + long(7, long(11, long(2, content)))
        if fine:
            assert header(of_bytes(model_bytes)).inputs[0].written == "seq(" * depth + ")" * depth
            model.ParseFromString(model_bytes)
        else:
            with pytest.raises(BrokenError, match="more than 100 messages"):
                header(of_bytes(model_bytes))


def long(number: int, content: bytes) -> bytes:
    """A field of a message of any length."""
    head, rest = b"", len(content)
    while rest > 127:
        head, rest = head + bytes([rest & 127 | 128]), rest >> 7
    return bytes([number << 3 | 2]) + head + bytes([rest]) + content


def test_graphs_in_one_another_end_with_an_error() -> None:
    content = b""
    for _ in range(3000):
        content = long(1, long(5, long(6, content)))
    with pytest.raises(BrokenError, match="more than 100 messages"):
        header(of_bytes(b"\x08\x08" + long(7, content)))


def test_a_file_of_too_many_fields_is_not_looked_at_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_FIELDS", 1000)
    with pytest.raises(BrokenError) as error:
        header(of_bytes(b"\x08\x08" * 200_000))
    assert str(error.value).startswith(UNSEEN)


@tabled("node", [b"\x0a\x01x\x0a", b"\x0a\x05x", b"\x0a\x80", b"\x0a\x01x\x2a\x04\x2a\x02\x08\x80", b"\x02\x00"])
def test_a_node_that_its_fields_do_not_fill_is_an_error(node: bytes) -> None:
    for end in (b"", field(12, field(1, b"y"))):
        with pytest.raises(BrokenError):
            header(of_bytes(b"\x08\x08" + field(7, field(1, node) + end)))


def test_a_file_of_too_many_nodes_or_names_is_not_looked_at_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_FIELDS", 1000)
    monkeypatch.setattr("tritonrepo.onnxfile.nodes.MOST_NAMES", 100)
    names = b"".join(field(1, field(1, b"%d" % number)) for number in range(200))
    for nodes, what in ((field(1, b"") * 2000, "1,000 fields"), (names, "100 names")):
        with pytest.raises(BrokenError, match=f"{UNSEEN}.* {what}"):
            header(of_bytes(b"\x08\x08" + long(7, nodes)))


def test_a_file_that_became_shorter_is_an_error() -> None:
    content = field(7, field(11, field(1, b"x"))) + b"\x08\x09"
    with pytest.raises(BrokenError):
        header(File(len(content), lambda offset, n: content[offset : min(offset + n, 7)]))


def test_a_group_is_passed_over() -> None:
    """Protobuf keeps groups as unknown fields; ONNX Runtime 1.16 to 1.28 load such a file."""
    group = b"\xf3\x07" + b"\x08\x01" + b"\x0a\x01x" + b"\x0d" + bytes(4) + b"\x0b\x0c" + b"\xf4\x07"
    assert header(of_bytes(group + b"\x08\x09" + field(7, b""))).ir_version == 9
    for broken in (b"\xf3\x07\x08\x01\xfc\x07", b"\xf4\x07", b"\xf3\x07\x0a\x7f"):
        with pytest.raises(BrokenError):
            header(of_bytes(b"\x08\x09" + field(7, b"") + broken))
