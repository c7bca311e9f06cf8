"""What an initial_state is filled with: zeros, or a file of the model's directory initial_state."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow
from tritonrepo.repository.tensors import element_bytes
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.initial_states import DATA, Initial, initials
from tritonrepo.rules.scheduling.states import data_type
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory, File

FOLDER = "initial_state"


def _path_of(each: Initial) -> str | None:
    """Return the path of a state's data_file below the model, None where there is none."""
    name = each.initial.data("data_file")
    return f"{FOLDER}/{name.removeprefix('/')}" if isinstance(name, str) else None


def size_of(each: Initial) -> int:
    """Return how many bytes the server takes from the file, in its own 64 bits; no dims count as none."""
    elements = 1 if each.initial.all("dims") else 0
    for dim in each.initial.numbers("dims"):
        elements *= dim
    return elements * element_bytes(data_type(each.initial)) % (1 << 64)


@rule(
    "initial-state-file-is-directory",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.WARMUP.same_walk("initial-state-too-large"),
    state=State.CRASH,
)
def file_is_directory(model: Model) -> Iterator[Finding]:
    """The data_file of an initial_state is no directory."""
    for each in initials(model):
        path = _path_of(each)
        if path is not None and isinstance(follow(model, path), Directory):
            yield Finding(
                each.initial.scalars("data_file")[-1],
                f"{posixpath.normpath(path)} is a directory: reading it ends the whole server",
                hint="Name a file in it.",
                reason="basic_string::_M_replace_aux",
                item=each.item + DATA,
            )


@rule(
    "initial-state-file-missing",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.WARMUP.same_walk("initial-state-file-is-directory"),
)
def file_missing(model: Model) -> Iterator[Finding]:
    """The data_file of an initial_state is in the model's directory initial_state."""
    for each in initials(model):
        path = _path_of(each)
        words = follow(model, path) if path is not None else None
        if path is not None and isinstance(words, str):
            yield Finding(
                each.initial.scalars("data_file")[-1],
                f"there is no file {path} in the model's directory",
                hint="Put it there, or write zero_data: true instead.",
                reason=f"failed to open text file for read {model.on_server(path)}: {words}",
                item=each.item + DATA,
            )


@rule(
    "initial-state-file-too-short",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.WARMUP.same_walk("initial-state-file-missing"),
)
def file_too_short(model: Model) -> Iterator[Finding]:
    """The data_file of an initial_state has as many bytes as its dims and type need."""
    for each in initials(model):
        path, needs = _path_of(each), size_of(each)
        if path is None or data_type(each.initial) == "TYPE_STRING" or dims_differ(each):
            continue
        file = follow(model, path)
        if isinstance(file, File) and file.size < needs:
            words = f"initial_state setting expects {needs} bytes, but the data provided from"
            yield Finding(
                each.initial.scalars("data_file")[-1],
                f"{posixpath.normpath(path)} has {file.size} bytes, and dims and data_type need {needs}",
                hint=f"Write a file of {needs} bytes.",
                reason=f"{words} {each.initial.text('data_file')}only has {file.size} bytes.",
                item=each.item + DATA,
            )


def dims_differ(each: Initial) -> bool:
    """Whether the dims are wrong already, so that nobody knows how long the file should be."""
    dims, needed = each.initial.numbers("dims"), each.state.numbers("dims")
    wrong = any(dim == -1 or needs not in {-1, dim} for dim, needs in zip(dims, needed, strict=False))
    return wrong or len(dims) != len(needed) or data_type(each.initial) != data_type(each.state)


@rule(
    "initial-state-no-data",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.WARMUP.same_walk("initial-state-file-too-short"),
)
def no_data(model: Model) -> Iterator[Finding]:
    """An initial_state has zero_data or a data_file."""
    for each in initials(model):
        if each.initial.chosen("state_data") is None:
            yield Finding(
                each.initial,
                "this initial_state has no data",
                hint="Write zero_data: true, or data_file: with a file of the model's directory initial_state.",
                reason=f"initial_state setting expects state'{each.input_name}' to have state_data set",
                item=each.item + DATA,
            )
