"""What an initial_state is filled with: zeros, or a file in the model's initial_state directory."""

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
ADDRESSES = 1 << 47
"""More bytes than a process can address."""


def _path_of(each: Initial) -> str | None:
    """Return the path of a state's data_file below the model, or None if it has none."""
    name = each.initial.data("data_file")
    return f"{FOLDER}/{name.removeprefix('/')}" if isinstance(name, str) else None


def size_of(each: Initial) -> int:
    """Return how many bytes the server takes from the file, counted in 64 bits; 0 without dims."""
    elements = 1 if each.initial.all("dims") else 0
    for dim in each.initial.numbers("dims"):
        elements *= dim
    return elements * element_bytes(data_type(each.initial)) % (1 << 64)


def dims_differ(each: Initial) -> bool:
    """Whether dims or data_type are wrong, so that the length of the file is unknown."""
    dims, needed = each.initial.numbers("dims"), each.state.numbers("dims")
    wrong = any(dim == -1 or needs not in {-1, dim} for dim, needs in zip(dims, needed, strict=False))
    return wrong or len(dims) != len(needed) or data_type(each.initial) != data_type(each.state)


@rule(
    "initial-state-too-large",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.WARMUP.same_walk("initial-state-dim"),
    state=State.CRASH,
)
def too_large(model: Model) -> Iterator[Finding]:
    """An initial_state of zeros must fit into memory."""
    for each in initials(model):
        size = size_of(each)
        chosen = each.initial.chosen("state_data")
        if size < ADDRESSES or dims_differ(each) or chosen is None or chosen.name != "zero_data":
            continue
        dims = {dim.data: dim for dim in each.initial.scalars("dims") if isinstance(dim.data, int)}
        odd = min(dims) if min(dims) < 0 else max(dims)
        message = f"an initial_state with dim {odd} needs {size} bytes of zeros, which crashes the server"
        words = "failed to allocate non-pinned system memory"
        yield Finding(
            dims[odd], message, hint="Set the dim to the size of the state.", reason=words, item=each.item + DATA
        )


@rule(
    "initial-state-file-is-directory",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.WARMUP.same_walk("initial-state-too-large"),
    state=State.CRASH,
)
def file_is_directory(model: Model) -> Iterator[Finding]:
    """The data_file of an initial_state cannot be a directory."""
    for each in initials(model):
        path = _path_of(each)
        if path is not None and isinstance(follow(model, path), Directory):
            yield Finding(
                each.initial.scalars("data_file")[-1],
                f"{posixpath.normpath(path)} is a directory, and reading it crashes the server",
                hint="Set data_file to a file in this directory.",
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
    """The data_file of an initial_state must be in the model's initial_state directory."""
    for each in initials(model):
        path = _path_of(each)
        words = follow(model, path) if path is not None else None
        if path is not None and isinstance(words, str):
            yield Finding(
                each.initial.scalars("data_file")[-1],
                f"{path} does not exist in the model's directory",
                hint="Add the file, or use `zero_data: true` instead.",
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
    """The data_file of an initial_state must have as many bytes as its dims and type need."""
    for each in initials(model):
        path, needs = _path_of(each), size_of(each)
        if path is None or data_type(each.initial) == "TYPE_STRING" or dims_differ(each):
            continue
        file = follow(model, path)
        if isinstance(file, File) and file.size < needs:
            words = f"initial_state setting expects {needs} bytes, but the data provided from"
            yield Finding(
                each.initial.scalars("data_file")[-1],
                f"{posixpath.normpath(path)} has {file.size} bytes, but dims and data_type need {needs}",
                hint=f"Use a file of at least {needs} bytes.",
                reason=f"{words} {each.initial.text('data_file')}only has {file.size} bytes.",
                item=each.item + DATA,
            )


@rule(
    "initial-state-no-data",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.WARMUP.same_walk("initial-state-file-too-short"),
)
def no_data(model: Model) -> Iterator[Finding]:
    """An initial_state must have zero_data or a data_file."""
    for each in initials(model):
        if each.initial.chosen("state_data") is None:
            yield Finding(
                each.initial,
                "the initial_state has neither zero_data nor data_file",
                hint="Set `zero_data: true`, or set data_file to a file in the model's initial_state directory.",
                reason=f"initial_state setting expects state'{each.input_name}' to have state_data set",
                item=each.item + DATA,
            )
