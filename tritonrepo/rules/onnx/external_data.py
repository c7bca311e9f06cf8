"""The files that hold weights of an ONNX file: named, there, large enough, and next to it.

Source: onnxruntime, core/framework/tensorprotoutils.cc, GetExternalDataInfo, GetExtDataFromTensorProto and
ValidateExternalDataPath. ONNX Runtime 1.16 to 1.28 were asked to load such models: they drop weights that nothing uses
before they read them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, nearest
from tritonrepo.onnxfile import External, used
from tritonrepo.repository import Model
from tritonrepo.repository.graphs import graphs
from tritonrepo.repository.paths import MISSING, follow
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory, File, amount

READ = {"initializer", "constant"}
"""Places of tensors that ONNX Runtime reads if a node uses them."""


class Place(NamedTuple):
    """A file of weights, as an ONNX file names it: the tensors in it, and the ONNX file."""

    onnx: str
    location: str
    tensors: Sequence[External]

    @property
    def path(self) -> str:
        """Its path relative to the model's directory."""
        return posixpath.join(posixpath.dirname(self.onnx), self.location)


@rule(
    "onnx-external-data-entry",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-unknown-op"),
)
def entry(model: Model) -> Iterator[Finding]:
    """An ONNX file must say correctly where the weights in other files are."""
    if model.target.release.onnxruntime is None:
        return
    for graph in graphs(model):
        found = [each for each in graph.header.externals if each.fault] if graph.header is not None else []
        names = used_by(model, graph.path) if found else frozenset()
        for tensor in [each for each in found if each.size != 0 and each.place in READ and each.name in names][:1]:
            what, words = tensor.fault or ("", "")
            yield Finding(
                graph.path,
                f'the entries that say where the weights of tensor "{tensor.name}" are have a fault: {what}',
                hint="Save the model again: `onnx.save(model, path, save_as_external_data=True)`.",
                reason=words,
            )


@rule(
    "onnx-external-data-missing",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-external-data-entry"),
)
def missing(model: Model) -> Iterator[Finding]:
    """The files with the weights of an ONNX file must exist."""
    for place in _places(model):
        found = follow(model, place.path) if not _leaves(place.location) else ""
        directory = isinstance(found, Directory)
        if (found == MISSING or directory) and (count := _used(model, place)):
            some = f"{count:,} tensors" if count > 1 else f'tensor "{place.tensors[0].name}"'
            what = "is a directory" if directory else "does not exist"
            yield Finding(
                place.onnx,
                f'the weights of {some} are in the file "{place.location}", which {what}',
                hint=_instead(model, place),
                reason=_directory_words(model, place) if directory else _words(model, place),
            )


@rule(
    "onnx-external-data-truncated",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-external-data-missing"),
)
def truncated(model: Model) -> Iterator[Finding]:
    """The files with the weights of an ONNX file must be complete."""
    for place in _places(model):
        found = follow(model, place.path)
        if not isinstance(found, File) or posixpath.isabs(place.location):
            continue
        short = [tensor for tensor in place.tensors if _end(tensor) > found.size and tensor.place in READ]
        if (
            short
            and (names := used_by(model, place.onnx))
            and (short := [each for each in short if each.name in names])
        ):
            last = max(short, key=_end)
            yield Finding(
                posixpath.normpath(place.path),
                f"the file has {found.size:,} bytes, but the weights that {posixpath.basename(place.onnx)} reads from "
                f"it end at byte {_end(last):,} ({amount(_end(last) - found.size)} are missing)",
                hint="Copy the whole file again, together with the ONNX file that it belongs to.",
                reason=f"External initializer: {short[0].name} offset: {short[0].offset or 0} size to read: "
                f"{_bytes(short[0])} given file_length: {found.size} are out of bounds or can not be read in full."
                if len(short) == 1
                else "are out of bounds or can not be read in full.",
            )


@rule(
    "onnx-external-data-escapes",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-external-data-truncated"),
)
def escapes(model: Model) -> Iterator[Finding]:
    """The files with the weights of an ONNX file must be in its directory."""
    if not model.target.release.has("onnx-confined-weights"):
        return
    for place in _places(model):
        if _leaves(place.location) and _used(model, place):
            yield Finding(
                place.onnx,
                f'the weights are in the file "{place.location}", outside the directory of the ONNX file',
                hint="Move the file next to the ONNX file, and save the model with that location.",
                reason="External data path validation failed for initializer: ",
            )


def _places(model: Model) -> Iterator[Place]:
    """Yield the files of weights that are named, each once per ONNX file."""
    for graph in graphs(model):
        found: dict[str, list[External]] = {}
        for tensor in graph.header.externals if graph.header is not None else ():
            if (
                tensor.location
                and tensor.fault is None
                and "\0" not in tensor.location
                and not tensor.location.startswith("*/")
            ):
                found.setdefault(tensor.location, []).append(tensor)
        yield from (Place(graph.path, location, tensors) for location, tensors in found.items())


def _leaves(location: str) -> bool:
    return posixpath.isabs(location) or posixpath.normpath(location).split("/")[0] == ".."


def _used(model: Model, place: Place) -> int:
    """Return how many tensors of a file are read for sure."""
    names = used_by(model, place.onnx)
    return sum(
        tensor.size != 0 and (tensor.place == "subgraph" or (tensor.place in READ and tensor.name in names))
        for tensor in place.tensors
    )


def used_by(model: Model, path: str) -> frozenset[str]:
    """Return the names of tensors that an ONNX file uses; its nodes are walked again."""
    return next((used(graph.file) for graph in graphs(model) if graph.path == path and graph.file), frozenset())


def _bytes(tensor: External) -> int:
    return tensor.size or 0 if tensor.length is None else tensor.length


def _end(tensor: External) -> int:
    """Return the byte at which the data of a tensor ends."""
    return (tensor.offset or 0) + _bytes(tensor)


def _instead(model: Model, place: Place) -> str:
    """Return a hint that names the file that is there instead."""
    directory, name = posixpath.split(posixpath.normpath(place.path))
    others = {
        posixpath.basename(path): path
        for path in model.entries
        if posixpath.dirname(path) == directory and not path.endswith((".onnx", ".pbtxt", ".txt", ".json"))
    }
    if len(others) == 1:
        return f"Rename {next(iter(others))} to {name}: the name is written in the ONNX file."
    if near := nearest(name, others):
        return f"Rename {near} to {name}: the name is written in the ONNX file."
    return f"Copy {name} to the directory {directory} from where the ONNX file was made."


WORDS: Mapping[str, str] = {
    "onnx-weights-looked-up": 'External data path does not exist: "{path}"',
    "onnx-file-size-words": "cannot get file size: No such file or directory [{path}]",
}


def _on_server(model: Model, place: Place) -> str:
    return posixpath.join(model.on_server(posixpath.dirname(place.onnx)), place.location)


def _directory_words(model: Model, place: Place) -> str:
    """Return the words of ONNX Runtime for a directory in place of a file."""
    if all(tensor.place == "subgraph" for tensor in place.tensors):
        return ""
    if any(model.target.release.has(fact) for fact in WORDS):
        return f"cannot get file size: Is a directory [{_on_server(model, place)}]"
    return "SystemError : 21"


def _words(model: Model, place: Place) -> str:
    """Return the words of ONNX Runtime for a file that is missing."""
    if all(tensor.place == "subgraph" for tensor in place.tensors):
        return "should be stored in "
    path = _on_server(model, place)
    fact = next((fact for fact in WORDS if model.target.release.has(fact)), "")
    return WORDS[fact].format(path=path) if fact else f"GetFileLength for {path} failed:Invalid fd was supplied: -1"
