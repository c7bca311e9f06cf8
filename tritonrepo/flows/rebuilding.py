"""`up --watch`: what a stack is made of, and its build, index and tests when any of that changes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

from tritonrepo.flows.build import apply_build, plan_build
from tritonrepo.flows.events import Built
from tritonrepo.flows.index import index
from tritonrepo.flows.reloading import Made, Watch, made, metadata, scan
from tritonrepo.flows.serve import ServeOptions, launch
from tritonrepo.flows.smoke import declared
from tritonrepo.flows.stack import Loaded, load
from tritonrepo.flows.up import Up, prove
from tritonrepo.server.reloading import Reloaded
from tritonrepo.smoke.case import Result

PATTERN = frozenset("*?[")


class Rebuilding:
    """A served stack whose changes are built and reloaded."""

    def __init__(self, running: Up, chosen: ServeOptions) -> None:
        self._running, self._chosen = running, chosen
        self._loaded = running.build.loaded
        self._told = {*running.build.warnings}
        self._watch = Watch(running.server, self._look, self._make, self._loaded.work)

    def changes(self) -> tuple[Reloaded | None, list[Result]]:
        """Build and reload what changed since the last call; return what became of it, and the tests of its models."""
        done = self._watch.changes()
        return done, prove(self._running, done.loaded) if done and done.loaded else []

    @property
    def down(self) -> bool:
        """Whether the server was to be started anew, and did not start."""
        return self._watch.down

    def _look(self) -> dict[str, tuple[int, ...]]:
        return metadata(inputs(self._loaded), (self._running.build.out, self._loaded.lock_path))

    def _make(self) -> Made:
        """Build the stack as it is now; raise Stop with everything that is wrong with it."""
        work, out = self._loaded.work, self._running.build.out
        self._loaded = loaded = load(self._loaded.paths, work, self._loaded.reader)
        indexed, loaded = index(loaded)
        for each in indexed:
            if each.passages:
                work.tell(each)
        build = plan_build(loaded, out)
        for warning in build.warnings:
            if warning not in self._told:
                work.tell(warning)
        self._told = {*build.warnings}
        apply_build(build)
        if build.plan:
            work.tell(Built(build.out, build.plan))
        self._running = self._running._replace(build=build)
        chosen = self._chosen._replace(places=declared(loaded.stack))
        start = launch(out, chosen, work, build.record, loaded.lock_path.parent)
        return made(scan(out, work), build.record, start)


def inputs(loaded: Loaded) -> list[Path]:
    """Return the directories of the stack files, and what else on this machine the stack names outside of them."""
    stack = loaded.stack
    files = {*map(str, loaded.paths), *(span.path for span in stack.places.values())}
    above = {os.path.realpath(Path(path).parent) for path in files}
    found = dict.fromkeys(sorted(above))
    for model in stack.models.values():
        base = Path(model.places[""].path).parent
        for text in words(model):
            place = os.path.realpath(base / fixed(text))
            if Path(place).exists() and not any(_in(one, place) or _in(place, one) for one in above):
                found[place] = None
    return [*map(Path, found)]


def _in(path: str, directory: str) -> bool:
    """Return whether a path is a directory or below it."""
    return os.path.commonpath([path, directory]) == directory


def words(value: object) -> Iterator[str]:
    """Yield the texts in a part of a stack, which may be paths."""
    if isinstance(value, str):
        if "/" in value and "\0" not in value:
            yield value
    elif isinstance(value, Mapping):
        yield from _all(value.values())
    elif isinstance(value, Sequence | set | frozenset):
        yield from _all(value)
    elif is_dataclass(value):
        yield from _all(getattr(value, each.name) for each in fields(value) if each.name != "places")


def _all(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        yield from words(value)


def fixed(text: str) -> str:
    """Return a path up to its first part that is a pattern."""
    parts = text.split("/")
    at = next((number for number, part in enumerate(parts) if PATTERN & {*part}), len(parts))
    return "/".join(parts[:at]) or "/"
