"""A generator whose engine is vLLM in Triton: NAME with its engine arguments in model.json, and its own checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.generate import config
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file
from tritonrepo.generate.inputs import Inputs
from tritonrepo.generate.own import own
from tritonrepo.parts import lora
from tritonrepo.pbtxt.printer import Enum, Message
from tritonrepo.releases import RELEASES, Release
from tritonrepo.sources.adapter import Facts
from tritonrepo.spec.declare import key, places
from tritonrepo.spec.part import Places, Port, below, origin, wrong
from tritonrepo.spec.source import Hub
from tritonrepo.vllm_contract import contract

METRICS = "REPORT_CUSTOM_METRICS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """Weights on a disk of the server."""

    path: str = key("absolute path of the weights' directory on the server", example="/mnt/models/llama")
    places: Places = places()


Read = tuple[Mapping[str, Facts], str | None]
"""What the build read: the facts of each adapter, and the revision from which the server loads the model."""


def mounted(model: Any) -> Iterator[Diagnostic]:  # noqa: ANN401  the part's keys
    """Yield a path of the weights that depends on where the server is started."""
    if isinstance(model.weights, Mounted) and not model.weights.path.startswith("/"):
        message = f'the path of the weights must be absolute, not "{model.weights.path}"'
        hint = "Set path to the directory on the server, such as `/mnt/models/NAME`."
        yield wrong(model.weights.places, "path", message, hint)


def check(name: str, model: Any, source_doc: str) -> Iterator[Diagnostic]:  # noqa: ANN401  the part's keys
    """Yield what is wrong with where the weights come from."""
    if model.endpoint is not None:
        yield wrong(
            model.places,
            "endpoint",
            f'generator "{name}" has an endpoint, but engine is vllm',
            "Set `engine: openai`, or remove endpoint.",
        )
    if model.source is None:
        yield wrong(model.places, "", 'required key "source" is missing', f"Add source ({source_doc}).")
    elif isinstance(model.weights, Mounted):
        return
    elif not isinstance(model.source, Hub):
        yield wrong(
            model.places,
            "source",
            f'the server cannot load {model.source.text}, the source of generator "{name}", by itself',
            "Set `weights: {path: /PATH}` to the directory in which the server finds the weights.",
        )
    elif model.source.path:
        message = f'the server loads a whole model, but the source of generator "{name}" is a path in one'
        hint = f"Set source to `hf://{model.source.id}`, or `weights: {{path: /PATH}}` to a directory on the server."
        yield wrong(model.places, "source", message, hint)


def engine(model: Any, revision: str | None) -> dict[str, Any]:  # noqa: ANN401  the part's keys
    """Return the engine arguments that say where the weights are."""
    if isinstance(model.weights, Mounted):
        return {"model": model.weights.path}
    assert isinstance(model.source, Hub)  # noqa: S101  _check refuses others
    return {"model": model.source.id} | ({"revision": revision} if revision else {})


def add(name: str, model: Any, read: Read, draft: Draft, inputs: Inputs) -> None:  # noqa: ANN401  the part's keys
    """Add the vLLM model, with the tensors that the backend of this release has.

    decoupled and max_batch_size 0: vllm_backend, src/model.py, auto_complete_config.
    """
    release, (found, revision) = RELEASES[inputs.stack.target.release], read
    arguments = engine(model, revision) | lora.engine(model, found, release) | dict(model.args)
    adapters = {"multi_lora.json": json_file(lora.listed(model.lora))} if model.lora else {}
    version = draft.number(name, {"model.json": json_file(arguments)} | adapters)
    tensors = [*contract(inputs.stack.target.release)]
    takes, gives = (
        tuple(Port(t.name, t.data_type.removeprefix("TYPE_"), t.dims, t.optional) for t in tensors if t.kind == kind)
        for kind in ("input", "output")
    )
    draft.configure(
        name,
        config.config(
            name,
            "vllm",
            version,
            0,
            Ports(takes, gives),
            instance_group=[{"count": 1, "kind": Enum("KIND_MODEL")}],
            **metrics(release, arguments),
            model_transaction_policy={"decoupled": True},
        ),
        origin(model.places),
        own(model.places, model.config),
    )
    draft.explain(name, "model.json", _origins(model))
    draft.explain(name, "multi_lora.json", below(model.places, "lora"))


def metrics(release: Release, arguments: Mapping[str, Any]) -> dict[str, Message]:
    """Return the parameter with which the backend reports the metrics of its engine, {} where it is not worth it.

    Some releases pay for it with a process: then the user decides. Without statistics, the engine has no metrics.
    """
    if not release.has("vllm-metrics") or release.has("vllm-metrics-in-process") or arguments.get("disable_log_stats"):
        return {}
    value = "true" if release.has("vllm-metrics-as-boolean") else "yes"
    return {"parameters": {METRICS: {"string_value": value}}}


def _origins(model: Any) -> Places:  # noqa: ANN401  the part's keys
    """Return where the fields of model.json come from: most are arguments."""
    arguments, at = below(model.places, "args"), model.places.get("source")
    where = model.weights.places["path"] if isinstance(model.weights, Mounted) else at
    adapters = {name: model.places["lora"] for name in ("enable_lora", "max_lora_rank") if model.lora}
    return {**origin(arguments, model=where, revision=at), **adapters, **arguments}
