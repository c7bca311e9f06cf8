"""What the user decides about a server on Kubernetes, whatever server it is."""

from __future__ import annotations

from typing import NamedTuple


class Wanted(NamedTuple):
    """The choices of the user, each "" or empty for the default.

    `secret` is the Secret with keys and tokens, `scale` the least and most replicas, `keda` the URL of the Prometheus
    that KEDA asks, and `image_name` the name under which the cluster pulls the image. `cache` is the claim of the
    cache, and `storage_class` that of a claim for it, which is then written. `volumes` are claims, each with the path
    at which models read it, and `variables` names in the environment, whose values are in the Secret.
    """

    namespace: str = ""
    replicas: int = 2
    scale: tuple[int, int] | None = None
    keda: str = ""
    product: str = ""
    image_name: str = ""
    secret: str = ""
    account: str = ""
    pull: str = ""
    cache: str = ""
    storage_class: str = ""
    volumes: tuple[tuple[str, str], ...] = ()
    variables: tuple[str, ...] = ()
    monitor: bool = False
