"""What an engine of generators loads: a graph or weights made of their local models, and where the real vLLM is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.flows import real_vllm
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Target
from tritonrepo.sources.resolve import resolve
from tritonrepo.sources.stand_in import stand_in, wanted
from tritonrepo.sources.vllm_weights import vllm_weights
from tritonrepo.spec.source import Local, parse_source
from tritonrepo.sync import record as records
from tritonrepo.sync.record import Record
from tritonrepo.tree import File

Made = Callable[[dict[str, File], Span], Path]
"""Returns the directory that an engine loads for the files of a local model."""


class Engine(NamedTuple):
    """The engine of generators, and the environment of the real vLLM if the user names one."""

    name: str
    environment: Path | None = None


def settings(
    engine: Engine, record: Record, built_for: Target, bases: tuple[Path, ...], work: Workspace
) -> dict[str, str]:
    """Return the variables of the language model's engine: its local models, and where the real vLLM is."""
    by_class = not built_for.release.has("transformers-5")

    def graph(files: dict[str, File], at: Span) -> Path:
        return stand_in(files, work.cache, at, by_class=by_class)

    if engine.name == "ort":
        return _local_models(record, built_for, bases, work, graph)
    if engine.name != "vllm":
        return {}
    there = real_vllm.found(engine.environment, work)

    def weights(files: dict[str, File], at: Span) -> Path:
        return vllm_weights(files, there.python, work.cache, at)

    return _local_models(record, built_for, bases, work, weights) | real_vllm.settings(there)


def _local_models(
    record: Record, built_for: Target, bases: tuple[Path, ...], work: Workspace, made: Made
) -> dict[str, str]:
    """Return the variable with hub ID → directory of what is loaded for the model; what is not cached is made."""
    found = {}
    for model, text in record.local.items():
        source = parse_source(text)
        near = (base for base in bases if not isinstance(source, Local) or (base / source.path).exists())
        base = next(near, None)
        if base is None:
            hint = "Start in the stack file's directory, to which the path is relative, or use `tritonrepo up STACK`."
            raise fatal("source-missing", text, f"the local file for {model} does not exist", hint)
        at = Span(str(base / records.NAME))
        weights = resolve(source, built_for.arch, work.cache, None, at, links=work.links, only=wanted(source)).files
        found[model] = str(made(weights, at))
    return {"TRITONREPO_LOCAL_MODELS": json.dumps(found)}
