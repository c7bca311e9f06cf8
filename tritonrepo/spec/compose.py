"""Several stack files merged into one, and `${VAR}` replaced by its value, by the rules of Docker Compose.

Later files override earlier ones: mappings merge key by key, lists are replaced unless tagged `!append`, and a key
whose value is tagged `!remove` is removed. `${VAR}` must be set, `${VAR:-text}` has a default, `${VAR:?text}` says why
it is needed. `$${` is `${`; unlike in Docker Compose, any other `$$` stands as it is, since a path in a config can
begin with Triton's `$$TRITON_MODEL_DIRECTORY`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tritonrepo.diagnostics import Faults, Span, closest, fatal
from tritonrepo.spec.composing import REMOVE
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar, refuse_unwritable

VARIABLE = re.compile(r"\$(?:(\$)(?=\{)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([^}]*+))?(\}|\Z))")
"""An unclosed one matches up to the end of the text; otherwise the search would try each of them that far."""

PLAIN = re.compile(r"true|false|[-+]?[0-9]+")
"""Interpolated values that are not read as strings: Booleans and integers."""


def merged(nodes: Iterable[Keys], top: Span) -> Keys:
    """Return the nodes merged, later ones over earlier ones; raise Stop with every `!remove` that removes nothing.

    `top` is the place of the whole.
    """
    faults = Faults()
    done = Keys(top, {})
    for node in nodes:
        done = Keys(top, _merged_keys(done, node, faults))
    faults.stop()
    return done


def _merged(earlier: Node | None, later: Node, faults: Faults) -> Node:
    """Return the earlier node, if there is one, overridden by the later one."""
    if isinstance(later, Keys):
        before = earlier if isinstance(earlier, Keys) else Keys(later.at, {})
        return Keys(before.at, _merged_keys(before, later, faults))
    if isinstance(later, Items):
        items = tuple(_merged(None, item, faults) for item in later.items)
        extended = earlier if isinstance(earlier, Items) and later.append else Items(later.at, ())
        return Items(extended.at, extended.items + items)
    return later


def _merged_keys(earlier: Keys, later: Keys, faults: Faults) -> dict[str, tuple[Span, Node]]:
    keys = dict(earlier.keys)
    for name, (at, node) in later.keys.items():
        if not (isinstance(node, Scalar) and node.kind == REMOVE):
            keys[name] = (at, _merged(keys[name][1] if name in keys else None, node, faults))
        elif keys.pop(name, None) is None:
            message = f'"{name}" cannot be removed because no earlier file sets it here'
            faults.add(*fatal("stack-remove", node.at, message, closest(name, keys) if keys else "").diagnostics)
    return keys


def literal(text: str) -> str:
    """Return the text as a stack file has it: `interpolate` makes it this text again."""
    return text.replace("${", "$${") if VARIABLE.search(text) else text


def interpolate(node: Node, variables: Mapping[str, str]) -> Node:
    """Return the node with every `${VAR}` in its values replaced; raise Stop with every variable that is not set."""
    faults = Faults()
    done = _interpolated(node, variables, faults)
    faults.stop()
    return done


def _interpolated(node: Node, variables: Mapping[str, str], faults: Faults) -> Node:
    match node:
        case Scalar():
            return _replaced(node, variables, faults) if "$" in node.text else node
        case Items():
            return Items(node.at, tuple(_interpolated(item, variables, faults) for item in node.items), node.append)
        case Keys():
            keys = {name: (at, _interpolated(value, variables, faults)) for name, (at, value) in node.keys.items()}
            return Keys(node.at, keys)


def _replaced(scalar: Scalar, variables: Mapping[str, str], faults: Faults) -> Scalar:
    def value(match: re.Match[str]) -> str:
        dollar, name, operator, text, end = match.groups()
        if dollar or not end:
            return "$" if dollar else match[0].replace("$${", "${")
        if variables.get(name):
            return variables[name]
        if operator == ":-":
            return str(text)
        if name in variables and operator is None:
            return ""
        state = "empty" if name in variables else "not set"
        message = f"the environment variable {name} is {state}" + (f": {text}" if text else "")
        hint = f"Set {name}, or add a default: `${{{name}:-default}}`."
        faults.add(*fatal("stack-variable", scalar.at, message, hint).diagnostics)
        return ""

    text = VARIABLE.sub(value, scalar.text)
    if text == scalar.text:
        return scalar
    refuse_unwritable(text, scalar.at)  # a variable can hold any bytes
    kind = {True: "bool", False: "int"}[text in {"true", "false"}] if PLAIN.fullmatch(text) else "str"
    return Scalar(replace(scalar.at, end_line=0, end_column=0), text, kind)  # its end is that of other text
