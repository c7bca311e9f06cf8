"""What is in the containers of a pod: their ports, their names, and their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.manifests.objects import Pod, find, items, place, text
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar

DIGITS = 10
"""Fewer digits are those of an integer of 32 bits."""

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


class Listed(NamedTuple):
    """An item of a list with one of its values, and where that is written."""

    node: Keys
    value: str
    at: Span


def listed(of: Node | None, path: str, key: str) -> Iterator[Listed]:
    """Yield the items of a list that are mappings and have a key."""
    for each in items(of, path):
        if isinstance(each, Keys) and text(each, key):
            yield Listed(each, text(each, key), key_at(each, key))


def key_at(of: Keys, path: str) -> Span:
    """Return where a value is written, or the key that it lacks would be."""
    found = find(of, path)
    return found.at if isinstance(found, Scalar) else place(of, path)


def title(of: Keys) -> str:
    """Return what messages call a container."""
    return f'container "{text(of, "name")}"' if text(of, "name") else "a container"


def numbers(of: Keys) -> frozenset[str]:
    """Return the ports that a container lists."""
    return frozenset(each.value for each in listed(of, "ports", "containerPort"))


def port_names(pod: Pod) -> Mapping[str, Keys]:
    """Return the named ports of a pod."""
    return {each.value: each.node for one in pod.every for each in listed(one, "ports", "name")}


def number(of: Node | None, path: str, default: int) -> int:
    """Return an integer at a path; the default if it does not exist or is not one."""
    typed = text(of, path)
    return int(typed) if typed.removeprefix("-").isdecimal() and len(typed) < DIGITS else default


def mounts(of: Keys) -> Iterator[Listed]:
    """Yield what a container mounts, by the name of the volume."""
    yield from listed(of, "volumeMounts", "name")
    yield from listed(of, "volumeDevices", "name")


def lists(of: Keys, key: str) -> bool:
    """Return whether a key of a mapping has a list with an item."""
    found = find(of, key)
    return isinstance(found, Items) and bool(found.items)
