"""What auto_complete_config does, if it only calls its config's methods with certain values, also in plain loops.

The names of tensors that the config has can decide: the example of the Python backend adds only those that it lacks
(python_backend, examples/auto_complete/batch_model.py).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tritonrepo.rules.python.facts import CLASS, raised
from tritonrepo.rules.python.script import nodes
from tritonrepo.rules.python.values import CONFIG, UNKNOWN, Constants, Scope

CHANGING = frozenset(
    ("add_input", "add_output", "set_max_batch_size", "set_dynamic_batching", "set_model_transaction_policy")
)
RETURNED = "return"
"""The method of the last setting of a function that returns its config."""

MOST_STEPS = 10_000
"""Statements that are followed; loops over literals can be nested."""


class Setting(NamedTuple):
    """A call of a config method with a plain value, the text of an exception that is raised, or the config's return."""

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


def settings(tree: ast.Module, method: ast.FunctionDef, tensors: Callable[[str], list[str]]) -> Iterator[Setting]:
    """Yield the settings before the first statement that may do anything else.

    `tensors` returns the names of the inputs or outputs that the config has by then: each setting must be carried out
    before the next one is asked for.
    """
    arguments = [each.arg for each in (*method.args.posonlyargs, *method.args.args)]
    bound = sum(getattr(each, "id", "") == "classmethod" for each in method.decorator_list)
    config = next(iter(arguments[bound:]), "")
    every = [node for statement in method.body for node in nodes(statement)]
    own = {node.id for node in every if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    if config and config not in own:
        scope = Scope(config, Constants(tree, CLASS), tensors)
        yield from _Walk(scope).block(method.body)


class _Walk:
    """A walk over the statements of a function in the order in which they run."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.steps = 0
        self.over = False
        """Whether it has returned, or what follows is unknown."""

    def block(self, body: list[ast.stmt]) -> Iterator[Setting]:
        """Yield the settings of statements."""
        for statement in body:
            if not self.over:
                self.steps += 1
                self.over = self.steps > MOST_STEPS
                yield from self._statement(statement)

    def _statement(self, statement: ast.stmt) -> Iterator[Setting]:
        scope = self.scope
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                scope.known[name] = scope.value(value)
                self.over = scope.known[name] is UNKNOWN
            case ast.Expr(value=ast.Call() as call):
                yield from self._call(call)
            case ast.For(target=ast.Name(id=name), body=body, orelse=[]):
                yield from self._loop(name, scope.value(statement.iter), body)
            case ast.If(test=test):
                chosen = scope.value(test)
                self.over = not isinstance(chosen, bool)
                yield from self.block(statement.body if chosen is True else statement.orelse)
            case _:
                self.over = True
                yield from self._end(statement)

    def _end(self, statement: ast.stmt) -> Iterator[Setting]:
        place = (statement.lineno, statement.col_offset + 1)
        if isinstance(statement, ast.Raise) and (words := raised(statement)):
            yield Setting("raise", words, *place)
        elif isinstance(statement, ast.Return) and getattr(statement.value, "id", "") == self.scope.config:
            yield Setting(RETURNED, None, *place)

    def _call(self, call: ast.Call) -> Iterator[Setting]:
        """Yield the setting of a call of the config's; the only other calls are those that let a collection grow."""
        argument = self._argument(call)
        match call.func:
            case ast.Attribute(value=ast.Name(id=self.scope.config), attr=called) if called in CHANGING:
                self.over = argument is UNKNOWN
                if not self.over:
                    yield Setting(called, argument, call.lineno, call.col_offset + 1)
            case ast.Attribute(value=ast.Name(id=name), attr=called):
                self.over = argument is UNKNOWN or not self._grows(self.scope.known.get(name), called, argument)
            case _:
                self.over = True

    def _loop(self, name: str, over: Any, body: list[ast.stmt]) -> Iterator[Setting]:  # noqa: ANN401  any value
        items = self.scope.items(over)
        for item in items or ():
            self.scope.known[name] = item
            yield from self.block(body)
            if self.over:
                return
        self.over = items is None or len(self.scope.items(over) or ()) != len(items)  # one that grows goes on

    @staticmethod
    def _grows(value: Any, called: str, item: Any) -> bool:  # noqa: ANN401  any plain value
        """Append to a list of the function, or add to a set; return whether the call is that."""
        if isinstance(value, list) and called == "append":
            value.append(item)
        elif isinstance(value, set) and called == "add" and isinstance(item, str):
            value.add(item)
        else:
            return False
        return True

    def _argument(self, call: ast.Call) -> Any:  # noqa: ANN401  any plain value
        if call.keywords or len(call.args) > 1:
            return UNKNOWN
        value = self.scope.value(call.args[0]) if call.args else None
        return UNKNOWN if value is CONFIG else value
