"""The server's order, from the places of the rules; the message about an impossible place names the rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.tabled import tabled
from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules import RULES
from tritonrepo.rules.order import in_turn, turns
from tritonrepo.rules.registry import Finding, Misdeclared, Rule, Scope, rule
from tritonrepo.rules.stages import Position, Stage


def check(_model: Model) -> Iterator[Finding]:
    return iter(())


def rules(positions: dict[str, Position]) -> list[Rule]:
    return [Rule(name, Severity.ERROR, Scope.MODEL, check, position=position) for name, position in positions.items()]


STAGES = (Stage.POLL, Stage.IO)
CHAIN = {
    "e": Stage.IO.first,
    "d": Stage.POLL.after("c"),
    "c": Stage.POLL.same_walk("b"),
    "b": Stage.POLL.after("a"),
    "a": Stage.POLL.first,
}


def test_rules_are_in_the_order_of_stages_and_places_whatever_comes_first_in_the_code() -> None:
    found = in_turn(rules(CHAIN), STAGES)
    assert [(name, turn.step, turn.within) for name, turn in found.items()] == [
        ("a", 0, 0),
        ("b", 1, 0),
        ("c", 1, 1),
        ("d", 2, 0),
        ("e", 3, 0),
    ]
    assert [*in_turn(rules(CHAIN), STAGES[::-1])] == ["e", "a", "b", "c", "d"]


def test_a_stage_that_the_server_does_not_reach_has_no_turns() -> None:
    assert [*in_turn(rules(CHAIN), [Stage.IO])] == ["e"]


CONTRADICTIONS = {
    "two behind one": (
        Stage.POLL.after("a"),
        'the rules "b" and "new" are both placed right after "a": change one to follow',
    ),
    "two first": (Stage.POLL.first, 'the rules "a" and "new" are both first in POLL: change one to follow'),
    "behind no rule": (
        Stage.POLL.after("aa"),
        'the rule "new" is placed after "aa", which is not a known error: check that its module',
    ),
    "behind another stage": (
        Stage.IO.after("d"),
        'the rule "new" is placed after "d" in IO, but that rule is in POLL',
    ),
    "behind itself": (Stage.POLL.after("new"), "the places of these rules form a cycle: new"),
}


@tabled(("position", "words"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_names_the_rules(position: Position, words: str) -> None:
    with pytest.raises(Misdeclared, match=re.escape(words)):
        in_turn(rules({**dict(reversed(CHAIN.items())), "new": position}), STAGES)


def test_an_error_says_its_place_when_it_is_registered_and_nothing_else_does() -> None:
    with pytest.raises(Misdeclared, match='the rule "new" is an error without a place in the server\'s order: add at='):
        rule("new", Severity.ERROR)(check)
    with pytest.raises(Misdeclared, match='the rule "new" is not an error, so it cannot have a place'):
        rule("new", Severity.WARNING, at=Stage.IO.first)(check)
    assert "new" not in RULES


def test_io_is_checked_as_configs_are_read_where_nobody_completes_them() -> None:
    complete, bare = turns(auto_complete=True), turns(auto_complete=False)
    walk = {name for name, turn in complete.items() if turn.step == complete["io-name-missing"].step}
    assert len(walk) > 1
    assert complete["io-name-missing"].step > complete["name-differs-from-directory"].step
    assert bare["io-name-missing"].step < bare["name-differs-from-directory"].step
    assert {name for name, turn in bare.items() if turn.step == bare["io-name-missing"].step} == walk


def test_a_verdict_calls_a_stage_by_a_plain_word() -> None:
    said = {stage.said for stage in Stage}
    assert said == {"", "start", "parse", "poll", "io", "graph", "graph-load", "ensemble", "load", "backend", "runtime"}
    assert {type(word) for word in said} == {str}
