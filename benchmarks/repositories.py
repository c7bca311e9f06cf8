"""Model repositories of any size for measurements, made from a seed, in which one model in a hundred has a mistake.

`SMALL` is a mix of ordinary hand-written and generated models with short Python sources. `REALISTIC` is more like what
users have: two of five models have a model.py of about 180 lines, with comments and docstrings as in the examples of
the Python backend, others have labels or data for a warm-up. Weights are sparse files.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import NamedTuple

from onnx import TensorProto, helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SEED = "validate"
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


class Kind(NamedTuple):
    """A model: its config, the file of its version directory, what that holds, and the texts of other files by path.

    Without a content, the file is large and sparse.
    """

    template: str
    file: str = ""
    content: str = ""
    others: Mapping[str, str] = MappingProxyType({})


SMALL = {
    "resnet": Kind(IMAGES, "model.onnx"),
    "detector": Kind(TRT, "model.plan"),
    "segmenter": Kind(TORCH, "model.pt"),
    "encoder": Kind(ENCODER, "model.onnx"),
    "tokenizer": Kind(TOKENIZER, "model.py", CODE),
    "ranker": Kind(ENCODER, "model.onnx"),
    "embed": Kind(STEPS),
    "chat": Kind(CHAT, "model.json", ENGINE),
    "speech": Kind(SPEECH, "model.py", SPEECH_CODE),
    "thumbnails": Kind(IMAGES, "model.onnx"),
}
"""Ten models that belong together."""

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
LONGER = "".join(Template(METHOD).safe_substitute(number=number) for number in range(7))
"""Methods with comments and docstrings, in number and form as in the examples of the Python backend."""
LABELLED = IMAGES.replace("dims: [ $width ]", 'dims: [ $width ]\n    label_filename: "labels.txt"')
WARMED = (
    TRT
    + """\
model_warmup [
  {
    name: "one image"
    batch_size: 1
    inputs {
      key: "images"
      value: { data_type: TYPE_FP16 dims: [ 3, $side, $side ] input_data_file: "image" }
    }
  }
]
"""
)
IMAGE = "warmup/image"
REALISTIC = SMALL | {
    "resnet": Kind(LABELLED, "model.onnx", others={"labels.txt": "\n".join(f"class {each}" for each in range(384))}),
    "detector": Kind(WARMED, "model.plan", others={IMAGE: ""}),
    "tokenizer": Kind(TOKENIZER, "model.py", CODE + LONGER),
    "segmenter": Kind(TOKENIZER, "model.py", CODE + LONGER),
    "chat": Kind(SPEECH, "model.py", SPEECH_CODE + LONGER),
    "speech": Kind(SPEECH, "model.py", SPEECH_CODE + LONGER),
}
"""The same with long sources, labels and data for a warm-up."""

GRAPHS: dict[str, tuple[list[str], str]] = {
    IMAGES: (["images"], "scores"),
    LABELLED: (["images"], "scores"),
    ENCODER: (["input_ids", "attention_mask", "token_type_ids"], "embedding"),
}
"""The inputs and the output of ONNX graphs, by the template of the config."""

NODES, SIZE = 12, 1 << 20
"""Of ONNX graphs; the bytes of a file of weights."""


def make(root: Path, models: int, kinds: Mapping[str, Kind] = SMALL) -> None:
    """Write the repository, family by family; every hundredth model prefers a batch above its maximum."""
    dice = random.Random(SEED)
    for number in range(models):
        family = f"team{number // len(kinds):04}"
        kind = list(kinds)[number % len(kinds)]
        batch = dice.choice((8, 16, 32, 64))
        drawn = {"batch": batch, "side": dice.choice((224, 256, 384)), "count": dice.choice((1, 1, 2, 4))}
        drawn |= {"width": 384, "delay": dice.choice((100, 500, 2000)), "preferred": batch if number % 100 else 128}
        _write(root / f"{family}_{kind}", kinds[kind], {"family": family, **drawn})


def _write(model: Path, kind: Kind, drawn: Mapping[str, object]) -> None:
    version, side = model / "1", int(str(drawn["side"]))
    version.mkdir(parents=True)
    (model / "config.pbtxt").write_text(Template(kind.template).substitute(drawn, name=model.name))
    if kind.content:
        (version / kind.file).write_text(kind.content.replace("$name", model.name))
    elif kind.file == "model.pt":
        (version / kind.file).write_bytes(TORCHSCRIPT.read_bytes())
    elif kind.file:
        graph = onnx(kind.template, side, int(str(drawn["width"]))) if kind.template in GRAPHS else b""
        (version / kind.file).write_bytes(graph)
        os.truncate(version / kind.file, SIZE)
    for path, text in kind.others.items():
        (model / path).parent.mkdir(exist_ok=True)
        (model / path).write_text(text)
        if path == IMAGE:
            os.truncate(model / path, 2 * 3 * side * side)  # FP16


@cache
def onnx(template: str, side: int, width: int) -> bytes:
    """Return the begin of an ONNX model that fits a config; in a file of this size, its weights go on with zeros."""
    taken, given = GRAPHS[template]
    kind, dims = (FLOAT, ["batch", 3, side, side]) if "images" in taken else (INT64, ["batch", "tokens"])
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
    length = SIZE - len(content) - 4
    return content + bytes([0x32, length & 127 | 128, length >> 7 & 127 | 128, length >> 14])
