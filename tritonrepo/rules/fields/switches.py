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
    """max_batch_size is 0 or more.

    Why:
        0 means that the model does not batch. There is no -1 for "any": Triton refuses the model.
    Source:
        core, src/model_config_utils.cc, ValidateModelConfig
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: -1
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:2:17: error: max_batch_size is -1 [max-batch-size-negative]
          Write the largest batch that the model takes, or 0 if it does not batch.
    Server says:
        'max_batch_size' must be non-negative value for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- scorer/1/weights --
    """
    if model.max_batch_size < 0:
        yield Finding(
            _value(model, "max_batch_size"),
            f"max_batch_size is {model.max_batch_size}",
            hint="Write the largest batch that the model takes, or 0 if it does not batch.",
            reason=f"'max_batch_size' must be non-negative value for {model.config_name}",
        )


@rule("max-batch-size-absent", Severity.INFO, "input", "output")
def absent(model: Model) -> Iterator[Finding]:
    """Without max_batch_size dims are whole shapes, and the server joins no requests.

    Why:
        It is then 0. With auto-complete on a backend may raise it, also where 0 is written.
    Source:
        core, src/model_config_utils.cc, ValidateModelConfig; src/backend_model.cc, UpdateModelConfig
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt: info: there is no max_batch_size: dims are whole shapes, and requests are not joined [max-batch-size-absent]
          Write max_batch_size if the model's first dimension is the batch, or 0 to say that it is not.
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 0
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- scorer/1/weights --
    """
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
    """A model with decoupled responses has no response cache.

    Why:
        The cache keeps one response a request, a decoupled model gives any number: Triton refuses both together. The
        vLLM backend makes its models decoupled by itself.
    Source:
        core, src/model_config_utils.cc, ValidateModelConfig; vllm_backend, src/model.py, auto_complete_config
    Bad:
        -- generator/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        model_transaction_policy { decoupled: true }
        response_cache { enable: true }
        -- generator/1/weights --
    Says:
        generator/config.pbtxt:5:26: error: a decoupled model has no response cache [response-cache-with-decoupled]
          Drop response_cache.
    Server says:
        Response Cache does not currently support model generator with 'decoupled' transaction policy. Please disable the response cache.
    Good:
        -- generator/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        model_transaction_policy { decoupled: true }
        -- generator/1/weights --
    """
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
    """A response cache works only on a server that was started with one.

    Why:
        Without --cache-config the model loads, and nothing is cached.
    Source:
        core, src/backend_model.cc, ResponseCacheEnabled
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        response_cache { enable: true }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:5:26: info: responses are cached only by a server that was started with a cache [response-cache-server-off]
          Start it with --cache-config local,size=104857600 or another cache.
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- scorer/1/weights --
    """
    cache = model.config.message("response_cache")
    if cache is not None and cache.flag("enable"):
        yield Finding(
            cache.scalars("enable")[-1],
            "responses are cached only by a server that was started with a cache",
            hint="Start it with --cache-config local,size=104857600 or another cache.",
        )


@rule("optimization-ignored", Severity.INFO, "optimization")
def optimization_ignored(model: Model) -> Iterator[Finding]:
    """The core does nothing with optimization: each backend reads what it knows of it.

    Why:
        A backend that reads none of it, as python, loads the model all the same.
    Source:
        common, protobuf/model_config.proto, ModelOptimizationPolicy
    Bad:
        -- tokenizer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        optimization { graph { level: 5 } }
        -- tokenizer/1/weights --
    Says:
        tokenizer/config.pbtxt:5:1: info: backend "identity" is not known to read optimization [optimization-ignored]
          Drop it, unless the backend's documentation names it.
    Good:
        -- tokenizer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- tokenizer/1/weights --
    """
    if model.backend and model.backend not in OPTIMIZES and not model.is_ensemble:
        yield Finding(
            model.config.get("optimization"),
            f'backend "{model.backend}" is not known to read optimization',
            hint="Drop it, unless the backend's documentation names it.",
        )


def _value(model: Model, name: str) -> Placed | None:
    field = model.config.get(name)
    return field.value if field is not None and field.values else field
