"""Which file the backend opens for each served version of an ONNX model, and what is read of it."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from tritonrepo import repository, tree
from tritonrepo.repository.graphs import graphs
from tritonrepo.tree import Entry


def onnx_bytes(*dims: int | str | None) -> bytes:
    """Return an ONNX model that gives its FP32 input IN as OUT."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in ("IN", "OUT")]
    graph = helper.make_graph([helper.make_node("Identity", ["IN"], ["OUT"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found: bytes = model.SerializeToString()
    return found


def read(files: dict[str, bytes | None], config: str = "") -> repository.Model:
    """Return the model `m` with these files; None is a link out of the repository."""
    entries: dict[str, Entry] = {
        f"m/{path}": tree.Outside("/elsewhere", directory=False) if content is None else tree.of_bytes(content)
        for path, content in files.items()
    }
    entries["m/config.pbtxt"] = tree.of_text(f'backend: "onnxruntime"\n{config}')
    return repository.read(entries, repository.target()).models["m"]


ONE = onnx_bytes("batch", 4)


@pytest.mark.parametrize(
    ("config", "files", "found"),
    [
        pytest.param("", {"1/model.onnx": ONE}, [(1, "1/model.onnx", True)], id="default"),
        pytest.param("", {"1/model.onnx": ONE, "2/model.onnx": ONE}, [(2, "2/model.onnx", True)], id="latest"),
        pytest.param(
            "version_policy { all { } }",
            {"1/model.onnx": ONE, "2/x": b""},
            [(1, "1/model.onnx", True), (2, "2/model.onnx", False)],
            id="all",
        ),
        pytest.param('default_model_filename: "a.onnx"', {"1/a.onnx": ONE}, [(1, "1/a.onnx", True)], id="named"),
        pytest.param("", {"1/model.onnx/model.onnx": ONE}, [(1, "1/model.onnx/model.onnx", True)], id="directory"),
        pytest.param(
            'default_model_filename: "a"', {"1/a/a": ONE}, [(1, "1/a/model.onnx", False)], id="directory of another"
        ),
        pytest.param("", {"1/model.onnx": None}, [(1, "1/model.onnx", False)], id="link out"),
        pytest.param('default_model_filename: "../x"', {"1/y": b"", "x": ONE}, [(1, "x", True)], id="beside"),
    ],
)
def test_file(config: str, files: dict[str, bytes | None], found: list[tuple[int, str, bool]]) -> None:
    seen = graphs(read(files, config))
    assert [(graph.version, graph.path, graph.file is not None) for graph in seen] == found
    assert all((graph.header is not None) is (graph.file is not None) for graph in seen)


def test_header_and_fault() -> None:
    good, bad = read({"1/model.onnx": ONE}), read({"1/model.onnx": b"version https://git-lfs"})
    (graph,) = graphs(good)
    assert graph.header is not None
    assert [(tensor.name, tensor.data_type, tensor.dims) for tensor in graph.header.inputs] == [("IN", "FP32", (-1, 4))]
    assert graphs(good) is graphs(good)
    (broken,) = graphs(bad)
    assert (broken.file is not None, broken.header, bool(broken.fault)) == (True, None, True)


def test_other_backends_have_none() -> None:
    entries: dict[str, Entry] = {
        "m/config.pbtxt": tree.of_text('backend: "python"'),
        "m/1/model.onnx": tree.of_bytes(ONE),
    }
    assert graphs(repository.read(entries, repository.target()).models["m"]) == ()
    onnx.checker.check_model(onnx.load_from_string(ONE))
