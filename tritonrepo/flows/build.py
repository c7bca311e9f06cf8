"""The pipeline of `build`, which `up` runs too: stack and lock to a plan for a directory, then the plan carried out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, failure, fatal
from tritonrepo.flows.doubts import by_hand, doubts
from tritonrepo.flows.prepared import Build
from tritonrepo.flows.stack import Loaded, reading, write_lock
from tritonrepo.flows.target import of_stack
from tritonrepo.generate import generate
from tritonrepo.generate.dockerfile import dockerfile, is_as_written
from tritonrepo.generate.draft import HEADER, Draft
from tritonrepo.generate.origins import moved
from tritonrepo.rules import judge
from tritonrepo.spec.stack import Stack
from tritonrepo.stores import open_store
from tritonrepo.stores.store import Store
from tritonrepo.sync import record as records
from tritonrepo.sync.apply import apply
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import BY_HAND, Delete, Phase, Plan, Put, in_phase_order, plan
from tritonrepo.sync.record import NAME, Record
from tritonrepo.sync.writing import Alone
from tritonrepo.tree import Entry, File, Link, Tree, Unreadable, below, of_text, on_disk

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class There(NamedTuple):
    """What lies in the directory of a build: its store, and what an earlier build says that it wrote."""

    store: Store
    prefix: str
    tree: Tree
    record: Record

    @property
    def repository(self) -> Tree:
        """The tree without the record."""
        return {path: entry for path, entry in self.tree.items() if path != NAME}


def directory(out: Path | str) -> Path:
    """Return the directory of a repository by a path that has a name; raise Stop where it cannot be one."""
    if SCHEME.match(str(out)):
        hint = "Build into a directory, and bring it there: tritonrepo push DIR URI"
        raise fatal("build-directory", str(out), "is a URI, and a build goes into a directory", hint)
    out = Path(out)
    named = out.resolve() if out.name in {"", ".."} else out
    if not named.name:
        raise fatal("build-directory", str(out), "is the root of the file system", "Name a directory in it with -o.")
    return named


@reading()
def plan_build(loaded: Loaded, out: Path | str, *, overwrite: bool = False) -> Build:
    """Resolve, generate and compare, and write nothing.

    Raise Stop with every input that is wrong and all that is in the way.

    What an earlier build wrote and somebody changed since stays as it is, unless it is to be overwritten.
    """
    out, stack, lock = directory(out), loaded.stack, loaded.lock
    faults = Faults()
    gathering = loaded.gathering()
    draft = generate(gathering.gathered(faults), lock.models)
    warnings: list[Diagnostic] = faults.tried(lambda: [*doubts(stack, gathering)], [])
    links = loaded.work.links
    there = faults.tried(lambda: _there(out, links), There(*open_store(str(out), links), {}, Record()))
    beside = faults.tried(lambda: _dockerfile(stack, out, overwrite=overwrite), Plan(()))
    made = Plan(())
    if not faults.found:  # with stand-ins for what is missing, contents and version numbers are not the real ones
        made = plan(draft.tree, there.repository, there.record.written(), str(out), overwrite=overwrite)
        faults.add(*made.conflicts)
    warnings += [by_hand(f"{out}/{path}", "is kept") for path in made.kept]
    warnings += [by_hand(str(_dockerfile_path(out)), "is kept") for _ in beside.kept]
    judged = judgement(stack, draft, {path: there.tree[path] for path in made.kept}, out)
    if faults.found or any(diagnostic.severity is Severity.ERROR for diagnostic in judged):
        faults.add(*judged, *warnings)
        faults.stop()
    kept = {path: there.record.files[path] for path in made.kept}
    record = Record(stack.name, _target(stack), records.digests(draft.tree) | kept, _local(stack))
    made = records.with_record(made, record, there.record, there.tree)
    actions = sorted((*made.actions, *beside.actions), key=in_phase_order)
    made = replace(made, actions=tuple(actions), kept=(*beside.kept, *made.kept))
    now = replace(lock, sources=gathering.pins, models=dict(lock.models) | draft.versions)
    seen = _digests(made, {**there.tree, **_beside(out)})
    return Build(loaded, out, made, now, record, (*warnings, *judged), there.store, there.prefix, seen)


def _there(out: Path, links: tuple[Path, ...]) -> There:
    """Return what lies in a directory; raise Stop where it cannot be one of a build."""
    store, prefix = open_store(str(out), links)
    have = store.scan(prefix)
    if not isinstance(entry := have.get(NAME), File) and (entry is not None or below(have, NAME)):
        odd = entry if isinstance(entry, Unreadable) else "a directory"
        what = f"a link to {entry.target}" if isinstance(entry, Link) else odd
        raise fatal("plan-blocked", f"{out}/{NAME}", f"is {what}; a build keeps its record there", "Move it away.")
    return There(store, prefix, have, records.load(have, str(out)))


def judgement(stack: Stack, draft: Draft, kept: Tree, out: Path) -> list[Diagnostic]:
    """Return what the target's server would say of a generated tree with what is kept of `out` in it.

    Findings are at the stack file's places, those in kept files at their own; infos are left out.
    """
    tree = {**draft.tree, **kept}
    found = judge(repository.read(tree, repository.target(stack=of_stack(stack)))).diagnostics
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


def _dockerfile_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.Dockerfile")


def _dockerfile(stack: Stack, out: Path, *, overwrite: bool) -> Plan:
    """Return the write or deletion of the Dockerfile beside the repository, or that it is kept.

    Raise Stop where a stranger's is there.
    """
    text = dockerfile(stack)
    path = _dockerfile_path(out)
    place = f"../{path.name}"
    there = _beside(out).get(place)
    now = there.content() if there is not None else None
    if now is None and (path.exists() or path.is_symlink()):
        now = b""  # a directory or a link: somebody else's
    if now is None or now == (text or "").encode():
        return Plan((Put(Phase.FILES, place, of_text(text), "new"),) if text and now is None else ())
    if not now.startswith(HEADER.encode()):
        if text is None:
            return Plan(())
        raise fatal(
            "plan-foreign-file", str(path), "was not written by tritonrepo, and this build needs its place", "Move it."
        )
    edited = not is_as_written(now)
    if edited and not overwrite:
        return Plan((), kept=(place,))
    if text is None:
        return Plan((Delete(Phase.PRUNE, place, "not in the stack"),))
    return Plan((Put(Phase.FILES, place, of_text(text), BY_HAND if edited else "changed"),))


def _beside(out: Path) -> dict[str, File]:
    """Return the Dockerfile beside the repository, where there is one, by its path in a plan."""
    path = _dockerfile_path(out)
    return {f"../{path.name}": on_disk(path, path.stat().st_size)} if path.is_file() and not path.is_symlink() else {}


def _digests(plan: Plan, tree: Mapping[str, Entry]) -> dict[str, str]:
    """Return the SHA-256 of what lies where a plan writes or removes; "" where that is nothing."""
    entries = {action.path: tree.get(action.path) for action in plan.actions}
    return {path: entry.sha256 if isinstance(entry, File) else str(entry or "") for path, entry in entries.items()}


def _current(build: Build) -> None:
    """Raise Stop where a file is neither what the plan was made from nor what it shall be."""
    if not build.plan:
        return
    shall: dict[str, set[str]] = {}
    for action in build.plan.actions:
        shall.setdefault(action.path, set()).add(action.file.sha256 if isinstance(action, Put) else "")
    now = _digests(build.plan, {**build.store.scan(build.prefix), **_beside(build.out)})
    for path, digest in now.items():
        if digest != build.seen[path] and digest not in shall[path]:
            message = "was changed since this build was planned, so nothing was written"
            raise failure("build-overtaken", f"{build.out}/{path}", message, "Build again.")


@reading()
def apply_build(build: Build) -> None:
    """Write the lock, then the files; what a killed run left half-written is swept away.

    Raise Stop, with nothing written, where what the plan was made from is something else now: a plan may be old.
    """
    _current(build)
    write_lock(build.loaded, build.lock)
    build.store.tidy()
    try:
        apply(build.plan, {}, Alone(Place(build.store, build.prefix, build.prefix)))
    finally:
        build.store.tidy()


def _target(stack: Stack) -> dict[str, object]:
    target = asdict(stack.target)
    del target["places"]
    return target | {"images": list(stack.target.images)}


def _local(stack: Stack) -> dict[str, str]:
    """Return hub id → local source: what `serve` runs where the hub is out of reach."""
    return {id_: text for name, model in stack.models.items() for id_, text in stack.part(name).local(model).items()}
