"""Priorities: priority_levels, default_priority_level, priority_queue_policy."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "default-priority-out-of-range",
    Severity.ERROR,
    "*.priority_levels",
    at=Stage.POLL.after("dynamic-preferred-above-max"),
)
def default_out_of_range(model: Model) -> Iterator[Finding]:
    """With priority_levels, default_priority_level must be one of the levels."""
    batching = model.config.message("dynamic_batching")
    levels = batching.integer("priority_levels") if batching is not None else 0
    if batching is None or not levels:
        return
    default = batching.integer("default_priority_level")
    if not 1 <= default <= levels:
        written = batching.scalars("default_priority_level")
        missing = f"priority_levels is {levels}, but default_priority_level is missing"
        yield Finding(
            (written or batching.scalars("priority_levels"))[-1],
            f"default_priority_level must be from 1 to {levels}, not {default}" if written else missing,
            hint=f"Set default_priority_level to a number from 1, the highest priority, to {levels}.",
            reason=f"default priority level must be in range [1, {levels}] for {model.config_name}",
        )


@rule(
    "priority-policy-key-out-of-range",
    Severity.ERROR,
    "*.priority_levels",
    at=Stage.POLL.after("default-priority-out-of-range"),
)
def policy_key_out_of_range(model: Model) -> Iterator[Finding]:
    """A key of priority_queue_policy must be one of the priority levels."""
    batching = model.config.message("dynamic_batching")
    levels = batching.integer("priority_levels") if batching is not None else 0
    for entry in batching.entries("priority_queue_policy") if batching is not None and levels else ():
        key = entry.integer("key")
        if not 1 <= key <= levels:
            yield Finding(
                next(reversed(entry.scalars("key")), entry),
                f"a key of priority_queue_policy must be from 1 to {levels}, not {key}",
                hint=f"Set key to a level from 1 to {levels}, or raise priority_levels.",
                reason=f"priority queue policy must have priority level in range [1, {levels}] for {model.config_name}",
            )


@rule("priority-without-levels", Severity.WARNING, "*.default_priority_level", "*.priority_queue_policy")
def without_levels(model: Model) -> Iterator[Finding]:
    """A model that configures priorities should set priority_levels."""
    batching = model.config.message("dynamic_batching")
    if batching is None or batching.integer("priority_levels"):
        return
    written = [batching.get(name) for name in ("default_priority_level", "priority_queue_policy")]
    first = min((field for field in written if field is not None), key=lambda field: field.start, default=None)
    if first is not None:
        hint = "Set priority_levels to the number of priorities."
        yield Finding(first, f"{first.name} has no effect without priority_levels", hint=hint)
