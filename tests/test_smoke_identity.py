"""Made-up requests to the real server: models that return their inputs, of every data type and in many shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.processes import killed
from tritonrepo.flows.smoke import smoke
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch
from tritonrepo.server.process import Server, start
from tritonrepo.server.runtime import find
from tritonrepo.smoke.case import Outcome, Result

KINDS = [
    "BOOL",
    *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    "FP16",
    "FP32",
    "FP64",
    "BF16",
]
TYPES = [*KINDS, "STRING"]
"""Every data type of model_config.proto."""

SHAPES = ["1", "-1", "2, 3", "-1, -1", "-1, 2", "1, 1, 4"]

IDENTITY = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.decoupled = '"decoupled":true' in args["model_config"]

    def execute(self, requests):
        responses = [self.respond(request) for request in requests]
        if not self.decoupled:
            return responses
        for request, response in zip(requests, responses):
            sender = request.get_response_sender()
            sender.send(response)
            sender.send(response)
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def respond(self, request):
        inputs = [tensor for tensor in request.inputs() if tensor.name().startswith("IN_")]
        return pb_utils.InferenceResponse([self.same("OUT_" + tensor.name()[3:], tensor) for tensor in inputs])

    def same(self, name, tensor):
        if name.startswith("OUT_BF16"):  # which NumPy does not have
            return pb_utils.Tensor.from_dlpack(name, tensor.to_dlpack())
        return pb_utils.Tensor(name, tensor.as_numpy())
"""

FLAT = IDENTITY.replace("tensor.as_numpy())", "tensor.as_numpy().reshape(1, -1))")
"""A model that puts all rows of a batch into one, which a batch of one does not show."""


def both(name: str, kind: str, dims: str, more: str = "") -> str:
    shared = f"data_type: TYPE_{kind} dims: [ {dims} ] {'reshape { shape: [ ] }' if name == 'scalar' else ''}"
    return f'input {{ name: "IN_{name}" {shared} {more} }} output {{ name: "OUT_{name}" {shared} }}'


def every(kinds: Iterable[str]) -> str:
    return "\n".join(both(f"{kind}_{number}", kind, dims) for kind in kinds for number, dims in enumerate(SHAPES))


SEQUENCE = """
sequence_batching { control_input [
  { name: "START" control { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } },
  { name: "END" control { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } },
  { name: "ID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT32 } }
] }
"""
OPTIONAL = both("more", "INT32", "-1", "optional: true")
MODELS: dict[str, tuple[str, str]] = {
    "alone": (every(TYPES), IDENTITY),
    "batched": (
        f"max_batch_size: 4 dynamic_batching {{ }} {every(TYPES)} {OPTIONAL} {both('scalar', 'FP32', '1')}"
        + both("ragged", "INT64", "-1", "allow_ragged_batch: true"),
        IDENTITY,
    ),
    "flat": (f"max_batch_size: 8 {both('X', 'FP32', '-1')}", FLAT),
    "sequence": (f"max_batch_size: 2 {SEQUENCE} {both('X', 'STRING', '1')}", IDENTITY),
    "streamed": (f"model_transaction_policy {{ decoupled: true }} {every(KINDS)}", IDENTITY),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("identity")
    for name, (config, code) in MODELS.items():
        (place / name / "1").mkdir(parents=True)
        (place / name / "config.pbtxt").write_text(f'backend: "python" {config}', "utf-8")
        (place / name / "1" / "model.py").write_text(code, "utf-8")
    with killed(start(Launch(Path(place), find()))) as running:
        yield running


def test_what_comes_back_as_it_was_sent_passes_over_both_protocols(server: Server) -> None:
    results = list(smoke(Endpoint(server.http, 60, 60, server.grpc)))
    asked = [(one.model, one.what, one.protocol, one.outcome) for one in results if one.check in {"answer", "stream"}]
    cases = [("alone", ""), *(("batched", what) for what in ("", "all inputs", "a batch of 2", "a batch of 4"))]
    cases += [("flat", ""), ("flat", "a batch of 2"), ("sequence", "")]
    failed = {("flat", "a batch of 2"): Outcome.FAILED}
    wanted = [(*case, protocol, failed.get(case, Outcome.PASSED)) for case in cases for protocol in ("grpc", "http")]
    unsent = ("flat", "a batch of 8", "", Outcome.NOT_CHECKED)
    assert sorted(asked) == sorted([*wanted, unsent, ("streamed", "", "grpc", Outcome.PASSED)])
    (first, _) = said(results)
    assert first == "version 1, grpc: output OUT_X has shape [1, 2], but the config declares [2, -1]"


def said(results: Iterable[Result]) -> list[str]:
    return [diagnostic.message for result in results for diagnostic in result.diagnostics]
