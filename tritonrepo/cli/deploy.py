"""`tritonrepo deploy`: the files that run a stack or a repository on servers; each kind of server is a subcommand."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.deploy_docker import docker
from tritonrepo.cli.deploy_engines import nim, vllm
from tritonrepo.cli.deploy_k8s import k8s, kserve
from tritonrepo.cli.deploy_observe import observe
from tritonrepo.cli.deploying import Kinds

EPILOG = f"""\b
Examples:
  tritonrepo deploy docker examples/models/rag
  tritonrepo deploy k8s s3://models/prod --replicas 3
  tritonrepo deploy vllm examples/models/vllm-llama --gpu-product NVIDIA-A100-SXM4-80GB
  tritonrepo deploy observe examples/models/rag

{EXIT_CODES}"""


@click.group(cls=Kinds, short_help=COMMANDS["deploy"], epilog=EPILOG)
def command() -> None:
    """Write the files that run a stack or a repository on servers, with the reason for each value.

    The kind of server is the subcommand: docker is Triton on a GPU server with Docker; k8s and kserve are Triton on
    Kubernetes; vllm and nim serve a generator there by a server of its own. What observe writes watches all of them.
    """


for each in (docker, k8s, kserve, vllm, nim, observe):
    command.add_command(each)
