"""Files that a config names: batching libraries, model files per compute capability, operator libraries.

Source of the errors: core, src/backend_model.cc, TritonModel::Create, SetBatchingStrategy.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.mending import edited, without
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import File

STRATEGY = "TRITON_BATCH_STRATEGY_PATH"
ELF = b"\x7fELF"
NOWHERE = ("/nonexistent/", "$$TRITON_MODEL_DIRECTORY")
"""Prefixes of paths that exist on no server."""


def _strategies(model: Model) -> list[Message]:
    return [entry for entry in model.config.entries("parameters") if entry.text("key") == STRATEGY]


def _strategy(model: Model) -> Message | None:
    """Return the entry of the parameter, the last one if it is set twice."""
    return next(reversed(_strategies(model)), None)


@rule(
    "batch-strategy-with-sequence",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.COMPLETED.after("duplicate-output-label"),
)
def with_sequence(model: Model) -> Iterator[Finding]:
    """A custom batching strategy cannot be combined with sequence_batching."""
    entry = _strategy(model)
    if entry is not None and not model.is_ensemble:
        yield Finding(
            entry.scalars("key")[-1],
            f"{STRATEGY} cannot be combined with sequence_batching",
            hint="Remove this parameter, or replace sequence_batching with dynamic_batching.",
            reason=f"{STRATEGY} cannot be specified with sequence batcher, using default batching strategy",
            fix=edited(model, *without(model.config, "parameters", _strategies(model)), safe=False),
        )


@rule(
    "batch-strategy-library-missing",
    Severity.ERROR,
    "parameters",
    at=Stage.COMPLETED.after("batch-strategy-with-sequence"),
)
def library_missing(model: Model) -> Iterator[Finding]:
    """The batching library must exist at the path in TRITON_BATCH_STRATEGY_PATH."""
    entry = _strategy(model)
    if entry is None or model.is_ensemble or "sequence_batching" in model.fields:
        return
    value = entry.message("value")
    path = value.text("string_value") if value is not None else ""
    confined = model.target.release.has("confined-batch-strategies")
    outside = confined and path.startswith("/") and model.name not in path.split("/")
    if not path or path.startswith(NOWHERE) or outside:
        written = value.scalars("string_value") if value is not None else []
        yield Finding(
            written[-1] if written else entry,
            f'batching library "{path}" is outside the model\'s directory'
            if outside
            else f'"{path}" cannot be the path of a batching library',
            hint="Move batchstrategy.so to the model's directory and remove this parameter, "
            "or set it to the path on the server.",
            reason="Batching library path escapes model repository."
            if outside
            else f"Batching library path not found: {path}".rstrip(),
        )


@rule("batch-strategy-library-bad", Severity.ERROR, at=Stage.COMPLETED.after("batch-strategy-library-missing"))
def library_bad(model: Model) -> Iterator[Finding]:
    """A batchstrategy.so in the model must be a shared library."""
    if model.is_ensemble or "sequence_batching" in model.fields or not model.served:
        return
    directories = [*(f"{version}/" for version in model.served), ""]
    for directory in directories:
        found = model.entries.get(f"{directory}batchstrategy.so")
        if isinstance(found, File) and found.read(0, len(ELF)) != ELF and _strategy(model) is None:
            yield Finding(
                f"{directory}batchstrategy.so",
                "the file is not a shared library, but Triton loads it as one",
                hint="Rebuild it. If it is a Git LFS pointer, fetch the real file.",
                reason="unable to load shared library:",
            )


@rule("cc-model-filename-missing", Severity.INFO, "cc_model_filenames", "model_operations")
def filename_missing(model: Model) -> Iterator[Finding]:
    """The core does not check the files that cc_model_filenames and model_operations name."""
    operations = model.config.message("model_operations")
    libraries = operations.scalars("op_library_filename") if operations is not None else []
    names = [name for entry in model.config.entries("cc_model_filenames") for name in entry.scalars("value")]
    for name in (*names, *libraries):
        path = str(name.data)
        for version in model.served:
            directory = model.directory_of(version)
            places = [f"{directory}/{path}", *([path] if name in libraries else [])]
            if not path.startswith("/") and ".." not in path and not any(place in model.entries for place in places):
                yield Finding(
                    name,
                    f'"{path}" does not exist in {model.name}/{directory}',
                    hint="Add the file, or remove the entry.",
                )
                break
