"""What networks, proxies and stores do to requests and replies, on S3 and on Google Cloud Storage alike."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.compat import get_current_datetime as now
from google.cloud.storage import retry

from tests.proxy import Forward, Reply, Request, Tamper, proxy
from tests.servers.gcs import GCSServer, named, refusal
from tests.servers.s3 import S3Server
from tritonrepo.stores import gcs_client, presigned, s3_client
from tritonrepo.sync import holder, lock

BUSY_S3 = Reply(503, {}, b"<Error><Code>SlowDown</Code><Message>fewer</Message></Error>")
DENIED_S3 = Reply(403, {}, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
BUSY_GCS, DENIED_GCS = refusal(503, "backendError", "fewer"), refusal(403, "forbidden", "no")
SOME = 12
"""Requests that write after which a fault begins that lasts."""

SLOW_S, SKEW_S = 0.3, 300

Spoil = Callable[[Request, Forward], Reply | None]


class Place(NamedTuple):
    """A prefix that nobody has used: its server's endpoint and its URI, direct and through a proxy."""

    endpoint: str
    direct: str
    is_gcs: bool

    def through(self, endpoint: str) -> str:
        """Return the URI that leads through a proxy."""
        return self.direct if self.is_gcs else self.direct.replace(self.endpoint, endpoint)


def place(server: S3Server | GCSServer) -> Place:
    """Return an unused prefix."""
    return Place(server.endpoint, server.fresh(), isinstance(server, GCSServer))


@contextmanager
def through(there: Place, fault: Fault) -> Iterator[str]:
    """Yield the URI of a place behind a proxy, while the clock of this machine is wrong if that is the fault."""
    with proxy(there.endpoint, fault.make()) as endpoint, pytest.MonkeyPatch.context() as patch:
        if fault.ahead_s:
            patch.setattr("botocore.auth.get_current_datetime", lambda: now() + timedelta(seconds=fault.ahead_s))
            patch.setattr(s3_client, "time", SimpleNamespace(time=lambda: time.time() + fault.ahead_s))
        if there.is_gcs:
            patch.setenv("STORAGE_EMULATOR_HOST", endpoint)
        yield there.through(endpoint)


@contextmanager
def impatient() -> Iterator[None]:
    """Let nobody wait between attempts, and let the lock of a push that failed be that of a process that has ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
        patch.setattr(presigned, "PAUSE_S", 0)
        patch.setattr(gcs_client, "pause", lambda _: None)
        patch.setattr(retry, "DEFAULT_RETRY", retry.DEFAULT_RETRY.with_timeout(2).with_delay(initial=0.01, maximum=0.1))
        patch.setattr(lock, "GRACE_S", -lock.VALID_S)
        patch.setattr(holder, "born", lambda _: "")
        yield


def is_gcs(request: Request) -> bool:
    return "/storage/v1/" in request.path or "/o/" in request.path


def is_list(request: Request) -> bool:
    return request.method == "GET" and ("list-type=2" in request.path or request.key.endswith("/o"))


def is_write(request: Request) -> bool:
    return request.method in {"PUT", "POST", "DELETE"}


def is_conditional(request: Request) -> bool:
    return request.is_conditional or "ifGenerationMatch" in request.path


def is_body(request: Request) -> bool:
    return request.method == "GET" and not is_list(request)


def target(request: Request) -> str:
    """Return what a request is about, so that it is known when it comes again."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
    name = asked.get("name", "")
    if request.key.startswith("/upload/") and request.method == "POST" and not name:
        name = named(request.body)
    part = asked.get("partNumber", "") + request.headers.get("content-range", "")
    return f"{request.method} {request.key} {name} {part}"


def once(wanted: Callable[[Request], bool], spoil: Spoil) -> Tamper:
    """Damage the first matching request of each kind."""
    seen: set[str] = set()

    def tamper(request: Request, forward: Forward) -> Reply | None:
        if wanted(request) and (about := target(request)) not in seen:
            seen.add(about)
            return spoil(request, forward)
        return forward(request)

    return tamper


def always(wanted: Callable[[Request], bool], spoil: Spoil) -> Tamper:
    """Damage each matching request."""
    return lambda request, forward: spoil(request, forward) if wanted(request) else forward(request)


def later(wanted: Callable[[Request], bool], spoil: Spoil) -> Tamper:
    """Damage each matching request after some writes."""
    writes, mine = [0], threading.Lock()

    def tamper(request: Request, forward: Forward) -> Reply | None:
        with mine:
            writes[0] += is_write(request)
        return spoil(request, forward) if writes[0] > SOME and wanted(request) else forward(request)

    return tamper


def lost(request: Request, forward: Forward) -> None:
    """The store handles the request, but the reply is lost."""
    forward(request)


def honest(request: Request, forward: Forward) -> Reply:
    return forward(request)


def reset(_: Request, __: Forward) -> None:
    """The store never receives the request."""


def busy(request: Request, _: Forward) -> Reply:
    return BUSY_GCS if is_gcs(request) else BUSY_S3


def denied(request: Request, _: Forward) -> Reply:
    return DENIED_GCS if is_gcs(request) else DENIED_S3


def busy_though_done(request: Request, forward: Forward) -> Reply:
    forward(request)
    return busy(request, forward)


def cut(request: Request, forward: Forward) -> Reply:
    reply = forward(request)
    return reply._replace(sent=len(reply.body) // 2)


def slow(request: Request, forward: Forward) -> Reply:
    return forward(request)._replace(pause_s=SLOW_S)


def twice(request: Request, forward: Forward) -> Reply:
    """A proxy sends the request again, and passes the first reply on."""
    reply = forward(request)
    forward(request)
    return reply


def flipped(request: Request, forward: Forward) -> Reply:
    """A bit of what is sent is another; where metadata come with a content, one of the content."""
    body, at = bytearray(request.body), len(request.body) // 2
    if "uploadType=multipart" in request.path:
        at = request.body.index(b"\r\n\r\n", request.body.index(b"}")) + 4
    body[at] ^= 1
    return forward(request._replace(body=bytes(body)))


def weak(request: Request, forward: Forward) -> Reply:
    reply = forward(request)
    headers = {name: f"W/{value}" if name.lower() == "etag" else value for name, value in reply.headers.items()}
    return reply._replace(headers=headers)


def truncated(request: Request, forward: Forward) -> Reply:
    """A listing that is well-formed lacks its second half."""
    reply = forward(request)
    if is_gcs(request):
        page = json.loads(reply.body)
        items = page.get("items", [])
        return reply._replace(body=json.dumps({**page, "items": items[: len(items) // 2]}).encode())
    items = re.findall(rb"<Contents>.*?</Contents>", reply.body, re.DOTALL)
    body = reply.body
    for item in items[len(items) // 2 :]:
        body = body.replace(item, b"")
    return reply._replace(body=body)


def stale() -> Tamper:
    """Each listing is the first one of its kind for ever."""
    first: dict[str, Reply] = {}

    def tamper(request: Request, forward: Forward) -> Reply:
        return first.setdefault(request.path, forward(request)) if is_list(request) else forward(request)

    return tamper


def has_content(request: Request) -> bool:
    return is_write(request) and len(request.body) > 0 and "uploadType=resumable" not in request.path


class Fault(NamedTuple):
    """What happens, and whether a push succeeds nevertheless."""

    make: Callable[[], Tamper]
    harmless: bool = False
    ahead_s: float = 0
    """How far this machine's clock is ahead of the store's."""


FAULTS: dict[str, Fault] = {
    "each request is reset once": Fault(lambda: once(lambda _: True, reset), harmless=True),
    "the reply to each write is lost once": Fault(lambda: once(is_write, lost), harmless=True),
    "the reply to each conditional write is lost once": Fault(lambda: once(is_conditional, lost), harmless=True),
    "each request gets 503 once": Fault(lambda: once(lambda _: True, busy), harmless=True),
    "each write gets 503 once though it is done": Fault(lambda: once(is_write, busy_though_done), harmless=True),
    "each body is cut off once": Fault(lambda: once(is_body, cut), harmless=True),
    "each list is cut off once": Fault(lambda: once(is_list, cut), harmless=True),
    "each body stops in the middle": Fault(lambda: always(is_body, slow), harmless=True),
    "each write arrives twice": Fault(lambda: always(is_write, twice), harmless=True),
    "a bit of each upload is flipped once": Fault(lambda: once(has_content, flipped), harmless=True),
    "this machine's clock is ahead": Fault(lambda: honest, harmless=True, ahead_s=SKEW_S),
    "this machine's clock is behind": Fault(lambda: honest, harmless=True, ahead_s=-SKEW_S),
    "tags are weak": Fault(lambda: always(lambda _: True, weak), harmless=True),
    "503 without end": Fault(lambda: later(lambda _: True, busy)),
    "403 to all in the middle": Fault(lambda: later(lambda _: True, denied)),
    "403 to writes in the middle": Fault(lambda: later(is_write, denied)),
    "no replies in the middle": Fault(lambda: later(lambda _: True, reset)),
    "no replies to writes in the middle, though they are done": Fault(lambda: later(is_write, lost)),
    "a bit of each upload is flipped from the middle on": Fault(lambda: later(has_content, flipped)),
    "lists lack their second half from the middle on": Fault(lambda: later(is_list, truncated)),
    "lists lack their second half": Fault(lambda: always(is_list, truncated)),
    "lists are those of the beginning": Fault(stale),
}
