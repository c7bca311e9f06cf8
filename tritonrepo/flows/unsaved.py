"""A config that is not saved yet, such as an editor's, checked as if it were in its place."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, State, Stop, Unseen, Verdict, fatal
from tritonrepo.flows.paths import reading
from tritonrepo.flows.validate import Aim, Judgement, Scanned, Shown, aimed, examined
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import CONFIG_BYTES
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules import Rule
from tritonrepo.stores import is_remote, open_store
from tritonrepo.tree import Link, overlay

ABSENT = frozenset(
    {
        "backend-library-not-found",
        "backend-not-inferable",
        "ensemble-no-version-directory",
        "execution-env-missing",
        "initial-state-file-missing",
        "label-file-missing",
        "no-version-available",
        "step-model-missing",
        "warmup-file-missing",
    }
)
"""The rules that find fault with a config only because no other file is there."""


@reading()
def unsaved(content: bytes, place: str, work: Workspace, aim: Aim, shown: Shown) -> Judgement:
    """Check the content of a config.pbtxt that would be at a path; return what is found on its model.

    The repository around it is judged with it if it exists. Otherwise, the config is judged alone: what depends on
    other files is left out, and the verdict is `not judged` unless the config decides it.
    """
    root, model = _home(place)
    own = f"{model}/{CONFIG}"
    if len(content) > CONFIG_BYTES:
        size = f"the config has more than the {CONFIG_BYTES:,} bytes that are read"
        raise fatal("config-too-large", place, size, "Check that it is the right file.")
    store, prefix = open_store(root, work.links)
    began = time.time_ns()
    tree = store.scan(prefix)
    alone = not tree or isinstance(tree.get(model), Link)
    whole = overlay({} if alone else tree, {own: content})
    here = aimed(Scanned(root, store, prefix, whole, began), aim)
    found = examined(here, work, _without(shown) if alone else shown)
    return _of_model(found.judgement, model, (str(Path(root, own)), place), alone=alone)


def around(place: str) -> str:
    """Return the path of the repository that has or would have a config; the path itself if no config has it."""
    try:
        return _home(place)[0]
    except Stop:
        return place


def _home(place: str) -> tuple[str, str]:
    """Return the path of the repository, and the model's name; raise Stop for what is not the path of a config."""
    path, parent = Path(place), Path(place).parent
    above = parent.name in {"", ".."}
    model = Path(os.path.abspath(parent)).name if above else parent.name  # noqa: PTH100  a link stays a link
    if is_remote(place) or path.name != CONFIG or not model:
        hint = "Use the path that the config would have, such as models/embedder/config.pbtxt."
        raise fatal("validate-path", place, f"this is not the path of a model's {CONFIG}", hint)
    return str(parent / ".." if above else parent.parent), model


def _without(shown: Shown) -> Shown:
    def alone(rule: Rule) -> bool:
        return rule.name not in ABSENT and shown(rule)

    return alone


def _of_model(judgement: Judgement, model: str, names: tuple[str, str], *, alone: bool) -> Judgement:
    """Return what is on a model; its config, the first of the names, gets the name that the user gave."""
    placed, given = names

    def name(path: str) -> str:
        return given if path == placed else path

    def lines(path: str) -> list[str]:
        return judgement.lines(placed if path == given else path)

    def own(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        home = str(Path(placed).parent)
        return tuple(
            each.renamed(name)
            for each in found
            if each.model == model or each.at.path in {placed, home} or each.at.path.startswith(f"{home}/")
        )

    hidden = own(judgement.hidden)
    verdicts = tuple(_verdict(each, alone=alone) for each in judgement.verdicts if each.model == model)
    left = tuple(each._replace(models=(model,)) for each in judgement.unseen if model in each.models)
    left += (Unseen("other files", (model,)),) if alone else ()
    return Judgement(own(judgement.diagnostics), verdicts, lines, len(hidden), left, hidden)


def _verdict(verdict: Verdict, *, alone: bool) -> Verdict:
    known = not alone or verdict.rule not in ABSENT
    return verdict if known else replace(verdict, verdict=State.NOT_JUDGED, rule="", stage="", server_reason="")
