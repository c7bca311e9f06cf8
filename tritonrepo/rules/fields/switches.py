"""max_batch_size, response_cache and optimization."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.python.script import scripts
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

OPTIMIZES = frozenset(
    {"tensorrt", "onnxruntime", "tensorflow", "pytorch", "openvino", "vllm", "tensorrtllm", "dali", "fil"}
)
"""Backends that may read the optimization block."""

UNBATCHED = frozenset({"python", "vllm", "tensorrtllm"})
"""Backends whose models seldom have the batch in their dims: their own code sets the shapes."""


@rule("max-batch-size-negative", Severity.ERROR, "max_batch_size", at=Stage.POLL.after("platform-backend-mismatch"))
def negative(model: Model) -> Iterator[Finding]:
    """max_batch_size must be 0 or greater."""
    if model.max_batch_size < 0:
        yield Finding(
            _value(model, "max_batch_size"),
            f"max_batch_size must be 0 or greater, not {model.max_batch_size}",
            hint="Set it to the largest batch that the model accepts, or to 0 if the model does not batch.",
            reason=f"'max_batch_size' must be non-negative value for {model.config_name}",
        )


@rule("max-batch-size-absent", Severity.INFO, "input", "output")
def absent(model: Model) -> Iterator[Finding]:
    """Without max_batch_size, a first dimension of -1 is not the batch, and the server does not batch requests."""
    if {"max_batch_size", "dynamic_batching"} & model.fields or model.backend in UNBATCHED or may_complete(model):
        return
    tensors = list(model.tensors)
    kinds = {tensor.kind for tensor in tensors}
    if not model.is_ensemble and len(kinds) > 1 and all(tensor.dims[:1] == [-1] for tensor in tensors):
        yield Finding(
            None,
            "max_batch_size is missing, so requests are not batched, although all dims begin with -1",
            hint="Set max_batch_size and remove this -1 if it is the batch; otherwise, set `max_batch_size: 0`.",
        )


@rule(
    "response-cache-with-decoupled",
    Severity.ERROR,
    "response_cache",
    at=Stage.POLL.after("ensemble-scheduling-missing"),
)
def cache_with_decoupled(model: Model) -> Iterator[Finding]:
    """A decoupled model cannot use the response cache."""
    cache = model.config.message("response_cache")
    if cache is None or not cache.flag("enable"):
        return
    policy = model.config.message("model_transaction_policy")
    by_itself = policy is None and model.backend == "vllm" and model.target.auto_complete
    if by_itself or (policy is not None and policy.flag("decoupled")):
        yield Finding(
            cache.scalars("enable")[-1],
            "response_cache is enabled, but a decoupled model cannot use it",
            hint="Remove response_cache.",
            reason=f"Response Cache does not currently support model {model.config_name} "
            "with 'decoupled' transaction policy. Please disable the response cache.",
            fix=edited(model, *unset(model.config, "response_cache"), safe=by_itself),
        )


@rule("response-cache-server-off", Severity.INFO, "response_cache")
def cache_server_off(model: Model) -> Iterator[Finding]:
    """A response cache works only if the server is started with one."""
    cache = model.config.message("response_cache")
    if cache is not None and cache.flag("enable"):
        yield Finding(
            cache.scalars("enable")[-1],
            "response_cache has no effect unless the server is started with a cache",
            hint="Start the server with a cache, such as `--cache-config local,size=104857600`.",
        )


@rule("optimization-ignored", Severity.INFO, "optimization")
def optimization_ignored(model: Model) -> Iterator[Finding]:
    """The core ignores optimization, and some backends read none of it."""
    if model.backend not in model.target.backends - OPTIMIZES or model.is_ensemble:
        return  # a backend that no Triton image has may read it
    if not any(b"optimization" in script.text for script in scripts(model)):
        message = f'backend "{model.backend}" does not read optimization'
        yield Finding(model.config.get("optimization"), message, hint="Remove optimization.")


def _value(model: Model, name: str) -> Placed | None:
    field = model.config.get(name)
    return field.value if field is not None and field.values else field
