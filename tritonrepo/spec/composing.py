"""PyYAML as it composes the nodes of stack files, by YAML 1.2, and of Kubernetes manifests, as kubectl reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

REMOVE = "!remove"


class Many(yaml.MarkedYAMLError):
    """More keys and values than a file can have."""


class Loader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema of YAML 1.2, not of 1.1; counts keys and values as it reads them."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML reads it there

    def __init__(self, text: str, most: int) -> None:
        super().__init__(text)
        self.left = most

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401  PyYAML has no types
        """Return the next node; raise Many if there are too many."""
        self.left -= 1
        if self.left < 0:
            raise Many(problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def scan_tag(self) -> Any:  # noqa: ANN401
        """Return the token of a tag; `}`, `]` and `,` end ours, as in YAML 1.2 (5.6), where PyYAML wants a space."""
        if self.prefix(len(REMOVE)) != REMOVE or self.peek(len(REMOVE)) not in ",]}":
            return super().scan_tag()
        start = self.get_mark()
        self.forward(len(REMOVE))
        return yaml.TagToken(("!", REMOVE[1:]), start, self.get_mark())


BEFORE = yaml.StreamStartToken, yaml.DirectiveToken, yaml.DocumentStartToken, yaml.BlockMappingStartToken
"""Tokens of what is before the first key."""

KINDS = (
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]),
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), [*"~nN", ""]),
    ("int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), [*"-+0123456789"]),
    ("float", re.compile(r"^(?:[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)$"), [*"-+.0123456789"]),
)
"""Kinds of plain scalars besides str, with their patterns and first characters (YAML 1.2, 10.3.2)."""

for _kind, _pattern, _first in KINDS:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, _first)


class KubectlLoader(Loader):
    """Resolves plain scalars as kubectl does: `yes` and `on` are bool, and `0755` and `0b1` are int."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML reads it there


KUBECTL_KINDS = (
    ("bool", re.compile(r"^(?:[yY]|yes|Yes|YES|on|On|ON|[nN]|no|No|NO|off|Off|OFF)$"), [*"yYnNoO"]),
    ("int", re.compile(r"^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$"), [*"-+0123456789"]),
    ("float", re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"), [*"-+."]),
)
"""Kinds beyond those of YAML 1.2. Source: sigs.k8s.io/yaml, goyaml.v2/resolve.go."""

for _kind, _pattern, _first in (*KINDS, *KUBECTL_KINDS):
    KubectlLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, _first)


def is_text(text: str) -> bool:
    """Return whether a plain scalar of this text is a string."""
    return not any(pattern.match(text) for _, pattern, _ in KINDS)


def gaps(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield where what is between two tokens begins and ends, and whether the first key is before it.

    White space and comments are there, and nothing else.
    """
    end, begun = 0, False
    loader: Any = Loader(text, 0)
    while loader.check_token():
        token = loader.get_token()
        yield end, token.start_mark.index, begun
        end = max(end, token.end_mark.index)
        begun |= not isinstance(token, BEFORE)
