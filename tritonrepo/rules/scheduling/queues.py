"""Queues of a dynamic batcher: order, delays and how long they may get."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

DELAY_MAX = ((1 << 64) - 1) // 1000
"""The most microseconds whose nanoseconds are a uint64."""


def ordered(model: Model) -> Message | None:
    """Return dynamic_batching where it preserves the order of requests."""
    batching = model.config.message("dynamic_batching")
    return batching if batching is not None and batching.flag("preserve_ordering") else None


def delayed(policy: Message, model: Model) -> Finding | None:
    """Return the finding for a policy that delays requests, which breaks their order."""
    if not policy.integer("default_timeout_microseconds") or policy.enum("timeout_action") != "DELAY":
        return None
    action = policy.scalars("timeout_action")[-1]
    message = "timeout_action DELAY lets requests overtake others, which preserve_ordering forbids"
    hint = "Write timeout_action: REJECT, or drop preserve_ordering."
    words = "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for"
    return Finding(action, message, hint=hint, reason=f"{words} {model.config_name}")


@rule(
    "preserve-ordering-with-priorities",
    Severity.ERROR,
    "*.preserve_ordering",
    at=Stage.POLL.after("priority-policy-key-out-of-range"),
)
def ordering_with_priorities(model: Model) -> Iterator[Finding]:
    """With preserve_ordering there is one priority level at most."""
    batching = ordered(model)
    if batching is not None and (levels := batching.integer("priority_levels")) > 1:
        yield Finding(
            batching.scalars("preserve_ordering")[-1],
            f"preserve_ordering allows one priority level, and priority_levels is {levels}",
            hint="Drop preserve_ordering or priority_levels.",
            reason=f"Only one priority level is allowed when 'preserve_ordering' is true for {model.config_name}",
        )


@rule(
    "preserve-ordering-with-delay",
    Severity.ERROR,
    "*.preserve_ordering",
    at=Stage.POLL.after("preserve-ordering-with-priorities"),
)
def ordering_with_delay(model: Model) -> Iterator[Finding]:
    """With preserve_ordering the default queue policy does not delay requests."""
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
    """With preserve_ordering no level's queue policy delays requests."""
    batching = ordered(model)
    for policy in batching.mapping("priority_queue_policy").values() if batching is not None else ():
        if isinstance(policy, Message) and (finding := delayed(policy, model)):
            yield finding


@rule("max-queue-size-zero", Severity.INFO, "*.default_queue_policy")
def queue_without_limit(model: Model) -> Iterator[Finding]:
    """A queue policy says how long the queue may get."""
    batching = model.config.message("dynamic_batching")
    policy = batching.get("default_queue_policy") if batching is not None else None
    if policy is None or not isinstance(policy.value, Message) or policy.value.integer("max_queue_size"):
        return
    hint = "Write max_queue_size: with how many requests may wait; more are refused."
    yield Finding(policy, "the queue has no limit, since max_queue_size is 0", hint=hint)
