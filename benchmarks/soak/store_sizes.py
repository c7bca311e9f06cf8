"""Many objects and a large sparse one on each kind of store; on S3, also killed in the middle and continued.

    python -m benchmarks.soak.store_sizes [--keys 10000] [--gib 5] [--write]

Prints two tables; `--write` writes benchmarks/store_sizes.md. All objects must be in one listing. What a store has of
the large one is read back and compared. The continued upload is one that a process killed by `kill -9` left half-way.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import obstore

from tests.proxy import Forward, Reply, Request, proxy
from tests.servers.gcs import fake_gcs
from tests.servers.moto import moto
from tests.servers.s3 import CREDENTIALS, S3Server, seaweed
from tritonrepo.stores import open_store
from tritonrepo.stores.s3 import S3Store
from tritonrepo.stores.s3_parts import PART_BYTES
from tritonrepo.tree import Entry, File, of_bytes, on_disk

OUT = Path(__file__).parents[1] / "store_sizes.md"
GIB = 1 << 30
AT_ONCE = 16
MOST_GIB = {"moto": 0.25, "Google Cloud Storage": 1}
"""For servers that read a whole object for each range of it that is asked for."""

SEND = "import sys; from benchmarks.soak.store_sizes import send; send(*sys.argv[1:])"


def send(path: str, uri: str) -> None:
    """Put a file where nothing is."""
    store, prefix = open_store(uri)
    store.put(f"{prefix}/w", on_disk(Path(path), Path(path).stat().st_size), if_absent=True)


def bare(path: str, uri: str) -> None:
    """Put a file by obstore alone."""
    store, prefix = open_store(uri)
    assert isinstance(store, S3Store)
    obstore.put(store._at.objects, f"{prefix}/w", Path(path))  # noqa: SLF001  the same client and endpoint


def seconds(do: Callable[[], object]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began


def killed(server: S3Server, path: str, uri: str, parts: int) -> None:
    """Send a file by a process that is killed after so many parts."""
    sent = [0]

    def tamper(request: Request, forward: Forward) -> Reply | None:
        if "partNumber=" in request.path:
            sent[0] += 1
            if sent[0] > parts:
                os.kill(process.pid, signal.SIGKILL)
                return None
        return forward(request)

    with proxy(server.endpoint, tamper) as endpoint:
        command = [sys.executable, "-c", SEND, path, uri.replace(server.endpoint, endpoint)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            process.wait()
        assert process.returncode == -signal.SIGKILL


def counted(server: S3Server, path: str, uri: str) -> int:
    """Send a file, and return how many parts were sent for that."""
    sent: list[str] = []

    def tamper(request: Request, forward: Forward) -> Reply | None:
        if "partNumber=" in request.path:
            sent.append(request.path)
        return forward(request)

    with proxy(server.endpoint, tamper) as endpoint:
        send(path, uri.replace(server.endpoint, endpoint))
    return len(sent)


@contextmanager
def stores(where: Path) -> Iterator[dict[str, Callable[[], str]]]:
    """Yield functions that return the URI of an unused prefix, by kind of store."""
    os.environ.update(CREDENTIALS)
    with ExitStack() as stack:
        for kind in ("s3", "moto", "gcs"):
            (where / kind).mkdir()
        s3, other = stack.enter_context(seaweed(where / "s3")), stack.enter_context(moto(where / "moto"))
        gcs = stack.enter_context(fake_gcs(where / "gcs"))
        os.environ["STORAGE_EMULATOR_HOST"] = gcs.endpoint
        yield {
            "directory": lambda: str(where / "directory" / "r"),
            "SeaweedFS": s3.fresh,
            "moto": other.fresh,
            "Google Cloud Storage": gcs.fresh,
        }


def many(uri: str, keys: int) -> tuple[float, float]:
    """Put objects, and return the seconds of that and of the listing."""
    store, prefix = open_store(uri)
    paths = [f"{prefix}/m/{number}" for number in range(keys)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        written_s = seconds(lambda: list(pool.map(lambda path: store.put(path, of_bytes(path.encode())), paths)))
    found: dict[str, Entry] = {}
    listed_s = seconds(lambda: found.update(store.scan(prefix)))
    assert {f"{prefix}/{path}" for path in found} == set(paths)
    for path, entry in list(found.items())[:: max(1, keys // 20)]:
        assert isinstance(entry, File)
        assert entry.content() == f"{prefix}/{path}".encode()
    return written_s, listed_s


def compare(uri: str, source: Path) -> None:
    """Read back what was sent, and compare it."""
    store, prefix = open_store(uri)
    entry = store.scan(prefix)["w"]
    assert isinstance(entry, File)
    assert entry.sha256 == on_disk(source, source.stat().st_size).sha256


def large(uri: str, source: Path) -> float:
    """Put a file, compare what the store then has, and return the seconds of the first."""
    sent_s = seconds(lambda: send(str(source), uri))
    compare(uri, source)
    store, prefix = open_store(uri)
    store.delete(f"{prefix}/w")
    return sent_s


def continued(source: Path) -> str:
    """Return how long the rest of a killed upload to S3 takes, and how many parts it sends, with a row of a table."""
    size, path = source.stat().st_size, str(source)
    with tempfile.TemporaryDirectory() as given, seaweed(Path(given)) as server:
        other, again = server.fresh(), server.fresh()
        bare_s, parts = seconds(lambda: bare(path, other)), -(-size // PART_BYTES)
        killed(server, path, again, parts // 2)
        sent: list[int] = []
        again_s = seconds(lambda: sent.append(counted(server, path, again)))
        compare(again, source)
    return f"| {size / GIB:g} GiB | {parts} | {bare_s:.1f} s | {again_s:.1f} s | {sent[0]} |"


def main() -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--gib", type=float, default=5)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    lines = [f"| store | {given.keys:,} objects written | listed | a large one | sent |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "weights"
        source.write_bytes(b"x")
        (Path(place) / "directory").mkdir()
        with stores(Path(place)) as kinds:
            for kind, fresh in kinds.items():
                gib = min(given.gib, MOST_GIB.get(kind, given.gib))
                os.truncate(source, int(gib * GIB))
                (written_s, listed_s), sent_s = many(fresh(), given.keys), large(fresh(), source)
                lines.append(f"| {kind} | {written_s:.1f} s | {listed_s:.1f} s | {gib:g} GiB | {sent_s:.1f} s |")
                print(lines[-1], flush=True)
        os.truncate(source, int(given.gib * GIB))
        lines += ["", "| size | parts | sent by obstore alone | continued after `kill -9` half-way | parts sent then |"]
        lines += ["|---|---|---|---|---|", continued(source)]
    print("\n".join(lines))
    if given.write:
        OUT.write_text(ABOUT + "\n".join(lines) + "\n", "utf-8")
    return 0


ABOUT = """# Many objects and a large one

Written by `python -m benchmarks.soak.store_sizes --write`, on two cores that these servers share with the client. moto
and the emulator of Google Cloud Storage are not made for speed: for each range of an object, they read the whole of it.

"""

if __name__ == "__main__":
    sys.exit(main())
