"""Where in the stack file a generated file comes from, so that a finding names the line that a user can edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic, Span
from tritonrepo.pbtxt import parse
from tritonrepo.spec.stack import Embedder, Ensemble, Generator, Places, Retriever, Stack
from tritonrepo.tree import File, Tree

CONFIG = "config.pbtxt"


class Origins:
    """The stack's places by generated model: what a model comes from, and what a field of its config does."""

    def __init__(self, stack: Stack) -> None:
        self.models: dict[str, Span] = {}
        self.fields: dict[tuple[str, str], Span] = {}
        for name, model in stack.models.items():
            at = model.places
            match model:
                case Embedder():
                    self._add(name, at, _batching(model, "python"))
                    self._add(f"{name}_model", at, _batching(model, "onnxruntime"))
                case Retriever():
                    self._add(name, at, {"output": at.get("top_k"), "input": at.get("embed_with")})
                case Generator():
                    self._add(name, at, {})
                    self._add(f"{name}_prompt", at, {})
                    self.fields[name, "model.json"] = at.get("args", at[""])
        for name, ensemble in stack.ensembles.items():
            self._add(name, ensemble.places, _chain(ensemble))

    def _add(self, name: str, places: Places, fields: Mapping[str, Span | None]) -> None:
        self.models[name] = places[""]
        self.fields |= {(name, field): at for field, at in fields.items() if at is not None}

    def moved(self, diagnostic: Diagnostic, tree: Tree) -> Diagnostic:
        """Give the diagnostic at the stack's place; the generated file is named in the message."""
        name, _, path = diagnostic.at.path.partition("/")
        if name not in self.models:
            return diagnostic
        field = _field(diagnostic, tree) if path == CONFIG else path.rsplit("/", 1)[-1]
        at = self.fields.get((name, field), self.models[name])
        message = f"{diagnostic.message}, in the generated {diagnostic.at}"
        # Its fix would mend the generated file, which the next build writes again.
        return replace(diagnostic, at=at, message=message, fix=None)


def _batching(model: Embedder, backend: str) -> dict[str, Span | None]:
    batching, instances = model.batching.places, model.instances.places
    source = model.places.get("source")
    fields = {
        "max_batch_size": batching.get("max_batch_size", batching.get("")),
        "dynamic_batching": batching.get("preferred", batching.get("")),
    }
    kinds = instances.get("gpus", instances.get("kind", instances.get("")))
    return fields | ({"instance_group": kinds, "input": source, "output": source} if backend == "onnxruntime" else {})


def _chain(ensemble: Ensemble) -> dict[str, Span | None]:
    chain = ensemble.places.get("chain")
    return dict.fromkeys(("ensemble_scheduling", "input", "output"), chain)


def _field(diagnostic: Diagnostic, tree: Tree) -> str:
    """Give the top field of a generated config that a line belongs to."""
    entry = tree.get(diagnostic.at.path)
    if not isinstance(entry, File) or not diagnostic.at.line:
        return ""
    before = [field for field in parse(entry.content()).root.fields if field.line <= diagnostic.at.line]
    return before[-1].name if before else ""
