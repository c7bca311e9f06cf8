"""Files of an embedder's source: its JSON files, and its weights, in one file or in several with an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import Span, Stop, fatal
from tritonrepo.tree import File

if TYPE_CHECKING:
    from numpy.typing import NDArray

RULE = "source-encoder"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
"""The names under which transformers saves weights (utils/__init__.py, SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)."""

AGAIN = "Fix the file, or download it again."

Files = Mapping[str, File]


def parsed(files: Files, name: str, at: Span) -> Any:  # noqa: ANN401  foreign data
    """Return what a JSON file says; None if the file is missing."""
    try:
        return json.loads(files[name].content()) if name in files else None
    except (ValueError, RecursionError) as error:
        raise fatal(RULE, at, f'"{name}" of the embedder\'s source is not valid JSON: {error}', AGAIN) from None


def mapping(files: Files, name: str, at: Span) -> Mapping[str, Any]:
    """Return the object in a JSON file; an empty one if the file is missing."""
    said = parsed(files, name, at)
    if said is not None and not isinstance(said, dict):
        raise fatal(RULE, at, f'"{name}" of the embedder\'s source is not a JSON object', AGAIN)
    return said or {}


def missing(files: Files, name: str, at: Span) -> Stop:
    """Return the diagnostic for a file that is needed."""
    hint = f"Add the file, or use another source. This one contains: {', '.join(sorted(files)[:10])}."
    return fatal(RULE, at, f'"{name}" is missing from the embedder\'s source', hint)


def weighed(files: Files) -> bool:
    """Return whether there are weights that can be exported."""
    return WEIGHTS in files or INDEX in files


def shards(files: Files, at: Span) -> Mapping[str, str]:
    """Return the file of each tensor as the index says; an empty mapping if all weights are in one file."""
    if WEIGHTS in files or INDEX not in files:
        return {}
    said = mapping(files, INDEX, at).get("weight_map")
    if not isinstance(said, dict) or not said or not all(isinstance(name, str) for name in said.values()):
        message = f'"{INDEX}" of the embedder\'s source has no weight_map from tensors to files'
        raise fatal(RULE, at, message, "Download the index and the files of weights again.")
    for name in sorted(set(said.values())):
        if "/" in name or name not in files:
            message = f'"{INDEX}" of the embedder\'s source names {name!r}, which is not next to it'
            raise fatal(RULE, at, message, "Download all files of weights into one directory.")
    return said


def tensors(files: Files, index: Mapping[str, str], at: Span) -> dict[str, NDArray[Any]]:
    """Return all weights; raise Stop if the files are damaged, or hold other tensors than the index says."""
    found: dict[str, NDArray[Any]] = {}
    places: dict[str, str] = {}
    for name in sorted(set(index.values())) or [WEIGHTS]:
        for tensor, value in loaded(files, name).items():
            if tensor in found:
                message = f'tensor "{tensor}" of the embedder\'s source is both in {places[tensor]} and in {name}'
                raise fatal(RULE, at, message, "Use the complete files of one model.")
            found[tensor], places[tensor] = value, name
    for tensor, name in sorted(index.items()):
        if places.get(tensor) != name:
            message = f'tensor "{tensor}" of the embedder\'s source is not in {name}, where {INDEX} says it is'
            raise fatal(RULE, at, message, "Use the index and the complete files of one model.")
    return found


def loaded(files: Files, name: str) -> dict[str, NDArray[Any]]:
    """Return the tensors of one file."""
    from tritonrepo.export import weights

    path = files[name].path
    assert path is not None  # noqa: S101  sources give files of this machine
    return weights.safetensors(path)
