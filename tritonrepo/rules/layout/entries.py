"""Entries that cannot be read: links that lead nowhere, and what this user may not open."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.inference import GRAPHDEF, KINDS, LIBTORCH, SAVEDMODEL, TORCH_AOTI
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.layout import signs
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Unreadable

ORDER = (SAVEDMODEL, GRAPHDEF, *KINDS)
"""The model files that tell the backend, as the core looks for them; of most it asks whether they are directories."""


@rule(
    "dangling-link-in-model-directory",
    Severity.ERROR,
    at=Stage.POLL.after("repository-agent-missing"),
    after_faults=True,
)
def dangling_link(model: Model) -> Iterator[Finding]:
    """No link in a model's directory leads to nothing."""
    for item, path in enumerate(path for path, entry in model.odd if entry is Unreadable.DANGLING):
        strict = path == CONFIG and signs.refused_bare(model)
        if (not strict and "/" not in path) or _is_looked_at(model, path):
            message = f'"{path}" is a link to nothing'
            yield Finding(
                path,
                message,
                hint="Mend the link, or remove it.",
                reason=f"failed to stat file {model.on_server(path)}",
                item=item,
            )


def _is_looked_at(model: Model, path: str) -> bool:
    """Tell whether the core asks what a model file is, to find the backend: only while it has found none."""
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
        found = TORCH_AOTI.filename  # what was found, though the name that is filled in is another
    return found not in names or names.index(name) <= names.index(found)


@rule("unreadable-file-or-directory", Severity.WARNING, after_faults=True)
def unreadable(model: Model) -> Iterator[Finding]:
    """Everything in a repository can be read by the user that the server runs as."""
    for path, entry in model.odd:
        if entry in {Unreadable.FORBIDDEN, Unreadable.LOCKED} or (path == CONFIG and _is_device(entry)):
            name = path or model.name
            yield Finding(
                path, f'"{name}" is {entry}: what the server makes of it is not known', hint="Make it readable."
            )


def _is_device(entry: object) -> bool:
    return entry in {Unreadable.SOCKET, Unreadable.DEVICE}
