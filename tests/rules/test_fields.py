"""Corner cases of the rules on fields: what the server says, or that it says nothing; tried on Triton 24.10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest

from tests.archives import PACKAGE, archive
from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.rules import RULES
from tritonrepo.rules.fields.warmup_requests import REQUEST
from tritonrepo.tree import Directory, Entry, Link, Unreadable, of_bytes, of_text

IN = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\n'
OUT = 'output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
IO = IN + OUT
IDENTITY = 'backend: "identity"\n'
PLAIN = {"1/weights": ""}
PYTHON = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
COMPLETES = PYTHON + "    @staticmethod\n    def auto_complete_config(config):\n        return config\n"
DIRECTORY = Directory()


class Case(NamedTuple):
    """A model "m": its config (None: no file), its other files, and what is expected."""

    config: str | None
    rule: str = ""
    reason: str = ""
    files: Mapping[str, str | Entry] = PLAIN
    options: str = ""
    name: str = "m"


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository."""
    files: dict[str, str | Entry] = dict(case.files)
    if case.config is not None:
        files["config.pbtxt"] = case.config
    return {f"{case.name}/{path}": of_text(e) if isinstance(e, str) else e for path, e in files.items()}


def tensor(fields: str, batch: int = 0) -> str:
    """Return a config whose only input has these fields."""
    return f'{IDENTITY}max_batch_size: {batch}\ninput {{ name: "IN" data_type: TYPE_FP32 {fields} }}\n{OUT}'


def reshaped(dims: str, shape: str, batch: int = 0) -> str:
    """Return a config whose only input is reshaped."""
    return tensor(f"dims: [ {dims} ] reshape {{ shape: [ {shape} ] }}", batch)


def warm(sample: str, batch: int = 8, inputs: str = IN, backend: str = "identity") -> str:
    """Return a config with a warmup sample."""
    return f'backend: "{backend}"\nmax_batch_size: {batch}\n{inputs}{OUT}model_warmup {{ name: "w" {sample} }}\n'


def given(fields: str, name: str = "IN") -> str:
    """Return an input of a sample."""
    return f'batch_size: 1 inputs {{ key: "{name}" value {{ {fields} }} }}'


PLATFORMS = {
    "a filename that names a backend helps an unknown platform": Case(
        f'platform: "python" default_model_filename: "model.py"\n{IO}', files={"1/model.py": PYTHON}
    ),
    "a filename that names none": Case(
        f'default_model_filename: "net.bin"\n{IO}',
        "platform-unknown",
        "unexpected platform type '' for m",
        {"1/model.onnx": "x"},
    ),
    "an unknown platform beside a file that would do": Case(
        f'platform: "onnx"\n{IO}', "platform-unknown", "unexpected platform type 'onnx' for m", {"1/model.onnx": "x"}
    ),
    "any platform beside python": Case(
        f'backend: "python" platform: "tensorrt_plan" default_model_filename: "model.py"\n{IO}',
        files={"1/model.py": PYTHON},
    ),
    "the name in the config is the one in the text": Case(
        f'name: "other" platform: "nosuch"\n{IO}', "platform-unknown", "unexpected platform type 'nosuch' for other"
    ),
    "tensorflow without a file that shows its platform": Case(
        f'backend: "tensorflow"\n{IO}',
        "platform-backend-mismatch",
        "unexpected 'platform' and 'backend' pair, got:, tensorflow",
    ),
    "tensorflow with a graphdef": Case(f'backend: "tensorflow"\n{IO}', files={"1/model.graphdef": "x"}),
    "tensorflow whose graphdef is a directory": Case(
        f'backend: "tensorflow"\n{IO}',
        "platform-backend-mismatch",
        "unexpected 'platform' and 'backend' pair, got:, tensorflow",
        {"1/model.graphdef/x": "x"},
    ),
    "onnx files go before pytorch's": Case(
        f'platform: "pytorch_libtorch" default_model_filename: "model.onnx"\n{IO}',
        "platform-backend-mismatch",
        "unexpected 'platform' and 'backend' pair, got:pytorch_libtorch, onnxruntime",
        {"1/model.onnx": "x"},
    ),
    "an ensemble with a filename": Case(
        'platform: "ensemble" default_model_filename: "model.plan"\n' + IO,
        "ensemble-with-backend",
        "Ensemble model 'm' must have platform type 'ensemble' and empty backend type",
    ),
    "plain torch": Case(
        f'backend: "pytorch" platform: "pytorch"\n{IO}',
        "pytorch-platform-alias",
        "unexpected 'platform' and 'backend' pair, got:pytorch, pytorch",
        {"1/model.pt": "x"},
    ),
    "torch_aoti before 26.03": Case(
        f'platform: "torch_aoti"\n{IO}',
        "pytorch-platform-alias",
        "unexpected platform type 'torch_aoti' for m",
        {"1/model.pt2": "x"},
    ),
    "torch_aoti from 26.03 on": Case(
        f'platform: "torch_aoti" default_model_filename: "model.pt2"\n{IO}',
        files={"1/model.pt2": of_bytes(archive(*PACKAGE))},
        options="--release 26.03",
    ),
    "libtorch is an alias that the pair check does not know": Case(
        f'platform: "libtorch"\n{IO}',
        "pytorch-platform-alias",
        "unexpected 'platform' and 'backend' pair, got:libtorch, pytorch",
        {"1/model.pt": "x"},
        "--release 26.04",
    ),
}

LIBRARIES = {
    "case matters": Case(
        f'backend: "ONNXRuntime"\n{IO}',
        "backend-not-available",
        "unable to find backend library for backend 'ONNXRuntime', try specifying runtime on the model configuration.",
    ),
    "the platform's name": Case(f'backend: "onnxruntime_onnx"\n{IO}', "backend-not-available"),
    "ensemble is not a backend": Case(f'backend: "ensemble"\n{IO}', "backend-not-available"),
    "a library in the version directory": Case(f'backend: "mine"\n{IO}', files={"1/libtriton_mine.so": ""}),
    "a library in the model's directory": Case(
        f'backend: "mine"\n{IO}', files={"1/weights": "", "libtriton_mine.so": ""}
    ),
    "a library in one of two versions": Case(
        f'backend: "mine" version_policy {{ all {{ }} }}\n{IO}',
        "backend-library-not-found",
        files={"1/libtriton_mine.so": "", "2/weights": ""},
    ),
    "tensorflow in its last image": Case(
        f'platform: "tensorflow_graphdef"\n{IO}', files={"1/model.graphdef": ""}, options="--release 25.02"
    ),
    "tensorflow inferred from a file, after its last image": Case(
        IO, "tensorflow-gone", files={"1/model.graphdef": ""}, options="--release 25.03"
    ),
    "a backend of another image": Case(
        f'backend: "onnxruntime"\n{IO}', "backend-not-available", options="--image vllm-python-py3"
    ),
    "vLLM in the image without it": Case(
        'backend: "vllm"\n', "backend-not-available", files={"1/model.json": "{}"}, options="--image py3"
    ),
    "vLLM beside it": Case(
        'backend: "vllm"\n', files={"1/model.json": "{}"}, options="--image py3 --image vllm-python-py3"
    ),
    "another backend in an image of one's own": Case(f'backend: "mine"\n{IO}', options="--image team/triton:1"),
    "a Triton backend in an image of one's own": Case(
        f'backend: "repeat"\n{IO}', options="--image team/triton:1 --image vllm-python-py3"
    ),
    "an agent in an image of one's own": Case(
        f'{IDENTITY}model_repository_agents {{ agents {{ name: "decrypt" }} }}\n{IO}', options="--image mine:1"
    ),
    "a backend named ensemble is none of one's own": Case(
        f'backend: "ensemble"\n{IO}', "backend-not-available", options="--image team/triton:1"
    ),
    "a runtime in an image of one's own": Case(f'backend: "mine" runtime: "x"\n{IO}', options="--image mine:1"),
    "all after the first dot of a bare name": Case(
        None,
        "backend-library-not-found",
        "unable to find backend library for backend 'two.mine', try specifying runtime on the model configuration.",
        name="m.two.mine",
    ),
    "a bare name with a backend that makes no config": Case(
        None,
        "config-not-provided",
        "model configuration is not provided for model 'm.identity'",
        name="m.identity",
    ),
    "an empty config is a config": Case("", name="m.identity"),
    "a runtime beside the weights": Case(
        f'{IDENTITY}runtime: "libmine.so"\n{IO}', files={"1/weights": "", "1/libmine.so": ""}
    ),
    "a runtime that comes back to the backend": Case(f'{IDENTITY}runtime: "../identity/libtriton_identity.so"\n{IO}'),
    "a runtime in a directory that the backend may have": Case(f'backend: "openvino" runtime: "lib/x.so"\n{IO}'),
    "a runtime that python does not have": Case(
        f'backend: "python" runtime: "x"\n{IO}',
        "runtime-library-not-found",
        "unable to find backend library 'x' for model 'm', searched:",
        {"1/model.py": PYTHON},
    ),
    "a runtime behind a link cannot be known": Case(
        f'{IDENTITY}runtime: "lib/libtriton_x.so"\n{IO}', files={"1/weights": "", "1/lib": Link("/opt/lib")}
    ),
    "a runtime beside the models, where there is none": Case(
        f'{IDENTITY}runtime: "../x"\n{IO}',
        "runtime-library-not-found",
        "unable to find backend library '../x' for model 'm', searched:",
    ),
    "a runtime beyond the repository cannot be known": Case(f'{IDENTITY}runtime: "../../n/libtriton_x.so"\n{IO}'),
    "pytorch has a model.py": Case(f'backend: "pytorch" runtime: "model.py"\n{IO}', files={"1/model.py": PYTHON}),
    "an unknown backend with a model.py": Case(
        f'backend: "mine" runtime: "model.py"\n{IO}',
        "runtime-python-without-backend",
        "unable to find Python backend based backend library 'model.py' for model 'm', searched:",
    ),
    "a backend of one's own with a model.py": Case(
        f'backend: "mine" runtime: "model.py"\n{IO}', options="--image team/triton:1"
    ),
}

TENSORS = {
    "an empty block is said once": Case(
        f"{IDENTITY}input {{ }}\n{OUT}", "io-name-missing", "model input must specify 'name' for m"
    ),
    "inputs come before outputs": Case(
        f'{IDENTITY}output {{ }}\ninput {{ name: "IN" dims: 4 }}\n',
        "io-data-type-missing",
        "model input 'IN' must specify 'data_type' for m",
    ),
    "the earlier input wins over the earlier check": Case(
        f'{IDENTITY}input {{ name: "A" data_type: TYPE_FP32 dims: 0 }}\ninput {{ }}\n{OUT}', "io-dim-invalid"
    ),
    "TYPE_INVALID is none": Case(
        f'{IDENTITY}input {{ name: "IN" data_type: TYPE_INVALID dims: 4 }}\n{OUT}', "io-data-type-missing"
    ),
    "the type is asked for before the dims": Case(f'{IDENTITY}input {{ name: "IN" }}\n{OUT}', "io-data-type-missing"),
    "an empty reshape is looked at before the dims": Case(
        tensor("dims: [ 0 ] reshape { }"),
        "reshape-empty-nonbatching",
        "model input 'IN' cannot have empty reshape for non-batching model as scalar tensors are not supported for m",
    ),
    "lists of dims add up": Case(tensor("dims: [ 1, 2 ] dims: 3 dims: [ 4 ]")),
    "-2": Case(tensor("dims: [ -2 ]"), "io-dim-invalid"),
    "the largest dim": Case(tensor("dims: [ 9223372036854775807 ]")),
    "a count that wraps around is nothing to 24.10": Case(tensor("dims: [ 4294967296, 4294967296 ]")),
    "a count that does not fit, in a reshape of 26.03": Case(
        reshaped("4294967296, 4294967296", "4294967296, 4294967296"),
        "dims-overflow",
        "element count for tensor 'IN dims' exceeds maximum size of 9223372036854775807 for m",
        options="--release 26.03",
    ),
    "a count that wraps to nothing fits no dims": Case(reshaped("4611686018427387904, 4", "", 1)),
    "a count that wraps to none is not one": Case(
        reshaped("4611686018427387904, 4", "1"),
        "reshape-size-differs",
        "model input 'IN' has different size for dims and reshape for m",
    ),
    "counts that are equal once they wrapped": Case(reshaped("4294967296, 4294967296", "8589934592, 2147483648")),
    "one element may become none where batches are": Case(reshaped("1, 1", "", 4)),
    "two elements may not": Case(reshaped("2", "", 4), "reshape-size-differs"),
    "a variable dim may not become none": Case(reshaped("-1", "", 4), "reshape-size-differs"),
    "a variable dim may not become fixed": Case(reshaped("-1", "4"), "reshape-size-differs"),
    "the server's own example": Case(reshaped("2, 4, -1, 6", "8, -1, 1, 6")),
    "segments must fit one by one": Case(
        reshaped("2, -1", "-1, 2"),
        "reshape-segment-differs",
        "model input 'IN' has different size for dims and reshape for m",
    ),
    "a dim of 0 is all that is said of a reshape": Case(reshaped("0", "4"), "io-dim-invalid"),
    "outputs have no format": Case(tensor("dims: [ 4 ] format: FORMAT_NONE")),
    "the batch is not one of the image's dims": Case(
        tensor("dims: [ 1, 3, 8, 8 ] format: FORMAT_NHWC"),
        "format-needs-3-dims",
        "model input NHWC/NCHW require 3 dims for m",
    ),
    "false flags are none": Case(tensor("dims: [ 4 ] is_shape_tensor: false is_non_linear_format_io: false")),
    "tensorrt by its backend alone": Case(
        f'backend: "tensorrt"\ninput {{ name: "IN" data_type: TYPE_INT32 dims: 4 is_shape_tensor: true }}\n{OUT}',
        files={"1/model.plan": "x"},
        options="--gpus 1",
    ),
    "python code that completes may fill in dims": Case(
        f'backend: "python"\ninput {{ name: "IN" }}\n{OUT}', files={"1/model.py": COMPLETES}
    ),
    "but not with auto-complete off": Case(
        f'backend: "python"\ninput {{ name: "IN" }}\n{OUT}',
        "io-data-type-missing",
        files={"1/model.py": COMPLETES},
        options="--no-auto-complete",
    ),
    "python code that does not complete": Case(
        f'backend: "python"\ninput {{ name: "IN" }}\n{OUT}', "io-data-type-missing", files={"1/model.py": PYTHON}
    ),
    "python code that is somewhere else cannot be known": Case(
        f'backend: "python"\ninput {{ name: "IN" }}\n{OUT}',
        files={
            "1/model.py": "from company.models import TritonPythonModel\n",
            "1/company/models.py": "TritonPythonModel = globals()['Model']\n",
        },
    ),
}

BATCHES = {
    "the kind has a default": Case(
        f"{IDENTITY}max_batch_size: 8\n{IO}batch_input {{ data_type: TYPE_INT32 }}\n",
        "batch-input-source-count",
        "batch input kind 'BATCH_ELEMENT_COUNT' expects 1 source input, got 0 for m",
    ),
    "no type is a wrong type": Case(
        f'{IDENTITY}max_batch_size: 8\n{IO}batch_input {{ target_name: "T" source_input: "IN" }}\n',
        "batch-input-data-type",
        options="--no-auto-complete",
    ),
    "a kind by its number": Case(
        f'{IDENTITY}max_batch_size: 8\n{IO}batch_input {{ kind: 4 target_name: "T" data_type: TYPE_INT32'
        f' source_input: "IN" }}\n'
    ),
    "a target in two entries is not noticed": Case(
        f"{IDENTITY}max_batch_size: 8\n{IO}" + 'batch_output { target_name: "OUT" source_input: "IN" }\n' * 2
    ),
    "vLLM's inputs are known though it completes them": Case(
        'backend: "vllm" batch_output { target_name: "text_output" source_input: "IN" }\n'
        "instance_group { kind: KIND_MODEL }",
        "batch-output-source-unknown",
        "unknown source input name 'IN' for m",
        {"1/model.json": '{"model": "m"}'},
    ),
    "an output is no source": Case(
        f'{IDENTITY}max_batch_size: 8\n{IO}batch_output {{ target_name: "OUT" source_input: "OUT" }}\n',
        "batch-output-source-unknown",
        "unknown source input name 'OUT' for m",
    ),
    "a nameless tensor is not compared": Case(
        f'{IDENTITY}max_batch_size: 8\n{IO}batch_input {{ target_name: "T" data_type: TYPE_INT32'
        f' source_input: "IN" }}\n'
    ),
}

WARMUPS = {
    "false data is data": Case(warm(given("data_type: TYPE_FP32 dims: 4 zero_data: false"))),
    "a batch of 0 is skipped whatever it says": Case(warm('batch_size: 0 inputs { key: "IN" }')),
    "passive instances are not warmed up": Case(
        warm('batch_size: 1 inputs { key: "IN" }') + "instance_group { kind: KIND_CPU passive: true }\n"
    ),
    "an entry without value": Case(
        warm('batch_size: 1 inputs { key: "IN" }'),
        "warmup-no-data",
        "[request id: <id_unknown>] warmup setting expects input 'IN' to have input_data_type set",
    ),
    "the shape of an unknown input is looked at too": Case(
        warm(given("dims: -1 zero_data: true", "OTHER")), "warmup-variable-dim"
    ),
    "an earlier sample wins": Case(
        warm("batch_size: 1") + f'model_warmup {{ name: "v" {given("dims: -1 zero_data: true")} }}\n',
        "warmup-input-missing",
        "[request id: <id_unknown>] expected 1 inputs but got 0 inputs for model 'm'. Got input(s) [], but missing"
        " required input(s) ['IN']. Please provide all required input(s).",
    ),
    "no type before 26.03": Case(
        warm(given("dims: 4 zero_data: true")),
        "warmup-data-type-differs",
        "[request id: <id_unknown>] inference input 'IN' data-type is '<invalid>', but model 'm' expects 'FP32'",
        options="--release 26.02",
    ),
    "TYPE_INVALID is no type": Case(
        warm(given("data_type: TYPE_INVALID dims: 4 zero_data: true")),
        "warmup-data-type-differs",
        "[request id: <id_unknown>] inference input 'IN' data-type is '<invalid>', but model 'm' expects 'FP32'",
    ),
    "a type that comes after TYPE_STRING": Case(
        warm(given("data_type: TYPE_UINT8 dims: 4 zero_data: true")),
        "warmup-data-type-differs",
        "[request id: <id_unknown>] inference input 'IN' data-type is 'UINT8', but model 'm' expects 'FP32'",
    ),
    "a sample that is complete before one that is not": Case(
        warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true")) + 'model_warmup { name: "v" batch_size: 1 }\n',
        "warmup-input-missing",
    ),
    "more than is needed": Case(
        warm(
            given("data_type: TYPE_FP32 dims: 4 zero_data: true")
            + ' inputs { key: "MAY" value { data_type: TYPE_FP32 dims: 4 zero_data: true } }',
            inputs=IN + IN.replace('"IN"', '"MAY"').replace(" }", " optional: true }"),
        )
    ),
    "dims that fit before dims that do not": Case(
        warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true"))
        + f'model_warmup {{ name: "v" {given("data_type: TYPE_FP32 dims: 5 zero_data: true")} }}\n',
        "warmup-shape-differs",
    ),
    "an optional input may be missing": Case(warm("batch_size: 1", inputs=IN.replace(" }", " optional: true }"))),
    "a range of inputs": Case(
        warm("batch_size: 1", inputs=IN + IN.replace('"IN"', '"MAY"').replace(" }", " optional: true }")),
        "warmup-input-missing",
        "[request id: <id_unknown>] expected number of inputs between 1 and 2 but got 0 inputs for model 'm'. Got"
        " input(s) [], but missing required input(s) ['IN']. Please provide all required input(s).",
    ),
    "an input that is listed twice can never be given": Case(
        warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true"), inputs=IN + IN),
        "warmup-input-missing",
        "[request id: <id_unknown>] expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['IN'], but missing"
        " required input(s) ]. Please provide all required input(s).",
    ),
    "no type": Case(
        warm(given("dims: 4 zero_data: true")),
        "warmup-data-type-differs",
        "[request id: <id_unknown>] inference input 'IN' data-type is '<invalid>', but model 'm' expects 'FP32'",
    ),
    "strings are called BYTES": Case(
        warm(given("data_type: TYPE_STRING dims: 4 zero_data: true")),
        "warmup-data-type-differs",
        "[request id: <id_unknown>] inference input 'IN' data-type is 'BYTES', but model 'm' expects 'FP32'",
    ),
    "no type in 26.03": Case(
        warm(given("dims: 4 zero_data: true")),
        "warmup-data-type-differs",
        "warmup setting expects all variable-size dimensions are specified for input 'IN'",
        options="--release 26.03",
    ),
    "another rank, without batch": Case(
        warm(given("data_type: TYPE_FP32 dims: [ 2, 2 ] zero_data: true"), batch=0),
        "warmup-shape-differs",
        "[request id: <id_unknown>] unexpected shape for input 'IN' for model 'm'. Expected [4], got [2,2]. ",
    ),
    "any size fits a variable dim": Case(
        warm(given("data_type: TYPE_FP32 dims: 9 zero_data: true"), inputs=IN.replace("[ 4 ]", "[ -1 ]"))
    ),
    "a longer file": Case(
        warm(given('data_type: TYPE_FP32 dims: 4 input_data_file: "in"')),
        files={**PLAIN, "warmup/in": "0123456789abcdef0"},
    ),
    "no type counts four bytes": Case(
        warm(given('dims: 4 input_data_file: "in"')),
        "warmup-file-too-short",
        "[request id: <id_unknown>] warmup setting expects 16 bytes, but the data provided from inonly has 3 bytes",
        {**PLAIN, "warmup/in": "012"},
    ),
    "a string may be of any length": Case(
        warm(
            given('data_type: TYPE_STRING dims: 1 input_data_file: "in"'),
            inputs=IN.replace("FP32", "STRING").replace("[ 4 ]", "[ 1 ]"),
        ),
        files={**PLAIN, "warmup/in": "\0\0\0\0"},
    ),
    "a file in a folder, with slashes to spare": Case(
        warm(given('data_type: TYPE_FP32 dims: 1 input_data_file: "/a//./in"'), inputs=IN.replace("[ 4 ]", "[ -1 ]")),
        files={**PLAIN, "warmup/a/in": "0123"},
    ),
    "a link may be anything": Case(
        warm(given('data_type: TYPE_FP32 dims: 4 input_data_file: "in"')),
        files={**PLAIN, "warmup/in": Link("/data/in")},
    ),
    "a file that may not be read here": Case(
        warm(given('data_type: TYPE_FP32 dims: 4 input_data_file: "in"')),
        files={**PLAIN, "warmup/in": Unreadable.FORBIDDEN},
    ),
    "an empty directory": Case(
        warm(given('data_type: TYPE_FP32 dims: 4 input_data_file: "in"')),
        "warmup-file-is-directory",
        files={**PLAIN, "warmup/in": DIRECTORY},
    ),
    "a batch of two without batches": Case(
        warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true").replace("1", "2", 1), batch=0, backend="python"),
        "warmup-batch-too-large",
        "failed to run warmup sample 'w': batch size 2 for",
        {"1/model.py": PYTHON},
    ),
    "a batch of one without batches": Case(
        warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true"), batch=0, backend="python"),
        files={"1/model.py": PYTHON},
    ),
    "numbers beyond all memory": Case(
        warm(given('data_type: TYPE_FP32 dims: [ 9223372036854775807, 9 ] input_data_file: "in"')),
        "warmup-file-too-short",
        f"{REQUEST}warmup setting expects 18446744073709551580 bytes, but the data provided from inonly has 4 bytes",
        files={**PLAIN, "warmup/in": "0123"},
    ),
}

OTHERS = {
    "vLLM is decoupled by itself": Case(
        'backend: "vllm"\nresponse_cache { enable: true }\n',
        "response-cache-with-decoupled",
        "Response Cache does not currently support model m with 'decoupled' transaction policy. Please disable the"
        " response cache.",
        {"1/model.json": "{}"},
        "--image vllm-python-py3",
    ),
    "a cache that is off": Case(
        f"{IDENTITY}{IO}response_cache {{ }}\nmodel_transaction_policy {{ decoupled: true }}\n"
    ),
    "a strategy's path is the server's": Case(
        f"{IDENTITY}max_batch_size: 8\n{IO}dynamic_batching {{ }}\nparameters {{ key:"
        ' "TRITON_BATCH_STRATEGY_PATH" value { string_value: "/opt/volume.so" } }\n'
    ),
    "a strategy that cannot be there": Case(
        f"{IDENTITY}max_batch_size: 8\n{IO}dynamic_batching {{ }}\nparameters {{ key:"
        ' "TRITON_BATCH_STRATEGY_PATH" value { string_value: "/nonexistent/volume.so" } }\n',
        "batch-strategy-library-missing",
        "Batching library path not found: /nonexistent/volume.so",
    ),
    "a strategy without value": Case(
        f"{IDENTITY}max_batch_size: 8\n{IO}dynamic_batching {{ }}\n"
        'parameters { key: "TRITON_BATCH_STRATEGY_PATH" }\n',
        "batch-strategy-library-missing",
    ),
    "a strategy outside the model, in 26.06": Case(
        f"{IDENTITY}max_batch_size: 8\n{IO}dynamic_batching {{ }}\nparameters {{ key:"
        ' "TRITON_BATCH_STRATEGY_PATH" value { string_value: "/opt/volume.so" } }\n',
        "batch-strategy-library-missing",
        "Batching library path escapes model repository.",
        options="--release 26.06",
    ),
    "a strategy's library in another version": Case(
        f"{IDENTITY}{IO}", files={"1/batchstrategy.so": "x", "2/weights": ""}
    ),
    "a negative batch": Case(
        f"{IDENTITY}max_batch_size: -1\n{IO}",
        "max-batch-size-negative",
        "'max_batch_size' must be non-negative value for m",
    ),
}

TEXT = IN.replace("FP32", "STRING")
ANY = IN.replace("4", "-1")
SEVERAL = "for inference input 'IN' for model 'm'"


def strings(content: str, dims: str = "2", inputs: str = TEXT.replace("4", "-1"), options: str = "") -> Case:
    """Return a model whose warmup sends this file as strings."""
    config = warm(given(f'data_type: TYPE_STRING dims: [ {dims} ] input_data_file: "in"'), inputs=inputs)
    return Case(config, files={**PLAIN, "warmup/in": content}, options=options)


def refused(case: Case, rule: str, reason: str = "") -> Case:
    """Return the case with what is expected of it."""
    return case._replace(rule=rule, reason=reason and f"{REQUEST}{reason}")


def zeros(dims: str, data_type: str = "FP32", options: str = "") -> Case:
    """Return a model whose warmup sends zeros of these dims to an input of any size."""
    any_size = ANY.replace("-1", ", ".join("-1" for _ in dims.split(","))).replace("FP32", data_type)
    sample = given(f"data_type: TYPE_{data_type} dims: [ {dims} ] zero_data: true")
    return Case(warm(sample, inputs=any_size), options=options)


ONE = "\1\0\0\0a"
CUT = f"incomplete string length indicator {SEVERAL}, expecting 4 bytes but only 3 bytes available. "
CUT += "Please make sure the string length indicator is in one buffer."
BYTES = {
    "two strings": strings(2 * ONE),
    "two strings, the last cut short": strings(f"{ONE}\xff\0\0\0b"),
    "two strings, as a reshape wants them": strings(
        2 * ONE, inputs='input { name: "IN" data_type: TYPE_STRING dims: [ 2 ] reshape { shape: [ 2, 1 ] } }\n'
    ),
    "one string of two": refused(strings(ONE), "warmup-strings-differ", f"expected 2 string elements {SEVERAL}, got 1"),
    "three strings of two": refused(
        strings(5 * ONE), "warmup-strings-differ", f"unexpected number of string elements 3 {SEVERAL}, expecting 2"
    ),
    "an empty file of strings": refused(
        strings(""), "warmup-strings-differ", f"expected 2 string elements {SEVERAL}, got 0"
    ),
    "strings without lengths": refused(strings(f"{ONE}abc"), "warmup-strings-differ", CUT),
    "a string for no strings": refused(
        strings(ONE, "0"), "warmup-strings-differ", f"unexpected number of string elements 1 {SEVERAL}, expecting 0"
    ),
    "a string for less than none": refused(
        strings(ONE, "-2"), "warmup-strings-differ", f"unexpected number of string elements 1 {SEVERAL}, expecting -2"
    ),
    "one string of two, in 24.05": strings(ONE, options="--release 24.05"),
    "one string of two, in 24.06": refused(
        strings(ONE, options="--release 24.06"),
        "warmup-strings-differ",
        "expected 2 string elements for inference input 'IN', got 1",
    ),
    "five strings of two, in 24.08, all counted": refused(
        strings(5 * ONE, options="--release 24.08"),
        "warmup-strings-differ",
        "expected 2 string elements for inference input 'IN', got 5",
    ),
    "strings without lengths, in 24.08": refused(
        strings(f"{ONE}abc", options="--release 24.08"),
        "warmup-strings-differ",
        "element byte size indicator exceeds the end of the buffer.",
    ),
    "a negative dim": refused(
        zeros("-2"),
        "warmup-dim-negative",
        "input byte size mismatch for input 'IN' for model 'm'. Expected -8, got 18446744073709551608",
    ),
    "two negative dims": zeros("-2, -3"),
    "a negative dim and none": zeros("-2, 0"),
    "a negative dim, in 24.05": zeros("-2", options="--release 24.05"),
    "two negative dims, in 26.03": zeros("-2, -3", options="--release 26.03")._replace(
        rule="warmup-dim-negative", reason="tensor 'IN' contains an invalid dimension [-2,-3]"
    ),
    "a dim that makes too many bytes": refused(
        zeros("9223372036854775807"),
        "warmup-dim-negative",
        "input byte size mismatch for input 'IN' for model 'm'. Expected -4, got 18446744073709551612",
    ),
    "a negative dim of strings": refused(zeros("-2", "STRING"), "warmup-strings-dim-negative"),
    "a negative dim of strings, in 24.06": refused(
        zeros("-2", "STRING", options="--release 24.06"), "warmup-strings-dim-negative"
    ),
    "a negative dim of strings, in 24.05": zeros("-2", "STRING", options="--release 24.05"),
    "a negative dim and a file": Case(
        warm(given('data_type: TYPE_FP32 dims: [ -2 ] input_data_file: "in"'), inputs=ANY),
        "warmup-file-too-short",
        f"{REQUEST}warmup setting expects 18446744073709551608 bytes, but the data provided from inonly has 4 bytes",
        files={**PLAIN, "warmup/in": "0123"},
    ),
}

ALL = {**PLATFORMS, **LIBRARIES, **TENSORS, **BATCHES, **WARMUPS, **OTHERS, **BYTES}


@tabled("case", ALL.values(), ids=ALL)
def test_verdict(case: Case) -> None:
    (verdict,) = judged(tree(case), case.options).verdicts
    assert verdict.rule == case.rule
    if case.reason:
        assert verdict.server_reason == case.reason


def rules(config: str) -> list[str]:
    """Return the errors and warnings on a config, by place."""
    found = judged(tree(Case(config))).diagnostics
    return [d.rule for d in found if d.severity != "info"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(f"{IDENTITY}input {{ }}\n{OUT}", ["io-name-missing"], id="a nameless tensor"),
        pytest.param(
            tensor("dims: [ 0, -3 ] reshape { shape: [ 5 ] }"), ["io-dim-invalid", "io-dim-invalid"], id="wrong dims"
        ),
        pytest.param(reshaped("4", "0"), ["reshape-dim-invalid"], id="a wrong reshape"),
        pytest.param(
            f'backend: "pytorch" platform: "torch"\n{IO}', ["pytorch-platform-alias"], id="a platform that is an alias"
        ),
        pytest.param(f'platform: "nosuch"\n{IO}', ["platform-unknown"], id="an unknown platform"),
        pytest.param(
            f"{IDENTITY}max_batch_size: 8\n{IO}batch_input {{ kind: 9 }}\n",
            ["batch-input-data-type", "batch-input-target-missing", "batch-input-kind-unknown"],
            id="an unknown kind has no number of sources",
        ),
        pytest.param(
            f"{IDENTITY}parameters {{ value {{ }} }}\nparameters {{ }}\n{IO}",
            ["map-key-twice", "parameter-empty-key", "parameter-empty-key"],
            id="keys",
        ),
        pytest.param(
            f'{IDENTITY}max_batch_size: 8\n{IN}{OUT}model_warmup {{ batch_size: 1 inputs {{ key: "IN" value'
            f" {{ data_type: 99 dims: -1 }} }} }}\n",
            ["warmup-no-data", "warmup-data-type-differs", "warmup-variable-dim"],
            id="three mistakes of a warmup input",
        ),
    ],
)
def test_one_fault_one_message(config: str, expected: list[str]) -> None:
    assert rules(config) == expected


SHORT = 'data_type: TYPE_FP32 dims: 4 input_data_file: "in"'
SAID = {
    "a sample that lacks what the code may still drop": (
        Case(warm("batch_size: 1", backend="python"), files={"1/model.py": COMPLETES}),
        "",
        [],
    ),
    "a sample of what the code may still change": (
        Case(
            warm(given("data_type: TYPE_FP32 dims: 3 zero_data: true"), backend="python"),
            files={"1/model.py": COMPLETES},
        ),
        "",
        [],
    ),
    "a sample beside inputs that are all optional": (
        Case(
            warm(
                "batch_size: 1",
                inputs=IN.replace(" }", " optional: true }") + IN.replace("IN", "B").replace(" }", " optional: true }"),
            )
        ),
        "",
        [],
    ),
    "zeros before a file": (
        Case(
            warm(
                given("data_type: TYPE_FP32 dims: 4 zero_data: true") + f' inputs {{ key: "B" value {{ {SHORT} }} }}',
                inputs=IN + IN.replace('"IN"', '"B"'),
            ),
            files={**PLAIN, "warmup/in": "0123"},
        ),
        "warmup-file-too-short",
        [
            (
                "m/config.pbtxt:6:188: error: m/warmup/in has 4 bytes, but dims [4] of TYPE_FP32 need 16 "
                "[warmup-file-too-short]"
            ),
            "  Fill the file with the raw values of one request, without a batch or header, or reduce dims.",
            (
                "[request id: <id_unknown>] warmup setting expects 16 bytes, but the data provided from inonly "
                "has 4 bytes"
            ),
        ],
    ),
    "as many bytes as there can be": (
        Case(
            warm(
                given('data_type: TYPE_UINT8 dims: 9223372036854775807 input_data_file: "in"'),
                inputs=IN.replace("FP32", "UINT8").replace("4", "-1"),
            ),
            files={**PLAIN, "warmup/in": "0"},
        ),
        "warmup-file-too-short",
        [
            (
                "m/config.pbtxt:5:132: error: m/warmup/in has 1 byte, but dims [9223372036854775807] of "
                "TYPE_UINT8 need 9223372036854775807 [warmup-file-too-short]"
            ),
            "  Fill the file with the raw values of one request, without a batch or header, or reduce dims.",
            (
                "[request id: <id_unknown>] warmup setting expects 9223372036854775807 bytes, but the data "
                "provided from inonly has 1 bytes"
            ),
        ],
    ),
    "more than there can be": (
        Case(
            warm(
                given('data_type: TYPE_FP16 dims: 9223372036854775807 input_data_file: "in"'),
                inputs=IN.replace("FP32", "FP16").replace("4", "-1"),
            ),
            files={**PLAIN, "warmup/in": "0"},
        ),
        "warmup-file-too-short",
        [
            (
                "m/config.pbtxt:5:131: error: m/warmup/in has 1 byte, but dims [9223372036854775807] of "
                "TYPE_FP16 need 18446744073709551614 [warmup-file-too-short]"
            ),
            "  Fill the file with the raw values of one request, without a batch or header, or reduce dims.",
            (
                f"{REQUEST}warmup setting expects 18446744073709551614 bytes, but the data provided from inonly "
                "has 1 bytes"
            ),
        ],
    ),
    "a file for two dims of any size": (
        Case(
            warm(
                given('data_type: TYPE_FP32 dims: [ -1, -1 ] input_data_file: "in"'), inputs=IN.replace("4", "-1, -1")
            ),
            files={**PLAIN, "warmup/in": "0"},
        ),
        "warmup-variable-dim",
        [
            'm/config.pbtxt:5:96: error: warmup input "IN" cannot have a dim of -1 [warmup-variable-dim]',
            "  Set the dim to the size of this sample.",
            "warmup setting expects all variable-size dimensions are specified for input 'IN'",
        ],
    ),
    "a type that is wrong, in the second sample": (
        Case(
            warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true"))
            + f'model_warmup {{ name: "v" {given("data_type: TYPE_INT8 dims: [ 3 ] zero_data: true")} }}\n'
        ),
        "warmup-data-type-differs",
        [
            (
                'm/config.pbtxt:6:78: error: warmup input "IN" has data_type TYPE_INT8, but the model\'s '
                "input has TYPE_FP32 [warmup-data-type-differs]"
            ),
            "  Set data_type to TYPE_FP32.",
            ("[request id: <id_unknown>] inference input 'IN' data-type is 'INT8', but model 'm' expects 'FP32'"),
            (
                'm/config.pbtxt:6:88: error: warmup input "IN" has dims [3], but the model\'s input has [4] '
                "[warmup-shape-differs]"
            ),
            "  Set dims to `[ 4 ]`.",
            ("[request id: <id_unknown>] unexpected shape for input 'IN' for model 'm'. Expected [-1,4], got [1,3]."),
        ],
    ),
    "no type is said where the input is": (
        Case(warm(given("dims: 4 zero_data: true"))),
        "warmup-data-type-differs",
        [
            (
                'm/config.pbtxt:5:65: error: warmup input "IN" has no data_type, but the model\'s input has '
                "TYPE_FP32 [warmup-data-type-differs]"
            ),
            "  Set data_type to TYPE_FP32.",
            ("[request id: <id_unknown>] inference input 'IN' data-type is '<invalid>', but model 'm' expects 'FP32'"),
        ],
    ),
    "dims of another rank": (
        Case(warm(given("data_type: TYPE_FP32 dims: [ 2, 3 ] zero_data: true"), inputs=IN.replace("[ 4 ]", "[ -1 ]"))),
        "warmup-shape-differs",
        [
            (
                'm/config.pbtxt:5:88: error: warmup input "IN" has dims [2, 3], but the model\'s input has [-1] '
                "[warmup-shape-differs]"
            ),
            "  Set dims to `[ 1 ]`.",
            (
                "[request id: <id_unknown>] unexpected shape for input 'IN' for model 'm'. Expected [-1,-1], "
                "got [1,2,3]."
            ),
        ],
    ),
    "no dims": (
        Case(
            warm(
                given("data_type: TYPE_FP32 zero_data: true"),
                inputs=IN.replace("[ 4 ]", "[ -1, 4, 0 ]".replace(", 0", "")),
            )
        ),
        "warmup-shape-differs",
        [
            (
                'm/config.pbtxt:5:65: error: warmup input "IN" has dims [], but the model\'s input has [-1, 4] '
                "[warmup-shape-differs]"
            ),
            "  Set dims to `[ 1, 4 ]`.",
            ("[request id: <id_unknown>] unexpected shape for input 'IN' for model 'm'. Expected [-1,-1,4], got [1]."),
        ],
    ),
    "one of two dims": (
        Case(
            warm(
                given("data_type: TYPE_FP32 dims: [ 5, 3 ] zero_data: true"),
                inputs=IN.replace("[ 4 ]", "[ -1, 4 ]"),
                batch=0,
            )
        ),
        "warmup-shape-differs",
        [
            (
                'm/config.pbtxt:5:88: error: warmup input "IN" has dims [5, 3], but the model\'s input has [-1, 4] '
                "[warmup-shape-differs]"
            ),
            "  Set dims to `[ 1, 4 ]`.",
            ("[request id: <id_unknown>] unexpected shape for input 'IN' for model 'm'. Expected [-1,4], got [5,3]. "),
        ],
    ),
    "the second dim of any size": (
        Case(warm(given("data_type: TYPE_FP32 dims: [ 4, -1, -1 ] zero_data: true"))),
        "warmup-variable-dim",
        [
            'm/config.pbtxt:5:99: error: warmup input "IN" cannot have a dim of -1 [warmup-variable-dim]',
            "  Set the dim to the size of this sample.",
            "warmup setting expects all variable-size dimensions are specified for input 'IN'",
        ],
    ),
    "an output of an input's name": (
        Case(warm(given("data_type: TYPE_INT8 dims: 4 zero_data: true", "OUT"))),
        "warmup-input-missing",
        [
            'm/config.pbtxt:5:54: error: the warmup sample lacks the required input "IN" [warmup-input-missing]',
            '  Rename "OUT" to "IN".',
            (
                "[request id: <id_unknown>] expected 1 inputs but got 0 inputs for model 'm'. Got input(s) [], "
                "but missing required input(s) ['IN']. Please provide all required input(s)."
            ),
        ],
    ),
    "two misspelt inputs": (
        Case(
            warm(
                given("data_type: TYPE_FP32 dims: 4 zero_data: true", "TXTS")
                + ' inputs { key: "LENGHT" value { data_type: TYPE_FP32 dims: 4 zero_data: true } }'
                + ' inputs { key: "Z" value { data_type: TYPE_FP32 dims: 4 zero_data: true } }',
                inputs=IN.replace('"IN"', '"LENGTH"') + IN.replace('"IN"', '"TEXTS"') + IN.replace('"IN"', '"MORE"'),
            )
        ),
        "warmup-input-missing",
        [
            (
                'm/config.pbtxt:7:54: error: the warmup sample lacks the required inputs "LENGTH", "TEXTS", "MORE" '
                "[warmup-input-missing]"
            ),
            '  Rename "TXTS" to "TEXTS", and "LENGHT" to "LENGTH".',
            (
                "[request id: <id_unknown>] expected 3 inputs but got 0 inputs for model 'm'. Got input(s) [], "
                "but missing required input(s) ['LENGTH','TEXTS','MORE']. Please provide all required input(s)."
            ),
        ],
    ),
    "of two inputs of one name the first counts": (
        Case(warm(given("data_type: TYPE_INT8 dims: 4 zero_data: true"), inputs=IN + IN.replace("FP32", "INT8"))),
        "warmup-input-missing",
        [
            (
                'm/config.pbtxt:4:15: warning: input "IN" is already defined, so Triton rejects every request '
                "[input-name-twice]"
            ),
            "  Remove it, or rename it to match the model.",
            "",
            (
                "m/config.pbtxt:6:14: error: the model lists a required input twice, so no warmup sample "
                "can match it [warmup-input-missing]"
            ),
            "  Remove the duplicate input from the config.",
            (
                "[request id: <id_unknown>] expected 2 inputs but got 1 inputs for model 'm'. Got input(s) "
                "['IN'], but missing required input(s) ]. Please provide all required input(s)."
            ),
            (
                'm/config.pbtxt:6:78: error: warmup input "IN" has data_type TYPE_INT8, but the model\'s '
                "input has TYPE_FP32 [warmup-data-type-differs]"
            ),
            "  Set data_type to TYPE_FP32.",
            ("[request id: <id_unknown>] inference input 'IN' data-type is 'INT8', but model 'm' expects 'FP32'"),
        ],
    ),
    "two inputs are missing": (
        Case(warm("batch_size: 1", inputs=IN + IN.replace('"IN"', '"B"').replace("4", "-1, 2"))),
        "warmup-input-missing",
        [
            (
                'm/config.pbtxt:6:14: error: the warmup sample lacks the required inputs "IN", "B" '
                "[warmup-input-missing]"
            ),
            '  Add `inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } }`.',
            (
                "[request id: <id_unknown>] expected 2 inputs but got 0 inputs for model 'm'. Got input(s) [], "
                "but missing required input(s) ['IN','B']. Please provide all required input(s)."
            ),
        ],
    ),
    "of three inputs one is given": (
        Case(
            warm(
                given("data_type: TYPE_FP32 dims: 4 zero_data: true"),
                inputs=IN + IN.replace('"IN"', '"B"') + IN.replace('"IN"', '"C"'),
            )
        ),
        "warmup-input-missing",
        [
            ('m/config.pbtxt:7:14: error: the warmup sample lacks the required inputs "B", "C" [warmup-input-missing]'),
            '  Add `inputs { key: "B" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } }`.',
            (
                "[request id: <id_unknown>] expected 3 inputs but got 1 inputs for model 'm'. Got input(s) "
                "['IN'], but missing required input(s) ['B','C']. Please provide all required input(s)."
            ),
        ],
    ),
    "of three inputs two are given": (
        Case(
            warm(
                given("data_type: TYPE_FP32 dims: 4 zero_data: true")
                + given("data_type: TYPE_FP32 dims: 4 zero_data: true", "B").removeprefix("batch_size: 1"),
                inputs=IN + IN.replace('"IN"', '"B"') + IN.replace('"IN"', '"C"'),
            )
        ),
        "warmup-input-missing",
        [
            'm/config.pbtxt:7:14: error: the warmup sample lacks the required input "C" [warmup-input-missing]',
            '  Add `inputs { key: "C" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } }`.',
            "[request id: <id_unknown>] expected 3 inputs but got 2 inputs for model 'm'.",
        ],
    ),
    "a file for a string": (
        Case(
            warm(
                given('data_type: TYPE_STRING dims: 4 input_data_file: "in"')
                + f' inputs {{ key: "B" value {{ {SHORT} }} }}',
                inputs=IN.replace("FP32", "STRING") + IN.replace('"IN"', '"B"'),
            ),
            files={**PLAIN, "warmup/in": "0123"},
        ),
        "warmup-file-too-short",
        [
            ("m/config.pbtxt:6:115: error: m/warmup/in has 1 string, but dims [4] need 4 [warmup-strings-differ]"),
            "  Write as many strings as dims need, each as a 4-byte little-endian length followed by its bytes.",
            f"{REQUEST}expected 4 string elements for inference input 'IN' for model 'm', got 1",
            (
                "m/config.pbtxt:6:196: error: m/warmup/in has 4 bytes, but dims [4] of TYPE_FP32 need 16 "
                "[warmup-file-too-short]"
            ),
            "  Fill the file with the raw values of one request, without a batch or header, or reduce dims.",
            (
                "[request id: <id_unknown>] warmup setting expects 16 bytes, but the data provided from inonly "
                "has 4 bytes"
            ),
        ],
    ),
    "a file that is short by a byte": (
        Case(
            warm(given('data_type: TYPE_FP32 dims: 4 input_data_file: "in"')),
            files={**PLAIN, "warmup/in": "0123456789abcde"},
        ),
        "warmup-file-too-short",
        [
            (
                "m/config.pbtxt:5:113: error: m/warmup/in has 15 bytes, but dims [4] of TYPE_FP32 need 16 "
                "[warmup-file-too-short]"
            ),
            "  Fill the file with the raw values of one request, without a batch or header, or reduce dims.",
            (
                "[request id: <id_unknown>] warmup setting expects 16 bytes, but the data provided from inonly "
                "has 15 bytes"
            ),
        ],
    ),
    "a file that is short, of dims of any size": (
        Case(warm(given('data_type: TYPE_FP32 dims: -1 input_data_file: "in"')), files={**PLAIN, "warmup/in": "0"}),
        "warmup-variable-dim",
        [
            'm/config.pbtxt:5:94: error: warmup input "IN" cannot have a dim of -1 [warmup-variable-dim]',
            "  Set the dim to the size of this sample.",
            "warmup setting expects all variable-size dimensions are specified for input 'IN'",
        ],
    ),
    "a file that is not there, and one that is short": (
        Case(
            warm(given('data_type: TYPE_FP32 dims: 4 input_data_file: "no"'))
            + f'model_warmup {{ name: "v" {given(SHORT)} }}\n',
            files={**PLAIN, "warmup/in": "0"},
        ),
        "warmup-file-missing",
        [
            "m/config.pbtxt:5:113: error: m/warmup/no does not exist [warmup-file-missing]",
            "  Create the file, or set input_data_file to a file in warmup/.",
            "failed to open text file for read m/warmup/no: No such file or directory",
            (
                "m/config.pbtxt:6:113: error: m/warmup/in has 1 byte, but dims [4] of TYPE_FP32 need 16 "
                "[warmup-file-too-short]"
            ),
            "  Fill the file with the raw values of one request, without a batch or header, or reduce dims.",
            (
                "[request id: <id_unknown>] warmup setting expects 16 bytes, but the data provided from inonly "
                "has 1 bytes"
            ),
        ],
    ),
    "a file with a slash": (
        Case(warm(given('data_type: TYPE_FP32 dims: 4 input_data_file: "/no"'))),
        "warmup-file-missing",
        [
            "m/config.pbtxt:5:113: error: m/warmup/no does not exist [warmup-file-missing]",
            "  Create the file, or set input_data_file to a file in warmup/.",
            "failed to open text file for read m/warmup/no: No such file or directory",
        ],
    ),
    "an empty file for no dims": (
        Case(warm(given('data_type: TYPE_FP32 input_data_file: "in"'), inputs=IN), files={**PLAIN, "warmup/in": ""}),
        "warmup-shape-differs",
        [
            (
                'm/config.pbtxt:5:65: error: warmup input "IN" has dims [], but the model\'s input has [4] '
                "[warmup-shape-differs]"
            ),
            "  Set dims to `[ 4 ]`.",
            ("[request id: <id_unknown>] unexpected shape for input 'IN' for model 'm'. Expected [-1,4], got [1]."),
        ],
    ),
    "a directory for a file": (
        Case(warm(given('data_type: TYPE_FP32 dims: 4 input_data_file: "in"')), files={**PLAIN, "warmup/in/x": "0"}),
        "warmup-file-is-directory",
        [
            (
                "m/config.pbtxt:5:113: error: m/warmup/in is a directory, which crashes the server "
                "[warmup-file-is-directory]"
            ),
            "  Name a file in it.",
            "std::length_error",
        ],
    ),
    "no batch": (
        Case(warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true").removeprefix("batch_size: 1"))),
        "",
        [
            ("m/config.pbtxt:5:14: warning: the warmup sample has no batch_size, so it never runs [warmup-batch-zero]"),
            "  Set batch_size to 1.",
            "",
        ],
    ),
    "a batch of 0": (
        Case(warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true").replace("1", "0", 1))),
        "",
        [
            ("m/config.pbtxt:5:38: warning: the warmup sample has batch_size 0, so it never runs [warmup-batch-zero]"),
            "  Set batch_size to 1.",
            "",
        ],
    ),
    "a batch above the largest": (
        Case(
            warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true").replace("1", "9", 1), backend="python"),
            files={"1/model.py": PYTHON},
        ),
        "warmup-batch-too-large",
        [
            "m/config.pbtxt:5:38: error: batch_size is 9, but max_batch_size is 8 [warmup-batch-too-large]",
            "  Set batch_size to 8 or less.",
            "failed to run warmup sample 'w': batch size 9 for",
        ],
    ),
    "a batch above two": (
        Case(
            warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true").replace("1", "3", 1), batch=2, backend="python"),
            files={"1/model.py": PYTHON},
        ),
        "warmup-batch-too-large",
        [
            "m/config.pbtxt:5:38: error: batch_size is 3, but max_batch_size is 2 [warmup-batch-too-large]",
            "  Set batch_size to 2 or less.",
            "failed to run warmup sample 'w': batch size 3 for",
        ],
    ),
    "a batch that is the largest": (
        Case(
            warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true").replace("1", "8", 1), backend="python"),
            files={"1/model.py": PYTHON},
        ),
        "",
        [],
    ),
    "a batch above one": (
        Case(
            warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true").replace("1", "2", 1), batch=1, backend="python"),
            files={"1/model.py": PYTHON},
        ),
        "warmup-batch-too-large",
        [
            "m/config.pbtxt:5:38: error: batch_size is 2, but max_batch_size is 1 [warmup-batch-too-large]",
            "  Set batch_size to 1.",
            "failed to run warmup sample 'w': batch size 2 for",
        ],
    ),
    "an input that the model lacks": (
        Case(
            warm(
                given("data_type: TYPE_FP32 dims: 4 zero_data: true")
                + given("data_type: TYPE_FP32 dims: 4 zero_data: true", "X").removeprefix("batch_size: 1")
            )
        ),
        "",
        [],
    ),
    "a sample without inputs": (
        Case(
            warm("batch_size: 1", inputs=IN.replace(" }", " optional: true }"), backend="python"),
            files={"1/model.py": PYTHON},
        ),
        "warmup-run-fails",
        [
            (
                "m/config.pbtxt:5:14: error: the warmup sample has no input, so the Python backend cannot "
                "read its batch size [warmup-run-fails]"
            ),
            '  Add an input: `inputs { key: "IN" value { ... } }`.',
            (
                "failed to run warmup sample 'w': [request id: <id_unknown>] out of bounds index 0: request has "
                "0 inputs;"
            ),
        ],
    ),
    "a dim below 0": (
        zeros("-2"),
        "warmup-dim-negative",
        [
            'm/config.pbtxt:5:96: error: a dim of warmup input "IN" must be 0 or greater, not -2 [warmup-dim-negative]',
            "  Set the dim to the size of this sample.",
            f"{REQUEST}input byte size mismatch for input 'IN' for model 'm'. Expected -8, got 18446744073709551608",
        ],
    ),
    "a dim that is too large": (
        zeros("9223372036854775807"),
        "warmup-dim-negative",
        [
            (
                'm/config.pbtxt:5:96: error: dim 9223372036854775807 of warmup input "IN" is too large '
                "[warmup-dim-negative]"
            ),
            "  Set the dim to the size of this sample.",
            f"{REQUEST}input byte size mismatch for input 'IN' for model 'm'. Expected -4, got 18446744073709551612",
        ],
    ),
    "no data of the second": (
        Case(
            warm(given("data_type: TYPE_FP32 dims: 4 zero_data: true"))
            + f'model_warmup {{ name: "v" {given("data_type: TYPE_FP32 dims: 4")} }}\n'
        ),
        "warmup-no-data",
        [
            'm/config.pbtxt:6:65: error: warmup input "IN" has no data [warmup-no-data]',
            "  Set `zero_data: true`, `random_data: true`, or input_data_file to a file in warmup/.",
            "[request id: <id_unknown>] warmup setting expects input 'IN' to have input_data_type set",
        ],
    ),
    "a dim of an input": (
        Case(tensor("dims: [ 4, 0, -2 ]")),
        "io-dim-invalid",
        [
            (
                'm/config.pbtxt:3:52: error: a dimension of input "IN" must be at least 1, or -1 for any size, not 0 '
                "[io-dim-invalid]"
            ),
            "  Set its size, or -1.",
            ("model input 'IN' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m"),
            (
                'm/config.pbtxt:3:55: error: a dimension of input "IN" must be at least 1, or -1 for any size, not -2 '
                "[io-dim-invalid]"
            ),
            "  Set its size, or -1.",
            ("model input 'IN' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m"),
        ],
    ),
    "a format of two dims": (
        Case(tensor("dims: [ 4, 4 ] format: FORMAT_NCHW")),
        "format-needs-3-dims",
        [
            (
                'm/config.pbtxt:3:41: error: input "IN" has format FORMAT_NCHW and must have 3 dims, not 2 '
                "[format-needs-3-dims]"
            ),
            "  Set dims to the image's 3 dimensions without the batch (max_batch_size), or remove format.",
            "model input NHWC/NCHW require 3 dims for m",
        ],
    ),
    "a reshape of another size": (
        Case(reshaped("2, 4", "7", 8)),
        "reshape-size-differs",
        [
            (
                'm/config.pbtxt:3:66: error: reshape [7] of input "IN" does not hold as many elements as dims [2, 4] '
                "[reshape-size-differs]"
            ),
            "  Set shape to dimensions with the same number of elements.",
            "model input 'IN' has different size for dims and reshape for m",
        ],
    ),
    "a reshape of other segments": (
        Case(reshaped("2, -1, 3", "3, -1, 2")),
        "reshape-segment-differs",
        [
            (
                'm/config.pbtxt:3:70: error: reshape [3, -1, 2] of input "IN" does not match dims [2, -1, 3] '
                "on each side of -1 [reshape-segment-differs]"
            ),
            "  Set fixed dimensions with as many elements as in dims before, between and after the -1 dimensions.",
            "model input 'IN' has different size for dims and reshape for m",
        ],
    ),
    "a batch below 0": (
        Case(f"{IDENTITY}max_batch_size: -1\n{IO}"),
        "max-batch-size-negative",
        [
            "m/config.pbtxt:2:17: error: max_batch_size must be 0 or greater, not -1 [max-batch-size-negative]",
            "  Set it to the largest batch that the model accepts, or to 0 if the model does not batch.",
            "'max_batch_size' must be non-negative value for m",
        ],
    ),
}


@tabled(("case", "rule", "said"), SAID.values(), ids=SAID)
def test_all_that_is_said(case: Case, rule: str, said: Sequence[str]) -> None:
    found = judged(tree(case), case.options)
    loud = [d for d in found.diagnostics if RULES[d.rule].severity != "info"]
    assert [line for d in loud for line in (*str(d).split("\n"), d.server_reason.split(" NOTE: ")[0])] == list(said)
    assert found.verdicts[0].rule == rule


@tabled(
    ("backend", "source", "options", "said"),
    [
        ("identity", "", "", True),
        ("python", PYTHON, "", True),
        ("python", f"{PYTHON}# self.config['optimization']\n", "", False),
        ("mine", "", "", False),
        ("mine", "", "--image team/triton:1", False),
    ],
    ids=["that reads none", "python", "a source that may read it", "own", "in an own image"],
)
def test_optimization_is_said_to_be_ignored_by_a_backend(
    backend: str, source: str, options: str, *, said: bool
) -> None:
    case = Case(f'backend: "{backend}"\noptimization {{ graph {{ level: 1 }} }}\n{IO}', files={"1/model.py": source})
    found = judged(tree(case), options).diagnostics
    assert ("optimization-ignored" in {each.rule for each in found}) is said


WIDTHS = {
    1: ("BOOL", "UINT8", "INT8"),
    2: ("UINT16", "INT16", "FP16", "BF16"),
    4: ("UINT32", "INT32", "FP32"),
    8: ("UINT64", "INT64", "FP64"),
}


@tabled(("name", "size"), [(name, size) for size, names in WIDTHS.items() for name in names])
def test_a_file_has_the_bytes_of_its_type(name: str, size: int) -> None:
    config = warm(given(f'data_type: TYPE_{name} dims: 3 input_data_file: "in"'), inputs=IN.replace("FP32", name))
    config = config.replace("[ 4 ]", "[ -1 ]", 1)
    for length, rule in ((3 * size, ""), (3 * size - 1, "warmup-file-too-short")):
        files = {**PLAIN, "warmup/in": "x" * length}
        assert judged(tree(Case(config, files=files))).verdicts[0].rule == rule


@tabled("name", ["trt", "TRT", "ort", "tf", "py", "onnx", "torch", "tf_graph"])
def test_a_short_name_of_a_backend_is_known_for_what_it_means(name: str) -> None:
    (verdict,) = judged(tree(Case(f'backend: "{name}"\n{IO}'))).verdicts
    assert verdict.rule == "backend-not-available"


@tabled(
    ("platform", "hint"),
    [
        ("onnx", 'Use `backend: "onnxruntime"` instead.'),
        ("TRT", 'Use `backend: "tensorrt"` instead.'),
        ("Ensemble", 'Use `platform: "ensemble"`.'),
        ("tensorrt-plan", 'Did you mean "tensorrt_plan"?'),
        ("mine", "Remove platform, and set backend to the backend that reads the model."),
    ],
)
def test_a_platform_that_is_none_is_known_for_what_it_means(platform: str, hint: str) -> None:
    found = judged(tree(Case(f'platform: "{platform}"\n{IO}'))).diagnostics
    assert [d.hint for d in found if d.rule == "platform-unknown"] == [hint]


UNNAMED = {
    "no dims": (
        f'{IDENTITY}input {{ name: "IN" data_type: TYPE_FP32 }}\n{OUT}',
        "model input must specify 'dims' for m",
    ),
    "no type": (
        f'{IDENTITY}input {{ name: "IN" dims: 4 }}\n{OUT}',
        "model output must specify 'data_type' for m",
    ),
    "a dim": (
        tensor("dims: 0"),
        "model input dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m",
    ),
    "reshape": (reshaped("4", "3"), "model input has different size for dims and reshape for m"),
}
SINCE_24_07 = ("24.06", "24.07")
"""The releases on both sides of the change."""


@pytest.mark.parametrize(("config", "reason"), UNNAMED.values(), ids=UNNAMED)
def test_until_24_06_a_fault_of_a_tensor_does_not_name_it(config: str, reason: str) -> None:
    said = [judged(tree(Case(config)), f"--release {release}").verdicts[0].server_reason for release in SINCE_24_07]
    assert said[0] == reason
    assert said[1] == reason.replace("output must", "input must").replace("model input", "model input 'IN'")


@pytest.mark.parametrize(("release", "listed"), [("24.02", False), ("24.03", True)], ids=["before", "since"])
def test_from_24_03_on_a_warmup_is_told_which_inputs_are_missing(release: str, listed: bool) -> None:  # noqa: FBT001  a table's column
    (verdict,) = judged(tree(Case(warm("batch_size: 1"))), f"--release {release}").verdicts
    said, _, rest = verdict.server_reason.partition(" for model 'm'")
    assert said == f"{REQUEST}expected 1 inputs but got 0 inputs"
    assert rest.startswith(". Got input(s) [], but missing required input(s) ['IN'].") if listed else rest == ""


@pytest.mark.parametrize(("release", "begins"), [("26.03", True), ("26.02", False)], ids=["counted", "before"])
def test_a_warmup_without_a_type_is_counted_first_from_its_release_on(release: str, begins: bool) -> None:  # noqa: FBT001  a table's column
    case = Case(warm(given("dims: 4 zero_data: true")), options=f"--release {release}")
    (verdict,) = judged(tree(case), case.options).verdicts
    assert verdict.server_reason.startswith("warmup setting expects all variable-size") is begins


def variable(reads: str, writes: str, backend: str = "identity") -> dict[str, Entry]:
    """Return a model without max_batch_size."""
    io = f"input {{ name: 'I' data_type: TYPE_FP32 dims: {reads} }}\n"
    io += f"output {{ name: 'O' data_type: TYPE_FP32 dims: {writes} }}\n"
    return {"m/config.pbtxt": of_text(f'backend: "{backend}"\n{io}'), "m/1/model.py": of_text(SCRIPT)}


SCRIPT = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
MAYBE_BATCHES = {
    "all dims begin with -1": (variable("[ -1, 4 ]", "[ -1 ]"), True),
    "an input that does not": (variable("[ 4 ]", "[ -1 ]"), False),
    "an output that does not": (variable("[ -1 ]", "[ 4, -1 ]"), False),
    "a Python model": (variable("[ -1 ]", "[ -1 ]", "python"), False),
    "a backend that may complete the config": (variable("[ -1 ]", "[ -1 ]", "tensorrt"), False),
    "PyTorch": (variable("[ -1 ]", "[ -1 ]", "pytorch"), True),
    "dynamic batching, which another rule reports": (
        variable("[ -1 ]", "[ -1 ]", 'identity" dynamic_batching { } name: "m'),
        False,
    ),
}


@tabled(("files", "speaks"), MAYBE_BATCHES.values(), ids=MAYBE_BATCHES)
def test_a_missing_batch_size_is_told_where_the_dims_seem_to_have_a_batch(
    files: dict[str, Entry],
    speaks: bool,  # noqa: FBT001  a row of the table
) -> None:
    assert ("max-batch-size-absent" in {each.rule for each in judged(files).diagnostics}) is speaks


LEFT = {
    "one": ({"a": "${a}", "b": "x"}, 'parameter "a" is a placeholder that is not filled in'),
    "five": (
        dict.fromkeys("abcde", "{{ .x }}"),
        'parameters "a", "b", "c" and 2 more are placeholders that are not filled in',
    ),
    "a part of a string": ({"a": "/models/${a}", "b": "$a", "c": "$$TRITON_MODEL_DIRECTORY/x", "d": "${}"}, None),
}


@pytest.mark.parametrize(("values", "message"), LEFT.values(), ids=LEFT)
def test_parameters_that_are_placeholders_are_one_finding(values: Mapping[str, str], message: str | None) -> None:
    entries = "".join(f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }}\n' for k, v in values.items())
    config = f'backend: "identity"\nmax_batch_size: 1\n{IO}{entries}'
    found = judged({"m/config.pbtxt": of_text(config), "m/1": Directory()}).diagnostics
    assert [each.message for each in found if each.rule == "template-placeholder-in-parameter"] == [message] * bool(
        message
    )


TENSORFLOW = '"tensorflow_savedmodel" or "tensorflow_graphdef"'
PLATFORM_HINTS = {
    "a saved model": ("tensorflow", "model.savedmodel/saved_model.pb", 'Set platform to "tensorflow_savedmodel".'),
    "a graph": ("TensorFlow", "model.graphdef", 'Set platform to "tensorflow_graphdef".'),
    "neither": ("tensorflow", "weights", f"Set platform to {TENSORFLOW}."),
    "another backend": ("onnxruntime", "model.onnx", 'Use `backend: "onnxruntime"` instead.'),
}


@pytest.mark.parametrize(("platform", "file", "hint"), PLATFORM_HINTS.values(), ids=PLATFORM_HINTS)
def test_a_backend_as_platform_is_told_what_to_write(platform: str, file: str, hint: str) -> None:
    files = {"m/config.pbtxt": of_text(f'platform: "{platform}"\n{IO}'), f"m/1/{file}": of_text("")}
    found = judged(files, "--release 24.10").diagnostics
    assert [each.hint for each in found if each.rule == "platform-unknown"] == [hint]
