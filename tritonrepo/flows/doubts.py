"""What a build warns of although it can build.

Most of it means that what is deployed would not be what the stack says: an error for `--check` and `--locked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.flows.prepared import Build
from tritonrepo.flows.target import of_stack
from tritonrepo.repository.target import target, unknown
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.stack import Stack
from tritonrepo.sync.plan import BY_HAND

EDITED = "build-hand-edited"


def strictly(found: Iterable[Diagnostic], stack: Stack) -> list[Diagnostic]:
    """Return the diagnostics with everything an error that means that the stack says something else."""
    untrue = {EDITED}.union(*(part.untrue for part in stack.parts.values()))
    return [replace(each, severity=Severity.ERROR) if each.rule in untrue else each for each in found]


def lock_drift(build: Build) -> Diagnostic:
    """Return what `--locked` says of a build that would change the lock."""
    message = "would change: sources, versions or digests are not those that it pins"
    hint = "Build without --locked and commit the lock."
    return Diagnostic("lock-drift", Severity.FATAL, Span(str(build.loaded.lock_path)), message, hint)


def doubts(stack: Stack, gathering: Gathering) -> Iterator[Diagnostic]:
    """Yield what is doubtful of a stack's target and models; raise Stop where that cannot be known."""
    at = stack.target.places.get("release", stack.places[""])
    yield from unknown(target(stack=of_stack(stack)), at)
    for name, model in stack.models.items():
        yield from stack.part(name).doubts(name, model, gathering)


def by_hand(path: str, becomes: str) -> Diagnostic:
    """Return the warning for a file of an earlier build that somebody changed, and what becomes of it."""
    message = f"this file was {BY_HAND} since build wrote it, and {becomes}"
    hint = "Make the change in the stack file. `tritonrepo build --overwrite` discards the one in this file."
    return Diagnostic(EDITED, Severity.WARNING, Span(path), message, hint)
