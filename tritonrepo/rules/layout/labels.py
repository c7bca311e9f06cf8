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
    """A label file lies beside config.pbtxt, where label_filename says.

    Why:
        Triton does not look for it in the version directories, and refuses the model without it.
    Source:
        core, src/label_provider.cc, AddLabels
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" }
        -- ranker/1/labels.txt --
        cat
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:3:71: error: there is no "labels.txt" in ranker/ [label-file-missing]
          Move 1/labels.txt beside config.pbtxt, or write "1/labels.txt".
    Server says:
        failed to open text file for read ranker/labels.txt: No such file or directory
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" }
        -- ranker/labels.txt --
        cat
        -- ranker/1/weights --
    """
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
    """A label file lies in its model's directory.

    Why:
        From 26.02 on Triton refuses a label_filename that leads out of it; releases before read any file.
    Source:
        core, src/model.cc, Init
    Run with:
        --release 26.02
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "../labels.txt" }
        -- labels.txt --
        cat
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:3:71: error: "../labels.txt" leads out of ranker/ [label-file-outside-model]
          Put the file beside config.pbtxt.
    Server says:
        label file path 'ranker/../labels.txt' for output 'OUT' in model 'ranker' is outside model directory
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" }
        -- ranker/labels.txt --
        cat
        -- ranker/1/weights --
    """
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
    """A label file is a file.

    Why:
        Where it is a directory the whole server ends as it reads it, and no other model is served either.
    Source:
        core, src/filesystem/implementations/local.h, ReadTextFile
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels" }
        -- ranker/labels/en.txt --
        cat
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:3:71: error: "labels" is a directory, which ends the whole server [label-file-is-directory]
          Name a file.
    Server says:
        server ended: basic_string::_M_replace_aux
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels/en.txt" }
        -- ranker/labels/en.txt --
        cat
        -- ranker/1/weights --
    """
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
    """An output has one label file.

    Why:
        Where two outputs of one name both have a label_filename Triton refuses the model.
    Source:
        core, src/label_provider.cc, AddLabels
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" }
        -- ranker/labels.txt --
        cat
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:71: error: the output "OUT" has a label file already [duplicate-output-label]
          Drop one.
    Server says:
        multiple label files for 'OUT'
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" }
        -- ranker/labels.txt --
        cat
        -- ranker/1/weights --
    """
    seen: set[str] = set()
    for item, output, written, _, _ in _labels(model):
        if output in seen:
            message = f'the output "{output}" has a label file already'
            yield Finding(written, message, hint="Drop one.", reason=f"multiple label files for '{output}'", item=item)
        seen.add(output)
