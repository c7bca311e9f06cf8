"""The benchmarks themselves: what a row says, what is measured, and the page. No time is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from benchmarks import all as every
from benchmarks import (
    rows_bench,
    rows_build,
    rows_gateway,
    rows_index,
    rows_manifests,
    rows_push,
    rows_steps,
    rows_up,
    rows_validate,
)
from benchmarks.all import AREAS, page, sections
from benchmarks.machine import LOOP_S
from benchmarks.pairs import Row, Side, Taken, cpu_s, measured, paired, ran, rate, ratio, tree

ROOT = Path(__file__).parents[1]
ROWS = (
    *(rows_bench, rows_build, rows_gateway, rows_index, rows_manifests),
    *(rows_push, rows_steps, rows_up, rows_validate),
)
OURS, OTHER = Taken("ours", (3.0, 1.5), (2.0, 4.0)), Taken("other", (1.0, 2.0), (1.0, 2.0))


def test_a_row_compares_the_fastest_rounds_with_its_goal() -> None:
    found = ratio("work", OURS, OTHER, 1.5)
    assert (found.figure, found.met) == (1.5, True)
    assert list(found.cells()) == [
        "work",
        "1.50 ×",
        "≤ 1.5 ×",
        "yes",
        "ours: 1.50 s, median 2.25 s, processors 2.00 s<br>other: 1.00 s, median 1.50 s, processors 1.00 s",
    ]
    assert not ratio("work", OURS, OTHER, 1.49).met


def test_a_goal_in_seconds_that_only_a_slow_core_misses_says_so() -> None:
    def reached(*loop_s: float) -> str:
        return Row("start", 0.3, "s", 0.2, sides=(OURS, Taken("loop", loop_s, loop_s))).reached

    assert [reached(slower * LOOP_S) for slower in (1, 1.4)] == ["**no**", "**no**"]
    assert reached(2 * LOOP_S, 1.5 * LOOP_S) == "**no**; 0.20 s at full speed"
    assert Row("size", 300, "MB", 200, sides=(OURS, OTHER)).reached == "**no**"


def test_a_rate_is_how_much_is_done_in_a_time() -> None:
    found = rate("work", OURS, OTHER, 0.75)
    assert [*found.cells()][:4] == ["work", "0.67 ×", "≥ 0.75 ×", "**no**"]
    assert rate("work", OTHER, OURS, 1.5).met


def test_sides_take_turns_in_another_order_each_round() -> None:
    done = list[str]()
    sides = [Side(name, partial(done.append, name), partial(done.append, f"{name} is next")) for name in "ab"]
    taken = paired(3, *sides)
    first, second = ["a is next", "a"], ["b is next", "b"]
    assert done == [*first, *second, *second, *first, *first, *second]
    assert [(each.name, len(each.wall_s), len(each.cpu_s)) for each in taken] == [("a", 3, 3), ("b", 3, 3)]


BUSY = "import time\nuntil = time.process_time() + 0.3\nwhile time.process_time() < until: pass\n"


def test_processor_time_counts_processes_that_are_started_and_those_that_are_named() -> None:
    _, started = measured(Side("started", lambda: subprocess.run([sys.executable, "-c", BUSY], check=True)))
    assert started >= 0.3
    endless = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while True: pass'])"]
    )
    try:
        while len(found := tree(endless.pid)) < 2 or cpu_s(found[1]) < 0.3:
            assert endless.poll() is None
        waits = Side("waits", lambda: time.sleep(0.3), processes=lambda: tree(endless.pid))
        assert measured(waits)[1] > measured(Side("alone", lambda: None))[1]
        assert found[0] == endless.pid
    finally:
        for process in reversed(tree(endless.pid)):
            os.kill(process, 9)
        endless.wait()
    assert cpu_s(endless.pid) == 0


def test_a_command_has_its_own_memory_and_its_failure_is_told() -> None:
    large = ran([sys.executable, "-c", "bytearray(300 << 20)"])
    small = ran([sys.executable, "-c", "raise SystemExit(1)"], codes=(0, 1))
    assert large.peak_mib > 300 > small.peak_mib
    assert large.cpu_s > 0
    with pytest.raises(RuntimeError, match=r"ended with 3:\nwhat went wrong"):
        ran([sys.executable, "-c", "import sys\nprint('what went wrong', file=sys.stderr)\nsys.exit(3)"])


def test_a_measured_section_replaces_its_own_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(every, "AREAS", {"a": "First", "b": "Second", "c": "Third"})
    before = page({"Third": "## Third\n\nold\n\n| x |", "First": "## First\n\nold", "Gone": "## Gone\n"})
    assert before.endswith("\n\n## First\n\nold\n\n## Third\n\nold\n\n| x |\n")
    after = page({**sections(before), "Second": "## Second\n\nnew"})
    assert after == before.replace("## Third", "## Second\n\nnew\n\n## Third")


def test_why_a_goal_is_missed_is_below_the_table() -> None:
    found = Row("a", 2, "s", 1, missed="it does twice the work.")
    rows = [found, Row("b", 1, "s", 1, missed="x"), Row("c", 2, "s", 1), found._replace(name="d")]
    assert list(every.why(rows)) == ["", "- a; d: it does twice the work.", "- c: the cause was not found."]
    assert list(every.why(rows[1:2])) == []


@pytest.mark.parametrize("area", ["validate", "build", "push", "manifests"])
def test_an_area_can_be_measured(area: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.all", "--small", area], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode in {0, 1}, done.stderr
    lines = done.stdout.splitlines()
    assert lines
    assert all(line.startswith("| ") and line.count(" | ") == 4 for line in lines), done.stdout


def test_each_area_has_rows_and_an_unknown_one_is_refused() -> None:
    found = {each.stem.removeprefix("rows_") for each in (ROOT / "benchmarks").glob("rows_*.py")}
    assert found == set(AREAS) == {each.__name__.removeprefix("benchmarks.rows_") for each in ROWS}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.all", "speed"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, "unknown area speed: use" in done.stderr) == (2, True)
