"""Repositories to compare: good ones from pages, folders and the schema, with a few values, fields or files changed.

`mutant(number, bases)` is one of an endless row. Its models are called `mNUMBER_…`, so that many share a server.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from benchmarks.soak.drafts import Draft, Group, Plain, python_file, tree
from benchmarks.soak.ensembles import CHANGES as GRAPH_CHANGES
from benchmarks.soak.ensembles import pipeline
from benchmarks.soak.field_changes import CHANGES as FIELD_CHANGES
from benchmarks.soak.file_changes import CHANGES as FILE_CHANGES
from benchmarks.soak.models import CHANGES as BLOCK_CHANGES
from benchmarks.soak.models import model
from tests.pages import files, sections, server
from tritonrepo.pbtxt import parse
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.rules import RULES
from tritonrepo.tree import Directory, Entry, File, of_bytes

RELEASE = "24.10"
CONFIG = "config.pbtxt"
MANY = 12
"""Maximum number of models in one folder of a base: larger groups cost more than they find."""

LARGEST = 200_000
LARGE = 1 << 10
"""The limit for a dim, count or batch size that is allocated at load: running out of memory is not a verdict."""

MADE, FOUND = 0.3, 0.65
"""The share of pipelines made here, and of these plus bases; the rest are single models made here."""


Change = Callable[[random.Random, Group], None]
FAMILIES: Mapping[str, Sequence[Change]] = {
    "fields": FIELD_CHANGES,
    "blocks": BLOCK_CHANGES,
    "files": FILE_CHANGES,
    "graph": GRAPH_CHANGES,
}


def drafts(found: Mapping[str, Entry]) -> Group:
    """Return the models of a tree; a config with faults stays as it is, among the files."""
    group: dict[str, Draft] = {}
    for path, entry in found.items():
        name, _, rest = path.partition("/")
        draft = group.setdefault(name, Draft(name, None, {}))
        parsed = parse(entry.content(), RELEASE) if rest == CONFIG and isinstance(entry, File) else None
        if parsed is not None and not parsed.faults:
            draft.config = to_plain(parsed.root)
        elif rest:
            draft.files[rest] = entry
    return list(group.values())


def pages() -> list[Group]:
    """Return the models of the rules' Good examples that this server can judge."""
    found = []
    for rule in RULES.values():
        page = sections(rule.page)
        target = server(page.get("Run with", ""))
        if target.release.name == RELEASE and not target.gpus:
            found.append(drafts(files(page["Good"])))
    return [group for group in found if any(draft.config is not None for draft in group)]


def folders(root: Path) -> list[Group]:
    """Return the repositories below a folder: each directory whose children have a config.pbtxt."""
    homes = sorted({path.parent.parent for path in root.rglob(CONFIG)})
    return [group for home in homes if (group := _folder(home))]


def _folder(home: Path) -> Group:
    kept = sorted(path.parent for path in home.glob(f"*/{CONFIG}"))[:MANY]
    group = drafts(dict(entry for folder in kept for entry in _entries(folder, home)))
    for draft in group:
        _with_version(draft)
    return group


def _with_version(draft: Draft) -> None:
    """Add what public repositories omit: a version directory, and a Python model's file."""
    versions = {path.partition("/")[0] for path in draft.files if path.partition("/")[0].isdecimal()} or {"1"}
    for version in versions:
        draft.files.setdefault(version, Directory())
        if draft.config is not None and draft.config.get("backend") == "python":
            draft.files.setdefault(f"{version}/model.py", python_file())


def _entries(folder: Path, home: Path) -> Iterable[tuple[str, Entry]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes() if path.stat().st_size <= LARGEST else b""
            yield str(path.relative_to(home)), of_bytes(content)


def named(group: Group, tag: str) -> Group:
    """Return a copy with a tag before the names of models, also in the steps that name them."""
    made = deepcopy(group)
    names = {draft.name for draft in group}
    for draft in made:
        draft.name = tag + draft.name
        if draft.config is None:
            continue
        if draft.config.get("name") in names:
            draft.config["name"] = tag + draft.config["name"]
        for step in draft.config.get("ensemble_scheduling", {}).get("step", []):
            if step.get("model_name") in names:
                step["model_name"] = tag + step["model_name"]
    return made


def mutant(number: int, bases: Sequence[Group], families: Sequence[str] = tuple(FAMILIES)) -> dict[str, Entry]:
    """Return repository `number`: a base or a model made here, with up to three changes; one of eight has none."""
    dice = random.Random(f"verdicts {number} {' '.join(families)}")
    roll = dice.random()
    if "graph" in families and (roll < MADE or len(families) == 1):
        group = pipeline(dice)
    elif bases and roll < FOUND:
        group = dice.choice(bases)
    else:
        group = [model(dice)]
    group = named(group, f"m{number}_")
    for _ in range(dice.choice((0, 1, 1, 1, 1, 2, 2, 3))):
        changes = [change for family in families for change in FAMILIES[family]]
        dice.choice(changes)(dice, group)
    for draft in group:
        _bound(draft.config or {})
    return tree(group)


def _bound(config: Plain) -> None:
    """Reduce what would take gigabytes: warmup requests, initial states, instances."""
    samples = config.get("model_warmup", [])
    held = [tensor for sample in samples for tensor in sample.get("inputs", {}).values()]
    states = config.get("sequence_batching", {}).get("state", [])
    held += [initial for state in states for initial in state.get("initial_state", [])]
    for one in held:
        if math.prod(max(1, abs(dim)) for dim in one.get("dims", [])) > LARGE:
            one["dims"] = [max(-4, min(dim, 4)) for dim in one["dims"][:3]]
    for one in [*samples, *config.get("instance_group", [])]:
        for name in ("count", "batch_size"):
            if one.get(name, 0) > LARGE:
                one[name] = 3
    direct = config.get("sequence_batching", {})
    for holder, name in ((direct.get("oldest", {}), "max_candidate_sequences"), (config, "max_batch_size")):
        if "sequence_batching" in config and holder.get(name, 0) > LARGE:
            holder[name] = LARGE
