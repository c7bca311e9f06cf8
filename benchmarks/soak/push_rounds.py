"""Pushes and rollbacks one after the other under one polling server and load, some of them killed and run again.

    python -m benchmarks.soak.push_rounds [--store s3] [--pushes 50] [--kills 100] [--rollbacks 30] [--table]

Each push changes an embedder, an index and a prompt, and the pipeline that pins them: three small Python models that
return their revision, and an ensemble. A killed push (`kill -9` at a random moment) is followed by the same command. Of
three rollbacks, at least one is killed, and followed by one without a number. After every fifth round, `tritonrepo
prune` runs. No request may fail, no response may mix revisions, readiness must stay 200, and in the end the bucket and
the server must have the last revision and no other version.

Every part can be run alone, with any count. `--table` writes benchmarks/pushes.md from the last run of each store.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.soak.push_load import Answer, Load
from benchmarks.soak.push_revisions import Leaf, Revision
from tests.pushes import stored
from tests.servers.gcs import fake_gcs
from tests.servers.s3 import CREDENTIALS, seaweed
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.process import Server, start
from tritonrepo.server.runtime import find
from tritonrepo.stores import open_store

HERE = Path(__file__).parent
TABLE = HERE.parent / "pushes.md"
LEAVES = ("embedder", "index", "prompt")
COMMAND = """
from tritonrepo.cli import main
from tritonrepo.sync import lock
lock.GRACE_S = -lock.VALID_S  # nothing that a killed one sent stays on its way here
main()
"""
DRAIN = "1"
EARLIEST_S, LATEST = 0.3, 0.95
"""When a command is killed at the earliest, and at the latest as a part of what the last one of its kind took."""

EVERY = 5
SERVES_S = 60
ROWS = ("pushes", "kills", "rollbacks", "rollbacks killed", "prunes", "requests", "failed", "mixed", "not ready")


class Rounds:
    """A prefix, its server, its revisions, and what was counted."""

    server: Server
    """What serves the prefix, from the first revision on."""

    def __init__(self, uri: str, folder: Path, random: Random) -> None:
        self.uri, self.folder, self.random = uri, folder, random
        self.made: dict[int, Revision] = {}
        self.numbers: dict[int, int] = {}
        self.counts = Counter[str]()
        self.faults: list[str] = []
        self.took_s: dict[str, float] = {}

    def next(self) -> Revision:
        """Return a new revision, written to the disk."""
        number = len(self.made) + 1
        self.made[number] = Revision(number, {name: Leaf(number, f"{name}-r{number}", 3) for name in LEAVES})
        self.made[number].write(self.folder / str(number))
        return self.made[number]

    def run(self, *arguments: str, kill: bool = False) -> int | None:
        """Run a command and return its exit code, None if it was killed."""
        options = [] if arguments[0] == "prune" else ["--server", self.server.http, "--settle", DRAIN]
        command, began = [sys.executable, "-c", COMMAND, *arguments, *options], time.monotonic()
        limit_s = self.random.uniform(EARLIEST_S, self.took_s.get(arguments[0], 10) * LATEST) if kill else 600
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                said = process.communicate(timeout=limit_s)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                if kill:
                    return None
                said = "it hangs"
        if process.returncode != 0:
            self.faults.append(f"{' '.join(arguments)} ended with {process.returncode}: {said.strip()[-600:]}")
        if not kill:
            self.took_s[arguments[0]] = time.monotonic() - began
        return process.returncode

    def push(self, *, kill: bool = False) -> None:
        made = self.next()
        arguments = ("push", str(self.folder / str(made.number)), self.uri)
        self.counts["pushes"] += 1
        if kill:
            self.counts["kills"] += self.run(*arguments, kill=True) is None
        self.run(*arguments)
        self.check(made)

    def back(self, *, kill: bool = False) -> None:
        record = self.record()
        there = sorted(number for number in self.numbers if number < record["number"])
        goal = self.random.choice(there[-EVERY:])
        self.counts["rollbacks"] += 1
        if kill and self.run("rollback", self.uri, str(goal), kill=True) is None:
            self.counts["rollbacks killed"] += 1
            untouched = self.record()["number"] == record["number"] and not self.begun()
            self.run("rollback", self.uri, *([str(goal)] if untouched else []))
            if self.record()["number"] == record["number"] + 2:
                return self.check(self.made[self.numbers[record["number"]]])  # it was finished when it was killed
        elif not kill:
            self.run("rollback", self.uri, str(goal))
        return self.check(self.made[self.numbers[goal]])

    def prune(self) -> None:
        """Remove what nothing needs."""
        self.counts["prunes"] += 1
        self.run("prune", self.uri, "--keep", str(EVERY + 1), "--yes")
        oldest = self.record()["number"] - EVERY
        self.numbers = {number: made for number, made in self.numbers.items() if number >= oldest}

    def beside(self, name: str) -> Any:  # noqa: ANN401  JSON
        store, prefix = open_store(self.uri)
        found = store.fetch(f"{prefix}.tritonrepo/{name}")
        return json.loads(found.content) if found else {}

    def record(self) -> Any:  # noqa: ANN401  JSON
        return self.beside("release.json")

    def begun(self) -> bool:
        return bool(self.beside("revisions/next.json").get("after") == self.record()["number"])

    def check(self, made: Revision) -> None:
        """Check that the bucket is this revision, byte for byte."""
        self.numbers[self.record()["number"]] = made.number
        there = stored(self.uri)
        if wrong := [path for path, content in made.files.items() if there.get(path) != content]:
            self.faults.append(f"revision {made.number} is not there: {wrong[:3]}")

    def settled(self) -> None:
        """Wait until the server serves the last revision and nothing else."""
        versions = {(name, str(self.numbers[self.record()["number"]])) for name in LEAVES} | {("pipeline", "1")}
        end, ready = time.monotonic() + SERVES_S, set[tuple[str, str]]()
        while time.monotonic() < end:
            request = urllib.request.Request(f"{self.server.http}/v2/repository/index", b"{}")
            with urllib.request.urlopen(request, timeout=30) as response:
                rows = json.load(response)
            ready = {(row["name"], row["version"]) for row in rows if row.get("state") == "READY"}
            if ready == versions:
                return
            time.sleep(0.5)
        self.faults.append(f"the server serves {sorted(ready ^ versions)} too, or not")


@contextmanager
def stores(kind: str, folder: Path) -> Iterator[str]:
    """Run a store and yield the URI of an unused prefix in it."""
    if kind == "s3":
        with seaweed(folder) as s3:
            os.environ |= CREDENTIALS
            yield s3.fresh()
    else:
        with fake_gcs(folder) as gcs:
            os.environ["STORAGE_EMULATOR_HOST"] = gcs.endpoint
            yield gcs.fresh()


@contextmanager
def readiness(http: str, seen: Counter[int]) -> Iterator[None]:
    """Ask whether the server is ready, again and again, until the block ends."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.2):
            try:
                with urllib.request.urlopen(f"{http}/v2/health/ready", timeout=30) as response:
                    seen[response.status] += 1
            except urllib.error.HTTPError as error:
                seen[error.code] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def all_of(rounds: Rounds, given: argparse.Namespace) -> None:
    """Run all rounds; a command that ends before it can be killed is followed by another one."""
    for number in range(1, given.pushes + 2 * given.kills + 1):
        kill = number > given.pushes
        if kill and rounds.counts["kills"] == given.kills:
            break
        rounds.push(kill=kill)
        told(rounds, f"push {number}")
        if number % EVERY == 0:
            rounds.prune()
    for number in count(1):
        killed = rounds.counts["rollbacks killed"]
        if number > given.rollbacks and killed >= given.rollbacks // 3:
            break
        rounds.back(kill=killed < (number + 2) // 3)
        told(rounds, f"rollback {number} of {given.rollbacks}")
        if number % EVERY == 0:
            rounds.prune()
    rounds.settled()


def tried(given: argparse.Namespace, folder: Path, uri: str) -> Rounds:
    """Run all rounds on one store."""
    random, answers, ready = Random(given.seed), list[Answer](), Counter[int]()
    environment = {**CREDENTIALS, **open_store(uri)[0].server_environment()}
    rounds = Rounds(uri, folder, random)
    made = rounds.next()
    subprocess.run(
        [sys.executable, "-c", COMMAND, "push", str(folder / "1"), uri, "--settle", "0"],
        check=True,
        capture_output=True,
    )
    launch = Launch(uri, find(), mode=Mode.POLL, poll_s=1, environment=environment, exit_timeout_s=1)
    with start(launch) as server:
        rounds.server = server
        rounds.check(made)
        with Load(server.http, answers), readiness(server.http, ready):
            all_of(rounds, given)
        known = {revision.answer for revision in rounds.made.values()}
        failed = [answer for answer in answers if answer.fault]
        mixed = [answer for answer in answers if not answer.fault and answer.tokens not in known]
        rounds.counts["requests"], rounds.counts["failed"], rounds.counts["mixed"] = (
            len(answers),
            len(failed),
            len(mixed),
        )
        rounds.counts["not ready"] = sum(count for status, count in ready.items() if status != HTTPStatus.OK)
        if not server.alive():
            rounds.faults.append(f"the server ended: {server.log_tail(20)}")
        rounds.faults += [answer.fault for answer in failed[:3]] + [str(sorted(answer.tokens)) for answer in mixed[:3]]
    return rounds


def told(rounds: Rounds, what: str) -> None:
    print(f"\r{what}, {len(rounds.faults)} faults  ", end="", file=sys.stderr, flush=True)


def written(kind: str, counts: Counter[str], seconds: float) -> None:
    """Write the row of a store into the table, and keep those of the others."""
    head = ["| store | " + " | ".join([*ROWS, "seconds"]) + " |", "|---" * (len(ROWS) + 2) + "|"]
    old = TABLE.read_text("utf-8").splitlines() if TABLE.exists() else []
    rows = {line.split("|")[1].strip(): line for line in old if line.startswith("|")}
    rows[kind] = f"| {kind} | " + " | ".join(f"{counts[name]:,}" for name in ROWS) + f" | {seconds:,.0f} |"
    kept = [rows[name] for name in ("s3", "gcs") if name in rows]
    text = ["# Pushes under load", "", *((__doc__ or "").split("\n\n")[2].splitlines()), "", *head, *kept, ""]
    TABLE.write_text("\n".join(text), "utf-8")


def main() -> int:
    """Run; return exit status 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", choices=["s3", "gcs"], default="s3")
    parser.add_argument("--pushes", type=int, default=50)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rollbacks", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="rounds-store-") as place,
        tempfile.TemporaryDirectory(prefix="rounds-") as folder,
        stores(given.store, Path(place)) as uri,
    ):
        rounds = tried(given, Path(folder), uri)
    seconds = time.monotonic() - began
    print(f"\n{given.store}: {', '.join(f'{rounds.counts[name]:,} {name}' for name in ROWS)} in {seconds:,.0f} s")
    print(*rounds.faults, sep="\n")
    if given.table:
        written(given.store, rounds.counts, seconds)
    return 1 if rounds.faults or any(rounds.counts[name] for name in ("failed", "mixed", "not ready")) else 0


if __name__ == "__main__":
    raise SystemExit(main())
