"""The rows of `up --ask`: the seconds until the first piece of the answer, in parts, warm and cold."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.pairs import LOOP, Row, Taken, command, cpu_s, measured, tree
from benchmarks.streams import EXAMPLE
from tritonrepo.sources.cache import default_root

WARM_S, COLD_S, ROUNDS = 4.0, 12.0, 3
QUESTION = "How do I roll a model back?"
SAID: Mapping[str, re.Pattern[bytes]] = {
    "index": re.compile(rb": \S+ holds \d+ passages\n"),
    "build": re.compile(rb": (?:\d+ files written|up to date)\n"),
    "server": re.compile(rb"Triton \S+ \([^)]*\) on the CPU"),
    "sources": re.compile(rb"\n\[1\] "),
}
"""What is on stderr when a part is over, in this order; the first part is there only if the index is missing."""

ANSWER = "first token"
NOT_MET = (
    "ten Python processes are started at once, and each imports NumPy; the seconds are those of the processors, which "
    "other work on the machine shares"
)

Times = dict[str, tuple[float, float]]
"""Until when a part took, on the clock and of all processors, since the start of the command."""


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows of `up --ask`."""
    stack, rounds = folder / "stack", 1 if small else ROUNDS
    more = ["--llm-engine", "script"] if small else []
    shutil.copytree(EXAMPLE, stack)
    cache = folder / "cache"
    variables = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    cold, loops = list[Times](), list[tuple[float, float]]()

    def one() -> Times:
        loops.append(measured(LOOP))
        return asked(stack, more, variables)

    for _ in range(rounds):
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(stack / "index")
        shutil.rmtree(stack / "models", ignore_errors=True)
        _downloads(default_root(os.environ), cache / "tritonrepo")
        cold.append(one())
    warm = [one() for _ in range(rounds)]
    loop = Taken(LOOP.name, *zip(*loops, strict=True))
    what = "first piece of the answer of `up --ask` on the example"
    yield _row(f"{what}, everything made before", warm, WARM_S, loop)
    yield _row(f"{what}, nothing made before, but downloaded", cold, COLD_S, loop)


def asked(stack: Path, more: list[str], variables: Mapping[str, str]) -> Times:
    """Ask the stack; return when each part was over."""
    line = command("up", str(stack), "-o", str(stack / "models"), "--ask", QUESTION, *more)
    heard, log = stack / "answer", stack / "said"
    with heard.open("wb") as out, log.open("wb") as err:
        began, found = time.perf_counter(), Times()
        process = subprocess.Popen(line, stdout=out, stderr=err, env=variables)
        try:
            while process.poll() is None and ANSWER not in found:
                said = log.read_bytes()
                now = [part for part, words in SAID.items() if words.search(said)]
                now += [ANSWER] if heard.stat().st_size else []
                if new := [part for part in now if part not in found]:
                    took = time.perf_counter() - began, sum(map(cpu_s, tree(process.pid)))
                    found |= dict.fromkeys(new, took)
                time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    if ANSWER not in found:
        raise RuntimeError(f"`up` ended without an answer:\n{log.read_text('utf-8', 'replace')[-2000:]}")
    return found


def _row(name: str, found: list[Times], goal_s: float, loop: Taken) -> Row:
    parts, before = [], [(0.0, 0.0)] * len(found)
    for part in (each for each in (*SAID, ANSWER) if each in found[0]):
        times = [each[part] for each in found]
        spent = [(now[0] - then[0], now[1] - then[1]) for now, then in zip(times, before, strict=True)]
        parts.append(Taken(part, tuple(wall for wall, _ in spent), tuple(cpu for _, cpu in spent)))
        before = times
    return Row(name, min(each[ANSWER][0] for each in found), "s", goal_s, sides=(*parts, loop), missed=NOT_MET)


def _downloads(source: Path, target: Path) -> None:
    """Fill a cache with what another one has downloaded, and nothing that was made from it."""
    for entry in (source / "trees").iterdir():
        listing = json.loads(entry.read_bytes())
        if not listing["key"].startswith("wheel "):
            continue
        (target / "trees").mkdir(parents=True, exist_ok=True)
        for digest in {file["sha256"] for file in listing["files"].values()}:
            blob = Path("blobs", digest[:2], digest)
            (target / blob).parent.mkdir(parents=True, exist_ok=True)
            if not (target / blob).exists():
                shutil.copy2(source / blob, target / blob)
        shutil.copy2(entry, target / "trees" / entry.name)
