"""Every rule page against the real server: each Bad page is refused as it says, each Good page loads.

    python -m benchmarks.soak.pages [RULE...]

The server is the one of the `local` extra: 24.10, without a GPU. Pages are tried many to a server, their models renamed
so that they do not meet; what may end or block a server, and every page that differs among others, is tried as written
in a server of its own. The core's pages take any model file: their backends are stood in for by one that accepts every
model, but python, and the package's own for vllm and onnxruntime. Prints a table; the exit code is 1 if a page and the
server differ.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from benchmarks.soak.page_server import Place, Seen, serve
from tests.pages import files, normal, sections, server
from tritonrepo import repository
from tritonrepo.diagnostics import Severity, State, Verdict
from tritonrepo.repository import Target
from tritonrepo.rules import RULES, Rule, judge
from tritonrepo.rules.registry import Scope
from tritonrepo.tree import Directory, Entry, File, Link, Outside, Unreadable, of_bytes

RELEASE = "24.10"
ROOT = "$REPO"
"""The repository's path in the server's texts; see `normal`."""
MANY = 24
JOBS = 2
DEADLINE_S = 90
ALONE_S = 25
ENDS = {State.CRASH, State.HANG}
LATE = ("initial-state-", "warmup-run-fails", "warmup-batch-too-large")
"""What is refused once its instances run: 24.10 sometimes crashes then, more often the more there are."""

TRIES = 3
STAND_IN = {
    "execution-env-elsewhere Bad": "the path is not on this machine",
    "config-not-provided Bad": "the stand-in completes all",
    "vllm-unknown-engine-arg Bad": "the stand-in's words differ",
    "vllm-model-json-not-object Bad": "the stand-in's words differ",
    "vllm-engine-arg-too-new Bad": "the stand-in takes it",
    "vllm-model-defaulted Bad": "the stand-in refuses it",
    "vllm-lora-file-missing Good": "the stand-in has no LoRA",
    "vllm-lora-file-shape Bad": "the stand-in has no LoRA",
    "vllm-lora-file-shape Good": "the stand-in has no LoRA",
}
"""Pages on which a stand-in for a backend is known to differ from the backend."""


PLAIN = re.compile(r"[A-Za-z][\w-]*(\.\w+)?")
SHORT = 12


class Half:
    """A page's Bad or Good: its tree, and what we say about it."""

    def __init__(self, rule: Rule, which: str) -> None:
        page = sections(rule.page)
        self.rule = rule
        self.which = which
        self.tree: Mapping[str, Entry] = files(page[which])
        self.target: Target = server(page.get("Run with", ""))
        self.words = page.get("Server says", "") if which == "Bad" else ""

    @property
    def label(self) -> str:
        """The name in messages."""
        return f"{self.rule.name} {self.which}"

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """Our verdicts by model; a server that the first request ends counts as a crash."""
        found = verdicts(self.tree, self.target)
        return {
            name: replace(one, verdict=State.CRASH) if one.stage == "runtime" else one for name, one in found.items()
        }

    @property
    def place(self) -> Place:
        """The kind of server to test it in; an empty ONNX file stands for one that loads."""
        empty = any(path.endswith(".onnx") and isinstance(e, File) and not e.size for path, e in self.tree.items())
        ours = {"vllm"} if empty else {"vllm", "onnxruntime"}
        return Place(self.target.backends, self.target.backends & ours, self.target.auto_complete)

    @property
    def alone(self) -> bool:
        """Whether it may harm other pages in its server, or cannot be renamed."""
        names = {path.partition("/")[0] for path in self.tree}
        loud = self.late or any(one.verdict in ENDS for one in self.verdicts.values())
        top = any("/" not in path and not isinstance(entry, Directory) for path, entry in self.tree.items())
        odd = any(isinstance(entry, Link | Unreadable) for entry in self.tree.values())
        return self.rule.scope is Scope.REPOSITORY or loud or top or odd or not all(map(PLAIN.fullmatch, names))

    @property
    def late(self) -> bool:
        """Whether the server refuses it only once its instances run."""
        return any(one.rule.startswith(LATE) and one.verdict is State.REFUSED for one in self.verdicts.values())

    @property
    def left_out(self) -> str:
        """Why this server cannot decide; empty if it can."""
        models = repository.read(self.tree, self.target).models
        at_backend = (models[name].backend for name, found in self.verdicts.items() if found.stage == "backend")
        lacking = next((backend or "real" for backend in at_backend if backend not in {"python", *self.place.ours}), "")
        reasons = {
            f"release {self.target.release.name}": self.target.release.name != RELEASE,
            "needs a GPU": self.target.gpus > 0,
            "needs another user": Unreadable.FORBIDDEN in self.tree.values(),
            f"needs the {lacking} backend": bool(lacking),
            "a link out": any(isinstance(entry, Outside) for entry in self.tree.values()),
            STAND_IN.get(self.label, ""): self.label in STAND_IN,
        }
        return next((why for why, holds in reasons.items() if holds), "")

    @property
    def asked(self) -> tuple[str, ...]:
        """The models whose first request ends the server."""
        return tuple(name for name, verdict in self.verdicts.items() if verdict.stage == "runtime")


class Row(NamedTuple):
    """The result of one half: empty where page and server agree."""

    half: Half
    differs: str = ""


def verdicts(tree: Mapping[str, Entry], target: Target) -> dict[str, Verdict]:
    """Return our verdicts by model."""
    return {verdict.model: verdict for verdict in judge(repository.read(tree, target, ROOT)).verdicts}


def renamed(half: Half, tag: str) -> dict[str, Entry]:
    """Return the tree with a tag before each model's name, wherever it occurs; other bytes stay."""
    names = sorted({path.partition("/")[0] for path in half.tree}, key=len, reverse=True)
    word = re.compile(rb"(?<![\w.-])(" + b"|".join(re.escape(os.fsencode(name)) for name in names) + rb")(?![\w.-])")

    def new(entry: Entry) -> Entry:
        if not isinstance(entry, File):
            return entry
        return of_bytes(word.sub(os.fsencode(tag) + rb"\1", entry.content()))

    return {tag + path: new(entry) for path, entry in half.tree.items()}


def ended(expected: Mapping[str, Verdict], seen: Seen) -> str:
    """Return how the end of a server that did not start, or serves nothing, differs from what we say."""
    listing = seen.state is State.REFUSED and all(one.verdict is State.REFUSED for one in expected.values())
    first = next((verdict for verdict in expected.values() if listing or verdict.verdict in ENDS), None)
    if first is None or seen.state is not first.verdict:
        ours = first.verdict if first else "ready or refused"
        return f"server: {seen.state}, we: {ours}; {' | '.join(seen.log[-6:])}"
    words = last_words(first.server_reason)
    return "" if any(words in line for line in seen.log) else f"reason: {' | '.join(seen.log[-12:])}"


def difference(expected: Mapping[str, Verdict], seen: Seen) -> str:
    """Return how the server's verdicts differ from ours."""
    if seen.state is not State.READY or any(verdict.verdict in ENDS for verdict in expected.values()):
        return ended(expected, seen)
    log = seen.log if len(expected) == 1 else ()
    for name, verdict in expected.items():
        reason = seen.reasons.get(name, "")
        if (verdict.verdict is State.READY) is not (name in seen.ready):
            return f"{name}: server: {'ready' if name in seen.ready else f'refused: {reason}'}, we: {verdict.verdict}"
        if verdict.verdict is State.REFUSED and not words_agree(
            verdict.server_reason, [reason, *log] if reason else seen.log
        ):
            return f"{name}: reason: {reason or 'not in the log'}, we: {verdict.server_reason}"
    return ""


def last_words(reason: str) -> str:
    """Return what the log of a server that ended says, or the signal."""
    words = normal(reason).removeprefix("server ended: ")
    return f"signal {words[1:]}" if re.fullmatch(r"-\d+", words) else words


def words_agree(ours: str, texts: Iterable[str]) -> bool:
    """Whether our reason is one of the server's, or a part of it that is long enough to be distinctive."""
    mine = normal(ours)
    return any(mine == text or (len(mine) >= SHORT and mine in text) for text in texts)


def by_itself(half: Half) -> str:
    """Return what is wrong with a page before a server runs: another rule decides, or the words differ."""
    error = half.rule.severity is Severity.ERROR and half.rule.state is not State.READY
    found = [verdict for verdict in half.verdicts.values() if verdict.verdict is not State.READY]
    if half.which == "Good" or not error:
        return f"refused by {found[0].rule}" if found and half.which == "Good" else ""
    own = [verdict for verdict in found if verdict.rule == half.rule.name]
    if not own:
        return f"the verdict is of {', '.join(sorted({verdict.rule for verdict in found})) or 'nobody'}"
    said = [normal(verdict.server_reason).replace(f"{ROOT}/", "") for verdict in own]
    if half.words and not words_agree(half.words, said):
        return f"Server says: {half.words}; the finding: {own[0].server_reason}"
    return ""


def together(halves: Sequence[Half], place: Place) -> list[Half]:
    """Test pages in one server, and return those that differ."""
    trees = [renamed(half, f"p{number}_") for number, half in enumerate(halves)]
    seen = serve({path: entry for tree in trees for path, entry in tree.items()}, place, DEADLINE_S)
    return [half for half, tree in zip(halves, trees, strict=True) if difference(verdicts(tree, half.target), seen)]


def by_place(halves: Iterable[Half]) -> Iterator[tuple[Place, list[Half]]]:
    """Yield the groups of pages that can be tested in one server."""
    groups: dict[Place, list[Half]] = defaultdict(list)
    for half in halves:
        groups[half.place].append(half)
    for place, group in groups.items():
        for first in range(0, len(group), MANY):
            yield place, group[first : first + MANY]


def by_server(half: Half) -> str:
    """Return how the server's verdicts differ from ours on a page as it is written."""
    seen = serve(half.tree, half.place, ALONE_S, half.asked)
    for _ in range(TRIES if half.late else 0):
        if seen.state is State.CRASH:
            seen = serve(half.tree, half.place, ALONE_S, half.asked)
    return difference(half.verdicts, seen)


def tried(halves: Sequence[Half]) -> list[Row]:
    """Test pages on the server, first together, then separately those that differ or may harm others."""
    with ThreadPoolExecutor(JOBS) as pool:
        some = by_place(half for half in halves if not half.alone)
        odd = [half for found in pool.map(lambda pair: together(pair[1], pair[0]), some) for half in found]
        again = [*odd, *(half for half in halves if half.alone)]
        results = pool.map(by_server, again)
        differs = dict(zip((half.label for half in again), results, strict=True))
    return [Row(half, differs.get(half.label, "")) for half in halves]


def main(names: Sequence[str]) -> int:
    """Print the table; return 1 if a page and the server differ."""
    if unknown := sorted(set(names) - set(RULES)):
        print(f"unknown rule: {', '.join(unknown)}")
        return 2
    rules = [rule for rule in RULES.values() if not names or rule.name in names]
    halves = [Half(rule, which) for rule in rules for which in ("Bad", "Good")]
    wrong = [Row(half, text) for half in halves if (text := by_itself(half))]
    asked = [half for half in halves if not half.left_out]
    wrong += [row for row in tried(asked) if row.differs]
    differing = {row.half.label for row in wrong}
    print(f"{'rule':<44} {'severity':<9} {'Bad':<30} Good")
    for bad, good in zip(halves[::2], halves[1::2], strict=True):
        words = [half.left_out or ("DIFFERS" if half.label in differing else expectation(half)) for half in (bad, good)]
        print(f"{bad.rule.name:<44} {bad.rule.severity:<9} {words[0]:<30} {words[1]}")
    for row in wrong:
        print(f"\n{row.half.label}\n  {row.differs}")
    counts = Counter(half.left_out for half in halves if half.left_out)
    print(f"\n{len(halves)} pages, {len(asked)} tested on the server, {len(differing)} differ")
    print("".join(f"left out: {count} × {why}\n" for why, count in sorted(counts.items())), end="")
    return 1 if wrong else 0


def expectation(half: Half) -> str:
    """Return what page and server agree on."""
    found = {verdict.verdict for verdict in half.verdicts.values()}
    loud = [state for state in (State.CRASH, State.HANG, State.REFUSED) if state in found]
    return str(loud[0] if loud else State.READY)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rules", nargs="*", metavar="RULE")
    raise SystemExit(main(parser.parse_args().rules))
