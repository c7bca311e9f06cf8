"""The options that say which server a repository is judged for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import click

from tritonrepo.diagnostics import closest
from tritonrepo.releases import RELEASES, instead, newest
from tritonrepo.repository import Target, target
from tritonrepo.spec.stack import Target as Declared


class Chosen(NamedTuple):
    """What the options said; None and nothing where they did not."""

    release: str | None = None
    image: tuple[str, ...] = ()
    gpus: int | None = None
    no_auto_complete: bool = False


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options."""
    for option in (
        click.option("--no-auto-complete", is_flag=True, help="The server runs with --disable-auto-complete-config."),
        click.option(
            "--gpus", type=click.IntRange(0), metavar="N", help="GPUs of the server.  [default: the stack's; else 1]"
        ),
        click.option(
            "--image",
            multiple=True,
            metavar="NAME",
            help="Container image, as vllm-python-py3; several: mixed.  [default: the stack's; else all together]",
        ),
        click.option(
            "--release", metavar="YY.MM", help="Triton release.  [default: the stack's; else the newest known]"
        ),
    ):
        command = option(command)
    return command


def chosen_target(chosen: Chosen, stack: Declared | None = None) -> Target:
    """Give the target; what no option names is as the stack declares it. A usage error names the closest name."""
    if chosen.release is not None and chosen.release not in RELEASES:
        raise click.UsageError(f'Triton release "{chosen.release}" is not known. {instead(chosen.release)}')
    release = RELEASES[chosen.release or (stack.release if stack else newest().name)]
    images = chosen.image or (stack.images if stack else ())
    for image in images:
        if image not in release.images:
            raise click.UsageError(f'release {release.name} has no image "{image}". {closest(image, release.images)}')
    gpus = chosen.gpus if chosen.gpus is not None else stack.gpus if stack else 1
    found = target(release.name, images, gpus=gpus, auto_complete=not chosen.no_auto_complete)
    said = bool(chosen.release or chosen.image) or chosen.gpus is not None
    return replace(found, in_stack=stack is not None and not said)
