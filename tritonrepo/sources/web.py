"""A file on a web server, which has the SHA-256 that the stack file names."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.sources import foreign
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.transfer import Broken, Different, Refused, Wanted, fetched
from tritonrepo.spec.lock import Pin
from tritonrepo.spec.source import Web
from tritonrepo.tree import File

RULE = "source-web"


def files(source: Web, cache: Cache, at: Span) -> tuple[dict[str, File], Pin]:
    """Return the file, under the last name in its URL, and its pin; the network is used only if it is not cached."""
    quoted = urlsplit(source.url).path.rsplit("/", 1)[-1]
    name = quoted if "/" in unquote(quoted) else unquote(quoted)
    foreign.checked([name], RULE, at, source.url)
    key = f"web {source.sha256} {name}"
    found = cache.known(key)
    if found is None:
        found = {name: cache.blob(source.sha256) or _fetched(source, cache, at)}
        cache.enter(key, found)
    return found, Pin(sha256=source.sha256, size=found[name].size)


def _fetched(source: Web, cache: Cache, at: Span) -> File:
    cache.tell(f"downloading {source.url}")
    try:
        return fetched(Wanted(source.url, None, f"sha256:{source.sha256}"), cache, f"downloading {source.url}")
    except Refused as refused:
        message = f"{source.url} cannot be downloaded: {refused}"
        raise fatal(RULE, at, message, "Check the URL. It must be public.") from None
    except Broken as broken:
        message = f"{source.url} cannot be downloaded: {broken}"
        hint = "Check the network connection. What was downloaded is kept: run the command again."
        raise fatal(RULE, at, message, hint) from None
    except Different:
        message = f"{source.url} does not have the SHA-256 {source.sha256[:12]}…, so it was not kept"
        hint = "Check why the file has changed. To accept it, set #sha256= to its new digest."
        raise fatal(RULE, at, message, hint) from None
