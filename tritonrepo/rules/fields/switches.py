"""max_batch_size, the response cache, and what an optimization block asks for."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

OPTIMIZES = frozenset(
    {"tensorrt", "onnxruntime", "tensorflow", "pytorch", "openvino", "vllm", "tensorrtllm", "dali", "fil"}
)
"""Backends that may read the optimization block."""


@rule("max-batch-size-negative", Severity.ERROR, "max_batch_size", at=Stage.POLL.after("platform-backend-mismatch"))
def negative(model: Model) -> Iterator[Finding]:
    """max_batch_size is 0 or more."""
    if model.max_batch_size < 0:
        yield Finding(
            _value(model, "max_batch_size"),
            f"max_batch_size is {model.max_batch_size}",
            hint="Write the largest batch that the model takes, or 0 if it does not batch.",
            reason=f"'max_batch_size' must be non-negative value for {model.config_name}",
        )


@rule("max-batch-size-absent", Severity.INFO, "input", "output")
def absent(model: Model) -> Iterator[Finding]:
    """Without max_batch_size dims are whole shapes, and the server joins no requests."""
    if "max_batch_size" not in model.fields and not model.is_ensemble:
        yield Finding(
            None,
            "there is no max_batch_size: dims are whole shapes, and requests are not joined",
            hint="Write max_batch_size if the model's first dimension is the batch, or 0 to say that it is not.",
        )


@rule(
    "response-cache-with-decoupled",
    Severity.ERROR,
    "response_cache",
    at=Stage.POLL.after("ensemble-scheduling-missing"),
)
def cache_with_decoupled(model: Model) -> Iterator[Finding]:
    """A model with decoupled responses has no response cache."""
    cache = model.config.message("response_cache")
    if cache is None or not cache.flag("enable"):
        return
    policy = model.config.message("model_transaction_policy")
    by_itself = policy is None and model.backend == "vllm" and model.target.auto_complete
    if by_itself or (policy is not None and policy.flag("decoupled")):
        yield Finding(
            cache.scalars("enable")[-1],
            "a decoupled model has no response cache",
            hint="Drop response_cache.",
            reason=f"Response Cache does not currently support model {model.config_name} with 'decoupled' transaction policy."
            " Please disable the response cache.",
        )


@rule("response-cache-server-off", Severity.INFO, "response_cache")
def cache_server_off(model: Model) -> Iterator[Finding]:
    """A response cache works only on a server that was started with one."""
    cache = model.config.message("response_cache")
    if cache is not None and cache.flag("enable"):
        yield Finding(
            cache.scalars("enable")[-1],
            "responses are cached only by a server that was started with a cache",
            hint="Start it with --cache-config local,size=104857600 or another cache.",
        )


@rule("optimization-ignored", Severity.INFO, "optimization")
def optimization_ignored(model: Model) -> Iterator[Finding]:
    """The core does nothing with optimization: each backend reads what it knows of it."""
    if model.backend and model.backend not in OPTIMIZES and not model.is_ensemble:
        yield Finding(
            model.config.get("optimization"),
            f'backend "{model.backend}" is not known to read optimization',
            hint="Drop it, unless the backend's documentation names it.",
        )


def _value(model: Model, name: str) -> Placed | None:
    field = model.config.get(name)
    return field.value if field is not None and field.values else field
