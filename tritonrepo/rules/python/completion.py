"""Whether auto_complete_config agrees with the config as written.

Source: python_backend, src/resources/triton_python_backend_utils.py, ModelConfig, the same from r24.01 to r26.07;
src/pb_stub.cc, Stub::AutoCompleteModelConfig. The config that it gets has every field, also those not written:
core, src/model_config_utils.cc, ModelConfigToJson.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Severity, Span, either
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.python.facts import ClassFacts, Told, class_facts
from tritonrepo.rules.python.script import Script
from tritonrepo.rules.python.settings import RETURNED, Setting, returns_nothing, settings
from tritonrepo.rules.registry import Finding, rules
from tritonrepo.rules.stages import Stage

VALID = {"input": ("name", "data_type", "dims", "optional"), "output": ("name", "data_type", "dims")}
NEEDED = ("name", "data_type", "dims")
INVALID = "TYPE_INVALID"
OTHER_SCHEDULERS = frozenset({"sequence_batching", "ensemble_scheduling"})


class Refusal(NamedTuple):
    """What fails: the rule that reports it, line and column from 1, our message and hint, the server's words."""

    rule: str
    line: int
    column: int
    message: str
    hint: str
    words: str


class Lost(Exception):  # noqa: N818  control flow: what follows is unknown
    """A setting whose outcome is uncertain."""


@dataclass(slots=True)
class ConfigState:
    """The part of a config that the methods check; a tensor has name, data_type, dims and, if an input, optional."""

    model: str
    tensors: dict[str, list[dict[str, Any]]]
    max_batch_size: int
    scheduler: str
    decoupled: bool | None


@once
def refusals(model: Model) -> tuple[tuple[str, Refusal], ...]:
    """Return what is refused in a model's files, by path; nothing if the server does not complete configs."""
    return tuple(
        (script.path, outcome)
        for script, found in _asked(model)
        if isinstance(outcome := _outcome(model, script, found), Refusal)
    )


def completed(model: Model) -> list[ConfigState | None]:
    """Return what the config is after each served version has completed it; None where that is not certain."""
    outcomes = [_outcome(model, script, found) for script, found in _asked(model)]
    return [outcome if isinstance(outcome, ConfigState) else None for outcome in outcomes]


FOUND = (
    "python-autocomplete-raises",
    "python-autocomplete-property",
    "python-autocomplete-dtype",
    "python-autocomplete-dims",
    "python-autocomplete-optional",
    "python-autocomplete-max-batch",
    "python-autocomplete-scheduler",
    "python-autocomplete-decoupled",
)
"""The rules, in the server's order."""


@rules(
    dict.fromkeys(FOUND, Severity.ERROR), "backend=python", at=Stage.COMPLETION.after("python-autocomplete-signature")
)
def refused(model: Model, name: str) -> Iterator[Finding]:
    """Yield the findings of a rule."""
    for path, found in refusals(model):
        if found.rule == name:
            at = Span(f"{model.name}/{path}", found.line, found.column)
            yield Finding(at, found.message, hint=found.hint, reason=found.words)


def nothing_returned(model: Model) -> Iterator[tuple[str, int, int]]:
    """Yield the files in which all succeeds but the config is not returned, with the function's place."""
    refused = {path for path, _ in refusals(model)}
    for script, found in _asked(model):
        method = found.completes
        if method is not None and script.path not in refused and returns_nothing(method):
            yield script.path, method.lineno, method.col_offset + 1


def unfit_signatures(model: Model) -> Iterator[tuple[str, Told]]:
    """Yield the files whose auto_complete_config cannot be called, and what Python says about it."""
    for script, found in _asked(model):
        signatures = dict(found.signatures)
        if "auto_complete_config" in signatures:
            yield script.path, signatures["auto_complete_config"]


def _asked(model: Model) -> tuple[tuple[Script, ClassFacts], ...]:
    return class_facts(model) if model.target.auto_complete else ()


def _state(model: Model) -> ConfigState:
    tensors: dict[str, list[dict[str, Any]]] = {"input": [], "output": []}
    for each in model.tensors:
        said = {"name": each.name, "data_type": each.data_type or INVALID, "dims": list(each.dims)}
        tensors[each.kind].append(said | ({"optional": each.flag("optional")} if each.kind == "input" else {}))
    policy = model.config.message("model_transaction_policy")
    chosen = model.config.chosen("scheduling_choice")
    decoupled = None if policy is None else policy.flag("decoupled")
    return ConfigState(model.config_name, tensors, model.max_batch_size, chosen.name if chosen else "", decoupled)


def _outcome(model: Model, script: Script, found: ClassFacts) -> Refusal | ConfigState | None:
    """Return why a completion is refused, or the config that it returns; None if neither is certain."""
    if found.completes is None or not isinstance(script.tree, ast.Module):
        return None
    state = _state(model)

    def names(kind: str) -> list[str]:
        return [str(tensor["name"]) for tensor in state.tensors[kind]]

    try:
        for setting in settings(script.tree, found.completes, names):
            refusal = None if setting.method == RETURNED else CHECKS[setting.method](state, setting)
            if refusal is not None or setting.method == RETURNED:
                return refusal or state
    except Lost:
        pass
    return None


def _input(state: ConfigState, setting: Setting) -> Refusal | None:
    return _add(state, setting, "input")


def _output(state: ConfigState, setting: Setting) -> Refusal | None:
    return _add(state, setting, "output")


def _add(state: ConfigState, setting: Setting, kind: str) -> Refusal | None:
    tensor = setting.argument
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name", ""), str):
        raise Lost
    found = _properties(state, setting, kind)
    if found is not None:
        return found
    if not isinstance(tensor["data_type"], str):
        raise Lost
    current = next((each for each in state.tensors[kind] if each["name"] == tensor["name"]), None)
    if current is None:
        state.tensors[kind].append(tensor)
        return None
    found = _differs(state, setting, kind, current)
    if found is None:
        current.update(tensor)
    return found


def _properties(state: ConfigState, setting: Setting, kind: str) -> Refusal | None:
    """Return what is wrong with a tensor's keys."""
    tensor, valid = setting.argument, VALID[kind]
    rule, call = "python-autocomplete-property", f"add_{kind}"
    named = f"{kind} '{tensor.get('name')}' in auto-complete-config function for model '{state.model}'"
    odd = next((key for key in tensor if key not in valid), None)
    if odd is not None:
        quoted = [f"'{each}'" for each in valid]
        words = f"ValueError: {named} contains property other than {', '.join(quoted[:-1])} and {quoted[-1]}."
        words = words if "name" in tensor else "KeyError: 'name'"
        message = f'{call} does not accept the key "{odd}"'
        hint = f"Use only {either(valid)}."
        return Refusal(rule, *_place(setting), message, hint, words)
    lacking = next((key for key in NEEDED if key not in tensor), None)
    if lacking is None:
        return None
    head = named if lacking != "name" else f"{kind} in auto-complete-config function for model '{state.model}'"
    words = f"ValueError: {head} is missing '{lacking}' property."
    message = f'{call} is called without the required key "{lacking}"'
    return Refusal(rule, *_place(setting), message, f'Add "{lacking}" to the tensor.', words)


def _differs(state: ConfigState, setting: Setting, kind: str, current: dict[str, Any]) -> Refusal | None:
    """Return the first property of a tensor that differs from the config."""
    tensor, name = setting.argument, setting.argument["name"]
    model = f"model '{state.model}', tensor '{name}': the model expects"
    hint = "Use the same value in both, or set it in only one of them."

    def conflict(completed: object, written: object) -> str:
        return f'add_{kind} sets {completed} for {kind} "{name}", but the config has {written}'

    if current["data_type"] not in {INVALID, tensor["data_type"]}:
        types = f"datatype {current['data_type']} for {kind} '{name}', model provides {tensor['data_type']}"
        words = f"ValueError: unable to load model '{state.model}', configuration expects {types}"
        message = conflict(tensor["data_type"], current["data_type"])
        return Refusal("python-autocomplete-dtype", *_place(setting), message, hint, words)
    if current["dims"] and current["dims"] != tensor["dims"]:
        written = current["dims"]
        words = f"ValueError: {model} dims {tensor['dims']} but the model configuration specifies dims {written}"
        message = conflict(f"dims {tensor['dims']}", written)
        return Refusal("python-autocomplete-dims", *_place(setting), message, hint, words)
    if "optional" in current and current["optional"] != tensor.get("optional", current["optional"]):
        said, written = tensor["optional"], current["optional"]
        words = f"ValueError: {model} optional {said} but the model configuration specifies optional {written}"
        message = conflict(f"optional {said}", f"optional {written}")
        hint = "Set optional to the same value in the config."
        return Refusal("python-autocomplete-optional", *_place(setting), message, hint, words)
    return None


def _batch(state: ConfigState, setting: Setting) -> Refusal | None:
    size = setting.argument
    if not isinstance(size, int):
        raise Lost
    if state.max_batch_size <= size:
        state.max_batch_size = size
        return None
    words = f"ValueError: configuration specified max_batch_size {state.max_batch_size}, but in auto-complete-config"
    words += f" function for model '{state.model}' specified max_batch_size {size}"
    message = f"auto_complete_config sets max_batch_size {size}, but the config has {state.max_batch_size}"
    hint = f"Set max_batch_size to {size}{' or less' if size > 0 else ''} in the config."
    return Refusal("python-autocomplete-max-batch", *_place(setting), message, hint, words)


def _dynamic(state: ConfigState, setting: Setting) -> Refusal | None:
    if setting.argument is not None:
        raise Lost
    if state.scheduler not in OTHER_SCHEDULERS:
        state.scheduler = "dynamic_batching"
        return None
    words = f"ValueError: Configuration specified scheduling_choice as '{state.scheduler}', but auto-complete-config"
    words += f" function for model '{state.model}' tries to set scheduling_choice as 'dynamic_batching'"
    message = f"auto_complete_config sets dynamic_batching, but the config has {state.scheduler}"
    return Refusal("python-autocomplete-scheduler", *_place(setting), message, "Remove one of the two.", words)


def _policy(state: ConfigState, setting: Setting) -> Refusal | None:
    policy = setting.argument
    if not isinstance(policy, dict):
        raise Lost
    odd = next((key for key in policy if key != "decoupled"), None)
    if odd is not None:
        words = f"ValueError: model transaction property in auto-complete-config function for model '{state.model}'"
        words += " contains property other than 'decoupled'."
        message = f'set_model_transaction_policy does not accept the key "{odd}"'
        return Refusal("python-autocomplete-property", *_place(setting), message, "Use only decoupled.", words)
    wanted = policy.get("decoupled", state.decoupled)
    if state.decoupled is None or state.decoupled == wanted:
        state.decoupled = wanted
        return None
    words = f"ValueError: trying to change decoupled property in auto-complete-config for model '{state.model}', which"
    words += f" is already set to '{state.decoupled}'."
    message = f"auto_complete_config sets decoupled {wanted}, but the config has {state.decoupled}"
    return Refusal("python-autocomplete-decoupled", *_place(setting), message, "Set the same value in both.", words)


def _raise(_state: ConfigState, setting: Setting) -> Refusal | None:
    kind = setting.argument.partition(":")[0]
    message = f"auto_complete_config always raises {kind}"
    return Refusal(
        "python-autocomplete-raises", *_place(setting), message, "Return the config instead.", setting.argument
    )


def _place(setting: Setting) -> tuple[int, int]:
    return setting.line, setting.column


CHECKS = {
    "add_input": _input,
    "add_output": _output,
    "set_max_batch_size": _batch,
    "set_dynamic_batching": _dynamic,
    "set_model_transaction_policy": _policy,
    "raise": _raise,
}
