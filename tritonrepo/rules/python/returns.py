"""What execute of a decoupled Python model returns."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.python.facts import CLASS, is_certain
from tritonrepo.rules.python.script import Script, nodes, scripts
from tritonrepo.rules.registry import Finding, rule

POLICY = "model_transaction_policy"
LISTS = ast.List | ast.ListComp


@rule("python-decoupled-return", Severity.WARNING, POLICY)
def decoupled_return(model: Model) -> Iterator[Finding]:
    """The execute method of a decoupled Python model should return None."""
    policy = model.config.message(POLICY) if model.backend == "python" else None
    if policy is None or not policy.flag("decoupled"):
        return
    for script in scripts(model):
        found = _returned(script)
        if found is not None and is_certain(script):
            at = Span(f"{model.name}/{script.path}", found.lineno, found.col_offset + 1)
            message = "execute returns a list, but the model is decoupled, so every request fails"
            hint = "Send responses with request.get_response_sender() and return None, or set decoupled to false."
            yield Finding(at, message, hint=hint)


def _returned(script: Script) -> ast.Return | None:
    """Return the last statement of execute if it returns a list, None if it does not or that is uncertain."""
    tree = script.tree
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef)] if isinstance(tree, ast.Module) else []
    methods = [each for cls in classes if cls.name == CLASS for each in cls.body if isinstance(each, ast.FunctionDef)]
    execute = next((each for each in methods if each.name == "execute"), None)
    last = execute.body[-1] if execute is not None and not execute.decorator_list else None
    if execute is None or not isinstance(last, ast.Return):
        return None
    every = nodes(execute)
    if any(isinstance(each, ast.Yield | ast.YieldFrom) for each in every):
        return None
    return last if isinstance(last.value, LISTS) or _is_list(last.value, every) else None


def _is_list(value: ast.expr | None, every: list[ast.AST]) -> bool:
    """Return whether a value is a variable that only ever holds a list."""
    if not isinstance(value, ast.Name):
        return False
    stored = [each for each in every if isinstance(each, ast.Name) and each.id == value.id]
    bound = [each for each in stored if not isinstance(each.ctx, ast.Load)]
    assigned = [each for each in every if isinstance(each, ast.Assign) and isinstance(each.value, LISTS)]
    lists = [each.targets[0] for each in assigned if len(each.targets) == 1]
    return bool(bound) and all(any(each is name for name in lists) for each in bound)
