"""An embedder's graph in another precision than that of its weights, converted once per content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.sources.cache import Cache

RULE = "source-encoder"
CONVERTER = "precision 2"
"""Increased when the conversion returns other bytes for the same graph."""


def lowered(files: EncoderFiles, precision: str, at: Span, cache: Cache) -> EncoderFiles:
    """Return an encoder whose graph has this precision; raise Stop if its graph cannot be converted."""
    if precision == "fp32":
        return files

    def make(place: Path) -> None:
        import onnx

        from tritonrepo.export import precision as export

        path = files.onnx.path
        assert path is not None  # noqa: S101  sources give files of this machine
        try:
            content = export.lowered(onnx.load(path), "fp16" if precision == "fp16" else "int8")
        except export.UnfitError as error:
            message = f"the embedder's graph cannot be converted to {precision}: {error}"
            raise fatal(RULE, at, message, "Use `precision: fp32`, or export the model again.") from None
        (place / "model.onnx").write_bytes(content)

    made = cache.tree(f"{CONVERTER} {precision} {files.onnx.sha256}", f"converting the embedder to {precision}", make)
    return replace(files, onnx=made["model.onnx"], exact=files.onnx)
