"""How many small faults put into a package do its tests notice?

    pip install cosmic-ray pytest-cov
    python -m benchmarks.soak.mutation PACKAGE... [--faults 100] [--seed 1] [--jobs 2] [--show]
    python -m benchmarks.soak.mutation --table

One measured run of the package's tests tells which of them run which line; each fault is then put into a clone of the
last commit, and only the tests that run its line are run, the quickest first. Results are kept in `.mutation/`: a run
that was stopped goes on, a fault that was noticed stays so while its module does, and the others are tried again with
every commit. `--show` prints the faults that nothing noticed; `--table` writes all that is kept to
`benchmarks/mutation.md`.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from benchmarks.soak.covering import FOLDERS, PACKAGES, WHOLE, Covering, environment, measured
from benchmarks.soak.faults import Fault, faults, faulty
from tritonrepo.sources.cache import default_root

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".mutation"
SUMMARY = KEPT / "summary.json"
TABLE = ROOT / "benchmarks" / "mutation.md"
ENOUGH_S = 120.0
"""Tests of one fault together: beyond, the slowest are left out."""


class Result(NamedTuple):
    """What became of one fault."""

    key: str
    package: str
    module: str
    line: int
    kind: str
    noticed: bool
    tests: int
    commit: str
    diff: str


@dataclass(frozen=True, slots=True)
class Run:
    """One package's faults on one commit."""

    package: str
    commit: str
    count: int
    seed: int
    jobs: int

    @property
    def kept(self) -> Path:
        """The file of results, one JSON object a line."""
        return KEPT / f"{self.package}.jsonl"

    @property
    def tests(self) -> list[str]:
        """What pytest is told to run."""
        return [*(f"tests/test_{name}.py" for name in PACKAGES[self.package]), *FOLDERS.get(self.package, ())]


def chosen(run: Run, place: Path) -> tuple[list[Fault], int]:
    """Return the seed's choice of faults, and how many there are: a choice that a change elsewhere leaves as it is."""
    package = place / "tritonrepo"
    paths = package.glob("*.py") if run.package == WHOLE else (package / run.package).rglob("*.py")
    modules = sorted(str(path.relative_to(place)) for path in paths)
    found = [fault for module in modules for fault in faults(place, module)]
    found.sort(key=lambda fault: hashlib.sha256(f"{run.seed} {fault.key}".encode()).digest())
    return found[: run.count], len(found)


def known(run: Run) -> dict[str, Result]:
    """Return the results that still count, by the fault's key."""
    if not run.kept.is_file():
        return {}
    rows = [Result(**json.loads(line)) for line in run.kept.read_text("utf-8").splitlines()]
    return {row.key: row for row in rows if row.noticed or row.commit == run.commit}


def judged(run: Run, fault: Fault, place: Path, covering: Covering) -> Result | None:
    """Return whether a test fails with the fault; None if the fault is none."""
    module = place / fault.module
    old = module.read_text("utf-8")
    new = faulty(old, fault)
    if new is None:
        return None
    tests = covering.tests(fault.module, fault.first, fault.last)
    spent = accumulate(covering.seconds[test] for test in tests)
    tests = [test for test, until in zip(tests, spent, strict=True) if until <= ENOUGH_S] or tests[:1]
    module.write_text(new, encoding="utf-8")
    try:
        noticed = fails(place, {test: covering.seconds[test] for test in tests})
    finally:
        module.write_text(old, encoding="utf-8")
    diff = "\n".join([*difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)][2:])
    row = (fault.key, run.package, fault.module, fault.first, fault.kind, noticed, len(tests), run.commit, diff)
    return Result(*row)


def fails(place: Path, tests: Mapping[str, float]) -> bool:
    """Return whether one of the tests, given with the seconds it takes, fails or does not end in time."""
    longest_s = 20 + 5 * max(tests.values())
    limit_s = 60 + 5 * sum(tests.values())
    with tempfile.TemporaryDirectory(prefix="fault-") as scratch:
        cache = default_root(os.environ)
        if cache.is_dir():
            # a fault may write what is wrong under a right name: it gets a cache of its own, of hard links
            shutil.copytree(cache, Path(scratch) / "tritonrepo", copy_function=os.link, symlinks=True)
        listed = Path(scratch) / "tests"
        listed.write_text("\n".join(tests), encoding="utf-8")
        options = ["-q", "-x", "-p", "no:cacheprovider", f"--timeout={longest_s}"]
        ran = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, f"@{listed}"],
            cwd=place,
            env=environment(place) | {"XDG_CACHE_HOME": scratch, "TMPDIR": scratch},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return ran.wait(limit_s) != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            _end(ran)


def _end(ran: subprocess.Popen[bytes]) -> None:
    """End the tests and every process they left."""
    with suppress(ProcessLookupError):
        os.killpg(ran.pid, signal.SIGKILL)
    ran.wait()


def soaked(run: Run, temporary: Path) -> tuple[list[Result], int]:
    """Return the results of a package, and how many faults it could have."""
    places: queue.Queue[Path] = queue.Queue()
    for job in range(run.jobs):
        subprocess.run(["git", "clone", "-q", str(ROOT), str(temporary / str(job))], check=True)
        places.put(temporary / str(job))
    first = temporary / "0"
    picked, possible = chosen(run, first)
    held = known(run)
    left = [fault for fault in picked if fault.key not in held]
    print(f"{run.package}: {len(picked)} of {possible} faults, {len(left)} to try", flush=True)
    KEPT.mkdir(exist_ok=True)
    if left:
        covering = measured(first, KEPT / f"{run.package}-{run.commit}", run.tests)
        with run.kept.open("a", encoding="utf-8") as file, ThreadPoolExecutor(run.jobs) as pool:

            def one(fault: Fault) -> Result | None:
                place = places.get()
                try:
                    return judged(run, fault, place, covering)
                finally:
                    places.put(place)

            for row in pool.map(one, left):
                if row is not None:
                    held[row.key] = row
                    file.write(json.dumps(row._asdict()) + "\n")
                    file.flush()
    return [held[fault.key] for fault in picked if fault.key in held], possible


def told(results: Iterable[Result]) -> None:
    """Print the faults that nothing noticed."""
    for row in sorted(results, key=lambda row: (row.module, row.line)):
        if not row.noticed:
            print(f"\n{row.module}:{row.line} {row.kind}, {row.tests} tests\n{row.diff}")


HEAD = """# Faults that tests notice

Small faults put into each package, one at a time, and whether the tests that the package names notice them: see
`benchmarks/soak/mutation.py`, which writes this table. Faults that change nothing that can be observed count as not
noticed; there are always some.

| package | possible | tried | noticed | | commit |
|---|---|---|---|---|---|
"""


def summary() -> dict[str, dict[str, object]]:
    """Return the row of each package that was run."""
    return json.loads(SUMMARY.read_text("utf-8")) if SUMMARY.is_file() else {}


def table(rows: Mapping[str, Mapping[str, object]]) -> str:
    """Return the table of the last run of each package."""
    lines = []
    for package, row in sorted(rows.items()):
        tried, noticed = int(str(row["tried"])), int(str(row["noticed"]))
        share = f"{noticed / tried:.0%}"
        lines.append(f"| `{package}` | {row['possible']} | {tried} | {noticed} | {share} | `{row['commit']}` |")
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Try the faults of the named packages and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=", ".join(PACKAGES))
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if unknown := [name for name in options.packages if name not in PACKAGES]:
        parser.error(f"unknown package {unknown[0]}: choose from {', '.join(PACKAGES)}")
    commit = subprocess.check_output(["git", "rev-parse", "--short=8", "HEAD"], cwd=ROOT, text=True).strip()
    for package in options.packages:
        run = Run(package, commit, options.faults, options.seed, options.jobs)
        with tempfile.TemporaryDirectory(prefix="mutation-") as temporary:
            results, possible = soaked(run, Path(temporary))
        noticed = sum(row.noticed for row in results)
        # read again: another run may have ended since
        rows = summary() | {
            package: {"possible": possible, "tried": len(results), "noticed": noticed, "commit": commit}
        }
        SUMMARY.write_text(json.dumps(rows), encoding="utf-8")
        if options.show:
            told(results)
        print(f"{package}: {noticed} of {len(results)} noticed", flush=True)
    if options.table:
        TABLE.write_text(table(summary()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
