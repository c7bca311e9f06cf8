"""Make triage.onnx: the cosine of a question's vector with the mean vector of each topic's example questions.

Run it in this directory: `python train.py`. It embeds with the graph that the stack deploys.
"""

from __future__ import annotations

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tritonrepo import api

QUESTIONS = {
    "versions": ["How do I go back to the old version?", "Which version is served?", "How do I publish a new version?"],
    "speed": ["Why is inference slow?", "How do I batch requests?", "How long do requests wait in the queue?"],
    "configs": [
        "What does this field of the config mean?",
        "The config is rejected",
        "Why does config.pbtxt not parse?",
    ],
}

gathering = api.load(["tritonrepo.yaml"], api.Workspace(os.environ)).gathering()
encoder = gathering.embeds("embedder").load()
means = np.stack([np.asarray(encoder.embed(texts)).mean(axis=0) for texts in QUESTIONS.values()], axis=1)
means /= np.linalg.norm(means, axis=0)

dims = {"embedding": ["batch", means.shape[0]], "scores": ["batch", means.shape[1]]}
given, scores = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in dims.items())
graph = helper.make_graph(
    [helper.make_node("MatMul", ["embedding", "means"], ["scores"])],
    "triage",
    [given],
    [scores],
    [numpy_helper.from_array(means.astype(np.float32), "means")],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "triage.onnx")
