"""The pipeline of `graph`: the pipelines of a stack or a repository, drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritonrepo import repository
from tritonrepo.diagnostics import Faults, Severity, fatal
from tritonrepo.flows.paths import is_stack, reading
from tritonrepo.flows.stack import drafted, load
from tritonrepo.flows.target import of_record, of_stack, record_of
from tritonrepo.flows.workspace import Workspace
from tritonrepo.pbtxt import Message, Scalar
from tritonrepo.report.graph import Pipeline, Port, Step, Tensor, mermaid, svg, text
from tritonrepo.repository import Model, Repository
from tritonrepo.repository.pipelines import scripted
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.stores import open_store

Pairs = Iterable[tuple[str, str]]
"""Tensors of a model, each with the pipeline's."""

FORMATS = {"text": text.drawn, "mermaid": mermaid.drawn, "svg": svg.drawn}


def graph(where: Path | str | Sequence[Path | str], work: Workspace, form: str = "text") -> str:
    """Return the drawing of the pipelines of a stack, or of the directory or URI of a repository.

    What a stack needs and lacks, such as an index, is reported as a warning; the drawing then has what is known.
    """
    return drawn(drawable(where, work), form)


def drawn(found: Iterable[Pipeline], form: str) -> str:
    """Return the drawing of pipelines in one of FORMATS."""
    return FORMATS[form](found)


def drawable(where: Path | str | Sequence[Path | str], work: Workspace) -> list[Pipeline]:
    """Return what `graph` draws."""
    one = str(where) if isinstance(where, Path | str) else None
    found = _of_repository(one, work) if one is not None and not is_stack(one) else _of_stack(where, work)
    if not found.models:
        message = "the path does not exist or has no models, so there is nothing to draw"
        raise fatal("graph-empty", one or "", message, "Use a stack, or a directory that contains models.")
    return pipelines(found)


@reading()
def _of_stack(where: Path | str | Sequence[Path | str], work: Workspace) -> Repository:
    loaded, faults = load(where, work), Faults()
    draft = drafted(loaded.gathering(), loaded.lock.models, faults)
    for fault in faults.found:
        work.tell(replace(fault, severity=Severity.WARNING))
    return repository.read(draft.tree, repository.target(stack=of_stack(loaded.stack)))


@reading()
def _of_repository(where: str, work: Workspace) -> Repository:
    store, prefix = open_store(where, work.links)
    tree = store.scan(prefix)
    return repository.read(tree, repository.target(record=of_record(record_of(store, prefix, tree, where), where)))


def pipelines(found: Repository) -> list[Pipeline]:
    """Return the pipelines, then the other models that are not steps of one.

    A model that only other models call is left out: the drawing of these names it. It is drawn if it calls models
    itself, which no other drawing says.
    """
    calling = {name: called for name, model in found.models.items() if (called := scripted(model))}
    models = [model for model in found.models.values() if not model.is_ensemble and model.name not in calling]
    made = [
        _scripted(model, calling[model.name], found.models) if model.name in calling else _pipeline(model, found.models)
        for model in found.models.values()
        if model.is_ensemble or model.name in calling
    ]
    steps = {step.model for pipeline in made for step in pipeline.steps}
    named = {call.model for model in models for call in model.calls}
    rest = [each for each in models if each.name not in steps and (each.calls or each.name not in named)]
    return [*made, *map(_alone, rest)]


def _pipeline(model: Model, models: Mapping[str, Model]) -> Pipeline:
    scheduling = model.config.message("ensemble_scheduling")
    steps = tuple(_step(node, models) for node in scheduling.messages("step")) if scheduling is not None else ()
    return Pipeline(model.name, _listed(model, "input"), _listed(model, "output"), steps)


def _scripted(model: Model, called: Iterable[Mapping[str, Any]], models: Mapping[str, Model]) -> Pipeline:
    """Return a pipeline that is a Python model."""
    steps = tuple(
        _call(step["model_name"], step["model_version"], step["input_map"].items(), step["output_map"].items(), models)
        for step in called
    )
    return Pipeline(model.name, _listed(model, "input"), _listed(model, "output"), steps)


def _alone(model: Model) -> Pipeline:
    takes, gives = _listed(model, "input"), _listed(model, "output")
    step = Step(model.name, "", _backend(model), _ports(takes), _ports(gives), _calls(model))
    return Pipeline(model.name, takes, gives, (step,), alone=True)


def _ports(tensors: Iterable[Tensor]) -> tuple[Port, ...]:
    return tuple(Port(each.name, each.name, each.type) for each in tensors)


def _step(node: Message, models: Mapping[str, Model]) -> Step:
    takes, gives = (
        [(str(name), _text(value)) for name, value in node.mapping(f"{kind}_map").items()]
        for kind in ("input", "output")
    )
    # model_version is 0 where it is not set
    return _call(node.text("model_name"), node.integer("model_version"), takes, gives, models)


def _call(name: str, version: int, takes: Pairs, gives: Pairs, models: Mapping[str, Model]) -> Step:
    model = models.get(name)
    backend, calls = (_backend(model), _calls(model)) if model is not None else ("unknown model", ())
    ports = _mapped(takes, model, "input"), _mapped(gives, model, "output")
    return Step(name, str(version) if version >= 0 else "", backend, *ports, calls)


def _mapped(found: Pairs, model: Model | None, kind: str) -> tuple[Port, ...]:
    """Return the ports of a step, with the types that its model lists."""
    types = {each.name: each.type for each in _listed(model, kind)} if model is not None else {}
    return tuple(Port(name, tensor, types.get(name, "")) for name, tensor in found)


def _text(value: object) -> str:
    return str(value.data) if isinstance(value, Scalar) else ""


def _listed(model: Model, kind: str) -> tuple[Tensor, ...]:
    return tuple(Tensor(each.name, _type(each), each.flag("optional")) for each in model.tensors if each.kind == kind)


def _type(tensor: ListedTensor) -> str:
    return tensor.data_type and f"{tensor.data_type.removeprefix('TYPE_')}[{', '.join(map(str, tensor.dims))}]"


def _backend(model: Model) -> str:
    return "ensemble" if model.is_ensemble else model.backend


def _calls(model: Model) -> tuple[str, ...]:
    return tuple(dict.fromkeys(call.model for call in model.calls))
