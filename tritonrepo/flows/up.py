"""The pipeline of `up`: from a stack to a server that answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Faults
from tritonrepo.flows.asking import Pipelines, pipelines
from tritonrepo.flows.build import apply_build, plan_build
from tritonrepo.flows.built import Build
from tritonrepo.flows.events import Built
from tritonrepo.flows.index import index, missing
from tritonrepo.flows.paths import reading
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.smoke import declared, of_stack, reading_from, smoke
from tritonrepo.flows.stack import Loaded
from tritonrepo.indexing.vectors import MISSING
from tritonrepo.server.process import Server
from tritonrepo.smoke.case import Result
from tritonrepo.stores import open_store

SMOKE_S = 60.0
"""Maximum wait for each response of the smoke test: a model's first one may take longer than later ones."""


class Up(NamedTuple):
    """Served stack: its server, its build, and the pipelines that a question goes to."""

    server: Server
    build: Build
    pipelines: Pipelines


@contextmanager
def up(loaded: Loaded, out: Path | str, chosen: ServeOptions, *, asked: bool = False) -> Iterator[Up]:
    """Build the missing indexes and the repository, and serve it as long as the context lasts.

    Raise Stop with everything that is wrong with the stack; with `asked`, it must have a pipeline that answers.
    """
    names, build = _prepared(loaded, out, asked=asked)
    tell = loaded.work.tell
    for warning in build.warnings:
        tell(warning)
    apply_build(build)
    tell(Built(build.out, build.plan))
    chosen = chosen._replace(places=declared(loaded.stack))
    with serve(build.out, chosen, loaded.work, build.record, loaded.lock_path.parent) as server:
        for warning in server.unavailable:
            tell(warning)
        yield Up(server, build, names)


def prove(running: Up, only: Collection[str] = ()) -> list[Result]:
    """Test every model, or those in `only`, as `smoke` does, except for those that this machine cannot serve."""
    build, server = running.build, running.server
    store, prefix = open_store(str(build.out), build.loaded.work.links)
    about = reading_from(of_stack(build.loaded, store.scan(prefix)), str(build.out), build.loaded.work)
    about = replace(about, left_out=server.left_out)
    return list(smoke(replace(server.endpoint, timeout_s=SMOKE_S, whole_s=SMOKE_S), about, only))


def _prepared(loaded: Loaded, out: Path | str, *, asked: bool) -> tuple[Pipelines, Build]:
    """Return the pipelines of a stack and its build; raise Stop with everything that is wrong with them."""
    faults = Faults()
    names = faults.tried(lambda: pipelines(loaded.stack, needed=asked), Pipelines(None, None))
    indexed = faults.tried(lambda: _indexed(loaded), None)
    build = faults.tried(lambda: plan_build(indexed or loaded, out), None)
    if indexed is None:  # why it cannot be built is already reported
        faults.found = [each for each in faults.found if each.rule != MISSING]
    faults.stop()
    assert build is not None  # noqa: S101  nothing was found
    return names, build


@reading()
def _indexed(loaded: Loaded) -> Loaded:
    """Build the missing indexes."""
    if not list(missing(loaded)):
        return loaded
    made, loaded = index(loaded)
    for each in made:
        loaded.work.tell(each)
    return loaded
