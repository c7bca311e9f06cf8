"""The model repositories and stacks that changed files belong to, as an editor or a hook names these files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tritonrepo.flows.changed import SETTINGS, Changed, How, of_changes
from tritonrepo.flows.paths import DEFAULT
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository.model import CONFIG
from tritonrepo.sources.changes import Changes, changes, found_in
from tritonrepo.sync import record

WEIGHTS = "model."
"""What the names of model files begin with, such as model.onnx and model.py."""


def named_files(files: Iterable[Path | str], reference: str | None = None) -> Changes:
    """Return these files as changes, with those that were deleted since HEAD left a commit."""
    given = found_in(files)
    if reference is None:
        return given
    since = changes(".", reference).paths
    return given._replace(paths=given.paths.union(path for path in since if not os.path.lexists(path)))


def belonging(found: Changes) -> list[str]:
    """Return the paths of the repositories and stacks that changed files may belong to, sorted."""
    roots = {root for path in found.paths for root in _roots(Path(path))}
    return sorted(os.path.relpath(root) for root in roots)


def changed_files(path: Path | str, work: Workspace, found: Changes, how: How | None = None) -> Changed:
    """Check what `belonging` returned: the models of these files and what calls them, or a stack that names one."""
    return of_changes(str(path), work, found, how or How())


def _roots(file: Path) -> Iterator[Path]:
    if file.name == SETTINGS:
        yield from _below(file.parent)
    stack = next((above for above in file.parents if (above / DEFAULT).is_file()), None)
    if stack is not None:
        yield stack / DEFAULT
    if file.name == record.NAME and _is_repository(file.parent):
        yield file.parent
    model = _model(file)
    if model is not None and model.parent.is_dir():
        yield model.parent


def _model(file: Path) -> Path | None:
    """Return the directory of the model that a file belongs to; None if nothing says that it belongs to one."""
    for above in file.parents:
        if (above / CONFIG).exists() or (above == file.parent and file.name == CONFIG):
            in_version = above.name.isdigit() and (above.parent / CONFIG).exists()  # where Triton reads no config
            return above.parent if in_version else above
    version = next((above for above in file.parents if above.name.isdigit()), None)
    if version is not None and (file.name.startswith(WEIGHTS) or _is_repository(version.parent.parent)):
        return version.parent
    return None


def _is_repository(directory: Path) -> bool:
    """Return whether a directory has a model with a config."""
    return any(directory.glob(f"*/{CONFIG}"))


def _below(directory: Path) -> Iterator[Path]:
    """Yield the repositories and stacks below a directory, not those in hidden directories."""
    for place, directories, files in os.walk(directory):
        here = Path(place)
        if DEFAULT in files:
            yield here / DEFAULT
        if _is_repository(here):
            yield here
            directories.clear()
        directories[:] = [name for name in directories if not name.startswith(".")]
