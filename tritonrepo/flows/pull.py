"""The pipeline of `pull`: a revision in a bucket becomes a plan for a directory, which is then carried out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure, fatal
from tritonrepo.flows import directory as places
from tritonrepo.flows.directory import There
from tritonrepo.flows.published import Published, earlier, published
from tritonrepo.flows.revisions import addressed
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores import links, open_store
from tritonrepo.stores.directory import DirectoryStore, folds
from tritonrepo.sync import binding, history
from tritonrepo.sync import record as records
from tritonrepo.sync.fetching import arriving, fetch
from tritonrepo.sync.names import unfit
from tritonrepo.sync.place import Place, open_place
from tritonrepo.sync.plan import PULL, Plan, Put, plan
from tritonrepo.sync.push import KEEP
from tritonrepo.sync.record import NAME, Record
from tritonrepo.sync.revision import Revision
from tritonrepo.tree import Directory, Entry, File, Tree, files, of_bytes

RULE = "pull-directory"
OWN = {NAME, binding.POINTER}
"""What builds and pushes write at the root of a repository, which is of no use elsewhere."""

SHOWN = 20
"""How many of the names that no directory can hold a message lists."""

NAMED = 3
"""How many of the missing files a message names."""


class Source(NamedTuple):
    """What is pulled: its URI, the files, what a build's record says of them, and the revision, if there is a record.

    `foreign` are the models and files under the prefix that are not pulled.
    """

    uri: str
    tree: Mapping[str, File]
    record: Record
    revision: Revision | None
    foreign: tuple[str, ...] = ()


class Pull(NamedTuple):
    """Pull of a repository into a directory: the plan, and what it is made from.

    `seen` holds the digest of what was at each path that the plan writes or deletes; "" if nothing was.
    """

    source: Source
    out: Path
    plan: Plan
    record: Record
    warnings: tuple[Diagnostic, ...]
    there: There
    seen: Mapping[str, str]
    over: threading.Event
    work: Workspace


def plan_pull(  # noqa: PLR0913  as many as the command has options
    uri: str,
    directory: Path | str,
    work: Workspace,
    *,
    everything: bool = False,
    overwrite: bool = False,
    record: str | None = None,
) -> Pull:
    """Compare a revision in a bucket with a directory, without writing anything; `URI@N` names revision N.

    Args:
        uri: The repository, with `@N` for an earlier revision.
        directory: Where it is to be written.
        work: The environment, and the receiver of progress.
        everything: Whether to include what other pushes have stored under the prefix.
        overwrite: Whether to replace files that somebody has changed since a build or pull wrote them.
        record: Where the record of the repository is, if it is not next to it.
    """
    out = places.named(RULE, directory, PULL, "Use `tritonrepo push DIR URI` to write to a bucket.")
    source = pulled(uri, record, everything=everything)
    _checked(source, out)
    store = DirectoryStore(out.absolute().parent, work.links, work.cache.digests)
    there = places.content(store, out, PULL)
    over = threading.Event()
    want = {path: arriving(file, f"{source.uri}: {path}", over) for path, file in source.tree.items()}
    made = plan(want, there.repository, there.record.written(), str(out), overwrite=overwrite, means=PULL)
    if made.conflicts:
        raise Stop(made.conflicts)
    kept = {path: there.record.files[path] for path in (*made.kept, *made.needed)}
    built = replace(source.record, files=_digests(want) | kept)
    made = records.with_record(made, built, there.record, there.tree)
    warnings = tuple(_by_hand(f"{out}/{path}") for path in made.kept)
    return Pull(source, out, made, built, warnings, there, places.digests(made, there.tree), over, work)


def _by_hand(path: str) -> Diagnostic:
    message = "the file was changed by hand after it was written here, and is kept"
    hint = "To discard the change, pull with --overwrite."
    return Diagnostic("pull-hand-edited", Severity.WARNING, Span(path), message, hint)


def _digests(tree: Mapping[str, File]) -> dict[str, str]:
    """Return the digests that are known: without a record, only those of files that were compared."""
    return {path: file.known_sha256 for path, file in tree.items() if file.known_sha256}


def pulled(text: str, record: str | None = None, *, everything: bool = False) -> Source:
    """Return what is at a URI now or, for `URI@N`, what was there as revision N; raise Stop if it is not complete."""
    uri, number = addressed(text)
    store, prefix = open_store(uri)
    if not prefix and number is None and record is None:
        return _unrecorded(uri, store.scan(prefix))
    there = published(open_place(uri, record))
    if there.before is None and number is None:
        return _unrecorded(uri, there.have)
    return _recorded(there, number, everything=everything)


def _unrecorded(uri: str, have: Tree) -> Source:
    """Return everything under a prefix of which no push has a record."""
    tree = _with_directories(links.kept(have, uri))
    if not tree:
        hint = "Check the URI. `tritonrepo push` writes a repository there."
        if "@" in uri.rpartition("/")[2]:
            hint = "Check the URI: `URI@N` is revision N, and the first one is 1."
        raise fatal("pull-empty", uri, "nothing is stored under this prefix", hint)
    record = records.load(have, uri)
    return Source(uri, {path: file for path, file in tree.items() if path not in OWN}, record, None, _odd(have))


def _recorded(there: Published, number: int | None, *, everything: bool) -> Source:
    uri, before = there.place.uri, there.before
    revision = before if before and number is None else earlier(there, number)
    if not revision.files:
        message = "no push to this prefix has finished yet"
        hint = "Push again to complete the first one. With --all, everything under the prefix is pulled as it is."
        if not everything:
            raise failure("revision-incomplete", uri, message, hint)
    found = history.restored(there.place, revision, there.have, checking=False)
    if found.missing:
        raise _incomplete(uri, revision.number, found.missing, there.have)
    ours = {path.partition("/")[0] for path in revision.files}
    others = {path: file for path, file in _with_directories(there.have).items() if path.partition("/")[0] not in ours}
    others = {path: file for path, file in others.items() if path not in OWN}
    tree = {**found.tree, **others} if everything else found.tree
    left = () if everything else tuple(sorted({path.partition("/")[0] for path in others}))
    return Source(uri, tree, _record(revision), revision, (*left, *_odd(there.have)))


def _incomplete(uri: str, number: int, missing: Sequence[str], have: Tree) -> Stop:
    said = [f"{path} {'has other content' if path in have else 'is gone'}" for path in missing[:NAMED]]
    more = f", and so are {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    message = f"revision {number} is not complete: {', '.join(said)}{more}"
    return failure("revision-incomplete", uri, message, "Pull another revision, or push its files again.")


def _record(revision: Revision) -> Record:
    """Return the record of the build that was pushed, as far as the revision has it."""
    both = {each.name for each in fields(Record)} & {each.name for each in fields(Revision)} - {"files"}
    made: dict[str, Any] = {"stack": revision.made["stack"]} if "stack" in revision.made else {}
    made = {name: value for name, value in made.items() if hasattr(Record(), name)}
    return replace(Record(), **{name: getattr(revision, name) for name in both}, **made)


def _with_directories(tree: Tree) -> dict[str, File]:
    """Return the files, with one in each empty directory, as a push stores them."""
    empty = {f"{path}/{KEEP}": of_bytes(b"") for path, entry in tree.items() if isinstance(entry, Directory)}
    return {**files(tree), **empty}


def _odd(tree: Tree) -> tuple[str, ...]:
    return tuple(path for path, entry in tree.items() if not isinstance(entry, File | Directory))


def _checked(source: Source, out: Path) -> None:
    """Raise Stop if a name of what is pulled leads out of the directory, or cannot be a file there."""
    found = [*unfit(source.tree, {NAME}, folded=folds(out.absolute()))]
    if found:
        hint = "Nothing was written. Find out who writes to this prefix; a push sends no such name."
        raise Stop(_named(source.uri, found, hint))


def _named(uri: str, found: Sequence[tuple[str, str]], hint: str) -> Iterator[Diagnostic]:
    for path, reason in found[:SHOWN]:
        message = f"the name cannot be that of a file below a directory: {reason}"
        yield Diagnostic("pull-name", Severity.ERROR, Span(f"{uri}: {path}"), message, hint)


def apply_pull(pull: Pull) -> None:
    """Fetch what the plan says and remove what is no longer pulled, with what a killed run left half-written.

    A file gets its name once all of it has arrived and its SHA-256 is that of the record. Raise Stop, with nothing
    written, if somebody has changed the directory since the plan was made.
    """
    there, out = pull.there, pull.out
    path = places.overtaken(pull.plan, pull.seen, there.store.scan(there.prefix)) if pull.plan else None
    if path is not None:
        message = "the file was changed after this pull was planned, so nothing was written"
        raise failure("pull-overtaken", f"{out}/{path}", message, "Run the pull again.")
    places.writable(RULE, out, pull.plan, PULL)
    there.store.tidy()
    place = Place(there.store, there.prefix, str(out))
    try:
        fetch(pull.plan, place, pull.over, pull.work.tell)
        _closed(pull, place)
    except Stop as stop:
        raise stop.of(Severity.ERROR) from stop
    finally:
        there.store.tidy()


def _closed(pull: Pull, place: Place) -> None:
    """Record the digests of files that no record has: they are known only now."""
    put: dict[str, Entry] = {each.path: each.file for each in pull.plan.actions if isinstance(each, Put)}
    new = {path: file.sha256 for path, file in files(put).items() if path != NAME and path not in pull.record.files}
    if new:
        record = replace(pull.record, files={**pull.record.files, **new})
        place.store.put(place.path(NAME), records.dump(record))
