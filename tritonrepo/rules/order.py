"""The server's order of evaluation: which of several faults of a model it names first.

Source: core, src/model_repository_manager/model_repository_manager.cc (Poll, InitializeModelInfo),
src/model_config_utils.cc (ValidateModelConfig, ValidateModelIOConfig), src/model_repository_manager/model_lifecycle.cc
(AsyncLoad, CreateModel); most neighbours were confirmed by models with two faults on 24.10.

A stage is a tuple of steps; a step is a rule's name, or a tuple of names that the server checks item by item in one
walk over a list: there the earlier item wins, then the earlier name.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tritonrepo.rules.backend_order import BACKEND, COMPLETION, IMPORT, INSTANCE, Step

UNJUDGED: tuple[Step, ...] = ("link-leaves-repository",)
"""Before all that the server checks: what it finds behind such a link is not known."""

START: tuple[Step, ...] = (
    "repository-path-missing",
    "repository-path-not-directory",
)

PARSE: tuple[Step, ...] = (
    "repository-listing-fails",
    "config-is-directory",
    "config-is-fifo",
    "unreadable-file-or-directory",
    "config-missing-strict",
    (
        "config-unparsable",
        "unknown-field",
        "field-newer-than-server",
        "unknown-enum-value",
        "enum-quoted",
        "scalar-field-twice",
        "two-schedulers",
        "message-field-twice",
        "integer-out-of-range",
        "wrong-literal-type",
        "bool-literal",
        "parameter-value-not-message",
        "missing-colon",
        "trailing-comma-in-list",
        "wrong-comment-style",
        "byte-order-mark",
        "json-config",
        "unbalanced-brackets",
        "unknown-extension",
    ),
)

POLL: tuple[Step, ...] = (
    "repository-agents-empty",
    "repository-agent-missing",
    "dangling-link-in-model-directory",
    "extra-directory-hides-model-file",
    "stray-directory-at-repository-root",
    "backend-not-inferable",
    "platform-unknown",
    "ensemble-with-backend",
    "pytorch-platform-alias",
    "platform-backend-mismatch",
    "max-batch-size-negative",
    ("dynamic-preferred-not-positive", "dynamic-preferred-above-max"),
    "default-priority-out-of-range",
    "priority-policy-key-out-of-range",
    "preserve-ordering-with-priorities",
    "preserve-ordering-with-delay",
    "preserve-ordering-with-priority-delay",
    "sequence-response-cache",
    (
        "control-without-name",
        "control-name-twice",
        "control-kind-twice",
        "control-values-missing",
        "control-values-several",
        "control-values-count",
        "corrid-with-values",
    ),
    "corrid-data-type",
    ("oldest-preferred-not-positive", "oldest-preferred-above-max"),
    "direct-slot-utilization",
    "ensemble-scheduling-wrong-platform",
    "ensemble-instance-group",
    "ensemble-optimization",
    "ensemble-warmup",
    "ensemble-no-step",
    ("step-model-name", "step-input-map", "step-output-map", "tensor-written-twice", "step-input-mapped-twice"),
    "ensemble-input-unused",
    ("ensemble-output-unused", "output-not-written"),
    ("tensor-not-ready", "tensor-never-read"),
    "ensemble-scheduling-missing",
    "response-cache-with-decoupled",
    ("model-metrics-no-identifier", "model-metrics-no-family", "model-metrics-no-options", "model-metrics-no-buckets"),
)

NAME: tuple[Step, ...] = ("name-differs-from-directory",)

IO: tuple[Step, ...] = (
    (
        "io-name-missing",
        "io-data-type-missing",
        "io-dims-missing",
        "reshape-empty-nonbatching",
        "io-dim-invalid",
        "reshape-dim-invalid",
        "dims-overflow",
        "reshape-size-differs",
        "reshape-variable-count-differs",
        "reshape-segment-differs",
        "format-needs-3-dims",
        "shape-tensor-not-tensorrt",
        "non-linear-format-not-tensorrt",
        "non-linear-format-needs-3-dims",
    ),
    ("batch-input-source-count", "batch-input-kind-unknown", "batch-input-data-type", "batch-input-source-unknown"),
    (
        "batch-output-source-count",
        "batch-output-kind-unknown",
        "batch-output-source-unknown",
        "batch-output-target-unknown",
        "batch-output-target-twice",
    ),
    "ensemble-io-invalid",
)

GRAPH: tuple[Step, ...] = (
    "step-model-missing",
    "ensemble-cycle",
    "ensemble-cycle-crash",
)

GRAPH_LOAD: tuple[Step, ...] = (("step-ensemble-invalid", "step-model-failed", "step-version-not-loaded"),)

ENSEMBLE: tuple[Step, ...] = (
    (
        "ensemble-batch-above-step",
        "step-input-unknown",
        "tensor-type-differs",
        "tensor-shape-differs",
        "step-input-unmapped",
        "step-output-unknown",
        "multiple-outputs-to-one-tensor",
    ),
    "mixed-decoupled-sources",
)

LOAD: tuple[Step, ...] = (
    "version-overflow",
    "policy-latest-zero",
    "policy-specific-empty",
    "policy-specific-none-present",
    "ensemble-no-version-directory",
    "no-version-available",
    "model-files-not-in-version-directory",
    "runtime-library-not-found",
    "runtime-escapes-backend-directory",
    "runtime-python-without-backend",
    "vllm-backend-not-in-image",
    "backend-not-available",
    "tensorflow-gone",
    (
        "kind-model-with-gpus",
        "kind-cpu-with-gpus",
        "kind-auto-gpus-not-usable",
        "kind-gpu-no-gpu",
        "kind-gpu-bad-id",
        "kind-gpu-cpu-build",
        "kind-gpu-no-ids",
        "kind-unknown",
        "profile-not-tensorrt",
        "profile-not-number",
        "profile-out-of-range",
    ),
    "gpu-memory-limit",
    "ensemble-response-cache-with-decoupled",
)

LABELS: tuple[Step, ...] = (
    "config-not-provided",
    ("label-file-outside-model", "label-file-missing", "label-file-is-directory", "duplicate-output-label"),
    "batch-strategy-with-sequence",
    "batch-strategy-library-missing",
    "batch-strategy-library-bad",
)

WARMUP: tuple[Step, ...] = (
    (
        "warmup-variable-dim",
        "warmup-no-data",
        "warmup-file-is-directory",
        "warmup-file-missing",
        "warmup-file-too-short",
        "warmup-input-missing",
        "warmup-data-type-differs",
        "warmup-shape-differs",
        "warmup-dim-negative",
        "warmup-strings-dim-negative",
        "warmup-strings-differ",
    ),
    "rate-resource-global-and-device",
    "rate-resource-too-small",
    ("warmup-batch-too-large", "warmup-run-fails"),
    (
        "initial-state-several",
        "initial-state-data-type",
        "initial-state-name",
        "initial-state-input-twice",
        "initial-state-rank",
        "initial-state-variable",
        "initial-state-dim",
        "initial-state-too-large",
        "initial-state-file-is-directory",
        "initial-state-file-missing",
        "initial-state-file-too-short",
        "initial-state-no-data",
    ),
)

RUNTIME: tuple[Step, ...] = ("state-input-name-missing", "file-link-leaves-repository")

WHILE_COMPLETING = (
    ("load", LOAD),
    ("backend", (*BACKEND, *IMPORT, *COMPLETION)),
)
AT_LOAD = (
    ("load", LOAD),
    ("backend", BACKEND),
)
AFTER_LOAD = (
    ("load", WARMUP),
    ("runtime", RUNTIME),
)
AT_GRAPH = (
    ("graph", GRAPH),
    ("graph-load", GRAPH_LOAD),
    ("ensemble", ENSEMBLE),
)
AT_POLL = (
    ("", UNJUDGED),
    ("start", START),
    ("parse", PARSE),
    ("poll", POLL),
)

WITH_AUTO_COMPLETE = (
    *AT_POLL,
    ("poll", NAME),
    *AT_GRAPH,
    *WHILE_COMPLETING,
    ("io", IO),
    ("load", LABELS),
    ("backend", INSTANCE),
    *AFTER_LOAD,
)
"""I/O is checked at load, on the config that the backend completed; Python imports a model to complete it."""

WITHOUT_AUTO_COMPLETE = (
    *AT_POLL,
    ("io", IO),
    ("poll", NAME),
    *AT_GRAPH,
    *AT_LOAD,
    ("load", LABELS),
    ("backend", (*IMPORT, *INSTANCE)),
    *AFTER_LOAD,
)
"""I/O is checked at poll, before the name; Python imports a model for its first instance."""


@cache
def places(*, auto_complete: bool) -> dict[str, tuple[str, int, int]]:
    """Give rule → (stage, step, place within the step)."""
    found: dict[str, tuple[str, int, int]] = {}
    number = 0
    for stage, steps in WITH_AUTO_COMPLETE if auto_complete else WITHOUT_AUTO_COMPLETE:
        for step in steps:
            for within, name in enumerate((step,) if isinstance(step, str) else step):
                found[name] = (stage, number, within)
            number += 1
    return found


def names() -> Iterator[str]:
    """Give every rule that the order names."""
    yield from places(auto_complete=True)
