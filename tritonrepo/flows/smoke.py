"""The pipeline of `smoke`: what is known of a server's models, and the results of testing them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Faults, Span, Stop, fatal
from tritonrepo.flows import target as targets
from tritonrepo.flows.paths import DEFAULT, is_stack, reading
from tritonrepo.flows.stack import Loaded, drafted, load
from tritonrepo.flows.workspace import Workspace, remembering
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import NO_GRPC, Endpoint
from tritonrepo.server.rpc import Rpc
from tritonrepo.smoke import expected
from tritonrepo.smoke.case import Result
from tritonrepo.smoke.connection import Connection
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.nearness import TOLERANCE
from tritonrepo.smoke.pace import Clock, Pace
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.recorded import read
from tritonrepo.smoke.recording import Recorder
from tritonrepo.smoke.run import USUAL, Way, replayed, run
from tritonrepo.spec.stack import Stack
from tritonrepo.stores import is_remote, open_store
from tritonrepo.stores.links import kept
from tritonrepo.sync import revision as revisions
from tritonrepo.tree import Tree

NOTHING = Known()


def smoke(
    server: Endpoint,
    about: Known = NOTHING,
    only: Collection[str] = (),
    pace: Pace = USUAL,
    recorder: Recorder | None = None,
) -> Iterator[Result]:
    """Test every model of a server, or those that `only` names or matches, and yield each result as it arrives.

    A `recorder` keeps what was sent and what came back, for `replay`. Raise Stop if the server cannot be reached at
    all, or lacks a model that `only` names.
    """
    way = Way(pace, Clock(pace.deadline_s), recorder)
    with _connected(server, way) as connection:
        for result in run(connection, about, frozenset(only), way):
            yield _safe(result, server)


def recording(server: Endpoint) -> Recorder:
    """Return what keeps a run on this server; secrets of its headers never get into the plan."""
    return Recorder(server.without_secrets)


def recorded(recorder: Recorder, server: Endpoint) -> str:
    """Return the plan of a run on this server, as the content of a file."""
    about = Client(server).about()
    return recorder.plan({key: about[key] for key in ("name", "version") if isinstance(about.get(key), str)})


def replay(
    server: Endpoint,
    plan: Path | str,
    only: Collection[str] = (),
    pace: Pace = USUAL,
    tolerance: float = TOLERANCE,
) -> Iterator[Result]:
    """Send the requests of a recorded plan, a file, to a server, and yield whether each response is as it was.

    Numbers may differ by `tolerance`, as a part of the largest of their tensor. Raise Stop as `smoke` does.
    """
    known_plan = read(Path(plan))
    way = Way(pace, Clock(pace.deadline_s))
    with _connected(server, way) as connection:
        for result in replayed(connection, known_plan, frozenset(only), way, tolerance):
            yield _safe(result, server)


@contextmanager
def _connected(server: Endpoint, way: Way) -> Iterator[Connection]:
    http = Connection(Client(server), None).within(way.clock.left()).http
    safe = server.without_secrets
    try:
        with nullcontext() if server.grpc == NO_GRPC else Rpc(http.endpoint) as rpc:
            yield Connection(http, rpc)
    except Stop as stop:
        raise Stop(_told(each, safe) for each in stop.diagnostics) from None


def _safe(result: Result, server: Endpoint) -> Result:
    """Return a result without the secrets of the headers, which a server or a model may have repeated anywhere."""
    if not server.headers:
        return result
    safe = server.without_secrets
    return replace(
        result,
        model=safe(result.model),
        what=safe(result.what),
        diagnostics=tuple(_told(each, safe) for each in result.diagnostics),
        unchecked=safe(result.unchecked),
        seen=safe(result.seen),
        cause=safe(result.cause),
    )


def _told(found: Diagnostic, safe: Callable[[str], str]) -> Diagnostic:
    at = replace(found.at, path=safe(found.at.path))
    return replace(found, at=at, message=safe(found.message), hint=safe(found.hint), model=safe(found.model))


def known(where: Path | str, work: Workspace, reads: Path | str | None = None) -> Known:
    """Return what a stack file, its directory, or the directory or URI of a repository defines.

    `reads` is the directory or URI that the server reads, if its files are to be compared as well.
    """
    where = str(where)
    if is_stack(where):
        about = of_stack(load(where, work))
    else:
        models = _models(where, "stack file or model repository", work)
        about = Known(Span(where), models, parts=work.parts)
    return about if reads is None else reading_from(about, str(reads), work)


def reading_from(about: Known, where: str, work: Workspace) -> Known:
    """Add the content of the directory or bucket that the server reads."""
    return replace(about, reads=_models(where, "model repository", work), reads_at=where)


def _models(where: str, lacking: str, work: Workspace) -> dict[str, Expected]:
    """Return the models of a repository; the digests of pushed files come from the record, without reading them."""
    store, prefix = open_store(where, work.links)
    remembering(store, work)
    tree = kept(store.scan(prefix), where)
    if is_remote(where) and prefix:
        tree = revisions.known(tree, revisions.read(store, prefix, where)[0])
    said = targets.of_record(targets.record_of(store, prefix, tree, where), where)
    models = expected.of(repository.read(tree, repository.target(record=said)), where)
    if not models:
        hint = "Use a directory that contains models" + (f" or a {DEFAULT}." if "stack" in lacking else ".")
        raise fatal("smoke-repository", where, f"the path is not a {lacking}", hint)
    return models


@reading()
def of_stack(loaded: Loaded, tree: Tree | None = None) -> Known:
    """Return what a stack defines: the repository that a build would write or wrote, and the declared cases."""
    stack = loaded.stack
    if tree is None:
        faults = Faults()
        tree = drafted(loaded.gathering(), loaded.lock.models, faults).tree
        faults.stop()
    places = declared(stack)
    found = repository.read(tree, repository.target(stack=targets.of_stack(stack)))
    models = {
        name: replace(model, at=places.get(name, stack.places[""]), places={})
        for name, model in expected.of(found, stack.name).items()
    }
    indexed = ((name, model, stack.part(name).index) for name, model in stack.models.items())
    embedding = {index(model).embed_with: name for name, model, index in indexed if index is not None}
    return Known(stack.places[""], models, embedding, stack.smoke, parts=stack.parts)


def declared(stack: Stack) -> dict[str, Span]:
    """Return where each model that a stack builds is declared."""
    models = {full: stack.models[name].places[""] for full, name in stack.built().items()}
    return models | {name: ensemble.places[""] for name, ensemble in stack.ensembles.items()}
