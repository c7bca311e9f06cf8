"""A Dockerfile for a stack whose backends no single Triton image has: one image, with the rest copied from another.

A backend is a directory under /opt/tritonserver/backends, and NVIDIA's own recipe for custom images copies it from one
image of a release to another (server, docs/customization_guide/compose.md). vLLM and TensorRT-LLM are also Python
packages, so the image that has them is the base.
"""

from __future__ import annotations

import hashlib

from tritonrepo.generate.draft import HEADER
from tritonrepo.releases import RELEASES
from tritonrepo.spec.stack import Stack

IMAGE = "nvcr.io/nvidia/tritonserver"
BACKENDS = "/opt/tritonserver/backends"
INSTALLED = frozenset({"vllm", "tensorrtllm"})


def dockerfile(stack: Stack) -> str | None:
    """Return the Dockerfile's text; None if one of the target's images has every backend that the stack needs.

    Also None if it is not known which backends the images of this release have.

    The file is next to the repository, so the record does not hold its digest: the file itself does.
    """
    release = RELEASES[stack.target.release]
    if not release.images:
        return None
    needed = frozenset[str]().union(*(stack.part(name).backends(model) for name, model in stack.models.items()))
    has = {image: set(release.images[image]) for image in stack.target.images}
    base = max(has, key=lambda image: (len(has[image] & needed & INSTALLED), len(has[image] & needed)))
    copies = [
        f"COPY --from={IMAGE}:{release.name}-{donor} {BACKENDS}/{backend} {BACKENDS}/{backend}"
        for backend in sorted(needed - has[base])
        for donor in [next((image for image in has if backend in has[image]), None)]
        if donor is not None
    ]
    if not copies:
        return None
    return _signed("\n".join([f"FROM {IMAGE}:{release.name}-{base}", *copies, ""]))


def is_as_written(content: bytes) -> bool:
    """Return whether the content of a Dockerfile was made by this module and not changed since."""
    text = content.decode("utf-8", "replace")
    return text == _signed("".join(text.splitlines(keepends=True)[2:]))


def _signed(text: str) -> str:
    return f"{HEADER}\n# The lines below have the SHA-256 {hashlib.sha256(text.encode()).hexdigest()}\n{text}"
