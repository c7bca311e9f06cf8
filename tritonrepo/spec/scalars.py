"""Single values of a stack file, read by their YAML type; a value that does not fit is told at its place."""

from __future__ import annotations

import math
import re

from tritonrepo.diagnostics import Diagnostic, Fix, Severity, Span
from tritonrepo.spec.mending import rewritten, switched
from tritonrepo.spec.nodes import Items, Node, Scalar

MAX_DIGITS = 100
"""Far more than any number in a stack file needs; Python itself converts at most 4,300 digits."""

BASES = frozenset({"0x", "0o"})
"""How YAML's integers of another base begin (YAML 1.2, 10.3.2)."""


WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
"""Numbers that are right once their quotes are removed."""

MEASURED = re.compile(r"[0-9]+(?:\.[0-9]+)?\s?[A-Za-z]{1,3}")


class Misfit(Exception):  # noqa: N818  carries one finding to where the value is left out
    """A value that does not fit, at its place."""

    def __init__(self, at: Span, message: str, hint: str = "", fix: Fix | None = None) -> None:
        self.at, self.message, self.hint, self.fix = at, message, hint, fix
        super().__init__(message)

    def of(self, rule: str) -> Diagnostic:
        """Return it as a finding of this rule."""
        return Diagnostic(rule, Severity.FATAL, self.at, self.message, self.hint, fix=self.fix)


def single(node: Node, name: str) -> Scalar:
    """Return the node, if it is a single value; raise Misfit otherwise."""
    if not isinstance(node, Scalar):
        what = "list" if isinstance(node, Items) else "mapping"
        raise Misfit(node.at, f'"{name}" must be a single value, not a {what}')
    return node


def flag(node: Scalar, name: str) -> bool:
    """Return a boolean; raise Misfit if it is none."""
    if node.kind != "bool":
        raise Misfit(node.at, f'"{name}" must be true or false, not "{node.text}"', fix=switched(node.at, node.text))
    return node.text.lower() == "true"


def integer(node: Scalar, name: str) -> int:
    """Return an integer, decimal or of another base; raise Misfit if it is none, or too long for any use."""
    if node.kind != "int":
        hint = "Use a number without a unit." if MEASURED.fullmatch(node.text) else ""
        fix = rewritten(node.at, node.text, node.text, safe=True) if WHOLE.fullmatch(node.text) else None
        raise Misfit(node.at, f'"{name}" must be an integer, not "{node.text}"', hint, fix)
    if len(node.text) > MAX_DIGITS:
        message = f'"{node.text[:20]}…" has {len(node.text)} digits, but a number can have at most {MAX_DIGITS}'
        raise Misfit(node.at, message)
    return int(node.text, 0 if node.text[:2] in BASES else 10)


def number(node: Scalar, name: str) -> float:
    """Return a finite number; raise Misfit if it is none, or is larger than any double."""
    if node.kind not in {"int", "float"}:
        fix = rewritten(node.at, node.text, node.text, safe=True) if DECIMAL.fullmatch(node.text) else None
        raise Misfit(node.at, f'"{name}" must be a number, not "{node.text}"', fix=fix)
    found = float(integer(node, name)) if node.kind == "int" else float(node.text)
    if not math.isfinite(found):
        raise Misfit(node.at, f'"{node.text[:20]}" is larger than any number that JSON parsers accept')
    return found
