"""A pipeline as a Triton ensemble: one config.pbtxt whose steps pin the versions that they call."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.generate import config
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft
from tritonrepo.pbtxt.printer import Message
from tritonrepo.spec.part import origin
from tritonrepo.spec.stack import Stack
from tritonrepo.spec.wiring import Member, wired
from tritonrepo.tree import of_bytes


def add(draft: Draft, name: str, stack: Stack) -> None:
    """Add the ensemble. Its version directory holds `.keep`: object stores have no empty directories.

    It has no batch dimension, so an output can have any number of values.
    """
    ensemble = stack.ensembles[name]
    pipeline = wired([(member, stack.part(member)) for member in ensemble.chain])
    assert pipeline is not None  # noqa: S101  spec.check refuses others
    chain = ensemble.places.get("chain")
    steps = [step for member in pipeline.members for step in _steps(draft, member)]
    version = draft.number(name, {".keep": of_bytes(b"")})
    draft.configure(
        name,
        config.config(
            name,
            "ensemble",
            version,
            0,
            Ports(pipeline.inputs, pipeline.outputs),
            ensemble_scheduling={"step": steps},
        ),
        origin(ensemble.places, ensemble_scheduling=chain, input=chain, output=chain),
    )


def _steps(draft: Draft, member: Member) -> Iterator[Message]:
    """Yield the steps of a member; of its outputs, they map only those that are used."""
    ports = {port.name for port in (*member.part.takes, *member.part.gives)}
    for step in member.part.steps:
        model = f"{member.name}{step.ending}"
        inputs = {tensor: member.takes.get(port, port) for tensor, port in step.inputs.items()}
        outputs = {
            tensor: member.gives.get(port, port)
            for tensor, port in step.outputs.items()
            if port in member.gives or port not in ports
        }
        yield config.ensemble_step(model, draft.pinned(model), inputs, outputs)
