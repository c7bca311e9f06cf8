"""The target: the server that a repository is judged for, and the one way to determine it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from tritonrepo.diagnostics import Diagnostic, Severity, Span, fatal
from tritonrepo.llm.gpus import Gpu, gpu
from tritonrepo.releases import RELEASES, Release, instead, is_own, newest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Release, images and their backends, processor and GPUs, and whether the server completes configs by itself.

    `gpu_memory` are the bytes of each GPU as the user gave them, None if they are not known; see `llm.gpus.reported`.
    `in_stack`: a stack file determines it, not the options of a command; hints name what the user can change.
    `gpus_said`: somebody says how many GPUs there are. If not, there is one, or as many as the configs of a repository
    list (`repository.read`), and what needs more of them is no fault. `gpu` is their model, None if it is not known.
    `own` names the user's own image, which is built from `images`, if it is one; what else it has is not known.
    """

    release: Release
    images: tuple[str, ...]
    backends: frozenset[str]
    gpus: int = 1
    auto_complete: bool = True
    arch: str = "x86_64"
    in_stack: bool = False
    gpus_said: bool = True
    gpu_memory: int | None = None
    gpu: Gpu | None = None
    own: tuple[str, ...] = ()

    @property
    def counts_gpus(self) -> str:
        """Where the user sets the number of GPUs."""
        return "gpus in target" if self.in_stack else "--gpus"

    @property
    def says_own(self) -> str:
        """How the user says that the image is an own one."""
        return "add that image to images in target" if self.in_stack else "name that image, as in `--image my-triton:1`"


class Said(NamedTuple):
    """What one place says about the server: options, a record, a stack file, settings; None if it says nothing.

    `where` is that place, for the message about an unknown release.
    """

    release: str | None = None
    images: tuple[str, ...] | None = None
    gpus: int | None = None
    auto_complete: bool | None = None
    arch: str | None = None
    where: str = ""
    backends: tuple[str, ...] | None = None
    """Those of an own image, besides those of the Triton images."""
    gpu_memory: int | None = None
    gpu: Gpu | None = None


NOTHING = Said()


def target(
    options: Said = NOTHING, *, record: Said = NOTHING, stack: Said = NOTHING, settings: Said = NOTHING
) -> Target:
    """Return the target: options over the record of a built repository, over the stack, over a project's settings.

    The defaults are the newest release, all its images together, one GPU or those that the configs list, and a server
    that completes configs. An image of the user's own is built from the images of the release that are named with it,
    or else from those that the next place names. Raise Stop for an unknown release.
    """
    said = (options, record, stack, settings)
    named = next((each for each in said if each.release is not None), None)
    release = _release(named) if named else newest()
    images = _first([_stock(each.images or ()) or None for each in said], tuple(release.images))
    known = release.backends(images)  # none: it is not known which its images have
    by_option = options.release is not None or options.images is not None or options.gpus is not None
    return Target(
        release,
        images,
        known | frozenset(_first([each.backends for each in said], ())) if known else known,
        _first([each.gpus for each in said], 1),
        _first([each.auto_complete for each in said], default=True),
        _first([each.arch for each in said], "x86_64"),
        in_stack=stack is not NOTHING and not by_option,
        gpus_said=any(each.gpus is not None for each in said),
        gpu_memory=_first([_memory(each) for each in said], None),
        gpu=_first([each.gpu for each in said], None),
        own=tuple(filter(is_own, _first([each.images for each in said], ()))),
    )


def _stock(images: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(image for image in images if not is_own(image))


def _memory(said: Said) -> int | None:
    return said.gpu.memory if said.gpu_memory is None and said.gpu is not None else said.gpu_memory


def recorded(target: Mapping[str, Any], where: str) -> Said:
    """Return what the record of a build or a push says; one without a target is of a hand-written repository.

    It does not say whether the server completes configs. What a build generates must load without that; a directory may
    have been edited since, and is for servers that complete configs unless they are told not to.
    """
    if not target:
        return NOTHING
    names = ("images", "gpus", "arch", "backends", "gpu_memory", "gpu")
    images, gpus, arch, own, memory, model = (target.get(name) for name in names)
    return Said(
        str(target.get("release")),
        tuple(map(str, images)) if isinstance(images, list) else None,
        gpus if type(gpus) is int else None,
        arch=arch if isinstance(arch, str) else None,
        where=where,
        backends=tuple(map(str, own)) if isinstance(own, list) else None,
        gpu_memory=memory if type(memory) is int and memory > 0 else None,
        gpu=gpu(model) if isinstance(model, str) else None,
    )


def unknown(server: Target, at: Span) -> Iterator[Diagnostic]:
    """Yield what is unknown about the target's release and therefore not checked."""
    if gaps := server.release.unknown:
        message = f"some facts about Triton {server.release.name} are unknown: {', '.join(gaps)}"
        hint = f"Checks that depend on them are skipped. Use release {newest().name} for all checks."
        yield Diagnostic("release-incomplete", Severity.INFO, at, message, hint)


def _release(said: Said) -> Release:
    if (known := RELEASES.get(said.release or "")) is not None:
        return known
    if not said.where:
        message = f'unknown Triton release "{said.release}"'
        raise fatal("release-unknown", str(said.release), message, instead(str(said.release)))
    message = f'the repository was built for release "{said.release}", which this tritonrepo does not know'
    raise fatal("push-target", said.where, message, "Upgrade tritonrepo, or rebuild the repository.")


def _first(said: list[T | None], default: T) -> T:
    return next((each for each in said if each is not None), default)
