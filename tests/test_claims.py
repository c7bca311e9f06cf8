"""Every statement of the documents is in the ledger, with what proves it: see tests/claims.py."""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

from tests.claims import LEDGER, claims, unproven
from tests.documents import FENCE, PAGES, stated, statements
from tests.facts import FACTS
from tests.tabled import tabled

SAY = "no test is named for this statement. Check it, and name what proves it in"


@tabled("page", stated())
def test_every_statement_is_in_the_ledger_with_its_numbers_from_the_code(page: str) -> None:
    known, said = [claim.statement for claim in claims(LEDGER / f"{page}.txt")], stated()[page]
    matcher = SequenceMatcher(None, known, said, autojunk=False)
    changes = [change for change in matcher.get_opcodes() if change[0] != "equal"]
    new = [f"{SAY} tests/data/claims/{page}.txt:\n{text}" for *_, i, j in changes for text in said[i:j]]
    gone = [
        f"{page} no longer says this, or the code says otherwise:\n{t}" for _, i, j, *_ in changes for t in known[i:j]
    ]
    assert (new, gone) == ([], []), "\n".join([*new, *gone])


@tabled("page", stated())
def test_what_proves_a_statement_is_there(page: str) -> None:
    path = LEDGER / f"{page}.txt"
    assert [f"{path.name}:{claim.line}: {fault}" for claim in claims(path) for fault in unproven(claim)] == []


@tabled("page", stated())
def test_a_number_in_prose_comes_from_the_code(page: str) -> None:
    path = LEDGER / f"{page}.txt"
    bare = [f"{path.name}:{claim.line}: {number}" for claim in claims(path) for number in claim.bare_numbers]
    assert bare == [], "write it as a fact: see tests/facts.py"


@tabled("name", [name for name in PAGES if name != "rules.md"])
def test_no_word_of_a_page_is_outside_of_its_statements_and_blocks(name: str) -> None:
    text = FENCE.sub(lambda block: block[0] if block[1] == "text" else "", PAGES[name].read_text("utf-8"))
    written = Counter(re.findall(r"\w+", re.sub(r"^```text|^\d+\. ", "", text, flags=re.MULTILINE)))
    said = Counter(
        word for statement in statements(PAGES[name].read_text("utf-8")) for word in re.findall(r"\w+", statement)
    )
    assert dict(written - said) == {}


def test_the_ledger_has_no_page_that_is_not_there() -> None:
    assert {path.stem for path in LEDGER.iterdir()} == set(stated())


def test_every_fact_is_stated() -> None:
    text = "".join(path.read_text("utf-8") for path in LEDGER.iterdir())
    assert [name for name in FACTS if f"⟦{name}⟧" not in text] == []


def test_proofs_belong_to_the_line_above_them_and_a_fact_stands_for_its_value(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("It waits ⟦timeout-push⟧ s.\n    guide\n    nonsense\n\nIt has 3 rows.\n", "utf-8")
    first, second = claims(path)
    assert (first.statement, first.proofs, first.bare_numbers) == ("It waits 600 s.", ("guide", "nonsense"), [])
    assert [*unproven(first)] == ["nonsense is not a proof"]
    assert (second.bare_numbers, [*unproven(second)], second.line) == (["3"], ["it has no proof"], 5)
