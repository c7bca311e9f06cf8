"""Measure what this project promises of its speed and memory: `python -m benchmarks.all [AREA...]`.

Each area of `AREAS` is measured in a process of its own and becomes a section of benchmarks/RESULTS.md; the sections of
areas that are not named stay as they are. A row is a pair wherever something exists that does the same work: both sides
in turns in one run, so that other work on the machine slows both. With `--small`, tiny sizes show that the benchmark
itself works, and nothing is written. Exit status 1 if a goal is missed or an area could not be measured.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import commit, cpu, loop_s, system
from benchmarks.pairs import Row
from tritonrepo.cores import cores

PAGE = Path(__file__).parent / "RESULTS.md"
HEAD = """\
# Speed and memory

`python -m benchmarks.all` writes this page. Each row has a goal. Where something exists that does the same work, the
figure is a ratio of both, by their fastest rounds, measured in turns in one run, so that other work on the machine
slows both; beside it stand the fastest round, the median, and the processor time of the round with the least. A section
says when, from which commit and at which speed of the machine it was measured: a loop of five million additions takes a
core of this kind 0.27 s when its host does nothing else, and a goal in seconds is meant for that. Where only the host
misses it, the figure at full speed stands beside: divided by how many times as long the loop took that was run in turns
with it. Loads by many clients are on a [page of their own](rag.md).
"""
UNCOMPILED = "PYTHONDONTWRITEBYTECODE"
"""With it, a clone is compiled at each start, which what pip installs is not."""

COLUMNS = "| | figure | goal | reached | fastest, median, processors |\n|---|--:|--:|---|---|"
AREAS = {
    "validate": "`validate`",
    "build": "Builds, and what deploy writes",
    "push": "Pushes",
    "index": "Search indexes",
    "steps": "The served steps",
    "up": "From a stack to an answer",
    "manifests": "Kubernetes manifests",
    "gateway": "The gateway",
    "bench": "The client of bench",
}
"""The areas in the order of the page, and the headings of their sections; benchmarks/rows_AREA.py has their rows."""


def section(area: str, *, small: bool) -> tuple[str, bool]:
    """Measure an area; return its section, and whether all its goals are reached."""
    began, at, load, speed = datetime.datetime.now(datetime.UTC), commit(), os.getloadavg()[0], loop_s()
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for row in importlib.import_module(f"benchmarks.rows_{area}").rows(Path(folder), small=small):
            print(line(row.cells()), flush=True)
            rows.append(row)
    here = f"{cores()} cores of {cpu()}, {system()}; load average {load:.1f}; the loop took {speed:.2f} s"
    head = f"## {AREAS[area]}\n\n{began:%Y-%m-%d %H:%M} UTC, commit {at}; {here}.\n\n{COLUMNS}"
    return "\n".join([head, *(line(row.cells()) for row in rows), *why(rows)]), all(row.met for row in rows)


def line(cells: Iterator[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def why(rows: Sequence[Row]) -> Iterator[str]:
    """Yield why goals are missed, each cause once."""
    causes = dict[str, list[str]]()
    for row in rows:
        if not row.met:
            causes.setdefault(row.missed or "the cause was not found.", []).append(row.name)
    if causes:
        yield ""
    for cause, names in causes.items():
        yield f"- {'; '.join(names)}: {cause}"


def sections(page: str) -> dict[str, str]:
    """Return the sections of a page by their headings."""
    found = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {each.partition("\n")[0].removeprefix("## "): each.rstrip("\n") for each in found}


def page(own: dict[str, str]) -> str:
    """Return the page with these sections, by their headings, in the order of the areas."""
    return "\n\n".join([HEAD.rstrip("\n"), *(own[name] for name in AREAS.values() if name in own)]) + "\n"


def measure(area: str, *, small: bool) -> bool:
    """Measure an area in a process of its own, and put its section onto the page; return whether all is reached."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "section.md")
        command = [sys.executable, "-m", "benchmarks.all", area, "--section", str(made)]
        variables = {name: value for name, value in os.environ.items() if name != UNCOMPILED}
        code = subprocess.run([*command, "--small"] if small else command, env=variables, check=False).returncode
        if not made.is_file():
            print(f"{area}: not measured", file=sys.stderr)
            return False
        if not small:
            before = sections(PAGE.read_text("utf-8")) if PAGE.is_file() else {}
            PAGE.write_text(page({**before, AREAS[area]: made.read_text("utf-8")}), "utf-8")
    return code == 0


def main() -> int:
    """Measure the areas; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all", description=__doc__.partition("\n")[0])
    parser.add_argument("areas", metavar="AREA", nargs="*", help=f"one of {', '.join(AREAS)}; all without one")
    parser.add_argument("--small", action="store_true", help="tiny sizes; write nothing")
    parser.add_argument("--section", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if wrong := [area for area in said.areas if area not in AREAS]:
        parser.error(f"unknown area {', '.join(wrong)}: use {', '.join(AREAS)}")
    if said.section:
        text, met = section(said.areas[0], small=said.small)
        said.section.write_text(text, "utf-8")
        return 0 if met else 1
    reached = [measure(area, small=said.small) for area in said.areas or AREAS]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
