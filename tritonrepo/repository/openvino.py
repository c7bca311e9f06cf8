"""What an OpenVINO model in XML says of its inputs, outputs and weights; the weights themselves are not read.

Nothing in the file is expanded or fetched: one that has a DOCTYPE is not judged.

Source: openvino, src/core/src/pass/serialize.cpp and src/frontends/ir/src/ir_deserializer.cpp; seen on 2026.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tritonrepo.tree import File

LARGEST = 64 << 20
DEEPEST = 64
"""Nested bodies of loops are some levels deep; a file that is deeper than this is not judged."""

LAYER = ["net", "layers", "layer"]
NUMBER = re.compile(r"[0-9]{1,18}")
COMMA = re.compile(r"(?<!\\),")


@dataclass(slots=True)
class Input:
    """An input: its names, none in an old file, and its shape; None is a size or a shape that is not fixed."""

    names: frozenset[str]
    shape: tuple[int | None, ...] | None


@dataclass(slots=True)
class Graph:
    """The inputs of a model in order, how many bytes of weights it needs, and whether a tensor names its layout."""

    inputs: list[Input] = field(default_factory=list)
    weights: int = 0
    has_layout: bool = False


class UnsureError(Exception):
    """The file is not XML as a serializer of OpenVINO writes it."""


@dataclass(slots=True)
class _Reading:
    graph: Graph = field(default_factory=Graph)
    path: list[str] = field(default_factory=list)
    kind: str = ""
    """The type of the layer of the whole model that is being read."""
    inner: str = ""
    """The type of the innermost layer, which may be in the body of a loop."""

    def start(self, name: str, given: Mapping[str, str]) -> None:
        self.path.append(name)
        if len(self.path) > DEEPEST:
            raise UnsureError
        if name == "layer":
            self.inner = given.get("type", "")
            self.kind = self.inner if self.path == LAYER else self.kind
        elif name == "data" and self.inner == "Const":
            self._constant(given)
        elif self.kind == "Parameter" and self.path == [*LAYER, "data"]:
            self.graph.inputs.append(Input(frozenset(), _shape(given.get("shape", "..."))))
        elif self.kind == "Parameter" and self.path == [*LAYER, "output", "port"] and self.graph.inputs:
            names = COMMA.split(given.get("names", ""))
            self.graph.inputs[-1].names = frozenset(each.replace("\\,", ",") for each in names if each)
        elif name == "attribute" and given.get("name") == "layout":
            self.graph.has_layout = True

    def end(self, _: str) -> None:
        self.path.pop()

    def _constant(self, given: Mapping[str, str]) -> None:
        offset, size = given.get("offset", ""), given.get("size", "")
        if NUMBER.fullmatch(offset) and NUMBER.fullmatch(size) and int(size):
            self.graph.weights = max(self.graph.weights, int(offset) + int(size))


def graph(file: File) -> Graph | None:
    """Return what an OpenVINO model says; None if it cannot be judged."""
    if file.size > LARGEST:
        return None
    from xml.parsers import expat  # noqa: PLC0415  few repositories have such a model

    reading = _Reading()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    parser.StartDoctypeDeclHandler = _refuse
    try:
        for chunk in file.chunks():
            parser.Parse(chunk, False)  # noqa: FBT003  expat takes it by position only
        parser.Parse(b"", True)  # noqa: FBT003
    except (expat.ExpatError, UnsureError):
        return None
    return reading.graph


def _refuse(*_: object) -> None:
    raise UnsureError


def _shape(text: str) -> tuple[int | None, ...] | None:
    """Return the sizes of a shape such as "?,3,224,224"; None for a rank that is not fixed."""
    if "..." in text.replace(" ", "").split(","):
        return None
    sizes = [each.strip() for each in text.split(",")] if text.strip() else []
    return tuple(int(each) if NUMBER.fullmatch(each) else None for each in sizes)
