"""The files of kustomize: a base with what a server is, and the overlays `dev` and `prod`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tritonrepo.deploy.kube.workload import Workload
from tritonrepo.deploy.manifests import noted, text
from tritonrepo.tree import Tree, of_text

Object = Mapping[str, object]
Objects = Sequence[Object]
NAME = "kustomization.yaml"
WRITTEN = "Written by tritonrepo deploy; base/kustomization.yaml has the command."
IMAGES = "Production. An image can be pinned here: images: [{name: …, digest: sha256:…}]"
APPLIED = "Apply an overlay, not the base: kubectl apply -k overlays/prod"
REPLICAS = "/spec/replicas"
API = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


class Layers(NamedTuple):
    """Objects by the names of their files, those that only production has, and files that are not applied.

    `kind` is the kind that has the replicas, `replicas` where they are in it, and `along` are the names of others that
    have as many. `namespace` is "" for that of kubectl. `example` are Secrets to fill in.
    """

    base: Mapping[str, Objects]
    prod: Mapping[str, Objects]
    example: Objects = ()
    namespace: str = ""
    kind: str = "Deployment"
    others: Mapping[str, str] = MappingProxyType({})
    replicas: str = REPLICAS
    along: tuple[str, ...] = ()


def by_kind(objects: Iterable[Object]) -> dict[str, Objects]:
    """Return objects by the names of their files: one for each kind, in lower case as kustomize writes it.

    Source: kustomize, kustomize/commands/build/writer.go, fileName.
    """
    found = dict[str, list[Object]]()
    for each in objects:
        found.setdefault(f"{str(each['kind']).lower()}.yaml", []).append(each)
    return {**found}


def tree(made: Workload, layers: Layers, again: str) -> Tree:
    """Return the files; `again` is the command that writes them again."""
    head = [f"Written by `{again}`.", "To change it, change the stack or the options and run that again.", APPLIED]
    files = {f"base/{name}": text(each, [WRITTEN]) for name, each in layers.base.items()}
    files |= {f"overlays/prod/{name}": text(each, [WRITTEN]) for name, each in layers.prod.items()}
    files[f"base/{NAME}"] = text([{**API, "resources": [*layers.base]}], head)
    files[f"overlays/dev/{NAME}"] = text([_dev(made, layers)], [WRITTEN, "One replica, for trying it out."])
    files[f"overlays/prod/{NAME}"] = text([_prod(made, layers)], [WRITTEN, IMAGES])
    if layers.example:
        filled = "Names of Secrets and of their keys, without values: no overlay applies this file. Create the Secrets"
        files["secrets.example.yaml"] = text(layers.example, [f"{filled} by your own means, never in version control."])
    files |= layers.others
    return {path: of_text(files[path]) for path in sorted(files)}


def _dev(made: Workload, layers: Layers) -> dict[str, object]:
    one = f"- op: replace\n  path: {layers.replicas}\n  value: 1\n"
    patches = [_patch(name, layers.kind, one) for name in (made.name, *layers.along)]
    space = f"{layers.namespace}-dev" if layers.namespace else None
    why = "Its own namespace: its objects have the names of those in production."
    return {
        **API,
        "namespace": noted(space, why) if space else None,
        "resources": ["../../base"],
        "patches": patches if made.replicas != 1 else None,
    }


def _prod(made: Workload, layers: Layers) -> dict[str, object]:
    patch = _patch(made.name, layers.kind, "- op: remove\n  path: /spec/replicas\n")
    why = "The autoscaler decides: a number here would be set again at each apply."
    return {
        **API,
        "namespace": layers.namespace or None,
        "resources": ["../../base", *layers.prod],
        "patches": [noted(patch, why)] if made.scaling and layers.replicas == REPLICAS else None,
    }


def _patch(name: str, kind: str, patch: str) -> dict[str, object]:
    return {"target": {"kind": kind, "name": name}, "patch": patch}
