"""How requests are joined to batches: dynamic_batching."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message, Scalar
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

QUEUE = ("preserve_ordering", "priority_levels", "default_queue_policy", "priority_queue_policy")
"""What a scheduler is written for, too, where no batches are formed."""


def preferred(model: Model) -> list[Scalar]:
    """Return the preferred batch sizes as they are written."""
    batching = model.config.message("dynamic_batching")
    return batching.scalars("preferred_batch_size") if batching is not None else []


def above(size: Scalar, model: Model, server: str, item: int) -> Finding:
    """Return the finding for a preferred size that is above max_batch_size."""
    limit = model.max_batch_size
    hint = f"Raise max_batch_size to {size.data}, or drop {size.data} from preferred_batch_size."
    if not limit:
        hint = f"Write max_batch_size: {size.data}; without it the model takes no batches."
    message = f"preferred_batch_size {size.data} is above max_batch_size {limit}"
    return Finding(
        size, message, hint=hint, reason=f"{server} must be <= max batch size for {model.config_name}", item=item
    )


@rule(
    "dynamic-preferred-above-max",
    Severity.ERROR,
    "*.preferred_batch_size",
    at=Stage.POLL.same_walk("dynamic-preferred-not-positive"),
)
def preferred_above_max(model: Model) -> Iterator[Finding]:
    """A preferred batch size is at most max_batch_size."""
    limit = model.max_batch_size
    for item, size in enumerate(preferred(model)):
        if isinstance(size.data, int) and size.data > limit >= 0 and size.data > 0:
            yield above(size, model, "dynamic batching preferred size", item)


@rule(
    "dynamic-preferred-not-positive",
    Severity.ERROR,
    "*.preferred_batch_size",
    at=Stage.POLL.after("max-batch-size-negative"),
)
def preferred_not_positive(model: Model) -> Iterator[Finding]:
    """A preferred batch size is at least 1."""
    for item, size in enumerate(preferred(model)):
        if isinstance(size.data, int) and size.data <= 0:
            yield Finding(
                size,
                f"preferred_batch_size {size.data} is not a batch",
                hint="Write a size from 1 to max_batch_size, or leave it out: then batches grow up to max_batch_size.",
                reason=f"dynamic batching preferred size must be positive for {model.config_name}",
                item=item,
            )


@rule("dynamic-without-batching", Severity.WARNING, "dynamic_batching")
def without_batching(model: Model) -> Iterator[Finding]:
    """Dynamic batching needs a max_batch_size."""
    batching = model.config.get("dynamic_batching")
    if batching is None or model.max_batch_size != 0 or not isinstance(batching.value, Message):
        return
    told = preferred(model) or any(batching.value.has(name) for name in QUEUE)
    if not told and not may_complete(model):
        hint = "Write max_batch_size: with the largest batch that the model takes, or drop dynamic_batching."
        yield Finding(batching, "dynamic_batching joins nothing, since max_batch_size is 0", hint=hint)


@rule("preferred-size-twice", Severity.INFO, "*.preferred_batch_size")
def preferred_twice(model: Model) -> Iterator[Finding]:
    """A preferred batch size is written once."""
    seen = set()
    for size in preferred(model):
        if size.data in seen:
            yield Finding(size, f"preferred_batch_size {size.data} is there already", hint=f"Drop this {size.data}.")
        seen.add(size.data)


@rule("preferred-without-delay", Severity.INFO, "*.preferred_batch_size")
def preferred_without_delay(model: Model) -> Iterator[Finding]:
    """Preferred batch sizes work together with max_queue_delay_microseconds."""
    batching = model.config.message("dynamic_batching")
    sizes = batching.get("preferred_batch_size") if batching is not None else None
    if batching is None or sizes is None or not sizes.values or batching.integer("max_queue_delay_microseconds"):
        return
    hint = "Write max_queue_delay_microseconds: with how long a request may wait for others."
    yield Finding(sizes, "no request waits for these sizes, since max_queue_delay_microseconds is 0", hint=hint)
