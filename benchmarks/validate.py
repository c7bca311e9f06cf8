"""Measure `tritonrepo validate`: `python -m benchmarks.validate [MODELS]` (10,000 without a number).

A repository of ordinary models, hand-written and generated ones mixed, is made from a seed; one model in a hundred has
a mistake. Another has a long source in two of five models. Printed are their sizes, and beside their budgets:
validating each over `text_format.Parse` of the same files in the same process, the long sources also on one core and
with what an earlier run has kept in the cache; the peak memory of `tritonrepo validate`; `--help` over
`python -c "import click"`; seconds for `tritonrepo validate` of nine models, the process's start included. Exit status
1 if a budget is not kept.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from string import Template
from unittest import mock

from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tritonrepo.cli import run

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SEED = "validate"
MODELS = 10_000
RATIO, MEBIBYTES, HELP, NINE = 1.4, 300, 1.3, 0.35
"""The budgets: over text_format; peak memory; over importing click; seconds for nine models."""
LONG, AGAIN = 3, 1
"""The budgets with long sources: over text_format on one core, and once more."""

ROUNDS = 5
OLD_S = 2.5
"""What is younger is not remembered."""
STARTS = 21
TOOL = str(Path(sysconfig.get_path("scripts"), "tritonrepo"))

IMAGES = """\
name: "$name"
platform: "onnxruntime_onnx"
max_batch_size: $batch
input [
  {
    name: "images"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ 3, $side, $side ]
  }
]
output [
  {
    name: "scores"
    data_type: TYPE_FP32
    dims: [ $width ]
  }
]
instance_group [
  {
    count: $count
    kind: KIND_GPU
    gpus: [ 0 ]
  }
]
dynamic_batching {
  preferred_batch_size: [ $preferred ]
  max_queue_delay_microseconds: $delay
}
"""
ENCODER = """\
name: "$name"
backend: "onnxruntime"
version_policy { specific { versions: [ 1 ] } }
max_batch_size: $batch
input { name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] }
input { name: "attention_mask" data_type: TYPE_INT64 dims: [ -1 ] }
input { name: "token_type_ids" data_type: TYPE_INT64 dims: [ -1 ] }
output { name: "embedding" data_type: TYPE_FP32 dims: [ $width ] }
dynamic_batching { preferred_batch_size: $preferred max_queue_delay_microseconds: $delay }
instance_group { kind: KIND_AUTO count: $count }
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
parameters { key: "session.use_device_allocator_for_initializers" value { string_value: "1" } }
optimization {
  graph { level: 1 }
  cuda { graphs: true }
}
"""
TOKENIZER = """\
# text in, ids out; the encoder of the same name takes them
name: "$name"
backend: "python"
max_batch_size: $batch

input [
  {
    name: "text"
    data_type: TYPE_STRING
    dims: [ 1 ]
  }
]
output [
  {
    name: "input_ids"
    data_type: TYPE_INT64
    dims: [ -1 ]
  },
  {
    name: "attention_mask"
    data_type: TYPE_INT64
    dims: [ -1 ]
  },
  {
    name: "token_type_ids"
    data_type: TYPE_INT64
    dims: [ -1 ]
  }
]

instance_group [{ kind: KIND_CPU, count: $count }]
dynamic_batching { }
parameters: {
  key: "tokenizer_dir",
  value: { string_value: "/models/$name/1/tokenizer" }
}
"""
STEPS = """\
name: "$name"
platform: "ensemble"
version_policy { specific { versions: [ 1 ] } }
max_batch_size: 8
input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "vector" data_type: TYPE_FP32 dims: [ $width ] }
ensemble_scheduling {
  step {
    model_name: "${family}_tokenizer"
    model_version: 1
    input_map { key: "text" value: "query" }
    output_map { key: "input_ids" value: "ids" }
    output_map { key: "attention_mask" value: "mask" }
    output_map { key: "token_type_ids" value: "types" }
  }
  step {
    model_name: "${family}_encoder"
    model_version: 1
    input_map { key: "input_ids" value: "ids" }
    input_map { key: "attention_mask" value: "mask" }
    input_map { key: "token_type_ids" value: "types" }
    output_map { key: "embedding" value: "vector" }
  }
}
"""
CHAT = """\
name: "$name"
backend: "vllm"
max_batch_size: 0
model_transaction_policy { decoupled: true }
input [
  { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "stream" data_type: TYPE_BOOL dims: [ 1 ] optional: true },
  { name: "sampling_parameters" data_type: TYPE_STRING dims: [ 1 ] optional: true },
  { name: "exclude_input_in_output" data_type: TYPE_BOOL dims: [ 1 ] optional: true }
]
output [
  { name: "text_output" data_type: TYPE_STRING dims: [ -1 ] }
]
instance_group [
  {
    count: 1
    kind: KIND_MODEL
  }
]
"""
SPEECH = """\
name: "$name"
backend: "python"
max_batch_size: $batch
sequence_batching {
  max_sequence_idle_microseconds: 5000000
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] },
    { name: "END" control [ { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] } ] },
    { name: "CORRID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] }
  ]
  oldest { max_candidate_sequences: 64 max_queue_delay_microseconds: $delay }
}
input [
  { name: "WAV" data_type: TYPE_FP32 dims: [ -1 ] },
  { name: "WAV_LENS" data_type: TYPE_INT32 dims: [ 1 ] }
]
output [ { name: "TRANSCRIPTS" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: $count kind: KIND_CPU } ]
parameters [
  { key: "tokenizer_dir" value: { string_value: "/opt/tokenizer" } },
  { key: "sample_rate" value: { string_value: "16000" } },
  { key: "chunk_seconds" value: { string_value: "0.64" } }
]
"""
TRT = IMAGES.replace("onnxruntime_onnx", "tensorrt_plan").replace("TYPE_FP32", "TYPE_FP16")
TORCH = IMAGES.replace("onnxruntime_onnx", "pytorch_libtorch").replace('"images"', '"INPUT__0"')
TORCH = TORCH.replace('"scores"', '"OUTPUT__0"')
CODE = '''\
"""Tokenize text for the encoder."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils
from transformers import AutoTokenizer


class TritonPythonModel:
    def initialize(self, args):
        self.model_config = json.loads(args["model_config"])
        parameters = self.model_config["parameters"]
        self.tokenizer = AutoTokenizer.from_pretrained(parameters["tokenizer_dir"]["string_value"])
        self.max_length = 512
        self.name = "$name"

    def execute(self, requests):
        responses = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
            texts = [text.decode("utf-8") for text in texts.flatten()]
            encoded = self.tokenizer(
                texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="np"
            )
            outputs = [
                pb_utils.Tensor(name, encoded[name].astype(np.int64))
                for name in ("input_ids", "attention_mask", "token_type_ids")
            ]
            responses.append(pb_utils.InferenceResponse(output_tensors=outputs))
        return responses

    def finalize(self):
        self.tokenizer = None
'''
LOOKUP = """\
        output = pb_utils.get_output_config_by_name(self.model_config, "TRANSCRIPTS")
        self.dtype = pb_utils.triton_string_to_numpy(output["data_type"])
"""
SPEECH_CODE = CODE.replace("        self.max_length = 512\n", LOOKUP).replace('"text")', '"WAV")')
ENGINE = '{"model": "Qwen/Qwen2.5-7B-Instruct", "gpu_memory_utilization": 0.9, "max_model_len": 8192}\n'
TORCHSCRIPT = Path(__file__).parents[1] / "tests" / "data" / "torchscript.pt"
FAMILY = {
    "resnet": (IMAGES, "model.onnx", ""),
    "detector": (TRT, "model.plan", ""),
    "segmenter": (TORCH, "model.pt", ""),
    "encoder": (ENCODER, "model.onnx", ""),
    "tokenizer": (TOKENIZER, "model.py", CODE),
    "ranker": (ENCODER, "model.onnx", ""),
    "embed": (STEPS, "", ""),
    "chat": (CHAT, "model.json", ENGINE),
    "speech": (SPEECH, "model.py", SPEECH_CODE),
    "thumbnails": (IMAGES, "model.onnx", ""),
}
METHOD = '''
    def stage_$number(self, rows, limit=None):
        """Return the scores of the rows by their keys.

        Parameters
        ----------
        rows : list
            A list of rows, each with a key and values
        limit : int
            How many rows are used
        """
        # The first row of a key counts, unless a later one says that it replaces it
        found = {}
        for index, row in enumerate(rows[:limit]):
            key = str(row.get("key", index))
            if key in found and not row.get("replace", False):
                continue
            found[key] = row.get("values", ())

        # Keys without values have no score
        scores = {key: sum(values) / len(values) for key, values in found.items() if values}
        return sorted(scores.items())
'''
LONGER = "".join(Template(METHOD).safe_substitute(number=number) for number in range(6))
"""Methods with comments and docstrings, in number and form as in the examples of the Python backend."""
FAMILY_OF_LONG = FAMILY | {
    "tokenizer": (TOKENIZER, "model.py", CODE + LONGER),
    "segmenter": (TOKENIZER, "model.py", CODE + LONGER),
    "chat": (SPEECH, "model.py", SPEECH_CODE + LONGER),
    "speech": (SPEECH, "model.py", SPEECH_CODE + LONGER),
}
"""Ten models that belong together: template, the file in the version directory, its content ("": 1 MiB, sparse)."""
GRAPHS: dict[str, tuple[list[str], str]] = {
    IMAGES: (["images"], "scores"),
    ENCODER: (["input_ids", "attention_mask", "token_type_ids"], "embedding"),
}
"""The inputs and the output of ONNX graphs, by the template of the config."""
NODES, LARGE = 12, 1 << 20


def make(root: Path, models: int, kinds: Mapping[str, tuple[str, str, str]] = FAMILY) -> None:
    """Write the repository, family by family; every hundredth model prefers a batch above its maximum."""
    dice = random.Random(SEED)
    for number in range(models):
        family = f"team{number // len(kinds):04}"
        kind = list(kinds)[number % len(kinds)]
        batch = dice.choice((8, 16, 32, 64))
        drawn = {"batch": batch, "side": dice.choice((224, 256, 384)), "count": dice.choice((1, 1, 2, 4))}
        drawn |= {"width": 384, "delay": dice.choice((100, 500, 2000)), "preferred": batch if number % 100 else 128}
        _write(root / f"{family}_{kind}", *kinds[kind], {"family": family, **drawn})


def _write(model: Path, template: str, file: str, content: str, drawn: dict[str, object]) -> None:
    version = model / "1"
    version.mkdir(parents=True)
    (model / "config.pbtxt").write_text(Template(template).substitute(drawn, name=model.name))
    if content:
        (version / file).write_text(content.replace("$name", model.name))
    elif file == "model.pt":
        (version / file).write_bytes(TORCHSCRIPT.read_bytes())
    elif file:
        graph = _graph(template, int(str(drawn["side"])), int(str(drawn["width"]))) if template in GRAPHS else b""
        (version / file).write_bytes(graph)
        os.truncate(version / file, LARGE)


@cache
def _graph(template: str, side: int, width: int) -> bytes:
    """Return an ONNX model that fits the config; in the file, its last field goes on with zeros, as weights do."""
    taken, given = GRAPHS[template]
    kind, dims = (FLOAT, ["batch", 3, side, side]) if template == IMAGES else (INT64, ["batch", "tokens"])
    names = [*(f"/layers/{number}/output" for number in range(NODES)), given]
    graph = helper.make_graph(
        [helper.make_node("Gemm", [*taken, "weights"], [name], name, transB=1) for name in names],
        "graph",
        [helper.make_tensor_value_info(name, kind, dims) for name in taken],
        [helper.make_tensor_value_info(given, FLOAT, ["batch", width])],
        [helper.make_tensor("weights", FLOAT, [1, 1], [0.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = bytes(model.SerializeToString())
    length = LARGE - len(content) - 4
    return content + bytes([0x32, length & 127 | 128, length >> 7 & 127 | 128, length >> 14])


def parsed(root: Path) -> None:
    """Read every config with protobuf's own parser: what a check of only syntax and names would cost."""
    for model in root.iterdir():
        text_format.Parse((model / "config.pbtxt").read_text("utf-8"), ModelConfig())


def validated(root: Path, *, cold: bool = True) -> None:
    """Validate as the command does, including its output, and unless `cold` with what an earlier run has kept."""
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as empty:
        environment = {"XDG_CACHE_HOME": empty} if cold else {}
        with mock.patch.dict(os.environ, environment):
            assert run(["validate", str(root)]) == 1


def alone(root: Path) -> None:
    """Validate on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        validated(root)
    finally:
        os.sched_setaffinity(0, cores)


def fastest(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the seconds of each, the best of several rounds; they take turns, so that a busy machine slows all."""
    seconds = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def command(*arguments: str) -> Callable[[], object]:
    """Return a function that runs a process and discards its output."""
    return lambda: subprocess.run(arguments, capture_output=True, check=False)


def peak(root: Path) -> float:
    """Return the peak memory, in MiB, of a separate process for the whole repository."""
    subprocess.run([TOOL, "validate", str(root)], capture_output=True, check=False)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def sizes(root: Path) -> str:
    """Return a description of an ordinary config of this benchmark."""
    texts = [path.read_text() for path in root.glob("*/config.pbtxt")]
    lines = sorted(text.count("\n") for text in texts)
    size, half = sum(map(len, texts)) / len(texts), lines[len(lines) // 2]
    return f"{len(texts)} models; a config has {size:.0f} bytes, {lines[0]} to {lines[-1]} lines, in the middle {half}"


def measured(root: Path, long: Path, nine: Path) -> Iterator[tuple[str, float, float]]:
    """Yield each figure and its budget."""
    yield "peak memory, MiB", peak(root), MEBIBYTES
    works: dict[str, Callable[[], object]] = {"validate": lambda: validated(root), "Parse": lambda: parsed(root)}
    seconds = fastest(works, ROUNDS)
    print(f"validate {seconds['validate']:.2f} s, text_format.Parse {seconds['Parse']:.2f} s")
    yield "validate / text_format.Parse", seconds["validate"] / seconds["Parse"], RATIO
    works = {"alone": lambda: alone(long), "Parse": lambda: parsed(long)}
    works["again"] = lambda: validated(long, cold=False)
    seconds = fastest(works, ROUNDS)
    yield "long sources, on one core / text_format.Parse", seconds["alone"] / seconds["Parse"], LONG
    yield "long sources, once more / text_format.Parse", seconds["again"] / seconds["Parse"], AGAIN
    works = {"help": command(TOOL, "--help"), "click": command(sys.executable, "-c", "import click")}
    works["nine"] = command(TOOL, "validate", str(nine))
    seconds = fastest(works, STARTS)
    print(f"--help {seconds['help']:.3f} s, import click {seconds['click']:.3f} s")
    yield "--help / import click", seconds["help"] / seconds["click"], HELP
    yield "validate 9 models, s", seconds["nine"], NINE


def main() -> int:
    """Measure; return exit status 1 if a budget is exceeded."""
    with tempfile.TemporaryDirectory() as directory:
        root, long, nine = (Path(directory, name) for name in ("models", "long", "nine"))
        models = int(sys.argv[1]) if len(sys.argv) > 1 else MODELS
        os.environ["XDG_CACHE_HOME"] = str(Path(directory, "cache"))
        make(root, models)
        make(long, models, FAMILY_OF_LONG)
        make(nine, 9)
        time.sleep(OLD_S)
        print(sizes(root))
        kept = True
        for name, figure, budget in measured(root, long, nine):
            print(f"{name}: {figure:.2f} (budget {budget})")
            kept = kept and figure <= budget
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
