"""`tritonrepo deploy docker`: the files that run a repository on a server with Docker."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.deploying import Kinds, again, control, service_options
from tritonrepo.cli.output import colour, painted, say
from tritonrepo.cli.stack import stack_files, workspace
from tritonrepo.cli.targets import aim, server_options
from tritonrepo.cli.values import NAMED, allow_links
from tritonrepo.deploy.service import Ports
from tritonrepo.flows.containers import DeployOptions
from tritonrepo.flows.deploy import Deployment, apply_deploy, plan_deploy
from tritonrepo.report import diff as differences
from tritonrepo.report import plan as report

EPILOG = f"""\b
Examples:
  tritonrepo deploy docker examples/models/rag
  tritonrepo deploy docker model_repository -o deploy --gpu-id 2 --gpu-id 3
  tritonrepo deploy docker s3://models/prod --bind 10.0.0.5 --poll 30
  tritonrepo deploy docker --check

{EXIT_CODES}"""


@click.group(cls=Kinds, short_help=COMMANDS["deploy"], epilog=EPILOG)
def command() -> None:
    """Write the files that run a stack or a repository on a GPU server.

    The kind of server is the subcommand: `docker` writes a Compose file.
    """


@command.command("docker", epilog=EPILOG, short_help="Write a Compose file, and a Dockerfile if the image is built.")
@click.argument("path", metavar="[STACK|DIR|URI]", required=False)
@stack_files
@click.option("-o", "--output", "out", type=NAMED, default=Path("deploy"), help="Directory of the files.")
@click.option(
    "--repository",
    type=NAMED,
    metavar="DIR",
    default=Path("model_repository"),
    help="Directory that the stack is built into.",
)
@server_options
@service_options
@click.option("--dry-run", is_flag=True, help="Print the plan without writing anything.")
@click.option("--diff", is_flag=True, help="Also print what changes in each file.")
@click.option("--check", is_flag=True, help="Write nothing, and exit 1 if anything would change.")
@click.option("--overwrite", is_flag=True, help="Replace files that were changed by hand after they were written.")
@allow_links
@click.pass_context
def docker(
    ctx: click.Context,
    path: str | None,
    *,
    files: tuple[Path, ...],
    out: Path,
    repository: Path,
    release: str | None,
    image: tuple[str, ...],
    gpus: int | None,
    gpu_ids: tuple[str, ...],
    bind: str,
    http_port: int,
    grpc_port: int,
    metrics_port: int,
    once: bool,
    poll: int | None,
    explicit: bool,
    mounts: tuple[Path, ...],
    variables: tuple[str, ...],
    dry_run: bool,
    diff: bool,
    check: bool,
    overwrite: bool,
    links: tuple[Path, ...],
) -> int:
    """Write compose.yaml for a stack or a repository, with the reason for each value.

    A Dockerfile is written if no image has all backends. .env.example names the variables whose values belong in
    .env, such as the keys of a bucket. STACK is a stack file or its directory; its models are those that build would
    write into --repository. DIR and URI are those of any repository. Files that were changed by hand after they were
    written are listed and kept.
    """
    if path is not None and files:
        raise click.UsageError("[STACK|DIR|URI] and --file cannot be combined: name every file with --file")
    if path == "":
        raise click.UsageError("[STACK|DIR|URI] is empty")
    ports = Ports(bind, http_port, grpc_port, metrics_port)
    mode = control(once=once, poll=poll, explicit=explicit)
    wanted = DeployOptions(ports, gpu_ids, mode, repository, mounts, variables, again(ctx))
    target = aim(release, image, gpus)
    deployment = plan_deploy(files or path or ".", out, workspace(links), wanted, target, overwrite=overwrite)
    _planned(deployment, diff=diff)
    if not (check or dry_run):
        apply_deploy(deployment)
    return int(check and bool(deployment.plan or deployment.plan.kept))


def _planned(deployment: Deployment, *, diff: bool) -> None:
    """Print the plan and its warnings."""
    out, plan = str(deployment.out), deployment.plan
    for diagnostic in deployment.warnings:
        say(*diagnostic.lines, err=True)
    say(*report.lines(plan.actions, out, plan.kept).split("\n"))
    if diff:
        colours = colour(sys.stdout)
        painted(differences.lines(plan.actions, deployment.have, out, colour=colours), colours=colours)
