"""The pipeline of `build`, which `up` runs too: stack and lock to a plan for a directory, then the plan carried out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.cli.judging import of_stack
from tritonrepo.cli.stack import Loaded, reading, write_lock
from tritonrepo.diagnostics import Diagnostic, Severity, Stop, fatal
from tritonrepo.generate import generate
from tritonrepo.generate.dockerfile import HEADER, dockerfile
from tritonrepo.generate.origins import Origins
from tritonrepo.indexing import documents
from tritonrepo.rules import judge
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.lock import Lock
from tritonrepo.spec.source import Hub
from tritonrepo.spec.stack import Generator, Retriever, Stack
from tritonrepo.stores import open_store
from tritonrepo.stores.store import Store
from tritonrepo.sync import apply as applying
from tritonrepo.sync import record as records
from tritonrepo.sync.plan import Action, Delete, Phase, Plan, Put, in_phase_order, plan
from tritonrepo.sync.record import NAME, Record
from tritonrepo.tree import File, Link, Tree, Unreadable, below, of_text

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class Prepared(NamedTuple):
    """Everything known before the first byte is written."""

    plan: Plan
    lock: Lock
    record: Record
    warnings: tuple[Diagnostic, ...]
    store: Store
    prefix: str


def directory(out: Path) -> Path:
    """Give the directory of a repository by a path that has a name; raise Stop where it cannot be one."""
    if SCHEME.match(str(out)):
        hint = "Build into a directory, and bring it there: tritonrepo push DIR URI"
        raise fatal("build-directory", str(out), "is a URI, and a build goes into a directory", hint)
    named = out.resolve() if out.name in {"", ".."} else out
    if not named.name:
        raise fatal("build-directory", str(out), "is the root of the file system", "Name a directory in it with -o.")
    return named


@reading()
def prepare(loaded: Loaded, out: Path) -> Prepared:
    """Resolve, generate and compare; raise Stop where an input or the directory is in the way."""
    stack, lock = loaded.stack, loaded.lock
    gathering = Gathering(stack, lock, loaded.cache, loaded.links)
    inputs = gathering.inputs()
    draft = generate(stack, inputs, lock.models)
    judged = judgement(stack, draft.tree)
    errors = [diagnostic for diagnostic in judged if diagnostic.severity is Severity.ERROR]
    if errors:
        raise Stop(judged)
    store, prefix = open_store(str(out), loaded.links)
    have = store.scan(prefix)
    if not isinstance(entry := have.get(NAME), File) and (entry is not None or below(have, NAME)):
        odd = entry if isinstance(entry, Unreadable) else "a directory"
        what = f"a link to {entry.target}" if isinstance(entry, Link) else odd
        raise fatal("plan-blocked", f"{out}/{NAME}", f"is {what}; a build keeps its record there", "Move it away.")
    before = records.load(have, str(out))
    record = Record(stack.name, _target(stack), records.digests(draft.tree), _local(stack))
    made = plan(draft.tree, {path: entry for path, entry in have.items() if path != NAME}, before.files, str(out))
    if made.conflicts:
        raise Stop(made.conflicts)
    made = applying.with_record(made, record, before, have)
    made = replace(made, actions=tuple(sorted((*made.actions, *_dockerfile(stack, out)), key=in_phase_order)))
    now = replace(lock, sources=gathering.pins, models=dict(lock.models) | draft.versions)
    return Prepared(made, now, record, (*stale(loaded), *judged), store, prefix)


def judgement(stack: Stack, tree: Tree) -> list[Diagnostic]:
    """Give what the target's server would say of a generated tree, at the stack file's places; infos are left out."""
    origins = Origins(stack)
    found = judge(repository.read(tree, of_stack(stack, auto_complete=False))).diagnostics
    return sorted(
        (origins.moved(diagnostic, tree) for diagnostic in found if diagnostic.severity is not Severity.INFO),
        key=lambda diagnostic: diagnostic.at,
    )


def _dockerfile(stack: Stack, out: Path) -> list[Action]:
    """Give the write or deletion of the Dockerfile beside the repository; raise Stop where a stranger's is there."""
    text = dockerfile(stack)
    path = out.with_name(f"{out.name}.Dockerfile")
    place = f"../{path.name}"
    now = path.read_bytes() if path.is_file() and not path.is_symlink() else None
    if now is None and (path.exists() or path.is_symlink()):
        now = b""  # a directory or a link: somebody else's
    if now is None or now == (text or "").encode():
        return [Put(Phase.FILES, place, of_text(text), "new")] if text and now is None else []
    if not now.startswith(HEADER.encode()):
        if text is None:
            return []
        raise fatal(
            "plan-foreign-file", str(path), "was not written by tritonrepo, and this build needs its place", "Move it."
        )
    if text is None:
        return [Delete(Phase.PRUNE, place, "not in the stack")]
    return [Put(Phase.FILES, place, of_text(text), "changed")]


def carry_out(prepared: Prepared, loaded: Loaded) -> None:
    """Write the lock, then the files; what a killed run left half-written is swept away."""
    write_lock(loaded, prepared.lock)
    prepared.store.tidy()
    try:
        applying.apply(prepared.plan, prepared.store, prepared.prefix)
    finally:
        prepared.store.tidy()


def stale(loaded: Loaded) -> Iterator[Diagnostic]:
    """Give a warning for each index whose documents have changed since."""
    for name, model in loaded.stack.models.items():
        if isinstance(model, Retriever) and name in loaded.lock.indexes:
            at = model.places["documents"]
            if (
                documents.digest(documents.find(model.documents, at, loaded.links))
                != loaded.lock.indexes[name].documents
            ):
                message = f'the documents of "{name}" have changed since its index was made'
                yield Diagnostic(
                    "index-stale", Severity.WARNING, at, message, f"Make it anew: tritonrepo index -f {at.path}"
                )


def _target(stack: Stack) -> dict[str, object]:
    target = asdict(stack.target)
    del target["places"]
    return target | {"images": list(stack.target.images)}


def _local(stack: Stack) -> dict[str, str]:
    """Give hub id → local source: what `serve` runs where the hub is out of reach."""
    return {
        model.source.id: model.local.text
        for model in stack.models.values()
        if isinstance(model, Generator) and isinstance(model.source, Hub) and model.local is not None
    }
