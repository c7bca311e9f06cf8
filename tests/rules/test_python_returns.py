"""What execute of a decoupled Python model returns."""

from __future__ import annotations

from tests.pages import judged
from tests.rules.test_python import Case, source, tree
from tests.tabled import tabled

RULE = "python-decoupled-return"
DECOUPLED = "model_transaction_policy { decoupled: true }\n"
ROWS = {
    "a list": (["return [None for _ in requests]"], True),
    "an empty list": (["return []"], True),
    "a variable": (["found = []", "for each in requests:", "    found.append(1)", "return found"], True),
    "nothing": (["pass"], False),
    "none": (["return None"], False),
    "a return without a value": (["return"], False),
    "a call": (["return self.run(requests)"], False),
    "a variable that may be none": (["found = []", "found = None", "return found"], False),
    "a variable of a call": (["found = self.run(requests)", "return found"], False),
    "a list within a branch": (["if requests:", "    return []"], False),
    "a list after something is yielded": (["yield 1", "return []"], False),
    "a list of a function within": (["def f():", "    return []", "f()"], False),
}


@tabled(("lines", "warned"), ROWS.values(), ids=ROWS)
def test_what_execute_returns(lines: list[str], *, warned: bool) -> None:
    body = "".join(f"        {line}\n" for line in lines)
    text = f"class TritonPythonModel:\n    def execute(self, requests):\n{body}"
    for policy, expected in ((DECOUPLED, warned), ("", False), (DECOUPLED.replace("true", "false"), False)):
        found = judged(tree(Case(source(text, more=policy)))).diagnostics
        assert any(each.rule == RULE for each in found) is expected


def test_a_class_that_may_have_another_method_is_left_alone() -> None:
    text = "class TritonPythonModel(Base):\n    def execute(self, requests):\n        return []\n"
    assert not [e for e in judged(tree(Case(source(text, more=DECOUPLED)))).diagnostics if e.rule == RULE]
