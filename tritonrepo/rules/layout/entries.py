"""Entries that cannot be read: dangling links, and what this user cannot open."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.repository import Model
from tritonrepo.repository.inference import GRAPHDEF, KINDS, LIBTORCH, SAVEDMODEL, TORCH_AOTI
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.layout import signs
from tritonrepo.rules.mending import removed
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Unreadable

ORDER = (SAVEDMODEL, GRAPHDEF, *KINDS)
"""The model files that identify the backend, in the core's order; it checks whether most are directories."""


@rule(
    "dangling-link-in-model-directory",
    Severity.ERROR,
    at=Stage.POLL.after("repository-agent-missing"),
    after_faults=True,
)
def dangling_link(model: Model) -> Iterator[Finding]:
    """A model directory cannot contain a dangling symbolic link."""
    for item, path in enumerate(path for path, entry in model.odd if entry is Unreadable.DANGLING):
        strict = path == CONFIG and signs.refused_bare(model)
        if (not strict and "/" not in path) or _is_looked_at(model, path):
            message = f'"{path}" is a dangling symbolic link'
            yield Finding(
                path,
                message,
                hint="Fix or remove the link.",
                reason=f"failed to stat file {model.on_server(path)}",
                item=item,
                fix=_without(model, path),
            )


def _without(model: Model, path: str) -> Fix | None:
    """Return the fix that removes a link, unless the model needs what it should lead to."""
    named = path.encode("utf-8", "surrogateescape") in model.config.source.text
    needed = named or "/" in path or path == CONFIG or path.isdecimal()
    return None if needed else removed(model, path, safe=False)


def _is_looked_at(model: Model, path: str) -> bool:
    """Return whether the core checks what a model file is to find the backend, which it does until it has found one."""
    directory, _, name = path.partition("/")
    kinds = [kind for kind in ORDER if kind.known(model.target.release)]
    asked = any(kind.filename == name and (kind is SAVEDMODEL or not kind.directory) for kind in kinds)
    if not asked or directory != model.directories[0]:
        return False
    if any(model.config.text(field) for field in ("backend", "platform", "default_model_filename")):
        return False
    names = [kind.filename for kind in kinds]
    found = model.inferred.filename
    if found == LIBTORCH.filename and f"{directory}/{found}" not in model.entries:
        found = TORCH_AOTI.filename  # what was found, though another name is filled in
    return found not in names or names.index(name) <= names.index(found)


@rule("unreadable-file-or-directory", Severity.WARNING, after_faults=True)
def unreadable(model: Model) -> Iterator[Finding]:
    """The user that runs the server should be able to read everything in the repository."""
    for path, entry in model.odd:
        if entry in {Unreadable.FORBIDDEN, Unreadable.LOCKED} or (path == CONFIG and _is_device(entry)):
            name = path or model.name
            message = f'"{name}" is {entry}, so what the server does with it is unknown'
            allow = "Change its permissions so that this user can read it."
            hint = "Replace it with a file." if _is_device(entry) else allow
            yield Finding(path, message, hint=hint)


def _is_device(entry: object) -> bool:
    return entry in {Unreadable.SOCKET, Unreadable.DEVICE}
