"""Values of the options of `deploy` that write manifests for Kubernetes: names, ranges, claims and addresses."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tritonrepo.cli.deploying import matching
from tritonrepo.cli.values import Form

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAMESPACE = re.compile(LABEL)
"""Source: kubernetes.io/docs/concepts/overview/working-with-objects/names, "RFC 1123 Label Names"."""

OBJECT = re.compile(rf"{LABEL}(\.{LABEL}){{0,3}}")
"""Names of objects. Source: kubernetes.io/docs/concepts/overview/working-with-objects/names."""

VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""Values of labels. Source: kubernetes.io/docs/concepts/overview/working-with-objects/labels."""

IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]{0,254}(@sha256:[0-9a-f]{64})?")
MOST = 1000
NAMED = matching(OBJECT, "a name of Kubernetes: letters a to z, digits and hyphens")


def _range(text: str) -> str:
    """Return a range of replicas as it is typed."""
    found = re.fullmatch(r"([0-9]{1,4}):([0-9]{1,4})", text)
    least, most = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= least <= most <= MOST:
        raise ValueError(f'"{text}" is not a range of replicas, such as 1:4')
    return text


def _claim(text: str) -> str:
    """Return a claim, and the path at which a container has it, as they are typed."""
    claim, _, path = text.partition(":")
    if not OBJECT.fullmatch(claim) or not re.fullmatch(r"(/[^/\0:]+)+", path) or {"..", "."} & {*path.split("/")}:
        raise ValueError(f'"{text}" is not CLAIM:PATH, such as adapters:/mnt/adapters')
    return text


def _url(text: str) -> str:
    """Return the URL of a server as it is typed; one with a password is none."""
    try:
        found = urlsplit(text)
        fits = found.scheme in {"http", "https"} and bool(found.hostname) and "@" not in found.netloc
        fits = fits and found.port != 0 and text.isprintable() and " " not in text
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f'"{text}" is not the URL of a server, such as http://prometheus:9090')
    return text


RANGE = Form("range", _range)
CLAIM = Form("claim", _claim)
URL = Form("url", _url)
