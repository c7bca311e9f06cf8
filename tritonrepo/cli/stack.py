"""What several commands begin with: the option for stack files, and the workspace of this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tritonrepo.cli.counting import teller
from tritonrepo.cli.values import NAMED
from tritonrepo.flows.paths import DEFAULT
from tritonrepo.flows.workspace import Workspace


def stack_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names the stack files."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        type=NAMED,
        help="Stack file. Repeat to merge several key by key; later files override earlier ones."
        f"  [default: {DEFAULT}]",
    )(command)


def stack_or_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument that names a stack, and the option that names its files instead."""
    return click.argument("stack", type=NAMED, required=False)(stack_files(command))


def chosen(stack: Path | None, files: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the stack files that a command names; raise a usage error if it names them in both ways."""
    if stack is not None and files:
        raise click.UsageError("STACK and --file cannot be combined: name every file with --file")
    return files if stack is None else (stack,)


def workspace(links: tuple[Path, ...]) -> Workspace:
    """Return the workspace of this process, which reports its progress on stderr."""
    return Workspace(os.environ, links, teller())
