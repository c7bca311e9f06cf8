"""Triton's releases as a table, one of them in detail, and all as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.releases import Release, newest
from tritonrepo.report import json
from tritonrepo.report.table import table

UNKNOWN = "unknown"
COLUMNS = {
    "server_version": "Triton",
    "python": "Python",
    "cuda": "CUDA",
    "driver": "driver",
    "onnxruntime": "ONNX Runtime",
    "vllm": "vLLM",
    "tensorrt": "TensorRT",
}
SPOKEN = {
    **COLUMNS,
    "server_version": "Triton server",
    "driver": "driver of that CUDA",
    "compute_capability": "GPUs from compute capability",
    "openvino": "OpenVINO",
    "tensorrtllm": "TensorRT-LLM",
}
CERTAIN = {"high", "medium"}


def text(releases: Sequence[Release], *, detailed: bool) -> Iterator[str]:
    """Yield the lines: a row per release, or each release in detail."""
    if detailed:
        for number, release in enumerate(releases):
            yield from (*([""] if number else []), *_details(release))
        return
    head = ("release", *COLUMNS.values(), "backends of each image")
    yield from table(head, [_row(release) for release in releases]).split("\n")
    yield ""
    yield f"Without --release, commands use {newest().name}. `tritonrepo releases RELEASE` lists the backends."


def _row(release: Release) -> list[str]:
    images = ", ".join(f"{image}: {len(backends)}" for image, backends in release.images.items()) or UNKNOWN
    return [release.name, *(release.versions.get(name) or UNKNOWN for name in COLUMNS), images]


def _details(release: Release) -> Iterator[str]:
    yield f"Triton {release.name}"
    width = max(map(len, SPOKEN.values()))
    for name, words in SPOKEN.items():
        yield f"  {words:<{width}}  {_value(release, name)}"
    yield "Backends"
    if not release.images:
        yield f"  {UNKNOWN}"
    width = max(map(len, release.images), default=0)
    for image, backends in release.images.items():
        yield f"  {image:<{width}}  {', '.join(sorted(backends))}"
    for backend, why in release.absent.items():
        yield f"  {backend} is reported missing ({why})"
    yield from _listed("Sources", release.sources)
    yield from _listed("Notes", release.notes)


def _value(release: Release, name: str) -> str:
    """Return a version, with a note if it is not certain."""
    value, sure = release.versions.get(name), release.confidence.get(name, "")
    if value is None:
        return UNKNOWN
    others = [build for build in release.vllm_builds if build != value] if name == "vllm" else []
    also = f" (or {', '.join(others)}: sources differ)" if others else ""
    return f"{value}{also}" if sure in CERTAIN else f"{value}{also} (not certain)"


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (f"  {line}" for line in lines)


def document(releases: Sequence[Release], found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/releases.schema.json` describes; what is unknown is null."""
    return json.document(found, {"default": newest().name, "releases": [_data(release) for release in releases]})


def _data(release: Release) -> Mapping[str, object]:
    return {
        "release": release.name,
        **release.versions,
        "images": {image: sorted(backends) for image, backends in release.images.items()} or None,
        "absent": dict(release.absent),
        "vllm_builds": list(release.vllm_builds),
        "confidence": dict(release.confidence),
        "sources": list(release.sources),
        "notes": list(release.notes),
    }
