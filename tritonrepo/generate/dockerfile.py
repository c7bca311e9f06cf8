"""A Dockerfile for the image that serves a stack: a Triton image, with the backends that it lacks from another one.

A backend is a directory under /opt/tritonserver/backends, and NVIDIA's own recipe for custom images copies it from one
image of a release to another (server, docs/customization_guide/compose.md). vLLM and TensorRT-LLM are also Python
packages, so the image that has them is the base.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from tritonrepo.releases import NVIDIA, RELEASES, Release, is_own
from tritonrepo.spec.stack import Stack

HEADER = "# Written by tritonrepo image; edit the stack file instead."
BACKENDS = "/opt/tritonserver/backends"
INSTALLED = frozenset({"vllm", "tensorrtllm"})


class Image(NamedTuple):
    """An image for a stack: the Triton image that it begins with, and each backend with the image that has it.

    `absent` are the backends that none of the target's images has.
    """

    release: str
    base: str
    copies: tuple[tuple[str, str], ...]
    absent: tuple[str, ...]

    @property
    def name(self) -> str:
        """The full name of the Triton image that it begins with."""
        return self.of(self.base)

    @property
    def runs_ensembles(self) -> bool:
        """Whether the server of the image that it begins with has the ensemble scheduler."""
        return "ensemble" in RELEASES[self.release].images[self.base]

    @property
    def dockerfile(self) -> str:
        """Its Dockerfile."""
        return self.written(HEADER)

    def written(self, header: str) -> str:
        """Return its Dockerfile with this comment at the top."""
        paths = ((self.of(donor), f"{BACKENDS}/{backend}") for backend, donor in self.copies)
        return "\n".join(
            [header, f"FROM {self.name}", *(f"COPY --from={donor} {path} {path}" for donor, path in paths), ""]
        )

    def of(self, image: str) -> str:
        """Return the full name of an image of this release."""
        return f"{NVIDIA}:{self.release}-{image}"


def image(stack: Stack) -> Image | None:
    """Return the image of a stack; None if it is not known which backends its images have, as with one's own."""
    needed = frozenset[str]().union(*(stack.part(name).backends(model) for name, model in stack.models.items()))
    return combined(RELEASES[stack.target.release], stack.target.images, needed - frozenset(stack.target.backends))


def combined(release: Release, images: Collection[str], needed: frozenset[str]) -> Image | None:
    """Return the image that has these backends, made from images of a release; None as for `image`."""
    if not release.images or any(map(is_own, images)):
        return None
    has = {image: set(release.images[image]) for image in images}
    base = max(has, key=lambda image: (len(has[image] & needed & INSTALLED), len(has[image] & needed)))
    donors = {
        backend: next((image for image in has if backend in has[image]), None) for backend in sorted(needed - has[base])
    }
    copies = tuple((backend, donor) for backend, donor in donors.items() if donor is not None)
    return Image(release.name, base, copies, tuple(backend for backend, donor in donors.items() if donor is None))
