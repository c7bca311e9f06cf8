"""The tensors that the source of a Python model names as it calls another model (BLS), against that model.

Source: core, src/infer_request.cc, InferenceRequest::Normalize: each of these requests fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Span, either
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.steps import nearest
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.python.tensors import Names, names, source_uses
from tritonrepo.rules.python.uses import SourceCall, Use
from tritonrepo.rules.registry import Finding, graph_rule


class _Known(NamedTuple):
    """A call of a model whose tensors are known, and the path of the source that has it."""

    path: str
    call: SourceCall
    callee: Names


@graph_rule("calls-input-unknown", Severity.WARNING, "backend=python")
def input_unknown(model: Model, judging: Judging) -> Iterator[Finding]:
    """A call of another model should give only inputs that the model has."""
    return _unknown(model, judging, "input")


@graph_rule("calls-output-unknown", Severity.WARNING, "backend=python")
def output_unknown(model: Model, judging: Judging) -> Iterator[Finding]:
    """A call of another model should request only outputs that the model has."""
    return _unknown(model, judging, "output")


@graph_rule("calls-output-not-returned", Severity.WARNING, "backend=python")
def not_returned(model: Model, judging: Judging) -> Iterator[Finding]:
    """A Python step should read only outputs that its call of another model returns."""
    for path, found in source_uses(model):
        for output, called, requested in found.answers:
            callee = judging.models.get(called)
            has = names(callee).outputs if callee is not None else None
            returned = has if requested is None else frozenset(requested)
            misspelt = requested is not None and has is not None and not has.issuperset(requested)
            if returned is None or output.name in returned or misspelt:  # which `calls-output-unknown` reports
                continue
            lacks = requested is None or (has is not None and output.name not in has)
            why = f'model "{called}" has no output "{output.name}"'
            if not lacks:
                why = f'the call of model "{called}" does not request output "{output.name}"'
            message = f"{why}, so get_output_tensor_by_name returns None"
            yield Finding(_at(model, path, output), message, hint=_read(output, returned, lacks=lacks))


def _read(output: Use, returned: frozenset[str], *, lacks: bool) -> str:
    if meant := nearest(output.name, sorted(returned)):
        return f'Did you mean "{meant}"?'
    listed = ", ".join(f'"{name}"' for name in sorted(returned)[:5])
    return f"Read one that it returns: {listed}." if lacks else "Add it to requested_output_names."


@graph_rule("calls-input-missing", Severity.WARNING, "backend=python")
def input_missing(model: Model, judging: Judging) -> Iterator[Finding]:
    """A call of another model should give all inputs that the model requires."""
    for path, call, callee in _known(model, judging):
        given = {use.name for use in call.inputs}
        lacking = sorted(callee.required - given)
        if call.complete and lacking and callee.inputs is not None and given <= callee.inputs:
            listed = either(f'"{name}"' for name in lacking[:1])
            message = f'the call of model "{call.model.name}" does not give its input {listed}'
            hint = "Add the input to the call, or make it optional in the config of that model."
            yield Finding(_at(model, path, call.model), message, hint=hint)


def _known(model: Model, judging: Judging) -> Iterator[_Known]:
    for path, found in source_uses(model):
        for call in found.calls:
            callee = judging.models.get(call.model.name)
            if callee is not None:
                yield _Known(path, call, names(callee))


def _unknown(model: Model, judging: Judging, kind: str) -> Iterator[Finding]:
    """Yield the tensors of a kind that calls name and the called model does not have."""
    for path, call, callee in _known(model, judging):
        uses, has = (call.inputs, callee.inputs) if kind == "input" else (call.outputs, callee.outputs)
        for use in uses if has else ():
            if has is not None and use.name not in has:
                meant = nearest(use.name, sorted(has))
                listed = ", ".join(f'"{name}"' for name in sorted(has)[:5])
                message = f'model "{call.model.name}" has no {kind} "{use.name}", so every call fails'
                hint = f'Did you mean "{meant}"?' if meant else f"Use one of its {kind}s: {listed}."
                yield Finding(_at(model, path, use), message, hint=hint)


def _at(model: Model, path: str, use: Use) -> Span:
    return Span(f"{model.name}/{path}", use.line, use.column)
