"""`tritonrepo deploy k8s`: manifests of Kubernetes for a server with a repository."""

from __future__ import annotations

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.deploying import matching
from tritonrepo.cli.kubernetes import IMAGE
from tritonrepo.cli.manifest_options import TRITON, manifest_options
from tritonrepo.cli.writing import Given, Writing, deployed_options, writing_options
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.service import Control
from tritonrepo.flows.containers import POLL_S
from tritonrepo.flows.kubernetes import KubeOptions, plan_k8s

EPILOG = f"""\b
Examples:
  tritonrepo deploy k8s examples/models/rag --uri s3://models/rag-1 --image-name registry.example/rag:1
  tritonrepo deploy k8s s3://models/prod --namespace serving --autoscale 2:6
  tritonrepo deploy k8s s3://models/prod@7 --service-account model-reader
  tritonrepo deploy k8s model_repository --uri pvc://models/rag --check

{EXIT_CODES}"""


KSERVE = f"""\b
Examples:
  tritonrepo deploy kserve examples/models/vllm-llama --uri s3://models/llama-1 --volume adapters:/mnt/adapters
  tritonrepo deploy kserve s3://models/prod@7 --service-account model-reader --namespace serving

{EXIT_CODES}"""

PLACE = click.option("--uri", metavar="URI", help="Where pods read a stack or directory: s3://, gs:// or pvc://.")


@click.command("k8s", epilog=EPILOG, short_help="Write manifests that run Triton on Kubernetes.")
@deployed_options
@PLACE
@click.option("--immutable", is_flag=True, help="Load models once, at the start, as is usual unless a URI is deployed.")
@click.option("--pushable", is_flag=True, help="Serve what is pushed, as is usual for a URI.")
@click.option(
    "--poll",
    type=click.IntRange(1),
    metavar="SECONDS",
    help=f"Check the repository for changes every SECONDS seconds.  [default: {POLL_S}]",
)
@click.option("--explicit", is_flag=True, help="Change models only when a client requests it of each pod.")
@click.option(
    "--gateway",
    type=matching(IMAGE, "the name of an image"),
    metavar="IMAGE",
    help="Also deploy the gateway for OpenAI's API, from this image.",
)
@manifest_options(TRITON)
@writing_options("deploy/k8s")
def k8s(
    *,
    given: Given,
    writing: Writing,
    wanted: Wanted,
    uri: str | None,
    immutable: bool,
    pushable: bool,
    poll: int | None,
    explicit: bool,
    gateway: str | None,
) -> int:
    """Write manifests for Kubernetes that serve a stack or a repository, with the reason for each value.

    A directory for kustomize is written: a base, and the overlays dev, with one replica, and prod. Pods read the
    models from a bucket or a claim: a URI that is deployed itself, or the one of --uri. What is at a URI is served as
    it is pushed; URI@N is one revision, and like a stack or a directory, it is loaded once and never changes.

    secrets.example.yaml names the Secret that the pods need; its values belong nowhere else. A Dockerfile is written if
    no image has all backends. Files that were changed by hand after they were written are listed and kept.
    """
    if immutable and (pushable or poll or explicit):
        raise click.UsageError("--immutable cannot be combined with --pushable, --poll or --explicit")
    if poll and explicit:
        raise click.UsageError("--poll and --explicit cannot be combined: Triton has one model control mode")
    mode = None
    if immutable:
        mode = Control()
    elif explicit:
        mode = Control("explicit")
    elif poll or pushable:
        mode = Control("poll", poll or POLL_S)
    options = KubeOptions(wanted, uri or "", mode, given.repository, writing.again, gateway=gateway or "")
    return writing.done(
        plan_k8s(given.where, writing.out, given.work, options, given.target, overwrite=writing.overwrite)
    )


@click.command("kserve", epilog=KSERVE, short_help="Write manifests that run Triton on KServe.")
@deployed_options
@PLACE
@manifest_options(TRITON)
@writing_options("deploy/kserve")
def kserve(*, given: Given, writing: Writing, wanted: Wanted, uri: str | None) -> int:
    """Write a ServingRuntime and an InferenceService that serve a stack or a repository on KServe.

    The runtime is one of its own, with the memory, shared memory, probes and GPUs that the models need. KServe copies
    the models once, before a pod starts, so that a push changes nothing: deploy URI@N, or another --uri for each
    revision. The other files and the overlays are those of deploy k8s.
    """
    options = KubeOptions(wanted, uri or "", None, given.repository, writing.again, kserve=True)
    return writing.done(
        plan_k8s(given.where, writing.out, given.work, options, given.target, overwrite=writing.overwrite)
    )
