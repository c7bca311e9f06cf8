"""The real vLLM for `serve --llm-engine vllm`: where its environment is, and what the server is told about it."""

from __future__ import annotations

from pathlib import Path

from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.vllm_environment import Environment, environment

VARIABLE = "TRITONREPO_VLLM"
VERSION = "TRITONREPO_VLLM_VERSION"


def found(named: Path | None, work: Workspace) -> Environment:
    """Return vLLM's environment; raise Stop if it is not usable."""
    return environment(directory(named, work))


def directory(named: Path | None, work: Workspace) -> Path:
    """Return where vLLM's environment is looked for: as named, else of the variable, else in the cache."""
    variable = work.environ.get(VARIABLE)
    return (named or (Path(variable) if variable else work.cache.root / "vllm")).absolute()


def settings(there: Environment) -> dict[str, str]:
    """Return the server's variables."""
    return {"TRITONREPO_VLLM_PYTHON": str(there.python), VERSION: there.version}
