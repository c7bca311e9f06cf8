"""The onnxruntime stand-in as plain Python, on real graphs; on the server: test_backends.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx_contract
import onnx_session
import pytest
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from tests.graphs import GRAPHS
from tests.tensors import Broken, outputs, refusal
from tritonrepo.server.backends.onnxruntime.model import TritonPythonModel


def tensor(name: str, kind: str, dims: list[int], **more: object) -> dict[str, Any]:
    return {"name": name, "data_type": f"TYPE_{kind}", "dims": dims, **more}


def config(x: dict[str, Any], y: dict[str, Any], max_batch_size: int = 8, **more: object) -> dict[str, Any]:
    return {"name": "m", "max_batch_size": max_batch_size, "input": [x], "output": [y], **more}


X, Y = tensor("x", "FP32", [2]), tensor("y", "FP32", [2])
TEXT = config(tensor("x", "STRING", [1]), tensor("y", "STRING", [1]))
LOOKUP = config(tensor("x", "INT64", [-1]), tensor("y", "FP32", [-1, 2]))
SCALAR = config(tensor("x", "FP32", [1]), tensor("y", "FP32", [1]), 0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The version directory that Triton names."""
    monkeypatch.setattr(pb_utils, "model_dir", str(tmp_path))
    return tmp_path


def loaded(place: Path, graph: str, given: dict[str, Any]) -> TritonPythonModel:
    GRAPHS[graph](place / "model.onnx")
    model = TritonPythonModel()
    model.initialize({"model_config": json.dumps(given)})
    return model


def asked(*names: str, **arrays: NDArray[Any]) -> pb_utils.InferenceRequest:
    inputs = [pb_utils.Tensor(name, array) for name, array in arrays.items()]
    return pb_utils.InferenceRequest(inputs=inputs, requested_output_names=names or ["y"], model_name="")


def controlled(name: str, values: str = "fp32_false_true") -> dict[str, Any]:
    control = {"name": name, "control": [{"kind": "CONTROL_SEQUENCE_START", values: [0, 1]}]}
    return {"sequence_batching": {"control_input": [control]}}


def floats(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def test_requests_are_joined_to_one_run_and_each_gets_its_rows(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(place, "add", config(X, Y))
    run, sizes = model.run, []

    def counted(names: list[str], feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        sizes.append(len(feed["x"]))
        return run(names, feed)

    monkeypatch.setattr(model, "run", counted)
    first, second = model.execute([asked(x=floats([1, 2])), asked(x=floats([3, 4], [5, 6]))])
    assert outputs(first) == {"y": [[2, 3]]}
    assert outputs(second) == {"y": [[4, 5], [6, 7]]}
    assert sizes == [3]


def test_requests_of_any_number_of_rows_are_joined_and_cut(place: Path) -> None:
    model = loaded(place, "add", config(X, Y))
    rows: list[list[list[float]]] = [[[1, 1]], [[2, 2], [3, 3]], [[4, 4]], [[5, 5], [6, 6], [7, 7]]]
    responses = model.execute([asked(x=floats(*given)) for given in rows])
    assert [outputs(one)["y"] for one in responses] == [
        [[2, 2]],
        [[3, 3], [4, 4]],
        [[5, 5]],
        [[6, 6], [7, 7], [8, 8]],
    ]


def test_without_batches_requests_are_run_one_by_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(place, "fixed", config(tensor("x", "FP32", [1, 2]), tensor("y", "FP32", [1, 2]), 0))
    monkeypatch.setattr(model, "run_joined", lambda _: pytest.fail("there is no batch"))
    responses = model.execute([asked(x=floats([1, 2])), asked(x=floats([3, 4]))])
    assert [outputs(one)["y"] for one in responses] == [[[2, 3]], [[4, 5]]]


def test_only_the_outputs_that_were_asked_for_are_returned(place: Path) -> None:
    """One request asks for none, alone and where another one of its batch asks for one."""
    model = loaded(place, "add", config(X, Y))
    nothing = pb_utils.InferenceRequest(inputs=[pb_utils.Tensor("x", floats([1, 2]))], requested_output_names=[])
    none, some = model.execute([nothing, asked(x=floats([3, 4]))])
    assert outputs(some) == {"y": [[4, 5]]}
    assert set(outputs(none)) <= {"y"}
    (alone,) = model.execute([nothing])
    assert outputs(alone) == {}


def test_requests_of_other_lengths_are_run_one_by_one(place: Path) -> None:
    """The table has the rows [0, 1], [2, 3], [4, 5], [6, 7]."""
    model = loaded(place, "lookup", LOOKUP)
    first, second = model.execute([asked(x=np.array([[0, 1]])), asked(x=np.array([[3]]))])
    assert outputs(first) == {"y": [[[0, 1], [2, 3]]]}
    assert outputs(second) == {"y": [[[6, 7]]]}


def test_a_bad_request_fails_alone(place: Path) -> None:
    model = loaded(place, "lookup", LOOKUP)
    broken = pb_utils.InferenceRequest(
        inputs=[Broken("x", np.array([[0]]))], requested_output_names=["y"], model_name=""
    )
    good, beyond, unread = model.execute([asked(x=np.array([[0]])), asked(x=np.array([[9]])), broken])
    assert outputs(good) == {"y": [[[0, 1]]]}
    assert re.match(r"onnx runtime error \d+: ", refusal(beyond))
    assert "out of data bounds" in refusal(beyond)
    assert refusal(unread) == "no memory is left"
    assert beyond.error().code() == pb_utils.TritonError.INVALID_ARG


def test_text_is_bytes_outside_and_what_is_no_utf8_is_replaced(place: Path) -> None:
    given = np.array([["Grüße".encode()], [b"caf\xe9"]], dtype=np.object_)
    (response,) = loaded(place, "text", TEXT).execute([asked(x=given)])
    assert outputs(response) == {"y": [["Grüße".encode()], ["caf\ufffd".encode()]]}


def test_a_scalar_has_the_configured_dims(place: Path) -> None:
    (response,) = loaded(place, "scalar", SCALAR).execute([asked(x=np.array([4], np.float32))])
    assert outputs(response) == {"y": [5]}


def test_an_initializer_keeps_its_own_value_where_none_is_sent(place: Path) -> None:
    given = config(X, Y, 0)
    given["input"].append(tensor("bias", "FP32", [1], optional=True))
    model = loaded(place, "initializer", given)
    own, sent = model.execute([asked(x=np.ones(2, np.float32)), asked(x=np.ones(2, np.float32), bias=floats([5])[0])])
    assert (outputs(own), outputs(sent)) == ({"y": [2, 2]}, {"y": [6, 6]})


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "another name": (
        "add",
        config(tensor("z", "FP32", [2]), Y),
        "unexpected inference input 'z', allowed inputs",
    ),
    "another type": (
        "add",
        config(tensor("x", "FP16", [2]), Y),
        "expects datatype TYPE_FP16 for input 'x', model provi",
    ),
    "no type of ONNX": ("add", config(tensor("x", "BF16", [2]), Y), "unsupported datatype TYPE_BF16 for input 'x'"),
    "another name of an output": (
        "add",
        config(X, tensor("z", "FP32", [2])),
        "unexpected inference output 'z', allowed outputs are: y",
    ),
    "another type of an output": (
        "text",
        config(tensor("x", "STRING", [1]), Y),
        "configuration expects datatype TYPE_FP32 for output 'y', model provides TYPE_BYTES",
    ),
    "dims that the graph fixes": (
        "add",
        config(tensor("x", "FP32", [-1]), Y),
        (
            "tensor 'x': the model expects 2 dimensions (shape [-1,2]) but the model configuration specifies 2 "
            "dimensions (an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, "
            "making complete shape [-1,-1])"
        ),
    ),
    "the batch in the dims": (
        "add",
        config(tensor("x", "FP32", [-1, 2]), Y),
        "specifies 3 dimensions (an initial batch dimension",
    ),
    "dims without the batch": (
        "add",
        config(X, Y, 0),
        "the model expects 2 dimensions (shape [-1,2]) but the model configuration specifies 1 dimensions (shape [2])",
    ),
    "an output with a dimension less": (
        "lookup",
        config(tensor("x", "INT64", [7]), tensor("y", "FP32", [7, 2])),
        "tensor 'y': the model expects 3 dimensions (shape [-1,-1,2])",
    ),
    "other dims": ("add", config(tensor("x", "FP32", [3]), Y), "making complete shape [-1,3])"),
    "output dims that are not exact": (
        "add",
        config(X, tensor("y", "FP32", [-1])),
        "tensor 'y': the model expects 2 dimensions (shape [-1,2])",
    ),
    "a batch that the graph has not": (
        "fixed",
        config(X, Y),
        "dimension must be -1; but shape expected by the model is",
    ),
    "too many inputs": (
        "add",
        {**config(X, Y), "input": [X, tensor("w", "FP32", [2])]},
        "configuration expects 2 inputs, model provides 1",
    ),
    "a scalar of two": (
        "scalar",
        config(tensor("x", "FP32", [2]), tensor("y", "FP32", [1]), 0),
        "scalar tensor 'x', should only provide 1",
    ),
    "a sequence": ("sequence", config(X, Y), "Unsupported ONNX Type 'ONNX_TYPE_SEQUENCE' for I/O 'y'"),
    "an optional input in batches": (
        "initializer",
        {**config(X, Y), "input": [tensor("bias", "FP32", [1], optional=True), X]},
        "optional input 'bias' is not supported for models that support batching",
    ),
    "ragged dims": (
        "add",
        config({**X, "allow_ragged_batch": True}, Y),
        "with shape [-1] for ragged input 'x', model provides [-1,2]",
    ),
    "ragged": (
        "rank_one",
        config(tensor("x", "FP32", [1], allow_ragged_batch=True), tensor("y", "FP32", [1])),
        "allow_ragged_batch needs the real onnxruntime backend",
    ),
    "a control of two": ("add", {**config(X, Y), **controlled("x")}, "control 'x' in model has dims [2] but dims [1]"),
    "a control of another type": (
        "control",
        {**config(tensor("x", "FP32", [1]), tensor("y", "FP32", [1])), **controlled("START", "int32_false_true")},
        "the model expects data-type FLOAT but the model configuration specifies data-type TYPE_INT32",
    ),
    "OpenVINO": (
        "add",
        config(X, Y, optimization={"execution_accelerators": {"cpu_execution_accelerator": [{"name": "openvino"}]}}),
        "'openvino' needs the real onnxruntime backend",
    ),
    "no number": (
        "add",
        config(X, Y, parameters={"intra_op_thread_count": {"string_value": "many"}}),
        "failed to convert 'many' to integral number",
    ),
    "no flag of the arena": (
        "add",
        config(X, Y, parameters={"enable_mem_arena": {"string_value": "maybe"}}),
        "failed to convert 'maybe' to boolean",
    ),
    "no flag": (
        "add",
        config(X, Y, parameters={"enable_mem_pattern": {"string_value": "maybe"}}),
        "failed to convert 'maybe' to boolean",
    ),
    "batch_output": ("add", config(X, Y, batch_output=[{}]), "batch_output needs the real onnxruntime backend"),
    "an unknown accelerator": (
        "add",
        config(X, Y, optimization={"execution_accelerators": {"cpu_execution_accelerator": [{"name": "mkl"}]}}),
        "unknown Execution Accelerator 'mkl' is requested",
    ),
    "a mode": (
        "add",
        config(X, Y, parameters={"execution_mode": {"string_value": "2"}}),
        "execution_mode are 0 or 1 but got 2",
    ),
}


@pytest.mark.parametrize(("graph", "given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_configuration_that_does_not_fit_is_refused(
    place: Path, graph: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        loaded(place, graph, given)


def test_a_file_that_is_not_there_or_no_graph_is_told(place: Path) -> None:
    given = {"model_config": json.dumps(config(X, Y))}
    with pytest.raises(ValueError, match=r"unable to find '.*model\.onnx' for model instance 'm'"):
        TritonPythonModel().initialize(given)
    (place / "model.onnx").write_text("version https://git-lfs", "utf-8")
    with pytest.raises(ValueError, match=r"^onnx runtime error \d+: "):
        TritonPythonModel().initialize(given)


def completed(place: Path, graph: str, given: dict[str, Any]) -> dict[str, Any]:
    GRAPHS[graph](place / "model.onnx")
    return TritonPythonModel.auto_complete_config(pb_utils.ModelConfig(json.dumps(given))).as_dict()


EMPTY: dict[str, Any] = {"name": "m", "max_batch_size": 0, "input": [], "output": []}


def test_an_empty_configuration_is_completed_from_the_graph(place: Path) -> None:
    found = completed(place, "add", EMPTY)
    assert found == {"name": "m", "max_batch_size": 4, "dynamic_batching": {}, "input": [X], "output": [Y]}
    assert any("autofilled max_batch_size to 4 for model 'm'" in line for line in pb_utils.lines)


def test_a_graph_without_batch_keeps_its_dims(place: Path) -> None:
    found = completed(place, "fixed", EMPTY)
    assert found == {**EMPTY, "input": [tensor("x", "FP32", [1, 2])], "output": [tensor("y", "FP32", [1, 2])]}


def test_a_rank_of_one_is_reshaped(place: Path) -> None:
    found = completed(place, "rank_one", EMPTY)
    assert found["input"] == [tensor("x", "FP32", [1], reshape={"shape": []})]


def test_what_is_complete_or_has_a_scheduler_is_left_alone(place: Path) -> None:
    assert completed(place, "add", config(X, Y, 2)) == config(X, Y, 2)
    found = completed(place, "add", {**EMPTY, "max_batch_size": 2, "sequence_batching": {}})
    assert (found["max_batch_size"], "dynamic_batching" in found) == (2, False)


def test_a_batch_that_the_graph_cannot_have_is_not_completed(place: Path) -> None:
    with pytest.raises(ValueError, match="autofill failed for model 'm': model does not support batching"):
        completed(place, "fixed", {**EMPTY, "max_batch_size": 2})


CONTROL = {**config(tensor("x", "FP32", [1]), tensor("y", "FP32", [1])), **controlled("START")}


def test_a_sequences_controls_are_held_against_the_graph(place: Path) -> None:
    assert loaded(place, "control", CONTROL).graph.inputs["START"] == onnx_contract.ValueInfo("TYPE_FP32", [-1, 1])
    with pytest.raises(ValueError, match="specified sequence control 'START', but model does not provide that input"):
        loaded(place, "add", {**config(X, Y), **controlled("START")})


def test_options_are_read_as_the_backend_reads_them() -> None:
    values = {"intra_op_thread_count": "3x", "inter_op_thread_count": "-1", "execution_mode": "1"}
    values |= {"enable_mem_arena": "OFF", "gpu_mem_limit": "1", "own": "x"}
    parameters = {name: {"string_value": text} for name, text in values.items()}
    given = {"parameters": parameters, "optimization": {"graph": {"level": 2}}}
    options = onnx_session.session_options(given)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 0)
    assert not options.enable_cpu_mem_arena
    assert "DISABLE" in str(options.graph_optimization_level)
    assert "PARALLEL" in str(options.execution_mode)
    assert list(onnx_session.ignored(given)) == [
        "parameter 'gpu_mem_limit' has no effect on a CPU",
        "parameter 'own' is not read by the onnxruntime backend",
    ]


def test_instances_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert onnx_session.fair_share({"instance_group": [{"count": 3}, {"count": 0}]}) == 2
    assert onnx_session.fair_share({"instance_group": [{"count": 9}]}) == 1
    assert onnx_session.fair_share({}) == 8


def test_a_model_file_may_have_another_name_or_be_a_directory(place: Path) -> None:
    GRAPHS["add"](place / "weights" / "model.onnx")
    model = TritonPythonModel()
    model.initialize({"model_config": json.dumps(config(X, Y, default_model_filename="weights"))})
    (response,) = model.execute([asked(x=floats([1, 2]))])
    assert outputs(response) == {"y": [[2, 3]]}


def test_what_has_no_effect_is_logged(place: Path) -> None:
    accelerator = {"execution_accelerators": {"gpu_execution_accelerator": [{"name": "tensorrt"}]}}
    loaded(place, "add", config(X, Y, optimization=accelerator))
    assert "model 'm': gpu_execution_accelerator 'tensorrt' has no effect on a CPU, ignored" in pb_utils.lines
