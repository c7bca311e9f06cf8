"""What a build warns of although it can build.

Most of it means that what is deployed would not be what the stack says: an error for `--check` and `--locked`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.flows.prepared import Build
from tritonrepo.flows.stack import Loaded
from tritonrepo.flows.target import of_stack
from tritonrepo.indexing import documents
from tritonrepo.repository.target import target, unknown
from tritonrepo.spec.source import Hub
from tritonrepo.spec.stack import Generator, Retriever
from tritonrepo.sync.plan import BY_HAND

STALE = "index-stale"
STAND_IN = "tokenizer-stand-in"
EDITED = "build-hand-edited"
NOT_WHAT_THE_STACK_SAYS = frozenset({STALE, STAND_IN, EDITED})
COMMIT = re.compile(r"[0-9a-f]{40}")
"""A revision of the hub that no push to it moves: Git's name of a commit. Branches and tags can be moved."""


def strictly(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics with everything an error that means that the stack says something else."""
    return [replace(each, severity=Severity.ERROR) if each.rule in NOT_WHAT_THE_STACK_SAYS else each for each in found]


def lock_drift(build: Build) -> Diagnostic:
    """Return what `--locked` says of a build that would change the lock."""
    message = "would change: sources, versions or digests are not those that it pins"
    hint = "Build without --locked and commit the lock."
    return Diagnostic("lock-drift", Severity.FATAL, Span(str(build.loaded.lock_path)), message, hint)


def doubts(loaded: Loaded) -> Iterator[Diagnostic]:
    """Yield what is doubtful of a stack's target and models; raise Stop where documents cannot be read."""
    places = loaded.stack.target.places
    yield from unknown(target(stack=of_stack(loaded.stack)), places.get("release", loaded.stack.places[""]))
    for name, model in loaded.stack.models.items():
        if isinstance(model, Retriever):
            yield from _stale(loaded, name, model)
        if isinstance(model, Generator):
            yield from _stand_in(name, model)
            yield from _unpinned(name, model)


def by_hand(path: str, becomes: str) -> Diagnostic:
    """Return the warning for a file of an earlier build that somebody changed, and what becomes of it."""
    message = f"this file was {BY_HAND} since build wrote it, and {becomes}"
    hint = "Make the change in the stack file. `tritonrepo build --overwrite` discards the one in this file."
    return Diagnostic(EDITED, Severity.WARNING, Span(path), message, hint)


def _stale(loaded: Loaded, name: str, model: Retriever) -> Iterator[Diagnostic]:
    at = model.places["documents"]
    pin = loaded.lock.indexes.get(name)
    found = documents.digest(documents.find(model.documents, at, loaded.work.links))
    if pin is not None and found != pin.documents:
        message = f'the documents of "{name}" have changed since its index was made'
        yield Diagnostic(STALE, Severity.WARNING, at, message, f"Rebuild it: {loaded.remake}")


def _stand_in(name: str, model: Generator) -> Iterator[Diagnostic]:
    if model.tokenizer is None:
        message = f'"{name}" has the tokenizer and chat template of its "local" file, which may be another model\'s'
        hint = (
            f"Set tokenizer to a GGUF file of {model.source.text}. Until then --check and --locked refuse this stack."
        )
        yield Diagnostic(STAND_IN, Severity.WARNING, model.places["local"], message, hint)


def _unpinned(name: str, model: Generator) -> Iterator[Diagnostic]:
    source = model.source
    if isinstance(source, Hub) and not COMMIT.fullmatch(source.revision or ""):
        named = f'"{source.revision}" is not a commit' if source.revision else "no commit is named"
        message = f'the source of "{name}" may change on the hub: {named}'
        hint = f"Set source to hf://{source.id}@COMMIT, with the 40 digits of a commit from the model's history."
        yield Diagnostic("source-not-pinned", Severity.WARNING, model.places["source"], message, hint)
