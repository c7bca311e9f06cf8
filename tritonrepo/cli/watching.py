"""Watching the servers of a repository while a push changes it: each phase waits until they serve what it wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from tritonrepo.cli.pushing import Prepared
from tritonrepo.diagnostics import Severity, Stop, failure
from tritonrepo.server.client import Client
from tritonrepo.smoke import expected
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.waiting import Patience, Refused, Wanted, until_served
from tritonrepo.sync.pace import Watch
from tritonrepo.sync.plan import Action, Put, is_config
from tritonrepo.tree import Entry, Tree

ANSWER_S = 10
"""Longest wait for one answer about health, index or config."""


def watch(servers: Sequence[str], prepared: Prepared, uri: str, timeout_s: float, tell: Callable[[str], None]) -> Watch:
    """Give what comes back when all servers serve what was written; raise Stop where one is not there, or not ready."""
    clients = [Client(url, ANSWER_S, ANSWER_S) for url in servers]
    for client in clients:
        _check(client)
    patience = Patience(timeout_s, time.monotonic, time.sleep, tell)
    stays = {name: model.versions for name, model in expected.read(prepared.want, uri).items()}
    now: dict[str, Entry] = dict(prepared.have)
    plan = prepared.plan
    # what a broken-off push wrote last may still be loading, whatever this one writes
    first = stays if plan.resumed else {action.path.split("/")[0] for action in plan.actions}
    served = dict(_served(now, first, uri))  # read before anything is written over it
    refused: dict[str, frozenset[Refused]] = {}

    def wait(models: Mapping[str, Expected]) -> None:
        for client in clients:
            before = refused.get(client.url, frozenset())
            refused[client.url] = until_served(client, Wanted(models, stays), before, patience)

    def look(group: Sequence[Action]) -> bool:
        if not group:
            wait(served)
            return True
        for action in group:
            if isinstance(action, Put):
                now[action.path] = action.file
            else:
                now.pop(action.path, None)
        models = dict(_served(now, {action.path.split("/")[0] for action in group if is_config(action.path)}, uri))
        wait(models)
        seen = all(name not in served or _tells(served[name]) != _tells(model) for name, model in models.items())
        served.update(models)
        return seen

    return look


def _tells(model: Expected) -> tuple[object, ...]:
    """Give what a server can be asked for; a policy by itself is not: what stays loaded keeps the old one (24.10)."""
    return model.versions, {field: value for field, value in model.config.items() if field != "version_policy"}


def _served(tree: Tree, names: Collection[str], uri: str) -> Iterator[tuple[str, Expected]]:
    """Give the models of these names that a server should serve: not what is held back by a config of another name."""
    own = {path: entry for path, entry in tree.items() if path.split("/")[0] in names}
    for name, model in expected.read(own, uri).items():
        if not model.fault and model.versions and model.config.get("name", name) == name:
            yield name, model


def _check(client: Client) -> None:
    """Raise Stop unless the server is ready: a push would make a server's trouble worse, or be blamed for it."""
    try:
        ready = client.ready()
    except Stop as stop:
        raise stop.of(Severity.FATAL) from None
    if not ready:
        hint = "Does it run with --strict-readiness=false? Without that one broken model makes it not ready."
        raise failure("server-not-ready", client.url, "the server is not ready, so nothing was sent", hint)
