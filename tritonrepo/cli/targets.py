"""The options that set the server that a repository is checked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tritonrepo.diagnostics import closest
from tritonrepo.flows.settled import Aiming
from tritonrepo.llm.gpus import Gpu
from tritonrepo.releases import NVIDIA, RELEASES, instead
from tritonrepo.repository import NOTHING, Said, Target, target

OWN = " An image of your own needs its registry or tag, as in my-triton:1."


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, with whether the server completes configs."""
    complete = "Check for a server that runs with --disable-auto-complete-config."
    return server_options(click.option("--no-auto-complete", is_flag=True, help=complete)(command))


RELEASE = click.option(
    "--release",
    metavar="YY.MM",
    help="Triton release.  [default: from the record or stack, else the newest fully known]",
)


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which server it is."""
    for option in (
        click.option(
            "--gpus",
            type=click.IntRange(0),
            metavar="N",
            help="Number of GPUs.  [default: from the record or stack, else the most that the configs use, at least 1]",
        ),
        click.option(
            "--image",
            multiple=True,
            metavar="NAME",
            help="Container image, such as vllm-python-py3, or your own with its registry or tag. Repeat for an image"
            " that combines several."
            "  [default: from the record or stack, else all combined]",
        ),
        RELEASE,
    ):
        command = option(command)
    return command


def aim(
    release: str | None,
    image: tuple[str, ...],
    gpus: int | None,
    *,
    no_auto_complete: bool = False,
    gpu: Gpu | None = None,
    memory: int | None = None,
) -> Aiming:
    """Return the function that makes the target by these options; a usage error names the closest choice."""
    release, image = _of_nvidia(release, image)
    if release is not None and release not in RELEASES:
        raise click.UsageError(f'unknown Triton release "{release}". {instead(release)}')
    options = Said(release, image or None, gpus, False if no_auto_complete else None, gpu_memory=memory, gpu=gpu)

    def aimed(record: Said, stack: Said, settings: Said = NOTHING) -> Target:
        found = target(options, record=record, stack=stack, settings=settings)
        for name in found.images:
            if found.release.images and name not in found.release.images:
                hint = closest(name, found.release.images)
                hint += "" if hint.startswith("Did") else OWN
                raise click.UsageError(f'Triton {found.release.name} has no image "{name}". {hint}')
        return found

    return aimed


def _of_nvidia(release: str | None, images: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return the release and the short names of images; the full name of an image of NVIDIA's tells both."""
    short = list[str]()
    for image in images:
        place, _, tag = image.partition(":")
        of, _, name = tag.partition("-")
        if place == NVIDIA:
            if release not in {None, of}:
                raise click.UsageError(f'"{image}" is an image of Triton {of}, not {release}. Name one release.')
            release = of
        short.append(name if place == NVIDIA else image)
    return release, tuple(short)
