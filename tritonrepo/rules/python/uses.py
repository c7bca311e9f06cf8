"""The tensors that a Python source reads from requests and puts into responses, and the models that it calls (BLS).

Only names that are written as they are count, of calls of the Python backend's own module; what the source computes is
unknown.

Source: python_backend, src/resources/triton_python_backend_utils.py, get_input_tensor_by_name, which returns None for a
name that no input has; src/infer_response.cc, PruneOutputTensors, which drops a tensor that is not asked for.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.rules.python.lookups import PB_UTILS, imported
from tritonrepo.rules.python.script import Script, nodes

READ = re.compile(rb"get_input_tensor_by_name\([^,()]{0,200},\s{0,200}(?:name=)?[\"']([^\"'\\\n]{0,200})[\"']")
WRITTEN = re.compile(rb"Tensor\(\s{0,200}(?:name=)?[\"']([^\"'\\\n]{0,200})[\"']")
CALLING = b"InferenceRequest"
CALLED = re.compile(rb"model_name\s{0,99}=\s{0,99}[\"']")
"""A call that names its model in quotes; of others, nothing is certain, and a tree costs milliseconds."""

TESTING = ast.Compare | ast.BoolOp | ast.If | ast.IfExp | ast.While | ast.Assert | ast.UnaryOp | ast.NamedExpr


class Use(NamedTuple):
    """A name in a source, and where it is written."""

    name: str
    line: int
    column: int


class SourceCall(NamedTuple):
    """A call of another model: its version, -1 for the latest or if it is unknown, and the tensors, if all are known.

    `inputs` and `outputs` have the names that are known; `complete` tells whether `inputs` has all of them.
    """

    model: Use
    version: int
    inputs: tuple[Use, ...]
    outputs: tuple[Use, ...]
    complete: bool


class Answer(NamedTuple):
    """An output that is read from the response of a model as if it were there; what was requested, None if unknown."""

    output: Use
    model: str
    requested: tuple[str, ...] | None


class Uses(NamedTuple):
    """What a source uses: inputs that it reads without a test, outputs that it returns, calls, and their answers."""

    reads: tuple[Use, ...] = ()
    writes: tuple[Use, ...] = ()
    calls: tuple[SourceCall, ...] = ()
    answers: tuple[Answer, ...] = ()


def uses(script: Script) -> Uses:
    """Return what a source uses; nothing if the module's name may mean something else."""
    tree = script.tree
    module = imported(tree, PB_UTILS) if isinstance(tree, ast.Module) else ""
    if not isinstance(tree, ast.Module) or not module or "." in module:
        return Uses()
    every = nodes(tree)
    if any(name == module for node in every for name in _rebound(node)):
        return Uses()
    functions = [node for node in every if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    those = {id(node) for node in functions}
    inner = {id(each) for node in functions for each in nodes(node)[1:] if id(each) in those}
    found = [_Function(module, node) for node in functions if id(node) not in inner]
    return Uses(
        tuple(each for one in found for each in one.reads()),
        tuple(each for one in found for each in one.writes()),
        tuple(each for one in found for each in one.calls()),
        tuple(each for one in found for each in one.answers()),
    )


def _rebound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case _:
            return


class _Function:
    """A function, and the variables that it sets once."""

    def __init__(self, module: str, function: ast.AST) -> None:
        self.module = module
        self.every = nodes(function)
        self.set_once = self._set_once()

    def _set_once(self) -> Mapping[str, ast.expr]:
        names = (node for node in self.every if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load))
        stored = Counter([node.id for node in names] + [node.arg for node in self.every if isinstance(node, ast.arg)])
        found: dict[str, ast.expr] = {}
        for node in self.every:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if stored[name] == 1:
                    found[name] = value
                case _:
                    pass
        return found

    def _is(self, node: ast.AST, called: str) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=attribute)):
                return module == self.module and attribute == called
            case _:
                return False

    def reads(self) -> Iterator[Use]:
        """Yield the inputs that are read as if they were always there."""
        for node in self._untested("get_input_tensor_by_name"):
            yield from _literal(_argument(node, 1, "name"))

    def answers(self) -> Iterator[Answer]:
        """Yield the outputs that are read from responses of other models as if they were always there."""
        for node in self._untested("get_output_tensor_by_name"):
            request = self._request(_argument(node, 0, "inference_response"))
            given = {keyword.arg: keyword.value for keyword in request.keywords} if request is not None else {}
            for model in _literal(given.get("model_name")):
                for output in _literal(_argument(node, 1, "name")):
                    yield Answer(output, model.name, _all(given.get("requested_output_names")))

    def _request(self, response: ast.expr | None) -> ast.Call | None:
        """Return the request whose only response this is; None if that is uncertain."""
        match self._value(response):
            case ast.Call(func=ast.Attribute(value=owner, attr="exec"), args=[], keywords=[]):
                request = self._value(owner)
            case ast.Await(value=ast.Call(func=ast.Attribute(value=owner, attr="async_exec"), args=[], keywords=[])):
                request = self._value(owner)
            case _:
                return None
        return request if isinstance(request, ast.Call) and self._is(request, CALLING.decode()) else None

    def _value(self, node: ast.expr | None) -> ast.expr | None:
        return self.set_once.get(node.id, node) if isinstance(node, ast.Name) else node

    def _untested(self, called: str) -> Iterator[ast.Call]:
        """Yield the calls of a function whose results are used as if they were always there."""
        tested = {each.id for node in self.every if isinstance(node, TESTING) for each in _names(node)}
        owners = [node.value for node in self.every if isinstance(node, ast.Attribute)]
        used = {owner.id for owner in owners if isinstance(owner, ast.Name)} - tested
        surely = {id(owner) for owner in owners}
        surely |= {id(value) for name, value in self.set_once.items() if name in used}
        for node in self.every:
            if isinstance(node, ast.Call) and id(node) in surely and self._is(node, called):
                yield node

    def writes(self) -> Iterator[Use]:
        """Yield the tensors of responses."""
        for node in self.every:
            if isinstance(node, ast.Call) and self._is(node, "InferenceResponse"):
                yield from self._tensors(_argument(node, 0, "output_tensors"))[0]

    def calls(self) -> Iterator[SourceCall]:
        """Yield the requests to other models."""
        for node in self.every:
            if not isinstance(node, ast.Call) or not self._is(node, CALLING.decode()):
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            inputs, complete = self._tensors(given.get("inputs"))
            listed = given.get("requested_output_names")
            outputs = [use for each in listed.elts for use in _literal(each)] if isinstance(listed, ast.List) else []
            version = _integer(given.get("model_version"))
            for model in _literal(given.get("model_name")):
                yield SourceCall(model, version, tuple(inputs), tuple(outputs), complete and node.args == [])

    def _tensors(self, listed: ast.expr | None) -> tuple[Sequence[Use], bool]:
        """Return the names of the tensors in a list, and whether these are all."""
        if not isinstance(listed, ast.List):
            return (), False
        found: list[Use] = []
        for each in listed.elts:
            value = self.set_once.get(each.id, each) if isinstance(each, ast.Name) else each
            found += _literal(_argument(value, 0, "name")) if self._is(value, "Tensor") else ()
        return found, len(found) == len(listed.elts)


def _argument(call: ast.AST, position: int, name: str) -> ast.expr | None:
    """Return an argument of a call, by its position or its name."""
    if not isinstance(call, ast.Call):
        return None
    named = next((each.value for each in call.keywords if each.arg == name), None)
    plain = len(call.args) > position and not any(isinstance(each, ast.Starred) for each in call.args)
    return call.args[position] if plain else named


def _literal(node: ast.expr | None) -> Iterator[Use]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield Use(node.value, node.lineno, node.col_offset + 1)


def _all(listed: ast.expr | None) -> tuple[str, ...] | None:
    """Return the strings of a list, None if it is empty or these are not all of it."""
    found = [use.name for each in listed.elts for use in _literal(each)] if isinstance(listed, ast.List) else []
    return tuple(found) if found and isinstance(listed, ast.List) and len(found) == len(listed.elts) else None


def _integer(node: ast.expr | None) -> int:
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else -1


def _names(node: ast.AST) -> Iterator[ast.Name]:
    tests = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert) else [node]
    yield from (each for test in tests for each in nodes(test) if isinstance(each, ast.Name))
