"""Every rule's page is run: Bad says what Says says and no other rule speaks up, Good is clean."""

from __future__ import annotations

import pytest

from tests.pages import NEEDED, OPTIONAL, files, loud, said, sections
from tritonrepo.diagnostics import Severity
from tritonrepo.rules import RULES, Rule
from tritonrepo.rules.order import names


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_page(rule: Rule) -> None:
    page = sections(rule.page)
    assert tuple(name for name in page if name not in OPTIONAL) == NEEDED
    options = page.get("Run with", "")
    bad, good = files(page["Bad"]), files(page["Good"])
    assert said(bad, options, only=rule) == page["Says"]
    assert loud(bad, options) - {rule.name} == set(page.get("Also", "").replace(",", " ").split())
    assert not loud(good, options)
    assert not said(good, options, only=rule)


def test_every_error_has_its_place_in_the_servers_order() -> None:
    missing = {name for name, rule in RULES.items() if rule.severity is Severity.ERROR} - set(names())
    assert not missing


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rules_first_sentence_can_stand_alone(rule: Rule) -> None:
    first = rule.page.splitlines()[0]
    assert first.endswith(".")
    assert len(first) <= 120
