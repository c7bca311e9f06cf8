"""Secrets in headers: what others may see in place of them, in every text that leaves the process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

SHORTEST = 4
"""A value with fewer characters is not hidden: it would be found in every other word."""

TELLING = 8
"""So many of its first characters are enough to hide a secret: a text that was cut may end within it."""

SENSITIVE = re.compile(r"auth|cookie|token|secret|key|passw|credential|session|signature", re.IGNORECASE)
"""Headers whose value is a secret, whoever set it."""

HIDDEN = "***"


BEFORE_TOKEN = re.compile(r"(?:bearer|basic|token|apikey|digest|negotiate) +", re.IGNORECASE)
"""What precedes the credentials in the value of a header, and is no secret."""


def shown(headers: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return each header with the value that others may see; `variables` has those that come from the environment."""
    return {name: variables.get(name, HIDDEN if SENSITIVE.search(name) else value) for name, value in headers.items()}


def hideable(headers: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return secret → what replaces it, without the scheme before it; the longest first."""
    found = {}
    for name, value in headers.items():
        if name in variables or SENSITIVE.search(name):
            found[BEFORE_TOKEN.sub("", value, count=1)] = BEFORE_TOKEN.sub("", variables.get(name, HIDDEN), count=1)
    forms = {form: instead for secret, instead in found.items() for form in _forms(secret)}
    return {form: forms[form] for form in sorted(forms, key=len, reverse=True) if len(form) >= SHORTEST}


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as a server may write it."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield quote(secret, safe="")


def without(text: str, secrets: Mapping[str, str]) -> str:
    """Return the text with each secret replaced, also one of which only the beginning is there."""
    for secret, instead in secrets.items():
        head = secret[:TELLING]
        if head in text:
            text = _replaced(text, secret, head, instead)
    return text


def _replaced(text: str, secret: str, head: str, instead: str) -> str:
    made, after = "", 0
    while (at := text.find(head, after)) >= 0:
        end = at + len(head)
        while end < len(text) and end - at < len(secret) and text[end] == secret[end - at]:
            end += 1
        made, after = made + text[after:at] + instead, end
    return made + text[after:]
