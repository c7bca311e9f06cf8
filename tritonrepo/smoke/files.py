"""The files that a server reads against those that it should: what no answer tells, such as another model.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.smoke.case import Check, Flaw, Result, found
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.served import Served
from tritonrepo.tree import Entry, File

NOT_NAMED = "the server does not say what it has read: name its directory or URI with --repository"
NOT_KNOWN = (
    "there is nothing to compare with, and answers were judged by their form alone:"
    " name the stack, directory or URI that should be served"
)
HINT = "Upload the right files, and load the model again."


def compared(expected: Expected | None, there: Expected | None, served: Served, where: str) -> Result:
    """Return whether a served version's files, and those beside its version directories, are there as they should be.

    Where nothing is expected, or `where` is empty, they are not checked. Digests are compared, never times.
    """
    version = served.version
    if expected is None or not where:
        reason = NOT_NAMED if expected is not None else NOT_KNOWN
        return Result(served.name, version, Check.FILES, unchecked=reason)
    flaws = [*_different(version, expected.contents.get(version, {}), there.contents.get(version, {}) if there else {})]
    flaws += [*_different("", expected.beside, there.beside if there else {})]
    extra = sorted(there.contents.get(version, {}).keys() - expected.contents.get(version, {}).keys()) if there else []
    at = Span(f"{where}/{served.name}")
    diagnostics = [found(Check.FILES, Severity.ERROR, at, flaw, served.name) for flaw in flaws]
    diagnostics += [
        found(Check.FILES, Severity.WARNING, at, Flaw(f"{version}/{path} should not be there"), served.name)
        for path in extra
    ]
    return Result(served.name, version, Check.FILES, diagnostics=tuple(diagnostics))


def _different(version: str, ours: Mapping[str, Entry], theirs: Mapping[str, Entry]) -> Iterator[Flaw]:
    """Yield every file of ours that is not the same there; what is unreadable is no reason to go on without a word."""
    for path, entry in ours.items():
        if not isinstance(entry, File):
            continue
        name = f"{version}/{path}" if version else path
        other = theirs.get(path)
        if other is None:
            yield Flaw(f"{name} is missing", HINT)
        elif not isinstance(other, File):
            yield Flaw(f"{name} is not a file there: {other}", HINT)
        else:
            yield from _unlike(name, entry, other)


def _unlike(name: str, ours: File, theirs: File) -> Iterator[Flaw]:
    if ours.size != theirs.size:
        yield Flaw(f"{name} differs: it has {theirs.size} bytes there, and should have {ours.size}", HINT)
        return
    try:
        here, there = ours.sha256, theirs.sha256
    except OSError as error:
        yield Flaw(f"{name} cannot be read: {error.strerror or error}")
    except Stop as stop:
        yield Flaw(f"{name} cannot be read: {stop.diagnostics[0].message}", stop.diagnostics[0].hint)
    else:
        if here != there:
            yield Flaw(f"{name} differs: its SHA-256 is {there[:12]}… there, and should be {here[:12]}…", HINT)
