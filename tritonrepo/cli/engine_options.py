"""Options of `deploy vllm` and `deploy nim`: whose generator it is, and what its server on Kubernetes is to be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tritonrepo.cli.deploying import VARIABLE, Matching
from tritonrepo.cli.kubernetes import MOST, NAMED, NAMESPACE, VALUE, Claim, Range, Url, manifest_options
from tritonrepo.cli.stack import stack_files, workspace
from tritonrepo.cli.targets import aim
from tritonrepo.cli.values import NAMED as PATH
from tritonrepo.cli.values import allow_links
from tritonrepo.cli.writing import Given

OPTIONS = (
    click.option("--model", metavar="NAME", default="", help="Generator to serve.  [default: the only one]"),
    click.option(
        "--name",
        type=Matching(NAMESPACE, "the name of a Service"),
        metavar="NAME",
        help="Name of the objects.  [default: the host of the stack's endpoint, or the generator's name]",
    ),
    click.option(
        "--namespace",
        type=Matching(NAMESPACE, "the name of a namespace"),
        metavar="NAME",
        help="Namespace of production; NAME-dev is that of the overlay dev.  [default: that of kubectl]",
    ),
    click.option(
        "--replicas", type=click.IntRange(1, MOST), metavar="N", default=1, help="Replicas, each with GPUs of its own."
    ),
    click.option(
        "--autoscale",
        "scale",
        type=Range(),
        metavar="MIN:MAX",
        help="Scale production between MIN and MAX replicas by the requests that wait.",
    ),
    click.option("--keda", type=Url(), metavar="URL", help="Scale by KEDA, which asks this Prometheus."),
    click.option(
        "--gpu-product",
        "product",
        type=Matching(VALUE, "the value of a label"),
        metavar="NAME",
        help="Kind of GPU, by the label nvidia.com/gpu.product of nodes.",
    ),
    click.option(
        "--secret", type=NAMED, metavar="NAME", help="Secret with keys and tokens.  [default: the name of the objects]"
    ),
    click.option("--pull-secret", "pull", type=NAMED, metavar="NAME", help="Secret with which images are pulled."),
    click.option(
        "--cache-claim",
        "cache",
        type=NAMED,
        metavar="NAME",
        help="Claim that keeps the weights.  [default: one that is written]",
    ),
    click.option(
        "--storage-class",
        type=NAMED,
        metavar="NAME",
        help="Storage class of the claim that is written.  [default: that of the cluster]",
    ),
    click.option(
        "--volume",
        "volumes",
        multiple=True,
        type=Claim(),
        metavar="CLAIM:PATH",
        help="Claim that the generator reads at a path. Repeatable.",
    ),
    click.option(
        "--env",
        "variables",
        multiple=True,
        type=Matching(VARIABLE, "the name of a variable"),
        metavar="NAME",
        help="Variable with its value in the Secret. Repeatable.",
    ),
    click.option("--pod-monitor", "monitor", is_flag=True, help="Write a PodMonitor for the Prometheus operator."),
)


def generated_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the argument and options that say whose generator it is; the command receives them as `given`."""

    @functools.wraps(command)
    def with_given(
        *args: Any,  # noqa: ANN401  click's values
        path: str | None,
        files: tuple[Path, ...],
        repository: Path,
        release: str | None,
        links: tuple[Path, ...],
        **others: Any,  # noqa: ANN401
    ) -> int:
        if path is not None and files:
            raise click.UsageError("[STACK|DIR|URI] and --file cannot be combined: name every file with --file")
        if path == "":
            raise click.UsageError("[STACK|DIR|URI] is empty")
        given = Given(files or path or ".", repository, aim(release, (), None), workspace(links))
        return command(*args, given=given, **others)

    built = click.option(
        "--repository",
        type=PATH,
        metavar="DIR",
        default=Path("model_repository"),
        help="Directory that the stack is built into.",
    )
    said = "Triton release of the stack.  [default: from the record or stack, else the newest fully known]"
    of = click.option("--release", metavar="YY.MM", help=said)
    made = stack_files(built(of(allow_links(with_given))))
    return click.argument("path", metavar="[STACK|DIR|URI]", required=False)(made)


def engine_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of servers of generators; the command receives them as `model`, `name` and `wanted`."""
    return manifest_options(command, OPTIONS)
