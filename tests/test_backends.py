"""The Python-based backends that stand in for onnxruntime and vLLM, judged on the real Triton server."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import tritonrepo
from tests.counts import counts, executions
from tests.graphs import GRAPHS, add_graph
from tests.processes import killed
from tritonrepo.gateway.gate import GatewayOptions
from tritonrepo.gateway.serving import gateway
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.process import start
from tritonrepo.server.runtime import find

if TYPE_CHECKING:
    from tritonclient.grpc import InferInput, InferResult
    from tritonclient.utils import InferenceServerException

BACKENDS = Path(tritonrepo.__file__).parent / "server" / "backends"
Array = np.ndarray[Any, Any]
Given = str | bool | Array


class Server(NamedTuple):
    """A running Triton: its addresses and the state of its models as name → reason ('' when ready)."""

    http: str
    grpc: str
    models: dict[str, str]


@contextmanager
def triton(repository: Path, env: Mapping[str, str], *, auto_complete: bool) -> Iterator[Server]:
    """The server on a model repository; models that do not load are part of what is tested."""
    backends = {name: BACKENDS / name for name in ("onnxruntime", "vllm")}
    launch = Launch(repository, find(), mode=Mode.EXPLICIT, auto_complete=auto_complete, backends=backends)
    launch = replace(launch, environment=env, extra_args=["--load-model=*"])
    with killed(start(launch)) as running:
        states = {m.name: "" if m.state == "READY" else m.reason for m in Client(Endpoint(running.http)).index()}
        yield Server(f"127.0.0.1:{running.ports.http}", running.grpc, states)


def tensor(name: str, kind: str, dims: Sequence[int], extra: str = "") -> str:
    return f'{{ name: "{name}" data_type: TYPE_{kind} dims: {list(dims)} {extra} }}'


def onnx_config(x: str, y: str, extra: str = "", max_batch_size: int = 8) -> str:
    return (
        f'backend: "onnxruntime" max_batch_size: {max_batch_size} input [ {x} ] output [ {y} ] '
        f"instance_group [ {{ kind: KIND_CPU count: 1 }} ] {extra}"
    )


def parameter(name: str, value: str) -> str:
    return f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}'


X, Y = tensor("x", "FP32", [2]), tensor("y", "FP32", [2])
BIAS = tensor("bias", "FP32", [1], "optional: true")
FLAGS = ["stream", "exclude_input_in_output", "return_finish_reason", "return_cumulative_logprob", "return_logprobs"]
FLAGS += ["return_num_input_tokens", "return_num_output_tokens"]
LLM_INPUTS = [tensor("text_input", "STRING", [1]), tensor("image", "STRING", [-1], "optional: true")]
LLM_INPUTS += [tensor(name, "STRING", [1], "optional: true") for name in ("sampling_parameters", "embedding_request")]
LLM_INPUTS += [tensor(name, "BOOL", [1], "optional: true") for name in FLAGS]
LLM_OUTPUTS = [tensor(name, "STRING", [-1]) for name in ("text_output", "finish_reason", "logprobs")]
LLM_OUTPUTS += [tensor("cumulative_logprob", "FP32", [-1]), tensor("num_input_tokens", "UINT32", [1])]
LLM_OUTPUTS += [tensor("num_output_tokens", "UINT32", [-1])]
START = '{ name: "START" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] }'
START_CONTROL = f"sequence_batching {{ control_input [ {START} ] }}"
SHORT_LLM = 'backend: "vllm" instance_group [ { kind: KIND_MODEL count: 1 } ]'
DECOUPLED = "model_transaction_policy { decoupled: true }"
FULL_LLM = f"{SHORT_LLM} max_batch_size: 0 input [ {', '.join(LLM_INPUTS)} ] output [ {', '.join(LLM_OUTPUTS)} ] "


def place(repository: Path, name: str, config: str) -> Path:
    """A model with its configuration; its version directory is returned, for the files."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config, encoding="utf-8")
    return version


def place_onnx(repository: Path, name: str, graph: str, config: str) -> None:
    GRAPHS[graph](place(repository, name, config) / "model.onnx")


def place_llm(repository: Path, name: str, arguments: object, config: str = FULL_LLM + DECOUPLED) -> None:
    (place(repository, name, config) / "model.json").write_text(json.dumps(arguments), encoding="utf-8")


# What is refused with a complete configuration, as Triton gives each kind of setting to the backend: name → (graph,
# configuration, the server's reason). The others are in test_backend_onnx.py: each model here is a process of Triton.
ONNX_REFUSED: dict[str, tuple[str, str, str]] = {
    "optional_batching": (
        "initializer",
        onnx_config(f"{BIAS}, {X}", Y),
        "optional input 'bias' is not supported for models that support batching",
    ),
    "thread_count": (
        "add",
        onnx_config(X, Y, parameter("intra_op_thread_count", "many")),
        "failed to convert 'many' to integral number",
    ),
    "openvino": (
        "add",
        onnx_config(
            X, Y, 'optimization { execution_accelerators { cpu_execution_accelerator: [ { name: "openvino" } ] } }'
        ),
        "'openvino' needs the real onnxruntime backend",
    ),
    "ragged_dims": (
        "add",
        onnx_config(tensor("x", "FP32", [2], "allow_ragged_batch: true"), Y),
        "configuration expects model provides input with shape [-1] for ragged input 'x', model provides [-1,2]",
    ),
    "sequence_control_dims": (
        "add",
        onnx_config(X, Y, START_CONTROL.replace("START", "x", 1)),
        "sequence control 'x' in model has dims [2] but dims [1] is expected",
    ),
}

# model.json → the server's reason; the others are in test_backend_vllm.py.
LLM_REFUSED: dict[str, tuple[object, str]] = {
    "unknown_argument": (
        {"model": "m", "max_model_length": 9},
        "got an unexpected keyword argument 'max_model_length'",
    ),
}


HONOURED = {
    "intra_op_thread_count": "1",
    "inter_op_thread_count": "1x",
    "execution_mode": "1",
    "enable_mem_arena": "ON",
    "enable_mem_pattern": "0",
    "memory.enable_memory_arena_shrinkage": "cpu:0",
    "session.use_device_allocator_for_initializers": "1",
    "gpu_mem_limit": "1",
}


def place_onnx_models(repository: Path) -> None:
    """The models that load and have complete configurations, and those whose file is at fault."""
    every = " ".join(parameter(*pair) for pair in HONOURED.items()) + " optimization { graph { level: 2 } }"
    place_onnx(repository, "add", "add", onnx_config(X, Y, every))
    delay = "dynamic_batching { max_queue_delay_microseconds: 200000 }"
    tokens = tensor("x", "INT64", [-1]), tensor("y", "FP32", [-1, 2])
    place_onnx(repository, "lookup", "lookup", onnx_config(*tokens, delay))
    place_onnx(repository, "text", "text", onnx_config(tensor("x", "STRING", [1]), tensor("y", "STRING", [1])))
    row = tensor("x", "FP32", [1]), tensor("y", "FP32", [1])
    place_onnx(repository, "control", "control", onnx_config(*row, START_CONTROL))
    place_onnx(repository, "scalar", "scalar", onnx_config(*row, max_batch_size=0))
    place_onnx(repository, "initializer", "initializer", onnx_config(f"{X}, {BIAS}", Y, max_batch_size=0))
    add_graph(place(repository, "other_name", onnx_config(X, Y, 'default_model_filename: "w"')) / "w/model.onnx")
    place(repository, "no_file", onnx_config(X, Y))
    pointer = place(repository, "not_onnx", onnx_config(X, Y)) / "model.onnx"
    pointer.write_text("version https://git-lfs", encoding="utf-8")


def place_llm_models(repository: Path) -> None:
    """The models that echo, and those whose files are at fault."""
    place_llm(repository, "llm", {"model": "m", "gpu_memory_utilization": 0.5, "quantization": None})
    place_llm(repository, "short", {"model": "m", "max_model_len": 8})
    place_llm(repository, "single", {"model": "m", "max_num_seqs": 1})
    place_llm(repository, "adapted", {"model": "m", "enable_lora": "true"})
    (repository / "adapted/1/multi_lora.json").write_text('{"a": "/nowhere"}', encoding="utf-8")
    place_llm(repository, "llm_not_decoupled", {"model": "m"}, FULL_LLM)
    place(repository, "llm_no_json", FULL_LLM + DECOUPLED)
    quoted = place(repository, "llm_not_json", FULL_LLM + DECOUPLED) / "model.json"
    quoted.write_text("{'model': 1}", encoding="utf-8")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all models with complete configurations; the vLLM ones echo their prompts."""
    repository = tmp_path_factory.mktemp("strict") / "models"
    for name, (graph, config, _) in ONNX_REFUSED.items():
        place_onnx(repository, f"onnx_{name}", graph, config)
    for name, (arguments, _) in LLM_REFUSED.items():
        place_llm(repository, f"llm_{name}", arguments)
    place_onnx_models(repository)
    place_llm_models(repository)
    env = {"TRITONREPO_LLM_ENGINE": "script", "TRITONREPO_SCRIPT_TOKEN_MS": "1"}
    with triton(repository, env, auto_complete=False) as server:
        yield server


@pytest.fixture(scope="module")
def completing(tmp_path_factory: pytest.TempPathFactory, smollm2_graph: Path) -> Iterator[Server]:
    """A server that completes configurations, with the engine that has weights."""
    repository, short = tmp_path_factory.mktemp("completing") / "models", 'backend: "onnxruntime"'
    for graph in ("add", "fixed", "rank_one"):
        place_onnx(repository, graph, graph, short)
    place_onnx(repository, "full", "add", onnx_config(X, Y, max_batch_size=3))
    place_onnx(repository, "not_batchable", "fixed", f"{short} max_batch_size: 2")
    place_llm(repository, "llm", {"model": "org/model"}, SHORT_LLM)
    place_llm(
        repository,
        "llm_decoupled",
        {"model": "org/model"},
        SHORT_LLM + " model_transaction_policy { decoupled: false }",
    )
    place_llm(repository, "llm_batch", {"model": "org/model"}, SHORT_LLM + " max_batch_size: 4")
    place_llm(repository, "llm_no_weights", {"model": "org/nowhere"}, SHORT_LLM)
    place_llm(repository, "llm_too_long", {"model": "org/model", "max_model_len": 1 << 24}, SHORT_LLM)
    env = {"TRITONREPO_LOCAL_MODELS": json.dumps({"org/model": str(smollm2_graph)})}
    with triton(repository, env, auto_complete=True) as server:
        yield server


@pytest.fixture
def llm(completing: Server) -> Server:
    assert completing.models["llm"] == ""
    return completing


class Response(NamedTuple):
    """One response of a stream: outputs by name (bytes decoded), error, whether it is final."""

    outputs: dict[str, Any]
    error: str
    is_final: bool


def grpc_inputs(arrays: Mapping[str, Given]) -> list[InferInput]:
    """Arguments to tensors: str, bool or arrays."""
    from tritonclient.grpc import InferInput

    inputs = []
    for name, value in arrays.items():
        array = (
            np.array([value], np.object_ if isinstance(value, str) else None)
            if isinstance(value, str | bool)
            else value
        )
        kinds = {"O": "BYTES", "b": "BOOL"}
        kind = kinds.get(array.dtype.kind) or {"i8": "INT64", "f4": "FP32"}[array.dtype.str[1:]]
        inputs.append(InferInput(name, array.shape, kind))
        inputs[-1].set_data_from_numpy(array)
    return inputs


def response(result: InferResult, error: InferenceServerException | None) -> Response:
    if error is not None:
        return Response({}, error.message(), is_final=False)
    answer = result.get_response()
    outputs = {output.name: result.as_numpy(output.name) for output in answer.outputs}
    texts = {name: array[0].decode() if array.dtype == object else array for name, array in outputs.items()}
    return Response(texts, "", answer.parameters["triton_final_response"].bool_param)


class Stream:
    """A gRPC stream of one request; iterating it gives the responses up to the final one or an error."""

    def __init__(self, server: Server, model: str, parameters: Mapping[str, Any] | None, **inputs: Given) -> None:
        from tritonclient.grpc import InferenceServerClient

        self.answers: queue.Queue[Response] = queue.Queue()
        self.client = InferenceServerClient(server.grpc)
        self.client.start_stream(lambda result, error: self.answers.put(response(result, error)))
        self.client.async_stream_infer(
            model, grpc_inputs(inputs), parameters=dict(parameters or {}), enable_empty_final_response=True
        )

    def __iter__(self) -> Iterator[Response]:
        while True:
            answer = self.answers.get(timeout=30)
            yield answer
            if answer.is_final or answer.error:
                return

    def close(self, *, cancel: bool = False) -> None:
        self.client.stop_stream(cancel_requests=cancel)
        self.client.close()


def ask(server: Server, model: str, parameters: Mapping[str, Any] | None = None, **inputs: Given) -> list[Response]:
    stream = Stream(server, model, parameters, **inputs)
    try:
        return list(stream)
    finally:
        stream.close()


def text_of(responses: Sequence[Response]) -> str:
    assert not responses[-1].error, responses[-1].error
    return "".join(answer.outputs.get("text_output", "") for answer in responses)


def infer(server: Server, model: str, **arrays: Array) -> Array:
    from tritonclient.grpc import InferenceServerClient

    with InferenceServerClient(server.grpc) as client:
        answer: Array = client.infer(model, grpc_inputs(arrays)).as_numpy("y")
    return answer


def config_of(server: Server, model: str) -> dict[str, Any]:
    from tritonclient.http import InferenceServerClient

    with InferenceServerClient(server.http) as client:
        config: dict[str, Any] = client.get_model_config(model)
    return config


@pytest.mark.parametrize("name", ONNX_REFUSED)
def test_a_configuration_that_does_not_fit_the_graph_is_refused(strict: Server, name: str) -> None:
    assert ONNX_REFUSED[name][2] in strict.models[f"onnx_{name}"]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param("no_file", "model.onnx' for model instance 'no_file'", id="no file"),
        pytest.param("not_onnx", "onnx runtime error 7: ", id="a pointer instead of the file"),
    ],
)
def test_a_file_that_is_no_graph_is_refused(strict: Server, model: str, reason: str) -> None:
    assert reason in strict.models[model]


@pytest.mark.parametrize("model", ["add", "other_name"])
def test_a_batch_is_answered(strict: Server, model: str) -> None:
    rows = np.array([[1, 2], [3, 4]], np.float32)
    assert infer(strict, model, x=rows).tolist() == [[2, 3], [4, 5]]


def test_text_goes_through_as_utf8(strict: Server) -> None:
    assert infer(strict, "text", x=np.array([["naïve ☕".encode()]], np.object_)).tolist() == [["naïve ☕".encode()]]


def test_a_scalar_has_the_configured_dims(strict: Server) -> None:
    assert infer(strict, "scalar", x=np.array([1], np.float32)).tolist() == [2]


@pytest.mark.parametrize(
    ("bias", "answer"),
    [pytest.param({}, [2, 3], id="left out"), pytest.param({"bias": np.array([5], np.float32)}, [6, 7], id="given")],
)
def test_an_initializer_may_be_left_out(strict: Server, bias: dict[str, Any], answer: list[int]) -> None:
    assert infer(strict, "initializer", x=np.array([1, 2], np.float32), **bias).tolist() == answer


def test_sequence_controls_reach_the_graph(strict: Server) -> None:
    from tritonclient.grpc import InferenceServerClient

    inputs = grpc_inputs({"x": np.array([[5]], np.float32)})
    with InferenceServerClient(strict.grpc) as client:
        answers = [client.infer("control", inputs, sequence_id=7, sequence_start=start) for start in (True, False)]
    assert [answer.as_numpy("y").tolist() for answer in answers] == [[[6]], [[5]]]


def test_a_bad_request_fails_alone_in_its_batch(strict: Server) -> None:
    from tritonclient.grpc import InferenceServerClient

    answers: queue.Queue[tuple[int, Any, Any]] = queue.Queue()
    rows = [0, 1, 99, 2, 3]
    before = counts(strict.grpc, "lookup")
    with InferenceServerClient(strict.grpc) as client:
        for row in rows:
            inputs = grpc_inputs({"x": np.array([[row]], np.int64)})
            client.async_infer("lookup", inputs, lambda result, error, row=row: answers.put((row, result, error)))
        found = {row: (result, error) for row, result, error in (answers.get(timeout=30) for _ in rows)}
    assert {row: result.as_numpy("y").ravel().tolist() for row, (result, error) in found.items() if not error} == {
        row: [2 * row, 2 * row + 1] for row in (0, 1, 2, 3)
    }
    assert "onnx runtime error 2: " in found[99][1].message()
    assert executions(strict.grpc, "lookup", before, len(rows)) < len(rows), (
        "the requests were never batched: nothing was tested"
    )


def test_an_empty_configuration_is_completed(completing: Server) -> None:
    config = config_of(completing, "add")
    assert config["max_batch_size"] == 4
    assert "dynamic_batching" in config
    described = [(given["name"], given["data_type"], given["dims"]) for given in config["input"] + config["output"]]
    assert described == [("x", "TYPE_FP32", [2]), ("y", "TYPE_FP32", [2])]


def test_a_graph_without_a_batch_dimension_keeps_its_dims(completing: Server) -> None:
    config = config_of(completing, "fixed")
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (0, [1, 2])
    assert infer(completing, "fixed", x=np.array([[1, 2]], np.float32)).tolist() == [[2, 3]]


def test_rank_one_is_completed_with_a_reshape(completing: Server) -> None:
    assert config_of(completing, "rank_one")["input"][0]["reshape"] == {"shape": []}
    assert infer(completing, "rank_one", x=np.array([[1], [2]], np.float32)).tolist() == [[2], [3]]


def test_a_complete_configuration_is_left_alone(completing: Server) -> None:
    config = config_of(completing, "full")
    assert config["max_batch_size"] == 3
    assert "dynamic_batching" not in config


def test_a_batch_size_that_the_graph_cannot_have_is_refused(completing: Server) -> None:
    assert (
        "model does not support batching while non-zero max_batch_size is specified"
        in completing.models["not_batchable"]
    )


@pytest.mark.parametrize("name", LLM_REFUSED)
def test_engine_arguments_are_refused(strict: Server, name: str) -> None:
    assert LLM_REFUSED[name][1] in strict.models[f"llm_{name}"]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param("llm_no_json", "'model.json' containing vllm engine args must be provided in", id="no model.json"),
        pytest.param("llm_not_json", "JSONDecodeError", id="model.json is not JSON"),
        pytest.param("llm_not_decoupled", "must be configured to use decoupled model transaction policy", id="coupled"),
    ],
)
def test_a_model_that_the_backend_cannot_load_is_refused(strict: Server, model: str, reason: str) -> None:
    assert reason in strict.models[model]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(
            "llm_decoupled", "trying to change decoupled property in auto-complete-config", id="decoupled false"
        ),
        pytest.param("llm_batch", "configuration specified max_batch_size 4", id="max_batch_size 4"),
        pytest.param("llm_no_weights", "has no local weights for model 'org/nowhere': add `local:`", id="no weights"),
    ],
)
def test_a_configuration_that_cannot_be_completed_is_refused(completing: Server, model: str, reason: str) -> None:
    assert reason in completing.models[model]


def test_without_streaming_the_prompt_comes_first_and_16_tokens_follow(strict: Server) -> None:
    flags: dict[str, Any] = {
        f"return_{name}": True for name in ("finish_reason", "num_input_tokens", "num_output_tokens")
    }
    (answer,) = ask(strict, "llm", text_input="a b c", **flags)
    assert answer.outputs["text_output"] == "a b c" + "a b c " * 5 + "a "
    assert answer.outputs["finish_reason"] == "length"
    assert answer.outputs["num_input_tokens"].tolist() == [3]
    assert answer.outputs["num_output_tokens"].tolist() == [16]
    assert answer.is_final


def test_the_prompt_is_left_out_on_demand(strict: Server) -> None:
    answers = ask(strict, "llm", {"max_tokens": 2}, text_input="a b", exclude_input_in_output=True)
    assert text_of(answers) == "a b "


def test_a_stream_has_a_response_a_token_and_the_last_is_final(strict: Server) -> None:
    inputs: dict[str, Any] = {"stream": True, "return_finish_reason": True, "return_num_output_tokens": True}
    answers = ask(strict, "llm", {"max_tokens": 3}, text_input="a b c d", **inputs)
    assert [answer.outputs["text_output"] for answer in answers] == ["a ", "b ", "c "]
    assert [answer.outputs["finish_reason"] for answer in answers] == ["None", "None", "length"]
    assert [answer.outputs["num_output_tokens"].tolist() for answer in answers] == [[1], [1], [1]]
    assert [answer.is_final for answer in answers] == [False, False, True]


def test_the_tensor_wins_over_request_parameters(strict: Server) -> None:
    sampling = json.dumps({"max_tokens": 2})
    answers = ask(strict, "llm", {"max_tokens": 5}, text_input="a b c", stream=True, sampling_parameters=sampling)
    assert text_of(answers) == "a b "


def test_generate_takes_parameters_over_http(strict: Server) -> None:
    import urllib.request

    body = json.dumps({"text_input": "a b", "exclude_input_in_output": True, "parameters": {"max_tokens": 3}})
    url = f"http://{strict.http}/v2/models/llm/generate"
    with urllib.request.urlopen(urllib.request.Request(url, body.encode())) as reply:
        assert json.load(reply)["text_output"] == "a b a "


@pytest.mark.parametrize(
    ("sampling", "text"),
    [
        pytest.param({"stop": "c "}, "a b ", id="a string"),
        pytest.param({"stop": ["x", "b c"]}, "a ", id="over two tokens"),
        pytest.param({"stop": "b c", "include_stop_str_in_output": True}, "a b c", id="included"),
        pytest.param({"stop": "c d e", "max_tokens": 4}, "a b c d ", id="only begun"),
        pytest.param({"stop": "a", "min_tokens": 2, "max_tokens": 6}, "a b c d ", id="after min_tokens"),
        pytest.param({"stop": "b c", "min_tokens": 3, "max_tokens": 8}, "a b c d a ", id="the one after min_tokens"),
        pytest.param({"stop_token_ids": [2]}, "a b ", id="a token"),
        pytest.param({"stop_token_ids": [2], "include_stop_str_in_output": True}, "a b c ", id="a token, included"),
    ],
)
@pytest.mark.parametrize("how", ["streamed", "whole"])
def test_a_stop_ends_the_text_and_never_leaks(strict: Server, sampling: dict[str, Any], text: str, how: str) -> None:
    inputs: dict[str, Any] = {
        "sampling_parameters": json.dumps(sampling),
        "exclude_input_in_output": True,
        "stream": how == "streamed",
    }
    assert text_of(ask(strict, "llm", text_input="a b c d", **inputs)) == text


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        pytest.param({"max_token": 3}, "Unexpected keyword argument 'max_token'", id="an unknown name"),
        pytest.param({"n": 2}, "'n' = 2 is not supported", id="n"),
        pytest.param({"structured_outputs": '{"json": {}}'}, "'structured_outputs' = ", id="structured outputs"),
        pytest.param({"max_tokens": 0}, "max_tokens must be at least 1, got 0.", id="max_tokens"),
        pytest.param({"max_tokens": "few"}, "max_tokens: invalid literal for int()", id="no number"),
        pytest.param({"min_tokens": 5, "max_tokens": 4}, "less than or equal to max_tokens=4, got 5.", id="min_tokens"),
        pytest.param({"temperature": -1}, "temperature must be non-negative, got -1.0.", id="temperature"),
        pytest.param({"top_p": 0}, "top_p must be in (0, 1], got 0.0.", id="top_p"),
        pytest.param({"top_k": -2}, "top_k must be 0 (disable), or at least 1, got -2.", id="top_k"),
        pytest.param({"min_p": 2}, "min_p must be in [0, 1], got 2.0.", id="min_p"),
        pytest.param({"presence_penalty": 3}, "presence_penalty must be in [-2, 2], got 3.0.", id="presence"),
        pytest.param({"repetition_penalty": 0}, "repetition_penalty must be greater than zero", id="repetition"),
        pytest.param({"logprobs": 21}, "which is greater than max allowed: 20", id="logprobs"),
        pytest.param({"stop": ""}, "stop cannot contain an empty string.", id="an empty stop"),
        pytest.param({"stop_token_ids": ["a"]}, "stop_token_ids must contain only integers", id="stop tokens"),
    ],
)
def test_sampling_parameters_are_refused_by_name(strict: Server, sampling: dict[str, Any], message: str) -> None:
    (answer,) = ask(strict, "llm", text_input="a", sampling_parameters=json.dumps(sampling))
    assert answer.error.startswith("Error generating stream: Was trying to create `TritonSamplingParams`")
    assert message in answer.error


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        pytest.param(
            "llm",
            {"text_input": "a", "stream": True, "exclude_input_in_output": False},
            "Error generating stream: When streaming, `exclude_input_in_output` = False is not allowed.",
            id="streaming with the prompt",
        ),
        pytest.param(
            "llm",
            {"text_input": "a", "embedding_request": "{}"},
            "Error generating stream: Model llm does not support 'embed' request",
            id="embedding",
        ),
        pytest.param("llm", {"text_input": "a", "image": "aGk="}, "input 'image' is set", id="image"),
        pytest.param(
            "llm",
            {"text_input": "a", "sampling_parameters": '{"lora_name": "x"}'},
            "LoRA feature is not enabled.",
            id="LoRA",
        ),
        pytest.param(
            "adapted",
            {"text_input": "a", "sampling_parameters": '{"lora_name": "x"}'},
            "LoRA x is not supported, we currently support ['a']",
            id="an unknown adapter",
        ),
        pytest.param(
            "llm", {"text_input": "a", "sampling_parameters": "{"}, "Error generating stream: Expecting", id="JSON"
        ),
        pytest.param("llm", {"text_input": ""}, "The decoder prompt cannot be empty", id="empty prompt"),
        pytest.param(
            "short",
            {"text_input": "a " * 9},
            "The decoder prompt (length 9) is longer than the maximum model length of 8.",
            id="long prompt",
        ),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(
    strict: Server, model: str, inputs: dict[str, Any], message: str
) -> None:
    (answer,) = ask(strict, model, **inputs)
    assert message in answer.error


def test_an_answer_ends_at_the_model_length(strict: Server) -> None:
    assert text_of(ask(strict, "short", text_input="a b c d e", exclude_input_in_output=True)) == "a b c "


def test_logprobs_are_given_on_demand(strict: Server) -> None:
    inputs: dict[str, Any] = {"return_logprobs": True, "return_cumulative_logprob": True, "text_input": "a b"}
    answer, last = ask(strict, "llm", {"max_tokens": 2, "logprobs": 1}, stream=True, **inputs)
    assert json.loads(answer.outputs["logprobs"]) == [{"0": {"logprob": 0, "rank": 1, "decoded_token": "a "}}]
    assert json.loads(last.outputs["logprobs"]) == [{"1": {"logprob": 0, "rank": 1, "decoded_token": "b "}}]
    assert last.outputs["cumulative_logprob"].tolist() == [0]
    (without,) = ask(strict, "llm", **inputs)
    assert without.outputs["logprobs"] == "null"
    assert np.isnan(without.outputs["cumulative_logprob"]).all()


def test_a_cancelled_request_frees_its_place(strict: Server) -> None:
    first = Stream(strict, "single", {"max_tokens": 1_000_000}, text_input="a b", stream=True)
    assert next(iter(first)).outputs["text_output"] == "a "
    second = Stream(strict, "single", {"max_tokens": 1}, text_input="c", stream=True)
    first.close(cancel=True)
    assert text_of(list(second)) == "c "
    second.close()


def test_an_answer_whose_client_leaves_the_gateway_frees_its_place(strict: Server) -> None:
    from openai import OpenAI

    options = GatewayOptions(expose=frozenset({"single"}))
    with (
        gateway(Endpoint(strict.http, grpc=strict.grpc), options) as front,
        OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client,
    ):
        endless = client.completions.create(model="single", prompt="a b", max_tokens=1_000_000, stream=True)
        assert next(endless).choices[0].text == "a "
        endless.close()
        assert client.completions.create(model="single", prompt="c", max_tokens=1).choices[0].text == "c "


def test_eight_clients_stream_at_the_same_time(strict: Server) -> None:
    streams = [Stream(strict, "llm", {"max_tokens": 1_000_000}, text_input=f"w{i}", stream=True) for i in range(8)]
    # none ends, so that each could give its first tokens only while all others are under way
    answers = [list(islice(stream, 20)) for stream in streams]
    for stream in streams:
        stream.close(cancel=True)
    assert [text_of(answer) for answer in answers] == [f"w{i} " * 20 for i in range(8)]


CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def test_a_real_model_answers_and_stops(llm: Server) -> None:
    flags: dict[str, Any] = {
        f"return_{name}": True for name in ("finish_reason", "num_input_tokens", "num_output_tokens")
    }
    prompt = CHAT.format("What is the capital of France?")
    (answer,) = ask(llm, "llm", {"max_tokens": 30, "temperature": "0"}, text_input=prompt, **flags)
    assert answer.outputs["text_output"].startswith(prompt)
    assert "Paris" in answer.outputs["text_output"]
    assert answer.outputs["finish_reason"] == "stop"
    assert 3 < answer.outputs["num_output_tokens"][0] < 30
    assert 10 < answer.outputs["num_input_tokens"][0] < 30


def test_a_stream_of_real_tokens_never_splits_a_character(llm: Server) -> None:
    sampling = json.dumps({"temperature": 0, "max_tokens": 16})
    streamed = ask(llm, "llm", text_input="☕☕☕☕☕☕☕☕", sampling_parameters=sampling, stream=True)
    whole = ask(llm, "llm", text_input="☕☕☕☕☕☕☕☕", sampling_parameters=sampling, exclude_input_in_output=True)
    pieces = [answer.outputs["text_output"] for answer in streamed]
    assert "".join(pieces) == text_of(whole)
    assert {"", "☕"} <= set(pieces)
    assert "\N{REPLACEMENT CHARACTER}" not in text_of(whole)


def test_a_seed_repeats_an_answer(llm: Server) -> None:
    sampling = {"temperature": 1.5, "top_p": 0.95, "top_k": 50, "max_tokens": 12, "ignore_eos": True}
    texts = [text_of(ask(llm, "llm", {**sampling, "seed": seed}, text_input="Once", stream=True)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_real_logprobs_name_the_likeliest_tokens(llm: Server) -> None:
    inputs: dict[str, Any] = {
        "text_input": CHAT.format("What is the capital of France?"),
        "stream": True,
        "return_logprobs": True,
    }
    (answer,) = ask(llm, "llm", {"max_tokens": 1, "temperature": "0", "logprobs": 3}, **inputs)
    ((*tokens,),) = [list(position.values()) for position in json.loads(answer.outputs["logprobs"])]
    assert [token["rank"] for token in tokens] == [1, 2, 3]
    assert tokens[0]["decoded_token"] == answer.outputs["text_output"] == "The"
    assert 0 >= tokens[0]["logprob"] > tokens[1]["logprob"]


def test_more_length_than_the_graph_has_is_refused(llm: Server) -> None:
    assert "is greater than the derived max_model_len" in llm.models["llm_too_long"]
