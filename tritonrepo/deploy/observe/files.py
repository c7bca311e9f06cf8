"""The files that watch a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.deploy.manifests import text
from tritonrepo.deploy.observe import panels, rules, scraping, texts
from tritonrepo.deploy.observe.boards import boards
from tritonrepo.deploy.observe.servers import Server, groups
from tritonrepo.deploy.observe.watched import Watched
from tritonrepo.tree import File, of_text

INSTEAD = (
    "For pods without a PodMonitor: one that --pod-monitor of deploy wrote has the same job, and two scrape twice."
)


class Observed(NamedTuple):
    """What is watched: models, servers, the release of Triton, a namespace. `again` is the command that is written.

    `outside` are the models that call an endpoint which is not near, each with its host.
    """

    seen: Watched
    servers: Sequence[Server]
    release: str
    namespace: str = ""
    again: str = "tritonrepo deploy observe"
    outside: tuple[tuple[str, str], ...] = ()

    @property
    def left_out(self) -> tuple[tuple[Server, tuple[str, ...]], ...]:
        """The servers whose metrics were read and lack something, each with the alerts that it cannot have."""
        gone = ((server, {*_names(server.whole, self.seen)} - {*_names(server, self.seen)}) for server in self.servers)
        return tuple((server, tuple(sorted(names))) for server, names in gone if names)


def _names(server: Server, seen: Watched) -> Iterator[str]:
    yield from (alert.name for group in groups(server, seen) for alert in group.alerts)


def files(made: Observed) -> dict[str, File]:
    """Return path → file."""
    stack, found = made.seen.name, [group for server in made.servers for group in groups(server, made.seen)]
    written = rules.groups(stack, found)
    head = f"Written by tritonrepo for {stack}. To write it again: {made.again}"
    about = [head, *_about(made)]
    tested = [head, "promtool test rules rules-test.yaml"]
    monitors = [scraping.monitor(server, stack, made.namespace) for server in made.servers]
    shown = {server.system: server for server in made.servers}
    named = {
        rules.RULES: text([{"groups": written}], about),
        "rules-test.yaml": text([rules.tests(stack, found)], tested),
        "prometheusrule.yaml": text([scraping.rule(written, stack, made.namespace)], about),
        "podmonitor.yaml": text(monitors, [head, INSTEAD]),
        "scrape.yaml": text([scraping.config(made.servers)], [head, "One of scrape_config_files of Prometheus."]),
        "runbook.md": texts.runbook(head, found),
        "tracing.md": texts.tracing(head, stack, made.release, made.servers),
    }
    named |= {f"dashboards/{name}.json": panels.document(board) for name, board in boards(shown, made.seen).items()}
    return {path: of_text(content) for path, content in named.items()}


def _about(made: Observed) -> list[str]:
    as_ours = "as deploy docker, k8s and kserve start it"
    needed = [f"Triton must be started with {each}, {as_ours}." for each in texts.needed(made.servers)]
    lacks = ((server.job, ", ".join(names)) for server, names in made.left_out)
    return [*needed, *(f"Left out, because {job} lacks their metrics: {names}." for job, names in lacks)]
