"""What to start, and the server's command line and environment for it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tritonrepo.diagnostics import Span
from tritonrepo.server.ports import HOST, Ports
from tritonrepo.server.runtime import Runtime
from tritonrepo.stores import is_remote
from tritonrepo.tree import File

ANY_PORTS = Ports()
PREFIX = "python,shm-region-prefix-name="
"""The setting of the Python backend for the names of its regions of shared memory; Python-based backends read it."""


class Mode(StrEnum):
    """When the server reads its repository: only at startup, repeatedly, or on request."""

    ONCE = "none"
    POLL = "poll"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start, and how; `replaced` are files that a private copy has instead of the repository's.

    `lacking` are the backends that the repository can count on, but that this server does not have. `places` are where
    users declare models, if that is not in the repository. The log is kept in `log` if it is set, and `whole` shows all
    of it.
    """

    repository: Path | str
    runtime: Runtime
    ports: Ports = ANY_PORTS
    mode: Mode = Mode.ONCE
    poll_s: int = 5
    auto_complete: bool = False
    backends: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = 120
    exit_timeout_s: int = 2
    extra_args: Sequence[str] = ()
    links: Sequence[Path] = ()
    replaced: Mapping[str, File] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()
    counted_memory: bool = False
    """Whether the server counts its regions of shared memory, so that a prefix for all its backends is impossible."""
    places: Mapping[str, Span] = field(default_factory=dict)
    log: Path | None = None
    whole: bool = False
    watched: bool = False
    """Whether models are reloaded as a private copy changes: all are loaded at the start, in explicit mode."""

    @property
    def remote(self) -> bool:
        """Whether the server itself reads the repository from a bucket."""
        return is_remote(str(self.repository))

    @property
    def copied(self) -> bool:
        """Whether a private copy is served, not the directory itself, in which the server can see changes."""
        return not self.remote and (self.mode is Mode.ONCE or self.watched)

    def place(self, model: str) -> Span:
        """Return where a user finds a model; the repository if it has no name."""
        where = f"{str(self.repository).rstrip('/')}/{model}" if model else str(self.repository)
        return self.places.get(model, Span(where))


def copy_path(home: Path) -> Path:
    """Return where the private copy of the repository is."""
    return home / "repository"


def backends_path(home: Path) -> Path:
    """Return where the server's backends are."""
    return home / "backends"


def log_path(home: Path, kept: Path | None = None) -> Path:
    """Return where the server's log is: where it is to be kept, or in the server's own directory."""
    return (kept or home / "server.log").absolute()


def arguments(launch: Launch, ports: Ports, home: Path) -> list[str]:
    """Return the server's command line, with which it starts whatever a model does, and reports failures."""
    served = str(launch.repository) if launch.remote else str(Path(launch.repository).absolute())
    if launch.copied:
        served = str(copy_path(home))
    listening = [
        flag for name, port in ports._asdict().items() for flag in (f"--{name}-address={HOST}", f"--{name}-port={port}")
    ]
    return [
        str(launch.runtime.server),
        f"--model-repository={served}",
        f"--backend-directory={backends_path(home)}",
        *([] if launch.counted_memory else [f"--backend-config={PREFIX}{home.name}-"]),
        *listening,
        "--allow-metrics=true",
        "--strict-readiness=false",
        "--exit-on-error=false",
        f"--exit-timeout-secs={launch.exit_timeout_s}",
        f"--model-load-thread-count={max(4, os.cpu_count() or 1)}",
        f"--model-control-mode={launch.mode}",
        *([f"--repository-poll-secs={launch.poll_s}"] if launch.mode is Mode.POLL else []),
        *(["--load-model=*"] if launch.watched else []),
        *([] if launch.auto_complete else ["--disable-auto-complete-config"]),
        *launch.extra_args,
    ]


def environment(launch: Launch, home: Path) -> dict[str, str]:
    """Return its environment: ours, the wheel's libraries, the interpreter first on PATH, downloads below home.

    A killed server leaves its copies of bucket models behind (seen on 24.10: `folderXXXXXX` in /tmp).
    """
    library_path = [*map(str, launch.runtime.library_path), os.environ.get("LD_LIBRARY_PATH", "")]
    downloads = {f"TRITON_{cloud}_MOUNT_DIRECTORY": str(home) for cloud in ("AWS", "GCS", "AZURE")}
    return {
        **downloads,
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, library_path)),
        "PATH": os.pathsep.join([str(launch.runtime.python.parent), os.environ.get("PATH", os.defpath)]),
        **launch.environment,
    }
