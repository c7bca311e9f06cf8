"""Whether a container reaches the endpoints that its generators call, as far as their addresses tell."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.deploy.endpoints import endpoints
from tritonrepo.deploy.kube.around import headless
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.repository import Repository
from tritonrepo.server.hosts import itself


def calling(found: Repository, where: str, service: str = "", namespace: str = "") -> Iterator[Diagnostic]:
    """Yield a warning about each endpoint that is not where its URL leads to from a container.

    `service` is the name of Triton's own Service, "" outside of Kubernetes.
    """
    for called in endpoints(found):
        at = Span(f"{where.rstrip('/')}/{called.name}")
        host, _, rest = called.host.partition(".")
        if itself(called.host):
            message = f'in a container, {called.host} is the container itself, where "{called.name}" finds no endpoint'
            hint = "Set url of the endpoint to the address by which other machines reach it."
            yield Diagnostic("deploy-address", Severity.WARNING, at, message, hint)
        elif service and host in {service, headless(service)} and rest.partition(".")[0] in {"", namespace}:
            message = f'"{called.name}" calls the endpoint {called.host}, which is the name of Triton\'s own Service'
            hint = "Rename the stack or the Service of the endpoint."
            yield Diagnostic("deploy-endpoint", Severity.WARNING, at, message, hint)
