"""Where an embedder's own ONNX file is, and the model's files around it, as others than tritonrepo save them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tritonrepo.diagnostics import Span, Stop, fatal
from tritonrepo.onnxfile import BrokenError, external
from tritonrepo.sources.encoder_files import RULE, weighed
from tritonrepo.sources.gather import Gathering
from tritonrepo.sources.prefixes import PROMPTS
from tritonrepo.spec.part import Places
from tritonrepo.spec.source import Hub, Local, Package, Source
from tritonrepo.tree import File

TOKENIZER = "tokenizer.json"
ABOUT = (
    TOKENIZER,
    "config.json",
    "tokenizer_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    PROMPTS,
)
"""The files that say how a model is used."""

USUAL = ("model.onnx", "onnx/model.onnx")
DATA = ("model.onnx_data*", "model.onnx.data", "onnx/model.onnx_data*", "onnx/model.onnx.data")
NESTED = "onnx"
"""The directory in which sentence-transformers keeps the ONNX files of a model (backend/utils.py)."""


MISSING = "source-missing"


class Given(NamedTuple):
    """An ONNX file, the files next to it that hold its weights by location, and those that say how it is used.

    `missing` are locations at which there is no file.
    """

    graph: File
    data: Mapping[str, File]
    own: Mapping[str, File]
    missing: Sequence[str]


def is_graph(files: Mapping[str, File]) -> bool:
    """Return whether a source has an ONNX file, and no weights that would be exported."""
    return not weighed(files) and any(path.endswith(".onnx") for path in files)


def given(source: Source, tokenizer: Source | None, places: Places, gathering: Gathering) -> Given:
    """Return the ONNX file of a source and what belongs to it; raise Stop if it is not clear which one is meant."""
    at = places["source"]
    patterns = (*ABOUT, "[0-9]*_*/*", *USUAL, *DATA)
    found, _, single = gathering.resolved(source, at, patterns)
    path = _chosen(found, at)
    home = path.rpartition("/")[0]
    inner = {name: f"{home}/{name}".lstrip("/") for name in _locations(found[path])}
    if isinstance(source, Hub) and not single and not found.keys() >= {*inner.values()}:
        found = gathering.resolve(source, at, (*patterns, *inner.values()))
    data = {name: found[inner[name]] for name in inner if inner[name] in found}
    if single:
        data |= _beside(source, sorted(inner), at, gathering)
    if tokenizer is not None:
        own: Mapping[str, File] = gathering.resolve(tokenizer, places["tokenizer"], [*ABOUT, "[0-9]*_*/*"])
    else:
        own = _about(source, at, gathering) if single else found
    return Given(found[path], data, own, sorted(inner.keys() - data.keys()))


def _chosen(found: Mapping[str, File], at: Span) -> str:
    graphs = sorted(path for path in found if path.endswith(".onnx"))
    usual = [path for path in USUAL if path in graphs]
    if len(graphs) != 1 and not usual:
        message = f"the source must contain one ONNX file, not {len(graphs)}"
        raise fatal(RULE, at, message, f"Choose one of them: {', '.join((graphs or sorted(found))[:8])}.")
    return usual[0] if usual else graphs[0]


def _locations(graph: File) -> frozenset[str]:
    try:
        return external(graph)
    except BrokenError:  # which is reported with what else is wrong
        return frozenset()


def _about(source: Source, at: Span, gathering: Gathering) -> dict[str, File]:
    """Return the files that say how a model is used whose source is a single file, from the model's directory."""
    for up in _directories(source):
        found = _beside(up, ABOUT, at, gathering)
        if TOKENIZER in found:
            return found
    return {}


def _directories(source: Source) -> Iterator[Source]:
    """Yield the source as if it were in its own directory, then in the one above if that is for ONNX files only."""
    yield source
    if isinstance(source, Local | Hub | Package) and (path := PurePosixPath(source.path)).parent.name == NESTED:
        yield replace(source, path=str(path.parent))


def _beside(source: Source, names: Sequence[str], at: Span, gathering: Gathering) -> dict[str, File]:
    """Return the files of these names in the directory of a single file, as far as they are there."""
    if isinstance(source, Local):
        home = Path(at.path).parent / Path(source.path).parent
        paths = {name: gathering.file(home / name, at) for name in names}
        return {name: file for name, file in paths.items() if file is not None}
    if not names or not isinstance(source, Hub | Package):
        return {}
    head = f"hf://{source.id}" if isinstance(source, Hub) else f"package:{source.requirement}"
    head += f"@{source.revision}" if isinstance(source, Hub) and source.revision else ""
    parent = str(PurePosixPath(source.path).parent).removeprefix(".")
    try:
        found = gathering.resolve(replace(source, path=parent, text=f"{head}/{parent}".rstrip("/")), at, names)
    except Stop as stop:
        if any(told.rule != MISSING for told in stop.diagnostics):
            raise
        return {}  # a directory on the Hub in which none of these files is
    return {name: found[name] for name in names if name in found}
