"""What a build warns about although it succeeds.

Most of it means that what is deployed would not match the stack: an error with `--check` and `--locked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.flows.target import of_stack
from tritonrepo.repository.target import target, unknown
from tritonrepo.sync.plan import BY_HAND

if TYPE_CHECKING:
    from tritonrepo.flows.built import Build
    from tritonrepo.sources.gather import Gathering
    from tritonrepo.spec.stack import Stack

EDITED = "build-hand-edited"


def strictly(found: Iterable[Diagnostic], stack: Stack) -> list[Diagnostic]:
    """Return the diagnostics, with those that mean a mismatch with the stack raised to errors."""
    untrue = {EDITED}.union(*(part.untrue for part in stack.parts.values()))
    return [replace(each, severity=Severity.ERROR) if each.rule in untrue else each for each in found]


def lock_drift(build: Build) -> Diagnostic:
    """Return the diagnostic of `--locked` for a build that would change the lock."""
    message = "the lock file would change: it pins other sources, versions or digests than this build has"
    hint = "Build without --locked and commit the lock file."
    return Diagnostic("lock-drift", Severity.FATAL, Span(str(build.loaded.lock_path)), message, hint)


def doubts(stack: Stack, gathering: Gathering) -> Iterator[Diagnostic]:
    """Yield the warnings about a stack's target and models; raise Stop if they cannot be determined."""
    at = stack.target.places.get("release", stack.places[""])
    from tritonrepo.spec import steps  # a push, which reads no stack, has doubts as well

    yield from unknown(target(stack=of_stack(stack)), at)
    for name, model in stack.models.items():
        yield from stack.part(name).doubts(name, model, gathering)
    for name, ensemble in stack.ensembles.items():
        yield from steps.doubts(name, ensemble)


def by_hand(path: str, becomes: str) -> Diagnostic:
    """Return the warning for a file of an earlier build that somebody changed; `becomes` says what happens to it."""
    message = f"the file was {BY_HAND} after build wrote it, and {becomes}"
    hint = "Make the change in the stack file. To discard the change in this file, run `tritonrepo build --overwrite`."
    return Diagnostic(EDITED, Severity.WARNING, Span(path), message, hint)
