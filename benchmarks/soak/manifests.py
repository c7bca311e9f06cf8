"""Faults put into manifests, one at a time, and whether what Kubernetes' own schemas refuse is found, at its place.

`python -m benchmarks.soak.manifests [FILE] [COUNT]` changes the objects of FILE (by default, a manifest of Triton with
all that belongs to it) in COUNT ways: a key is misspelt, removed or added, a value gets another type, an item is
repeated. `kubernetes-validate --strict` for the oldest and the newest release of Kubernetes decides what must be found.
It prints what it refuses and we accept, what we refuse and it accepts by rule, and findings outside the changed line's
neighborhood. The exit code is 1 if something was missed.
"""

from __future__ import annotations

import copy
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.objects import Manifests
from tritonrepo.manifests.reading import resource
from tritonrepo.rules.manifests.judge import judge

RELEASES = ("1.28", "1.37")
SEED = 1
STRUCTURE = ("kubernetes-", "selector-missing", "manifest-syntax")
Path_ = tuple[str | int, ...]


def paths(node: Any, above: Path_ = ()) -> Iterator[Path_]:  # noqa: ANN401  YAML
    """Yield the path of everything below a value."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield (*above, key)
        yield from paths(value, (*above, key))


def at(node: Any, path: Path_) -> Any:  # noqa: ANN401  YAML
    """Return what is at a path."""
    for key in path:
        node = node[key]
    return node


def changed(given: Any, chance: random.Random) -> tuple[Any, str]:  # noqa: ANN401  YAML
    """Return a copy of an object with one fault, and what the fault is."""
    made = copy.deepcopy(given)
    path = chance.choice([*paths(made)])
    above, key = at(made, path[:-1]), path[-1]
    value = above[key]
    kind = chance.choice(["drop", "null", "number", "text", "bool", "list", "mapping", "misspell", "add", "twice"])
    others = {"null": None, "number": 7, "text": "seven", "bool": True, "list": ["x"], "mapping": {"x": "y"}}
    if kind in others:
        above[key] = others[kind]
    elif kind == "drop":
        del above[key]
    elif kind == "misspell" and isinstance(above, dict) and isinstance(key, str):
        del above[key]
        above[key[:-1] or "x"] = value
    elif kind == "add" and isinstance(value, dict):
        value["unheardOf"] = 1
    elif isinstance(above, list):
        above.append(copy.deepcopy(value))
    return made, f"{kind} {'.'.join(map(str, path))}"


def refusal(made: Any, release: str) -> str:  # noqa: ANN401  YAML
    """Return why the schemas of a release refuse an object; "" if they accept it."""
    try:
        kubernetes_validate.validate(made, release, strict=True)
    except kubernetes_validate.ValidationError as error:
        of_both = "is valid under each of" in error.message  # null is: these schemas allow it twice, servers once
        return "" if of_both else f"{'.'.join(map(str, error.path))}: {error.message[:90]}"
    except (kubernetes_validate.SchemaNotFoundError, KeyError, AttributeError, TypeError) as error:
        return str(error)[:90]
    return ""


def main() -> int:
    """Run all, and print what differs."""
    words = dict(enumerate(sys.argv[1:]))
    file = Path(words.get(0, Path(__file__).parents[2] / "examples/models/seed/k8s/repaired/triton.yaml"))
    objects = [each for each in yaml.safe_load_all(file.read_text("utf-8")) if each]
    chance, missed, more = random.Random(SEED), list[str](), Counter[str]()
    refused = nowhere = 0
    for number in range(int(words.get(1, "1000"))):
        made, what = changed(objects[number % len(objects)], chance)
        text = yaml.safe_dump(made, sort_keys=False)
        read = resource(text.encode(), "a.yaml")
        found = [*read.faults, *judge(Manifests(read.objects))]
        ours = [each for each in found if each.severity is Severity.ERROR]
        theirs = {release: reason for release in RELEASES if (reason := refusal(made, release))}
        refused += bool(theirs)
        nowhere += any(not each.at.line for each in ours)
        if theirs and not ours:
            missed.append(f"{what}: {theirs}")
        if ours and not theirs:
            more.update({f"{each.rule} {what}" for each in ours if each.rule.startswith(STRUCTURE)})
    print(f"{refused} refused, {len(missed)} of them not found, {nowhere} without a line")
    print("refused by us alone:", *sorted(more), sep="\n  ")
    print(*missed, sep="\n")
    return int(bool(missed) or nowhere > 0)


if __name__ == "__main__":
    sys.exit(main())
