"""Resources of the rate limiter, which the server counts across all of its models."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model, Repository
from tritonrepo.rules.instances.groups import groups
from tritonrepo.rules.registry import Finding, repository_rule, rule

LIMITER = "--rate-limit=execution_count"


def _limiters(model: Model) -> Iterator[Message]:
    """Yield the rate limiters of the groups."""
    for group in groups(model):
        limiter = group.node.message("rate_limiter")
        if limiter is not None:
            yield limiter


@repository_rule("rate-resource-global-and-device", Severity.WARNING)
def global_and_device(repository: Repository) -> Iterator[Finding]:
    """A rate limiter resource should be global in all models or in none."""
    first: dict[str, tuple[bool, Model]] = {}
    for model in repository.models.values():
        if "*.rate_limiter" not in model.traits or (model.parsed is not None and model.parsed.faults):
            continue
        for limiter in _limiters(model):
            for resource in limiter.messages("resources"):
                name, everywhere = resource.text("name"), resource.flag("global")
                known, other = first.setdefault(name, (everywhere, model))
                if known is not everywhere:
                    has, had = ("global", "device-specific") if everywhere else ("device-specific", "global")
                    words = f'Resource "{name}" is present as both global and device-specific resource'
                    yield Finding(
                        model.at(resource),
                        f'resource "{name}" is {has} here but {had} in model "{other.name}"',
                        hint="Set `global: true` in all models that need the resource, or in none.",
                        reason=f"{words} in the model configuration.",
                    )


@rule("rate-resource-name-empty", Severity.WARNING, "*.rate_limiter")
def name_empty(model: Model) -> Iterator[Finding]:
    """A rate limiter resource should have a name."""
    for limiter in _limiters(model):
        for resource in limiter.messages("resources"):
            if not resource.text("name"):
                place = next(reversed(resource.scalars("name")), resource)
                yield Finding(place, "the resource has no name", hint="Set name to what the instances compete for.")


@rule("rate-resource-twice", Severity.WARNING, "*.rate_limiter")
def twice(model: Model) -> Iterator[Finding]:
    """An instance group should list a resource only once."""
    for limiter in _limiters(model):
        seen: dict[tuple[str, bool], int] = {}
        for resource in limiter.messages("resources"):
            key = resource.text("name"), resource.flag("global")
            count = resource.integer("count")
            if key[0] and key in seen:
                message = f'resource "{key[0]}" is already listed: count {count} replaces count {seen[key]}'
                yield Finding(resource.scalars("name")[-1], message, hint="Remove one of the two entries.")
            seen[key] = count


@rule("rate-limiter-ignored", Severity.INFO, "*.rate_limiter")
def ignored(model: Model) -> Iterator[Finding]:
    """A rate_limiter has no effect unless rate limiting is on."""
    for limiter in _limiters(model):
        message = "rate_limiter has no effect unless rate limiting is on"
        yield Finding(limiter, message, hint=f"Start the server with `{LIMITER}`.")
