"""What initialize needs of its config: inputs and outputs that it takes apart without a look at what came back, keys.

Only what runs for certain counts: the statements of the method before the first that branches, repeats or ends it.

Source: python_backend, src/resources/triton_python_backend_utils.py, get_input_config_by_name,
get_output_config_by_name: None where the config has no such tensor.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.pbtxt.schema import model_config
from tritonrepo.rules.python.script import nodes

PB_UTILS = "triton_python_backend_utils"
LOOKUPS = {"get_input_config_by_name": "input", "get_output_config_by_name": "output"}
READING = {*LOOKUPS, "using_decoupled_model_transaction_policy"}
SCALARS = frozenset({"backend", "max_batch_size", "model_transaction_policy", "name", "parameters"})
"""Parts of a config that have no tensors: what is done to them is of no matter here."""

FIELDS = frozenset(model_config().fields)
"""Of the newest release; what is not written may be there all the same."""

SIMPLE = ast.Assign | ast.AnnAssign | ast.Expr
BRANCHING = ast.Lambda | ast.IfExp | ast.BoolOp | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Lookup(NamedTuple):
    """What must be there: its kind, its name, and where that is written.

    The kind is "input", "output", "parameter", "field" of the config, or "argument" of initialize.
    """

    kind: str
    name: str
    line: int
    column: int


def lookups(tree: ast.Module, method: ast.FunctionDef) -> Iterator[Lookup]:
    """Give what a plain initialize(self, args) needs of its config, in order."""
    module = _imported(tree, PB_UTILS)
    arguments = [each.arg for each in (*method.args.posonlyargs, *method.args.args)]
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes(method))
    if yields or len(arguments) != 2:  # noqa: PLR2004  self and args
        return
    known = _Known(module, *arguments)
    if _imported(tree, "json") != "json":
        known.configs.clear()
    for statement in method.body:
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
            continue
        if not isinstance(statement, SIMPLE) or known.changes(statement):
            return
        known.keeps_parameters &= known.keeps(statement)
        yield from known.needed(statement)
        known.bind(statement)


def _imported(tree: ast.Module, module: str) -> str:
    """Give the name that a module is imported under at the top of the file."""
    aliases = (alias for node in tree.body if isinstance(node, ast.Import) for alias in node.names)
    return next((alias.asname or alias.name for alias in aliases if alias.name == module), "")


def _written(node: ast.AST) -> str:
    """Give `name`, `name.attribute` or json.loads(name["model_config"]) as it is written, "" for all else."""
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


def _reads(node: ast.AST, holder: ast.AST) -> bool:
    """Tell whether what a part of an expression is used for leaves it as it is."""
    match node:
        case ast.Subscript(value=value, ctx=ast.Load()):
            return value is holder
        case ast.Attribute(attr=name, ctx=ast.Load()):
            return name in {"get", "items", "keys", "values"}
        case ast.Assign(targets=targets):
            return all(isinstance(target, ast.Name | ast.Attribute) for target in targets)
        case _:
            return isinstance(node, ast.Compare | ast.Expr)


class _Known:
    """The expressions that are the config, and those that are what a lookup gave, as they are written."""

    def __init__(self, module: str, myself: str, arguments: str) -> None:
        self.module = module
        self.myself = myself
        self.arguments = arguments
        self.configs = {_loaded(arguments)}
        self.found: dict[str, Lookup] = {}
        self.holders: set[str] = set()
        self.keeps_parameters = True

    def key(self, node: ast.Subscript) -> Lookup | None:
        """Read an expression as one that raises where a key of the arguments, the config or its parameters is not there."""
        match node:
            case ast.Subscript(value=holder, slice=ast.Constant(value=str(name)) as written, ctx=ast.Load()):
                at = written.lineno, written.col_offset + 1
            case _:
                return None
        if self.is_parameters(holder):
            return Lookup("parameter", name, *at) if self.keeps_parameters else None
        if _written(holder) in self.configs:
            return Lookup("field", name, *at)
        return Lookup("argument", name, *at) if _written(holder) == self.arguments else None

    def is_parameters(self, node: ast.AST) -> bool:
        """Tell whether an expression is the config's parameters."""
        match node:
            case ast.Subscript(value=config, slice=ast.Constant(value="parameters"), ctx=ast.Load()):
                return _written(config) in self.configs
            case _:
                return _written(node) in self.holders

    def keeps(self, statement: ast.stmt) -> bool:
        """Tell whether the config's parameters are only read."""
        for node in nodes(statement):
            written = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
            if isinstance(node, ast.Subscript) and written and _written(node.value) in self.configs:
                return False
            for child in ast.iter_child_nodes(node):
                if self.is_parameters(child) and not _reads(node, child):
                    return False
        return True

    def lookup(self, node: ast.AST) -> Lookup | None:
        """Read an expression as a lookup in the config, or as the name of one's result."""
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
        """Give the lookups whose results are taken apart whenever the statement runs."""
        waiting: list[ast.AST] = [statement]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Subscript):
                yield from (found for found in (self.lookup(node.value), self.key(node)) if found is not None)
            if not isinstance(node, BRANCHING):
                waiting += reversed([*ast.iter_child_nodes(node)])

    def changes(self, statement: ast.stmt) -> bool:
        """Tell whether the config is used in a way that may change its tensors."""
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
            case ast.Subscript(slice=ast.Constant(value=key)) if isinstance(parent, ast.Subscript):
                return key in SCALARS or (key not in FIELDS and isinstance(parent.ctx, ast.Load))
            case ast.Call(func=ast.Attribute(attr=called), args=[first, *_]):
                return called in READING and first is node
            case _:
                return False

    def bind(self, statement: SIMPLE) -> None:
        """Take in what the statement gives names to."""
        value = None if isinstance(statement, ast.Expr) else statement.value
        is_config = value is not None and _written(value) in self.configs
        found = self.lookup(value) if value is not None else None
        holds = value is not None and self.is_parameters(value)
        for node in nodes(statement):
            if isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Load):
                self.configs.discard(_written(node))
                self.found.pop(_written(node), None)
                self.holders.discard(_written(node))
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            if is_config:
                self.configs.add(_written(target))
            elif found is not None:
                self.found[_written(target)] = found
            elif holds:
                self.holders.add(_written(target))
        self.configs.discard("")
        self.holders.discard("")
        self.found.pop("", None)
