"""A row of benchmarks/RESULTS.md: two sides that do the same work in turns, or one figure, with a goal."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks.machine import LOOP_S, loop

ALONE = str(Path(__file__).parent / "alone.py")
WHOLE = 100
"""From here on, a figure is shown without decimals."""
T = TypeVar("T")
TICKS_S = 1 / os.sysconf("SC_CLK_TCK")


class Side(NamedTuple):
    """One of the ways to do a work.

    `before` is done ahead of each round and is not measured. `processes` names those that were not started by the work
    and do a part of it, such as a server's; their processor time counts.
    """

    name: str
    work: Callable[[], object]
    before: Callable[[], object] = lambda: None
    processes: Callable[[], Collection[int]] = tuple


LOOP = Side("loop", loop)
"""What is measured in turns with a goal in seconds: it tells how fast a core was meanwhile."""


class Taken(NamedTuple):
    """The seconds that a side took in each round: on the clock, and of all processors together."""

    name: str
    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]


class Row(NamedTuple):
    """A figure with its goal, and what was measured for it.

    `missed` is why the figure can miss its goal, and what was tried: it is shown if it does.
    """

    name: str
    figure: float
    unit: str
    goal: float
    at_least: bool = False
    sides: tuple[Taken, ...] = ()
    missed: str = ""

    @property
    def reached(self) -> str:
        """Whether the goal is reached, and if only the machine was too slow for it, the figure at its full speed."""
        if self.met:
            return "yes"
        slower = max([1.0, *(min(each.wall_s) / LOOP_S for each in self.sides if each.name == LOOP.name)])
        full = self._replace(figure=self.figure / slower)
        return f"**no**; {_in(full.figure, self.unit)} at full speed" if slower > 1 and full.met else "**no**"

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.figure >= self.goal if self.at_least else self.figure <= self.goal

    def cells(self) -> Iterator[str]:
        """Yield the cells of the row."""
        yield self.name
        yield _in(self.figure, self.unit)
        yield f"{'≥' if self.at_least else '≤'} {_in(self.goal, self.unit, exact=True)}"
        yield self.reached
        yield "<br>".join(f"{each.name}: {_spread(each)}" for each in self.sides)


def ratio(name: str, ours: Taken, other: Taken, goal: float, missed: str = "") -> Row:
    """Return the row of how many times as long as the other side ours took, by the fastest round of each."""
    return Row(name, min(ours.wall_s) / min(other.wall_s), "×", goal, sides=(ours, other), missed=missed)


def rate(name: str, ours: Taken, other: Taken, goal: float, missed: str = "") -> Row:
    """Return the row of how many times as much as the other side ours did in a time, by the fastest round of each."""
    figure = min(other.wall_s) / min(ours.wall_s)
    return Row(name, figure, "×", goal, at_least=True, sides=(ours, other), missed=missed)


def in_turns(rounds: int, *rounds_of: Callable[[], T]) -> list[list[T]]:
    """Return what each gave in its rounds; they take turns, in another order in each round, so that others slow all."""
    given: list[list[T]] = [[] for _ in rounds_of]
    for number in range(rounds):
        for place in [*range(len(rounds_of))][:: -1 if number % 2 else 1]:
            given[place].append(rounds_of[place]())
    return given


def paired(rounds: int, *sides: Side) -> tuple[Taken, ...]:
    """Return what each side took; they take turns."""
    given = in_turns(rounds, *(partial(measured, side) for side in sides))
    return tuple(Taken(side.name, *zip(*each, strict=True)) for side, each in zip(sides, given, strict=True))


def measured(side: Side) -> tuple[float, float]:
    """Return the seconds of one round, on the clock and of the processors."""
    side.before()
    others = tuple(side.processes())
    cpu, began = _own_s() + sum(map(cpu_s, others)), time.perf_counter()
    side.work()
    wall = time.perf_counter() - began
    return wall, _own_s() + sum(map(cpu_s, others)) - cpu


def cpu_s(process: int) -> float:
    """Return the processor seconds that a process and those of its children that have ended have used; 0 if it ended.

    Source: proc(5), /proc/PID/stat, utime, stime, cutime and cstime, the 14th to the 17th field.
    """
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, text.rpartition(")")[2].split()[11:15])) * TICKS_S


def tree(process: int) -> list[int]:
    """Return a process and all below it, as they are now."""
    found = [process]
    for each in found:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            for task in Path(f"/proc/{each}/task").glob("*/children"):
                found += map(int, task.read_text("ascii").split())
    return found


def command(*words: str) -> list[str]:
    """Return a command line of tritonrepo."""
    return [sys.executable, "-m", "tritonrepo", *words]


class Ran(NamedTuple):
    """What a command took: seconds on the clock, those of the processors, and its peak memory.

    The memory is that of the largest one of its processes.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float


def ran(line: Sequence[str], variables: Mapping[str, str] | None = None, codes: Collection[int] = (0,)) -> Ran:
    """Run a command to its end; raise RuntimeError, with what it said, if its exit code is another one."""
    done = subprocess.run([sys.executable, "-SE", ALONE, *line], capture_output=True, check=True, env=variables)
    code, wall, cpu, peak = done.stdout.split()
    if int(code) not in codes:
        said = done.stderr.decode("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{' '.join(line[:4])} … ended with {int(code)}:\n{said}")
    return Ran(float(wall), float(cpu), int(peak) / 1024)


def _own_s() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _in(value: float, unit: str, *, exact: bool = False) -> str:
    shown = f"{value:,g}" if exact else f"{value:,.0f}" if value >= WHOLE else f"{value:,.2f}"
    return f"{shown} {unit}".rstrip()


def _spread(side: Taken) -> str:
    middle = statistics.median(side.wall_s)
    return f"{_time(min(side.wall_s))}, median {_time(middle)}, processors {_time(min(side.cpu_s))}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
