"""What is wrong with a Python model's class before its first request: it cannot be read, found or called."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span, nearest
from tritonrepo.repository import Model
from tritonrepo.rules.python.facts import CLASS, Told, class_facts, has_all, is_certain, needs
from tritonrepo.rules.python.importing import said_first
from tritonrepo.rules.python.later import later
from tritonrepo.rules.python.script import Script, scripts
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("python-syntax-error", Severity.ERROR, "backend=python", at=Stage.IMPORT.after("python-model-file-is-directory"))
def syntax(model: Model) -> Iterator[Finding]:
    """A Python model's file must be valid in the Python version of its image."""
    for script in scripts(model):
        fault, hint = script.fault, "Fix this line. Nothing after it was checked."
        newer = later(script)
        if newer is not None and (fault is None or newer.fault.line <= fault.line):
            fault, hint = newer
        if fault is not None:
            at = Span(f"{model.name}/{script.path}", fault.line, fault.column)
            message = f"Python cannot parse {script.name}: {fault.message}"
            yield Finding(at, message, hint=hint, reason=fault.reason)


@rule("python-no-class", Severity.ERROR, "backend=python", at=Stage.IMPORT.after("python-import-error"))
def no_class(model: Model) -> Iterator[Finding]:
    """A Python model's file must define the class TritonPythonModel."""
    for script, found in class_facts(model):
        if found.classless:
            module = ".".join(script.path.removesuffix(".py").split("/")[-2:])
            reason = said_first(model, script) or f"AttributeError: module '{module}' has no attribute '{CLASS}'"
            hint = f"Rename the model's class to {CLASS}."
            hint = hint if script.text.strip() else "Add the class to the empty file."
            message = f"{script.name} does not define the class {CLASS}"
            yield Finding(script.path, message, hint=hint, reason=reason)


@rule("python-no-execute", Severity.WARNING, "backend=python")
def no_execute(model: Model) -> Iterator[Finding]:
    """A Python model's class should have a method execute that takes the requests."""
    for script, found in class_facts(model):
        told = found.executes_not
        if told is not None:
            what = f"{CLASS}.{told.words}" if told.words else f"{CLASS} has no method execute"
            hint = "Define it as `def execute(self, requests):`."
            message = f"{what}, so every request fails once the model has loaded"
            yield Finding(_at(model, script, told), message, hint=hint)


@rule("python-initialize-signature", Severity.ERROR, "backend=python", at=Stage.INSTANCE.first)
def initialize_signature(model: Model) -> Iterator[Finding]:
    """A Python model's class must take no arguments, and its initialize exactly one."""
    for script, found in class_facts(model):
        for name, told in found.signatures:
            if name != "auto_complete_config":
                hint = f"Define it as `def {name}({'self' if name == '__init__' else 'self, args'}):`."
                message = told.words.removeprefix("TypeError: ")
                yield Finding(_at(model, script, told), message, hint=hint, reason=told.words)
                break


@rule(
    "python-initialize-raises", Severity.ERROR, "backend=python", at=Stage.INSTANCE.after("python-initialize-signature")
)
def initialize_raises(model: Model) -> Iterator[Finding]:
    """A Python model's initialize must not raise an exception unconditionally."""
    for script, found in class_facts(model):
        wrong = {name for name, _ in found.signatures}
        for name, told in found.raising:
            if name != "auto_complete_config" and not wrong & {name, "__init__"}:
                message = f"{name} always raises {told.words.partition(':')[0]}"
                hint = "Remove the line or the whole method, which is optional."
                yield Finding(_at(model, script, told), message, hint=hint, reason=told.words)
                break


@rule(
    "python-tensor-not-in-config", Severity.ERROR, "backend=python", at=Stage.INSTANCE.after("python-initialize-raises")
)
def not_in_config(model: Model) -> Iterator[Finding]:
    """Inputs and outputs that a Python model's initialize looks up must be in its config."""
    for script in scripts(model):
        names = {kind: [each.name for each in model.tensors if each.kind == kind] for kind in ("input", "output")}
        said: set[tuple[str, str]] = set()
        for kind, name, line, column in () if has_all(script, names) else needs(script):
            if name not in names[kind] and (kind, name) not in said and is_certain(script):
                said.add((kind, name))
                message = f'initialize needs {kind} "{name}", but the config does not have it'
                hint = f"Add it to the config, which lists no {kind}s."
                if near := nearest(name, names[kind]):
                    hint = f'Did you mean "{near}"?'
                elif names[kind]:
                    hint = f"Use an {kind} of the config: {', '.join(names[kind])}."
                reason = "TypeError: 'NoneType' object is not subscriptable"
                yield Finding(Span(f"{model.name}/{script.path}", line, column), message, hint=hint, reason=reason)


def _at(model: Model, script: Script, told: Told) -> Span:
    return Span(f"{model.name}/{script.path}", told.line, told.column)
