"""A pipeline that is wired by hand as a Triton ensemble; its inputs and outputs are those of the models it calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.generate import config
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.own import own
from tritonrepo.generate.ports import listed, max_batch_size
from tritonrepo.pbtxt.printer import Enum, Message
from tritonrepo.spec.part import Places, origin, wrong
from tritonrepo.spec.stack import Ensemble, Step
from tritonrepo.spec.steps import tensors


def add(draft: Draft, name: str, ensemble: Ensemble) -> None:
    """Add the ensemble. It batches if all of its models do, up to the smallest of their limits.

    Tensors whose types are not known go to the draft's faults. A pipeline that calls a model whose files could not be
    obtained is left out.
    """
    if not draft.unknown.isdisjoint(step.model for step in ensemble.steps):
        return
    inputs, outputs = tensors(ensemble)
    version = draft.number(name, {})
    message: Message = {
        "name": name,
        "platform": "ensemble",
        "version_policy": {"specific": {"versions": [version]}},
        "max_batch_size": min(max_batch_size(draft.configs[step.model]) for step in ensemble.steps),
        "input": list(_ports(draft, ensemble, inputs, "input")),
        "output": list(_ports(draft, ensemble, outputs, "output")),
        "ensemble_scheduling": {
            "step": [
                config.ensemble_step(
                    step.model,
                    draft.pinned(step.model) if step.version is None else step.version,
                    step.inputs,
                    step.outputs,
                )
                for step in ensemble.steps
            ]
        },
    }
    places = {**_places(ensemble), **origin(ensemble.places, output=ensemble.places.get("outputs"))}
    draft.configure(name, message, places, own(ensemble.places, ensemble.config))


def _ports(draft: Draft, ensemble: Ensemble, names: list[str], kind: str) -> Iterator[dict[str, Any]]:
    """Yield the pipeline's tensors with the types and dims of the first model that has them.

    A field of the ensemble's own config replaces them, so that a model whose tensors are not known can be called.
    """
    if kind in ensemble.config:
        return
    for name in names:
        step, key = next(
            (step, key)
            for step in ensemble.steps
            for key, tensor in (step.inputs if kind == "input" else step.outputs).items()
            if tensor == name
        )
        ports = {str(port["name"]): port for port in listed(draft.configs[step.model], kind) if "name" in port}
        if key in ports:
            kept = ("data_type", "dims", "optional") if kind == "input" else ("data_type", "dims")
            yield {"name": name} | {field: ports[key][field] for field in kept if field in ports[key]}
        else:  # a name that the model does not list is found when the ensemble is validated
            yield {"name": name, "data_type": Enum("TYPE_FP32"), "dims": [-1]}
            draft.faults += [] if ports else [_unknown(step, key, kind)]


def _unknown(step: Step, name: str, kind: str) -> Diagnostic:
    message = f'the config of model "{step.model}" lists no {kind}, so the type of "{name}" is unknown'
    hint = f'List {kind} in the config of "{step.model}", or in that of the ensemble.'
    return wrong(step.places, f"{kind}s.{name}", message, hint)


def _places(ensemble: Ensemble) -> Places:
    """Return the places of the steps, by their path in the config."""
    found = {"ensemble_scheduling": ensemble.places["steps"]}
    for number, step in enumerate(ensemble.steps):
        path = f"ensemble_scheduling.step.{number}"
        found[path] = step.places[""]
        found |= {f"{path}.{field}": step.places[key] for field, key in FIELDS.items() if key in step.places}
        for field, key in (("input_map", "inputs"), ("output_map", "outputs")):
            inner = {name: at for name, at in step.places.items() if name.startswith(f"{key}.")}
            found |= {f"{path}.{field}.{name.removeprefix(f'{key}.')}": at for name, at in inner.items()}
    return found


FIELDS = {"model_name": "model", "model_version": "version", "input_map": "inputs", "output_map": "outputs"}
