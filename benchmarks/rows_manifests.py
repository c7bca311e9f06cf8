"""The rows of Kubernetes manifests: `validate` of files of them, and its checks without the reading of YAML.

The manifests are the example's published and repaired ones and what `deploy k8s` writes with an autoscaler, a
PodMonitor and a gateway; copies of them differ in their names, or only in their namespaces.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.pairs import Row, Side, paired, ratio
from tritonrepo.cli import run
from tritonrepo.flows.manifest_uris import misread
from tritonrepo.manifests.objects import Manifests
from tritonrepo.manifests.reading import resource
from tritonrepo.rules.manifests.judge import judge

ROOT = Path(__file__).parents[1]
COUNT, FEW = 800, 30
FILE = 20
"""How many objects a file has."""

READING, CHECKS_MS = 1.5, 1.5
"""The goals: over PyYAML's reading of the same files; the checks of an object."""

READ = (
    "beside the reading, which is PyYAML's, nodes are converted and counted (a seventh of its time), and checked (a "
    "fifth); what is missing is less than what the rounds of a busy machine differ."
)
ROUNDS = 3
STACK = ROOT / "examples" / "models" / "rag"
SEED = ROOT / "examples" / "models" / "seed" / "k8s"
WRITTEN = (
    "--autoscale",
    "1:4",
    "--pod-monitor",
    "--gateway",
    "registry.example/gateway:1",
    "--uri",
    "pvc://models/rag",
    "--image-name",
    "registry.example/triton:1",
)


def originals(there: Path) -> list[dict[str, Any]]:
    """Return the objects that are copied."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert run(["deploy", "k8s", str(STACK), "-o", str(there), *WRITTEN]) == 0
    files = [*sorted(SEED.glob("*/*.yaml")), *sorted(there.glob("*/**/*.yaml"))]
    found = [each for file in files for each in yaml.safe_load_all(file.read_text("utf-8"))]
    return [each for each in found if each and "metadata" in each]


def named(node: Any, names: dict[str, str]) -> Any:  # noqa: ANN401  YAML
    """Return a value with other names."""
    if isinstance(node, dict):
        return {key: named(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [named(each, names) for each in node]
    return names.get(node, node) if isinstance(node, str) else node


def copies(of: list[dict[str, Any]], count: int, *, apart: bool) -> Iterator[dict[str, Any]]:
    """Yield so many objects: the originals again and again, each time with other names or in another namespace."""
    own = {each["metadata"]["name"] for each in of}
    own.update(value for each in of for value in each["metadata"].get("labels", {}).values())
    for number in range(count):
        copy, place = divmod(number, len(of))
        made = named(of[place], {name: f"{name}-{copy}" for name in own} if apart else {})
        yield made if apart else {**made, "metadata": {**made["metadata"], "namespace": f"team-{copy}"}}


def written(made: list[dict[str, Any]], place: Path) -> list[Path]:
    """Write objects into files of a folder; return the files."""
    place.mkdir()
    files = []
    for start in range(0, len(made), FILE):
        files.append(place / f"{start}.yaml")
        text = yaml.dump_all(made[start : start + FILE], sort_keys=False, Dumper=yaml.CSafeDumper)
        files[-1].write_text(text, "utf-8")
    return files


def validated(files: list[Path], count: int) -> None:
    """Validate files as the command does, including its output, which must be about so many objects."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert run(["validate", *map(str, files), "--format", "json"]) in {0, 1}
    assert json.loads(said.getvalue())["summary"]["objects"] == count


def composed(files: list[Path]) -> None:
    """Read the files with PyYAML into nodes that know their places: what a check of only the syntax would cost."""
    for file in files:
        for _ in yaml.compose_all(file.read_text("utf-8"), yaml.SafeLoader):
            pass


def checks_ms(files: list[Path]) -> float:
    """Return the processor milliseconds that the checks of an object take, the best of several rounds."""
    objects = [each for file in files for each in resource(file.read_bytes(), str(file)).objects]
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        judge(Manifests(tuple(objects), compared=misread(Manifests(tuple(objects)))))
        taken.append(time.process_time() - start)
    return min(taken) / len(objects) * 1000


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows for copies of both kinds."""
    of, count = originals(folder / "of"), FEW if small else COUNT
    for differ in ("names", "namespaces"):
        files = written(list(copies(of, count, apart=differ == "names")), folder / differ)
        name = f"{count} objects of other {differ}"
        validate = Side("validate", partial(validated, files, count))
        ours, other = paired(ROUNDS, validate, Side("compose_all", partial(composed, files)))
        yield ratio(f"`validate` of {name} / PyYAML's `compose_all`", ours, other, READING, READ)
        yield Row(f"checks of an object, {name}", checks_ms(files), "ms", CHECKS_MS)
