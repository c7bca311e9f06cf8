"""Label files of outputs, which the core reads once it has accepted the config.

Source of all: core, src/model.cc, Init; src/label_provider.cc, AddLabels; seen on 24.10.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, State
from tritonrepo.pbtxt import Scalar
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory


class Kind(StrEnum):
    """What a label file is."""

    THERE = "there"
    MISSING = "missing"
    DIRECTORY = "directory"
    OUTSIDE = "outside"


class Label(NamedTuple):
    """A label file as an output names it: the output's place in the list and its name, its kind, the system's words."""

    item: int
    output: str
    written: Scalar
    kind: Kind
    words: str = ""


def _labels(model: Model) -> Iterator[Label]:
    if b"label_filename" not in model.config.source.text:
        return
    for item, output in enumerate(model.config.messages("output")):
        for written in output.scalars("label_filename")[-1:]:
            if isinstance(written.data, str) and written.data:
                yield Label(item, output.text("name"), written, *_kind(model, written.data))


def _kind(model: Model, name: str) -> tuple[Kind, str]:
    short = posixpath.normpath(f"./{name}")
    if model.target.release.has("confined-label-files") and (short == ".." or short.startswith("../")):
        return Kind.OUTSIDE, ""
    found = follow(model, name)
    if isinstance(found, str):
        return Kind.MISSING, found
    return Kind.DIRECTORY if isinstance(found, Directory) else Kind.THERE, ""


@rule(
    "label-file-missing", Severity.ERROR, "*.label_filename", at=Stage.COMPLETED.same_walk("label-file-outside-model")
)
def missing(model: Model) -> Iterator[Finding]:
    """A label file must exist at label_filename, relative to the model directory."""
    for item, _, written, kind, words in _labels(model):
        if kind is Kind.MISSING:
            name = str(written.data)
            reason = f"failed to open text file for read {model.on_server(name)}: {words}"
            message = f'label file "{name}" does not exist in {model.name}/'
            yield Finding(written, message, hint=_advice(model, name), reason=reason, item=item)


def _advice(model: Model, name: str) -> str:
    base, wanted = name.rpartition("/")[2], posixpath.normpath(f"{model.name}/{name}")
    found = next((path for path in model.entries if path.rpartition("/")[2] == base), "")
    if not found:
        return f"Create {wanted}."
    if f"{model.name}/{found}" == wanted:
        return f'Set label_filename to "{found}".'
    return f'Move {found} to {wanted}, or set label_filename to "{found}".'


@rule("label-file-outside-model", Severity.ERROR, "*.label_filename", at=Stage.COMPLETED.after("config-not-provided"))
def outside(model: Model) -> Iterator[Finding]:
    """A label file must be in its model's directory."""
    for item, output, written, kind, _ in _labels(model):
        if kind is Kind.OUTSIDE:
            path = model.on_server(str(written.data))
            reason = (
                f"label file path '{path}' for output '{output}' in model '{model.name}' is outside model directory"
            )
            message = f'label file "{written.data}" is outside {model.name}/'
            hint = "Move the file next to config.pbtxt, and set label_filename to its name."
            yield Finding(written, message, hint=hint, reason=reason, item=item)


@rule(
    "label-file-is-directory",
    Severity.ERROR,
    "*.label_filename",
    at=Stage.COMPLETED.same_walk("label-file-missing"),
    state=State.CRASH,
)
def is_a_directory(model: Model) -> Iterator[Finding]:
    """A label file must be a file, not a directory."""
    for item, _, written, kind, _ in _labels(model):
        if kind is Kind.DIRECTORY:
            message = f'label file "{written.data}" is a directory, which crashes the server'
            reason = "server ended: basic_string::_M_replace_aux"
            yield Finding(written, message, hint="Set label_filename to a file.", reason=reason, item=item)


@rule(
    "duplicate-output-label",
    Severity.ERROR,
    "*.label_filename",
    at=Stage.COMPLETED.same_walk("label-file-is-directory"),
)
def twice(model: Model) -> Iterator[Finding]:
    """An output cannot have two label files."""
    seen: set[str] = set()
    for item, output, written, _, _ in _labels(model):
        if output in seen:
            message = f'output "{output}" already has a label file'
            hint, reason = "Remove one of the two label_filename fields.", f"multiple label files for '{output}'"
            yield Finding(written, message, hint=hint, reason=reason, item=item)
        seen.add(output)
