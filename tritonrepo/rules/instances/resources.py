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
    """A resource is global in all models, or of the device in all.

    Why:
        With rate limiting on, the server refuses the models that are loaded when it sees both, whichever of them is
        to blame. It is off unless the server is told otherwise, so this is a warning.
    Source:
        core, src/rate_limiter.cc, ResourceManager::ValidateMaxResources
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU rate_limiter { resources { name: "memory" global: true count: 4 } } }
        -- embedder/1/weights --
        -- reranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU rate_limiter { resources { name: "memory" count: 2 } } }
        -- reranker/1/weights --
    Says:
        reranker/config.pbtxt:4:58: warning: the resource "memory" is of the device here and global in embedder [rate-resource-global-and-device]
          Write global: true in all models that need it, or in none.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU rate_limiter { resources { name: "memory" global: true count: 4 } } }
        -- embedder/1/weights --
        -- reranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU rate_limiter { resources { name: "memory" global: true count: 2 } } }
        -- reranker/1/weights --
    """
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
    """A resource has a name.

    Why:
        Without one it is a resource called "", which all models without a name for theirs share.
    Source:
        core, src/rate_limiter.cc, ResourceManager::AddModelInstance
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU rate_limiter { resources { count: 4 } } }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:58: warning: this resource has no name [rate-resource-name-empty]
          Write name: with what instances compete for.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU rate_limiter { resources { name: "memory" count: 4 } } }
        -- embedder/1/weights --
    """
    for limiter in _limiters(model):
        for resource in limiter.messages("resources"):
            if not resource.text("name"):
                place = next(reversed(resource.scalars("name")), resource)
                yield Finding(place, "this resource has no name", hint="Write name: with what instances compete for.")


@rule("rate-resource-twice", Severity.WARNING, "*.rate_limiter")
def twice(model: Model) -> Iterator[Finding]:
    """A group names a resource once.

    Why:
        The later count replaces the earlier one: they are not added.
    Source:
        core, src/rate_limiter.cc, ResourceManager::AddModelInstance
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group {
          kind: KIND_CPU
          rate_limiter { resources [ { name: "memory" count: 5 }, { name: "memory" count: 2 } ] }
        }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:6:67: warning: the resource "memory" is there already: its count 5 is replaced by 2 [rate-resource-twice]
          Keep one of the two.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU rate_limiter { resources { name: "memory" count: 5 } } }
        -- embedder/1/weights --
    """
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
    """A rate_limiter needs a server with rate limiting.

    Why:
        Without its option the server reads resources and priority and does not use them.
    Source:
        core, src/rate_limiter.cc, RateLimiter::RegisterModelInstance: ignore_resources_and_priority_
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU rate_limiter { priority: 2 } }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:46: info: a rate_limiter is read by a server with rate limiting only [rate-limiter-ignored]
          Start it with --rate-limit=execution_count.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU }
        -- embedder/1/weights --
    """
    for limiter in _limiters(model):
        yield Finding(
            limiter, "a rate_limiter is read by a server with rate limiting only", hint=f"Start it with {LIMITER}."
        )
