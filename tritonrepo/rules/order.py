"""The server's order of evaluation, from the places at the rules: which of several faults of a model it names first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import NamedTuple

from tritonrepo.rules.registry import RULES, Misplaced, Rule
from tritonrepo.rules.stages import WITH_AUTO_COMPLETE, WITHOUT_AUTO_COMPLETE, Place, Stage


class Turn(NamedTuple):
    """When a rule's turn comes: the stage, the number of its step among all, its position in the walk of this step."""

    stage: Stage
    step: int
    within: int


@cache
def turns(*, auto_complete: bool) -> Mapping[str, Turn]:
    """Return the turns of all rules that have a place."""
    return in_turn(RULES.values(), WITH_AUTO_COMPLETE if auto_complete else WITHOUT_AUTO_COMPLETE)


def in_turn(rules: Iterable[Rule], stages: Collection[Stage]) -> Mapping[str, Turn]:
    """Return the turns of rules, where the server comes to the stages in this order; raise Misplaced without an order."""
    places = {rule.name: rule.place for rule in rules if rule.place is not None and rule.place.stage in stages}
    behind = _behind(places)
    found: dict[str, Turn] = {}
    step = -1
    for stage in stages:
        name, within = behind.get((stage, "")), 0
        while name is not None:
            step, within = (step, within + 1) if places[name].in_walk else (step + 1, 0)
            found[name] = Turn(stage, step, within)
            name = behind.get((stage, name))
    if len(found) < len(places):
        raise _lost({name: place for name, place in places.items() if name not in found})
    return found


def _behind(places: Mapping[str, Place]) -> dict[tuple[Stage, str], str]:
    """Return which rule comes right behind each; raise Misplaced where two do."""
    behind: dict[tuple[Stage, str], str] = {}
    for name, place in places.items():
        other = behind.setdefault((place.stage, place.before), name)
        if other != name:
            where = f'come right behind "{place.before}"' if place.before else f"are the first of {place.stage.name}"
            raise Misplaced(f'the rules "{other}" and "{name}" both {where}: place one of them behind the other')
    return behind


def _lost(places: Mapping[str, Place]) -> Misplaced:
    """Return what is wrong with rules that no way from the first of their stage leads to."""
    for name, place in places.items():
        if place.before not in places or places[place.before].stage is not place.stage:
            return Misplaced(
                f'the rule "{name}" comes behind "{place.before}", which has no place in {place.stage.name}'
            )
    return Misplaced(f"the rules {', '.join(sorted(places))} come one behind the other in a circle")
