"""Send a large sparse file to a real S3 store, killed in the middle and continued: seconds, and what was sent again.

    python -m benchmarks.soak.store_large [--gib 5]

Prints a row of a table: the whole upload, the same by obstore alone, and the upload that a process killed by `kill -9`
half-way left, continued by another process. The content that the store then has is read back and compared.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import obstore

from tests.proxy import Forward, Reply, Request, proxy
from tests.servers.s3 import CREDENTIALS, S3Server, seaweed
from tritonrepo.stores import open_store
from tritonrepo.stores.s3 import S3Store
from tritonrepo.tree import File, on_disk

SEND = "import sys; from benchmarks.soak.store_large import send; send(*sys.argv[1:])"


def send(path: str, uri: str) -> None:
    """Put a file where nothing is."""
    store, prefix = open_store(uri)
    store.put(f"{prefix}/w", on_disk(Path(path), Path(path).stat().st_size), if_absent=True)


def bare(path: str, uri: str) -> None:
    """Put a file by obstore alone."""
    store, prefix = open_store(uri)
    assert isinstance(store, S3Store)
    obstore.put(store._at.objects, f"{prefix}/w", Path(path))  # noqa: SLF001  the same client and endpoint


def seconds(do: Callable[[], None]) -> float:
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


def main() -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gib", type=float, default=5)
    size = int(parser.parse_args().gib * (1 << 30))
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryDirectory() as given, seaweed(Path(given)) as server:
        source = Path(given) / "weights"
        with source.open("wb") as stream:
            stream.truncate(size - 1)
            stream.seek(size - 1)
            stream.write(b"x")
        path, whole, other, again = str(source), server.fresh(), server.fresh(), server.fresh()
        ours_s, bare_s = seconds(lambda: send(path, whole)), seconds(lambda: bare(path, other))
        all_parts = -(-size // (8 << 20))
        killed(server, path, again, all_parts // 2)
        began = time.monotonic()
        parts = counted(server, path, again)
        again_s = time.monotonic() - began
        store, prefix = open_store(again)
        entry = store.scan(prefix)["w"]
        assert isinstance(entry, File)
        assert entry.sha256 == on_disk(source, size).sha256
        print("| size | parts | sent | by obstore alone | continued after `kill -9` half-way | parts sent then |")
        print("|---|---|---|---|---|---|")
        print(
            f"| {size / (1 << 30):g} GiB | {all_parts} | {ours_s:.1f} s | {bare_s:.1f} s | {again_s:.1f} s | {parts} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
