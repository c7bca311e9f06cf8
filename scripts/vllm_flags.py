"""What the Python files of one vLLM version say on the options of `vllm serve`, by parsing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scripts.vllm_sources import Sources, sources

ACTIONS = {
    "store_true": "switch",
    "store_false": "off",
    "StoreBoolean": "text",
    "argparse.BooleanOptionalAction": "boolean",
}
STRUCTURED = ("json", "from_cli", "union_dict", "dict")
"""Parts of the names of functions that read an object of JSON."""

LAUNCHERS = ("entrypoints/openai/cli_args.py", "entrypoints/launchers/cli_args.py")


class Read(NamedTuple):
    """The modules of one version: those of its configuration, and the one that adds the options."""

    sources: Sources
    arguments: ast.Module
    text: str


def flags(source: Path) -> dict[str, dict[str, Any]]:
    """Return the option and its form by the name of each engine argument that has one."""
    text = (source / "engine" / "arg_utils.py").read_text("utf-8")
    read = Read(sources(source), ast.parse(text), text)
    found = dict[str, dict[str, Any]]()
    for function in (each for each in ast.walk(read.arguments) if isinstance(each, ast.FunctionDef)):
        if function.name in {"add_cli_args", "add_cli_args_for_vlm"}:
            for name, fact in _of(function, read):
                found.setdefault(name, fact)
    return found


def served(source: Path) -> list[str]:
    """Return the options of the server itself."""
    file = next(source / each for each in LAUNCHERS if (source / each).is_file())
    tree = ast.parse(file.read_text("utf-8"))
    found = {name.removeprefix("--") for call in _adding(tree) for name in _names(call)}
    for owner in (each for each in tree.body if isinstance(each, ast.ClassDef) and each.name.endswith("FrontendArgs")):
        found |= {ast.unparse(each.target).replace("_", "-") for each in owner.body if isinstance(each, ast.AnnAssign)}
    return sorted(found)


def _of(function: ast.FunctionDef, read: Read) -> Iterator[tuple[str, dict[str, Any]]]:
    owners = dict(_owners(function))
    for call in _adding(function):
        names = _names(call)
        if not names:
            continue
        given = {each.arg: each.value for each in call.keywords if each.arg}
        spread = next((each.value for each in call.keywords if each.arg is None), None)
        kind = _kind(given) or _spread(spread, owners, read)
        name = names[0].removeprefix("--").replace("-", "_")
        name = ast.literal_eval(given["dest"]) if "dest" in given else name
        yield name, {"flag": names[0].replace("_", "-"), "form": kind}


def _adding(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            yield node


def _names(call: ast.Call) -> list[str]:
    """Return the long names of an option, the first of which counts."""
    found = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return [each for each in found if each.startswith("--")]


def _owners(function: ast.FunctionDef) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each variable that holds what options of a class, or of one field of it, are made of."""
    known = dict[str, tuple[str, str]]()
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name, value = node.targets[0].id, node.value
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "get_kwargs":
            known[name] = ast.unparse(value.args[0]), ""
        elif isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
            of = value.value
            whole = isinstance(of, ast.Call) and ast.unparse(of.func) == "get_kwargs"
            owner = ast.unparse(of.args[0]) if whole else known.get(ast.unparse(of), ("", ""))[0]
            known[name] = owner, str(value.slice.value)
    yield from known.items()


def _kind(given: dict[str, ast.expr]) -> str:
    """Return the form that the keywords of a call say; "" if they say none."""
    action = ast.unparse(given["action"]).strip("'\"") if "action" in given else ""
    if action in ACTIONS:
        return ACTIONS[action]
    if "nargs" in given and ast.literal_eval(given["nargs"]) in {"+", "*"}:
        return "list"
    if "type" not in given:
        return ""
    reads = ast.unparse(given["type"]).lower()
    if "kvs" in reads:
        return "pairs"
    return "json" if any(each in reads for each in STRUCTURED) else "value"


def _spread(spread: ast.expr | None, owners: dict[str, tuple[str, str]], read: Read) -> str:
    if isinstance(spread, ast.Dict):  # {**kwargs["field"], "default": None}
        spread = next((value for key, value in zip(spread.keys, spread.values, strict=True) if key is None), None)
    if spread is None:
        return "value"
    name = ast.unparse(spread)
    if isinstance(spread, ast.Subscript):
        owner, field = owners.get(ast.unparse(spread.value), ("", ""))[0], str(ast.literal_eval(spread.slice))
    else:
        owner, field = owners.get(name, ("", ""))
    node = _annotated(read, owner, field)
    return _form(read, node) if node is not None else "value"


def _annotated(read: Read, owner: str, field: str) -> ast.expr | None:
    found = read.sources.classes.get(owner)
    for each in found.body if found is not None else ():
        if isinstance(each, ast.AnnAssign) and ast.unparse(each.target) == field:
            return each.annotation
    for base in found.bases if found is not None else ():
        inherited = _annotated(read, ast.unparse(base), field)
        if inherited is not None:
            return inherited
    return None


def _form(read: Read, node: ast.expr) -> str:
    """Return the form that vLLM makes of an annotation. Source: arg_utils.py, _compute_kwargs (get_kwargs before)."""
    members = set(_members(read, node))
    if any(_is_object(read.sources.classes[each]) for each in members & {*read.sources.classes}):
        return "json"
    if members == {"bool", "str", "None"} and "{bool, str, type(None)}" in read.text:
        return "value"
    for name, form in (("bool", "boolean"), ("Literal", "value"), ("tuple", "list"), ("list", "list"), ("set", "list")):
        if name in members:
            return form
    if members & {"int", "float"}:
        return "value"
    return "json" if "dict" in members else "value"


def _is_object(owner: ast.ClassDef) -> bool:
    """Return whether a class is a dataclass, or a dict by another name."""
    if any(ast.unparse(each).startswith("dict[") for each in owner.bases):
        return True
    return any(ast.unparse(each).partition("(")[0].endswith(("dataclass", "config")) for each in owner.decorator_list)


def _members(read: Read, node: ast.expr) -> Iterator[str]:
    """Yield the names of the types of an annotation, without what they hold."""
    if isinstance(node, ast.BinOp):
        yield from _members(read, node.left)
        yield from _members(read, node.right)
        return
    if isinstance(node, ast.Subscript):
        outer = ast.unparse(node.value).rpartition(".")[2]
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer in {"Optional", "Union", "InitVar", "SkipValidation", "Annotated"}:
            kept = parts[:1] if outer == "Annotated" else parts
            yield from (name for each in kept for name in _members(read, each))
            yield from ["None"] if outer == "Optional" else []
        else:
            yield outer.lower() if outer != "Literal" else outer
        return
    name = ast.unparse(node).strip("'\"").rpartition(".")[2]
    alias = read.sources.aliases.get(name)
    if isinstance(alias, ast.BinOp | ast.Subscript):
        yield from _members(read, alias)
    else:
        yield name
