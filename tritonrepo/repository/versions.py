"""Version directories as the server counts them, and the ones that a policy selects.

Source: core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad, which reads names by std::stoll.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from tritonrepo.pbtxt import Message

RESERVED = frozenset({"configs", "warmup", "initial_state"})
NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
LIMITS = (-(1 << 63), (1 << 63) - 1)
LONGEST = 19
"""Digits of the largest number."""


class Versions(NamedTuple):
    """The versions in a model's directory, number → name, and the names that are not versions or crash the server."""

    found: Mapping[int, str]
    leading_zero: tuple[str, ...] = ()
    no_number: tuple[str, ...] = ()
    overflow: tuple[str, ...] = ()
    collisions: Mapping[str, int] = {}
    """Names whose number another directory already has."""


def versions(directories: Iterable[str], *, config_names: bool = True) -> Versions:
    """Read the names of a model's subdirectories, in byte order; `config_names`: whether `configs` is reserved."""
    found: dict[int, str] = {}
    collisions: dict[str, int] = {}
    leading_zero, no_number, overflow = [], [], []
    for name in directories:
        if name in RESERVED and (name != "configs" or config_names):
            continue
        match = NUMBER.match(name)
        if len(name) > 1 and name.startswith("0"):
            leading_zero.append(name)
        elif match is None:
            no_number.append(name)
        elif not _fits(match[1]):
            overflow.append(name)
        else:
            _count(name, int(match[1]), found, collisions)
    return Versions(found, tuple(leading_zero), tuple(no_number), tuple(overflow), collisions)


def _fits(digits: str) -> bool:
    """Return whether a number fits into 64 bits; Python itself reads no number of more than 4300 digits."""
    return len(digits.lstrip("+-0")) <= LONGEST and LIMITS[0] <= int(digits) <= LIMITS[1]


def _count(name: str, number: int, found: dict[int, str], collisions: dict[str, int]) -> None:
    """Count a directory as a version; of several with one number, the plainly named one has the content."""
    if number in found and name == str(number):
        found[number], name = name, found[number]
    if found.setdefault(number, name) != name:
        collisions[name] = number


def selected(found: Collection[int], policy: Message | None) -> tuple[int, ...]:
    """Return the versions that a version_policy serves, ascending; without a policy the latest version.

    A missing `specific` version is skipped, but one that is listed twice is assumed to exist: the core keeps both in
    one set.
    """
    have = sorted(found)
    if policy is None:
        return tuple(have[-1:])
    chosen = policy.chosen("policy_choice")
    name = chosen.name if chosen else "all"
    choice = policy.message(name)
    if name == "specific" and choice is not None:
        named = Counter(choice.numbers("versions"))
        return tuple(sorted(number for number, times in named.items() if times > 1 or number in found))
    if name == "latest":
        count = choice.integer("num_versions") if choice is not None else 0
        return tuple(have[-count:]) if count else ()
    return tuple(have)
