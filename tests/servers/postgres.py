"""A PostgreSQL server with pgvector, whose only user needs no password."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.servers.packages import POSTGRES, installed
from tests.servers.serving import HOST, Service, free_ports, served

USER = "tests"
NOBODY = 65534
"""The user that runs it if the tests run as root, since PostgreSQL does not start as root."""


class PostgresServer(NamedTuple):
    """Where the server is."""

    programs: Path
    port: int

    @property
    def dsn(self) -> str:
        """The URL of its database."""
        return f"postgresql://{USER}@{HOST}:{self.port}/postgres"

    def ask(self, statements: str) -> str:
        """Return the rows of the statements as psql prints them, with columns separated by |."""
        psql = [f"{self.programs}/psql", "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run([*psql, "-c", statements, self.dsn], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Run the server, in a directory that its user can reach; pytest's, the cache's and TMPDIR may be closed to it."""
    with tempfile.TemporaryDirectory(prefix="tritonrepo-postgres-", dir="/tmp") as given:
        place = Path(given)
        place.chmod(0o755)
        source = Path(str(installed(POSTGRES)).removesuffix(POSTGRES.program))
        shutil.copytree(source, place / "home", ignore=shutil.ignore_patterns("include"))
        programs = (place / "home" / POSTGRES.program).parent
        with served(place, partial(_prepared, programs)) as server:
            yield server


def _prepared(programs: Path, place: Path) -> tuple[PostgresServer, Service]:
    user = None if os.geteuid() else NOBODY
    if user is not None:
        os.chown(place, user, user)
    at = ["-D", f"{place}/data"]
    command = [f"{programs}/initdb", *at, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, user=user, group=user, cwd=place)
    assert done.returncode == 0, done.stderr
    (port,) = free_ports(1)
    server = PostgresServer(programs, port)
    settings = {"listen_addresses": HOST, "port": port, "unix_socket_directories": "", "fsync": "off"}
    options = [f"--{name}={value}" for name, value in settings.items()]
    # SIGINT is its fast shutdown, which takes its shared memory away
    return server, Service([f"{programs}/postgres", *at, *options], partial(_answers, server), user, signal.SIGINT)


def _answers(server: PostgresServer) -> bool:
    command = [f"{server.programs}/pg_isready", "-q", "-h", HOST, "-p", str(server.port)]
    return subprocess.run(command, check=False).returncode == 0
