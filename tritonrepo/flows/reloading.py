"""`--watch`: when what a server was started from changes, what changed is built, checked and reloaded.

Files are looked at by their metadata, and compared by their digests: what is saved again unchanged reloads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from stat import S_ISDIR
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Severity, Stop, some
from tritonrepo.flows.paths import reading
from tritonrepo.flows.serve import ServeOptions, launch, restart
from tritonrepo.flows.target import of_record, record_of
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Target
from tritonrepo.rules import judge
from tritonrepo.server.launch import Launch
from tritonrepo.server.process import Server, mild
from tritonrepo.server.reloading import Reloaded, changed, reload, update
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.links import kept
from tritonrepo.sync import gating
from tritonrepo.sync.record import Record
from tritonrepo.sync.telling import Line
from tritonrepo.tree import Directory, File, Tree

UNSETTLED = 10
"""For how many looks in a row a change may go on before it is acted on anyway."""

NAMED = 5
RESTARTING = ("environment", "auto_complete", "replaced", "lacking", "backends")
"""What of a start no reload can change."""

Metadata = Mapping[str, tuple[int, ...]]


class Made(NamedTuple):
    """What a server should serve: the repository's files, the server it is for, and how it would be started now."""

    tree: Tree
    target: Target
    launch: Launch


class Watch:
    """A running server, and what it was started from."""

    def __init__(self, server: Server, look: Callable[[], Metadata], make: Callable[[], Made], work: Workspace) -> None:
        self.server = server
        self._look, self._make, self._work = look, make, work
        self._acted = self._last = look()
        self._unsettled = 0
        self._have = _digests(self._served())
        self._refused = False
        self._paths: list[str] = []
        self.down = False
        """Whether the server was to be started anew, and did not start."""

    def changes(self) -> Reloaded | None:
        """Reload what changed since the last call, once it has stopped changing; None if there is nothing to say.

        What is wrong is reported, and the server keeps what it has.
        """
        now = self._look()
        if now == self._acted:
            self._unsettled, self._last = 0, now
            return None
        if now != self._last and self._unsettled < UNSETTLED:
            self._unsettled, self._last = self._unsettled + 1, now
            return None
        self._paths = [
            path for path in sorted(now.keys() | self._acted.keys()) if now.get(path) != self._acted.get(path)
        ]
        self._unsettled, self._acted = 0, now
        try:
            with reading():
                return self._reloaded(self._make())
        except Stop as stop:
            self._refused = True
            for each in stop.diagnostics:
                self._work.tell(each)
            keeps = (
                "the server waits for a change that it can start with" if self.down else "the server keeps what it has"
            )
            self._work.line(f"not reloaded: {keeps}")
        return None

    def _reloaded(self, made: Made) -> Reloaded | None:
        """Bring the server to what was made."""
        want = _digests(made.tree)
        paths = [path for path in changed(self._have, want) if "/" in path]
        running = self.server.launch
        if self.down or any(getattr(made.launch, name) != getattr(running, name) for name in RESTARTING):
            self._work.line("restarting the server: its settings changed")
            self._have, self.down = want, True
            restart(self.server, made.launch, self._work)
            self.down = False
            return Reloaded(tuple(sorted({path.split("/")[0] for path in want if "/" in path})))
        refused, self._refused = self._refused, False
        self.server.launch = replace(running, places=made.launch.places)
        if not paths:
            if refused:
                self._work.line("nothing to reload: the server has all of this")
            return None
        self._work.line(f"changed: {some(self._paths, NAMED)}")
        names = {path.split("/")[0] for path in paths}
        there = {path.split("/")[0] for path in want if "/" in path}
        _refuse(made, names & there)
        update(self.server, made.tree, paths)
        self._have = want
        done = reload(self.server, _callees_first(made, names & there), sorted(names - there))
        for each in mild(self.server):  # a pipeline is refused until it is reloaded, too
            self._work.tell(Line(each) if isinstance(each, str) else each)
        return done

    def _served(self) -> Tree:
        where = Path(self.server.launch.repository)
        return scan(where, self._work)


def _refuse(made: Made, names: Iterable[str]) -> None:
    """Raise Stop with the errors in these models, which the server would only refuse."""
    found = judge(repository.read(made.tree, made.target)).diagnostics
    own = {*names}
    where = str(made.launch.repository)
    errors = [
        each.renamed(lambda path: f"{where}/{path}")
        for each in found
        if each.severity is Severity.ERROR and each.at.path.split("/")[0] in own
    ]
    if errors:
        raise Stop(errors)


def _callees_first(made: Made, names: Iterable[str]) -> list[str]:
    """Return models in an order in which each follows those that it calls."""
    models, found = gating.models(made.tree, made.target), dict[str, None]()

    def visit(name: str, above: frozenset[str]) -> None:
        if name in models and name not in above:
            for callee in sorted(models[name].calls()):
                visit(callee, above | {name})
        found[name] = None

    for name in sorted(names):
        visit(name, frozenset())
    wanted = {*names}
    return [name for name in found if name in wanted]


def repository_watch(server: Server, chosen: ServeOptions, work: Workspace) -> Watch:
    """Watch the directory that `serve` serves."""
    where = Path(server.launch.repository)

    def make() -> Made:
        tree = scan(where, work)
        record = record_of(DirectoryStore(where.absolute().parent, work.links), where.name, tree, str(where))
        return made(tree, record, launch(where, chosen, work, record))

    return Watch(server, lambda: metadata([where], ()), make, work)


def made(tree: Tree, record: Record, start: Launch) -> Made:
    """Return what a server should serve of a repository with this record."""
    return Made(tree, repository.target(record=of_record(record, str(start.repository))), start)


def scan(where: Path, work: Workspace) -> Tree:
    """Return what is in a directory, without what editors and Python leave there."""
    absolute = where.absolute()
    store = DirectoryStore(absolute.parent, work.links, work.cache.digests)
    tree = kept(store.scan(absolute.name), str(where))
    return {path: entry for path, entry in tree.items() if not any(map(_is_left, path.split("/")))}


def _is_left(name: str) -> bool:
    """Return whether a file or directory of this name is an editor's or Python's own."""
    return (name.startswith(".") and name != ".keep") or name.endswith("~") or name == "__pycache__"


def _digests(tree: Tree) -> dict[str, str]:
    """Return path → digest; "" of a directory."""
    found = {}
    for path, entry in tree.items():
        if isinstance(entry, File):
            found[path] = entry.sha256
        elif isinstance(entry, Directory):
            found[path] = ""
    return found


def metadata(places: Iterable[Path], without: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Return what a look at files and at the files below directories shows, except for those in `without`."""
    left = {os.path.realpath(path) for path in without}
    return dict(_seen([*map(str, places)], left))


def _seen(todo: list[str], left: set[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    done = set[str]()
    while todo:
        path = todo.pop()
        with suppress(OSError):  # it may vanish at any moment
            if (real := os.path.realpath(path)) in left or real in done:
                continue
            done.add(real)
            about = Path(path).stat()
            if not S_ISDIR(about.st_mode):
                yield path, (about.st_mtime_ns, about.st_size, about.st_ino)
                continue
            yield path, (about.st_ino,)
            with os.scandir(path) as entries:
                todo += [entry.path for entry in entries if not _is_left(entry.name)]


def told(done: Reloaded | None) -> Iterator[Diagnostic | str]:
    """Yield what became of a reload, as lines and errors."""
    if done is None:
        return
    yield from done.refused
    said = [
        f"{verb} {', '.join(names)}"
        for verb, names in (("reloaded", done.loaded), ("unloaded", done.unloaded))
        if names
    ]
    if said:
        yield "; ".join(said)
