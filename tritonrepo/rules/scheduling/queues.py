"""Queues of a dynamic batcher: their order, delays and length."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

DELAY_MAX = ((1 << 64) - 1) // 1000
"""The most microseconds that fit into a uint64 as nanoseconds."""


def ordered(model: Model) -> Message | None:
    """Return dynamic_batching if it preserves the order of requests."""
    batching = model.config.message("dynamic_batching")
    return batching if batching is not None and batching.flag("preserve_ordering") else None


def delayed(policy: Message, model: Model) -> Finding | None:
    """Return the finding for a policy that delays requests, which breaks their order."""
    if not policy.integer("default_timeout_microseconds") or policy.enum("timeout_action") != "DELAY":
        return None
    action = policy.scalars("timeout_action")[-1]
    message = "timeout_action DELAY lets requests overtake others, which preserve_ordering forbids"
    hint = "Set timeout_action to REJECT, or remove preserve_ordering."
    words = "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for"
    return Finding(action, message, hint=hint, reason=f"{words} {model.config_name}")


@rule(
    "preserve-ordering-with-priorities",
    Severity.ERROR,
    "*.preserve_ordering",
    at=Stage.POLL.after("priority-policy-key-out-of-range"),
)
def ordering_with_priorities(model: Model) -> Iterator[Finding]:
    """preserve_ordering cannot be combined with several priority levels."""
    batching = ordered(model)
    if batching is not None and (levels := batching.integer("priority_levels")) > 1:
        yield Finding(
            batching.scalars("preserve_ordering")[-1],
            f"preserve_ordering allows only one priority level, but priority_levels is {levels}",
            hint="Remove preserve_ordering or priority_levels.",
            reason=f"Only one priority level is allowed when 'preserve_ordering' is true for {model.config_name}",
        )


@rule(
    "preserve-ordering-with-delay",
    Severity.ERROR,
    "*.preserve_ordering",
    at=Stage.POLL.after("preserve-ordering-with-priorities"),
)
def ordering_with_delay(model: Model) -> Iterator[Finding]:
    """With preserve_ordering, the default queue policy cannot delay requests."""
    batching = ordered(model)
    policy = batching.message("default_queue_policy") if batching is not None else None
    if policy is not None and (finding := delayed(policy, model)):
        yield finding


@rule(
    "preserve-ordering-with-priority-delay",
    Severity.ERROR,
    "*.preserve_ordering",
    at=Stage.POLL.after("preserve-ordering-with-delay"),
)
def ordering_with_priority_delay(model: Model) -> Iterator[Finding]:
    """With preserve_ordering, the queue policy of a priority level cannot delay requests."""
    batching = ordered(model)
    for policy in batching.mapping("priority_queue_policy").values() if batching is not None else ():
        if isinstance(policy, Message) and (finding := delayed(policy, model)):
            yield finding


@rule("max-queue-size-zero", Severity.INFO, "*.default_queue_policy")
def queue_without_limit(model: Model) -> Iterator[Finding]:
    """A queue policy without max_queue_size does not limit the queue."""
    batching = model.config.message("dynamic_batching")
    policy = batching.get("default_queue_policy") if batching is not None else None
    if policy is None or not isinstance(policy.value, Message) or policy.value.integer("max_queue_size"):
        return
    hint = "Set max_queue_size to how many requests may wait; Triton then rejects further requests."
    yield Finding(policy, "the queue has no limit because max_queue_size is 0", hint=hint)


@rule("queue-delay-huge", Severity.WARNING, "*.max_queue_delay_microseconds")
def queue_delay_huge(model: Model) -> Iterator[Finding]:
    """max_queue_delay_microseconds should fit into 64 bits as nanoseconds."""
    batching = model.config.message("dynamic_batching")
    for delay in batching.scalars("max_queue_delay_microseconds") if batching is not None else ():
        if isinstance(delay.data, int) and delay.data > DELAY_MAX:
            message = f"max_queue_delay_microseconds {delay.data} wraps around because its nanoseconds exceed 64 bits"
            hint = f"Set it to at most {DELAY_MAX}; a typical delay is a few hundred microseconds."
            yield Finding(delay, message, hint=hint)


@rule("decoupled-preserve-ordering", Severity.INFO, "*.preserve_ordering")
def decoupled_order(model: Model) -> Iterator[Finding]:
    """preserve_ordering has no effect on a decoupled model."""
    batching, policy = ordered(model), model.config.message("model_transaction_policy")
    if batching is not None and policy is not None and policy.flag("decoupled"):
        place = batching.scalars("preserve_ordering")[-1]
        message = "preserve_ordering has no effect on a decoupled model, which sends responses in its own order"
        yield Finding(place, message, hint="Remove preserve_ordering.")
