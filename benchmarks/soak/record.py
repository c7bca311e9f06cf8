"""Record what the real server says about changed repositories, as test data: a few per rule, and good ones.

    python -m benchmarks.soak.record [--count 4000] [--each 8] [--ready 150] [--cache FILE]

Writes tests/data/verdicts.jsonl, one repository a line: its files, whether auto-complete was on, and per model whether
the server had it ready, or the reasons that it gave. Those in which the server and we differ are printed, and kept out:
they are `benchmarks.soak.verdicts`' to find and a rule's to mend. COUNT repositories of every family are looked at; one
is the same for the same number.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.soak import mutants
from benchmarks.soak.verdict_server import Bench
from benchmarks.soak.verdicts import Judged, Ours, Server, alone, hangs, ours, rows, wanted
from tests.pages import normal
from tritonrepo.tree import Entry, File

DATA = Path(__file__).parents[2] / "tests" / "data" / "verdicts.jsonl"
LARGEST = 4000
"""Maximum size in bytes of a recorded repository."""


def text(tree: Mapping[str, Entry]) -> dict[str, str] | None:
    """Return a repository's files as text; None if it has anything else, or too much."""
    found: dict[str, str] = {}
    for path, entry in tree.items():
        if not isinstance(entry, File) or entry.size > LARGEST:
            return None
        try:
            found[path] = entry.content().decode("utf-8")
        except UnicodeDecodeError:
            return None
    return found if sum(map(len, found.values())) <= LARGEST else None


def line(files: Mapping[str, str], found: Ours, server: Judged, *, auto_complete: bool, tag: str) -> str:
    """Return a repository with the server's verdicts, with the tags removed from its models' names."""
    models: dict[str, Any] = {}
    for name in found.verdicts:
        said = server.models.get(name)
        models[name] = "ready" if said and said.ready else sorted(map(normal, said.reasons)) if said else []
    whole = {"auto_complete": auto_complete, "files": files, "models": models}
    return json.dumps(whole, ensure_ascii=False, sort_keys=True).replace(tag, "")


def main() -> int:
    """Choose repositories, ask the server, and write its verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--ready", type=int, default=150)
    parser.add_argument("--cache", type=Path, default=Path("build/verdicts.json"))
    options = parser.parse_args()
    written: list[str] = []
    for auto_complete in (True, False):
        written += half(options, auto_complete=auto_complete)
    DATA.write_text("".join(f"{one}\n" for one in written), encoding="utf-8")
    print(f"{len(written)} repositories in {DATA.name}, {DATA.stat().st_size:,} bytes")
    return 0


def half(options: argparse.Namespace, *, auto_complete: bool) -> Iterator[str]:
    """Yield the lines for repositories judged with or without auto-complete."""
    place = wanted(auto_complete=auto_complete)
    taken: Counter[str] = Counter()
    picked: list[tuple[str, dict[str, str], Mapping[str, Entry], Ours]] = []
    for tag, tree in repositories(options.count):
        files = text(tree)
        found = ours(tree, place) if files is not None else None
        if files is None or found is None or not found.comparable or found.may_complete:
            continue
        if alone(found) or hangs(found):
            continue
        rules = {verdict.rule for verdict in found.verdicts.values()}
        if any(taken[rule] < (options.each if rule else options.ready) for rule in rules):
            taken.update(rules)
            picked.append((tag, files, tree, found))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = Server(Bench(Path(folder), place.backends, real=False), options.cache, auto_complete=auto_complete)
        judged = server.judge([tree for _, _, tree, _ in picked], [found for *_, found in picked])
    for (tag, files, _, found), said in zip(picked, judged, strict=True):
        if differ := list(rows(tag, found, said)):
            print(f"left out, they differ: {differ[0]}")
        elif not said.ended:
            yield line(files, found, said, auto_complete=auto_complete, tag=tag)


def repositories(count: int) -> Iterator[tuple[str, Mapping[str, Entry]]]:
    """Yield changed repositories, equally many per family, each with the tag of its models' names."""
    bases = mutants.pages()
    for first, families in enumerate([[*mutants.FAMILIES], *([family] for family in mutants.FAMILIES)]):
        for number in range(first * count, (first + 1) * count):
            yield f"m{number}_", mutants.mutant(number, bases, families)


if __name__ == "__main__":
    raise SystemExit(main())
