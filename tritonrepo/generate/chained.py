"""A chain with own models, joined by the tensors that their configs list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import closest
from tritonrepo.generate import ports
from tritonrepo.generate.draft import Draft
from tritonrepo.spec import forms
from tritonrepo.spec.joining import Gap
from tritonrepo.spec.part import wrong
from tritonrepo.spec.stack import Ensemble, Stack
from tritonrepo.spec.wiring import QUERY, Chain, Pipeline, wired

LONGEST_STEPS = 300
"""Maximum length of the steps that a hint writes out."""

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
"""Names that YAML reads as strings without quotes, except its words for other values."""

WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


class Call(NamedTuple):
    """A step: its model, and the pipeline's tensor for each of the model's."""

    model: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def joined(draft: Draft, name: str, stack: Stack) -> Pipeline | None:
    """Return the pipeline of a chain; None if it cannot be joined.

    Why goes to the draft's faults, unless the reason is a model whose files could not be obtained, or a pipeline in it.
    """
    ensemble = stack.ensembles[name]
    if not draft.unknown.isdisjoint(ensemble.chain) or any(
        _contains(ensemble.chain, other) for other in draft.unjoined
    ):
        return None
    parts = {member: stack.part(member) for member in ensemble.chain}
    lacks = [
        (member, what)
        for member, part in parts.items()
        if part.free
        for what in ports.unknown(member, draft.configs[member])
    ]
    for member, what in lacks:
        message, hint = f'{what}, so the chain of "{name}" cannot be joined', f'Add it to the config of "{member}".'
        draft.faults.append(wrong(ensemble.places, "chain", message, hint))
    if lacks:
        draft.unjoined.append(ensemble.chain)
        return None
    chain: Chain = [(member, ports.configured(draft, member, parts[member])) for member in ensemble.chain]
    first = chain[0][1]
    asked = [port for port in first.takes if not port.optional] if first.free else [QUERY]
    if forms.form(ensemble, chain) == forms.BLS:
        pipeline = wired(forms.with_listed(ensemble, chain), asked, name=name)
        faults = [*_faults(name, stack, chain, pipeline), *_unlisted(name, ensemble, chain)]
    else:
        pipeline = wired(chain, asked, ensemble.outputs, name)
        faults = [*_faults(name, stack, chain, pipeline)]
    draft.faults += (wrong(ensemble.places, key, message, hint) for key, message, hint in faults)
    draft.unjoined += [ensemble.chain] if faults else []
    return None if faults else pipeline


def _contains(chain: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether a chain has the members of another one in a row, as when it names that pipeline."""
    return any(tuple(chain[start : start + len(other)]) == tuple(other) for start in range(len(chain)))


def max_batch_size(draft: Draft, pipeline: Pipeline) -> int:
    """Return the limit of a pipeline's batches: it batches if all of its models do, up to the smallest limit."""
    return min(ports.max_batch_size(draft.configs[call.model]) for call in calls(pipeline))


def calls(pipeline: Pipeline) -> Iterator[Call]:
    """Yield the steps of a pipeline; of a model's outputs, they map only those that are used."""
    for member in pipeline.members:
        takes, gives = {**member.takes, **member.inner}, {**member.gives, **member.inner}
        for step in member.part.steps:
            yield Call(
                f"{member.name}{step.ending}",
                {tensor: takes[port] for tensor, port in step.inputs.items() if port in takes},
                {tensor: gives[port] for tensor, port in step.outputs.items() if port in gives},
            )


def _faults(name: str, stack: Stack, chain: Chain, pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """Yield key, message and hint of everything that is wrong with a chain."""
    ensemble = stack.ensembles[name]
    given = sorted({port.name for _, part in chain for port in part.gives})
    given += [forms.SOURCES.name] if forms.form(ensemble, chain) == forms.BLS else []
    for output in dict.fromkeys(ensemble.outputs or ()):
        if output not in given:
            message = f'ensemble "{name}" lists the output "{output}", which no model of its chain returns'
            yield "outputs", message, closest(output, given)
    for gap in pipeline.gaps:
        yield "chain", gap.message, _hint(gap, pipeline, ensemble)
    for member in () if pipeline.gaps else pipeline.members:
        for message, hint in member.part.fed(member.name, stack.models[member.name], member.makers):
            yield "chain", message, hint


def _unlisted(name: str, ensemble: Ensemble, chain: Chain) -> Iterator[tuple[str, str, str]]:
    """Yield what the sources of a pipeline need and its chain does not give."""
    lacking = [f'"{port}"' for port in forms.lacking(ensemble, chain)]
    if lacking:
        needs = f'the output "{forms.SOURCES.name}" of "{name}" needs {" and ".join(lacking)}'
        hint = "Add a retriever to the chain, or a model with these outputs."
        yield "outputs", f"{needs}, which no model of its chain returns", hint


def _hint(gap: Gap, pipeline: Pipeline, ensemble: Ensemble) -> str:
    """Return the hint of a gap; it has the steps of one possible pipeline if they fit into a line."""
    steps = ", ".join(map(_written, calls(pipeline)))
    fits = (
        gap.open and all(other.open for other in pipeline.gaps) and len(steps) <= LONGEST_STEPS and not ensemble.outputs
    )
    return f"{gap.hint} One choice is `steps: [{steps}]`." if fits else gap.hint


def _written(call: Call) -> str:
    """Return a step as the stack file has it."""
    maps = (
        ", ".join(f"{_name(tensor)}: {_name(name)}" for tensor, name in each.items())
        for each in (call.inputs, call.outputs)
    )
    return "{{model: {}, inputs: {{{}}}, outputs: {{{}}}}}".format(_name(call.model), *maps)


def _name(text: str) -> str:
    return text if PLAIN.fullmatch(text) and text.lower() not in WORDS else json.dumps(text)
