"""Options that say what a server on Kubernetes is to be: Triton, or the server of a generator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from tritonrepo.cli.deploying import matching, variables
from tritonrepo.cli.kubernetes import CLAIM, IMAGE, MOST, NAMED, NAMESPACE, RANGE, URL, VALUE
from tritonrepo.deploy.kube.wanted import Wanted

Added = Callable[[Callable[..., int]], Callable[..., int]]
"""What adds an option to a command."""

SPACE = click.option(
    "--namespace",
    type=matching(NAMESPACE, "the name of a namespace"),
    metavar="NAME",
    help="Namespace of production; NAME-dev is that of the overlay dev.  [default: that of kubectl]",
)
SCALED = (
    click.option(
        "--autoscale",
        "scale",
        type=RANGE,
        metavar="MIN:MAX",
        help="Scale production between MIN and MAX replicas by the requests that wait.",
    ),
    click.option("--keda", type=URL, metavar="URL", help="Scale by KEDA, which asks this Prometheus."),
    click.option(
        "--gpu-product",
        "product",
        type=matching(VALUE, "the value of a label"),
        metavar="NAME",
        help="Kind of GPU, by the label nvidia.com/gpu.product of nodes.",
    ),
)
SECRET = click.option(
    "--secret", type=NAMED, metavar="NAME", help="Secret with keys and tokens.  [default: the name of the objects]"
)
PULLED = click.option("--pull-secret", "pull", type=NAMED, metavar="NAME", help="Secret with which images are pulled.")
READ = (
    click.option(
        "--volume",
        "volumes",
        multiple=True,
        type=CLAIM,
        metavar="CLAIM:PATH",
        help="Claim that the server reads at a path. Repeatable.",
    ),
    variables("the Secret"),
)
MONITOR = click.option("--pod-monitor", "monitor", is_flag=True, help="Write a PodMonitor for the Prometheus operator.")


def _replicas(default: int) -> Added:
    said = "Replicas in production, each with GPUs of its own."
    return click.option("--replicas", type=click.IntRange(1, MOST), metavar="N", default=default, help=said)


def _weights(claim: str, storage: str) -> tuple[Added, Added]:
    """Return the options for the claim that keeps weights, with what each of them is by default."""
    kept = f"Existing claim that keeps downloaded weights.  [default: {claim}]"
    of = f"Storage class of a claim that is written to keep downloaded weights.  [default: {storage}]"
    return (
        click.option("--cache-claim", "cache", type=NAMED, metavar="NAME", help=kept),
        click.option("--storage-class", type=NAMED, metavar="NAME", help=of),
    )


TRITON = (
    *(SPACE, _replicas(2), *SCALED),
    click.option(
        "--image-name",
        type=matching(IMAGE, "the name of an image"),
        metavar="NAME",
        help="Name under which the cluster pulls the image: built from the Dockerfile, or copied.",
    ),
    SECRET,
    click.option(
        "--service-account",
        "account",
        type=NAMED,
        metavar="NAME",
        help="Service account with a role that reads the bucket, in place of keys.",
    ),
    *(PULLED, *_weights("none", "none is written"), *READ, MONITOR),
)
GENERATOR = (
    click.option("--model", metavar="NAME", help="Generator to serve.  [default: the only one]"),
    click.option(
        "--name",
        type=matching(NAMESPACE, "the name of a Service"),
        metavar="NAME",
        help="Name of the objects.  [default: the host of the stack's endpoint, or the generator's name]",
    ),
    *(SPACE, _replicas(1), *SCALED),
    *(SECRET, PULLED, *_weights("one that is written", "that of the cluster"), *READ, MONITOR),
)


def manifest_options(options: Sequence[Added]) -> Added:
    """Return what adds options of a server on Kubernetes; the command receives most of them as `wanted`."""

    def decorated(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def with_wanted(
            *args: Any,  # noqa: ANN401  click's values
            scale: str | None,
            volumes: tuple[str, ...],
            **others: Any,  # noqa: ANN401
        ) -> int:
            said = {name: others.pop(name) for name in Wanted._fields if name in others}
            wanted = Wanted(**{name: value for name, value in said.items() if value is not None})
            if wanted.keda and not scale:
                raise click.UsageError("--keda needs --autoscale MIN:MAX")
            if wanted.cache and wanted.storage_class:
                raise click.UsageError("--cache-claim names a claim that exists, so it has its storage class")
            least, _, most = (scale or "").partition(":")
            claims = [each.partition(":") for each in volumes]
            wanted = wanted._replace(volumes=tuple((claim, path) for claim, _, path in claims))
            return command(*args, wanted=wanted._replace(scale=(int(least), int(most)) if scale else None), **others)

        made: Callable[..., int] = with_wanted
        for option in reversed(options):
            made = option(made)
        return made

    return decorated
