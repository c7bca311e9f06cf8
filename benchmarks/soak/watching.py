"""What `deploy observe` writes for every system, several releases, limits and names: read and tested by promtool.

`python -m benchmarks.soak.watching`; it takes about a minute of CPU time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from tests.test_observe import HOSTILE
from tritonrepo import api
from tritonrepo.deploy.observe.servers import System
from tritonrepo.repository import target

CONFIG = 'backend: "{0}"\nmax_batch_size: 4\nmodel_transaction_policy {{ decoupled: {1} }}\n'
REPORTS = 'parameters { key: "REPORT_CUSTOM_METRICS" value { string_value: "true" } }\n'
SYSTEMS = ((System.TRITON,), (System.VLLM,), (System.NIM,), tuple(System))
RELEASES = ("24.01", "24.10", "24.11", "26.08")
SLOS = (api.Slo(), api.Slo(1, 1), api.Slo(3_600_000, 3_600_000), api.Slo(333, 77))


def models(root: Path) -> None:
    """Write models whose names leave whatever does not quote them, and one for the vLLM backend."""
    for name in ("plain", "$job", "{{ .x }}", "ünï", HOSTILE.replace("/", "")):
        (root / name / "1").mkdir(parents=True)
        (root / name / "config.pbtxt").write_text(CONFIG.format("python", "false"), "utf-8")
    (root / "llm" / "1").mkdir(parents=True)
    (root / "llm" / "config.pbtxt").write_text(CONFIG.format("vllm", "true") + REPORTS, "utf-8")


def faults(root: Path, out: Path, release: str, systems: tuple[System, ...], slo: api.Slo) -> Iterator[str]:
    """Write the files, and yield what promtool says against them."""
    shutil.rmtree(out, ignore_errors=True)
    wanted = api.ObserveOptions(systems, "prod", {}, slo)

    def aim(record: api.Said, stack: api.Said) -> api.Target:
        return target(api.Said(release=release), record=record, stack=stack)

    api.apply_deploy(api.plan_observe(root, out, api.Workspace(os.environ), wanted, aim))
    for words in (
        ("check", "rules", "--lint-fatal", "rules.yaml"),
        ("check", "config", "scrape.yaml"),
        ("test", "rules", "rules-test.yaml"),
    ):
        done = subprocess.run(["promtool", *words], cwd=out, capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"{release} {systems} {slo}: {' '.join(words)}: {done.stdout[-500:]}{done.stderr[-500:]}"


def main() -> int:
    """Print the faults, and how many sets of files were tried."""
    with tempfile.TemporaryDirectory() as scratch:
        root, out = Path(scratch) / "models", Path(scratch) / "out"
        models(root)
        tried = [*zip(RELEASES, SYSTEMS, SLOS, strict=True), *product(RELEASES[-1:], SYSTEMS[-1:], SLOS[1:3])]
        found = [fault for each in tried for fault in faults(root, out, *each)]
    print(*found, f"{len(tried)} sets of files, {len(found)} faults", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
