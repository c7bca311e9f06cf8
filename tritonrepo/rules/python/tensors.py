"""Which tensors a model has when it runs, and the names of tensors in a Python model's source against them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Span, nearest
from tritonrepo.repository import Model
from tritonrepo.repository.once import lasting, once
from tritonrepo.rules.python.completion import completed
from tritonrepo.rules.python.script import Script, scripts
from tritonrepo.rules.python.uses import CALLED, READ, WRITTEN, Use, Uses, uses
from tritonrepo.rules.registry import Finding, rule

COMPLETION = b"auto_complete_config"
ADDING = frozenset({"vllm", "tensorrtllm", "dali"})
"""Backends that may add tensors to those that a config lists."""


class Names(NamedTuple):
    """The inputs and outputs of a model, None if they are unknown; `required` are the inputs that no request lacks."""

    inputs: frozenset[str] | None = None
    outputs: frozenset[str] | None = None
    required: frozenset[str] = frozenset()


@once
def names(model: Model) -> Names:
    """Return the tensors that a model has once the backend has completed its config."""
    listed = {
        kind: [(each.name, each.flag("optional")) for each in model.tensors if each.kind == kind] for kind in KINDS
    }
    if model.unknown or model.backend in ADDING or not all(name for kind in KINDS for name, _ in listed[kind]):
        return Names()
    if model.target.auto_complete and any(COMPLETION in script.text for script in scripts(model)):
        states = completed(model)
        if len(states) != 1 or states[0] is None:
            return Names()
        listed = {
            kind: [(str(each["name"]), bool(each.get("optional"))) for each in states[0].tensors[kind]]
            for kind in KINDS
        }
    if model.backend == "python" and len(scripts(model)) != len(model.served):
        return Names()
    inputs, outputs = ([name for name, _ in listed[kind]] for kind in KINDS)
    required = frozenset(name for name, optional in listed["input"] if not optional)
    more = _implicit(model)
    return Names(
        frozenset([*inputs, *more]) if inputs else None, frozenset([*outputs, *more]) if outputs else None, required
    )


KINDS = ("input", "output")


def _implicit(model: Model) -> Iterator[str]:
    """Yield the names of tensors that a scheduler adds."""
    sequences = model.config.message("sequence_batching")
    for part, name in (("control_input", "name"), ("state", "input_name"), ("state", "output_name")):
        yield from (each.text(name) for each in (sequences.messages(part) if sequences is not None else ()))
    for side in ("batch_input", "batch_output"):
        for each in model.config.messages(side):
            yield from (str(value.data) for value in each.scalars("target_name"))


@lasting
def source_uses(model: Model) -> tuple[tuple[str, Uses], ...]:
    """Return what each source of a model uses, by path, if that may differ from the config or names other models."""
    has = names(model)
    return tuple((script.path, uses(script)) for script in scripts(model) if _may_differ(script, has))


def _may_differ(script: Script, has: Names) -> bool:
    """Return whether a source names a tensor that the model lacks, or calls another model; this is cheap."""
    if CALLED.search(script.text):
        return True
    found = ((READ, has.inputs), (WRITTEN, has.outputs))
    return any(
        known is not None and not {name.decode("utf-8", "replace") for name in form.findall(script.text)} <= known
        for form, known in found
    )


@rule("python-input-not-in-config", Severity.WARNING, "backend=python")
def unknown_input(model: Model) -> Iterator[Finding]:
    """Inputs that a Python model reads should be in its config."""
    known = names(model).inputs
    for path, found in source_uses(model) if known is not None else ():
        for use in _lacking(found.reads, known or ()):
            message = f'{posixpath.basename(path)} reads input "{use.name}", which no request can have'
            yield Finding(_at(model, path, use), message, hint=_hint(use.name, known or (), "input"))


@rule("python-output-not-in-config", Severity.WARNING, "backend=python")
def unknown_output(model: Model) -> Iterator[Finding]:
    """Outputs that a Python model returns should be in its config."""
    known = names(model).outputs
    for path, found in source_uses(model) if known is not None else ():
        for use in _lacking(found.writes, known or ()):
            what = f'{posixpath.basename(path)} returns output "{use.name}"'
            message = f"{what}, which Triton drops because the config does not have it"
            yield Finding(_at(model, path, use), message, hint=_hint(use.name, known or (), "output"))


def _lacking(found: Iterable[Use], known: Iterable[str]) -> Iterator[Use]:
    """Yield the uses of names that are unknown, each name once."""
    first = {use.name: use for use in reversed([*found])}
    yield from sorted((use for name, use in first.items() if name not in known), key=lambda use: use[1:])


def _hint(name: str, known: Iterable[str], kind: str) -> str:
    near = nearest(name, sorted(known))
    return f'Did you mean "{near}"?' if near else f"Add it to the config, or use an {kind} of it."


def _at(model: Model, path: str, use: Use) -> Span:
    return Span(f"{model.name}/{path}", use.line, use.column)
