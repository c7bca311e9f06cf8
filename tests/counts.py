"""What a real server has executed, read once it has counted all of it.

A backend counts a batch after it has sent the responses (python_backend: ~PbMetricReporter in
src/pb_metric_reporter.cc), so that a client can have its response, and ask, before it is counted.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import tritonclient.grpc as triton

PATIENCE_S = 20
PAUSE_S = 0.05


class Counts(NamedTuple):
    """The rows that a model has executed, and in how many executions."""

    rows: int
    executions: int


def counts(grpc: str, model: str) -> Counts:
    """Return what a model has executed so far; nobody asks it meanwhile."""
    with triton.InferenceServerClient(grpc) as client:
        found = _counts(client, model)
        while True:
            time.sleep(PAUSE_S)
            before, found = found, _counts(client, model)
            if found == before:
                return found


def executions(grpc: str, model: str, before: Counts, rows: int) -> int:
    """Return in how many executions so many rows were executed since."""
    deadline = time.monotonic() + PATIENCE_S
    with triton.InferenceServerClient(grpc) as client:
        while (now := _counts(client, model)).rows < before.rows + rows:
            assert time.monotonic() < deadline, f"{model}: {now} after {before}, where {rows} rows were sent"
            time.sleep(PAUSE_S)
    assert now.rows == before.rows + rows
    return now.executions - before.executions


def _counts(client: triton.InferenceServerClient, model: str) -> Counts:
    (stats,) = client.get_inference_statistics(model, as_json=True)["model_stats"]
    return Counts(*(int(stats.get(name, 0)) for name in ("inference_count", "execution_count")))  # JSON leaves a 0 out
