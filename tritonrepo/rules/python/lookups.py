"""The inputs and outputs that initialize looks up in its config and uses without checking the result.

Only what surely runs counts: the statements before the first one that branches, loops or returns.

Source: python_backend, src/resources/triton_python_backend_utils.py, get_input_config_by_name,
get_output_config_by_name: None if the config has no such tensor.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.rules.python.script import nodes

PB_UTILS = "triton_python_backend_utils"
LOOKUPS = {"get_input_config_by_name": "input", "get_output_config_by_name": "output"}
READING = {*LOOKUPS, "using_decoupled_model_transaction_policy"}
SCALARS = frozenset({"backend", "max_batch_size", "model_transaction_policy", "name", "parameters"})
"""Parts of a config without tensors: what is done to them does not matter here."""

SIMPLE = ast.Assign | ast.AnnAssign | ast.Expr
BRANCHING = ast.Lambda | ast.IfExp | ast.BoolOp | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Lookup(NamedTuple):
    """A tensor that must exist: "input" or "output", its name, and where the name is written."""

    kind: str
    name: str
    line: int
    column: int


def lookups(tree: ast.Module, method: ast.FunctionDef) -> Iterator[Lookup]:
    """Yield what a plain initialize(self, args) needs from its config, in order."""
    module = imported(tree, PB_UTILS)
    arguments = [each.arg for each in (*method.args.posonlyargs, *method.args.args)]
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes(method))
    if not module or yields or len(arguments) != 2 or imported(tree, "json") != "json":  # noqa: PLR2004  self and args
        return
    known = _Bindings(module, *arguments)
    for statement in method.body:
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
            continue
        if not isinstance(statement, SIMPLE) or known.changes(statement):
            return
        yield from known.needed(statement)
        known.bind(statement)


def imported(tree: ast.Module, module: str) -> str:
    """Return the name under which the file imports a module at its top."""
    aliases = (alias for node in tree.body if isinstance(node, ast.Import) for alias in node.names)
    return next((alias.asname or alias.name for alias in aliases if alias.name == module), "")


def _written(node: ast.AST) -> str:
    """Return `name`, `name.attribute` or json.loads(name["model_config"]) as written, "" for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=name), attr=attribute):
            return f"{name}.{attribute}"
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="json"), attr="loads"),
            args=[ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value="model_config"))],
            keywords=[],
        ):
            return _loaded(name)
        case _:
            return ""


def _loaded(name: str) -> str:
    return f'json.loads({name}["model_config"])'


class _Bindings:
    """The expressions that are the config, and those that are the result of a lookup, as written."""

    def __init__(self, module: str, myself: str, arguments: str) -> None:
        self.module = module
        self.myself = myself
        self.arguments = arguments
        self.configs = {_loaded(arguments)}
        self.found: dict[str, Lookup] = {}

    def lookup(self, node: ast.AST) -> Lookup | None:
        """Read an expression as a lookup in the config, or as the name of its result."""
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=module), attr=called),
                args=[config, ast.Constant(value=str(name)) as written],
                keywords=[],
            ) if called in LOOKUPS and module == self.module and _written(config) in self.configs:
                return Lookup(LOOKUPS[called], name, written.lineno, written.col_offset + 1)
            case _:
                return self.found.get(_written(node))

    def needed(self, statement: ast.stmt) -> Iterator[Lookup]:
        """Yield the lookups whose results are subscripted whenever the statement runs."""
        waiting: list[ast.AST] = [statement]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Subscript) and (found := self.lookup(node.value)) is not None:
                yield found
            if not isinstance(node, BRANCHING):
                waiting += reversed([*ast.iter_child_nodes(node)])

    def changes(self, statement: ast.stmt) -> bool:
        """Return whether the config is used in a way that may change its tensors."""
        every = nodes(statement)
        parents = {child: node for node in every for child in ast.iter_child_nodes(node)}
        return any(not self._is_harmless(node, parents.get(node)) for node in every)

    def _is_harmless(self, node: ast.AST, parent: ast.AST | None) -> bool:
        written = _written(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        if written == self.arguments:
            return isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Load)
        if written in self.configs:
            return self._is_read(node, parent)
        return not written.startswith(f"{self.myself}.") or not isinstance(parent, ast.Call)

    def _is_read(self, node: ast.AST, parent: ast.AST | None) -> bool:
        match parent:
            case ast.Assign() | ast.AnnAssign():
                return True
            case ast.Subscript(slice=ast.Constant(value=key)):
                return key in SCALARS
            case ast.Call(func=ast.Attribute(attr=called), args=[first, *_]):
                return called in READING and first is node
            case _:
                return False

    def bind(self, statement: SIMPLE) -> None:
        """Record the names that the statement binds."""
        value = None if isinstance(statement, ast.Expr) else statement.value
        is_config = value is not None and _written(value) in self.configs
        found = self.lookup(value) if value is not None else None
        for node in nodes(statement):
            if isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Load):
                self.configs.discard(_written(node))
                self.found.pop(_written(node), None)
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            if is_config:
                self.configs.add(_written(target))
            elif found is not None:
                self.found[_written(target)] = found
        self.configs.discard("")
        self.found.pop("", None)
