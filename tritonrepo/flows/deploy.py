"""The pipeline of `deploy docker`: a stack or a repository becomes a plan for the files that run it in a container."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo.deploy import docker
from tritonrepo.deploy.service import Service
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure, fatal
from tritonrepo.flows import directory as places
from tritonrepo.flows.containers import DeployOptions, service
from tritonrepo.flows.deployed import Source, source, with_gpus
from tritonrepo.flows.stack import reading
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import record as records
from tritonrepo.sync.apply import apply
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import BY_HAND, Means, Plan, plan
from tritonrepo.sync.record import Record
from tritonrepo.sync.writing import Alone
from tritonrepo.tree import NOT_KNOWN, Directory, Entry, File, Outside, Tree, Unreadable, on_disk

RULE = "deploy-directory"
RECORD = ".tritonrepo-deploy.json"
"""What was written, in the output directory: tritonrepo.json is the record of a build."""

MEANS = Means("deploy", "no longer needed", " with -o")


class Deployment(NamedTuple):
    """The files that run a repository: the server that they describe, the plan for their directory, and warnings.

    `have` is what is in the directory, and `seen` the digest of it at each path that the plan writes or deletes.
    """

    out: Path
    service: Service
    plan: Plan
    warnings: tuple[Diagnostic, ...]
    have: Tree
    seen: Mapping[str, str]


NOTHING = DeployOptions()


@reading()
def plan_deploy(  # noqa: PLR0913  as many as the command has options
    where: Path | str | Sequence[Path | str],
    out: Path | str,
    work: Workspace,
    wanted: DeployOptions = NOTHING,
    aim: Aim = declared,
    *,
    overwrite: bool = False,
) -> Deployment:
    """Return the plan that writes compose.yaml and what belongs to it for a stack, a directory or a URI.

    Nothing is written. Raise Stop if no container can run it, or if files of others are in the way.

    Args:
        where: A stack file or several, its directory, a directory of models, or the URI of a bucket.
        out: Where the files are to be written.
        work: The environment, and the receiver of progress.
        wanted: What the user decides about the server.
        aim: What makes the target.
        overwrite: Whether to replace files that somebody has changed since they were written.
    """
    out = places.named(RULE, out, MEANS, "Write the files into a directory, and copy it to the server.")
    found = source(where, wanted.repository, work, with_gpus(aim, {*wanted.gpu_ids}))
    _apart(out, found)
    if not found.own:  # what a build reads through links is in its repository
        wanted = wanted._replace(mounts=(*wanted.mounts, *work.links))
    made, warnings = service(found, out, wanted)
    have = {records.NAME if path == RECORD else path: entry for path, entry in there(out).items()}
    before = _before(have, out)
    want = docker.files(made)
    others = {path: entry for path, entry in have.items() if path != records.NAME}
    planned = plan(want, others, before.written(), str(out), overwrite=overwrite, means=MEANS)
    if planned.conflicts:
        raise Stop(planned.conflicts)
    kept = {path: before.files[path] for path in planned.kept}
    record = Record(made.name, files=records.digests(want) | kept)
    planned = records.with_record(planned, record, before, have)
    by_hand = tuple(_by_hand(f"{out}/{path}") for path in planned.kept)
    actions = tuple(action._replace(path=_name(action.path)) for action in planned.actions)
    planned, have = replace(planned, actions=actions), {_name(path): entry for path, entry in have.items()}
    return Deployment(out, made, planned, (*warnings, *by_hand), have, places.digests(planned, have))


def _before(have: Tree, out: Path) -> Record:
    """Return the record of what was written; raise Stop if it is none, or if there can be none."""
    try:
        found = records.load(have, str(out))
    except Stop:
        message = "the file is not the record of a deployment"
        hint = "Restore or remove it. Without it, files of a deployment that differ are taken for files of others."
        raise fatal(RULE, f"{out}/{RECORD}", message, hint) from None
    if not isinstance(have.get(records.NAME, NOT_KNOWN), File):
        message = "deploy keeps its record at this path, but it is not a regular file"
        raise fatal("plan-blocked", f"{out}/{RECORD}", message, "Move it elsewhere.")
    return found


def _by_hand(path: str) -> Diagnostic:
    message = f"the file was {BY_HAND} after deploy wrote it, and is kept"
    hint = "To discard the change, run the command with --overwrite."
    return Diagnostic("deploy-hand-edited", Severity.WARNING, Span(path), message, hint)


def _apart(out: Path, found: Source) -> None:
    """Raise Stop if the files would be written into the repository, where every directory is a model."""
    if found.directory is not None and out.resolve().is_relative_to(found.directory.resolve()):
        message = f"the output directory is in the model repository {found.directory}, which the container only reads"
        raise fatal(RULE, str(out), message, "Choose a directory next to it with -o.")


def there(out: Path) -> dict[str, Entry]:
    """Return what is in a directory under the names of a deployment and of its record."""
    found = {name: _entry(out / name) for name in (*docker.NAMES, RECORD)}
    return {name: entry for name, entry in found.items() if entry is not None}


def _entry(path: Path) -> Entry | None:
    if path.is_symlink():
        return Outside(os.readlink(path), directory=path.is_dir())  # noqa: PTH115  as written
    if path.is_file():
        return on_disk(path, path.stat().st_size)
    if path.is_dir():
        return Directory()
    return Unreadable.FIFO if path.exists() else None


def apply_deploy(deployment: Deployment) -> None:
    """Write the files and remove those that are no longer needed, each of them whole or not at all.

    Raise Stop, with nothing written, if somebody has changed the directory since the plan was made.
    """
    out = deployment.out
    path = places.overtaken(deployment.plan, deployment.seen, there(out)) if deployment.plan else None
    if path is not None:
        message = "the file was changed after this deployment was planned, so nothing was written"
        raise failure("deploy-overtaken", f"{out}/{path}", message, "Run the command again.")
    places.writable(RULE, out, deployment.plan, MEANS)
    real = out.resolve()
    store = DirectoryStore(real.parent)
    store.tidy()
    try:
        apply(deployment.plan, {}, Alone(Place(store, real.name, str(out))))
    finally:
        store.tidy()


def _name(path: str) -> str:
    """Return the name in the directory of a path of a plan."""
    return RECORD if path == records.NAME else path
