"""Numbers that the documents state, read from where the code has them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

from tests.conftest import EXAMPLE
from tests.documents import PAGES, ROOT
from tritonrepo import shared
from tritonrepo.bench import comparing, figures, lag, measures, prompts_made, running, sweeping, warming
from tritonrepo.bench.checks.values import EDGE, EXACT
from tritonrepo.cli import EXIT_CODES, bench_loading, bench_prompting, bench_sweep
from tritonrepo.cli.interrupts import LIMIT_S
from tritonrepo.cli.serve import command as serve
from tritonrepo.cli.serving import USUAL, patience
from tritonrepo.cli.status import PAUSE_S
from tritonrepo.cost.doubts import DAYS
from tritonrepo.deploy import room
from tritonrepo.flows import bench_compare
from tritonrepo.flows.containers import POLL_S
from tritonrepo.flows.prune import KEEP
from tritonrepo.flows.push import Servers, paced
from tritonrepo.generate.bls import THREADS
from tritonrepo.generate.steps import chatting, pipeline, reranker
from tritonrepo.indexing import metadata, texts
from tritonrepo.packaged import facts
from tritonrepo.parts import loss
from tritonrepo.parts.talking import MAX_TOKENS
from tritonrepo.releases import RELEASES, runnable
from tritonrepo.report import sarif
from tritonrepo.repository import target
from tritonrepo.server import logs
from tritonrepo.smoke import generated
from tritonrepo.smoke.meaning import AT_ONCE, LEAST_COSINE
from tritonrepo.smoke.nearness import TOLERANCE
from tritonrepo.sources import patterns, template
from tritonrepo.sources.clean import FEW
from tritonrepo.sources.encoder import LONGEST
from tritonrepo.spec import lock_text
from tritonrepo.spec.load import BYTES
from tritonrepo.spec.source import COMMIT
from tritonrepo.stores import s3
from tritonrepo.stores.walk import FOLLOWED
from tritonrepo.sync import history
from tritonrepo.sync.lock import GRACE_S, SILENT_S, VALID_S

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCAL = " ".join(PROJECT["project"]["optional-dependencies"]["local"])
HOUSE = (ROOT / "tests" / "test_house.py").read_text("utf-8")
MODELS = len(lock_text.load((EXAMPLE / "tritonrepo.lock").read_bytes(), "").models)
PRESSED = paced()
"""The pace of a push without `--settle`."""


def one(pattern: str, text: str) -> str:
    """Return the only group of the only match."""
    found = {*re.findall(pattern, text)}
    assert len(found) == 1, f"{pattern} finds {found or 'nothing'}"
    return str(found.pop())


def rules_of(page: str) -> str:
    """Return how many rules a page lists before its first table."""
    return WORDS[len(re.findall(r"^- \*\*", PAGES[page].read_text("utf-8"), re.MULTILINE))].capitalize()


NEXT = one(r"python_version < '([\d.]+)'", LOCAL)
"""The first Python that cannot serve."""

FACTS: Mapping[str, str] = {
    "sarif-version": sarif.VERSION,
    "kubernetes": f"{facts('kubernetes')['releases'][1]}",
    "request-tokens": f"{room.TYPICAL:,}",
    "kept-mib": f"{history.MOST_BYTES >> 20}",
    "longest-text": f"{LONGEST:,}",
    "metadata-bytes": f"{metadata.LARGEST:,}",
    "document-mib": f"{texts.LARGEST >> 20}",
    "keep": f"{KEEP}",
    "settle": f"{PRESSED.settle_s:g}",
    "settle-seen": f"{PRESSED.drain_s:g}",
    "timeout-push": f"{Servers(()).timeout_s:g}",
    "reloads-until": one(r"until ([\d.]+), each new file reloads", str(shared.__doc__)),
    "killed-here": f"{VALID_S + GRACE_S:g}",
    "deploy-poll": str(POLL_S),
    "killed-elsewhere": f"{SILENT_S:g}",
    "large": f"{s3.WHOLE_BYTES >> 20}",
    "models-of-the-example": WORDS[MODELS].capitalize(),
    "models-of-the-example-in-words": WORDS[MODELS],
    "release-here": runnable().name,
    "release-first-here": min(name for name, each in RELEASES.items() if each.server_wheel),
    "smoke-tolerance": str(TOLERANCE),
    "bench-edge": f"{EDGE - 1:.0%}",
    "bench-exact": f"{EXACT - 1:.0%}",
    "least-cosine": f"{LEAST_COSINE:g}",
    "least-of-precision": f"{loss.LEAST_COSINE:g}",
    "at-once": f"{AT_ONCE}",
    "kept-vectors": f"{reranker.KEPT_BYTES >> 20}",
    "watch-seconds": f"{PAUSE_S}",
    "exit-success": one(r"(\d+) +success", EXIT_CODES),
    "cost-days": str(DAYS),
    "exit-error": one(r"(\d+) +problems were found, or the operation failed", EXIT_CODES),
    "exit-fatal": one(r"(\d+) +wrong usage or unreadable input", EXIT_CODES),
    "exit-bug": one(r"(\d+) +internal error", EXIT_CODES),
    "exit-interrupted": one(r"(\d+) +interrupted", EXIT_CODES),
    "exit-terminated": one(r"(\d+) +ended by SIGTERM", EXIT_CODES),
    "interrupted-within": f"{LIMIT_S:g}",
    "exit-hung-up": one(r"\((\d+) by SIGHUP", EXIT_CODES),
    "port-http": f"{USUAL.http}",
    "port-grpc": f"{USUAL.grpc}",
    "port-metrics": f"{USUAL.metrics}",
    "gpus-by-default": f"{target().gpus}",
    "port-any": one(r"(\d+) for any free port", " ".join(str(getattr(each, "help", "")) for each in serve.params)),
    "python-first": one(r">=([\d.]+)", PROJECT["project"]["requires-python"]),
    "python-last": f"3.{int(NEXT.removeprefix('3.')) - 1}",
    "python-next": NEXT,
    "numpy-of-the-wheel": str(int(one(r"numpy>=[\d.]+,<(\d+)", LOCAL)) - 1),
    "rules-for-texts": rules_of("untrusted-texts.md"),
    "rules-for-paths": rules_of("untrusted.md"),
    "entries-through-links": f"{FOLLOWED:,}",
    "models-to-remember": str(FEW),
    "rows-made-up": f"{generated.BATCH}",
    "pattern-seconds": f"{patterns.SECONDS}",
    "trial-seconds": f"{template.CPU_S}",
    "trial-memory": f"{template.MEMORY >> 20}",
    "trial-characters": {1_000_000: "a million"}[template.LONGEST],
    "characters-of-a-log-line": f"{logs.LONGEST}",
    "digits-of-a-commit": one(r"\{(\d+)\}", COMMIT.pattern),
    "power-of-kB": f"{BYTES['KB']}",
    "power-of-KiB": f"{BYTES['KiB']}",
    "max-tokens": f"{MAX_TOKENS}",
    "retry-after-s": f"{chatting.LATER_S:g}",
    "models-to-load-s": f"{patience(None, 'ort'):g}",
    "vllm-to-load-s": f"{patience(None, 'vllm'):g}",
    "requests-of-a-pipeline": f"{THREADS}",
    "release-that-cancels": one(r"since ([\d.]+)", str(pipeline.TritonPythonModel.pieces.__doc__)),
    "lines-of-a-module": one(r"lines < (\d+)", HOUSE),
    "statements-of-a-function": one(r"statements <= (\d+)", HOUSE),
    "lines-of-a-command": one(r"splitlines\(\)\) < (\d+)", HOUSE),
    "bench-failures": f"{running.HOPELESS}",
    "bench-unreached": f"{running.GONE}",
    "bench-near": f"{warming.NEAR * 100:g}",
    "bench-window": f"{warming.LEAST}",
    "bench-windows": f"{warming.MOST}",
    "bench-block": f"{prompts_made.BLOCK}",
    "bench-p99": f"{figures.ENOUGH}",
    "bench-pulse-ms": f"{lag.EVERY_S * 1000:g}",
    "bench-bound": f"{measures.BOUND * 100:g}",
    "bench-failed": f"{measures.MOST_FAILED * 100:g}",
    "bench-gain": f"{sweeping.LEAST_GAIN * 100:g}",
    "bench-piece": f"{measures.PIECE_BYTES}",
    "bench-requests": f"{bench_loading.LEAST}",
    "bench-requests-each": f"{bench_loading.EACH}",
    "bench-words": f"{bench_prompting.USUAL}",
    "bench-compare-repeats": f"{comparing.REPEATS}",
    "bench-compare-tail": f"{comparing.TAIL}",
    "bench-compare-failed": f"{bench_compare.MORE_FAILED * 100:g}",
    "bench-ladder": f"{bench_sweep.USUAL}",
    "python-in-triton": f"3.{one('py3([0-9]+)', *PROJECT['tool']['ruff']['per-file-target-version'].values())}",
}
