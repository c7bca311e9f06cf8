"""Models that do nothing, by which it is measured what Triton itself takes: one that answers, and one that calls it."""

from __future__ import annotations

from pathlib import Path

CALLS = 4
"""How many models the example's pipeline calls before its sources are sent."""

ANSWERS, ASKS = "empty", "empty_pipeline"
CONFIG = """\
backend: "python"
max_batch_size: 0
input { name: "text" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "text" data_type: TYPE_STRING dims: [ 1 ] }
instance_group { kind: KIND_CPU count: 1 }
"""
DECOUPLED = "model_transaction_policy { decoupled: true }\n"

ANSWER = """\
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.get_input_tensor_by_name(each, "text")]) for each in requests]
"""

ASK = f"""\
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.pool = ThreadPoolExecutor(8)

    def execute(self, requests):
        for each in requests:
            text = np.array(pb_utils.get_input_tensor_by_name(each, "text").as_numpy())
            self.pool.submit(self.serve, text, each.get_response_sender())

    def serve(self, text, sender):
        for _ in range({CALLS}):
            called = pb_utils.InferenceRequest(
                model_name="{ANSWERS}",
                requested_output_names=["text"],
                inputs=[pb_utils.Tensor("text", text)],
                preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
            ).exec()
            text = pb_utils.get_output_tensor_by_name(called, "text").as_numpy()
        sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("text", text)]))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def finalize(self):
        self.pool.shutdown(wait=False)
"""


def add(models: Path) -> None:
    """Add the models to a repository."""
    for name, config, code in (ANSWERS, CONFIG, ANSWER), (ASKS, CONFIG + DECOUPLED, ASK):
        place = models / name / "1"
        place.mkdir(parents=True)
        (place / "model.py").write_text(code, "utf-8")
        (place.parent / "config.pbtxt").write_text(config, "utf-8")
