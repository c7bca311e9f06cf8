"""The server's order of checks, from the positions of the rules: which of a model's faults it reports first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import NamedTuple

from tritonrepo.rules.registry import OF_REPOSITORIES, RULES, Misdeclared, Rule
from tritonrepo.rules.stages import WITH_AUTO_COMPLETE, WITHOUT_AUTO_COMPLETE, Position, Stage


class Turn(NamedTuple):
    """A rule's turn: the stage, the number of its step among all steps, its position in the walk of this step."""

    stage: Stage
    step: int
    within: int


@cache
def turns(*, auto_complete: bool) -> Mapping[str, Turn]:
    """Return the turns of all rules that have a position."""
    return in_turn(
        RULES.of(*OF_REPOSITORIES),
        WITH_AUTO_COMPLETE if auto_complete else WITHOUT_AUTO_COMPLETE,
    )


def in_turn(rules: Iterable[Rule], stages: Collection[Stage]) -> Mapping[str, Turn]:
    """Return the turns of rules for a server that reaches these stages in order; raise Misdeclared if there is none."""
    positions = {
        rule.name: rule.position for rule in rules if rule.position is not None and rule.position.stage in stages
    }
    behind = _behind(positions)
    found: dict[str, Turn] = {}
    step = -1
    for stage in stages:
        name, within = behind.get((stage, "")), 0
        while name is not None:
            step, within = (step, within + 1) if positions[name].in_walk else (step + 1, 0)
            found[name] = Turn(stage, step, within)
            name = behind.get((stage, name))
    if len(found) < len(positions):
        raise _lost(positions, found)
    return found


def _behind(positions: Mapping[str, Position]) -> dict[tuple[Stage, str], str]:
    """Return which rule comes right after each; raise Misdeclared if two do."""
    behind: dict[tuple[Stage, str], str] = {}
    for name, at in positions.items():
        other = behind.setdefault((at.stage, at.before), name)
        if other != name:
            where = f'placed right after "{at.before}"' if at.before else f"first in {at.stage.name}"
            raise Misdeclared(f'the rules "{other}" and "{name}" are both {where}: change one to follow the other')
    return behind


def _lost(positions: Mapping[str, Position], found: Collection[str]) -> Misdeclared:
    """Return what is wrong with rules that cannot be reached from the first of their stage."""
    lost = {name: at for name, at in positions.items() if name not in found}
    for name, at in lost.items():
        placed = f'the rule "{name}" is placed after "{at.before}"'
        if at.before not in positions:
            return Misdeclared(
                f"{placed}, which is not a known error: check that its module is in its family's MODULES"
            )
        if (other := positions[at.before].stage) is not at.stage:
            return Misdeclared(f"{placed} in {at.stage.name}, but that rule is in {other.name}")
    return Misdeclared(f"the places of these rules form a cycle: {', '.join(sorted(lost))}")
