"""A graph in another precision than that of its weights, converted once per content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.export.precision import UnfitError
from tritonrepo.export.precision import lowered as to
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.sources.cache import Cache
from tritonrepo.tree import File

RULE = "source-encoder"
AGAIN = "Use `precision: fp32`, or export the model again."
CONVERTER = "precision 2"
"""Increased when the conversion returns other bytes for the same graph."""


def lowered(files: EncoderFiles, precision: str, at: Span, cache: Cache) -> EncoderFiles:
    """Return an encoder whose graph has this precision; raise Stop if its graph cannot be converted."""
    if precision == "fp32":
        return files
    try:
        return replace(files, onnx=converted(files.onnx, precision, "embedder", cache), exact=files)
    except UnfitError as error:
        message = f"the embedder's graph cannot be converted to {precision}: {error}"
        raise fatal(RULE, at, message, AGAIN) from None


def converted(graph: File, precision: str, role: str, cache: Cache) -> File:
    """Return the graph of a role in this precision; raise UnfitError if it cannot be converted."""
    if precision == "fp32":
        return graph

    def make(place: Path) -> None:
        import onnx

        assert graph.path is not None  # noqa: S101  sources give files of this machine
        (place / "model.onnx").write_bytes(to(onnx.load(graph.path), "fp16" if precision == "fp16" else "int8"))

    made = cache.tree(f"{CONVERTER} {precision} {graph.sha256}", f"converting the {role} to {precision}", make)
    return made["model.onnx"]
