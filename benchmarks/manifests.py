"""Measure the lint of Kubernetes manifests: `python -m benchmarks.manifests [OBJECTS]...` (50, 800, 5000 by default).

The manifests are the example's published and repaired ones and what `deploy k8s` writes with an autoscaler, a
PodMonitor and a gateway; copies of them differ in their names, or only in their namespaces. Printed are the seconds
that YAML takes, those of the checks, and the milliseconds of the checks for each object, beside their budget. Exit
status 1 if the budget is not kept.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tritonrepo.cli import run
from tritonrepo.flows.manifest_uris import misread
from tritonrepo.manifests.objects import Manifests, Object
from tritonrepo.manifests.reading import resource
from tritonrepo.rules.manifests.judge import judge

ROOT = Path(__file__).parents[1]
COUNTS = (50, 800, 5_000)
BUDGET_MS = 1.5
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


def read(text: str) -> tuple[Object, ...]:
    """Return the objects of a text, as from several files that are each within the limit of a file."""
    found: list[Object] = []
    part: list[str] = []
    for each in text.split("\n---\n"):
        part.append(each)
        if sum(map(len, part)) > 1 << 20:
            found += resource("\n---\n".join(part).encode(), "a.yaml").objects
            part = []
    return (*found, *resource("\n---\n".join(part).encode(), "a.yaml").objects)


def measured(text: str) -> tuple[int, int, float, float]:
    """Return the objects, the findings, and the seconds of reading and of judging, the best of several rounds."""
    reading = judging = float("inf")
    objects, found = 0, 0
    for _ in range(ROUNDS):
        start = time.process_time()
        made = read(text)
        reading, start = min(reading, time.process_time() - start), time.process_time()
        among = Manifests(made)
        found = len(judge(Manifests(made, compared=misread(among))))
        judging, objects = min(judging, time.process_time() - start), len(made)
    return objects, found, reading, judging


def main() -> int:
    """Measure each number of objects in both forms."""
    counts = [int(each) for each in sys.argv[1:]] or COUNTS
    kept = True
    with tempfile.TemporaryDirectory() as there:
        of = originals(Path(there))
        for apart in (True, False):
            for count in counts:
                made = list(copies(of, count, apart=apart))
                text = yaml.dump_all(made, sort_keys=False, Dumper=yaml.CSafeDumper)
                objects, found, reading, judging = measured(text)
                each = 1000 * judging / objects
                kept = kept and each <= BUDGET_MS
                differ = "names" if apart else "namespaces"
                print(
                    f"{objects} objects, other {differ}: YAML {reading:.2f} s, checks {judging:.2f} s, {found} found;",
                    end=" ",
                )
                print(f"{each:.2f} ms an object ({BUDGET_MS})", flush=True)
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
