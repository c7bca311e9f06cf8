"""What each Triton release ships, and how releases differ: server version, backends, Python, vLLM.

The facts are in data/releases.json, each with its sources, written by scripts/update_releases.py. Names of releases
are strings, so 24.10 is not 24.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from tritonrepo.packaged import facts

WORD = "[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*"
REFERENCE = re.compile(f"{WORD}(:[0-9]+)?(/{WORD})*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]+)?")
"""How a container image is named: registry, path, tag, digest."""

NVIDIA = "nvcr.io/nvidia/tritonserver"
"""The full name of the images of all releases, without the tag."""

COMPLETE = {
    "backends": "image backends",
    "python": "Python version",
    "vllm": "vLLM version",
    "onnxruntime": "ONNX Runtime version",
}
"""What must be known about a release for it to be the default, in words."""

VERSIONS = (
    *("server_version", "python", "cuda", "driver", "compute_capability"),
    *("onnxruntime", "tensorrt", "openvino", "vllm", "tensorrtllm"),
)
"""The facts of a release that are one version each; `driver` is the one that the CUDA of its images belongs to."""


class OnnxRuntime(NamedTuple):
    """A version of ONNX Runtime: the newest IR version and operator sets that it accepts, the latter by domain.

    "" is the domain of ONNX's own operators.
    """

    version: str
    ir_version: int
    opsets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the Triton containers.

    `unknown` lists what is not known about it: its images are then empty, or a version is None. `server_wheel` is the
    wheel with its server and `server_wheel_sha256` its digest, "" if it has none. `versions` has VERSIONS, None where
    unknown; `confidence` says how certain the facts are: high, medium, low or none. `absent` are backends that its
    images are said to lack, though its build lists them, with the source.
    """

    name: str
    server_version: str
    images: Mapping[str, tuple[str, ...]]
    python: str | None
    vllm: str | None
    vllm_builds: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    server_wheel: str = ""
    server_wheel_sha256: str = ""
    versions: Mapping[str, str | None] = field(default_factory=dict)
    confidence: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    onnxruntime: OnnxRuntime | None = None

    def backends(self, images: tuple[str, ...]) -> frozenset[str]:
        """Return the backends of a server that combines these images."""
        return frozenset(backend for image in images for backend in self.images.get(image, ()))

    def has(self, fact: str) -> bool:
        """Whether a difference of the data file applies to this release; raise KeyError for one not in the file."""
        return _differences()[fact].holds(self.name)


class _Difference(NamedTuple):
    """The first and the last release to which something applies; "" for no such bound."""

    since: str
    until: str

    def holds(self, release: str) -> bool:
        return self.since <= release and (not self.until or release <= self.until)


@cache
def _differences() -> dict[str, _Difference]:
    found = facts("releases")["differences"].items()
    return {name: _Difference(bounds.get("since", ""), bounds.get("until", "")) for name, bounds in found}


@cache
def _load() -> dict[str, Release]:
    return {entry["release"]: _release(entry) for entry in facts("releases")["releases"]}


def _release(entry: Mapping[str, Any]) -> Release:
    return Release(
        entry["release"],
        entry["server_version"],
        {image: tuple(backends) for image, backends in (entry["backends"] or {}).items() if backends},
        entry["python"],
        entry["vllm"],
        tuple(entry.get("vllm_builds") or ([entry["vllm"]] if entry["vllm"] else [])),
        tuple(words for key, words in COMPLETE.items() if entry[key] is None),
        entry.get("server_wheel", ""),
        entry.get("server_wheel_sha256", ""),
        {name: entry[name] for name in VERSIONS},
        entry["confidence"],
        entry.get("absent", {}),
        tuple(entry["source"]),
        tuple(entry["notes"]),
        _onnxruntime(entry["onnxruntime"]),
    )


def _onnxruntime(version: str | None) -> OnnxRuntime | None:
    known = facts("releases")["onnxruntime"].get((version or "").rpartition(".")[0])
    return OnnxRuntime(version, known["ir_version"], known["opsets"]) if version and known else None


class _Releases(Mapping[str, Release]):
    """The known releases by name; the file is read on first access."""

    def __getitem__(self, name: str) -> Release:
        return _load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_load())

    def __len__(self) -> int:
        return len(_load())


RELEASES: Mapping[str, Release] = _Releases()


def newest() -> Release:
    """Return the default release: the newest about which everything is known."""
    return RELEASES[max(name for name, release in RELEASES.items() if not release.unknown)]


def runnable() -> Release:
    """Return the release whose server runs on this machine, from its wheel: the newest one that has a wheel."""
    return max((release for release in RELEASES.values() if release.server_wheel), key=lambda release: release.name)


def of_server(version: str) -> Release | None:
    """Return the release whose server says that it has this version; None if it is not known."""
    return next((release for release in RELEASES.values() if release.server_version == version), None)


def is_own(image: str) -> bool:
    """Return whether this names an image of the user's own, not of a release: with a registry, a tag or a digest."""
    named = REFERENCE.fullmatch(image) is not None and not image.startswith(NVIDIA)
    return named and not {":", "/", "@"}.isdisjoint(image)


def instead(text: str) -> str:
    """Return the hint for an unknown release: the one that is surely meant, otherwise the range of all known ones."""
    year, _, month = text.partition(".")
    meant = [name for name in RELEASES if name in text or name == f"{year}.0{month}"]
    if len(meant) == 1 and not any(name.startswith(text) for name in RELEASES):
        return f'Did you mean "{meant[0]}"?'
    return f"Use a release from {min(RELEASES)} to {max(RELEASES)}."
