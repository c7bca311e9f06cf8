"""`tritonrepo plan`: the replicas, GPUs and cost that a peak load needs."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from tritonrepo.bench.figures import Slo
from tritonrepo.bench.planning import Asked, Plan
from tritonrepo.bench.rates import Rate
from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import concluded, document, say
from tritonrepo.cli.plan_options import checked, plan_options
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.targets import aim, server_options
from tritonrepo.cli.values import allow_links, gpu_options
from tritonrepo.flows.paths import DEFAULT
from tritonrepo.flows.plan import Given, plan
from tritonrepo.flows.plan_costs import prices
from tritonrepo.flows.plan_gpus import Lengths
from tritonrepo.llm.gpus import Gpu
from tritonrepo.report import capacity as report
from tritonrepo.report import capacity_data

EPILOG = f"""\b
Examples:
  tritonrepo plan examples/models/vllm-llama --peak 12/s --slo ttft=500,itl=50
  tritonrepo plan --peak 12/s --slo ttft=0.5s --bench result.json
  tritonrepo plan --peak 700/min --slo latency=2s --share 99 --bench result.json --format json
  tritonrepo plan --peak 12/s --mean 3/s --slo ttft=500 --bench result.json --cost cost.yaml

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["plan"])
@click.argument("path", metavar="[STACK|DIR|URI]", default=DEFAULT)
@plan_options
@gpu_options
@server_options
@click.option(
    "--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", help="Output format."
)
@allow_links
def command(
    path: str,
    *,
    peak: Rate,
    slo: Slo,
    share: float,
    spare: int,
    mean: Rate | None,
    results: tuple[Path, ...],
    target: str,
    input_tokens: int | None,
    output_tokens: int | None,
    cost: Path | None,
    option: str,
    accept_mismatch: bool,
    gpu: Gpu | None,
    gpu_memory: int | None,
    release: str | None,
    image: tuple[str, ...],
    gpus: int | None,
    form: str,
    links: tuple[Path, ...],
) -> int:
    """Compute how many replicas of a stack or a repository a peak load needs within an SLO, and how many GPUs.

    The path defaults to tritonrepo.yaml.

    The rate that a replica bears is taken from results of `tritonrepo bench`: the highest at which the SLO was kept, or
    what follows between two measured loads, and never more than was measured. What the KV cache holds is a second
    bound. The answer comes first, then every number with its arithmetic, what is assumed, and what was not measured.
    Without a result, the command shows what memory says and the command that measures.

    The exit code is 1 if the SLO cannot be kept, or if a model does not fit its GPUs.
    """
    checked(peak, mean)
    asked = Asked(peak, slo, share / 100, spare, mean)
    lengths = Lengths(input_tokens, output_tokens)
    seen: Plan | None = None
    with concluded("json" if form == "json" else "text", lambda ends: capacity_data.document(seen, ends)):
        today = datetime.datetime.now(datetime.UTC).date()
        costs = prices(cost, option, today) if cost is not None else None
        given = Given(results, target, lengths, costs, accept_mismatch)
        seen = plan(path, asked, given, workspace(links), aim(release, image, gpus, gpu=gpu, memory=gpu_memory))
        if form == "text":
            say(*report.text(seen))
        elif form == "markdown":
            document(capacity_data.markdown(seen))
    return int(not seen.met)
