"""Looking at models while others are read: forked processes read some, and tell in which there is nothing to find.

For that, they need to know what follows from all configs: how many GPUs these list, and which models ensembles name.
Both are guessed from the texts. A wrong guess costs only time: what was found out with another number of GPUs is not
used, and a model that turns out to be named is only completed once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.repository import Target, Tops, model
from tritonrepo.repository.gpus import MOST, counted
from tritonrepo.repository.model import CONFIG, Model
from tritonrepo.rules import aside
from tritonrepo.rules.dispatch import Dispatch
from tritonrepo.rules.python.tensors import source_uses
from tritonrepo.rules.registry import Scope
from tritonrepo.tree import File, Tree

LISTED = re.compile(rb"gpus[\s:\[]*([0-9][0-9,\s]*)")
DIGITS = re.compile(rb"[0-9]{1,4}")
NAMED = re.compile(rb"model_name[\s:]*[\"']([^\"'\n]*)")
SHORT = 1 << 20
"""Bytes of a config; a longer text is not looked through."""


class Ahead(NamedTuple):
    """Processes that have begun, and the target that they look at models for; nothing without them."""

    processes: aside.Aside | None = None
    target: Target | None = None

    def going_on(self, target: Target) -> AbstractContextManager[aside.Aside] | None:
        """Return the processes if this is their target; else end them."""
        if self.processes is None:
            return None
        if target == self.target:
            return nullcontext(self.processes)
        self.processes.stop()
        return None


NOT_AHEAD = Ahead()


@contextmanager
def ahead(tree: Tree, there: Tops, server: Target, root: str) -> Iterator[Ahead]:
    """Yield processes that read and look at some of many models, for as long as the block runs.

    None are there if memory counts for more than time: what is scanned would be in it twice, as reading touches it.
    """
    if not aside.MANY <= len(there.models) <= repository.KEPT or aside.cores() == 1:
        yield NOT_AHEAD
        return
    gpus, named = _guessed(there)
    target, rules = counted(gpus, server), Dispatch(Scope.MODEL)

    def nothing(name: str) -> bool:
        each = model(name, there.models[name], target, root, there.closed.get(name))
        each.beside = tree
        found = any(True for rule in rules[each.traits, each.unknown] for _ in rule.check(each))
        return not found and is_settled(each)

    with aside.aside([*there.models], named, nothing) as processes:
        yield Ahead(processes, target)


def is_settled(model: Model) -> bool:
    """Return whether a model in which nothing was found depends on no other one: of it, no more needs to be known."""
    return not model.looked_beside and (model.backend != "python" or not source_uses(model))


def _guessed(there: Tops) -> tuple[int, set[str]]:
    """Return how many GPUs the configs seem to list, and which models ensembles seem to name."""
    gpus, named = 0, set[str]()
    for entries in there.models.values():
        config = entries.get(CONFIG)
        text = config.content() if isinstance(config, File) and config.size <= SHORT else b""
        for numbers in LISTED.findall(text) if b"gpus" in text else ():
            gpus = max([gpus, *(least for number in DIGITS.findall(numbers) if (least := int(number) + 1) <= MOST)])
        if b"ensemble_scheduling" in text:
            named.update(name.decode("utf-8", "replace") for name in NAMED.findall(text))
    return gpus, named
