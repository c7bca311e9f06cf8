"""The ledger: each statement of the documents, and what proves it.

`tests/data/claims/PAGE.txt` has the statements of a page in their order, each on one line, with its proofs on indented
lines below. A proof is a test, as `test_push.py::test_name` or `test_push.py::test_name[row]`, or one of `KINDS`. A
number in a statement is `⟦a fact⟧`, which `tests/facts.py` reads from the code, unless it is in backticks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.documents import SPAN
from tests.facts import FACTS

TESTS = Path(__file__).parent
LEDGER = TESTS / "data" / "claims"
KINDS = {
    "title": "a heading, or the head of a table",
    "guide": "says where to read on, what to do, or what is meant; of what the code does, it says nothing",
    "elsewhere": "a fact about other software, with its source",
    "ci": "what .ci/run does with the README's blocks",
    "row": "the tests that the row itself names: see test_docs.py",
}
FACT = re.compile(r"⟦([\w-]+)⟧")
BARE = re.compile(r"(?<![\w\[.-])\d[\d.,]*\b(?!-bit)")
TEST = re.compile(r"((?:rules/)?test_\w+\.py)::(test_\w+)(?:\[(.+)\])?")


class Claim(NamedTuple):
    """A statement with its facts as names, its proofs, and the line of the ledger that it is on."""

    template: str
    proofs: tuple[str, ...]
    line: int

    @property
    def statement(self) -> str:
        return FACT.sub(lambda fact: FACTS[fact[1]], self.template)

    @property
    def bare_numbers(self) -> list[str]:
        """Numbers that no fact gives; those in backticks and links are names or examples."""
        prose = re.sub(r"\]\([^)]*\)", "]", SPAN.sub("", FACT.sub("", self.template)))
        return BARE.findall(prose)


def claims(path: Path) -> list[Claim]:
    found: list[Claim] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.startswith("    "):
            found[-1] = found[-1]._replace(proofs=(*found[-1].proofs, line.strip()))
        elif line:
            found.append(Claim(line, (), number))
    return found


@cache
def _source(path: str) -> tuple[str, frozenset[str]]:
    text = (TESTS / path).read_text("utf-8") if (TESTS / path).is_file() else ""
    return text, frozenset(node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))


def unproven(claim: Claim) -> Iterator[str]:
    """Yield what is wrong with a claim's proofs."""
    if not claim.proofs:
        yield "it has no proof"
    for proof in claim.proofs:
        if named := TEST.fullmatch(proof):
            text, names = _source(named[1])
            if named[2] not in names:
                yield f"{proof} does not exist"
            elif named[3] and f'"{named[3]}"' not in text:
                yield f"{proof}: no row of that name"
        elif proof.split(":")[0] not in KINDS:
            yield f"{proof} is not a proof"
