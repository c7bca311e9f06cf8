"""The servers of a repository during a push: each phase waits until they serve what it wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure
from tritonrepo.flows.prepared import Push, Seen
from tritonrepo.repository.model import CONFIG
from tritonrepo.repository.paths import is_config
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.shared import SETTINGS, is_shared
from tritonrepo.shared import named as shared_by
from tritonrepo.smoke import expected, healing
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.healing import Change
from tritonrepo.smoke.present import Present, There, present
from tritonrepo.smoke.waiting import READY, Patience, Wanted, until_served
from tritonrepo.sync import gating
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.pace import Watch
from tritonrepo.sync.plan import Action, Phase, Put
from tritonrepo.sync.push import uploadable
from tritonrepo.tree import Entry, Tree


def look(servers: Sequence[Endpoint], push: Push, patience: Patience) -> Seen:
    """Query all servers about what is in the bucket, and write nothing.

    A broken model is not an obstacle. Raise Stop if a server does not respond, is not ready for another reason, or if
    the push could not get its own models served.
    """
    clients = [Client(server) for server in servers]
    notes = [note for client in clients for note in _unready(client)]
    there, change = _compared(push)
    presents = [present(client, there, patience) for client in clients]
    if stops := healing.in_the_way(presents, change):
        raise Stop(diagnostic for stop in stops for diagnostic in stop.diagnostics)
    notes += [note for one in presents for note in _broken(one, change)]
    dead = healing.dead(presents, change.there)
    return Seen(tuple(clients), tuple(presents), change, dead, tuple(notes), patience)


def watch(seen: Seen, push: Push) -> Watch:
    """Return the function that waits until all servers serve what was written."""
    change = seen.change
    # without its placeholder, a replaced model would be in memory twice
    stays = {name: (*map(str, model.served), str(gating.OUT)) for name, model in change.want.items()}
    now: dict[str, Entry] = uploadable(push.have)
    served = dict(_served(now, change.touched, push))  # read before anything is written over it
    left = len(push.plan.actions)

    def wait(names: Collection[str], out: Collection[str]) -> None:
        models = gating.models(now, push.server)
        for client, one in zip(seen.clients, seen.presents, strict=True):
            asked = {*names, *(() if left else healing.due(one, change))}
            vain = healing.hopeless(one, change).keys() | healing.held_up(one, models, change.want)
            wanted = dict(_served(now, asked - vain, push))
            until_served(client, Wanted(wanted, stays, one.refused.keys(), out), seen.patience)

    def seen_by_all(group: Sequence[Action]) -> bool:
        nonlocal left
        left -= len(group)
        for action in group:
            if isinstance(action, Put):
                now[action.path] = action.file
            else:
                now.pop(action.path, None)
        names = {action.path.split("/")[0] for action in group if is_config(action.path)}
        wait(names, names if group[0].phase is Phase.REPLACE else ())
        models = dict(_served(now, names, push))
        told = all(name not in served or _tells(served[name]) != _tells(model) for name, model in models.items())
        served.update(models)
        return told

    return seen_by_all


def _compared(push: Push) -> tuple[There, Change]:
    """Return what is in the bucket of the wanted models, and what the push changes."""
    actions, before = push.plan.actions, push.before
    touched = {action.path.split("/")[0] for action in actions}
    want, have = gating.models(uploadable(push.want), push.server), uploadable(push.have)
    shared = want.keys() & {path.split("/")[0] for path in have}
    # a model that is not written to is the same on both sides, so it is not fetched
    tree = {path: entry for path, entry in have.items() if path.split("/")[0] in touched}
    tree |= {path: entry for path, entry in push.want.items() if path.split("/")[0] not in touched}
    models = dict(_served(tree, shared, push))
    pins = {name: dict(model.steps()) for name, model in gating.models(tree, push.server).items()}
    wanted = dict(_served(push.want, touched, push))
    named = {name: model.versions for name, model in models.items()}
    altered = {name for name in touched & models.keys() & wanted.keys() if _said(models[name]) != _said(wanted[name])}
    altered |= {a.path.split("/")[0] for a in actions if _counts(a.path, want, named)}
    left_open = revisions.unfinished(have, before) & want.keys() if before else set[str]()
    return There(models, pins, touched | left_open, altered), Change(want, touched, altered, left_open, named)


def _counts(path: str, want: Mapping[str, gating.Model], before: Mapping[str, Collection[str]]) -> bool:
    """Whether servers load versions that were named before again because of this file, if it belongs to no version.

    What versions share makes them load only those that they could not load without it.
    """
    name, top = path.split("/")[:2]
    model = want[name]
    if is_shared(top):
        settings = (model.files.get(f"{version}/{SETTINGS}") for version in before.get(name, ()))
        return any(file is not None and top in shared_by(file) for file in settings)
    return top not in {CONFIG, *model.versions.values()}


def _tells(model: Expected) -> tuple[object, ...]:
    """Return what a server can report; a version policy is not included: loaded versions keep the old one (24.10)."""
    return model.versions, _said(model)


def _said(model: Expected) -> dict[str, object]:
    return {field: value for field, value in model.config.items() if field != "version_policy"}


def _served(tree: Tree, names: Collection[str], push: Push) -> Iterator[tuple[str, Expected]]:
    """Yield the models of these names that a server should serve, without those that a gate's config holds back."""
    own = {path: entry for path, entry in tree.items() if path.split("/")[0] in names}
    found = repository.read(own, push.server)
    for name, model in expected.of(found, push.place.uri).items():
        if not model.fault and model.versions and model.config.get("name", name) == name:
            yield name, model


def _unready(client: Client) -> Iterator[Diagnostic]:
    """Yield why a server is not ready if a model explains it; raise Stop otherwise.

    A push would make the trouble of such a server worse, or be blamed for it.
    """
    try:
        if client.ready():
            return
    except Stop as stop:
        raise stop.of(Severity.FATAL) from None
    try:
        explained = any(state.state != READY for state in client.index())
    except Stop:
        explained = False
    if not explained:
        hint = "Start it with --strict-readiness=false. Otherwise, one broken model makes it not ready."
        raise failure("server-not-ready", client.url, "the server is not ready, so nothing was sent", hint)
    message = "the server is not ready: with strict readiness, one model that does not load is enough"
    hint = "Start it with --strict-readiness=false, so that it stays ready while models load."
    yield Diagnostic("server-not-ready", Severity.WARNING, Span(client.url), message, hint)


def _broken(one: Present, change: Change) -> Iterator[Diagnostic]:
    """Yield what did not serve before the push, with the server's reason."""
    awaited = healing.due(one, change)
    for name, why in sorted(one.broken.items()):
        hint = "" if name in awaited else "This push does not fix it. Fix it with the next one."
        yield Diagnostic("server-broken", Severity.WARNING, Span(one.url), why, hint)
