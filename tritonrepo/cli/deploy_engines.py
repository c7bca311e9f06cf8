"""`tritonrepo deploy vllm` and `deploy nim`: the manifests that serve a generator on Kubernetes, beside Triton."""

from __future__ import annotations

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.deploying import matching
from tritonrepo.cli.kubernetes import IMAGE, VALUE
from tritonrepo.cli.manifest_options import GENERATOR, manifest_options
from tritonrepo.cli.writing import Given, Writing, generated_options, writing_options
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.flows.deploy_nim import NimOptions, plan_nim
from tritonrepo.flows.deploy_vllm import VllmOptions, plan_vllm

VLLM_EPILOG = f"""\b
Examples:
  tritonrepo deploy vllm examples/models/rag
  tritonrepo deploy vllm examples/models/rag --vllm 0.32.0 --gpu-product NVIDIA-L40S
  tritonrepo deploy vllm model_repository --model llm --autoscale 1:4 --keda http://prometheus.monitoring:9090
  tritonrepo deploy vllm --check

{EXIT_CODES}"""

NIM_EPILOG = f"""\b
Examples:
  tritonrepo deploy nim examples/models/vllm-llama --image nvcr.io/nim/meta/llama-3.1-70b-instruct:1.12.0
  tritonrepo deploy nim examples/models/rag --image nvcr.io/nim/nvidia/model-free-nim:2.1.6 --operator
  tritonrepo deploy nim --image nvcr.io/nim/meta/llama-3.1-8b-instruct:1.12.0 --pull-secret ngc --check

{EXIT_CODES}"""

PER_NODE = click.option(
    "--gpus-per-node", "per_node", type=click.IntRange(1, 64), metavar="N", default=8, help="GPUs that a node has."
)


@click.command("vllm", epilog=VLLM_EPILOG, short_help="Write manifests that serve a generator by vLLM on Kubernetes.")
@generated_options
@manifest_options(GENERATOR)
@click.option(
    "--vllm",
    "version",
    metavar="VERSION",
    help="Version of vLLM.  [default: that of the target's release, or the newest whose options are known]",
)
@click.option(
    "--image-name",
    type=matching(IMAGE, "the name of an image"),
    metavar="NAME",
    help="Name under which the cluster pulls the image.  [default: vllm/vllm-openai:vVERSION]",
)
@click.option("--no-api-key", "keyless", is_flag=True, help="Answer requests without a key.")
@PER_NODE
@writing_options("deploy/vllm")
def vllm(
    *,
    given: Given,
    writing: Writing,
    wanted: Wanted,
    model: str | None,
    name: str | None,
    version: str | None,
    keyless: bool,
    per_node: int,
) -> int:
    """Write kustomize manifests that serve a generator by vLLM's own server on Kubernetes.

    The base has the Deployment, with the engine arguments of the stack or of model.json as options of that version of
    vLLM, the Service and the claim for the weights; the overlays are dev and prod. Every value that is not obvious has
    its reason next to it. Values of Secrets are never written. Files that were changed by hand after they were written
    are listed and kept.
    """
    choices = Choices(wanted, name or "", keyless, per_node, writing.again)
    decided = VllmOptions(model or "", version or "", choices, given.repository)
    overwrite = writing.overwrite
    return writing.done(plan_vllm(given.where, writing.out, given.work, decided, given.target, overwrite=overwrite))


@click.command(
    "nim", epilog=NIM_EPILOG, short_help="Write manifests that serve a generator by NVIDIA NIM on Kubernetes."
)
@generated_options
@manifest_options(GENERATOR)
@click.option("--image", "served_image", metavar="NAME", required=True, help="Image of NIM, with its version.")
@click.option(
    "--profile",
    type=matching(VALUE, "the ID of a profile"),
    metavar="ID",
    help="Profile, as list-model-profiles in the container names it.  [default: NIM selects one by the GPUs]",
)
@click.option("--operator", "operated", is_flag=True, help="Write a NIMCache and a NIMService for the NIM Operator.")
@PER_NODE
@writing_options("deploy/nim")
def nim(
    *,
    given: Given,
    writing: Writing,
    wanted: Wanted,
    model: str | None,
    name: str | None,
    served_image: str,
    profile: str | None,
    operated: bool,
    per_node: int,
) -> int:
    """Write kustomize manifests that serve a generator by NVIDIA NIM on Kubernetes.

    The engine arguments of the stack or of model.json are passed to NIM where its version takes them; the others are
    listed. An image with a model of its own serves that one; nvcr.io/nim/nvidia/model-free-nim serves any. The NGC key
    and the pull secret are only needed where the version needs them. Values of Secrets are never written. Files that
    were changed by hand after they were written are listed and kept.
    """
    if operated and (wanted.keda or wanted.volumes):
        raise click.UsageError("--operator cannot be combined with --keda or --volume: a NIMService takes neither")
    choices = Choices(wanted, name or "", per_node=per_node, again=writing.again)
    decided = NimOptions(served_image, model or "", profile or "", operated, choices, given.repository)
    overwrite = writing.overwrite
    return writing.done(plan_nim(given.where, writing.out, given.work, decided, given.target, overwrite=overwrite))
