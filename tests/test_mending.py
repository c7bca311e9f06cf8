"""Every fix is tried on its rule's page: the finding goes, no other comes, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.pages import files, judged, loud, sections
from tritonrepo.diagnostics import Fix
from tritonrepo.fixes import after, applied
from tritonrepo.pbtxt import parse
from tritonrepo.rules import RULES
from tritonrepo.sync.plan import is_config
from tritonrepo.tree import Entry, File, Tree, of_bytes

ROUNDS = 9
"""How often the fixes of one rule are applied before the test takes them for endless."""

PAGES = {name: sections(rule.page) for name, rule in RULES.items()}
FIXED = [name for name, page in PAGES.items() if "Fix" in page]


def fixes(tree: Tree, options: str, name: str) -> list[Fix]:
    """Return the fixes that a rule offers."""
    return [each.fix for each in judged(tree, options).diagnostics if each.rule == name and each.fix is not None]


def mended(tree: Tree, options: str, name: str) -> dict[str, Entry]:
    """Return the tree once a rule has nothing more to fix."""
    for _ in range(ROUNDS):
        found = applied(tree, fixes(tree, options, name))
        if not found.steps:
            return dict(tree)
        tree = after(tree, found.steps)
    pytest.fail("a fix does not end")


def commented(tree: Tree) -> dict[str, Entry]:
    """Return the tree with a comment at the end of every line of its configs, as hand-written ones have."""
    return {path: _commented(entry) if is_config(path) else entry for path, entry in tree.items()}


def _commented(entry: Entry) -> Entry:
    if not isinstance(entry, File):
        return entry
    lines = entry.content().split(b"\n")
    return of_bytes(
        b"\n".join(line + b"  # line %d" % number if line.strip() else line for number, line in enumerate(lines))
    )


def comments(tree: Mapping[str, Entry]) -> list[bytes]:
    """Return the comments of all configs; of one with several # what follows the last."""
    found = []
    for path, entry in tree.items():
        if is_config(path) and isinstance(entry, File):
            source = parse(entry.content()).root.source
            found += [source.text[source.text.rindex(b"#", start, end) : end] for start, end in source.comments]
    return sorted(found)


def test_a_page_says_whether_its_findings_have_a_fix() -> None:
    words: dict[str, set[str]] = {}
    for name, page in PAGES.items():
        found = fixes(files(page["Bad"]), page.get("Run with", ""), name)
        words[name] = {"Safe" if fix.safe else "Unsafe" for fix in found}
    said = {name: {page["Fix"].partition(".")[0]} if "Fix" in page else set() for name, page in PAGES.items()}
    assert words == said


@pytest.mark.parametrize("name", FIXED)
def test_a_fix_mends_its_fault_and_nothing_else(name: str) -> None:
    options, bad = PAGES[name].get("Run with", ""), files(PAGES[name]["Bad"])
    good = mended(bad, options, name)
    assert not [each for each in judged(good, options).diagnostics if each.rule == name]
    assert loud(good, options) <= loud(bad, options) - {name}
    told = commented(bad)
    if [str(each) for each in judged(told, options).diagnostics] == [
        str(each) for each in judged(bad, options).diagnostics
    ]:
        assert comments(mended(told, options, name)) == comments(told)
