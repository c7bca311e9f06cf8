"""A second S3 server on this machine: moto, which compares no checksums, and keeps keys exactly as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.servers.packages import MOTO, installed
from tests.servers.s3 import S3Server, answers
from tests.servers.serving import HOST, Service, free_ports, served


@contextmanager
def moto(place: Path) -> Iterator[S3Server]:
    """Run the server."""
    with served(place, _prepared) as server:
        yield server


def _prepared(_: Path) -> tuple[S3Server, Service]:
    (port,) = free_ports(1)
    server = S3Server(f"http://{HOST}:{port}")
    program = installed(MOTO)
    start = f"import sys; sys.path.insert(0, {str(program.parents[1])!r}); from moto.server import main; main()"
    return server, Service([sys.executable, "-c", start, "-H", HOST, "-p", str(port)], partial(answers, server))
