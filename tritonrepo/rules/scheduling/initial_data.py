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
    """The data_file of an initial_state is no directory.

    Why:
        The server opens the directory as a file, takes its size for an immense one, and ends: every other model is
        gone with it. An empty data_file means the directory initial_state itself.
    Source:
        core, src/filesystem/implementations/local.h, LocalFileSystem::ReadTextFile; seen in 24.10: signal 6
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ 4 ]
            initial_state { name: "start" data_type: TYPE_FP32 dims: [ 4 ] data_file: "start" }
          }
        }
        -- tracker/1/weights --
        -- tracker/initial_state/start/values --
        0123456789abcdef
    Says:
        tracker/config.pbtxt:8:79: error: initial_state/start is a directory: reading it ends the whole server [initial-state-file-is-directory]
          Name a file in it.
    Server says:
        basic_string::_M_replace_aux
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ 4 ]
            initial_state { name: "start" data_type: TYPE_FP32 dims: [ 4 ] data_file: "start/values" }
          }
        }
        -- tracker/1/weights --
        -- tracker/initial_state/start/values --
        0123456789abcdef
    """
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
    """The data_file of an initial_state is in the model's directory initial_state.

    Why:
        It is looked for there, beside the version directories, and read when the model is loaded.
    Source:
        core, src/sequence_batch_scheduler/sequence_batch_scheduler.cc, GenerateInitialStateData
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ 4 ]
            initial_state { name: "start" data_type: TYPE_FP32 dims: [ 4 ] data_file: "start" }
          }
        }
        -- tracker/1/start --
        0123456789abcdef
    Says:
        tracker/config.pbtxt:8:79: error: there is no file initial_state/start in the model's directory [initial-state-file-missing]
          Put it there, or write zero_data: true instead.
    Server says:
        failed to open text file for read tracker/initial_state/start: No such file or directory
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ 4 ]
            initial_state { name: "start" data_type: TYPE_FP32 dims: [ 4 ] data_file: "start" }
          }
        }
        -- tracker/1/weights --
        -- tracker/initial_state/start --
        0123456789abcdef
    """
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
    """The data_file of an initial_state has as many bytes as its dims and type need.

    Why:
        The server takes the first bytes for the state and reads no more. A file for TYPE_STRING may have any size.
    Source:
        core, src/sequence_batch_scheduler/sequence_batch_scheduler.cc, GenerateInitialStateData
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ 4 ]
            initial_state { name: "start" data_type: TYPE_FP32 dims: [ 4 ] data_file: "start" }
          }
        }
        -- tracker/1/weights --
        -- tracker/initial_state/start --
        0123
    Says:
        tracker/config.pbtxt:8:79: error: initial_state/start has 4 bytes, and dims and data_type need 16 [initial-state-file-too-short]
          Write a file of 16 bytes.
    Server says:
        initial_state setting expects 16 bytes, but the data provided from startonly has 4 bytes.
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ 4 ]
            initial_state { name: "start" data_type: TYPE_FP32 dims: [ 4 ] data_file: "start" }
          }
        }
        -- tracker/1/weights --
        -- tracker/initial_state/start --
        0123456789abcdef
    """
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
    """An initial_state has zero_data or a data_file.

    Why:
        Zeros are no default: without either the server refuses the model.
    Source:
        core, src/sequence_batch_scheduler/sequence_batch_scheduler.cc, GenerateInitialStateData
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ 4 ]
            initial_state { name: "zeros" data_type: TYPE_FP32 dims: [ 4 ] }
          }
        }
        -- tracker/1/weights --
    Says:
        tracker/config.pbtxt:8:19: error: this initial_state has no data [initial-state-no-data]
          Write zero_data: true, or data_file: with a file of the model's directory initial_state.
    Server says:
        initial_state setting expects state'LAST' to have state_data set
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ 4 ]
            initial_state { name: "zeros" data_type: TYPE_FP32 dims: [ 4 ] zero_data: true }
          }
        }
        -- tracker/1/weights --
    """
    for each in initials(model):
        if each.initial.chosen("state_data") is None:
            yield Finding(
                each.initial,
                "this initial_state has no data",
                hint="Write zero_data: true, or data_file: with a file of the model's directory initial_state.",
                reason=f"initial_state setting expects state'{each.input_name}' to have state_data set",
                item=each.item + DATA,
            )
