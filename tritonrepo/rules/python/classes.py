"""What is wrong with a Python model's class before its first request: it cannot be read, found, called."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.python.facts import CLASS, Told, class_facts, has_all, is_certain, needs
from tritonrepo.rules.python.script import Script, SyntaxFault, not_installed, scripts
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("python-syntax-error", Severity.ERROR, "backend=python", at=Stage.IMPORT.after("python-model-file-is-directory"))
def syntax(model: Model) -> Iterator[Finding]:
    """A Python model's file can be read by the Python of its image."""
    for script in scripts(model):
        fault = script.tree
        if isinstance(fault, SyntaxFault):
            at = Span(f"{model.name}/{script.path}", fault.line, fault.column)
            hint = "Mend the line; nothing behind it was looked at."
            yield Finding(at, f"Python cannot read it: {fault.message}", hint=hint, reason=fault.reason)


@rule("python-no-class", Severity.ERROR, "backend=python", at=Stage.IMPORT.after("python-syntax-error"))
def no_class(model: Model) -> Iterator[Finding]:
    """A Python model's file has a class TritonPythonModel."""
    for script, found in class_facts(model):
        if found.classless:
            module = ".".join(script.path.removesuffix(".py").split("/")[-2:])
            lacking = not_installed(model, script)  # Python comes to the import first
            attribute = f"AttributeError: module '{module}' has no attribute '{CLASS}'"
            reason = f"ModuleNotFoundError: No module named '{lacking}'" if lacking else attribute
            hint = "Call the model's class so." if script.text.strip() else "Write it: the file is empty."
            yield Finding(script.path, f"it has no class {CLASS}", hint=hint, reason=reason)


@rule("python-no-execute", Severity.WARNING, "backend=python")
def no_execute(model: Model) -> Iterator[Finding]:
    """A Python model's class has a method execute that takes the requests."""
    for script, found in class_facts(model):
        told = found.executes_not
        if told is not None:
            what = f"{CLASS}.{told.words}" if told.words else f"{CLASS} has no method execute"
            hint = "Write def execute(self, requests):"
            yield Finding(_at(model, script, told), f"{what}: it loads, and every request fails", hint=hint)


@rule("python-initialize-signature", Severity.ERROR, "backend=python", at=Stage.INSTANCE.first)
def initialize_signature(model: Model) -> Iterator[Finding]:
    """A Python model's class is made without arguments, and its initialize takes one."""
    for script, found in class_facts(model):
        for name, told in found.signatures:
            if name != "auto_complete_config":
                hint = f"Write def {name}({'self' if name == '__init__' else 'self, args'}):"
                message = told.words.removeprefix("TypeError: ")
                yield Finding(_at(model, script, told), message, hint=hint, reason=told.words)
                break


@rule(
    "python-initialize-raises", Severity.ERROR, "backend=python", at=Stage.INSTANCE.after("python-initialize-signature")
)
def initialize_raises(model: Model) -> Iterator[Finding]:
    """A Python model's initialize does more than raise."""
    for script, found in class_facts(model):
        wrong = {name for name, _ in found.signatures}
        for name, told in found.raising:
            if name != "auto_complete_config" and not wrong & {name, "__init__"}:
                message = f"{name} always raises {told.words.partition(':')[0]}"
                hint = "Drop the line, or the method: a model does without."
                yield Finding(_at(model, script, told), message, hint=hint, reason=told.words)
                break


@rule(
    "python-tensor-not-in-config", Severity.ERROR, "backend=python", at=Stage.INSTANCE.after("python-initialize-raises")
)
def not_in_config(model: Model) -> Iterator[Finding]:
    """A Python model's initialize finds the inputs and outputs in the config that it looks up."""
    for script in scripts(model):
        names = {kind: [each.name for each in model.tensors if each.kind == kind] for kind in ("input", "output")}
        said: set[tuple[str, str]] = set()
        for kind, name, line, column in () if has_all(script, names) else needs(script):
            if name not in names[kind] and (kind, name) not in said and is_certain(script):
                said.add((kind, name))
                message = f'initialize needs the {kind} "{name}", which the config does not have'
                hint = f"It has: {', '.join(names[kind])}." if names[kind] else f"It lists no {kind}s."
                reason = "TypeError: 'NoneType' object is not subscriptable"
                yield Finding(Span(f"{model.name}/{script.path}", line, column), message, hint=hint, reason=reason)


def _at(model: Model, script: Script, told: Told) -> Span:
    return Span(f"{model.name}/{script.path}", told.line, told.column)
