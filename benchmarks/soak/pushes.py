"""Histories of pushes: real processes stopped, continued, cut off, delayed and killed, under a polling server and load.

    python -m benchmarks.soak.pushes [--histories 200] [--seed 1] [--lanes 8] [--first 0] [--show]

Each history has a prefix of its own in a real S3 server, a revision in it, the real Triton polling it, clients that ask
all the while, and two or three pushes of other revisions, some from a pid namespace of their own, as from another
machine. What each sends is written down. When all have ended (after a killed one somebody pushes once more), the bucket
must be one whole revision and its record must say so, no lock may be left, no request may fail; at no moment may the
bucket be such that a server that looks then fails; a push that said 0 was whole at some moment while it ran; and one
that was alone, and lost no more than answers, said 0.
Prints what is not so with what led there, then the counts; exit status 1 if anything is not. `--first N --histories 1`
tries one history again; `--show` prints what happened in good ones too. Needs `unshare` and `setpriv` of util-linux.

The 200 histories of seed 1, in 20 minutes on two cores with 8 lanes: 586 pushes (342 ended with 0, 176 with 1, 68 were
killed), 121 locks taken over, 1,740 writes that the store refused, 216,364 requests while they ran and 29,522 after
the last one; no history was not as it must be.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from benchmarks.soak import push_judge as judge
from benchmarks.soak.push_histories import history
from benchmarks.soak.push_judge import Seen
from benchmarks.soak.push_revisions import BESIDE, CONFIG, PAST, RECORD
from benchmarks.soak.push_stage import ServerLost, Stage
from tests.servers.s3 import CREDENTIALS, S3Server, seaweed

CRASH = "boost::interprocess::lock_exception"
"""What sometimes crashes the server in the Python backend of 24.10; see server issues 5949 and 8882."""

TRIES = 3


class Told(NamedTuple):
    """The outcome of a history: what is not as it should be, what led to it, and counts."""

    name: str
    faults: tuple[str, ...]
    timeline: tuple[str, ...]
    counts: Counter[str]


def tried(seed: int, number: int, s3: S3Server) -> Told:
    """Run a history; repeat it once if the server exited for an unrelated reason."""
    made = history(seed, number)
    for count in range(TRIES):
        with tempfile.TemporaryDirectory(prefix="pushes-") as folder:
            stage = Stage(made, s3, Path(folder))
            try:
                seen = stage.run()
            except ServerLost as lost:
                faults = [f"server: it ended by itself: {lost}"]
                if CRASH in str(lost) and count < TRIES - 1:
                    continue
                counts = Counter[str]()
            except Exception:  # noqa: BLE001  told as this history's, so that the others go on
                faults, counts = [f"soak: {traceback.format_exc()}"], Counter[str]()
            else:
                faults, counts = [*stage.faults, *judge.faults(seen)], counted(seen)
            counts["servers that ended by themselves"] = count
            return Told(f"{made.name} ({made.plot})", tuple(faults), tuple(stage.timeline()), counts)
    raise AssertionError


def counted(seen: Seen) -> Counter[str]:
    """Return what happened in a history."""
    asked, failed, mixed = judge.meanwhile(seen)
    found = Counter({"requests meanwhile": asked, "failed meanwhile": failed, "mixed meanwhile": mixed})
    found["requests after"] = len(seen.answers) - asked
    for push in seen.pushes:
        found["pushes"] += 1
        found[f"pushes that ended with {'a kill' if push.code is None else push.code}"] += 1
    found["probes and locks that killed pushes left"] = sum(
        path.startswith(BESIDE) and path != RECORD and not path.startswith(PAST) for path in seen.after
    )
    found["writes"] = sum(one.written for one in seen.sent)
    found["writes refused"] = sum(one.status == judge.REFUSED for one in seen.sent)
    late = judge.without_lock(seen.sent)
    for one in seen.sent:
        kind = "a config" if one.path.endswith(CONFIG) else "the record" if one.path == RECORD else "a file"
        bare = one.written and not one.condition and (one.path == RECORD or not one.path.startswith(BESIDE))
        found[f"writes of {kind} without a condition"] += bare
        found[f"writes of {kind} by a push without the lock"] += one in late
    found["locks taken over"] = judge.taken_over(seen.sent)
    return found


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--show", action="store_true")
    return parser.parse_args()


def main(given: argparse.Namespace) -> int:
    """Run; return exit status 1 if anything is not as it should be."""
    began = time.monotonic()
    os.environ |= CREDENTIALS
    total, kinds, bad = Counter[str](), Counter[str](), 0
    numbers = range(given.first, given.first + given.histories)
    with (
        tempfile.TemporaryDirectory(prefix="pushes-s3-") as folder,
        seaweed(Path(folder)) as s3,
        ProcessPoolExecutor(given.lanes) as lanes,
    ):
        for done, future in enumerate(as_completed([lanes.submit(tried, given.seed, n, s3) for n in numbers]), 1):
            told = future.result()
            total += told.counts
            kinds.update(fault.partition(":")[0] for fault in told.faults)
            bad += bool(told.faults)
            if told.faults or given.show:
                print(f"\n=== history {told.name}", *told.faults, "---", *told.timeline, sep="\n", flush=True)
            print(f"\r{done} of {len(numbers)}, {bad} bad, {time.monotonic() - began:.0f} s", end="", file=sys.stderr)
    took_s = time.monotonic() - began
    print(f"\n\n{len(numbers)} histories of seed {given.seed} in {took_s:.0f} s, {bad} not as they should be")
    for name, count in [*sorted(total.items()), *sorted(kinds.items())]:
        print(f"  {count:7,} {name}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(options()))
