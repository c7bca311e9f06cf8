"""`tritonrepo deploy docker`: the files that run a repository on a server with Docker."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.deploying import control, service_options
from tritonrepo.cli.writing import Given, Writing, deployed_options, writing_options
from tritonrepo.deploy.service import Ports
from tritonrepo.flows.containers import DeployOptions
from tritonrepo.flows.deploy import plan_deploy

EPILOG = f"""\b
Examples:
  tritonrepo deploy docker examples/models/rag
  tritonrepo deploy docker model_repository -o deploy --gpu-id 2 --gpu-id 3
  tritonrepo deploy docker s3://models/prod --bind 10.0.0.5 --poll 30
  tritonrepo deploy docker --check

{EXIT_CODES}"""


@click.command("docker", epilog=EPILOG, short_help="Write a Compose file that runs Triton on a server with Docker.")
@deployed_options
@service_options
@writing_options("deploy")
def docker(
    *,
    given: Given,
    writing: Writing,
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
) -> int:
    """Write compose.yaml for a stack or a repository, with the reason for each value.

    A Dockerfile is written if no image has all backends. .env.example names the variables whose values belong in
    .env, such as the keys of a bucket. STACK is a stack file or its directory; its models are those that build would
    write into --repository. DIR and URI are those of any repository. Files that were changed by hand after they were
    written are listed and kept.
    """
    ports = Ports(bind, http_port, grpc_port, metrics_port)
    mode = control(once=once, poll=poll, explicit=explicit)
    wanted = DeployOptions(ports, gpu_ids, mode, given.repository, mounts, variables, writing.again)
    overwrite = writing.overwrite
    return writing.done(plan_deploy(given.where, writing.out, given.work, wanted, given.target, overwrite=overwrite))
