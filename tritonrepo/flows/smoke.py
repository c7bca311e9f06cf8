"""What `smoke` and `up` share: a server's connections, what is known of it, and its results as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from tritonrepo.diagnostics import Diagnostic, Severity, Span, fatal
from tritonrepo.flows.stack import DEFAULT, Loaded, load, reading
from tritonrepo.flows.workspace import Workspace
from tritonrepo.generate import generate
from tritonrepo.report.junit import Row
from tritonrepo.server.client import Client
from tritonrepo.server.rpc import Rpc
from tritonrepo.smoke import expected
from tritonrepo.smoke.asking import Connection
from tritonrepo.smoke.case import Outcome, Result
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.plan import Known
from tritonrepo.spec.check import STEPS
from tritonrepo.spec.stack import Retriever, Stack
from tritonrepo.stores import open_store
from tritonrepo.stores.links import kept
from tritonrepo.stores.uri import is_remote
from tritonrepo.sync import release as releases
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


def known(where: str | None, work: Workspace) -> Known:
    """Give what a stack file, its directory, or a repository's directory or URI says; nothing where none is named."""
    if where is None:
        return Known()
    path = Path(where)
    if not is_remote(where) and (path.is_file() or (path / DEFAULT).is_file()):
        return of_stack(load([path], work))
    return Known(Span(where), _models(where, "stack file and no model repository", work.links))


def reading_from(about: Known, where: str | None, links: tuple[Path, ...] = ()) -> Known:
    """Add what lies in the directory or bucket that the server reads, if one is named."""
    return about if where is None else replace(about, reads=_models(where, "model repository", links), reads_at=where)


def _models(where: str, lacking: str, links: tuple[Path, ...]) -> dict[str, Expected]:
    """Give the models of a repository; the digests of what a push brought are known without reading it."""
    store, prefix = open_store(where, links)
    tree = kept(store.scan(prefix), where)
    if is_remote(where) and prefix:
        tree = releases.known(tree, releases.read(store, prefix, where)[0])
    models = expected.read(tree, where)
    if not models:
        hint = "Name a directory with models in it" + (f", or one with a {DEFAULT}." if "stack" in lacking else ".")
        raise fatal("smoke-repository", where, f"there is no {lacking}", hint)
    return models


@reading()
def of_stack(loaded: Loaded, tree: Tree | None = None) -> Known:
    """Give what a stack says: the repository that a build would write, or that it wrote, and the declared cases."""
    stack = loaded.stack
    if tree is None:
        tree = generate(stack, loaded.gathering().inputs(), loaded.lock.models).tree
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
            "reason": r.unchecked,
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
            result.unchecked if result.outcome is Outcome.NOT_CHECKED else "",
        )
        for result in results
    ]


def _with(result: Result, severity: Severity) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for diagnostic in result.diagnostics if diagnostic.severity is severity)


def gaps(results: Sequence[Result]) -> list[str]:
    """Give a line for each thing that was not checked: what, of which models, and why."""
    missing: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.outcome is Outcome.NOT_CHECKED:
            missing.setdefault((str(result.check), result.unchecked), []).append(result.model)
    return [
        f"not checked: {check} of {', '.join(sorted(set(models)))}: {reason}"
        for (check, reason), models in missing.items()
    ]


def summary(results: Sequence[Result]) -> str:
    """Give the closing line: how many models and checks, and how they ended."""
    count = {outcome: sum(r.outcome is outcome for r in results) for outcome in Outcome}
    told = [f"{count[outcome]} {outcome}" for outcome in Outcome if count[outcome] or outcome is Outcome.PASSED]
    return f"{len({r.model for r in results})} models, {len(results)} checks: {', '.join(told)}"
