"""One file over HTTP: continued where a broken connection or a killed run left it, and verified by its digest.

The library of the Hugging Face Hub could fetch its files, but would verify only their size, follow redirects to any
host, sleep as long as a server asks, and retry a refused port for seconds (huggingface_hub 2.4, file_download.py,
http_get). The same code serves `https://` sources, which need no library at all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from tritonrepo import __version__
from tritonrepo.sources import patience
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.patience import Again, persistent
from tritonrepo.tree import File

if TYPE_CHECKING:
    from http.client import HTTPMessage, HTTPResponse
    from urllib.error import HTTPError
    from urllib.request import OpenerDirector, Request

SILENCE_S = 20
"""How long a server can be silent, in seconds."""

PIECE = 1 << 20
AGENT = f"tritonrepo/{__version__}"
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine: what is sent there can be unencrypted."""

PARTIAL = 206
UNSATISFIABLE = 416


Told = Callable[[int, int], None]
"""Called with the bytes that are there and those of the whole file, or 0 if that is not known."""


class Wanted(NamedTuple):
    """A file to fetch: its URL, its size if known, its digest, and headers for the URL's own host only."""

    url: str
    size: int | None
    digest: str
    """`sha256:HEX`, or `git:HEX` for the name of a Git blob, which is a SHA-1 (gitformat, "loose object")."""

    headers: Mapping[str, str] = {}


class Refused(Exception):  # noqa: N818  a reply of the server, not an error
    """A reply that will not change: its status, and the code by which the Hub explains it."""

    def __init__(self, status: int, code: str = "") -> None:
        super().__init__(f"the server replies with status {status}")
        self.status = status
        self.code = code


class Broken(Exception):  # noqa: N818  a state of the network, not an error
    """Why a file cannot be had from there, as people read it."""


class Different(Exception):  # noqa: N818  a reply of the server, not an error
    """The server sent another file than the digest names."""


def fetched(wanted: Wanted, cache: Cache, what: str) -> File:
    """Fetch a file into the cache, or take it from there if another process has fetched it meanwhile.

    Raises Refused, Broken or Different; Stop if the cache cannot be written.
    """
    kind, _, name = wanted.digest.partition(":")
    with cache.partial(f"{kind}-{name}", what) as stream:
        known = cache.blob(name, wanted.size) if kind == "sha256" else None
        if known is not None:
            return known
        with cache.writing():
            fetch(wanted, stream, partial(cache.count, what))
        return cache.keep(Path(stream.name))


def fetch(wanted: Wanted, stream: BinaryIO, told: Told = lambda _done, _total: None) -> None:
    """Append what is missing to a partial file, and verify the whole; raise Refused, Broken or Different.

    What a killed run left is continued; if the whole then turns out wrong, it is fetched from its beginning, once.
    """
    continued = stream.seek(0, os.SEEK_END) > 0
    if continued and _is(wanted, stream):
        return
    transfer = _Transfer(wanted, stream, told)
    transfer.fill()
    if continued and not _is(wanted, stream):
        stream.truncate(0)
        transfer.fill()
    if not _is(wanted, stream):
        stream.truncate(0)
        raise Different


def _is(wanted: Wanted, stream: BinaryIO) -> bool:
    kind, _, name = wanted.digest.partition(":")
    size = stream.seek(0, os.SEEK_END)
    total = hashlib.sha256() if kind == "sha256" else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    stream.seek(0)
    while piece := stream.read(PIECE):
        total.update(piece)
    return wanted.size in {None, size} and total.hexdigest() == name


class _Transfer:
    """The requests for one file, whose bodies are appended to a stream."""

    def __init__(self, wanted: Wanted, stream: BinaryIO, told: Told) -> None:
        self.wanted = wanted
        self.stream = stream
        self.told = told
        self.opener = _opener()
        self.met = False
        """Whether the server has replied: one that never did is not asked again."""

    def fill(self) -> None:
        """Fetch until the file is complete; what arrives makes new attempts possible."""
        while True:
            before = self._size()
            try:
                persistent(self._attempt)
            except Again as again:
                if self._size() < before + PIECE:
                    raise Broken(str(again)) from None
            else:
                return

    def _size(self) -> int:
        return self.stream.seek(0, os.SEEK_END)

    def _attempt(self) -> None:
        """Send one request and append its body; raise Again if the connection breaks or the server is busy."""
        have, size = self._size(), self.wanted.size
        if size is not None and have >= size:
            return
        with self._reply(have) as reply:
            if reply.status != PARTIAL and have:
                have = self.stream.truncate(0)
            elif have and not str(reply.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
                raise Broken("the server sends another part of the file than it was asked for")
            left = reply.length  # what Content-Length says, unless the body is chunked
            self._append(reply, have, size if size is not None else None if left is None else have + left)

    def _append(self, reply: HTTPResponse, have: int, end: int | None) -> None:
        from http.client import HTTPException

        while end is None or have < end:
            try:
                piece = reply.read1(PIECE if end is None else min(PIECE, end - have))
            except (OSError, HTTPException) as error:
                raise Again(f"the connection breaks after {have:,} bytes: {_reason(error)}") from None
            if not piece and end is not None:
                raise Again(f"the connection ends after {have:,} of {end:,} bytes")
            if not piece:
                return
            self.stream.write(piece)
            have += len(piece)
            self.told(have, end or 0)

    def _reply(self, have: int) -> HTTPResponse:
        """Return the reply with the file, or with the rest of it."""
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError

        try:
            reply: HTTPResponse = self.opener.open(self._request(have), timeout=SILENCE_S)
        except HTTPError as error:
            self.met = True
            error.close()
            raise self._refusal(error, have) from None
        except URLError as error:
            reason = _reason(error.reason)
            raise (Again(reason) if self.met and isinstance(error.reason, OSError) else Broken(reason)) from None
        except (OSError, HTTPException) as error:
            raise Again(f"the connection breaks: {_reason(error)}") from None
        self.met = True
        return reply

    def _request(self, have: int) -> Request:
        from urllib.request import Request

        headers = {"User-Agent": AGENT} | ({"Range": f"bytes={have}-"} if have else {})
        request = Request(self.wanted.url, headers=headers)  # noqa: S310  the caller has checked the scheme
        for name, value in self.wanted.headers.items():
            request.add_unredirected_header(name, value)
        return request

    def _refusal(self, error: HTTPError, have: int) -> Exception:
        if error.code == UNSATISFIABLE and have:  # it has fewer bytes: these are of something else
            self.stream.truncate(0)
            return Again("the server cannot continue the file")
        if error.code in patience.PASSING:
            return patience.busy(error.code, dict(error.headers))
        if error.code in range(300, 400):
            return Broken("the redirects of the server lead nowhere")
        return Refused(error.code, str(error.headers.get("X-Error-Code", "")))


def _reason(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL; raise ValueError if it has no such port."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _is_safe(source: str, target: str) -> bool:
    """Whether a redirect keeps to what was asked, to encryption, or to this machine."""
    try:
        to = origin(target)
        return to == origin(source) or to[0] == "https" or (to[0] == "http" and to[1] in HERE)
    except ValueError:
        return False


def _opener() -> OpenerDirector:
    """Return what sends requests: no token leaves its host, no proxy is used for this machine, no file is opened."""
    from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

    class Redirects(HTTPRedirectHandler):
        def redirect_request(  # noqa: PLR0913, PLR0917  as the parent's
            self,
            req: Request,
            fp: IO[bytes],
            code: int,
            msg: str,
            headers: HTTPMessage,
            newurl: str,
        ) -> Request | None:
            fp.close()  # nobody needs the body, and it could have no end
            if not _is_safe(req.full_url, newurl):
                raise Broken(f"the server redirects to {newurl.partition('?')[0]}, which is not encrypted")
            request = super().redirect_request(req, fp, code, msg, headers, newurl)
            if request is not None and origin(newurl) == origin(req.full_url):
                for name in {*req.unredirected_hdrs} - {"Host"}:
                    request.add_unredirected_header(name, req.unredirected_hdrs[name])
            return request

    class Proxies(ProxyHandler):
        def proxy_open(self, req: Request, proxy: str, type: str) -> object:  # noqa: A002  the parent's name
            return None if urlsplit(f"//{req.host}").hostname in HERE else super().proxy_open(req, proxy, type)

    return build_opener(Redirects, Proxies)
