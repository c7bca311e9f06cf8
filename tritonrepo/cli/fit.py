"""`tritonrepo fit`: the memory that models need on their GPUs."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import concluded, say
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.targets import aim, server_options
from tritonrepo.cli.values import allow_links, gpu_options
from tritonrepo.flows.fit import fit
from tritonrepo.llm.fitting import Fit
from tritonrepo.llm.gpus import Gpu
from tritonrepo.report import fit as report

EPILOG = f"""\b
Examples:
  tritonrepo fit examples/models/vllm-llama
  tritonrepo fit model_repository --gpu-memory 80GiB --gpus 2
  tritonrepo fit model_repository --gpu A100-80GB --format json

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["fit"])
@click.argument("path", metavar="[STACK|DIR|URI]", default="model_repository")
@gpu_options
@server_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@allow_links
def command(
    path: str,
    *,
    gpu: Gpu | None,
    gpu_memory: int | None,
    release: str | None,
    image: tuple[str, ...],
    gpus: int | None,
    form: str,
    links: tuple[Path, ...],
) -> int:
    """Show whether the models of a stack or a repository fit the memory of their GPUs, and how many sequences fit.

    For each vLLM model whose sizes are known, the table shows what its weights, activations, CUDA and CUDA graphs take
    of each GPU, and what is left for the KV cache: tokens, and sequences of max_model_len. What vLLM measures only at
    its start is a range, from start-up logs that were published. Then follows what is on each GPU in all.

    The exit code is 1 if something cannot fit. Nothing is downloaded, and no GPU is needed.
    """
    seen: Fit | None = None
    with concluded(form, lambda ends: report.document(seen, ends)):
        seen = fit(path, workspace(links), aim(release, image, gpus, gpu=gpu, memory=gpu_memory))
        if form == "text":
            say(*report.text(seen))
    return int(not seen.fits)
