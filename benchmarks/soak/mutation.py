"""How many faults put into the rules do their tests find? A seeded sample of Cosmic Ray's mutants.

    pip install cosmic-ray
    python -m benchmarks.soak.mutation [--mutants 400] [--seed 6] [--jobs 2] [--show]

Annotations are left as they are: nothing runs them. Works on a clone of the last commit in a temporary directory, over
whose files the mutants are written. Prints the score, and with --show the difference of each mutant that no test
killed. 400 mutants take about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import ast
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
MODULES = "tritonrepo/rules"
TESTS = "tests/test_verdicts.py tests/test_rules.py tests/rules tests/test_ignores.py tests/test_judge.py"
CONFIG = """[cosmic-ray]
module-path = "{modules}"
timeout = 120.0
excluded-modules = []
test-command = "{python} -m pytest -q -x -p no:cacheprovider {tests}"
[cosmic-ray.distributor]
name = "local"
"""
ENOUGH = 0.85
Range = tuple[tuple[int, int], tuple[int, int]]


def ray(place: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "cosmic_ray.cli", *arguments], cwd=place, check=True)


def annotated(module: Path) -> list[Range]:
    """Return start and end of the annotations of a module: they never run, so no test can detect a change."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation:
            found.append(node.annotation)
        if isinstance(node, ast.FunctionDef) and node.returns:
            found.append(node.returns)
    return [((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for n in found]


def sample(place: Path, session: Path, chosen: argparse.Namespace, job: int) -> None:
    """Keep only a job's share of the session's mutants, chosen by the seed."""
    known: dict[str, list[Range]] = {}
    query = (
        "select job_id, module_path, start_pos_row, start_pos_col from mutation_specs"
        " order by module_path, start_pos_row, start_pos_col, operator_name, operator_args, occurrence"
    )
    with sqlite3.connect(session) as connection:
        all_, run = [], []
        for mutant, module, row, column in connection.execute(query):
            all_.append(mutant)
            if module not in known:
                known[module] = annotated(place / module)
            if not any(begin <= (row, column) < end for begin, end in known[module]):
                run.append(mutant)
        count = min(chosen.mutants, len(run))
        # Cosmic Ray names its jobs anew in every session: it is the order that the seed chooses by
        dropped = set(all_) - set(Random(chosen.seed).sample(run, count)[job :: chosen.jobs])
        for table in ("mutation_specs", "work_items"):
            connection.executemany(f"delete from {table} where job_id = ?", [(mutant,) for mutant in dropped])
    if job == 0:
        print(f"{count} of {len(run)} mutants of {MODULES}, seed {chosen.seed}", flush=True)


def results(session: Path) -> list[tuple[str, str, str]]:
    """Return module, outcome and difference of every mutant."""
    query = (
        "select module_path, test_outcome, diff from work_results join mutation_specs using (job_id)"
        " order by module_path, start_pos_row"
    )
    with sqlite3.connect(session) as connection:
        return [(str(module), str(outcome), str(diff)) for module, outcome, diff in connection.execute(query)]


def judged(temporary: Path, chosen: argparse.Namespace, job: int) -> list[tuple[str, str, str]]:
    """Return module, outcome and difference of every mutant of a job's share."""
    place = temporary / str(job)
    subprocess.run(["git", "clone", "-q", str(ROOT), str(place)], check=True)
    (place / "ray.toml").write_text(
        CONFIG.format(modules=MODULES, python=sys.executable, tests=TESTS), encoding="utf-8"
    )
    session = place / "session.sqlite"
    ray(place, "init", "ray.toml", session.name)
    sample(place, session, chosen, job)
    ray(place, "exec", "ray.toml", session.name)
    return results(session)


def main() -> int:
    """Run the sample and print its score; return exit code 1 if too many survive."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutants", type=int, default=400)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--show", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutation-") as temporary, ThreadPoolExecutor(chosen.jobs) as pool:
        shares = pool.map(lambda job: judged(Path(temporary), chosen, job), range(chosen.jobs))
        found = sorted(one for share in shares for one in share)
    survived = [(module, diff) for module, outcome, diff in found if outcome.lower().endswith("survived")]
    if chosen.show:
        for module, diff in survived:
            print(f"\n{module}\n{diff}")
    score = 1 - len(survived) / len(found)
    print(f"{len(found) - len(survived)} of {len(found)} killed: {score:.1%}; at least {ENOUGH:.0%} are required")
    return 0 if score >= ENOUGH else 1


if __name__ == "__main__":
    raise SystemExit(main())
