"""A pipeline as a Triton ensemble: one config.pbtxt whose steps pin the versions that they call."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tritonrepo.generate import config, handmade
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.own import own
from tritonrepo.pbtxt.printer import Message
from tritonrepo.spec.part import origin
from tritonrepo.spec.stack import Stack
from tritonrepo.spec.wiring import Member, wired


def add(draft: Draft, name: str, stack: Stack) -> None:
    """Add the ensemble; its version directory has no files.

    It has no batch dimension, so an output can have any number of values.
    """
    ensemble = stack.ensembles[name]
    if ensemble.steps:
        handmade.add(draft, name, ensemble)
        return
    pipeline = wired([(member, stack.part(member)) for member in ensemble.chain])
    assert pipeline is not None  # noqa: S101  spec.check refuses others
    chain = ensemble.places.get("chain")
    outputs = [port for port in pipeline.outputs if ensemble.outputs is None or port.name in ensemble.outputs]
    left_out = {port.name for port in pipeline.outputs} - {port.name for port in outputs}
    steps = [step for member in pipeline.members for step in _steps(draft, member, left_out)]
    version = draft.number(name, {})
    draft.configure(
        name,
        config.config(
            name,
            "ensemble",
            version,
            0,
            Ports(pipeline.inputs, tuple(outputs)),
            ensemble_scheduling={"step": steps},
        ),
        origin(ensemble.places, ensemble_scheduling=chain, input=chain, output=chain),
        own(ensemble.places, ensemble.config),
    )


def _steps(draft: Draft, member: Member, left_out: Collection[str]) -> Iterator[Message]:
    """Yield the steps of a member; of its outputs, they map only those that are used."""
    ports = {port.name for port in (*member.part.takes, *member.part.gives)}
    for step in member.part.steps:
        model = f"{member.name}{step.ending}"
        inputs = {tensor: member.takes.get(port, port) for tensor, port in step.inputs.items()}
        outputs = {
            tensor: member.gives.get(port, port)
            for tensor, port in step.outputs.items()
            if (port in member.gives and member.gives[port] not in left_out) or port not in ports
        }
        yield config.ensemble_step(model, draft.pinned(model), inputs, outputs)
