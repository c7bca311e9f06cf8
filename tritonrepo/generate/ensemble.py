"""A pipeline as a Triton ensemble: one config.pbtxt whose steps pin the versions that they call.

One of the other form is a Python model: generate.bls.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.generate import bls, chained, config, handmade
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.own import own
from tritonrepo.pbtxt.printer import Message
from tritonrepo.spec import forms
from tritonrepo.spec.part import origin
from tritonrepo.spec.stack import Ensemble, Stack
from tritonrepo.spec.wiring import Pipeline, wired


def add(draft: Draft, name: str, stack: Stack) -> None:
    """Add the pipeline; the version directory of an ensemble has no files.

    A chain of roles has no batch dimension, so an output can have any number of values.
    """
    ensemble = stack.ensembles[name]
    members = [(member, stack.part(member)) for member in ensemble.chain]
    if ensemble.steps:
        handmade.add(draft, name, ensemble)
    elif forms.form(ensemble, members) == forms.BLS:
        free = any(part.free for _, part in members)
        called = chained.joined(draft, name, stack) if free else wired(forms.with_listed(ensemble, members))
        if called is not None:
            bls.add(draft, name, ensemble, called, forms.outputs(ensemble, members))
    elif any(part.free for _, part in members):
        pipeline = chained.joined(draft, name, stack)
        if pipeline is not None:
            _configure(draft, name, ensemble, pipeline, chained.max_batch_size(draft, pipeline))
    else:  # spec.check rejects what cannot be joined
        _configure(draft, name, ensemble, wired(members, outputs=ensemble.outputs), 0)


def _configure(draft: Draft, name: str, ensemble: Ensemble, pipeline: Pipeline, max_batch_size: int) -> None:
    chain = ensemble.places.get("chain")
    version = draft.number(name, {})
    draft.configure(
        name,
        config.config(
            name,
            "ensemble",
            version,
            max_batch_size,
            Ports(pipeline.inputs, pipeline.outputs),
            ensemble_scheduling={"step": list(_steps(draft, pipeline))},
        ),
        origin(ensemble.places, ensemble_scheduling=chain, input=chain, output=chain),
        own(ensemble.places, ensemble.config),
    )


def _steps(draft: Draft, pipeline: Pipeline) -> Iterator[Message]:
    for model, inputs, outputs in chained.calls(pipeline):
        yield config.ensemble_step(model, draft.pinned(model), inputs, outputs)
