"""Resources of the rate limiter, which the server counts over all of its models."""

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
    """A resource is global in all models, or of the device in all."""
    first: dict[str, tuple[bool, Model]] = {}
    for model in repository.models.values():
        if "*.rate_limiter" not in model.traits or (model.parsed is not None and model.parsed.faults):
            continue
        for limiter in _limiters(model):
            for resource in limiter.messages("resources"):
                name, everywhere = resource.text("name"), resource.flag("global")
                known, other = first.setdefault(name, (everywhere, model))
                if known is not everywhere:
                    has, had = ("global", "of the device") if everywhere else ("of the device", "global")
                    words = f'Resource "{name}" is present as both global and device-specific resource'
                    yield Finding(
                        model.at(resource),
                        f'the resource "{name}" is {has} here and {had} in {other.name}',
                        hint="Write global: true in all models that need it, or in none.",
                        reason=f"{words} in the model configuration.",
                    )


@rule("rate-resource-name-empty", Severity.WARNING, "*.rate_limiter")
def name_empty(model: Model) -> Iterator[Finding]:
    """A resource has a name."""
    for limiter in _limiters(model):
        for resource in limiter.messages("resources"):
            if not resource.text("name"):
                place = next(reversed(resource.scalars("name")), resource)
                yield Finding(place, "this resource has no name", hint="Write name: with what instances compete for.")


@rule("rate-resource-twice", Severity.WARNING, "*.rate_limiter")
def twice(model: Model) -> Iterator[Finding]:
    """A group names a resource once."""
    for limiter in _limiters(model):
        seen: dict[tuple[str, bool], int] = {}
        for resource in limiter.messages("resources"):
            key = resource.text("name"), resource.flag("global")
            count = resource.integer("count")
            if key[0] and key in seen:
                message = f'the resource "{key[0]}" is there already: its count {seen[key]} is replaced by {count}'
                yield Finding(resource.scalars("name")[-1], message, hint="Keep one of the two.")
            seen[key] = count


@rule("rate-limiter-ignored", Severity.INFO, "*.rate_limiter")
def ignored(model: Model) -> Iterator[Finding]:
    """A rate_limiter needs a server with rate limiting."""
    for limiter in _limiters(model):
        yield Finding(
            limiter, "a rate_limiter is read by a server with rate limiting only", hint=f"Start it with {LIMITER}."
        )
