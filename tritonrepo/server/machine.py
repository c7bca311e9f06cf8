"""What a machine has, for `doctor`: disks, memory, ports, programs, addresses; nothing here raises."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tritonrepo.diagnostics import Diagnostic, Stop
from tritonrepo.server.bounded import heard
from tritonrepo.server.ports import Ports, choose

PROGRAM_S = 0.7
"""How long Docker and the GPU's driver may take to answer."""

ADDRESS_S = 3.0


class Place(NamedTuple):
    """A directory, or where it will be: its size and free space in bytes, 0 if unknown, and whether it is writable."""

    size: int
    free: int
    writable: bool


def place(path: Path) -> Place:
    """Return what is known about a directory; of one that is missing, about the nearest that exists."""
    with suppress(OSError, ValueError):
        while not path.exists() and path != path.parent:
            path = path.parent
        writable = path.is_dir() and os.access(path, os.W_OK | os.X_OK)
        usage = shutil.disk_usage(path)
        return Place(usage.total, usage.free, writable)
    return Place(0, 0, writable=False)


def memory(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup/memory.max")) -> int | None:
    """Return the bytes of memory that are available, at most those that the container may use; None if unknown."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = proc.read_text("ascii").splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # "max" is no number
        found.append(int(group.read_text("ascii")))
    return min(found, default=None)


def used(ports: Ports) -> tuple[Diagnostic, ...]:
    """Return what keeps a server from listening on these ports."""
    try:
        choose(ports)
    except Stop as stop:
        return stop.diagnostics
    return ()


def program(command: Sequence[str]) -> tuple[bool, str]:
    """Return whether a program answers, and its first line or why it does not; ("", False) is one that is not there."""
    if not shutil.which(command[0]):
        return False, ""
    try:
        answer = heard(command, PROGRAM_S)
    except TimeoutError:
        return False, f"no response within {PROGRAM_S:g} s"
    except OSError as error:
        return False, error.strerror or str(error)
    lines = (answer.out if not answer.code else answer.err or answer.out).strip().splitlines()
    return not answer.code, "; ".join(lines[:4]) if lines else f"exit code {answer.code}"


def reached(url: str) -> str:
    """Return "" if something listens at an address, otherwise why it cannot be reached."""
    try:
        parts = urlsplit(url)
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), ADDRESS_S).close()
    except (OSError, ValueError, UnicodeError) as error:
        return str(getattr(error, "strerror", "") or error) or type(error).__name__
    return ""


def credentials(environ: Mapping[str, str], home: Path) -> tuple[str, ...]:
    """Return the names of the variables and files that hold credentials, never what they hold."""
    variables = (
        *("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("AZURE_STORAGE_ACCOUNT", "TRITON_CLOUD_CREDENTIAL_PATH", "HF_TOKEN"),
    )
    files = (".aws/credentials", ".config/gcloud/application_default_credentials.json", ".cache/huggingface/token")
    there = [f"~/{name}" for name in files if _exists(home / name)]
    return (*(name for name in variables if environ.get(name)), *there)


def missing(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that name a file of credentials that does not exist."""
    names = ("GOOGLE_APPLICATION_CREDENTIALS", "TRITON_CLOUD_CREDENTIAL_PATH", "AWS_WEB_IDENTITY_TOKEN_FILE")
    return tuple(name for name in names if environ.get(name) and not _exists(Path(environ[name])))


def _exists(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.exists()
    return False


def processor(proc: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of this machine's processors; "" if unknown."""
    with suppress(OSError, ValueError):
        lines = proc.read_text("utf-8", "replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Processor"))]
        if names:
            return names[0]
    return platform.processor()


def busy() -> float | None:
    """Return how many processes ran or waited for a processor in the last minute, on average; None if unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
