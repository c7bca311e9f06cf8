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


class Form(click.ParamType[Any]):
    """What a function reads from a text; the ValueError that it raises is the usage error, without a full stop."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name, self.read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  click's signature
        """Return what the text says, or a default as it is; raise a usage error for any other text."""
        try:
            return self.read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(f"{error}" if str(error).endswith("?") else f"{error}.", param, ctx)


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
    """Memory of a GPU."""

    name = "memory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401  click's signature
        """Return the bytes; raise a usage error for what is no size."""
        from tritonrepo.llm.gpus import gpu, gpu_memory  # imported here to keep `--help` quick

        found = value if isinstance(value, int) else gpu_memory(value)
        if found is None:
            named = gpu(value)
            self.fail(
                f'"{value}" is not a size, such as 80GiB.' + (f" Use --gpu {named.name}." if named else ""), param, ctx
            )
        return found


class GpuModel(click.ParamType[Any]):
    """Model of a GPU of the packaged table."""

    name = "gpu"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  click's signature
        """Return the GPU; raise a usage error for one that is not known."""
        from tritonrepo.diagnostics import closest
        from tritonrepo.llm.gpus import gpu, gpus  # imported here to keep `--help` quick

        found = gpu(value) if isinstance(value, str) else value
        if found is None:
            self.fail(f'unknown GPU "{value}". {closest(value, list(gpus()))}', param, ctx)
        return found


def gpu_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which GPUs the server has."""
    for option in (
        click.option(
            "--gpu-memory",
            type=GpuMemory(),
            metavar="SIZE",
            help="Memory of each GPU, such as 80GiB.  [default: from --gpu, the record or stack]",
        ),
        click.option(
            "--gpu",
            type=GpuModel(),
            metavar="NAME",
            help="Model of the GPUs, such as L4 or A100-80GB: their compute capability and memory.  [default: any]",
        ),
    ):
        command = option(command)
    return command


def metrics_address(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that says where the metrics of a server are."""
    return click.option(
        "--metrics",
        metavar="URL",
        help="URL of the server's metrics, or none to do without.  [default: /metrics at the second port after URL's]",
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
