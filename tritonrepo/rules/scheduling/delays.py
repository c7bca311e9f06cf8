"""What a scheduler's settings come to in time and order: delays that wrap around, order of decoupled answers."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.queues import DELAY_MAX, ordered


@rule("queue-delay-huge", Severity.WARNING, "*.max_queue_delay_microseconds")
def queue_delay_huge(model: Model) -> Iterator[Finding]:
    """max_queue_delay_microseconds is short enough to be counted in nanoseconds."""
    batching = model.config.message("dynamic_batching")
    for delay in batching.scalars("max_queue_delay_microseconds") if batching is not None else ():
        if isinstance(delay.data, int) and delay.data > DELAY_MAX:
            message = f"max_queue_delay_microseconds {delay.data} wraps around, since its nanoseconds exceed 64 bits"
            yield Finding(
                delay, message, hint=f"Write {DELAY_MAX} at most; a usual delay is some hundred microseconds."
            )


@rule("decoupled-preserve-ordering", Severity.INFO, "*.preserve_ordering")
def decoupled_order(model: Model) -> Iterator[Finding]:
    """preserve_ordering is for models that answer once."""
    batching, policy = ordered(model), model.config.message("model_transaction_policy")
    if batching is not None and policy is not None and policy.flag("decoupled"):
        place = batching.scalars("preserve_ordering")[-1]
        yield Finding(
            place, "preserve_ordering on a decoupled model, whose answers come in its own order", hint="Drop it."
        )
