"""The effective stack as YAML: extended, merged, with variables replaced; reading it gives an equal Stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, is_dataclass
from typing import Any, get_args

from tritonrepo.diagnostics import Span
from tritonrepo.plain import printable
from tritonrepo.spec import declare, stack, yaml
from tritonrepo.spec.expectation import Expectation
from tritonrepo.spec.extends import KEY
from tritonrepo.spec.load import MICROSECONDS, hints
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar
from tritonrepo.spec.stack import EITHER, Ensemble, Stack

DEFAULT = Span("")
"""The place of what no file says."""


def shown(whole: Stack, *, defaults: bool = False, origins: bool = False) -> str:
    """Return the text of a stack, in the order of its files.

    With `defaults`, it also has the keys that no file sets, unless they have no meaning here; with `origins`, a comment
    behind each key names the file and line that say its value.
    """
    node = _Shown(whole, defaults=defaults).record(whole, whole.node)
    return yaml.text(node, _origin if origins else _nothing)


def _origin(node: Node, name: str) -> str:
    assert isinstance(node, Keys)  # noqa: S101  only mappings have names
    at = node.keys[name][0]
    return "default" if at == DEFAULT else printable(f"{at.path}:{at.line}")


def _nothing(*_: object) -> str:
    return ""


class _Shown:
    """A walk over a Stack and its nodes together."""

    def __init__(self, whole: Stack, *, defaults: bool) -> None:
        self.whole = whole
        self.defaults = defaults

    def record(self, value: Any, node: Keys) -> Keys:
        """Return the keys of a record: those that are set, then those left at their default."""
        given = {
            name: (at, self.value(getattr(value, name), child))
            for name, (at, child) in node.keys.items()
            if not (isinstance(child, Scalar) and child.kind == "null")
        }
        return Keys(node.at, given | (dict(self.left(value, given)) if self.defaults else {}))

    def value(self, value: Any, node: Node) -> Node:
        """Return the node of a value, with defaults in the records in it."""
        if isinstance(node, Keys):
            if is_dataclass(value):
                return self.record(value, node)
            values = value if isinstance(value, Mapping) else {}
            keys = {name: (at, self.value(values.get(name), child)) for name, (at, child) in node.keys.items()}
            return Keys(node.at, keys)
        if isinstance(node, Items) and isinstance(value, tuple):
            whole = len(value) == len(node.items)
            return Items(node.at, tuple(map(self.value, value, node.items))) if whole else node
        return node

    def left(self, value: Any, given: Mapping[str, object]) -> Iterator[tuple[str, tuple[Span, Node]]]:
        """Yield the keys of a record that are left at their default."""
        cls: type = type(value)
        for f in declare.keys(cls):
            required = f.default is MISSING and f.default_factory is MISSING
            if f.name not in given and not required and self.applies(value, f.name):
                yield f.name, (DEFAULT, self.default(getattr(value, f.name), hints(cls)[f.name]))

    def applies(self, value: Any, name: str) -> bool:
        """Return whether a key has a meaning in a record: some have one only with another key or part, or without."""
        if name in EITHER.get(type(value), ()):
            return False  # the other one is set
        if isinstance(value, Ensemble):
            roles = {self.whole.models[member].role for member in value.chain}
            return all(part.role in roles for part in self.whole.parts.values() if name in part.pipeline_keys)
        if isinstance(value, Expectation) and name == "within":
            return value.close is not None
        return name != KEY

    def default(self, value: Any, hint: Any) -> Node:
        """Return the node of a default."""
        if is_dataclass(value):
            return Keys(DEFAULT, dict(self.left(value, {})))
        if isinstance(value, tuple):
            return Items(DEFAULT, tuple(self.default(item, get_args(hint)[0]) for item in value))
        if isinstance(value, Mapping):
            return Keys(DEFAULT, {name: (DEFAULT, self.default(item, Any)) for name, item in value.items()})
        return _scalar(duration(value) if hint is stack.Microseconds else value, "B" if hint is stack.Bytes else "")


def duration(microseconds: int) -> str:
    """Return a time as a stack file has it, in the largest unit of which it is a multiple."""
    unit = max((unit for unit, size in MICROSECONDS.items() if microseconds % size == 0), key=MICROSECONDS.__getitem__)
    return f"{microseconds // MICROSECONDS[unit]}{unit}"


def _scalar(value: Any, unit: str) -> Scalar:
    if value is None:
        return Scalar(DEFAULT, "null", "null")
    if isinstance(value, bool):
        return Scalar(DEFAULT, str(value).lower(), "bool")
    if isinstance(value, int | float) and not unit:
        return Scalar(DEFAULT, str(value), "int" if isinstance(value, int) else "float")
    return Scalar(DEFAULT, f"{value}{unit}", "str")
