"""Values that are secrets: what must not be in a manifest, and must not be printed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.manifests.objects import Object, find, items, pods, text
from tritonrepo.spec.nodes import Keys, Node, Scalar

NAMES = re.compile(
    r"(?:^|_)(?:TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|CREDENTIALS?|AUTH)$"
    r"|^(?:HF|HUGGING_FACE_HUB|NGC|NVIDIA|OPENAI|AWS|AZURE|GITHUB|WANDB)_(?=\w*(?:TOKEN|KEY|SECRET))\w*$",
    re.IGNORECASE,
)
KNOWN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|nvapi-[\w-]{20,}|sk-[\w-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16})\b"
)
"""How keys of well-known services look."""

PATHS = ("/", ".", "$")
"""How a value begins that is the path of a file, or the name of another variable, not a secret itself."""

PLACEHOLDER = re.compile(
    r"^<|^(?:your|changeme|change-me|replace|xxx|todo|example|dummy|placeholder)|^(?:hf_|nvapi-)[\w-]{0,19}$",
    re.IGNORECASE,
)
"""What stands in examples in place of a secret; keys that begin like the last ones are longer."""

DATA = ("data", "stringData")


def env(of: Object) -> Iterator[Keys]:
    """Yield the variables of all containers of an object, and those of a NIMService."""
    if of.kind == "NIMService":
        yield from (each for each in items(of.node, "spec.env") if isinstance(each, Keys))
    for pod in pods(of):
        for container in pod.every:
            yield from (each for each in items(container, "env") if isinstance(each, Keys))


def plain(of: Object) -> Iterator[tuple[str, Scalar]]:
    """Yield the variables, and the arguments, that have a secret as their value, with what they are called."""
    for each in env(of):
        name, value = text(each, "name"), find(each, "value")
        if isinstance(value, Scalar) and _is_secret(name, value.text):
            yield name, value
    for pod in pods(of):
        for container in pod.every:
            for word in (*items(container, "args"), *items(container, "command")):
                if isinstance(word, Scalar) and KNOWN.search(word.text):
                    yield "an argument", word


def _is_secret(name: str, value: str) -> bool:
    named = NAMES.search(name) is not None and bool(value) and not value.startswith(PATHS)
    named = named and value.upper() != name.upper() and not PLACEHOLDER.search(value)
    return (named and value.lower() not in {"true", "false", "none"} and not value.isdecimal()) or bool(
        KNOWN.search(value)
    )


def hidden(of: Object) -> Iterator[Scalar]:
    """Yield what of an object is not to be printed: also what a Secret holds."""
    yield from (value for _, value in plain(of))
    for key in DATA if of.kind == "Secret" else ():
        found = find(of.node, key)
        yield from _values(found)


def _values(node: Node | None) -> Iterator[Scalar]:
    for _, value in node.keys.values() if isinstance(node, Keys) else ():
        if isinstance(value, Scalar) and value.text:
            yield value
