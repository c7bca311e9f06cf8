"""The ONNX file of each served version: whether it is there, and whether ONNX Runtime can read it at all.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::LoadModel; onnxruntime, core/graph/model.cc, Model::Load
and Model::Model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.onnxfile import NO_GRAPH, NO_IR_VERSION, UNSEEN
from tritonrepo.repository import Model
from tritonrepo.repository.graphs import INNER, Graph, graphs
from tritonrepo.repository.paths import follow
from tritonrepo.rules.backends.naming import named
from tritonrepo.rules.backends.places import hint, missing
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import amount

MOST = 1 << 31
"""Bytes that a protobuf message cannot have."""

POINTER = "it is a Git LFS pointer"
HINTS = {
    POINTER: "Run `git lfs pull`, then copy the file itself.",
    NO_IR_VERSION: "Export the model again, or set ir_version with the onnx package.",
    "it is cut off": "Copy the whole file again.",
}
"""What to do about a file, by the first words of what is wrong with it."""


@rule("onnx-model-file-missing", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("onnx-bool-parameter"))
def onnx_file_missing(model: Model) -> Iterator[Finding]:
    """An ONNX model must have its model.onnx in every served version."""
    for path in missing(model, INNER):
        yield Finding(
            path,
            "the ONNX model file is missing",
            hint=hint(model, path, ".onnx"),
            reason=f"{model.name}/{path}' for model instance '{model.name}",
            fix=_found(model, path),
        )


def _found(model: Model, path: str) -> Fix | None:
    """Return the fix for a missing file; its weights may be in other files beside it, which would have to move too."""
    fix, name = named(model, path, ".onnx"), path.rpartition("/")[2]
    stem = name.removesuffix(".onnx")
    alone = all(other == name or not other.startswith(stem) for other in model.children)
    return fix if fix is None or alone else replace(fix, safe=False)


@rule(
    "onnx-directory-form",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-model-file-missing"),
)
def directory_form(model: Model) -> Iterator[Finding]:
    """A directory in place of an ONNX file must contain model.onnx."""
    for graph in graphs(model):
        if graph.path != graph.outer and isinstance(follow(model, graph.path), str):
            yield Finding(
                graph.outer,
                f"this directory stands for the ONNX model, but has no {INNER}, the only file that the backend opens",
                hint=_inside(model, graph.outer),
                reason=f"{model.name}/{graph.path}' for model instance '{model.name}",
            )


@rule("onnx-empty-file", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("onnx-directory-form"))
def empty_file(model: Model) -> Iterator[Finding]:
    """The ONNX file cannot be empty."""
    for graph in graphs(model):
        if graph.file is not None and not graph.file.size:
            yield Finding(
                graph.path,
                "the ONNX file is empty",
                hint="Copy or export the model again.",
                reason=failed(model, graph),
            )


@rule("onnx-not-a-protobuf", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("onnx-empty-file"))
def not_a_protobuf(model: Model) -> Iterator[Finding]:
    """The model file must be an ONNX model."""
    for graph in graphs(model):
        if graph.file is None or not graph.file.size or graph.fault.startswith(UNSEEN):
            continue
        if graph.header is None:
            yield Finding(
                graph.path,
                f"ONNX Runtime cannot read the model: {graph.fault}",
                hint=next((hint for said, hint in HINTS.items() if graph.fault.startswith(said)), "Export it again."),
                reason=failed(model, graph) + (PARSING if certain(graph.fault) else ""),
            )
        elif not graph.header.opsets:
            yield Finding(
                graph.path,
                "the ONNX model does not say which operator sets it uses",
                hint="Export it again, or add to opset_import with the onnx package.",
                reason="Missing opset in the model.",
            )


@rule("onnx-over-2gib", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("onnx-not-a-protobuf"))
def over_2gib(model: Model) -> Iterator[Finding]:
    """An ONNX file must be smaller than 2 GiB."""
    for graph in graphs(model):
        if graph.file is not None and graph.file.size >= MOST and graph.header is not None:
            yield Finding(
                graph.path,
                f"the ONNX file has {amount(graph.file.size)}, but ONNX Runtime reads only files below 2 GiB",
                hint="Save the weights in another file: `onnx.save(model, path, save_as_external_data=True)`.",
                reason=failed(model, graph) + PARSING,
            )


PARSING = "Protobuf parsing failed."


def failed(model: Model, graph: Graph) -> str:
    """Return the words with which ONNX Runtime begins an error about a file."""
    return f"Load model from {model.on_server(graph.path)} failed:"


def certain(fault: str) -> bool:
    """Whether a fault is one of protobuf's wire format, not of what the message holds."""
    return fault not in {NO_GRAPH, NO_IR_VERSION} and (fault == POINTER or not fault.startswith("it is a"))


def _inside(model: Model, path: str) -> str:
    """Return a hint that names the ONNX file of a directory, or the file to add."""
    names = [other.removeprefix(f"{path}/") for other in model.entries if other.startswith(f"{path}/")]
    found = [name for name in names if name.endswith(".onnx")]
    return f"Rename {found[0]} to {INNER}." if len(found) == 1 else f"Add {INNER} to the directory {path}."
