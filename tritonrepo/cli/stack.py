"""What several commands begin with: the option for stack files, and the workspace of this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tritonrepo.cli.progress import show
from tritonrepo.flows.stack import DEFAULT
from tritonrepo.flows.workspace import Workspace


def stack_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names the stack files."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Stack file. Repeat to merge several key by key; later files override earlier ones."
        f"  [default: {DEFAULT}]",
    )(command)


def workspace(links: tuple[Path, ...]) -> Workspace:
    """Return the workspace of this process, which reports its progress on stderr."""
    return Workspace(os.environ, links, show)
