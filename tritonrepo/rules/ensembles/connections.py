"""Every tensor between the steps of an ensemble comes from somewhere and goes somewhere."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.dataflow import Dataflow, dataflow, last_missing, name_of, named_unused, waiting
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("output-not-written", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("ensemble-output-unused"))
def output_not_written(model: Model) -> Iterator[Finding]:
    """Every output of an ensemble can be reached from its inputs, step by step."""
    flow = dataflow(model)
    if flow is None:
        return
    for output, last in _unreached(flow).items():
        reason = f"output '{output}' for ensemble '{model.config_name}' is not written"
        if last != output:
            reason += f": at least one of its depending tensors, '{last}', is not connected"
        at = flow.readers[last][1].at if last in flow.readers else name_of(flow.outputs[output])
        effect = "" if last == output else f', so ensemble output "{output}" never comes'
        yield Finding(
            at,
            f"{_absent(flow, last)}{effect}",
            hint=_source(flow, last),
            reason=reason,
            item=flow.outputs[output].item,
        )


@rule("tensor-not-ready", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("output-not-written"))
def tensor_not_ready(model: Model) -> Iterator[Finding]:
    """Every tensor that a step reads comes from an ensemble input or from another step."""
    flow = dataflow(model)
    if flow is None:
        return
    told = {*_unreached(flow).values(), *flow.partners.values()}
    roots = [name for name in flow.missing if name not in told and name not in flow.outputs]
    if not flow.missing and not _unreached(flow):
        roots = [last_missing(flow, name) for name in waiting(flow)][:1]
    for name in roots:
        reason = f"ensemble tensor '{named_unused(flow)}' is unused in ensemble '{model.config_name}'"
        yield Finding(flow.readers[name][1].at, _absent(flow, name), hint=_source(flow, name), reason=reason)


@rule("tensor-never-read", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("tensor-not-ready"))
def tensor_never_read(model: Model) -> Iterator[Finding]:
    """Every tensor that a step writes is read by another step, or is an output of the ensemble."""
    flow = dataflow(model)
    if flow is None:
        return
    partners, first = set(flow.partners.values()), named_unused(flow)
    for name in flow.unread:
        if name not in partners:
            step, mapped = flow.writers[name]
            yield Finding(
                mapped.at,
                f'nobody reads tensor "{name}" of step {step.number} (model "{step.model}")',
                hint=f'Drop this output_map entry, or make "{name}" an output of the ensemble.',
                reason=f"ensemble tensor '{name}' is unused in ensemble '{model.config_name}'",
                item=0 if name == first else 1,
            )


def _unreached(flow: Dataflow) -> dict[str, str]:
    """Return outputs that never come → the tensor that is missing for it; one output for each such tensor."""
    found: dict[str, str] = {}
    known = set(flow.partners.values())
    for output in flow.outputs:
        if output not in flow.ready and (output in flow.writers or output in flow.readers):
            last = last_missing(flow, output)
            if last not in found.values() and last not in known:
                found[output] = last
    return found


def _absent(flow: Dataflow, name: str) -> str:
    if name in flow.writers:
        return f'tensor "{name}" waits for itself: the steps that lead to it read what comes from it'
    return f'no step writes {"ensemble output" if name in flow.outputs else "tensor"} "{name}"'


def _source(flow: Dataflow, name: str) -> str:
    if name in flow.writers:
        return "Let one of them read a tensor that is there before."
    meant = flow.partners.get(name)
    return f'Did you mean "{meant}"?' if meant else "Read an ensemble input, or what another step writes."
