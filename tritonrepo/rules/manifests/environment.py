"""Environment variables and Secrets: values that are not what they are meant to be."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, closest
from tritonrepo.manifests.objects import Manifests, Object, find, items, pods, text
from tritonrepo.manifests.pods import listed
from tritonrepo.manifests.secrets import plain
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Items, Keys, Scalar

REFERENCE = re.compile(r"\$\(([A-Za-z_.-][A-Za-z0-9_.-]{0,200})\)|\$\$")
"""Source: Kubernetes, third_party/forked/golang/expansion/expand.go; `$$` is a dollar sign."""

GIVEN = re.compile(r"_(?:SERVICE_HOST|SERVICE_PORT|PORT)(?:_|$)|^(?:KUBERNETES|LWS|JOB_COMPLETION|JOBSET|TPU)_")
"""Variables that Kubernetes and the controllers of LeaderWorkerSets, Jobs and JobSets set themselves."""


@manifest_rule("env-name-twice", Severity.WARNING)
def name_twice(of: Object, _: Manifests) -> Iterator[Finding]:
    """A container should set an environment variable once."""
    for pod in pods(of):
        for container in pod.every:
            seen: dict[str, int] = {}
            for each in listed(container, "env", "name"):
                if each.value in seen:
                    message = f"{each.value} is set twice, and the last value counts"
                    yield Finding(each.at, message, hint=f"Remove it here or on line {seen[each.value]}.")
                seen.setdefault(each.value, each.at.line)


@manifest_rule("env-reference-undefined", Severity.WARNING)
def reference_undefined(of: Object, _: Manifests) -> Iterator[Finding]:
    """A reference to an environment variable should be to one that is set before."""
    for pod in pods(of):
        for container in pod.every:
            if find(container, "envFrom") is not None:
                continue  # what it sets is known only in the cluster
            yield from _undefined(container)


def _undefined(container: Keys) -> Iterator[Finding]:
    names: list[str] = []
    every = [each.value for each in listed(container, "env", "name")]
    for each in items(container, "env"):
        value = find(each, "value")
        if isinstance(value, Scalar):
            yield from _references(value, names, every)
        names.append(text(each, "name"))
    for key in ("command", "args"):
        found = find(container, key)
        for each in found.items if isinstance(found, Items) else ():
            if isinstance(each, Scalar):
                yield from _references(each, names, every)


def _references(value: Scalar, names: list[str], every: list[str]) -> Iterator[Finding]:
    for found in REFERENCE.finditer(value.text):
        name = found[1]
        if name and name not in names and not GIVEN.search(name) and not _in_shell(value.text):
            later = name in every
            message = f"$({name}) stays as it is, since {name} is {'set only below' if later else 'not set'}"
            hint = (
                f"Move {name} above this variable."
                if later
                else closest(name, names)
                if names
                else f"Set {name} in env."
            )
            yield Finding(value.at, message, hint=hint)


def _in_shell(typed: str) -> bool:
    """Return whether a text is more than a value: a script, in which $(…) is the output of a command."""
    return "\n" in typed or ";" in typed or "&&" in typed


@manifest_rule("secret-as-plain-value", Severity.WARNING)
def secret_as_plain_value(of: Object, _: Manifests) -> Iterator[Finding]:
    """A secret should come from a Secret."""
    for name, value in plain(of):
        message = f"{name} has a secret as its value, which everybody can read who can read this file or the pod"
        hint = "Use valueFrom with a secretKeyRef, and replace the secret, since it has been in a file."
        yield Finding(value.at, message, hint=hint)


@manifest_rule("secret-not-base64", Severity.ERROR, "Secret")
def secret_not_base64(of: Object, _: Manifests) -> Iterator[Finding]:
    """The data of a Secret must be base64."""
    data = find(of.node, "data")
    for name, (_place, value) in data.keys.items() if isinstance(data, Keys) else ():
        if isinstance(value, Scalar) and value.kind == "str" and not _is_base64(value.text):
            message = f"data.{name} is not base64, so the API server refuses the Secret"
            hint = "Encode it, or write the text as it is below stringData."
            yield Finding(value.at, message, hint=hint, reason="illegal base64 data")


def _is_base64(typed: str) -> bool:
    try:
        base64.b64decode("".join(typed.split("\n")).replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
