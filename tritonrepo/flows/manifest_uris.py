"""URIs of model repositories in manifests: whether Triton looks where they say."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Diagnostic, Stop
from tritonrepo.manifests.objects import Manifests, items, text
from tritonrepo.manifests.servers import KINDS, Server
from tritonrepo.plain import hidden
from tritonrepo.rules.serving.triton import REPOSITORY, triton
from tritonrepo.stores import LATER, gcs_uri, located, s3_uri

RULE = "manifest-repository-uri"


def misread(manifests: Manifests) -> tuple[Diagnostic, ...]:
    """Return what Triton would misread. Nothing is accessed."""
    found = (each for of in manifests.of(*KINDS) for each in triton(of))
    return tuple(diagnostic for each in found for diagnostic in _misread(each))


def _misread(each: Server) -> Iterator[Diagnostic]:
    for option in each.arguments:
        uri = option.value or ""
        scheme, remote, _ = uri.partition("://")
        if option.name not in REPOSITORY or not remote or "$" in uri or scheme in LATER:
            continue
        environment = {text(node, "name"): text(node, "value") for node in items(each.node, "env")}
        try:
            if hidden(uri) != uri:  # a password, which no message may show
                located(uri)
            elif scheme == "s3":
                s3_uri.parse(uri, environment)
            elif scheme == "gs":
                gcs_uri.parse(uri)
            else:
                located(uri)
        except Stop as stop:
            for fault in stop.diagnostics:
                yield Diagnostic(RULE, fault.severity, option.at, fault.message, fault.hint)
