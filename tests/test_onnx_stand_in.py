"""The onnxruntime stand-in's judgment of a configuration, row by row, on graphs that are written down."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import onnx_contract
import onnx_session
import onnxruntime
import pytest
import triton_python_backend_utils as pb_utils
from onnx_contract import Graph, ValueInfo

from tests.tabled import tabled

TYPES = {
    "tensor(bool)": "TYPE_BOOL", "tensor(double)": "TYPE_FP64", "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16", "tensor(int16)": "TYPE_INT16", "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64", "tensor(int8)": "TYPE_INT8", "tensor(string)": "TYPE_STRING",
    "tensor(uint16)": "TYPE_UINT16", "tensor(uint32)": "TYPE_UINT32", "tensor(uint64)": "TYPE_UINT64",
    "tensor(uint8)": "TYPE_UINT8", "tensor(bfloat16)": "TYPE_INVALID",
}  # fmt: skip
"""onnxruntime_backend, src/onnxruntime_utils.cc, ConvertFromOnnxDataType."""


def argument(name: str, kind: str, shape: list[object]) -> Any:  # noqa: ANN401  in the name of onnxruntime's NodeArg
    return SimpleNamespace(name=name, type=kind, shape=shape)


@tabled(("kind", "data_type"), TYPES.items(), ids=TYPES)
def test_each_type_of_onnx_is_one_of_triton(kind: str, data_type: str) -> None:
    assert onnx_contract.tensors([argument("x", kind, [])]) == {"x": ValueInfo(data_type, [])}


def test_what_has_no_number_is_any_size_and_names_are_sorted() -> None:
    found = onnx_contract.tensors(
        [argument("b", "tensor(float)", ["n", None, 3, 0, -1]), argument("a", "tensor(float)", [])]
    )
    assert [*found.items()] == [("a", ValueInfo("TYPE_FP32", [])), ("b", ValueInfo("TYPE_FP32", [-1, -1, 3, 0, -1]))]


KINDS = {"seq(tensor(float))": "SEQUENCE", "map(int64,tensor(float))": "MAP", "optional(tensor(float))": "OPTIONAL",
         "sparse_tensor(float)": "SPARSETENSOR"}  # fmt: skip


@pytest.mark.parametrize(("kind", "word"), KINDS.items(), ids=KINDS)
def test_what_is_no_tensor_is_refused(kind: str, word: str) -> None:
    with pytest.raises(ValueError, match=f"^Unsupported ONNX Type 'ONNX_TYPE_{word}' for I/O 'x', expected "):
        onnx_contract.tensors([argument("x", kind, [])])


def tensor(name: str, *dims: int, kind: str = "FP32", **more: object) -> dict[str, Any]:
    return {"name": name, "data_type": f"TYPE_{kind}", "dims": list(dims), **more}


def info(*dims: int, kind: str = "FP32") -> ValueInfo:
    return ValueInfo(f"TYPE_{kind}", list(dims))


def graph(x: ValueInfo | None = None, y: ValueInfo | None = None, **more: ValueInfo) -> Graph:
    inputs = {"x": x or info(-1, 2)} | {n: v for n, v in more.items() if not n.startswith("i_")}
    return Graph(inputs, {"y": y or info(-1, 2)}, {n: v for n, v in more.items() if n.startswith("i_")})


X, Y = tensor("x", 2), tensor("y", 2)


def config(*inputs: dict[str, Any], y: dict[str, Any] = Y, batch: int = 8, **more: object) -> dict[str, Any]:
    return {"name": "m", "max_batch_size": batch, "input": [*inputs], "output": [y], **more}


def control(name: str, **values: object) -> dict[str, Any]:
    return {
        "sequence_batching": {"control_input": [{"name": name, "control": [values or {"fp32_false_true": [0, 1]}]}]}
    }


START = "unable to load model 'm', "
DIMS = "model 'm', tensor 'x': the model expects 2 dimensions (shape [-1,2]) but the model configuration specifies "
BATCHED = "max_batch_size > 0 followed by the explicit tensor shape"
SHOULD = "the shape should have at least 1 dimension and the first dimension must be -1"
RAGGED = "configuration expects model provides input with shape [-1] for ragged input"
FITS: dict[str, tuple[dict[str, Any], Graph, str]] = {
    "as the graph": (config(X), graph(), ""),
    "any size of the graph": (config(tensor("x", 5)), graph(info(-1, -1)), ""),
    "any size in the config": (config(tensor("x", -1)), graph(info(-1, -1)), ""),
    "any size in the config only": (
        config(tensor("x", -1)), graph(),
        f"{DIMS}2 dimensions (an initial batch dimension because {BATCHED}, making complete shape [-1,-1])",
    ),
    "an output of a size that the graph leaves open": (
        config(X, y=tensor("y", 5)), graph(y=info(-1, -1)),
        "model 'm', tensor 'y': the model expects 2 dimensions (shape [-1,-1])",
    ),
    "an output left open too": (config(X, y=tensor("y", -1)), graph(y=info(-1, -1)), ""),
    "no batch": (config(tensor("x", 4, 2), batch=0, y=tensor("y", -1, 2)), graph(), ""),
    "no batch, in words": (
        config(X, batch=0), graph(),
        f"{DIMS}1 dimensions (shape [2])",
    ),
    "a batch that is fixed": (
        config(X), graph(info(1, 2)),
        f"model 'm', tensor 'x': for the model to support batching {SHOULD}; but shape expected by the model is [1,2]",
    ),
    "reshaped": (config(tensor("x", 1, 2, reshape={"shape": [2]})), graph(), ""),
    "reshaped to nothing": (config(tensor("x", 1, reshape={"shape": []})), graph(info(-1)), ""),
    "reshaped otherwise": (
        config(tensor("x", 2, reshape={"shape": [1, 2]})), graph(), "model 'm', tensor 'x': the model expects 2",
    ),
    "a scalar of one": (config(tensor("x", 1, 1), batch=0), graph(ValueInfo("TYPE_FP32", []), info(2)), ""),
    "a scalar of two": (
        config(tensor("x", 1, 2), batch=0), graph(ValueInfo("TYPE_FP32", [])),
        START + "scalar tensor 'x', should only provide 1 in the model configuration when the model doesn't support "
        "batching. Model configuration provided: [1,2].",
    ),
    "an input too few": (
        config(X), graph(w=info(-1, 2)), START + "configuration expects 1 inputs, model provides 2",
    ),
    "an optional input in its place": (
        config(X, tensor("i_b", 1, optional=True), batch=0, y=tensor("y", -1, 2)), graph(info(2), i_b=info(1)), "",
    ),
    "an initializer that is not optional": (
        config(X, tensor("i_b", 1)), graph(i_b=info(1)), START + "configuration expects 2 inputs, model provides 1",
    ),
    "an optional input in batches": (
        config(X, tensor("i_b", 1, optional=True)), graph(i_b=info(1)),
        START + "optional input 'i_b' is not supported for models that support batching",
    ),
    "an unknown input": (
        config(tensor("z", 2)), graph(i_b=info(1)), "unexpected inference input 'z', allowed inputs are: i_b, x",
    ),
    "an unknown output": (
        config(X, y=tensor("z", 2)), graph(), "unexpected inference output 'z', allowed outputs are: y",
    ),
    "a type that ONNX does not have": (
        config(tensor("x", 2, kind="BF16")), graph(), "unsupported datatype TYPE_BF16 for input 'x' for model 'm'",
    ),
    "another type": (
        config(X, y=tensor("y", 2, kind="INT64")), graph(),
        START + "configuration expects datatype TYPE_INT64 for output 'y', model provides TYPE_FP32",
    ),
    "text in the server's word": (
        config(X), graph(info(-1, 2, kind="STRING")),
        START + "configuration expects datatype TYPE_FP32 for input 'x', model provides TYPE_BYTES",
    ),
    "a graph's type that Triton does not have": (
        config(X), graph(info(-1, 2, kind="INVALID")),
        START + "configuration expects datatype TYPE_FP32 for input 'x', model provides TYPE_<invalid>",
    ),
    "a control": (config(X, **control("s")), graph(s=info(-1, 1)), ""),
    "a control without batches": (
        config(tensor("x", 3, 2), batch=0, y=tensor("y", -1, 2), **control("s")), graph(s=info(1)), "",
    ),
    "an integer control": (config(X, **control("s", int32_false_true=[0, 1])), graph(s=info(-1, 1, kind="INT32")), ""),
    "a control that is a flag": (
        config(X, **control("s", bool_false_true=[False, True])), graph(s=info(-1, 1, kind="BOOL")), "",
    ),
    "a control with its own type": (
        config(X, **control("s", data_type="TYPE_UINT64")), graph(s=info(-1, 1, kind="UINT64")), "",
    ),
    "a control of another type": (
        config(X, **control("s")), graph(s=info(-1, 1, kind="INT32")),
        START + "sequence control 's', the model expects data-type INT32 but the model configuration specifies "
        "data-type TYPE_FP32",
    ),
    "a control of two": (
        config(X, **control("s")), graph(s=info(-1, 2)),
        START + "sequence control 's' in model has dims [2] but dims [1] is expected",
    ),
    "a control that the graph has not": (
        config(X, **control("s")), graph(),
        "configuration specified sequence control 's', but model does not provide that input",
    ),
    "batch_input": (
        config(X, batch_input=[{}]), graph(),
        START + "batch_input needs the real onnxruntime backend: this CPU stand-in does not have it",
    ),
    "batch_output": (config(X, batch_output=[{}]), graph(), START + "batch_output needs the real"),
    "a sequence's state": (
        config(X, sequence_batching={"state": [{}]}), graph(), START + "sequence_batching.state needs the real",
    ),
    "empty ones of these": (config(X, batch_input=[], batch_output=[], sequence_batching={"state": []}), graph(), ""),
    "ragged": (
        config(tensor("x", 1, allow_ragged_batch=True)), graph(info(-1)), START + "allow_ragged_batch needs the real",
    ),
    "ragged and of two dimensions": (
        config(tensor("x", 2, allow_ragged_batch=True)), graph(),
        f"{START}{RAGGED} 'x', model provides [-1,2]",
    ),
    "ragged and optional": (
        config(tensor("x", 2, batch=0), tensor("i_b", 1, optional=True, allow_ragged_batch=True), batch=0),
        graph(info(2), i_b=info(-1)),
        f"{START}{RAGGED} 'i_b', which is not supported for optional input",
    ),
}  # fmt: skip


@tabled(("given", "of", "message"), FITS.values(), ids=FITS)
def test_a_configuration_fits_its_graph_or_is_refused_in_the_backends_words(
    given: dict[str, Any], of: Graph, message: str
) -> None:
    if message:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            onnx_contract.validate(given, of)
    else:
        onnx_contract.validate(given, of)


def completed(given: dict[str, Any], of: Graph) -> tuple[dict[str, Any], list[str]]:
    made, warned = pb_utils.ModelConfig(json.dumps({"name": "m"} | given)), list[str]()
    onnx_contract.complete(made, of, warned.append)
    return made.as_dict(), warned


EMPTY: dict[str, Any] = {"max_batch_size": 0, "input": [], "output": []}
SIZES: dict[str, tuple[dict[str, Any], Graph, tuple[int, bool, int]]] = {
    "none that it could have": (EMPTY, graph(), (4, True, 1)),
    "one": (EMPTY | {"max_batch_size": 1}, graph(), (1, False, 0)),
    "two": (EMPTY | {"max_batch_size": 2}, graph(), (2, True, 0)),
    "none that it cannot have": (EMPTY, graph(info(1, 2)), (0, False, 0)),
    "none with a fixed output": (EMPTY, graph(y=info(1, 2)), (0, False, 0)),
    "none with a scalar": (EMPTY, graph(y=ValueInfo("TYPE_FP32", [])), (0, False, 0)),
    "sequences": (EMPTY | {"max_batch_size": 2, "sequence_batching": {}}, graph(), (2, False, 0)),
}


@tabled(("given", "of", "found"), SIZES.values(), ids=SIZES)
def test_a_batch_size_is_completed_where_the_graph_has_a_batch(
    given: dict[str, Any], of: Graph, found: tuple[int, bool, int]
) -> None:
    made, warned = completed(given, of)
    assert (made["max_batch_size"], "dynamic_batching" in made, len(warned)) == found


def test_tensors_are_completed_only_where_none_are_listed() -> None:
    made, _ = completed(EMPTY | {"input": [X]}, graph(info(-1, 3), info(-1, 3)))
    assert (made["input"], made["output"]) == ([X], [tensor("y", 3)])
    made, _ = completed(EMPTY | {"batch_input": [{}]}, graph())
    assert (made["input"], made["output"]) == ([], [tensor("y", 2)])
    made, _ = completed(EMPTY, graph(ValueInfo("TYPE_INT8", []), info(-1)))
    assert (made["input"], made["output"]) == ([tensor("x", 1, kind="INT8")], [tensor("y", -1)])


COMPLETE: dict[str, tuple[dict[str, Any], bool]] = {
    "both": ({"input": [X], "output": [Y]}, True),
    "no output": ({"input": [X], "output": []}, False),
    "no input": ({"input": [], "output": [Y]}, False),
    "a batch_input": ({"input": [], "batch_input": [{}], "output": [Y]}, True),
}


@pytest.mark.parametrize(("given", "complete"), COMPLETE.values(), ids=COMPLETE)
def test_a_config_is_complete_with_inputs_and_outputs(given: dict[str, Any], *, complete: bool) -> None:
    assert onnx_contract.is_complete(given) is complete


def options(**values: str) -> onnxruntime.SessionOptions:
    return onnx_session.session_options({"parameters": {n: {"string_value": v} for n, v in values.items()}})


Level, Mode = onnxruntime.GraphOptimizationLevel, onnxruntime.ExecutionMode
LEVELS = {-1: Level.ORT_ENABLE_BASIC, 0: Level.ORT_ENABLE_ALL, 1: Level.ORT_ENABLE_EXTENDED, 2: Level.ORT_DISABLE_ALL,
          3: Level.ORT_ENABLE_ALL}  # fmt: skip


@tabled("level", LEVELS)
def test_triton_has_its_own_numbers_for_levels(level: int) -> None:
    """docs/user_guide/optimization.md; onnxruntime_backend, src/onnxruntime.cc."""
    assert onnx_session.graph_level({"optimization": {"graph": {"level": level}}}) == LEVELS[level]
    assert onnx_session.graph_level({}) == Level.ORT_ENABLE_ALL


@tabled(
    ("text", "yes"),
    [("true", True), ("ON", True), ("1", True), ("False", False), ("off", False), ("0", False)],
)
def test_flags_are_read_in_any_case(text: str, *, yes: bool) -> None:
    assert onnx_session.boolean(text) is yes
    assert options(enable_mem_arena=text).enable_cpu_mem_arena is yes
    assert options(enable_mem_pattern=text).enable_mem_pattern is yes


@pytest.mark.parametrize(("text", "number"), [("3", 3), (" -3", -3), ("+3x", 3), ("03", 3)])
def test_numbers_are_read_as_c_reads_them(text: str, number: int) -> None:
    assert onnx_session.integer(text) == number


def test_threads_are_those_of_the_config_or_a_fair_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
    for text, threads in (("2", 2), ("0", 6), ("-1", 6)):
        assert options(intra_op_thread_count=text).intra_op_num_threads == threads
    for text, threads in (("2", 2), ("0", 0), ("-1", 0)):
        assert options(inter_op_thread_count=text).inter_op_num_threads == threads
    assert (options().intra_op_num_threads, options().inter_op_num_threads) == (6, 0)
    assert onnx_session.fair_share({"instance_group": [{"count": 2}, {}]}) == 2


def test_the_usual_options() -> None:
    usual = options()
    assert (usual.execution_mode, usual.enable_cpu_mem_arena) == (Mode.ORT_SEQUENTIAL, True)
    assert [usual.get_session_config_entry(f"session.{kind}_op.allow_spinning") for kind in ("intra", "inter")] == [
        "0", "0"
    ]  # fmt: skip
    assert options(execution_mode="1").execution_mode == Mode.ORT_PARALLEL
    own = options(**{"session.use_device_allocator_for_initializers": "1"})
    assert own.get_session_config_entry("session.use_device_allocator_for_initializers") == "1"
    shrinks = {"memory.enable_memory_arena_shrinkage": {"string_value": "cpu:0"}}
    run = onnx_session.run_options({"parameters": shrinks})
    assert run.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"


IGNORED = {
    "arena_extend_strategy": "has no effect on a CPU", "cudnn_conv_algo_search": "has no effect on a CPU",
    "do_copy_in_default_stream": "has no effect on a CPU", "gpu_mem_limit": "has no effect on a CPU",
    "own": "is not read by the onnxruntime backend",
}  # fmt: skip
READ = ["enable_mem_arena", "enable_mem_pattern", "execution_mode", "inter_op_thread_count", "intra_op_thread_count",
        "memory.enable_memory_arena_shrinkage", "session.use_device_allocator_for_initializers"]  # fmt: skip


def test_what_is_not_read_is_named() -> None:
    given = {"parameters": {name: {"string_value": "1"} for name in [*READ, *IGNORED]}}
    assert [*onnx_session.ignored(given)] == [f"parameter '{name}' {why}" for name, why in sorted(IGNORED.items())]


def test_the_backends_words_for_an_error() -> None:
    said = onnx_session.runtime_words(RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : bad input"))
    assert said == "onnx runtime error 2: bad input"
    assert onnx_session.runtime_words(RuntimeError("plain")) == "plain"
