"""`tritonrepo deploy vllm` and `deploy nim`: the manifests that serve a generator on Kubernetes, beside Triton."""

from __future__ import annotations

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.deploying import Matching
from tritonrepo.cli.engine_options import engine_options, generated_options
from tritonrepo.cli.kubernetes import IMAGE
from tritonrepo.cli.writing import Given, Writing, writing_options
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.flows.deploy_vllm import VllmOptions, plan_vllm

VLLM_EPILOG = f"""\b
Examples:
  tritonrepo deploy vllm examples/models/rag
  tritonrepo deploy vllm examples/models/rag --vllm 0.32.0 --gpu-product NVIDIA-L40S
  tritonrepo deploy vllm model_repository --model llm --autoscale 1:4 --keda http://prometheus.monitoring:9090
  tritonrepo deploy vllm --check

{EXIT_CODES}"""


@click.command("vllm", epilog=VLLM_EPILOG, short_help="Write manifests of a vLLM server for a generator.")
@generated_options
@engine_options
@click.option(
    "--vllm",
    "version",
    metavar="VERSION",
    default="",
    help="Version of vLLM.  [default: that of the target's release, or the newest whose options are known]",
)
@click.option(
    "--image-name",
    "own_image",
    type=Matching(IMAGE, "the name of an image"),
    metavar="NAME",
    help="Image of your own with this version.  [default: vllm/vllm-openai:vVERSION]",
)
@click.option("--no-api-key", "keyless", is_flag=True, help="Answer requests without a key.")
@click.option(
    "--gpus-per-node",
    "per_node",
    type=click.IntRange(1, 64),
    metavar="N",
    default=8,
    help="GPUs of a node; an engine with more becomes a LeaderWorkerSet.",
)
@writing_options("deploy/vllm")
def vllm(
    *,
    given: Given,
    writing: Writing,
    kube: Wanted,
    model: str,
    name: str | None,
    version: str,
    own_image: str | None,
    keyless: bool,
    per_node: int,
) -> int:
    """Write kustomize manifests that serve a generator by vLLM's own server on Kubernetes.

    The base has the Deployment, with the engine arguments of the stack or of model.json as options of that version of
    vLLM, the Service and the claim for the weights; the overlays are dev and prod. Every value that is not obvious has
    its reason next to it. Values of Secrets are never written.
    """
    choices = Choices(kube._replace(image=own_image or ""), name or "", keyless, per_node, writing.again)
    wanted = VllmOptions(model, version, choices, given.repository)
    overwrite = writing.overwrite
    return writing.done(plan_vllm(given.where, writing.out, given.work, wanted, given.target, overwrite=overwrite))
