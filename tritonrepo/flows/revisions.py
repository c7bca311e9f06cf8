"""Which revision a URI names: `URI@N` is revision N of what is at the URI, and a URI alone what is there now."""

from __future__ import annotations

import re

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.stores import open_store
from tritonrepo.sync.revision import record_path

NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def addressed(text: str) -> tuple[str, int | None]:
    """Return the URI and the revision's number that a text names; None for no number.

    A prefix can end like that itself. Raise Stop if something is stored at it: the text could mean either.
    """
    uri, _, number = text.rpartition("@")
    if not uri or not NUMBER.fullmatch(number):
        return text, None
    if _is_used(text):
        message = f"the URI is revision {number} of what is at {uri}, and a prefix of its own where something is stored"
        hint = f"Use `{text}/` for the prefix, or `{uri.rstrip('/')}/@{number}` for the revision."
        raise fatal("revision-ambiguous", text, message, hint)
    return uri.removesuffix("/"), int(number)


def _is_used(uri: str) -> bool:
    """Whether something is stored at a prefix whose name ends like a revision."""
    try:
        store, prefix = open_store(uri)
    except Stop:
        return False  # Triton reads no such URI: with an endpoint, it knows no "@"
    return bool(store.scan(prefix)) or store.fetch(record_path(prefix)) is not None
