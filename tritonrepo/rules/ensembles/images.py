"""Ensembles against images: whether the server of the target's images runs ensembles at all."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.releases import RELEASES
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

SCHEDULER = "ensemble"


@rule("vllm-image-ensemble", Severity.ERROR, "platform", at=Stage.POLL.after("platform-unknown"))
def no_scheduler(model: Model) -> Iterator[Finding]:
    """An ensemble must run on an image whose server has the ensemble scheduler."""
    target = model.target
    if not model.is_ensemble or model.backend or not target.backends or SCHEDULER in target.backends or target.own:
        return
    written = model.config.get("platform")
    yield Finding(
        written.value if written is not None and written.values else None,
        f"the server in {_images(target.images)} of Triton {target.release.name} does not run ensembles",
        hint=_hint(model),
        reason=f"unexpected platform type 'ensemble' for {model.config_name}",
    )


def _images(names: tuple[str, ...]) -> str:
    return f"image {names[0]}" if len(names) == 1 else f"the images {' and '.join(names)}"


def _hint(model: Model) -> str:
    """Return the first release whose image of this name runs ensembles, and the image of this release that does."""
    target = model.target
    fitting = [
        f"Triton {name} or later"
        for name in sorted(RELEASES)
        if name > target.release.name and SCHEDULER in RELEASES[name].backends(target.images)
    ]
    sister = [f"image {image}" for image, backends in target.release.images.items() if SCHEDULER in backends]
    ways = ", or ".join((*fitting[:1], *sister[:1], "call the models from a Python model instead"))
    return f"Use {ways}."
