"""Which settings apply to a path: the nearest `.tritonrepo.toml` above it in its git work tree, or a named file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.flows.anchors import directory, upwards, work_tree
from tritonrepo.flows.paths import reading
from tritonrepo.settings import NAME, Settings
from tritonrepo.stores import is_remote
from tritonrepo.stores.links import inside

RULE = "settings-file"
ROOT = 0


class Source(NamedTuple):
    """Where settings come from: the file that is named, or what is found above each path, unless none are wanted."""

    file: Path | None = None
    isolated: bool = False


def settings_of(path: str, source: Source, links: Sequence[Path]) -> Settings:
    """Return the settings that apply to a repository or stack file, empty ones if there are none.

    `links` are the directories into which links of settings may lead. Raise Stop for settings that cannot be used.
    """
    if source.isolated:
        return Settings()
    if source.file is not None:
        return _read(source.file, links)
    file = None if is_remote(path) else found(directory(path))
    if file is None:
        return Settings()
    shown = file if Path(path).is_absolute() else Path(os.path.relpath(file))
    inside(shown, shown.parent, links)
    _trusted(shown, directory(path))
    return _read(shown, links)


def found(start: Path) -> Path | None:
    """Return the nearest settings file in a directory or above it, up to the top of its git work tree."""
    top = work_tree(start)
    for each in upwards(start):
        if os.path.lexists(each / NAME):
            return each / NAME
        if each == top:
            return None
    return None


def trusts(owner: int, user: int, home: int) -> bool:
    """Whether to use the settings of an owner: those of this user, of root, or of whoever owns what is checked."""
    return owner in {user, ROOT, home}


def _trusted(file: Path, home: Path) -> None:
    """Raise Stop for settings that another user may have put into a directory that all can write, such as /tmp."""
    if not file.is_file():
        return
    owner = file.stat().st_uid
    if not trusts(owner, os.getuid(), home.stat().st_uid if home.exists() else ROOT):
        message = f"the settings belong to another user, whose number is {owner}"
        hint = f"Use them with `--config {file}`, or check without settings with --isolated."
        raise fatal("settings-owner", str(file), message, hint)


@reading()
def _read(file: Path, links: Sequence[Path]) -> Settings:
    if not file.is_file():
        exists = os.path.lexists(file)
        state = "is not a regular file" if file.exists() else "is a dangling link" if exists else "does not exist"
        hint = f"Remove it, or use --isolated to check without {NAME}." if exists else "Check the path."
        raise fatal(RULE, str(file), f"the settings file {state}", hint)
    from tritonrepo.settings.read import read  # most repositories have no settings
    from tritonrepo.settings.toml import MOST_BYTES

    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    settings = read(content, str(file), Path(os.path.abspath(file.parent)))  # noqa: PTH100  links on the way stay
    for each in (*settings.links, *([settings.baseline] if settings.baseline else ())):
        inside(each, settings.directory, links)
    return settings
