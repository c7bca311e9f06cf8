"""What the fixes of one rule make of a repository, for tables of corner cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.pages import judged
from tritonrepo.fixes import after, applied
from tritonrepo.tree import Entry, File, of_bytes

WEIGHTS = {"m/1/weights": of_bytes(b"")}


class Mended(NamedTuple):
    """Whether the fixes are "safe", "unsafe", both or "" (none), and the config after one round of them."""

    safe: str
    config: str


def mended(rule: str, config: str, options: str = "", beside: Mapping[str, Entry] = WEIGHTS) -> Mended:
    """Apply a rule's fixes to the config of model "m" and what is beside it; the finding must be gone."""
    tree = {"m/config.pbtxt": of_bytes(config.encode("utf-8", "surrogateescape")), **beside}
    fixes = [each.fix for each in judged(tree, options).diagnostics if each.rule == rule and each.fix is not None]
    found = after(tree, applied(tree, fixes).steps)
    assert not fixes or rule not in {each.rule for each in judged(found, options).diagnostics}
    file = found["m/config.pbtxt"]
    assert isinstance(file, File)
    safe = " and ".join(sorted({"safe" if fix.safe else "unsafe" for fix in fixes}))
    return Mended(safe, file.content().decode("utf-8", "surrogateescape"))
