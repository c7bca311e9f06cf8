"""Values of the options of `deploy` that write manifests for Kubernetes: names, ranges, claims and addresses."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import click

from tritonrepo.cli.deploying import Matching

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAMESPACE = re.compile(LABEL)
"""Source: kubernetes.io/docs/concepts/overview/working-with-objects/names, "RFC 1123 Label Names"."""

OBJECT = re.compile(rf"{LABEL}(\.{LABEL}){{0,3}}")
"""Names of objects. Source: kubernetes.io/docs/concepts/overview/working-with-objects/names."""

VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""Values of labels. Source: kubernetes.io/docs/concepts/overview/working-with-objects/labels."""

IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]{0,254}(@sha256:[0-9a-f]{64})?")
MOST = 1000
NAMED = Matching(OBJECT, "a name of Kubernetes: letters a to z, digits and hyphens")


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
