"""What each Triton release holds: server version, backends of each container image, Python, vLLM, ONNX Runtime.

The facts are data/releases.json, each release with its sources; names of releases are text, so 24.10 is not 24.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the Triton containers."""

    name: str
    server_version: str
    images: Mapping[str, tuple[str, ...]]
    python: str
    vllm: str | None
    onnxruntime: str | None

    def backends(self, images: tuple[str, ...]) -> frozenset[str]:
        """Give the backends that a server mixed from these images has."""
        return frozenset(backend for image in images for backend in self.images.get(image, ()))


@cache
def _load() -> dict[str, Release]:
    text = resources.files("tritonrepo").joinpath("data/releases.json").read_text("utf-8")
    return {
        entry["release"]: Release(
            entry["release"],
            entry["server_version"],
            {image: tuple(backends) for image, backends in entry["backends"].items() if backends},
            entry["python"],
            entry["vllm"],
            entry["onnxruntime"],
        )
        for entry in json.loads(text)["releases"]
    }


class _Releases(Mapping[str, Release]):
    """The known releases by name; the file is read at the first look."""

    def __getitem__(self, name: str) -> Release:
        return _load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_load())

    def __len__(self) -> int:
        return len(_load())


RELEASES: Mapping[str, Release] = _Releases()


def instead(text: str) -> str:
    """Return the next step for what is not a known release: the one that is surely meant, else all that are known."""
    year, _, month = text.partition(".")
    meant = [name for name in RELEASES if name in text or name == f"{year}.0{month}"]
    if len(meant) == 1 and not any(name.startswith(text) for name in RELEASES):
        return f'Did you mean "{meant[0]}"?'
    return f"Known releases: {min(RELEASES)} to {max(RELEASES)}."
