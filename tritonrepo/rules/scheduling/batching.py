"""How requests are combined into batches: dynamic_batching."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message, Scalar
from tritonrepo.pbtxt.editor import delete_items
from tritonrepo.pbtxt.items import places
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete_inputs
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

QUEUE = ("preserve_ordering", "priority_levels", "default_queue_policy", "priority_queue_policy")
"""Fields that make a scheduler useful even if it forms no batches."""

SIZE = "Set a size from 1 to max_batch_size, or remove preferred_batch_size to allow batches up to max_batch_size."


def preferred(model: Model) -> list[Scalar]:
    """Return the preferred batch sizes as they are written."""
    batching = model.config.message("dynamic_batching")
    return batching.scalars("preferred_batch_size") if batching is not None else []


def above(size: Scalar, model: Model, server: str, item: int) -> Finding:
    """Return the finding for a preferred size that is above max_batch_size."""
    limit = model.max_batch_size
    hint = f"Raise max_batch_size to {size.data}, or remove {size.data} from preferred_batch_size."
    if not limit:
        hint = f"Set max_batch_size to {size.data} or more: at 0, the model accepts no batches."
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
    """A preferred batch size cannot exceed max_batch_size."""
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
    """A preferred batch size must be at least 1."""
    for item, size in enumerate(preferred(model)):
        if isinstance(size.data, int) and size.data <= 0:
            yield Finding(
                size,
                f"preferred_batch_size must be at least 1, not {size.data}",
                hint=SIZE,
                reason=f"dynamic batching preferred size must be positive for {model.config_name}",
                item=item,
            )


@rule("dynamic-without-batching", Severity.WARNING, "dynamic_batching")
def without_batching(model: Model) -> Iterator[Finding]:
    """A model with dynamic_batching should set max_batch_size."""
    batching = model.config.get("dynamic_batching")
    if batching is None or model.max_batch_size != 0 or not isinstance(batching.value, Message):
        return
    told = preferred(model) or any(batching.value.has(name) for name in QUEUE)
    if not told and not may_complete_inputs(model):
        hint = "Set max_batch_size to the largest batch that the model accepts, or remove dynamic_batching."
        yield Finding(batching, "dynamic_batching has no effect because max_batch_size is 0", hint=hint)


@rule("preferred-size-twice", Severity.INFO, "*.preferred_batch_size")
def preferred_twice(model: Model) -> Iterator[Finding]:
    """A repeated preferred batch size has no effect."""
    seen, batching = set(), model.config.message("dynamic_batching")
    for field, place, size in places(batching, "preferred_batch_size") if batching is not None else ():
        if not isinstance(size, Scalar):
            continue
        if size.data in seen:
            message = f"preferred_batch_size {size.data} is already listed"
            fix = edited(model, *delete_items(field, {place}), safe=True)
            yield Finding(size, message, hint=f"Remove the duplicate {size.data}.", fix=fix)
        seen.add(size.data)


@rule("preferred-without-delay", Severity.INFO, "*.preferred_batch_size")
def preferred_without_delay(model: Model) -> Iterator[Finding]:
    """Without a queue delay, no request waits for a preferred batch size."""
    batching = model.config.message("dynamic_batching")
    sizes = batching.get("preferred_batch_size") if batching is not None else None
    if batching is None or sizes is None or not sizes.values or batching.integer("max_queue_delay_microseconds"):
        return
    message = "no request waits for a preferred batch size because max_queue_delay_microseconds is 0"
    hint = "Set max_queue_delay_microseconds to how long a request may wait for others."
    yield Finding(sizes, message, hint=hint)
