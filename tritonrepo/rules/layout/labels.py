"""Label files of outputs, which the core reads once the config has passed.

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
    """A label file as an output names it: its output's name and place in the list, what it is, and the system's words."""

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
    """A label file lies beside config.pbtxt, where label_filename says."""
    for item, _, written, kind, words in _labels(model):
        if kind is Kind.MISSING:
            name = str(written.data)
            reason = f"failed to open text file for read {model.on_server(name)}: {words}"
            yield Finding(
                written, f'there is no "{name}" in {model.name}/', hint=_advice(model, name), reason=reason, item=item
            )


def _advice(model: Model, name: str) -> str:
    base = name.rpartition("/")[2]
    found = next((path for path in model.entries if path.rpartition("/")[2] == base), "")
    return f'Move {found} beside config.pbtxt, or write "{found}".' if found else "Put it beside config.pbtxt."


@rule("label-file-outside-model", Severity.ERROR, "*.label_filename", at=Stage.COMPLETED.after("config-not-provided"))
def outside(model: Model) -> Iterator[Finding]:
    """A label file lies in its model's directory."""
    for item, output, written, kind, _ in _labels(model):
        if kind is Kind.OUTSIDE:
            path = model.on_server(str(written.data))
            reason = (
                f"label file path '{path}' for output '{output}' in model '{model.name}' is outside model directory"
            )
            message = f'"{written.data}" leads out of {model.name}/'
            yield Finding(written, message, hint="Put the file beside config.pbtxt.", reason=reason, item=item)


@rule(
    "label-file-is-directory",
    Severity.ERROR,
    "*.label_filename",
    at=Stage.COMPLETED.same_walk("label-file-missing"),
    state=State.CRASH,
)
def is_a_directory(model: Model) -> Iterator[Finding]:
    """A label file is a file."""
    for item, _, written, kind, _ in _labels(model):
        if kind is Kind.DIRECTORY:
            message = f'"{written.data}" is a directory, which ends the whole server'
            yield Finding(
                written, message, hint="Name a file.", reason="server ended: basic_string::_M_replace_aux", item=item
            )


@rule(
    "duplicate-output-label",
    Severity.ERROR,
    "*.label_filename",
    at=Stage.COMPLETED.same_walk("label-file-is-directory"),
)
def twice(model: Model) -> Iterator[Finding]:
    """An output has one label file."""
    seen: set[str] = set()
    for item, output, written, _, _ in _labels(model):
        if output in seen:
            message = f'the output "{output}" has a label file already'
            yield Finding(written, message, hint="Drop one.", reason=f"multiple label files for '{output}'", item=item)
        seen.add(output)
