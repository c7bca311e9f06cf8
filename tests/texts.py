"""Our texts, collected: messages, hints and help from the package's syntax, titles and findings from the pages.

What a run fills in is `{}` in a text that is written in the code; the pages show it filled in. The server's own words
(`reason`) are not ours and are left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import click

from tests.documents import commands
from tests.syntax import Module, children, given, modules, walk
from tritonrepo.report.pages import sections, title
from tritonrepo.report.registry import REGISTRY
from tritonrepo.rules import RULES


class Text(NamedTuple):
    """A text, what it is, and where it is written."""

    kind: str
    text: str
    place: str


def templates(node: ast.expr, scope: ast.AST) -> Iterator[str]:
    """Yield what an expression of a function can be, with `{}` for what is filled in; nothing if only a run knows."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in values)
        case ast.IfExp(body=one, orelse=other):
            yield from (*templates(one, scope), *templates(other, scope))
        case ast.BoolOp(values=values):
            yield from (text for value in values for text in templates(value, scope))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            rights = [*templates(right, scope)] or ["{}"]
            yield from (one + other for one in [*templates(left, scope)] or ["{}"] for other in rights)
        case ast.Name(id=name):
            yield from (text for value in _assigned(name, scope) for text in templates(value, scope))
        case _:
            return


def _assigned(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    """Yield what a function assigns to a name, save what is made of that name or another."""
    for node in walk(scope):
        if isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id == name for each in node.targets
        ):
            names = {each.id for each in walk(node.value) if isinstance(each, ast.Name)}
            if name not in names and not isinstance(node.value, ast.Name):
                yield node.value


def _calls(module: Module) -> Iterator[tuple[ast.AST, ast.Call]]:
    """Yield each call of a module, and the innermost function that it is in."""
    left: list[tuple[ast.AST, ast.AST]] = [(module.tree, module.tree)]
    while left:
        scope, node = left.pop()
        if isinstance(node, ast.Call):
            yield scope, node
        inner = node if isinstance(node, ast.FunctionDef) else scope
        left += ((inner, child) for child in children(node))


def _given(module: Module) -> Iterator[tuple[str, ast.expr, ast.AST]]:
    """Yield what the calls of a module give as a message, a hint, or a complaint of click's."""
    for scope, call in _calls(module):
        for kind in ("message", "hint"):
            yield from ((kind, expression, scope) for expression in given(module, call, kind))
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"UsageError", "BadParameter"}:
            yield "usage", call.args[0], scope


def _returned(module: Module) -> Iterator[tuple[str, ast.expr, ast.AST]]:
    """Yield what the functions return whose name says that it is a hint."""
    for scope in module.nodes:
        if isinstance(scope, ast.FunctionDef) and scope.name.endswith("hint"):
            returns = (node for node in walk(scope) if isinstance(node, ast.Return) and node.value)
            yield from (("hint", node.value, scope) for node in returns if node.value)


def in_code() -> Iterator[Text]:
    """Yield the messages, hints and complaints that the package's code has."""
    for module in modules().values():
        for kind, expression, scope in (*_given(module), *_returned(module)):
            for text in templates(expression, scope):
                if text.strip("{} "):
                    yield Text(kind, text, module.place(expression))


FINDING = re.compile(r"^\S.*?: (?:error|warning|info): (.*) \[[\w-]+\]\n((?:  .*\n)*)", re.MULTILINE)


def on_pages() -> Iterator[Text]:
    """Yield the messages and hints that the pages of rules show."""
    for name, rule in RULES.items():
        for message, hint in FINDING.findall(dict(sections(rule.page))["Says"] + "\n"):
            yield Text("message", message, f"{name}.md")
            if hint:
                yield Text("hint", re.sub(r"^  ", "", hint.rstrip("\n"), flags=re.MULTILINE), f"{name}.md")


def in_help() -> Iterator[Text]:
    """Yield the help of every command and option."""
    for name, command in commands().items():
        yield Text("help", command.help or "", name)
        for option in command.params:
            if isinstance(option, click.Option) and option.help:
                yield Text("help", option.help, f"{name} {option.opts[0]}")


def docstrings() -> Iterator[Text]:
    """Yield the docstrings of the package."""
    for module in modules().values():
        for node in module.nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                yield Text("docstring", ast.get_docstring(node) or "", module.place(node))


def titles() -> Iterator[Text]:
    """Yield the titles of the pages, each of the kind of its severity."""
    yield from (Text(entry.severity, title(entry.page), name) for name, entry in REGISTRY.items())


@cache
def all_texts() -> tuple[Text, ...]:
    """Return each of our texts once, save titles."""
    return (*dict.fromkeys((*in_code(), *on_pages(), *in_help(), *docstrings())),)


def texts(*kinds: str) -> list[Text]:
    """Return the texts of these kinds: "message", "hint", "usage", "help", "docstring" or "title"."""
    return [text for text in all_texts() if text.kind in kinds] + ([*titles()] if "title" in kinds else [])
