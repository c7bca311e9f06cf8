"""`tritonrepo deploy observe`: rules, dashboards and scrape configs that watch a stack."""

from __future__ import annotations

import re
from dataclasses import replace

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.connecting import Reach, over_http
from tritonrepo.cli.deploying import matching
from tritonrepo.cli.kubernetes import NAMESPACE
from tritonrepo.cli.writing import Given, Writing, deployed_options, writing_options
from tritonrepo.deploy.observe.servers import System
from tritonrepo.deploy.observe.watched import Slo
from tritonrepo.flows.observe import ObserveOptions, plan_observe

EPILOG = f"""\b
Examples:
  tritonrepo deploy observe examples/models/rag
  tritonrepo deploy observe examples/models/rag --system triton --system vllm --namespace serving
  tritonrepo deploy observe model_repository --scrape http://localhost:8002/metrics
  tritonrepo deploy observe s3://models/prod --slo-ttft 1500 --slo-latency 200 --check

{EXIT_CODES}"""

JOB = re.compile(f"({'|'.join(System)})=[ -~]+")
MS = click.IntRange(1, 3_600_000)
WAIT_S = 30


@click.command("observe", epilog=EPILOG, short_help="Write alerts, dashboards and scrape configs for the servers.")
@deployed_options
@click.option(
    "--system",
    "systems",
    multiple=True,
    type=click.Choice([system.value for system in System]),
    help="Server to watch. Repeatable.  [default: triton, the engines that generators call, and those of --scrape]",
)
@click.option(
    "--scrape",
    "urls",
    multiple=True,
    metavar="URL",
    help="Metrics of a running server, which decide about the names of metrics. Repeatable.",
)
@click.option("--slo-ttft", type=MS, metavar="MS", default=2000, help="Milliseconds until the first token, at most.")
@click.option("--slo-latency", type=MS, metavar="MS", default=500, help="Milliseconds for a request to a model.")
@click.option(
    "--namespace",
    type=matching(NAMESPACE, "the name of a namespace"),
    metavar="NAME",
    help="Namespace of Kubernetes: only its servers are watched.",
)
@click.option(
    "--job",
    "jobs",
    multiple=True,
    type=matching(JOB, "of the form SYSTEM=NAME, such as triton=models"),
    metavar="SYSTEM=NAME",
    help="Job of a system in Prometheus. Repeatable.  [default: the name of the stack]",
)
@over_http
@writing_options("deploy/observe")
def observe(
    *,
    given: Given,
    writing: Writing,
    reach: Reach,
    systems: tuple[str, ...],
    urls: tuple[str, ...],
    slo_ttft: int,
    slo_latency: int,
    namespace: str | None,
    jobs: tuple[str, ...],
) -> int:
    """Write what watches the servers of a stack or a repository: alerts, dashboards, scrape configs, flags for tracing.

    rules.yaml has recording rules and alerts for Prometheus, and rules-test.yaml a test for each of them, which
    `promtool test rules` runs. prometheusrule.yaml and podmonitor.yaml are the same for the Prometheus operator, and
    scrape.yaml is for a Prometheus without it. dashboards/ is for Grafana. runbook.md says what to do about each alert,
    and tracing.md which options send traces.

    Limits come from the models: batches, instances, sequences. The names of metrics are those of the release, or those
    that --scrape finds. Files that were changed by hand after they were written are listed and kept.
    """
    wanted = ObserveOptions(
        tuple(map(System, systems)),
        namespace or "",
        {System(system): name for system, _, name in (each.partition("=") for each in jobs)},
        Slo(slo_ttft, slo_latency),
        tuple(replace(reach.endpoint(url, WAIT_S, WAIT_S), metrics=url) for url in urls),
        given.repository,
        writing.again,
    )
    overwrite = writing.overwrite
    return writing.done(plan_observe(given.where, writing.out, given.work, wanted, given.target, overwrite=overwrite))
