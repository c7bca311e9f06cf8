"""The files that a server reads, compared with the right ones: what no response shows, such as a wrong model.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.smoke.case import Check, Flaw, Result, found
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.served import Served
from tritonrepo.tree import Entry, File

NOT_NAMED = "the server does not report which files it reads; name its directory or URI with --repository"
NOT_KNOWN = (
    "nothing to compare with, so only the form of responses was checked;"
    " name the stack, directory or URI that should be served"
)
HINT = "Upload the right files, and reload the model."


def compared(expected: Expected | None, there: Expected | None, served: Served, where: str) -> Result:
    """Return whether a served version's files, and those next to its version directories, are as they should be.

    If nothing is expected, or `where` is empty, they are not checked. Digests are compared, never times.
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
        found(Check.FILES, Severity.WARNING, at, Flaw(f"{version}/{path} is not expected"), served.name)
        for path in extra
    ]
    return Result(served.name, version, Check.FILES, diagnostics=tuple(diagnostics))


def _different(version: str, ours: Mapping[str, Entry], theirs: Mapping[str, Entry]) -> Iterator[Flaw]:
    """Yield every file of ours that the server's copy lacks or has in another form; an unreadable one is reported."""
    for path, entry in ours.items():
        if not isinstance(entry, File):
            continue
        name = f"{version}/{path}" if version else path
        other = theirs.get(path)
        if other is None:
            yield Flaw(f"{name} is missing", HINT)
        elif not isinstance(other, File):
            yield Flaw(f"the server's {name} is not a file: {other}", HINT)
        else:
            yield from _unlike(name, entry, other)


def _unlike(name: str, ours: File, theirs: File) -> Iterator[Flaw]:
    if ours.size != theirs.size:
        yield Flaw(f"{name} differs: the server's copy has {theirs.size} bytes, not {ours.size}", HINT)
        return
    try:
        here, there = ours.sha256, theirs.sha256
    except OSError as error:
        yield Flaw(f"{name} cannot be read: {error.strerror or error}")
    except Stop as stop:
        yield Flaw(f"{name} cannot be read: {stop.diagnostics[0].message}", stop.diagnostics[0].hint)
    else:
        if here != there:
            yield Flaw(f"{name} differs: the server's copy has the SHA-256 {there[:12]}…, not {here[:12]}…", HINT)
