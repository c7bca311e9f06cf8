"""The options that say which server a repository is judged for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import click

from tritonrepo.releases import RELEASES
from tritonrepo.repository import Target, target
from tritonrepo.spec.load import closest


class Chosen(NamedTuple):
    """What the options said."""

    release: str | None = None
    image: tuple[str, ...] = ()
    gpus: int = 1
    no_auto_complete: bool = False


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options."""
    for option in (
        click.option("--no-auto-complete", is_flag=True, help="The server runs with --disable-auto-complete-config."),
        click.option("--gpus", type=click.IntRange(0), default=1, metavar="N", help="GPUs of the server."),
        click.option(
            "--image", multiple=True, metavar="NAME", help="Container image, as vllm-python-py3; several: mixed."
        ),
        click.option("--release", metavar="YY.MM", help="Triton release.  [default: the newest known]"),
    ):
        command = option(command)
    return command


def chosen_target(chosen: Chosen) -> Target:
    """Give the target; a usage error names the closest release or image."""
    if chosen.release is not None and chosen.release not in RELEASES:
        raise click.UsageError(f'there is no release "{chosen.release}". {closest(chosen.release, RELEASES)}')
    release = RELEASES[chosen.release or max(RELEASES)]
    for image in chosen.image:
        if image not in release.images:
            raise click.UsageError(f'release {release.name} has no image "{image}". {closest(image, release.images)}')
    return target(chosen.release, chosen.image, gpus=chosen.gpus, auto_complete=not chosen.no_auto_complete)
