"""The target of a settings file: the server that hand-written repositories are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tritonrepo.diagnostics import closest
from tritonrepo.llm.gpus import gpu, gpu_memory, gpus
from tritonrepo.releases import NVIDIA, RELEASES, instead, is_own
from tritonrepo.repository import Said

Wrong = Callable[[tuple[str | int, ...], str, str], None]
"""Notes a fault at a place: message and hint."""


def aimed(table: Mapping[str, Any], wrong: Wrong) -> Said:
    """Return what the table `target` says; what is unknown is noted as a fault."""
    release, model, size = table.get("release"), table.get("gpu"), table.get("gpu-memory")
    if release is not None and release not in RELEASES:
        wrong(("target", "release"), f'unknown Triton release "{release}"', instead(release))
    for number, image in enumerate(table.get("images", ())):
        if hint := _strange(image, release):
            wrong(("target", "images", number), f'unknown image "{image}"', hint)
    found, memory = gpu(model or ""), gpu_memory(size or "")
    if model is not None and found is None:
        wrong(("target", "gpu"), f'unknown GPU "{model}"', closest(model, list(gpus())))
    if size is not None and memory is None:
        wrong(("target", "gpu-memory"), f'"{size}" is not a size', "Write it with its unit, as in 80GiB.")
    images = tuple(table["images"]) if table.get("images") else None
    return Said(release, images, table.get("gpus"), table.get("auto-complete"), gpu_memory=memory, gpu=found)


def _strange(image: str, release: str | None) -> str:
    """Return the hint for an image that no release has, or not the one that is named; "" if it is known."""
    if image.startswith(NVIDIA):
        return 'Set release and images, as in release = "24.10" and images = ["py3"].'
    releases = [RELEASES[release]] if release and release in RELEASES else list(RELEASES.values())
    known = dict.fromkeys(name for each in releases for name in each.images)
    return "" if is_own(image) or image in known or not known else closest(image, list(known))
