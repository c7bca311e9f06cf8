"""What the user decides about a server of a generator, and what is the same whichever software it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.deploy import engine_needs
from tritonrepo.deploy.engine_needs import SERVER_S, UNKNOWN_VOLUME
from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.kube import pods
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.kube.workload import Placing, Reach, Scaling, Signal, Volume
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.room import Room, rows, sentence
from tritonrepo.deploy.sums import GIB, MIB, Sum, Term
from tritonrepo.plain import inline
from tritonrepo.server.catalogue import catalogue

WAITING = 5
"""Waiting requests that a replica takes before another one is started."""


class Choices(NamedTuple):
    """What the user decides besides what is the same for every server on Kubernetes, which is `kube`.

    `name` is that of the objects, "" for one from the stack. `keyless` means that requests need no API key. `per_node`
    are the GPUs of a node, and `again` is the command that is written down.
    """

    kube: Wanted = Wanted(replicas=1)
    name: str = ""
    keyless: bool = False
    per_node: int = 8
    again: str = ""

    def placing(self, user: int = 1000, group: int = 1000) -> Placing:
        """Return where pods run and as whom."""
        pull = (self.kube.pull,) if self.kube.pull else ()
        return Placing(self.kube.product, "", self.kube.account, pull, user, group)

    def pulling(self, secret: str) -> Choices:
        """Return the choices with a Secret for pulling images, unless the user has named one."""
        return self if self.kube.pull else self._replace(kube=self.kube._replace(pull=secret))


def environment(pairs: Mapping[str, tuple[object, str]]) -> list[object]:
    """Return variables with plain values, each with its reason."""
    return [_reasoned({"name": name, "value": value}, why) for name, (value, why) in pairs.items()]


def secret(name: str, of: str, key: str, why: str, *, optional: bool = False) -> object:
    """Return a variable whose value is that of a Secret."""
    reference = {"name": of, "key": key, "optional": True if optional else None}
    return _reasoned({"name": name, "valueFrom": {"secretKeyRef": reference}}, why)


def _reasoned(value: Mapping[str, object], why: str) -> object:
    return noted(value, why) if why else value


def start(one: Generator) -> Sum:
    """Return the seconds until it serves, twice as many as the steps need."""
    return Sum((Term(SERVER_S, "CUDA and the server itself"), *engine_needs.loading(one)), 60, 2)


def memory(one: Generator, gpus: int) -> Sum:
    """Return the bytes of memory of a pod, without shared memory."""
    return Sum(tuple(engine_needs.memory(one, gpus)), GIB)


def cores(one: Generator, gpus: int) -> Sum:
    """Return the cores of a pod."""
    return Sum(tuple(engine_needs.cores(one, gpus)), 1)


def holds(found: Room) -> tuple[str, tuple[str, ...]]:
    """Return what the GPUs of a pod hold, for the comment above their number."""
    return sentence(found), tuple(rows(found))


def shared(one: Generator, gpus: int) -> Sum:
    """Return the bytes of /dev/shm."""
    return Sum((engine_needs.shared(one, gpus),), 64 * MIB)


def weights(one: Generator) -> Sum:
    """Return the bytes of the volume with the weights."""
    if one.size is None:
        return Sum(
            (Term(UNKNOWN_VOLUME, f"weights of {inline(one.source)}, whose size is not known: change this"),), GIB
        )
    room = Term(one.size // 4 + 10 * GIB, "room: adapters, another revision beside it")
    return Sum((Term(one.size, f"weights of {inline(one.source)}"), room), GIB)


def scaling(one: Generator, choices: Choices, exposer: str) -> Scaling | None:
    """Return how replicas are counted: by the requests that wait. None if their number is fixed."""
    scale = choices.kube.scale
    if scale is None:
        return None
    name = next(each for each in catalogue()["requests_waiting"].names if each.exposer == exposer)
    label = one.served.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    query = f'sum({name.name}{{{name.labels["model"]}="{label}"}})'
    why = "Requests that wait in the engine. The label of the model is model_name: one without it never matches."
    return Scaling(*scale, (Signal(name.name, query, WAITING, why),), choices.kube.keda)


def reaches(one: Generator) -> tuple[Reach, ...]:
    """Return what its pods connect to."""
    return downloads("The Hugging Face Hub, for the weights.") if one.from_hub else ()


def downloads(why: str) -> tuple[Reach, ...]:
    """Return what pods connect to that download."""
    return (Reach(443, why),)


def own_volumes(choices: Choices) -> Iterator[Volume]:
    """Yield the claims that the user names, which are only read."""
    for number, (name, path) in enumerate(choices.kube.volumes, 1):
        yield pods.claim(f"read-{number}", path, name, "What the generator reads by its path.", read_only=True)


def own_variables(choices: Choices, keys: str) -> Iterator[object]:
    """Yield the variables that the user names, whose values are in the Secret."""
    yield from (secret(name, keys, name, "") for name in choices.kube.variables)
