"""What `smoke` and `up` share: a server's connections, what is known of it, and its results as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from tritonrepo.cli.stack import DEFAULT, Loaded, load, reading
from tritonrepo.diagnostics import Diagnostic, Severity, Span, fatal
from tritonrepo.generate import generate
from tritonrepo.report.junit import Row
from tritonrepo.server.client import Client
from tritonrepo.server.rpc import Rpc
from tritonrepo.smoke import expected
from tritonrepo.smoke.asking import Connection
from tritonrepo.smoke.case import Outcome, Result
from tritonrepo.smoke.plan import Known
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.check import STEPS
from tritonrepo.spec.stack import Retriever, Stack
from tritonrepo.stores import open_store
from tritonrepo.stores.links import kept
from tritonrepo.stores.uri import is_remote
from tritonrepo.tree import Tree

HEAD = ("model", "version", "check", "protocol", "result", "ms")
HTTP_PORT = 8000


@contextmanager
def connected(url: str, grpc: str | None, timeout_s: float) -> Iterator[Connection]:
    """Give the connections to a server; `grpc` is HOST:PORT, "none", or None for the port after HTTP's."""
    http = Client(url, timeout_s, timeout_s)
    if grpc == "none":
        yield Connection(http, None)
        return
    parts = urlsplit(http.url)
    grpc = grpc and grpc.rpartition("://")[2].rstrip("/")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    with Rpc(grpc or f"{host}:{(parts.port or HTTP_PORT) + 1}", timeout_s, secure=parts.scheme == "https") as rpc:
        yield Connection(http, rpc)


def known(where: str | None, links: tuple[Path, ...] = ()) -> Known:
    """Give what a stack file, its directory, or a repository's directory or URI says; nothing where none is named."""
    if where is None:
        return Known()
    path = Path(where)
    if not is_remote(where) and (path.is_file() or (path / DEFAULT).is_file()):
        return of_stack(load([path], links))
    store, prefix = open_store(where, links)
    tree = kept(store.scan(prefix), where)
    models = expected.read(tree, where)
    if not models:
        hint = f"Name a directory with models in it, or one with a {DEFAULT}."
        raise fatal("smoke-repository", where, "there is no stack file and no model repository", hint)
    return Known(Span(where), models)


@reading()
def of_stack(loaded: Loaded, tree: Tree | None = None) -> Known:
    """Give what a stack says: the repository that a build would write, or that it wrote, and the declared cases."""
    stack = loaded.stack
    if tree is None:
        inputs = Gathering(stack, loaded.lock, loaded.cache, loaded.links).inputs()
        tree = generate(stack, inputs, loaded.lock.models).tree
    places = _places(stack)
    models = {
        name: replace(model, at=places.get(name, stack.places[""]), places={})
        for name, model in expected.read(tree, stack.name).items()
    }
    embedders = {m.embed_with: name for name, m in stack.models.items() if isinstance(m, Retriever)}
    return Known(stack.places[""], models, embedders, stack.smoke)


def _places(stack: Stack) -> dict[str, Span]:
    """Give where each model that a stack builds is declared."""
    roles = {
        name + ending: model.places[""]
        for name, model in stack.models.items()
        for ending in ("", *STEPS.get(type(model), ()))
    }
    return roles | {name: ensemble.places[""] for name, ensemble in stack.ensembles.items()}


def title(result: Result) -> str:
    """Give the check's name with what tells it from others of its kind."""
    return f"{result.check} {result.what}".strip()


def texts(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Give the rows of the table under HEAD."""
    return [
        (r.model, r.version, title(r), r.protocol, str(r.outcome), str(r.ms) if r.protocol else "") for r in results
    ]


def rows(results: Sequence[Result]) -> list[dict[str, str]]:
    """Give the results as plain values, without times."""
    return [
        {
            "model": r.model,
            "version": r.version,
            "check": str(r.check),
            "case": r.what,
            "protocol": r.protocol,
            "outcome": str(r.outcome),
        }
        for r in results
    ]


def junit_rows(results: Sequence[Result]) -> list[Row]:
    """Give the results as cases of suites."""
    return [
        Row(
            result.model,
            " ".join(
                filter(None, [f"version {result.version}" if result.version else "", title(result), result.protocol])
            ),
            result.ms / 1000,
            _with(result, Severity.ERROR),
            _with(result, Severity.WARNING),
        )
        for result in results
    ]


def _with(result: Result, severity: Severity) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for diagnostic in result.diagnostics if diagnostic.severity is severity)


def summary(results: Sequence[Result]) -> str:
    """Give the closing line: how many models and checks, and how they ended."""
    count = {outcome: sum(r.outcome is outcome for r in results) for outcome in Outcome}
    told = [f"{count[outcome]} {outcome}" for outcome in Outcome if count[outcome] or outcome is Outcome.PASSED]
    return f"{len({r.model for r in results})} models, {len(results)} checks: {', '.join(told)}"
