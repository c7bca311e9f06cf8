"""model_repository_agents: libraries that see a model's files before the server does.

Source of all: core, src/model_repository_manager/model_repository_manager.cc, CreateAgentModelListWithLoadAction;
src/repo_agent.cc, CreateAgent; server, build.py (what the containers hold).
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

INSTALLED = frozenset({"checksum"})
"""The agents that NVIDIA's containers have."""


@rule("repository-agents-empty", Severity.ERROR, "model_repository_agents", at=Stage.POLL.first, state=State.CRASH)
def empty(model: Model) -> Iterator[Finding]:
    """Where there is model_repository_agents, it names an agent."""
    agents = model.config.message("model_repository_agents")
    if agents is not None and not agents.messages("agents"):
        message = "model_repository_agents names no agent, which ends the whole server"
        yield Finding(agents, message, hint="Drop it.", reason="server ended: -11")


@rule(
    "repository-agent-missing",
    Severity.ERROR,
    "model_repository_agents",
    at=Stage.POLL.after("repository-agents-empty"),
)
def missing(model: Model) -> Iterator[Finding]:
    """The server has the agents that a model names."""
    agents = model.config.message("model_repository_agents")
    for item, agent in enumerate(agents.messages("agents") if agents is not None else ()):
        name = agent.text("name")
        if name not in INSTALLED:
            at = next(iter(agent.scalars("name")), agent)
            message = f'there is no agent "{name}" in the images'
            hint = f"They have {', '.join(sorted(INSTALLED))} alone. Use an image that has it, and ignore this rule."
            reason = f"unable to find 'libtritonrepoagent_{name}.so' for repo agent '{name}', searched:"
            yield Finding(at, message, hint=hint, reason=reason, item=item)
