"""What auto_complete_config does, if it only calls its config's methods with plain values one after another."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.rules.python.facts import raised

CHANGING = frozenset(
    ("add_input", "add_output", "set_max_batch_size", "set_dynamic_batching", "set_model_transaction_policy")
)
UNKNOWN = object()


class Setting(NamedTuple):
    """A call of a config method with a plain value, or the text of an exception that is raised."""

    method: str
    argument: Any
    line: int
    column: int


def returns_nothing(method: ast.FunctionDef) -> bool:
    """Return whether a function, if it returns, returns None or a plain value."""
    return all(node.value is None or isinstance(node.value, ast.Constant) for node in _returns(method.body))


def _returns(body: list[ast.stmt]) -> Iterator[ast.Return]:
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def settings(method: ast.FunctionDef) -> Iterator[Setting]:
    """Yield the settings before the first statement that may do anything else."""
    config = (*method.args.posonlyargs, *method.args.args)[-1].arg if _has_parameter(method) else ""
    known: dict[str, Any] = {}
    for statement in method.body:
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                continue
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name != config:
                known[name] = _value(value, known)
                if known[name] is UNKNOWN and not _reads(value, config):
                    return
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=called)) as call) if (
                name == config and called in CHANGING
            ):
                argument = _argument(call, known)
                if argument is UNKNOWN:
                    return
                yield Setting(called, argument, statement.lineno, statement.col_offset + 1)
            case ast.Raise() if words := raised(statement):
                yield Setting("raise", words, statement.lineno, statement.col_offset + 1)
                return
            case _:
                return


def _has_parameter(method: ast.FunctionDef) -> bool:
    return bool(method.args.posonlyargs or method.args.args)


def _reads(value: ast.expr, config: str) -> bool:
    """Return whether an expression is config.as_dict()."""
    match value:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="as_dict"), args=[], keywords=[]):
            return name == config
        case _:
            return False


def _argument(call: ast.Call, known: Mapping[str, Any]) -> Any:  # noqa: ANN401  any plain value
    if call.keywords or len(call.args) > 1:
        return UNKNOWN
    return _value(call.args[0], known) if call.args else None


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:  # noqa: ANN401  any plain value
    match node:
        case ast.Name(id=name):
            return known.get(name, UNKNOWN)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            values = {each.arg: _value(each.value, known) for each in keywords}
            return UNKNOWN if None in values or UNKNOWN in values.values() else values
        case _:
            return _literal(node)


def _literal(node: ast.expr) -> Any:  # noqa: ANN401  any plain value
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return UNKNOWN
