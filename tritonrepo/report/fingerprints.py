"""Fingerprints that identify a diagnostic across runs, without its line, which moves with every edit above it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.plain import hidden

LENGTH = 32
"""Hexadecimal digits: 128 bits of SHA-256."""

PLACE = re.compile(r"(:|\b(?:line|column|char) )[0-9]+")
"""Line and column numbers in a message, as in "in the generated m/config.pbtxt:3:1"."""


def fingerprints(found: Sequence[Diagnostic]) -> list[str]:
    """Return a fingerprint for each diagnostic, made of rule, path, model and message, without line numbers.

    The path is that from the top of the git work tree, if it is known: it is the same wherever the command runs.

    Diagnostics that are equal in all of these are numbered in the order of their places.
    """
    import hashlib  # loads OpenSSL: only where something was found

    counts: Counter[str] = Counter()
    made = [""] * len(found)
    for index in sorted(range(len(found)), key=lambda index: found[index].at):
        each = found[index]
        message = " ".join(PLACE.sub(r"\1", hidden(each.message)).split())
        same = json.dumps([each.rule, hidden(each.anchored or each.at.path), each.model, message])
        made[index] = hashlib.sha256(f"{same}{counts[same] or ''}".encode()).hexdigest()[:LENGTH]
        counts[same] += 1
    return made
