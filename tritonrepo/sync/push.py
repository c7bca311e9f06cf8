"""The plan of a push: the way from a served repository to a tree, in steps that do no harm to a server. Pure.

In no prefix of a plan does a config name a version whose files are incomplete, or is a version directory not held back
by a config; a live version is never rewritten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from tritonrepo.repository import Target, target
from tritonrepo.repository.model import CONFIG
from tritonrepo.shared import is_shared
from tritonrepo.sync import replacing
from tritonrepo.sync.gating import LATEST, OUT, Model, Released, depths, model_of, models, name_gate, needed, serving
from tritonrepo.sync.mixing import mixed, mixture
from tritonrepo.sync.obstacles import conflicts, shadowed, unpinned, warnings
from tritonrepo.sync.order import turns
from tritonrepo.sync.plan import Action, Delete, Phase, Plan, Put, in_phases
from tritonrepo.sync.replacing import Switches
from tritonrepo.sync.wording import are, called, numbers, policy
from tritonrepo.tree import Directory, Entry, File, Tree, in_bytes, of_bytes

KEEP = ".keep"
PINNED, NAMED = 0, 1
"""The waves of the gate: served models must be seen pinned before files arrive; new models are unknown anyway."""


class _Change(NamedTuple):
    """A model as wanted and as it is, and its place among the others; the versions that an interrupted push left.

    `depth` is its wave when callees go first, by the calls in the tree; `fall` when callers do, by those in the store.
    `used`: whether others call it, in the tree or the store; `awaited`: which versions models of the tree call. `dead`
    are versions that no server was seen to serve. `leaves`: whether it is taken out of memory before the new one loads.
    """

    want: Model
    have: Model
    used: bool
    awaited: Collection[int]
    depth: int
    fall: int
    ended: Collection[int] = ()
    dead: Collection[int] = ()
    leaves: bool = False

    @property
    def old(self) -> tuple[int, ...]:
        """The versions served before, without those that have ended or do not load."""
        return tuple(number for number in self.have.served if number not in self.ended and number not in self.dead)

    @property
    def late(self) -> bool:
        """Whether it moves at the switch: pipelines, all at once, and models that nobody calls, each by one PUT.

        So does what was taken out, because the pipelines that call it fail meanwhile. A new version of a pipeline that
        others call is opened earlier, like those of other models: they call it at the switch.
        """
        new = bool(self.awaited) if not self.old else not {*self.awaited} - {LATEST} <= {*self.old}
        return self.leaves or not self.used or (self.want.is_ensemble and not new)


def plan(  # noqa: PLR0913  all that can be known about the target
    want: Tree,
    have: Tree,
    where: str,
    *,
    resumed: bool = False,
    released: Released | None = None,
    dead: Collection[tuple[str, int]] = (),
    given: Mapping[str, str] = {},
    server: Target | None = None,
    switches: Mapping[str, str] = {},
) -> Plan:
    """Return the way from `have` to `want`; models that `want` lacks are left alone and listed.

    `server` is the target that reads both; by default one of the newest release.

    `have` should know its digests (`revision.known`): unknown ones are computed by reading. `where` names the
    repository. `released` is model → versions of the last finished push, if a later one was interrupted: what that one
    uploaded and nothing calls yet is retired, because a server that refuses one version of a model loads no other new
    one (24.10). So are `dead` ones, model and version: what servers were seen not to serve. `given` is MODEL/NUMBER →
    digest of the content that earlier pushes published: a number never gets another one.
    `switches` says which models do not switch as their backend usually does. A pipeline that could mix releases and a
    model that fails while it is replaced are conflicts that the user may accept (`mixing.admit`).
    """
    want, have = uploadable(want), uploadable(have)
    server = server or target()
    wanted = models(want, server)
    had = _there(have, want, wanted, server)
    faults = conflicts(want, wanted, had, where, given)
    foreign = tuple(sorted(had.keys() - wanted.keys()))
    if faults:
        return Plan((), faults, foreign)
    used = {name for model in (*wanted.values(), *had.values()) for name in model.calls()}
    depth, before = depths(wanted), depths(had)
    height = max(before.values(), default=0)
    awaited = _awaited(wanted)
    changes = [
        _Change(
            model,
            had.get(name) or model_of(name, {}, server),
            name in used,
            awaited.get(name, ()),
            depth[name],
            height - before.get(name, 0),
        )
        for name, model in wanted.items()
    ]
    changes = [c._replace(dead={v for v in c.have.served if (c.want.name, v) in dead}) for c in changes]
    changes = [c._replace(leaves=_leaves(c, switches)) for c in changes]
    if released is not None:
        stays = needed(had, used, released)
        changes = [
            change._replace(ended={v for v in change.have.served if (change.want.name, v) not in stays})
            for change in changes
        ]
    taken_out = [change for change in changes if change.leaves]
    if faults := tuple(fault for each in taken_out for fault in shadowed(each.want, _held(each.have), where)):
        return Plan((), faults, foreign)
    actions = _in_turn(_all(changes, want), had, wanted, taken_out)
    faults = tuple(
        replacing.downtime(each.want, each.have, replacing.callers(each.want.name, had), where)
        for each in taken_out
        if not replacing.is_out(each.have)
    )
    pipelines = mixed(had, actions, server) if used else ()  # nothing is read again where no model calls another
    faults += tuple(mixture(each, (had, wanted), where) for each in pipelines)
    beside = {c.want.name for c in changes if c.used and c.old and not c.leaves}
    notes = tuple(note for c in changes for note in warnings(c.want, c.have, where, used=c.want.name in beside))
    notes += tuple(unpinned(wanted.values(), where)) if actions else ()
    return Plan(actions, faults, foreign, notes, resumed, served=any(model.served for model in had.values()))


def _awaited(wanted: Mapping[str, Model]) -> dict[str, set[int]]:
    """Return the versions of each model that models of the tree call."""
    found: dict[str, set[int]] = {}
    for model in wanted.values():
        for name, version in model.called():
            found.setdefault(name, set()).add(version)
    return found


def _leaves(change: _Change, switches: Switches) -> bool:
    """Whether a model is taken out of memory before what is wanted loads, or an interrupted push has taken it out."""
    want, have = change.want, change.have
    loaded, beside = {*have.served} - {*change.dead}, _beside(want, list(_files(change)))
    goes = replacing.is_out(have) or replacing.leaves(want, have, loaded, beside=beside)
    return goes and replacing.is_replaced(want, have, switches)


def _held(have: Model) -> Model:
    """Return a model with its placeholder, which some policies would serve as its latest version."""
    return replace(have, files={**have.files, replacing.PLACEHOLDER: replacing.CODE})


def _all(changes: Iterable[_Change], want: Tree) -> list[Action]:
    """Return the actions of all models, in any order; thousands share their paths with the tree."""
    paths = {path: path for path in want}
    return [a._replace(path=paths.get(a.path, a.path)) for change in changes for a in _actions(change)]


def _in_turn(
    actions: Sequence[Action], had: Mapping[str, Model], wanted: Mapping[str, Model], replaced: Iterable[_Change]
) -> tuple[Action, ...]:
    """Return the actions in order, with the turns of those at the switch."""
    moving = {a.path.split("/")[0] for a in actions if a.phase is Phase.SWITCH}
    turn = turns(moving, had, wanted, {change.want.name for change in replaced})
    return in_phases(a._replace(wave=turn[a.path.split("/")[0]]) if a.phase is Phase.SWITCH else a for a in actions)


def uploadable(tree: Tree) -> dict[str, Entry]:
    """Return what a bucket can hold of a tree: no top-level files, which no server reads; a file per empty directory.

    Source: without its version directory, an ensemble fails: "at least one version must be available" (24.10).
    """
    found: dict[str, Entry] = {}
    for path, entry in tree.items():
        if isinstance(entry, Directory):
            found[f"{path}/{KEEP}"] = of_bytes(b"")
        elif "/" in path or not isinstance(entry, File):
            found[path] = entry
    return found


def _there(have: Tree, want: Tree, wanted: Mapping[str, Model], server: Target) -> dict[str, Model]:
    """Return the models of `have`, of which only those are read whose files are not as `wanted`."""
    paths = chain(want, (path for path in have if path not in want))
    moved = {path.partition("/")[0] for path in paths if not _same(want.get(path), have.get(path))}
    read = {
        path: want[path] if _same(want.get(path), entry) else entry  # an equal one would have to be fetched
        for path, entry in have.items()
        if path.partition("/")[0] in moved
    }
    found = {name: model for name, model in wanted.items() if name not in moved} | models(read, server)
    return {name: found[name] for name in sorted(found, key=in_bytes)}


def _same(one: Entry | None, other: Entry | None) -> bool:
    if not isinstance(one, File) or not isinstance(other, File):
        return False
    return one.size == other.size and one.sha256 == other.sha256


def _actions(change: _Change) -> list[Action]:
    """Return what one model needs, in any order."""
    moved = list(_files(change))
    taking = list(_take_out(change))
    gate = list(_gate(change, [*moved, *taking]))
    before = [*gate, *taking]
    present = before[-1].file if before else change.have.files.get(CONFIG)
    configs = [*before, *_open(change, present)]
    if _beside(change.want, moved) and len(configs) == len(gate):
        path, config = f"{change.want.name}/{CONFIG}", change.want.files[CONFIG]
        configs.append(Put(Phase.EXPAND, path, config, "rewritten because files next to it changed", change.depth))
    return [*moved, *configs]


def _beside(want: Model, moved: Sequence[Action]) -> bool:
    """Whether a file that belongs to all versions is among them; a server may see two writes in a second as one."""
    tops = {action.path.split("/")[1] for action in moved} - {*want.versions.values()}
    return not all(map(is_shared, tops))


def _files(change: _Change) -> Iterator[Action]:
    """Yield the uploads of missing files and the deletions of what another push left in a new version."""
    want, have = change.want, change.have
    for path, file in want.files.items():
        if path != CONFIG and not _same(file, have.files.get(path)):
            yield Put(Phase.FILES, f"{want.name}/{path}", file, "changed" if path in have.files else "new")
    for version in want.versions.keys() - set(have.served):
        for path in have.within(version).keys() - want.files.keys():
            yield Delete(Phase.FILES, f"{want.name}/{path}", "left over from an interrupted push")


def _take_out(change: _Change) -> Iterator[Put]:
    """Yield the placeholder of a model of which two do not fit in memory, and the config that loads it instead.

    After an interrupted push, it is written again: only then is it certain that servers have unloaded everything else.
    """
    if not change.leaves:
        return
    want, have = change.want, change.have
    path, old, new = f"{want.name}/{CONFIG}", have.served, numbers(want.served)
    if not _same(replacing.CODE, have.files.get(replacing.PLACEHOLDER)):
        told = f"new: answers with an error while {new} {are(want.served)} loaded"
        yield Put(Phase.FILES, f"{want.name}/{replacing.PLACEHOLDER}", replacing.CODE, told)
    if replacing.is_out(have):
        yield Put(Phase.REPLACE, path, of_bytes(have.text), "until nothing else of the model is in memory")
    else:
        told = f"takes {numbers(old)} out of memory; not available while {new} {are(want.served)} loaded"
        yield Put(Phase.REPLACE, path, replacing.placeholder(have), told)


def _gate(change: _Change, moved: Sequence[Action]) -> Iterator[Put]:
    """Yield the config that holds back the versions to be uploaded, if the present one does not."""
    want, have = change.want, change.have
    arriving = {
        version
        for version, top in {**want.versions, OUT: str(OUT)}.items()
        if any(a.path.startswith(f"{want.name}/{top}/") for a in moved)
    }
    path = f"{want.name}/{CONFIG}"
    if not any(have.admits(version) for version in arriving):
        return
    if change.old:
        shown = arriving - {OUT} or arriving
        held = f"keeps serving only {numbers(change.old)} while {numbers(shown)} {are(shown)} uploaded"
        yield Put(Phase.GATE, path, of_bytes(serving(have.text, change.old)), held, PINNED)
    else:
        told = f"{'' if change.dead else 'new: '}hidden from servers until its files are uploaded"
        yield Put(Phase.GATE, path, of_bytes(name_gate(want.name)), told, NAMED)


def _open(change: _Change, present: File | None) -> Iterator[Put]:
    """Yield the configs that bring the new versions into service and then retire the old ones."""
    want, new = change.want, set(change.want.served)
    path, file = f"{want.name}/{CONFIG}", want.files[CONFIG]
    both = new | set(change.old) if change.used and not change.leaves else new
    first = file if both == new else of_bytes(serving(want.text, both))
    phase, wave = (Phase.SWITCH, 0) if change.late else (Phase.EXPAND, change.depth)
    if not _same(first, present) and not _same(file, present):
        yield Put(phase, path, first, _reason(change, both), wave)
    if both != new:
        yield Put(Phase.CONTRACT, path, file, f"serves only {numbers(new)}", change.fall)


def _reason(change: _Change, both: set[int]) -> str:
    if not change.old and not change.dead and not change.leaves:
        return "new: starts serving"
    moved = [called(*step) for step in change.want.steps() if step not in change.have.steps()]
    if moved:
        return f"calls {', '.join(dict.fromkeys(moved))}"
    if gone := {*change.dead} - both:
        return f"serves {numbers(both)} without {numbers(gone)}, which {'does' if len(gone) == 1 else 'do'} not load"
    return f"serves {numbers(both)}" if both != {*change.old, *change.dead} else policy(change.have, change.want)
