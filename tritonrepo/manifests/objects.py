"""Kubernetes objects of manifest files, and how to reach what is in them; each value knows its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tritonrepo.diagnostics import Diagnostic, Span
from tritonrepo.manifests.lookup import Lookup
from tritonrepo.repository.once import Memo, once
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar

Path = str
"""Keys with dots between them, such as `spec.template.metadata`."""


def find(node: Node | None, path: Path) -> Node | None:
    """Return the value below a mapping at a path of keys; None if it does not exist or is null."""
    for key in path.split("."):
        found = node.keys.get(key) if isinstance(node, Keys) else None
        if found is None:
            return None
        node = found[1]
    return None if isinstance(node, Scalar) and node.kind == "null" else node


def text(node: Node | None, path: Path) -> str:
    """Return a single value as it is typed; "" if it does not exist or is a list or a mapping."""
    found = find(node, path)
    return found.text if isinstance(found, Scalar) else ""


def items(node: Node | None, path: Path) -> tuple[Node, ...]:
    """Return the items of a list; none if it does not exist or is no list."""
    found = find(node, path)
    return found.items if isinstance(found, Items) else ()


def mapping(node: Node | None, path: Path) -> Mapping[str, str]:
    """Return the single values of a mapping, such as labels; empty if it does not exist or is no mapping."""
    found = find(node, path)
    values = found.keys.items() if isinstance(found, Keys) else ()
    return {key: value.text for key, (_, value) in values if isinstance(value, Scalar)}


def place(node: Node, path: Path) -> Span:
    """Return where the last key of a path is written, or of the keys above it the last one that exists."""
    at = node.at
    for key in path.split("."):
        if not isinstance(node, Keys) or key not in node.keys:
            break
        at, node = node.keys[key]
    return at


@dataclass(frozen=True)
class Object:
    """An object of a manifest: one document of a file, or an item of a List; `memo` is for `once`."""

    node: Keys
    memo: Memo = field(init=False, default_factory=dict, compare=False, repr=False)

    @property
    def at(self) -> Span:
        """Where its kind is written."""
        return place(self.node, "kind")

    @cached_property
    def kind(self) -> str:
        """Its kind, such as Deployment."""
        return text(self.node, "kind")

    @cached_property
    def api(self) -> str:
        """Its apiVersion, such as apps/v1."""
        return text(self.node, "apiVersion")

    @cached_property
    def name(self) -> str:
        """Its name; "" if the server is to make one."""
        return text(self.node, "metadata.name")

    @cached_property
    def namespace(self) -> str:
        """Its namespace; "" if it has none, or that of whoever applies it."""
        return text(self.node, "metadata.namespace")

    def __str__(self) -> str:
        """Return its kind and name, as kubectl prints them."""
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True)
class Pod:
    """A pod that an object makes: `node` has its metadata and spec, and is the object itself for a Pod."""

    owner: Object
    node: Keys

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The labels of each pod."""
        return mapping(self.node, "metadata.labels")

    @cached_property
    def containers(self) -> tuple[Keys, ...]:
        """Its containers, without those that only run at the start."""
        return self._mappings("spec.containers")

    @cached_property
    def every(self) -> tuple[Keys, ...]:
        """Its containers, first those that run at the start; a sidecar is one of these, with a restartPolicy."""
        return (*self._mappings("spec.initContainers"), *self.containers)

    @cached_property
    def volumes(self) -> tuple[Keys, ...]:
        """Its volumes."""
        return self._mappings("spec.volumes")

    def _mappings(self, path: Path) -> tuple[Keys, ...]:
        return tuple(each for each in items(self.node, path) if isinstance(each, Keys))


TEMPLATES = {
    "Deployment": ("spec.template",),
    "StatefulSet": ("spec.template",),
    "DaemonSet": ("spec.template",),
    "ReplicaSet": ("spec.template",),
    "Job": ("spec.template",),
    "CronJob": ("spec.jobTemplate.spec.template",),
    "LeaderWorkerSet": ("spec.leaderWorkerTemplate.leaderTemplate", "spec.leaderWorkerTemplate.workerTemplate"),
}
"""Where the templates of pods are, by kind. Source: Kubernetes, apps/v1 and batch/v1; lws,
leaderworkerset.x-k8s.io/v1."""


@once
def pods(of: Object) -> tuple[Pod, ...]:
    """Return the pods that an object makes."""
    templates = (find(of.node, path) for path in TEMPLATES.get(of.kind, ()))
    found: Iterable[Node | None] = (of.node,) if of.kind == "Pod" else templates
    return tuple(Pod(of, each) for each in found if isinstance(each, Keys))


@dataclass(frozen=True)
class Manifests:
    """All objects that are checked together, in the order of the files.

    They are `whole` unless some of what the user named could not be read: what is not among them may be there. `memo`
    is for `once`.
    """

    objects: tuple[Object, ...]
    whole: bool = True
    compared: tuple[Diagnostic, ...] = ()
    """What a look at the repository that they serve, or at its URI, has found."""

    gpus: int | None = None
    """How many GPUs there are for all of them, None if nobody says."""

    memo: Memo = field(init=False, default_factory=dict, compare=False, repr=False)

    def of(self, *kinds: str) -> tuple[Object, ...]:
        """Return the objects of these kinds."""
        if kinds not in self._of:
            places = sorted(place for kind in kinds for place in self._kinds.get(kind))
            self._of[kinds] = tuple(self.objects[place] for place in places)
        return self._of[kinds]

    @cached_property
    def _of(self) -> dict[tuple[str, ...], tuple[Object, ...]]:
        return {}

    @cached_property
    def _kinds(self) -> Lookup[int]:
        return Lookup((each.kind, "", place) for place, each in enumerate(self.objects))

    def named(self, kind: str, name: str, namespace: str = "") -> Sequence[Object]:
        """Return the objects of a kind and a name; with a namespace, those that are in it or may be."""
        return self._named.get((kind, name), namespace)

    @cached_property
    def _named(self) -> Lookup[Object]:
        return Lookup(((each.kind, each.name), each.namespace, each) for each in self.objects)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that all objects make."""
        return tuple(pod for each in self.objects for pod in pods(each))

    @cached_property
    def kinds(self) -> frozenset[tuple[str, str]]:
        """The apiVersions and kinds of the objects."""
        return frozenset((each.api, each.kind) for each in self.objects)

    def labelled(self, name: str, value: str, namespace: str = "") -> Sequence[Pod]:
        """Return the pods that have a label; with a namespace, those that are in it or may be."""
        return self._labelled.get((name, value), namespace)

    @cached_property
    def _labelled(self) -> Lookup[Pod]:
        return Lookup((label, pod.owner.namespace, pod) for pod in self.pods for label in pod.labels.items())

    def first(self, of: Object) -> Object:
        """Return the first object of the kind, name and namespace that an object has: itself, or one before it."""
        return self._first.get(_identity(of), of)

    @cached_property
    def _first(self) -> Mapping[tuple[str, ...], Object]:
        return {_identity(each): each for each in reversed(self.objects)}


def _identity(of: Object) -> tuple[str, ...]:
    return of.api.rpartition("/")[0], of.kind, of.namespace, of.name


def objects(documents: Iterable[Keys]) -> Iterator[Object]:
    """Yield the objects of documents, and those in a List, or in a list of one kind, such as a DeploymentList."""
    for node in documents:
        found = Object(node)
        inner = [_whole(each, found) for each in items(node, "items") if isinstance(each, Keys)]
        if found.kind == "List" or (inner and found.kind.endswith("List")):
            yield from objects(inner)
        else:
            yield found


def _whole(item: Keys, of: Object) -> Keys:
    """Return an item of a list of one kind with its apiVersion and kind, which it may leave to the list.

    Source: Kubernetes, apimachinery, pkg/apis/meta/v1/unstructured/helpers.go, decodeToList.
    """
    if of.kind == "List" or text(item, "kind"):
        return item
    at = of.at
    said = {
        "apiVersion": (at, Scalar(at, of.api, "str")),
        "kind": (at, Scalar(at, of.kind.removesuffix("List"), "str")),
    }
    return Keys(item.at, said | item.keys)


def is_manifest(node: Node) -> bool:
    """Return whether a document is a Kubernetes object: it says its apiVersion and kind."""
    return bool(text(node, "apiVersion") and text(node, "kind"))
