"""model_repository_agents: libraries that see a model's files before the server does.

Source of all: core, src/model_repository_manager/model_repository_manager.cc, CreateAgentModelListWithLoadAction;
src/repo_agent.cc, CreateAgent; server, build.py (what the containers hold).
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

INSTALLED = frozenset({"checksum"})
"""The agents that NVIDIA's containers ship."""


@rule("repository-agents-empty", Severity.ERROR, "model_repository_agents", at=Stage.POLL.first, state=State.CRASH)
def empty(model: Model) -> Iterator[Finding]:
    """model_repository_agents must list at least one agent."""
    agents = model.config.message("model_repository_agents")
    if agents is not None and not agents.messages("agents"):
        message = "model_repository_agents lists no agent, which crashes the server"
        hint = "Add an agent, or remove model_repository_agents."
        fix = edited(model, *unset(model.config, "model_repository_agents"), safe=True)
        yield Finding(agents, message, hint=hint, reason="server ended: -11", fix=fix)


@rule(
    "repository-agent-missing",
    Severity.ERROR,
    "model_repository_agents",
    at=Stage.POLL.after("repository-agents-empty"),
)
def missing(model: Model) -> Iterator[Finding]:
    """A repository agent must be available in the server's image."""
    agents = model.config.message("model_repository_agents") if not model.target.own else None
    for item, agent in enumerate(agents.messages("agents") if agents is not None else ()):
        name = agent.text("name")
        if name not in INSTALLED:
            at = next(iter(agent.scalars("name")), agent)
            message = f'no Triton image has the repository agent "{name}"'
            stock = ", ".join(sorted(INSTALLED))
            hint = f"Stock images have only {stock}. If your own image has it, {model.target.says_own}."
            reason = f"unable to find 'libtritonrepoagent_{name}.so' for repo agent '{name}', searched:"
            yield Finding(at, message, hint=hint, reason=reason, item=item)
