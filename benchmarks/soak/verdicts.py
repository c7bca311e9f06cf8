"""Compare the real server's verdicts and reasons on changed repositories with ours, and show the differences.

    python -m benchmarks.soak.verdicts [--first 0] [--count 400] [--families fields,blocks,files,graph]
        [--no-auto-complete] [--real] [--repositories FOLDER] [--cache FILE] [--show 40] [--keep FOLDER]
        [--release YY.MM]

The server is the one of the `local` extra: 24.10, without a GPU; hundreds of models share a start. Its backends are
made of C here (it needs `cc`) and accept every model, so that the core alone is judged; with `--real` Python's own is
used, and the package's stand-in for vLLM; what we say hangs is left out there. `--repositories` adds the models below
a folder to those that are changed, and `--count 0` judges these alone, as they are. What is expected to end the server,
or does, is judged alone.

`--release` compares with the server of another release, as `serve --release` runs it.

A repository is the same for the same number and families; verdicts are kept by digest (`--cache`), so that a second run
asks only for what is new. Differences are grouped by cause; the exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.soak import mutants
from benchmarks.soak.drafts import tree as written
from benchmarks.soak.verdict_server import STAND_INS, Bench, Said, Seen
from tests.pages import normal
from tritonrepo import repository
from tritonrepo.diagnostics import State, Verdict
from tritonrepo.repository import Target, target
from tritonrepo.repository.completion import may_complete
from tritonrepo.rules import judge
from tritonrepo.tree import Entry, File, digest

ROOT = "$REPO"
MANY = 120
MANY_REAL = 24
"""Repositories per start; with the real Python backend, each of their models is one or two processes."""

DEADLINE_S = 60
ALONE_S = 20
SHORT = 12
REAL = {"python", *STAND_INS}
BY_BACKEND = {"warmup-batch-too-large", "warmup-run-fails"}
"""Rules of another stage that the backend decides."""

Tree = Mapping[str, Entry]


class Row(NamedTuple):
    """A model whose two verdicts differ, or whose reasons do."""

    what: str
    case: str
    model: str
    ours: Verdict
    server: Said


class Judged(NamedTuple):
    """What the server did with one repository."""

    ended: str
    models: Mapping[str, Said]


def wanted(*, auto_complete: bool, release: str = mutants.RELEASE) -> Target:
    """Return the server's target."""
    return target(repository.Said(release, gpus=0, auto_complete=auto_complete))


class Ours(NamedTuple):
    """Our verdicts by model; the reasons of all errors; whether this server's backends do as the real ones.

    What a backend may complete is not judged by us, which is no fault.
    """

    verdicts: Mapping[str, Verdict]
    reasons: frozenset[str]
    comparable: bool
    may_complete: bool = False


def ours(tree: Tree, server: Target, *, real: bool = False) -> Ours:
    """Judge a repository; null backends complete nothing and never refuse a model."""
    read = repository.read(tree, server, ROOT)
    judged = judge(read)
    verdicts = {verdict.model: verdict for verdict in judged.verdicts}
    null = [model for model in read.models.values() if not (real and model.backend in REAL)]
    completed = any(may_complete(model) or model.backend == "vllm" for model in null)
    at_backend = any(verdicts[m.name].stage == "backend" or verdicts[m.name].rule in BY_BACKEND for m in null)
    reasons = frozenset(normal(found.server_reason) for found in judged.diagnostics if found.server_reason)
    return Ours(verdicts, reasons, not (completed or at_backend), any(map(may_complete, read.models.values())))


def alone(found: Ours) -> bool:
    """Return whether a repository needs a separate server."""
    return any(verdict.verdict is State.CRASH for verdict in found.verdicts.values())


def hangs(found: Ours) -> bool:
    """Return whether a repository hangs the server."""
    return any(verdict.verdict is State.HANG for verdict in found.verdicts.values())


class Server:
    """The server with a memory of its verdicts."""

    def __init__(self, bench: Bench, cache: Path, *, auto_complete: bool) -> None:
        self.bench = bench
        self.cache = cache
        self.auto_complete = auto_complete
        self.kept: dict[str, Any] = json.loads(cache.read_text("utf-8")) if cache.exists() else {}

    def key(self, tree: Tree) -> str:
        """Return the name under which a verdict is kept."""
        mode = f"{'real' if self.bench.real else 'null'}{'' if self.auto_complete else ' off'}{self.bench.release}"
        return f"{mode} {digest(tree)}"

    def judge(self, trees: Sequence[Tree], expected: Sequence[Ours]) -> list[Judged]:
        """Return the verdicts on each repository, both kept and new ones."""
        new = [pair for pair in zip(trees, expected, strict=True) if self.key(pair[0]) not in self.kept]
        many = MANY_REAL if self.bench.real else MANY
        quiet = [tree for tree, found in new if not alone(found)]
        for first in range(0, len(quiet), many):
            self._together(quiet[first : first + many])
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            self.cache.write_text(json.dumps(self.kept, ensure_ascii=False), "utf-8")
        for tree, found in new:
            if alone(found):
                self._together([tree])
        self.cache.write_text(json.dumps(self.kept, ensure_ascii=False), "utf-8")
        return [Judged(one["ended"], {m: Said(*s) for m, s in one["models"].items()}) for one in map(self._of, trees)]

    def _of(self, tree: Tree) -> Any:  # noqa: ANN401  JSON
        return self.kept[self.key(tree)]

    def _together(self, trees: Sequence[Tree]) -> None:
        """Judge many repositories at once, or in halves if the server does not end by itself."""
        union = {path: entry for tree in trees for path, entry in tree.items()}
        limit = DEADLINE_S if len(trees) > 1 else ALONE_S
        seen: Seen = self.bench.judge(union, auto_complete=self.auto_complete, deadline_s=limit)
        if seen.ended and len(trees) > 1:
            print(f"  {len(trees)} repositories: {seen.ended}; halves", flush=True)
            self._together(trees[: len(trees) // 2])
            self._together(trees[len(trees) // 2 :])
            return
        for tree in trees:
            names = {path.partition("/")[0] for path in tree}
            models = {name: [said.ready, list(said.reasons)] for name, said in seen.models.items() if name in names}
            self.kept[self.key(tree)] = {"ended": seen.ended and f"{seen.ended}: {seen.last}", "models": models}


def rows(case: str, found: Ours, server: Judged) -> Iterator[Row]:
    """Yield what differs in one repository."""
    for name, verdict in found.verdicts.items() if found.comparable else ():
        said = server.models.get(name, Said(ready=False))
        if server.ended:
            if not any(one.verdict in {State.CRASH, State.HANG} for one in found.verdicts.values()):
                yield Row("ended", case, name, verdict, Said(ready=False, reasons=(server.ended,)))
        elif verdict.verdict is State.CRASH:
            yield Row("no crash", case, name, verdict, said)
        elif said.ready is not (verdict.verdict is State.READY):
            if said.ready or not found.may_complete:
                yield Row("false alarm" if said.ready else "missed", case, name, verdict, said)
        elif not said.ready and not agree(verdict.server_reason, said.reasons):
            other = any(agree(reason, said.reasons) for reason in found.reasons)
            yield Row("order" if other else "reason", case, name, verdict, said)


def agree(mine: str, texts: Sequence[str]) -> bool:
    """Whether our reason is one of the server's, or a part of it that is long enough to be distinctive."""
    mine = normal(mine)
    return any(mine == text or (len(mine) >= SHORT and mine in text) for text in map(normal, texts))


def cause(row: Row) -> str:
    """Return what rows with the same cause have in common: the words without names and numbers."""
    words = " | ".join(row.server.reasons[:1])
    plain = re.sub(r"'[^']*'|m\d+_[\w.]+|-?\d+|\[[^\]]*\]", "…", words)
    return f"{row.what}: ours {row.ours.rule or row.ours.verdict}; server: {plain[:150]}"


def keep(tree: Tree, folder: Path) -> None:
    """Write a repository to disk for inspection."""
    for path, entry in tree.items():
        at = folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(entry.content()) if isinstance(entry, File) else (folder / f"{path}.{entry}").touch()


def show(found: Sequence[Row], count: int, trees: Mapping[str, Tree], folder: Path | None) -> None:
    """Print the causes, the most frequent first, each with two examples."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        groups[cause(row)].append(row)
    for words, some in sorted(groups.items(), key=lambda pair: -len(pair[1]))[:count]:
        print(f"\n{len(some)} × {words}")
        for row in some[:2]:
            print(f"    {row.case} / {row.model}")
            print(f"      ours   {row.ours.verdict} {row.ours.rule}: {row.ours.server_reason}"[:300])
            for text in row.server.reasons[:2] or ["ready" if row.server.ready else "no word"]:
                print(f"      server {text}"[:300])
            if folder is not None:
                keep(trees[row.case], folder / row.case)


def cases(given: argparse.Namespace) -> dict[str, Tree]:
    """Return the repositories that are judged, by name."""
    folders = mutants.folders(given.repositories) if given.repositories else []
    if not given.count:
        return {f"folder-{n}": written(mutants.named(group, f"w{n}_")) for n, group in enumerate(folders)}
    bases = [*mutants.pages(), *folders]
    families = given.families.split(",")
    numbers = range(given.first, given.first + given.count)
    return {f"{number}": mutants.mutant(number, bases, families) for number in numbers}


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--families", default=",".join(mutants.FAMILIES))
    parser.add_argument("--no-auto-complete", action="store_true")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--repositories", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("build/verdicts.json"))
    parser.add_argument("--show", type=int, default=40)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--release", default=mutants.RELEASE)
    return parser.parse_args()


def main(given: argparse.Namespace) -> int:
    """Run; return exit status 1 if anything differs."""
    began = time.monotonic()
    place = wanted(auto_complete=not given.no_auto_complete, release=given.release)
    trees = cases(given)
    expected = {case: ours(tree, place, real=given.real) for case, tree in trees.items()}
    if given.real:
        expected = {case: one for case, one in expected.items() if not hangs(one)}
        trees = {case: trees[case] for case in expected}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), place.backends, real=given.real, release=given.release)
        server = Server(bench, given.cache, auto_complete=place.auto_complete)
        judged = server.judge(list(trees.values()), list(expected.values()))
    pairs = zip(trees, judged, strict=True)
    found = [row for case, one in pairs for row in rows(case, expected[case], one)]
    show(found, given.show, trees, given.keep)
    decided = sum(one.comparable for one in expected.values())
    models = sum(len(one.verdicts) for one in expected.values())
    refused = sum(not said.ready for one in judged for said in one.models.values())
    counts = ", ".join(f"{count} {what}" for what, count in sorted(Counter(row.what for row in found).items()))
    print(f"\n{len(trees)} repositories ({decided} decided by this server), {models} models, {refused} refused")
    print(f"{len(found)} differ ({counts}); {time.monotonic() - began:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(options()))
