"""Globs of paths: `*` and `?` within a name, `**` for any directories, as in a .gitignore.

A glob without a slash, other than at its end, matches at any depth; any other begins at the settings' directory. What
matches a directory matches everything in it. The time is at most the product of both lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

UNKNOWN = "[]{}!\\"
"""Characters that other globs give a meaning."""

T = TypeVar("T")


def fault(glob: str) -> str:
    """Return what is wrong with a glob; "" if nothing is."""
    if not glob.strip("/"):
        return "the glob is empty"
    if glob.startswith("/") or any(each in {".", ".."} for each in glob.split("/")):
        return f'the glob "{glob}" is not relative to the directory of the settings'
    if strange := next((each for each in glob if each in UNKNOWN), ""):
        return f'the glob "{glob}" has a "{strange}", which no glob here can have'
    return ""


def matches(glob: str, path: str) -> bool:
    """Whether a glob matches a path or a directory on it."""
    wanted = glob.strip("/").split("/")
    if len(wanted) == 1:
        wanted.insert(0, "**")
    return _matches([*wanted, "**"], path.split("/"), "**", _named)


def _named(glob: str, name: str) -> bool:
    return _matches(glob, name, "*", lambda wanted, there: wanted in {"?", there})


def _matches(wanted: Sequence[T], there: Sequence[T], star: T, same: Callable[[T, T], bool]) -> bool:
    """Whether a sequence is what is wanted, where a star stands for any part of it.

    If the rest does not fit, only the last star takes more: what earlier ones took stays as it is.
    """
    at = number = 0
    back: tuple[int, int] | None = None
    while number < len(there):
        if at < len(wanted) and wanted[at] == star:
            back, at = (at, number), at + 1
        elif at < len(wanted) and same(wanted[at], there[number]):
            at, number = at + 1, number + 1
        elif back is not None:
            back = back[0], back[1] + 1
            at, number = back[0] + 1, back[1]
        else:
            return False
    return all(each == star for each in wanted[at:])
