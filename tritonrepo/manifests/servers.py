"""Which server each container runs, by its command and image: Triton, vLLM or NIM, and what it is started with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.manifests.commands import Argument, Word, arguments, commands, is_option, words
from tritonrepo.manifests.images import Image, image
from tritonrepo.manifests.objects import Manifests, Object, Pod, find, items, pods, text
from tritonrepo.repository.once import once
from tritonrepo.spec.nodes import Items, Keys, Node

ELSEWHERE = ("InferenceService", "ServingRuntime", "ClusterServingRuntime", "LLMInferenceService")
"""Kinds whose controller adds probes, ports and volumes. Source: kserve, pkg/controller, config/llmisvcconfig."""

KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "LeaderWorkerSet", *ELSEWHERE)
"""The kinds whose pods serve. A Job may run the same images, but it ends."""

SHM, DEFAULT_SHM = "/dev/shm", 64 << 20  # noqa: S108  in the container
"""Where processes exchange tensors, and its bytes if no volume is mounted there. Source: containerd, oci/mounts.go."""

ENGINE_SHM = 1 << 30
"""Bytes of the same for each GPU of an engine. Source: vllm_backend, README.md, `--shm-size=1G`."""

SERVE_SINCE, MODULE_BEFORE = (0, 12), (0, 9)
"""The image of vLLM runs `vllm serve` since at the latest 0.12, and ran `python3 -m vllm.entrypoints.openai.api_server`
before 0.9 at least. Source: vllm-project/vllm#17172 (May 2025), start-up logs of the image of December 2025."""


class Family(StrEnum):
    """The servers that are known."""

    TRITON = "Triton"
    VLLM = "vLLM"
    NIM = "NIM"


class Form(StrEnum):
    """How a server is started."""

    SERVE = "vllm serve"
    MODULE = "vllm.entrypoints.openai.api_server"
    OTHER = ""


@dataclass(frozen=True, slots=True)
class Server:
    """A container that runs a server, in a pod; `model` is the word for it in the command line of `vllm serve`.

    `starts` is False if neither the image nor the command starts anything, which happens with images of Triton.
    """

    family: Family
    pod: Pod
    node: Keys
    image: Image
    form: Form = Form.OTHER
    model: Word | None = None
    arguments: tuple[Argument, ...] = ()
    starts: bool = True

    @property
    def name(self) -> str:
        """The name of the container."""
        return text(self.node, "name")

    @property
    def at(self) -> Span:
        """Where the container is written."""
        return self.node.keys["name"][0] if "name" in self.node.keys else self.node.at

    def __str__(self) -> str:
        """Return how messages name it."""
        return f'container "{self.name}"' if self.name else str(self.pod.owner)

    def argument(self, *names: str) -> Argument | None:
        """Return an argument by one of its names; of several, the last, which counts."""
        return next((each for each in reversed(self.arguments) if each.name in names), None)

    def value(self, *names: str) -> str:
        """Return the value of an argument; "" if it has none or is not there."""
        found = self.argument(*names)
        return (found.value or "") if found else ""

    def number(self, *names: str, default: int = 1) -> int | None:
        """Return the value of an argument as a number, the default if it is not there; None if it is no number."""
        if self.argument(*names) is None:
            return default
        value = self.value(*names)
        return int(value) if value.isascii() and value.isdecimal() and len(value) < TOO_LONG else None

    def variable(self, name: str) -> Keys | None:
        """Return an environment variable by its name."""
        for each in items(self.node, "env"):
            if isinstance(each, Keys) and text(each, "name") == name:
                return each
        return None

    @property
    def answers(self) -> bool:
        """Whether it answers requests itself, unlike the other nodes of an engine on several ones."""
        return self.argument("headless") is None

    @property
    def imports(self) -> bool:
        """Whether it takes variables from a Secret or ConfigMap as a whole, so that more may be set."""
        return bool(items(self.node, "envFrom"))

    @property
    def mounts(self) -> dict[str, str]:
        """The names of volumes by the path at which they are mounted."""
        found = [each for each in items(self.node, "volumeMounts") if isinstance(each, Keys)]
        return {text(each, "mountPath").rstrip("/"): text(each, "name") for each in found}

    def volume(self, path: str) -> tuple[str, Keys | None]:
        """Return the mounted path that holds a path, "" if none does, and its volume, None if the pod lacks it."""
        held = [each for each in self.mounts if each and f"{path.rstrip('/')}/".startswith(f"{each}/")]
        if not held:
            return "", None
        longest = max(held, key=len)
        return longest, volume(self.pod, self.mounts[longest])


TOO_LONG = 10
"""Digits of a number that nobody means."""


def volume(pod: Pod, name: str) -> Keys | None:
    """Return a volume of a pod by its name."""
    for each in items(pod.node, "spec.volumes"):
        if isinstance(each, Keys) and text(each, "name") == name:
            return each
    return None


@once
def servers(of: Object) -> tuple[Server, ...]:
    """Return the servers that the pods of an object run."""
    found = (_server(pod, container) for pod in _pods(of) for container in pod.containers)
    return tuple(each for each in found if each is not None)


@once
def running(among: Manifests) -> tuple[Server, ...]:
    """Return the servers of all objects."""
    return tuple(each for of in among.of(*KINDS) for each in servers(of))


def _pods(of: Object) -> Iterator[Pod]:
    """Yield the pods of an object, also of the kinds of KServe. Source: kserve, pkg/apis/serving."""
    if of.kind in {"ServingRuntime", "ClusterServingRuntime"}:
        yield Pod(of, of.node)
    elif of.kind == "InferenceService":
        predictor = find(of.node, "spec.predictor")
        if isinstance(predictor, Keys):
            yield Pod(of, _predictor(predictor))
    elif of.kind == "LLMInferenceService":
        template = find(of.node, "spec.template")
        if isinstance(template, Keys):
            yield Pod(of, _wrapped(template, "spec"))
    else:
        yield from pods(of)


def _predictor(predictor: Keys) -> Keys:
    """Return a predictor as a pod; its `model` is a container, with the arguments that it adds to the runtime's."""
    model = find(predictor, "model")
    if not isinstance(model, Keys) or not text(model, "image"):
        return _wrapped(predictor, "spec")
    listed: Node = Items(model.at, (model,))
    return _wrapped(Keys(predictor.at, predictor.keys | {"containers": (model.at, listed)}), "spec")


def _wrapped(node: Keys, key: str) -> Keys:
    return Keys(node.at, {key: (node.at, node)})


class Started(NamedTuple):
    """A server that a command line starts, and the words after its name."""

    family: Family
    form: Form
    rest: tuple[Word, ...]


def _server(pod: Pod, container: Keys) -> Server | None:
    named = find(container, "image")
    found = image(text(container, "image"), named.at if named else container.at)
    command, args = words(container, "command"), words(container, "args")
    lines = list(commands((*command, *args)))
    started = next((each for line in lines if (each := _started(line)) is not None), None)
    if started is None and not command:
        started = _by_image(found, args, container)
    if started is None:
        return None
    family, form, rest = started
    positional = rest[0] if form is Form.SERVE and rest and not is_option(rest[0].text) else None
    starts = family is not Family.TRITON or any(_started(line) is not None for line in lines)
    return Server(family, pod, container, found, form, positional, _named(family, rest), starts)


def _named(family: Family, rest: Sequence[Word]) -> tuple[Argument, ...]:
    """Return the arguments; vLLM takes `_` and `-` as the same in names."""
    found = arguments(rest)
    return tuple(each._replace(name=each.name.replace("_", "-")) for each in found) if family is Family.VLLM else found


def _started(line: Sequence[Word]) -> Started | None:
    for number, word in enumerate(line):
        last, after = word.text.rpartition("/")[2], line[number + 1].text if number + 1 < len(line) else ""
        if last == "tritonserver":
            return Started(Family.TRITON, Form.OTHER, tuple(line[number + 1 :]))
        if last == "vllm" and after == "serve":
            return Started(Family.VLLM, Form.SERVE, tuple(line[number + 2 :]))
        if word.text == "-m" and after.startswith("vllm.entrypoints.") and after.endswith("api_server"):
            return Started(Family.VLLM, Form.MODULE, tuple(line[number + 2 :]))
    return None


def _by_image(found: Image, args: tuple[Word, ...], container: Keys) -> Started | None:
    """Return what an image starts by itself."""
    if found.last == "tritonserver":
        return Started(Family.TRITON, Form.OTHER, args)
    if found.last.startswith("vllm-openai"):
        return Started(Family.VLLM, _form(found.version), args)
    if found.name.startswith("nvcr.io/nim/") or _is_nim(found, container):
        return Started(Family.NIM, Form.OTHER, args)
    return None


def _form(version: tuple[int, ...]) -> Form:
    if not version:
        return Form.OTHER
    return Form.SERVE if version >= SERVE_SINCE else Form.MODULE if version < MODULE_BEFORE else Form.OTHER


def _is_nim(found: Image, container: Keys) -> bool:
    """Return whether an image of a mirror is a NIM: it is below `nim/`, and its variables are those of one."""
    names = {text(each, "name") for each in items(container, "env")}
    return "nim" in found.name.split("/") and any(each.startswith(("NIM_", "NGC_")) for each in names)
