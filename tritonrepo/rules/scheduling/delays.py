"""What a scheduler's settings come to in time and order: delays that wrap around, order of decoupled answers."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.queues import DELAY_MAX, ordered


@rule("queue-delay-huge", Severity.WARNING, "*.max_queue_delay_microseconds")
def queue_delay_huge(model: Model) -> Iterator[Finding]:
    """max_queue_delay_microseconds is short enough to be counted in nanoseconds.

    Why:
        The server counts in nanoseconds, in 64 bits: a longer delay wraps around and is some other, short one.
    Source:
        core, src/dynamic_batch_scheduler.cc, DynamicBatchScheduler: pending_batch_delay_ns_
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:5:50: warning: max_queue_delay_microseconds 18446744073709551615 wraps around, since its nanoseconds exceed 64 bits [queue-delay-huge]
          Write 18446744073709551 at most; a usual delay is some hundred microseconds.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { max_queue_delay_microseconds: 500 }
        -- embedder/1/weights --
    """
    batching = model.config.message("dynamic_batching")
    for delay in batching.scalars("max_queue_delay_microseconds") if batching is not None else ():
        if isinstance(delay.data, int) and delay.data > DELAY_MAX:
            message = f"max_queue_delay_microseconds {delay.data} wraps around, since its nanoseconds exceed 64 bits"
            yield Finding(
                delay, message, hint=f"Write {DELAY_MAX} at most; a usual delay is some hundred microseconds."
            )


@rule("decoupled-preserve-ordering", Severity.INFO, "*.preserve_ordering")
def decoupled_order(model: Model) -> Iterator[Finding]:
    """preserve_ordering is for models that answer once.

    Why:
        A decoupled model sends its answers by itself, as many and when it likes; Triton takes the config and checks
        nothing.
    Source:
        core, src/model_config_utils.cc, ValidateModelConfig: no check of the two together; loads in 24.10
    Bad:
        -- llm/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { preserve_ordering: true }
        model_transaction_policy { decoupled: true }
        -- llm/1/weights --
    Says:
        llm/config.pbtxt:5:39: info: preserve_ordering on a decoupled model, whose answers come in its own order [decoupled-preserve-ordering]
          Drop it.
    Good:
        -- llm/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        model_transaction_policy { decoupled: true }
        -- llm/1/weights --
    """
    batching, policy = ordered(model), model.config.message("model_transaction_policy")
    if batching is not None and policy is not None and policy.flag("decoupled"):
        place = batching.scalars("preserve_ordering")[-1]
        yield Finding(
            place, "preserve_ordering on a decoupled model, whose answers come in its own order", hint="Drop it."
        )
