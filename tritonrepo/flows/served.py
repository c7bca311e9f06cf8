"""The pipelines of a running server: the steps of an ensemble by its served config, those of others by a repository.

A served config has the steps of an ensemble. Those of a Python model that calls others are in its files, which a server
does not show: they are known if the stack or the repository is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonrepo.report.graph import Pipeline, Port, Step, Tensor
from tritonrepo.server.client import Client
from tritonrepo.server.questions import tensors

Pipelines = Mapping[str, Pipeline]

NO_PIPELINES: Pipelines = {}


def pipeline(client: Client, name: str, known: Pipelines = NO_PIPELINES) -> Pipeline:
    """Return a served model with its steps; a model of which none are known is its own only step."""
    config = client.config(name)
    takes, gives = _listed(config, "input"), _listed(config, "output")
    listed = steps(config)
    if not listed and name in known:
        return known[name]._replace(inputs=takes, outputs=gives)
    if not listed:
        into, out = (_ports({each.name: each.name for each in listing}, listing) for listing in (takes, gives))
        return Pipeline(name, takes, gives, (Step(name, "", _backend(config), into, out),), alone=True)
    return Pipeline(name, takes, gives, tuple(_step(client, each) for each in listed))


def steps(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the steps of an ensemble that name a model."""
    scheduling = config.get("ensemble_scheduling")
    listed = scheduling.get("step") if isinstance(scheduling, dict) else None
    found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [each for each in found if isinstance(each.get("model_name"), str)]


def _step(client: Client, step: Mapping[str, Any]) -> Step:
    name, number = str(step["model_name"]), step.get("model_version", -1)
    version = str(number) if isinstance(number, int | str) and str(number).isdecimal() and str(number) != "0" else ""
    config = client.config(name, version)
    takes, gives = (_ports(_mapping(step, f"{kind}_map"), _listed(config, kind)) for kind in ("input", "output"))
    return Step(name, version, _backend(config), takes, gives)


def _mapping(step: Mapping[str, Any], key: str) -> Mapping[str, str]:
    found = step.get(key)
    return {str(name): str(tensor) for name, tensor in found.items()} if isinstance(found, dict) else {}


def _ports(mapping: Mapping[str, str], listed: tuple[Tensor, ...]) -> tuple[Port, ...]:
    types = {each.name: each.type for each in listed}
    return tuple(Port(name, tensor, types.get(name, "")) for name, tensor in mapping.items())


def _listed(config: Mapping[str, Any], kind: str) -> tuple[Tensor, ...]:
    return tuple(Tensor(each["name"], _type(each), bool(each.get("optional"))) for each in tensors(config, kind))


def _type(tensor: Mapping[str, Any]) -> str:
    dims = tensor.get("dims")
    shape = ", ".join(map(str, dims)) if isinstance(dims, list) else ""
    return f"{str(tensor.get('data_type', '')).removeprefix('TYPE_')}[{shape}]"


def _backend(config: Mapping[str, Any]) -> str:
    said = config.get("backend") or config.get("platform")
    return "ensemble" if steps(config) else str(said or "")
