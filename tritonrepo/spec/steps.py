"""Checks of pipelines that are wired by hand. Tensors and types are checked later, by the config that is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tritonrepo.diagnostics import Diagnostic, Severity, nearest
from tritonrepo.spec.part import misspelt, wrong
from tritonrepo.spec.stack import Ensemble, Stack

SIMILAR = 0.8
"""From this ratio on, two names of tensors may be one that is misspelt (`difflib.SequenceMatcher.ratio`)."""


def tensors(ensemble: Ensemble) -> tuple[list[str], list[str]]:
    """Return the inputs and outputs of a pipeline of steps: what no step returns, and what none reads or is listed."""
    read = dict.fromkeys(tensor for step in ensemble.steps for tensor in step.inputs.values())
    written = dict.fromkeys(tensor for step in ensemble.steps for tensor in step.outputs.values())
    outputs = list(ensemble.outputs) if ensemble.outputs else [tensor for tensor in written if tensor not in read]
    return [tensor for tensor in read if tensor not in written], outputs


def faults(name: str, ensemble: Ensemble, stack: Stack) -> Iterator[Diagnostic]:
    """Yield what is wrong with the steps of a pipeline."""
    built = stack.built()
    if ensemble.chain:
        yield wrong(ensemble.places, "steps", f'ensemble "{name}" sets both chain and steps', "Remove one of them.")
    for step in ensemble.steps:
        if step.model in stack.ensembles:
            message = f'a step of "{name}" calls the pipeline "{step.model}"'
            hint = f'Call the models of "{step.model}" instead: a push could not switch both pipelines at once.'
            yield wrong(step.places, "model", message, hint)
        elif step.model not in built:
            message = f'"{name}" calls "{step.model}", which is not a model of this stack'
            yield misspelt(step.places, "model", message, step.model, sorted(built))
    yield from _written_twice(name, ensemble)
    yield from _outputs(name, ensemble)


def doubts(name: str, ensemble: Ensemble) -> Iterator[Diagnostic]:
    """Yield the tensors that become inputs of a pipeline, although a similar one is returned that no step reads."""
    inputs, outputs = tensors(ensemble)
    if ensemble.outputs:
        return
    for step in ensemble.steps:
        for key, tensor in step.inputs.items():
            meant = nearest(tensor, outputs, SIMILAR) if tensor in inputs else ""
            if meant and meant not in step.outputs.values():
                message = f'no step returns "{tensor}", so it is an input of "{name}", and no step reads "{meant}"'
                hint = f'Did you mean "{meant}"? If not, set outputs of "{name}".'
                yield Diagnostic("steps-tensor", Severity.WARNING, step.places[f"inputs.{key}"], message, hint)


def _written_twice(name: str, ensemble: Ensemble) -> Iterator[Diagnostic]:
    """Yield the tensors that two steps return: which of them a later step would read is ambiguous."""
    writers: dict[str, str] = {}
    for step in ensemble.steps:
        for output, tensor in step.outputs.items():
            if tensor in writers:
                message = (
                    f'the tensor "{tensor}" of "{name}" is ambiguous: "{writers[tensor]}" and "{step.model}" return it'
                )
                yield wrong(step.places, f"outputs.{output}", message, "Give one of them another name.")
            writers.setdefault(tensor, step.model)


def _outputs(name: str, ensemble: Ensemble) -> Iterator[Diagnostic]:
    inputs, outputs = tensors(ensemble)
    written: Mapping[str, None] = dict.fromkeys(tensor for step in ensemble.steps for tensor in step.outputs.values())
    if not inputs:
        yield wrong(ensemble.places, "steps", f'no step of "{name}" reads an input of the pipeline')
    elif not outputs:
        hint = "List one in outputs."
        yield wrong(ensemble.places, "steps", f'every tensor of "{name}" is read by a step, so none is an output', hint)
    for output in dict.fromkeys(outputs):
        if output not in written:
            message = f'ensemble "{name}" lists the output "{output}", which no step returns'
            at = f"outputs.{(ensemble.outputs or ()).index(output)}" if ensemble.outputs else "steps"
            yield misspelt(ensemble.places, at, message, output, list(written))
