"""The text of a cost file read into inputs; every fault is told with its place, all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TypeVar

from tritonrepo.cost.inputs import Input, Inputs, Option, Published
from tritonrepo.cost.keys import KEYS, LICENSES, NEEDED
from tritonrepo.cost.values import day, is_empty, number, spread
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, closest, counted
from tritonrepo.spec.composing import Loader
from tritonrepo.spec.nodes import Keys, Kind, Node, parse
from tritonrepo.spec.scalars import Misfit, single

RULE = "cost-input"
EMPTY = "cost-empty"
FILE = Kind("cost-syntax", "cost file", Loader, "Remove the tag.", "currency and options", "currency: USD")

TOP = ("currency", "baseline", "shared", "options")
OWN = (*KEYS, "bench", "published")
STATED = ("value", "date", "source")
FIGURES = ("gpu_month", "license_month", "year1")
DEPLOYED = ("gpus", "replicas")

LONGEST = 40
"""Characters of a name that is the head of a column."""

MOST = 50
"""Options of a file."""

T = TypeVar("T")


def read(content: bytes, path: str) -> Inputs:
    """Return what a cost file states; raise Stop with every fault, or with all inputs that are empty."""
    reader = _Reader()
    found = reader.top(parse(content, path, FILE), path)
    if reader.empty:
        reader.found.append(_emptied(reader.empty))
    if reader.found:
        raise Stop(sorted(reader.found, key=lambda each: each.at))
    return found


def _emptied(empty: Sequence[tuple[Span, str]]) -> Diagnostic:
    lines = [f"line {at.line}: {what}" for at, what in sorted(empty)]
    message = f"{counted(len(lines), 'input')} {'is' if len(lines) == 1 else 'are'} empty"
    hint = "\n".join([*lines, "Fill them in, or remove what is not to be counted."])
    return Diagnostic(EMPTY, Severity.FATAL, min(empty)[0], message, hint)


class _Reader:
    """A walk over the nodes, which collects what does not fit and what is empty."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self.empty: list[tuple[Span, str]] = []

    def top(self, node: Keys, path: str) -> Inputs:
        keys = self.known(node, TOP)
        for name in ("currency", "options"):
            if name not in keys:
                self.add(node.at, f'required key "{name}" is missing', f"Add {name}.")
        currency = self.text(keys, "currency", "currency")
        shared = self.values(self.mapping(keys["shared"], "shared"), "shared") if "shared" in keys else {}
        listed = self.mapping(keys["options"], "options").keys if "options" in keys else {}
        if "options" in keys and not 1 <= len(listed) <= MOST:
            message = f'"options" must have 1 to {MOST} options, not {len(listed)}'
            self.add(keys["options"].at, message, "Add a name for each way to serve, and its inputs below it.")
        options = {name: self.option(name, at, inner, shared) for name, (at, inner) in listed.items()}
        baseline = self.text(keys, "baseline", "baseline") or next(iter(options), "")
        if options and baseline not in options:
            self.add(keys["baseline"].at, f'the baseline "{baseline}" is not an option', closest(baseline, options))
        return Inputs(path, currency, options, baseline)

    def option(self, name: str, at: Span, node: Node, shared: Mapping[str, Input]) -> Option:
        if not name.strip() or len(name) > LONGEST:
            self.add(at, f"the name of an option must have 1 to {LONGEST} characters", "Use a shorter name.")
        mapping = Keys(at, {}) if is_empty(node) else self.mapping(node, name)
        keys = self.known(mapping, OWN)
        own = self.values(Keys(mapping.at, {key: each for key, each in mapping.keys.items() if key in KEYS}), name)
        inputs = self.licensed(name, {**{key: replace(each, shared=True) for key, each in shared.items()}, **own})
        for needed in NEEDED:
            if needed not in inputs and not self.found and not self.empty:
                hint = f"Add {needed} to it or to shared ({KEYS[needed].doc})."
                self.add(at, f'option "{name}" has no {needed}', hint)
        published = self.published(self.mapping(keys["published"], "published")) if "published" in keys else None
        return Option(name, at, inputs, self.text(keys, "bench", f"bench of {name}"), published)

    def licensed(self, name: str, inputs: Mapping[str, Input]) -> dict[str, Input]:
        """Return the inputs with one form of the license: an option's own one replaces what is shared."""
        both = [inputs[key] for key in LICENSES if key in inputs]
        own = [each for each in both if not each.shared]
        if len(both) > 1 and len(own) != 1:
            message = f'the license of "{name}" is stated per year and per hour'
            self.add(max(each.at for each in both), message, f"Remove {LICENSES[0]} or {LICENSES[1]}.")
        replaced = {key for key in LICENSES if own and key not in {each.name for each in own}}
        return {key: each for key, each in inputs.items() if key not in replaced}

    def values(self, node: Keys, where: str) -> dict[str, Input]:
        """Return the inputs of a mapping that fit; the others are collected."""
        keys = self.known(node, tuple(KEYS))
        made = {key: self.input(key, inner, f"{key} of {where}") for key, inner in keys.items()}
        return {key: each for key, each in made.items() if each is not None}

    def input(self, key: str, node: Node, what: str) -> Input | None:
        keys = self.known(node, STATED) if isinstance(node, Keys) else {"value": node}
        value = keys.get("value")
        if value is None or is_empty(value):
            self.empty.append(((value or node).at, what))
            return None
        found = self.tried(lambda: spread(value, KEYS[key]))
        date = self.tried(lambda: day(keys["date"])) if "date" in keys and not is_empty(keys["date"]) else None
        source = "" if "source" not in keys or is_empty(keys["source"]) else self.text(keys, "source", what)
        return None if found is None else Input(key, node.at, found, date, source)

    def published(self, node: Keys) -> Published:
        keys = self.known(node, (*FIGURES, "deploys"))
        figures = self.figures(keys, FIGURES)
        if "deploys" not in keys:
            return Published(node.at, figures)
        counts = self.figures(self.known(self.mapping(keys["deploys"], "deploys"), DEPLOYED), DEPLOYED)
        if len(counts) != len(DEPLOYED):
            self.add(keys["deploys"].at, '"deploys" must have gpus and replicas', "Write `{gpus: 2, replicas: 2}`.")
        gpus, replicas = (counts[name][1] if name in counts else None for name in DEPLOYED)
        return Published(node.at, figures, keys["deploys"].at, gpus, replicas)

    def figures(self, keys: Mapping[str, Node], names: Sequence[str]) -> dict[str, tuple[Span, Fraction]]:
        read = {name: self.tried(partial(number, keys[name], name)) for name in names if name in keys}
        return {name: (keys[name].at, found) for name, found in read.items() if found is not None}

    def text(self, keys: Mapping[str, Node], name: str, what: str) -> str:
        """Return the text of a key, "" without it; an empty one is collected."""
        if name not in keys:
            return ""
        if is_empty(keys[name]):
            self.empty.append((keys[name].at, what))
            return ""
        found = self.tried(lambda: single(keys[name], name))
        return "" if found is None else found.text.strip()

    def mapping(self, node: Node, name: str) -> Keys:
        """Return a mapping; for what is none, an empty one."""
        if not isinstance(node, Keys):
            self.add(node.at, f'"{name}" must be a mapping of keys to values', "Write its keys below it, indented.")
            return Keys(node.at, {})
        return node

    def known(self, node: Keys, names: Sequence[str]) -> dict[str, Node]:
        """Return the values of the keys that are known; the others are faults."""
        for name, (at, _) in node.keys.items():
            if name not in names:
                self.add(at, f'unknown key "{name}"', closest(name, names))
        return {name: value for name, (_, value) in node.keys.items() if name in names}

    def tried(self, read: Callable[[], T]) -> T | None:
        """Return what is read; None, and the fault collected, if it does not fit."""
        try:
            return read()
        except Misfit as misfit:
            self.found.append(misfit.of(RULE))
            return None

    def add(self, at: Span, message: str, hint: str) -> None:
        self.found.append(Diagnostic(RULE, Severity.FATAL, at, message, hint))
