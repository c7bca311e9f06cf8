"""Fix thousands of faulty repositories, and let the real server judge them before and after: no model may get worse.

    python -m benchmarks.soak.fixed [--first 0] [--count 2000] [--share 0.5] [--cache FILE] [--show 20]

Of the repositories, a share are the rules' Good examples with a slip of a person in the text of a config or in the
name of a file (`slips`), the others have changed values, fields and files (`mutants`). Each is fixed in memory as by
`validate --fix`, and once more with `--unsafe-fixes`. The server is the one of the `local` extra, with null backends,
as in `benchmarks.soak.verdicts`. The exit code is 1 if the server refuses a model that it loaded before, or loads less
than 90 % of the models in which fixes leave us nothing to find.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.soak import mutants
from benchmarks.soak.slips import slipped
from benchmarks.soak.verdict_server import Bench
from benchmarks.soak.verdicts import Judged, Ours, Server, hangs, keep, ours, wanted
from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Severity, State
from tritonrepo.fixes import changed
from tritonrepo.flows.rounds import Mended, mended
from tritonrepo.repository import Target
from tritonrepo.rules import RULES, judge
from tritonrepo.rules import Judged as Said
from tritonrepo.tree import Entry

ENOUGH = 0.9
KINDS = ("safe", "unsafe")
STATES = ("before", *KINDS)


class Case(NamedTuple):
    """A faulty repository, what is wrong with it, and what fixes make of it, by kind."""

    name: str
    slip: str
    tree: Mapping[str, Entry]
    made: Mapping[str, Mended]


class Row(NamedTuple):
    """A model that fixes have changed: whether the server had it ready before and after, and what we say after."""

    case: Case
    kind: str
    model: str
    before: bool
    after: bool
    ours: State
    rules: tuple[str, ...]
    reasons: tuple[str, ...]


def fixed(tree: Mapping[str, Entry], target: Target, *, unsafe: bool) -> Mended:
    """Return what `validate --fix` makes of a repository."""

    def look(now: Mapping[str, Entry]) -> Said:
        return judge(repository.read(now, target), lambda rule: rule.severity is not Severity.INFO)

    return mended(tree, look, lambda found: found.fix is not None and (found.fix.safe or unsafe))


def cases(given: argparse.Namespace, target: Target) -> Iterator[Case]:
    """Yield the repositories of the given numbers that the server may be asked about."""
    bases = mutants.pages()
    for number in range(given.first, given.first + given.count):
        slip, tree = slipped(number) if number % 100 < given.share * 100 else ("changed", mutants.mutant(number, bases))
        try:
            made = {kind: fixed(tree, target, unsafe=kind == "unsafe") for kind in KINDS}
        except Exception as error:  # noqa: BLE001  a bug, which must not hide others
            print(f"case {number} ({slip}): {error!r}")
            traceback.print_tb(error.__traceback__, -1)
            continue
        if made["unsafe"].steps:
            yield Case(str(number), slip, tree, made)


def touched(found: Sequence[Diagnostic]) -> dict[str, tuple[str, ...]]:
    """Return the rules whose fixes have changed a model, by model."""
    rules: dict[str, dict[str, None]] = {}
    for each in found:
        for path in changed(each.fix) if each.fix is not None else ():
            rules.setdefault(path.partition("/")[0], {})[each.rule] = None
    return {model: tuple(names) for model, names in rules.items()}


def rows(case: Case, kind: str, before: Judged, after: Judged) -> Iterator[Row]:
    """Yield the models of a repository that were changed, and those that the server loads no more."""
    rules = touched(case.made[kind].fixed)
    verdicts = {each.model: each.verdict for each in case.made[kind].left.verdicts}
    for model in sorted({*rules, *(name for name, said in before.models.items() if said.ready)}):
        said, old = after.models.get(model), before.models.get(model)
        if said is None or model not in verdicts or before.ended or after.ended:
            continue
        was = old is not None and old.ready
        if model in rules or was > said.ready:
            yield Row(case, kind, model, was, said.ready, verdicts[model], rules.get(model, ()), said.reasons)


def decided(found: Ours) -> bool:
    """Return whether this server's backends do with a repository what the real ones do, and it does not hang."""
    return found.comparable and not hangs(found)


def shown(found: Sequence[Row], title: str, count: int, folder: Path | None) -> None:
    """Print rows, by the rules that were fixed."""
    print(f"\n{title}: {len(found)}")
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in found:
        groups.setdefault((row.kind, *row.rules), []).append(row)
    for names, some in sorted(groups.items(), key=lambda pair: -len(pair[1]))[:count]:
        row = some[0]
        print(f"{len(some)} × {' '.join(names)} ({row.case.slip}; case {row.case.name}, {row.model})")
        print(f"    {' | '.join(row.reasons[:2]) or 'no word'}"[:300])
        if folder is not None:
            keep(row.case.tree, folder / row.case.name / "before")
            keep(row.case.made[row.kind].tree, folder / row.case.name / row.kind)


def main() -> int:
    """Run; return exit status 1 if a model got worse, or too few load."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--cache", type=Path, default=Path("build/fixed.json"))
    parser.add_argument("--show", type=int, default=20)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    began, target = time.monotonic(), wanted(auto_complete=True)
    found = [*cases(given, target)]
    trees: dict[tuple[str, str], Mapping[str, Entry]] = {}
    for case in found:
        trees |= {(case.name, "before"): case.tree} | {(case.name, kind): case.made[kind].tree for kind in KINDS}
    expected: dict[tuple[str, str], Ours] = {key: ours(tree, target) for key, tree in trees.items()}
    quiet = {case.name for case in found if all(map(decided, (expected[case.name, each] for each in STATES)))}
    said = f"{given.count} repositories, {len(found)} with fixes, {len(quiet)} decided by this server"
    print(f"{said}; {time.monotonic() - began:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), target.backends, real=False)
        server = Server(bench, given.cache, auto_complete=True)
        judged: dict[tuple[str, str], Judged] = {}
        for kind in STATES:  # which have the same models, so that they cannot share a server
            asked = [key for key in trees if key[0] in quiet and key[1] == kind]
            answers = server.judge([trees[key] for key in asked], [expected[key] for key in asked])
            judged |= dict(zip(asked, answers, strict=True))
    all_rows = [
        row
        for case in found
        if case.name in quiet
        for kind in KINDS
        for row in rows(case, kind, judged[case.name, "before"], judged[case.name, kind])
    ]
    return result(all_rows, given, time.monotonic() - began)


def result(found: Sequence[Row], given: argparse.Namespace, seconds: float) -> int:
    """Print what came of it; return the exit status."""
    worse = [row for row in found if row.before and not row.after]
    shown(worse, "worse", given.show, given.keep)
    clean = [row for row in found if row.ours is State.READY and not (row.before and not row.rules)]
    shown([row for row in clean if not row.after], "nothing found, and not loaded", given.show, given.keep)
    other = [row for row in found if row.ours is not State.READY and not row.after]
    print(f"\nmodels with other faults left: {len(other)}")
    enough = True
    for kind in KINDS:
        all_of, mine = (
            [row for row in found if row.kind == kind and row.rules],
            [row for row in clean if row.kind == kind],
        )
        saved = sum(row.after and not row.before for row in all_of)
        loads = sum(row.after for row in mine)
        enough &= loads >= ENOUGH * len(mine)
        part = f"of {len(mine)} in which nothing is left, {loads} load ({100 * loads / max(1, len(mine)):.1f} %)"
        print(f"{kind}: {len(all_of)} models changed, {saved} that were refused load now; {part}")
    fixes = Counter(rule for row in found if row.kind == "unsafe" for rule in row.rules)
    lacking = [name for name, rule in RULES.items() if name not in fixes and "## Fix" in rule.page]
    print(f"rules whose fixes were applied: {len(fixes)}; never: {', '.join(lacking) or 'none'}")
    print(f"{seconds:.0f} s")
    return int(bool(worse) or not enough)


if __name__ == "__main__":
    raise SystemExit(main())
