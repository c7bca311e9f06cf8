"""The pipeline of `build` and `up`: stack and lock become a plan for a directory, which is then carried out."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, failure
from tritonrepo.flows import directory as places
from tritonrepo.flows.built import Build
from tritonrepo.flows.directory import There
from tritonrepo.flows.doubts import by_hand, doubts
from tritonrepo.flows.paths import reading
from tritonrepo.flows.show import fingerprint
from tritonrepo.flows.stack import Loaded, drafted, write_lock
from tritonrepo.flows.target import COMPLETES, of_stack
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.origins import moved
from tritonrepo.rules import judge
from tritonrepo.spec.source import parse_source, seen_from
from tritonrepo.spec.stack import Stack
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import record as records
from tritonrepo.sync.apply import apply
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import BUILD, Plan, plan
from tritonrepo.sync.record import Record
from tritonrepo.sync.replacing import usual
from tritonrepo.sync.writing import Alone
from tritonrepo.tree import Tree

RULE = "build-directory"


def directory(out: Path | str) -> Path:
    """Return the directory of a repository as a path with a name; raise Stop if it cannot be one."""
    return places.named(RULE, out, BUILD, "Build into a directory, then run `tritonrepo push DIR URI`.")


@reading()
def plan_build(loaded: Loaded, out: Path | str, *, overwrite: bool = False) -> Build:
    """Resolve, generate and compare, without writing anything.

    Raise Stop with every wrong input and every obstacle.

    A file that an earlier build wrote and somebody has changed since is kept unless `overwrite` is set.
    """
    out, stack, lock = directory(out), loaded.stack, loaded.lock
    faults = Faults()
    gathering = loaded.gathering()
    draft = drafted(gathering, lock.models, faults)
    warnings: list[Diagnostic] = faults.tried(lambda: [*doubts(stack, gathering)], [])
    store = DirectoryStore(out.absolute().parent, loaded.work.links, loaded.work.cache.digests)
    there = faults.tried(lambda: places.content(store, out, BUILD), There(out, store, out.name, {}, Record()))
    made = Plan(())
    if not faults.found:  # with stand-ins for missing inputs, contents and version numbers are not the real ones
        made = plan(draft.tree, there.repository, there.record.written(), str(out), overwrite=overwrite)
        faults.add(*made.conflicts)
    warnings += [by_hand(f"{out}/{path}", "is kept") for path in made.kept]
    judged = judgement(stack, draft, {path: there.tree[path] for path in made.kept}, out)
    if faults.found or any(diagnostic.severity is Severity.ERROR for diagnostic in judged):
        faults.add(*judged, *warnings)
        faults.stop()
    kept = {path: there.record.files[path] for path in (*made.kept, *made.needed)}
    digests = records.digests(draft.tree) | kept
    record = Record(stack.name, _target(stack, draft), digests, _local(loaded), stack=fingerprint(loaded))
    record = replace(record, switch=_switches(stack, draft))
    made = records.with_record(made, record, there.record, there.tree)
    now = replace(lock, sources=lock.pinned(gathering.pins), models=dict(lock.models) | draft.versions)
    seen = places.digests(made, there.tree)
    return Build(loaded, out, made, now, record, (*warnings, *judged), there.store, there.prefix, seen)


def judgement(stack: Stack, draft: Draft, kept: Tree, out: Path) -> list[Diagnostic]:
    """Return the findings for a generated tree that includes the kept files of `out`, for the target's server.

    Findings point into the stack file, those in kept files into these files; infos are left out.
    """
    tree = {**draft.tree, **kept}
    found = judge(repository.read(tree, repository.target(stack=of_stack(stack, complete=draft.complete)))).diagnostics
    return sorted(
        (
            each.renamed(lambda path: f"{out}/{path}")
            if each.at.path in kept or each.at.path.partition("/")[0] not in draft.origins
            else moved(each, draft.origins, tree)
            for each in found
            if each.severity is not Severity.INFO
        ),
        key=lambda diagnostic: diagnostic.at,
    )


def existing(build: Build) -> Tree:
    """Return what is in a build's directory now."""
    return build.store.scan(build.prefix)


def _current(build: Build) -> None:
    """Raise Stop if a file is neither what the plan was made from nor what the plan makes it."""
    path = places.overtaken(build.plan, build.seen, existing(build)) if build.plan else None
    if path is not None:
        message = "the file was changed after this build was planned, so nothing was written"
        raise failure("build-overtaken", f"{build.out}/{path}", message, "Run the build again.")


@reading()
def apply_build(build: Build) -> None:
    """Write the lock, then the files, and remove what a killed run left half-written.

    Raise Stop, with nothing written, if what the plan was made from has changed since: a plan may be old.
    """
    _current(build)
    places.writable(RULE, build.out, build.plan, BUILD)
    write_lock(build.loaded, build.lock)
    build.store.tidy()
    try:
        apply(build.plan, {}, Alone(Place(build.store, build.prefix, build.prefix)))
    finally:
        build.store.tidy()


def _target(stack: Stack, draft: Draft) -> dict[str, object]:
    """Return what the record says about the server, including whether it has to complete configs."""
    target = asdict(stack.target)
    del target["places"], target["backends"], target["gpu"]
    named: dict[str, object] = {name: list(getattr(stack.target, name)) for name in ("images", "backends")}
    named["gpu"] = stack.target.gpu
    return (
        target | {name: value for name, value in named.items() if value} | ({} if draft.complete else {COMPLETES: True})
    )


def _switches(stack: Stack, draft: Draft) -> dict[str, str]:
    """Return how models switch that do not switch as their backend usually does, by the names in the repository.

    Of a role that becomes several models, it is the one with the weights.
    """
    found = {}
    for name, model in stack.models.items():
        full = f"{name}_model" if "_model" in stack.part(name).endings else name
        chosen, backend = getattr(model, "switch", None), draft.configs.get(full, {}).get("backend")
        if chosen and chosen != usual(str(backend)):
            found[full] = str(chosen)
    return found


def _local(loaded: Loaded) -> dict[str, str]:
    """Return hub ID → local source: what `serve` runs in place of the hub's model, relative to the lock's directory."""
    stack, here, found = loaded.stack, loaded.lock_path.parent, dict[str, str]()
    for name, model in stack.models.items():
        base = Path(model.places.get("local", model.places[""]).path).parent
        for id_, text in stack.part(name).local(model).items():
            found[id_] = seen_from(parse_source(text), base, here)
    return found
