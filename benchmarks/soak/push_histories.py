"""Histories of pushes: which begins when, and what happens to it at which moment, by seed and number. Pure."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from benchmarks.soak.push_revisions import Revision, revisions

LONGEST_S = 25.0
"""After this long, a push that was stopped or cut off continues, whatever it waited for: clients wait 60 s."""

STEPS = 12
"""Most writes of a push; what befalls it at a step that it does not reach does not befall it.

Below 0: what it writes beside the repository, its lock above all; 0: at a time.
"""

HOLDING = ("stop before", "stop after", "cut off", "cut off after")
KILLING = ("kill before", "kill after", "kill late")
HARMLESS = ("delay", "lose answer")
"""What a push must survive and exit with 0."""

KINDS = (*HOLDING, *HOLDING, *KILLING, *HARMLESS, *HARMLESS)


class Until(NamedTuple):
    """How long it lasts: until a push has made this many writes (0: has ended), or at most this many seconds."""

    seconds: float
    push: int = -1
    step: int = 0


class Fault(NamedTuple):
    """What happens to a push: before or after its write of this number, or at a time.

    stop: SIGSTOP, then SIGCONT. cut off: nothing that it sends arrives before the end, nor, after, any answer.
    kill: SIGKILL; late: what it had just sent arrives at the end. delay: what it sends next arrives at the end.
    lose answer: what it sends next arrives, and its connection ends without an answer.
    """

    kind: str
    step: int
    after_s: float
    until: Until


class Start(NamedTuple):
    """When a push begins: seconds after the history began, a push ended, or something happened to it."""

    event: str
    push: int
    seconds: float


class Job(NamedTuple):
    """A push: its revision, when, whether as from another machine, whether with --server, and its faults."""

    revision: int
    start: Start
    apart: bool
    watched: bool
    faults: tuple[Fault, ...]


class History(NamedTuple):
    """Revisions, the first of which is served at the start, and pushes."""

    name: str
    plot: str
    revisions: tuple[Revision, ...]
    jobs: tuple[Job, ...]

    @property
    def near(self) -> bool:
        """Whether everything is on one machine, where no push waits for a silent lock."""
        return not any(job.apart for job in self.jobs)


def history(seed: int, number: int) -> History:
    """Return the history with this number."""
    random = Random(f"{seed} {number}")
    made = tuple(revisions(random, 4))
    plot = random.choices((chance, overtaken, returning, beside), (5, 4, 2, 2))[0]
    return History(f"{seed}:{number}", plot.__name__, made, tuple(plot(random)))


def chance(random: Random) -> list[Job]:
    """Return two or three pushes, with any fault for any of them."""
    count = random.choice([2, 3, 3])
    jobs = []
    for number in range(count):
        faults = [fault(random, number, count) for _ in range(random.choice([0, 1, 1, 2]))]
        revision = random.choice([number + 1] * 4 + [random.randrange(4)])
        apart, watched = luck(random, 0.6), luck(random, 0.85)
        jobs.append(Job(revision, start(random, number), apart, watched, tuple(faults)))
    return jobs


def overtaken(random: Random) -> list[Job]:
    """Return a first push that is held or dies, and a next one during or after which the first continues."""
    kind = random.choice([*HOLDING, "kill late"])
    first = Fault(kind, random.randrange(1, STEPS), 0, Until(LONGEST_S, 1, random.choice([0, 0, 0, 1, 3, 5, 7])))
    apart = not kind.startswith("kill") or luck(
        random, 0.5
    )  # a lock of a killed push of the same machine is taken at once
    jobs = [_job(random, 1, Start("after", 0, 0), first, apart=apart)]
    faults = [fault(random, 1, 3)] if luck(random, 0.3) else []
    revision = random.choice([2, 2, 2, 1, 0])
    jobs.append(_job(random, revision, Start("fault", 0, random.uniform(0, 1)), *faults))
    if luck(random, 0.5):
        event = random.choice([Start("fault", 1, 0), Start("ended", 0, 0), Start("ended", 1, 0)])
        apart, watched = luck(random, 0.6), luck(random, 0.85)
        jobs.append(Job(random.randrange(4), event, apart, watched, ()))
    return jobs


def returning(random: Random) -> list[Job]:
    """Return a first push that is held before a write, and others after which that write would fit again."""
    kind = random.choice(["stop before", "cut off", "kill late"])
    first = Fault(kind, random.randrange(3, STEPS), 0, Until(LONGEST_S, 2, random.randrange(7)))
    second = _job(random, random.choice([1, 1, 2]), Start("fault", 0, 0))
    third = _job(random, random.choice([0, 0, 1]), Start("ended", 1, 0))
    return [_job(random, 1, Start("after", 0, 0), first), second, third]


def beside(random: Random) -> list[Job]:
    """Return a first push that is killed with a write on its way, and a next one on the same machine."""
    first = Fault("kill late", random.randrange(3, STEPS), 0, Until(LONGEST_S, 1, random.randrange(6)))
    jobs = [_job(random, 1, Start("after", 0, 0), first, apart=False)]
    return [*jobs, _job(random, random.choice([0, 0, 0, 1, 2]), Start("fault", 0, 0), apart=False)]


def _job(random: Random, revision: int, begins: Start, *faults: Fault, apart: bool = True) -> Job:
    return Job(revision, begins, apart=apart, watched=luck(random, 0.85), faults=faults)


def luck(random: Random, share: float) -> bool:
    """Return true in this share of cases."""
    return random.random() < share


def start(random: Random, number: int) -> Start:
    """Return when a push begins: at any time, or right after the previous one."""
    if number == 0 or luck(random, 0.4):
        return Start("after", 0, random.uniform(0, 2 + 4 * number))
    return Start(random.choice(["fault", "fault", "ended"]), number - 1, random.uniform(0, 2))


def fault(random: Random, number: int, count: int) -> Fault:
    """Return any fault that a push may meet."""
    step = random.choice([0, -random.randrange(1, STEPS), *(random.randrange(1, STEPS) for _ in range(3))])
    until = Until(random.choice([0.3, 1, 2, 5, 8]))
    others = [other for other in range(count) if other != number]
    if luck(random, 0.5):
        until = Until(LONGEST_S, random.choice(others), random.choice([0, 0, 1, 3, 5]))
    kind = random.choice(KINDS)
    if kind == "delay":
        until = Until(random.choice([0.2, 0.5, 1, 3]))
    return Fault(kind, step, random.uniform(0.2, 7), until)
