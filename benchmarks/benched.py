"""`tritonrepo bench run` as a process of its own, as users start it, and what it gives."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.endpoint import INSIDE
from benchmarks.pairs import command
from benchmarks.streams import EXAMPLE
from tritonrepo import api
from tritonrepo.bench.result import Result
from tritonrepo.bench.saved import results
from tritonrepo.diagnostics import Span
from tritonrepo.sources.resolve import resolve
from tritonrepo.sources.vllm_weights import vllm_weights
from tritonrepo.spec.source import parse_source

LONGEST_S = 900


class Load(NamedTuple):
    """A closed loop; `tokens` is the exact length of each answer, None for a model that does not generate."""

    clients: int
    requests: int
    tokens: int | None = None
    warmup: int = 0

    def options(self) -> list[str]:
        """Return it as options of `bench run`."""
        found = ["--concurrency", str(self.clients), "--requests", str(self.requests)]
        if self.warmup:
            found += ["--warmup", str(self.warmup)]
        if self.tokens is not None:
            found += ["--max-tokens", str(self.tokens), "--exact", "--set", "temperature=0"]
        return found


def written(texts: Sequence[str], file: Path, key: str) -> Path:
    """Write texts as JSON lines, each under this key; return the file."""
    file.write_text("".join(json.dumps({key: text}) + "\n" for text in texts), "utf-8")
    return file


def bench(target: str, load: Load, questions: Path, *options: str) -> Result:
    """Run one load on one target and return its result; raise RuntimeError without one."""
    line = command("bench", "run", target, *load.options(), *options, "--questions", str(questions))
    said = run([*line, "--format", "json", "--quiet"], os.environ)
    return results(said, target)[0]


def run(line: Sequence[str], variables: Mapping[str, str], output: Path | None = None) -> str:
    """Run a tool to its end and return what it wrote to its output, a file or stdout.

    Raise RuntimeError, with what it said last, if that is nothing. Its exit code is not asked: a tool that found
    figures implausible has measured them all the same.
    """
    if output:
        output.unlink(missing_ok=True)
    done = subprocess.run(
        line, capture_output=True, text=True, errors="replace", timeout=LONGEST_S, check=False, env=dict(variables)
    )
    said = done.stdout if output is None else output.read_text("utf-8") if output.is_file() else ""
    if not said:
        last = (done.stdout + done.stderr).strip()[-2000:]
        raise RuntimeError(f"{' '.join(line[:6])} … exited with {done.returncode} and without a result:\n{last}")
    return said


def weights(environment: Path, work: api.Workspace) -> Path:
    """Return the directory of the weights, and the tokenizer, of the example's generator, as vLLM reads them."""
    said = yaml.safe_load((EXAMPLE / "tritonrepo.yaml").read_text("utf-8"))
    local = resolve(parse_source(said["models"][INSIDE]["local"]), "x86_64", work.cache, None, Span("")).files
    return vllm_weights(local, environment / "bin" / "python", work.cache, Span(""))
