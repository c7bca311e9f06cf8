"""The names of the inputs that warmup samples send: those that are missing, unknown, or misspelt.

Source of all: core, src/infer_request.cc, Normalize, ValidateRequestInputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tritonrepo.diagnostics import Severity, nearest
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete_inputs
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.fields.warmup_requests import REQUEST, Given, Sample, samples, shown
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


def misspelt(model: Model, sample: Sample) -> Mapping[str, str]:
    """Return the unknown inputs of a sample that stand for missing ones, with the names of these.

    A single unknown input stands for a single missing one, unless it can be a control input.
    """
    known = {tensor.name for tensor in model.tensors if tensor.kind == "input"}
    unknown = [name for name in sample.inputs if name not in known]
    missing = [tensor.name for tensor in _missing(model, sample)]
    if len(unknown) == len(missing) == 1 and "sequence_batching" not in model.fields:
        return {unknown[0]: missing[0]}
    found = {}
    for name in unknown:
        if meant := nearest(name, missing):
            missing.remove(meant)
            found[name] = meant
    return found


def _missing(model: Model, sample: Sample) -> list[ListedTensor]:
    """Return the required inputs that a sample lacks."""
    inputs = (tensor for tensor in model.tensors if tensor.kind == "input" and not tensor.flag("optional"))
    return [tensor for tensor in inputs if tensor.name not in sample.inputs]


def _key(given: Given) -> Placed:
    """Return the place of an input's name."""
    keys = given.entry.scalars("key")
    return keys[-1] if keys else given.entry


def _hint(missing: Sequence[ListedTensor], renamed: Mapping[str, str]) -> str:
    if renamed:
        pairs = [f'"{name}" to "{meant}"' for name, meant in renamed.items()]
        return f"Rename {', and '.join(pairs)}."
    return f"Add `{_zeros(missing[0])}`." if missing else "Remove the duplicate input from the config."


@rule("warmup-input-missing", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-file-too-short"))
def input_missing(model: Model) -> Iterator[Finding]:
    """A warmup sample must have every required input of the model."""
    inputs = [tensor for tensor in model.tensors if tensor.kind == "input"]
    required = [tensor for tensor in inputs if not tensor.flag("optional")]
    if not required or may_complete_inputs(model):
        return
    for sample in samples(model):
        given = [name for name in sample.inputs if any(name == tensor.name for tensor in inputs)]
        if len(given) >= len(required):
            continue
        missing = _missing(model, sample)
        renamed = misspelt(model, sample)
        yield Finding(
            _key(sample.inputs[next(iter(renamed))]) if renamed else sample.node,
            f"the warmup sample lacks the required input{'' if len(missing) == 1 else 's'} {_quoted(missing)}"
            if missing
            else "the model lists a required input twice, so no warmup sample can match it",
            hint=_hint(missing, renamed),
            reason=_count_reason(model, (len(inputs), len(required)), given, missing),
            item=sample.item,
        )


def _quoted(tensors: Sequence[ListedTensor]) -> str:
    return ", ".join(f'"{tensor.name}"' for tensor in tensors[:9])


def _zeros(tensor: ListedTensor) -> str:
    """Return the entry of a sample that sends zeros to an input."""
    value = f"data_type: {tensor.data_type} dims: {shown(tensor.dims)} zero_data: true"
    return f'inputs {{ key: "{tensor.name}" value {{ {value} }} }}'


def _count_reason(model: Model, counts: tuple[int, int], given: Sequence[str], missing: Sequence[ListedTensor]) -> str:
    """Return the server's sentence, which ends before several given inputs: their order is the server's own."""
    total, required = counts
    wanted = f"{total} inputs" if total == required else f"number of inputs between {required} and {total}"
    text = f"{REQUEST}expected {wanted} but got {len(given)} inputs for model '{model.config_name}'"
    if not model.target.release.has("missing-inputs-listed"):
        return text
    if len(given) > 1:
        return f"{text}."
    listed = "[" + ",".join(f"'{tensor.name}'" for tensor in missing) if missing else ""
    seen = ",".join(f"'{name}'" for name in given)
    return (
        f"{text}. Got input(s) [{seen}], but missing required input(s) {listed}]. Please provide all required input(s)."
    )


@rule("warmup-unknown-input", Severity.INFO, "model_warmup")
def unknown_input(model: Model) -> Iterator[Finding]:
    """Triton sends an unknown warmup input to the model unchecked."""
    known = {tensor.name for tensor in model.tensors if tensor.kind == "input"}
    if not known or may_complete_inputs(model):
        return
    for sample in samples(model):
        renamed = misspelt(model, sample)
        for name, given in sample.inputs.items():
            if name not in known and name not in renamed:
                yield Finding(
                    _key(given),
                    f'unknown warmup input "{name}"',
                    hint="Remove it, unless it is a control input of a model with sequence batching.",
                )
