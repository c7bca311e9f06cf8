"""Keep streams of the example's answers running: `python -m benchmarks.soak.streams [--streams 100] [--seconds 120]`.

The example is built so that its answers have sources, and served on this machine's CPU with the engine `script`, over
loopback. As many clients as streams ask one question after another until the time is over, and the streams that run
then are read to their end. A stream is right if it has its sources and 32 tokens. Printed are the streams, the errors,
the responses per second, the slowest stream, and the memory of the server's processes: after the first quarter of the
time, when each client has had an answer, and at the end. Exit status 1 if a stream does not end right, or the memory of
the server's processes grows by more than 5 %.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.streams import Asking, built
from tritonrepo import api
from tritonrepo.server.keeper import descendants

RIGHT = (1, 32)
GROWTH = 0.05


@dataclass
class Counted:
    """What all clients have seen so far."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    streams: int = 0
    responses: int = 0
    slowest_s: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, took_s: float, found: tuple[int, int], error: str) -> None:
        """Count one stream."""
        with self.lock:
            self.streams += 1
            self.responses += sum(found)
            self.slowest_s = max(self.slowest_s, took_s)
            if error:
                self.errors[error] += 1


def ask(client: Asking, number: int, until: float, counted: Counted) -> None:
    """Ask until the time is over; every stream is read to its end."""
    while time.monotonic() < until:
        began, found, error = time.monotonic(), (0, 0), ""
        try:
            found = client.whole(number)
            error = "" if found == RIGHT else f"{found[0]} responses with sources and {found[1]} tokens"
        except Exception as fault:  # noqa: BLE001  whatever a client meets is counted
            error = f"{type(fault).__name__}: {fault}"
        counted.add(time.monotonic() - began, found, error)


def memory(session: int) -> Mapping[str, int]:
    """Return the resident memory of each process of a server, in KiB, by the model that it serves, or its name."""
    found = {}
    for pid in descendants(session):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            status = Path(f"/proc/{pid}/status").read_text("utf-8")
        except OSError:
            continue
        (resident,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        model = next((Path(word).parts[-3] for word in words if word.endswith("model.py")), Path(words[0]).name)
        found[f"{model} {pid}"] = int(resident)
    return found


def soak(server: api.Server, streams: int, seconds: float) -> bool:
    """Run the clients and print what they and the server's memory show; return whether all was right."""
    counted, client = Counted(), Asking(server.http)
    began = time.monotonic()
    until = began + seconds
    clients = [threading.Thread(target=ask, args=(client, number, until, counted)) for number in range(streams)]
    for thread in clients:
        thread.start()
    while counted.streams < streams or time.monotonic() < began + seconds / 4:
        time.sleep(0.2)
    first, after = memory(server.session), time.monotonic() - began
    for thread in clients:
        thread.join()
    took, last = time.monotonic() - began, memory(server.session)
    growth = sum(last.values()) / sum(first.values()) - 1
    print(f"{streams} streams at once for {took:.0f} s: {counted.streams} ended, {counted.errors.total()} with errors")
    for error, count in counted.errors.most_common(5):
        print(f"  {count} times: {error}")
    print(f"{counted.responses / took:.0f} responses/s; the slowest stream took {counted.slowest_s:.1f} s")
    print(f"memory: {sum(first.values()) >> 10} MiB after {after:.0f} s, {sum(last.values()) >> 10} MiB at the end")
    print(f"growth {growth:.1%}; the load average was {os.getloadavg()[0]:.1f}")
    for name in sorted(last):
        print(f"  {name}: {first.get(name, 0) >> 10} MiB, then {last[name] >> 10} MiB")
    return not counted.errors and growth <= GROWTH and first.keys() == last.keys()


def main() -> int:
    """Serve the example and let the clients ask."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120)
    given = parser.parse_args()
    work = api.Workspace(os.environ)
    with tempfile.TemporaryDirectory() as place:
        options = api.ServeOptions(api.Ports(0, 0, 0), engine="script")
        with api.serve(built(Path(place), work), options, work) as server:
            return 0 if soak(server, given.streams, given.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
