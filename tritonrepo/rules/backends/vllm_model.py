"""The language model that a model.json names: its config.json where that is at hand, else what the table knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.llm.table import known_config
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.backends.arguments import LARGEST_JSON, Arguments, objects
from tritonrepo.tree import Entry, File

CONFIG_JSON = "config.json"
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npz")
ELSEWHERE = ("hf_overrides", "hf_config_path", "config_format")
"""Keys of model.json that change what vLLM reads as the model's config."""


class Described(NamedTuple):
    """A model.json, its object, and the config.json of the model that it names; None if that is not known."""

    arguments: Arguments
    value: Mapping[str, Any]
    config: Mapping[str, Any] | None


@once
def described(model: Model) -> Sequence[Described]:
    """Return the model.json of each served version with its model's config.json."""
    return [Described(each, value, _config(model, value)) for each, value in objects(model)]


def inside(model: Model, value: Mapping[str, Any]) -> str | None:
    """Return the directory below the model that its model.json names by an absolute path; None if it is none.

    The repository lies elsewhere on the server, so the path's end decides: it is that of a directory with files of a
    model, weights or a config.json.
    """
    name = value.get("model")
    if not isinstance(name, str) or not name.startswith("/"):
        return None
    path = f"{name.rstrip('/')}/".rpartition(f"/{model.name}/")[2].rstrip("/")
    names = [each for each, _ in below(model, path)] if path else []
    return path if any(each == CONFIG_JSON or each.endswith(WEIGHTS) for each in names) else None


def quantized(config: Mapping[str, Any] | None) -> str:
    """Return how a config.json says that the weights are quantized; "" if it does not."""
    found = config.get("quantization_config") if config is not None else None
    method = found.get("quant_method") if isinstance(found, dict) else None
    return method.lower() if isinstance(method, str) else ""


def below(model: Model, path: str) -> Iterator[tuple[str, Entry]]:
    """Yield the entries directly in a directory, by name."""
    for each, entry in model.entries.items():
        directory, _, name = each.rpartition("/")
        if directory == path:
            yield name, entry


def _config(model: Model, value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    name = value.get("model")
    if not isinstance(name, str) or any(key in value for key in ELSEWHERE):
        return None
    path = inside(model, value)
    return known_config(name) if path is None else _read(model.file(f"{path}/{CONFIG_JSON}"))


def _read(file: File | None) -> Mapping[str, Any] | None:
    if file is None or file.size > LARGEST_JSON:
        return None
    try:
        found = json.loads(file.content())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
