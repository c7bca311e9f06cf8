"""The inputs of a config against those that the graph requires: the server compares only their number at first.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelInstanceState::ValidateInputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, nearest
from tritonrepo.repository import Model
from tritonrepo.repository.sessions import Session
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.onnx.compared import MOST, Pair, found, graph_of, listing, place, to_add
from tritonrepo.rules.onnx.counted import besides, controls, differing, differs, reason
from tritonrepo.rules.onnx.fixing import added, renamed, unlisted
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "onnx-no-io-without-autofill",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.after("onnx-sequence-control-shape"),
)
def no_inputs(model: Model) -> Iterator[Finding]:
    """Without auto-complete, the config of an ONNX model must list its inputs."""
    for session in differing(model)[:1]:
        if not model.target.auto_complete and not model.config.messages("input") and not besides(model):
            yield Finding(
                None,
                "the config lists no inputs, and this server does not complete configs",
                hint=to_add(session.inputs, batching=model.max_batch_size > 0),
                reason=reason(model, session),
                fix=added(model, session, session.inputs, safe=True),
            )


@rule(
    "onnx-optional-not-initializer",
    Severity.ERROR,
    "*.optional",
    at=Stage.INSTANCE.after("onnx-no-io-without-autofill"),
)
def optional_required(model: Model) -> Iterator[Finding]:
    """An optional input of an ONNX model must have an initializer in the graph."""

    def check(pair: Pair) -> Finding | None:
        required = pair.tensor.name in pair.session.inputs
        if not (required and pair.tensor.flag("optional") and differs(model, pair.session)):
            return None
        return Finding(
            place(pair.tensor, "optional"),
            f"{pair.name} is optional, but {pair.graph} requires it",
            hint="Remove optional. Only an input of the graph that has an initializer can be optional.",
            reason=reason(model, pair.session),
        )

    return found(model, check, "input")


@rule(
    "onnx-input-count",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.after("onnx-optional-not-initializer"),
)
def count(model: Model) -> Iterator[Finding]:
    """A config must list every input that the ONNX graph requires, once, and no other."""
    for session in differing(model)[:1]:
        if "input" in session.filled:
            yield _completed(model, session)
        elif model.target.auto_complete or model.config.messages("input") or besides(model):
            yield from _differences(model, session)


def _completed(model: Model, session: Session) -> Finding:
    """Return the finding on inputs that the backend counts twice, because it also lists those that the server sends."""
    own = [name for name in session.inputs if name not in besides(model)]
    return Finding(
        None,
        "the config lists no inputs, so the backend also lists the controls and states of sequences as inputs",
        hint=f"List the inputs that requests send: {listing(own)}.",
        reason=reason(model, session),
        fix=added(model, session, own, safe=False) if model.max_batch_size else None,
    )


def _differences(model: Model, session: Session) -> Iterator[Finding]:
    listed = [tensor for tensor in model.tensors if tensor.kind == "input"]
    given = {tensor.name for tensor in listed} | set(besides(model))
    missing = [name for name in session.inputs if name not in given]
    told = any(tensor.flag("optional") and tensor.name in session.inputs for tensor in listed)
    told = told or any(control.name not in session.inputs for control in controls(model))
    for tensor, meant, message, hint in _extra(model, session, listed, missing):
        told = True
        fix = renamed(model, tensor, meant) if meant else unlisted(model, tensor)
        yield Finding(place(tensor, "name"), message, hint=hint, reason=reason(model, session), fix=fix)
    if missing:
        names, verb = listing([f'"{name}"' for name in missing]), "is" if len(missing) == 1 else "are"
        message = f"{graph_of(model, session)} has {len(session.inputs)} inputs, of which {names} {verb} not listed"
        hint = to_add({name: session.inputs[name] for name in missing}, batching=bool(session.max_batch_size))
        at, fix = listed[0].node if listed else None, added(model, session, missing, safe=not told)
        yield Finding(at, message, hint=hint, reason=reason(model, session), fix=fix)
    elif not told:
        message = f"{graph_of(model, session)} has {len(session.inputs)} inputs, but the config has more"
        yield Finding(None, message, hint=f"Use {listing(list(session.inputs))}.", reason=reason(model, session))


def _extra(
    model: Model, session: Session, listed: list[ListedTensor], missing: list[str]
) -> Iterator[tuple[ListedTensor, str, str, str]]:
    """Yield each required input that the graph does not have as one, the name that is meant, message and hint.

    A misspelt one takes its name from `missing`; "" if none is meant.
    """
    sent, times = set(besides(model)), Counter[str]()
    for tensor in listed:
        name = tensor.name
        times[name] += 1
        if tensor.flag("optional"):
            continue
        if name in sent:
            yield tensor, "", f'"{name}" is listed as an input, but the server itself sends it', "Remove it from input."
        elif times[name] > 1:
            yield tensor, "", f'input "{name}" is already listed', "Remove this entry."
        elif name in session.overridable:
            message = f'input "{name}" has an initializer in the graph, so it does not count as an input'
            yield tensor, "", message, "Remove it, or set `optional: true`, which needs a model without batching."
        elif name not in session.inputs:
            meant = nearest(name, missing[: 0 if tensor.item > MOST else MOST])
            if meant:
                missing.remove(meant)
            hint = f'Did you mean "{meant}"?' if meant else "Remove this entry."
            yield tensor, meant, f'{graph_of(model, session)} has no input "{name}"', hint
