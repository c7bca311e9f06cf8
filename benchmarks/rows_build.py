"""The rows of builds: the example built once more with nothing changed, and what `deploy` writes for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.pairs import LOOP, Row, Side, command, paired, ran, ratio
from benchmarks.streams import EXAMPLE

START = (
    "two thirds of it are the start of Python and imports, for which the speed of a core decides: a build needs the "
    "rules, the parts and the readers of weights."
)
ROUNDS = 7
AGAIN_S, DEPLOYED = 0.5, 2.0
"""The goals: seconds of a second build; `deploy` over it."""


def states(place: Path) -> dict[Path, tuple[int, int, int]]:
    """Return the files below a directory with what changes when one is written."""
    found = ((path, path.lstat()) for path in place.rglob("*"))
    return {path: (state.st_ino, state.st_mtime_ns, state.st_ctime_ns) for path, state in found}


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows of a second build and of `deploy`."""
    repository, rounds = folder / "models", 1 if small else ROUNDS
    build = command("build", "-f", str(EXAMPLE / "tritonrepo.yaml"), "-o", str(repository))
    deploy = command("deploy", "k8s", str(EXAMPLE), "-o", str(folder / "k8s"), "--uri", "pvc://models/rag", "--dry-run")
    deploy += ["--image-name", "registry.example/triton:1"]
    ran(build)
    before = states(repository)
    again, deployed, loop = paired(rounds, Side("build", lambda: ran(build)), Side("deploy", lambda: ran(deploy)), LOOP)
    changed = {*states(repository).items()} ^ {*before.items()}
    yield Row(
        "`build` of the example, nothing changed", min(again.wall_s), "s", AGAIN_S, sides=(again, loop), missed=START
    )
    yield Row("files that it wrote or touched", len(changed), "", 0)
    yield ratio("`deploy k8s` of the example / that", deployed, again, DEPLOYED)
