"""Files that a command writes beside its output: whether that is possible is known before the work begins."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tritonrepo.cli.values import Named
from tritonrepo.plain import inline

CONTINUES = " It continues from this point."
"""What a store says of many files, and what is not true of one."""

REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class Written(Named):
    """Path of a file to write, in a directory that exists or can be made."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ANN401  click's signature
        """Return the path; raise a usage error if no file can be written there."""
        path = Path(super().convert(value, param, ctx))
        if reason := _unusable(path):
            self.fail(f'"{inline(str(value))}" cannot be written: {reason}.', param, ctx)
        return path


class Folder(Named):
    """Path of a file to write, or of a directory that exists, in which a file is written."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ANN401  click's signature
        """Return the path; raise a usage error if no file can be written there."""
        path = Path(super().convert(value, param, ctx))
        if reason := _unusable(path / "file" if path.is_dir() else path):
            self.fail(f'"{inline(str(value))}" cannot be written: {reason}.', param, ctx)
        return path


WRITTEN = Written(path_type=Path)


def _unusable(path: Path) -> str:
    """Return why no file can be written at a path; "" if one can."""
    if REMOTE.match(str(path)):
        return "use a path on this machine, not a URI"
    try:
        if path.is_dir():
            return "it is a directory"
        if path.exists() and not path.is_file():
            return "it is not a regular file"
        there = next(place for place in path.absolute().parents if place.exists() or place.is_symlink())
        import tempfile

        with tempfile.TemporaryFile(dir=there):  # what only a write tells, such as a read-only file system
            return ""
    except OSError as error:
        return error.strerror or str(error)


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all; nothing of it stays where it cannot be written."""
    from tritonrepo.diagnostics import Stop
    from tritonrepo.stores import open_store
    from tritonrepo.tree import of_text  # imported here to keep `--help` quick

    store, name = open_store(str(path))
    try:
        store.put(name, of_text(text))
    except Stop as stop:
        raise Stop(replace(each, hint=each.hint.removesuffix(CONTINUES)) for each in stop.diagnostics) from None
    finally:
        store.tidy()
