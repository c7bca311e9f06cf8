"""A GCS server: fake-gcs-server, in memory. It ignores every condition on a generation."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.servers.packages import FAKE_GCS, installed
from tests.servers.serving import HOST, Service, free_ports, served


class GCSServer(NamedTuple):
    """Where the server is."""

    endpoint: str


@contextmanager
def fake_gcs(place: Path) -> Iterator[GCSServer]:
    """Run the server."""
    with served(place, _prepared) as server:
        yield server


def _prepared(_: Path) -> tuple[GCSServer, Service]:
    (port,) = free_ports(1)
    server = GCSServer(f"http://{HOST}:{port}")
    command = [str(installed(FAKE_GCS)), "-scheme", "http", "-host", HOST, "-port", str(port), "-backend", "memory"]
    command += ["-external-url", server.endpoint, "-public-host", f"{HOST}:{port}"]
    return server, Service(command, partial(_answers, server))


def _answers(server: GCSServer) -> bool:
    try:
        urllib.request.urlopen(f"{server.endpoint}/storage/v1/b?project=tests", timeout=5).close()
    except OSError:
        return False
    return True
