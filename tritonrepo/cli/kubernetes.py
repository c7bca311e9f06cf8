"""Options of the subcommands of `deploy` that write manifests for Kubernetes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import click

from tritonrepo.cli.deploying import VARIABLE, Matching
from tritonrepo.deploy.kube.wanted import Wanted

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAMESPACE = re.compile(LABEL)
OBJECT = re.compile(rf"{LABEL}(\.{LABEL}){{0,3}}")
"""Names of objects. Source: kubernetes.io/docs/concepts/overview/working-with-objects/names."""

VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""Values of labels. Source: kubernetes.io/docs/concepts/overview/working-with-objects/labels."""

IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]{0,254}(@sha256:[0-9a-f]{64})?")
MOST = 1000
NAMED = Matching(OBJECT, "a name of Kubernetes: letters a to z, digits and hyphens")


Added = Callable[[Callable[..., int]], Callable[..., int]]
"""What adds an option to a command."""


class Range(click.ParamType[str]):
    """Least and most replicas."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401  click's signature
        """Return the range as it is typed; raise a usage error if it is none, or in the wrong order."""
        found = re.fullmatch(r"([0-9]{1,4}):([0-9]{1,4})", value)
        least, most = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= least <= most <= MOST:
            self.fail(f'"{value}" is not a range of replicas, such as 1:4.', param, ctx)
        return str(value)


class Claim(click.ParamType[str]):
    """A claim, and the path at which a container has it."""

    name = "claim"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401  click's signature
        """Return the claim and the path as they are typed; raise a usage error for anything else."""
        claim, _, path = value.partition(":")
        if not OBJECT.fullmatch(claim) or not re.fullmatch(r"(/[^/\0:]+)+", path) or {"..", "."} & {*path.split("/")}:
            self.fail(f'"{value}" is not CLAIM:PATH, such as adapters:/mnt/adapters.', param, ctx)
        return str(value)


class Url(click.ParamType[str]):
    """URL of a server."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401  click's signature
        """Return the URL; raise a usage error for anything else, or for one with a password."""
        try:
            found = urlsplit(value)
            fits = found.scheme in {"http", "https"} and bool(found.hostname) and "@" not in found.netloc
            fits = fits and found.port != 0 and value.isprintable() and " " not in value
        except ValueError:
            fits = False
        if not fits:
            self.fail(f'"{value}" is not the URL of a server, such as http://prometheus:9090.', param, ctx)
        return str(value)


def manifest_options(command: Callable[..., int], options: Sequence[Added] = ()) -> Callable[..., int]:
    """Add options of a server on Kubernetes, those of Triton if none are named; the command gets them as `wanted`."""

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
    for option in reversed(options or OPTIONS):
        made = option(made)
    return made


OPTIONS = (
    click.option(
        "--namespace",
        type=Matching(NAMESPACE, "the name of a namespace"),
        metavar="NAME",
        help="Namespace of production; NAME-dev is that of the overlay dev.  [default: that of kubectl]",
    ),
    click.option(
        "--replicas", type=click.IntRange(1, MOST), metavar="N", default=2, help="Pods, each with GPUs of its own."
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
        "--image-name",
        type=Matching(IMAGE, "the name of an image"),
        metavar="NAME",
        help="Image in a registry of your own, built from the Dockerfile or copied.",
    ),
    click.option(
        "--secret", type=NAMED, metavar="NAME", help="Secret with keys and tokens.  [default: the stack's name]"
    ),
    click.option(
        "--service-account",
        "account",
        type=NAMED,
        metavar="NAME",
        help="Service account with a role that reads the bucket, in place of keys.",
    ),
    click.option("--pull-secret", "pull", type=NAMED, metavar="NAME", help="Secret with which images are pulled."),
    click.option(
        "--cache-claim", "cache", type=NAMED, metavar="NAME", help="Claim that keeps what is fetched from the Hub."
    ),
    click.option(
        "--storage-class",
        type=NAMED,
        metavar="NAME",
        help="Storage class of a claim for the same, which is written.  [default: pods fetch it again]",
    ),
    click.option(
        "--volume",
        "volumes",
        multiple=True,
        type=Claim(),
        metavar="CLAIM:PATH",
        help="Claim that models read at a path. Repeatable.",
    ),
    click.option(
        "--env",
        "variables",
        multiple=True,
        type=Matching(VARIABLE, "the name of a variable"),
        metavar="NAME",
        help="Variable that models read, with its value in the Secret. Repeatable.",
    ),
    click.option("--pod-monitor", "monitor", is_flag=True, help="Write a PodMonitor for the Prometheus operator."),
)
