"""Options and option types that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class Named(click.Path):
    """Path; an empty one, as from a variable that is not set, would be the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  click's signature
        """Return the path; raise a usage error for an empty one."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


NAMED = Named(path_type=Path)
PORT = click.IntRange(0, 65535)


def allow_links(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that allows links into more directories."""
    return click.option(
        "--allow-links",
        "links",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Directory that links may lead into, such as a model cache. Repeatable.",
    )(command)


class GpuMemory(click.ParamType[int]):
    """Memory of a GPU: a size, or the name of a GPU of the packaged table."""

    name = "memory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401  click's signature
        """Return the bytes; raise a usage error for what is neither."""
        from tritonrepo.llm.gpus import gpu_memory, gpus  # imported here to keep `--help` quick

        found = value if isinstance(value, int) else gpu_memory(value)
        if found is None:
            known = ", ".join(gpus())
            self.fail(f'"{value}" is neither a size, such as 80GiB, nor one of these GPUs: {known}.', param, ctx)
        return found


def gpu_memory(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that says how much memory each GPU has."""
    return click.option(
        "--gpu-memory",
        type=GpuMemory(),
        metavar="SIZE",
        help="Memory of each GPU: a size such as 80GiB, or a GPU such as A100-80GB or L4."
        "  [default: from the record or stack]",
    )(command)


def record_place(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that says where the record of a bucket's repository is; its value is for `open_place`."""
    return click.option(
        "--record",
        metavar="URI",
        help="Place of the release record and the lock if they are not next to the repository, as for one at a bucket's"
        " root: in another bucket of the same store.",
    )(command)


class Seconds(click.FloatRange):
    """Number of seconds; a plain FloatRange accepts nan and inf."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401  click's signature
        """Return the seconds; raise a usage error for a number that is not finite."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


WAIT = Seconds(0, min_open=True)
PAUSE = Seconds(0)
