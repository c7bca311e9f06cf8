"""What is deployed: the models of a stack or of a repository, the server that they are for, and where it reads them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, fatal
from tritonrepo.flows.paths import is_stack
from tritonrepo.flows.revisions import addressed
from tritonrepo.flows.stack import drafted, load
from tritonrepo.flows.target import completes, of_record, of_stack, record_of
from tritonrepo.flows.validate import Aim
from tritonrepo.flows.workspace import Workspace
from tritonrepo.llm.gpus import gpu
from tritonrepo.repository import NOTHING, Repository, Said, Target
from tritonrepo.spec.stack import Stack
from tritonrepo.stores import is_remote, open_store

EMPTY = "deploy-empty"


class Source(NamedTuple):
    """The models, a name for them, and where a server reads them: `uri` is "" for a directory.

    `complete`: their configs are complete. `own`: they are declared in a stack, whose paths the user has chosen.
    `stack` is None for a repository.
    """

    where: str
    name: str
    found: Repository
    complete: bool
    own: bool = False
    uri: str = ""
    directory: Path | None = None
    warnings: tuple[Diagnostic, ...] = ()
    stack: Stack | None = None

    @property
    def target(self) -> Target:
        """The server that the models are for."""
        return self.found.target


def source(where: Path | str | Sequence[Path | str], built: Path, work: Workspace, aim: Aim) -> Source:
    """Return what a stack, a directory or a URI names; `built` is the directory that a stack is built into.

    Raise Stop if it has no models.
    """
    one = str(where) if isinstance(where, Path | str) else None
    found = _repository(one, work, aim) if one is not None and not is_stack(one) else _stack(where, built, work, aim)
    if not found.found.models:
        message = "the path does not exist or has no models, so a server would have nothing to serve"
        raise fatal(EMPTY, found.where, message, "Use a stack, a directory that contains models, or its URI.")
    return found


def _stack(where: Path | str | Sequence[Path | str], built: Path, work: Workspace, aim: Aim) -> Source:
    loaded, faults = load(where, work), Faults()
    draft = drafted(loaded.gathering(), loaded.lock.models, faults)
    target = aim(NOTHING, of_stack(loaded.stack, complete=draft.complete))
    warnings = [replace(fault, severity=Severity.WARNING) for fault in faults.found]
    at = str(loaded.paths[0])
    if not built.is_dir():
        message = "the directory of the model repository does not exist, so there is nothing to serve yet"
        build = f"`tritonrepo build -f {at} -o {built}`"
        warnings.append(Diagnostic("deploy-not-built", Severity.WARNING, Span(str(built)), message, f"Run {build}."))
    found = repository.read(draft.tree, target)
    return Source(
        at,
        loaded.stack.name,
        found,
        draft.complete,
        own=True,
        directory=built,
        warnings=tuple(warnings),
        stack=loaded.stack,
    )


def _repository(where: str, work: Workspace, aim: Aim) -> Source:
    uri = ""
    if is_remote(where):
        uri, number = addressed(where)
        if number is not None:
            message = "a server reads what is at a URI now, not one of its revisions"
            raise fatal("deploy-revision", where, message, f"Use `{uri}`. To serve revision {number}, pull it.")
    store, prefix = open_store(where, work.links)
    tree = store.scan(prefix)
    record = record_of(store, prefix, tree, where)
    found = repository.read(tree, aim(of_record(record, where), NOTHING), where)
    name = record.name or prefix.rpartition("/")[2] or where.rstrip("/").rpartition("/")[2]
    directory = None if uri else Path(where)
    return Source(where, name, found, not completes(record), uri=where if uri else "", directory=directory)


def with_product(aim: Aim, product: str) -> Aim:
    """Return what makes the target with the GPUs of a label of nodes, if these are known."""
    known = gpu(product) if product else None

    def aimed(record: Said, stack: Said) -> Target:
        found = aim(record, stack)
        return replace(found, gpu=known, gpu_memory=known.memory or found.gpu_memory) if known is not None else found

    return aimed


def with_gpus(aim: Aim, ids: Collection[str]) -> Aim:
    """Return what makes the target with as many GPUs as are chosen, unless somebody says how many it has."""

    def aimed(record: Said, stack: Said) -> Target:
        found = aim(record, stack)
        return replace(found, gpus=len(ids), gpus_said=True) if ids and not found.gpus_said else found

    return aimed
