"""Content that is damaged on its way to a store, by a network, a proxy or a disk: found, sent again, or told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.proxy import Forward, Reply, Request, proxy
from tests.servers.gcs import GCSServer
from tests.servers.s3 import S3Server
from tritonrepo.diagnostics import Stop
from tritonrepo.stores import gcs_client, open_store, presigned
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.intact import whole
from tritonrepo.stores.store import Store, Tag, Write
from tritonrepo.sync.telling import Meter
from tritonrepo.tree import File, of_bytes

MINE, OTHER = b"mine", b"nine"
LARGE = b"x" * (8 << 20) + MINE
ALWAYS = 1000


class Where(NamedTuple):
    """A server, where its stores are, and how its address gets into one."""

    endpoint: str
    uri: Callable[[str], str]
    environ: bool = False


def s3(request: pytest.FixtureRequest, name: str) -> Where:
    server: S3Server = request.getfixturevalue(name)
    direct = server.fresh()
    return Where(server.endpoint, lambda endpoint: direct.replace(server.endpoint, endpoint))


def gcs(request: pytest.FixtureRequest) -> Where:
    server: GCSServer = request.getfixturevalue("gcs_server")
    direct = server.fresh()
    return Where(server.endpoint, lambda _: direct, environ=True)


KINDS: dict[str, Callable[[pytest.FixtureRequest], Where]] = {
    "s3": lambda request: s3(request, "s3_server"),
    "moto": lambda request: s3(request, "moto_server"),
    "gcs": gcs,
}


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Where:
    """A bucket of each kind; nobody waits between two attempts."""
    monkeypatch.setattr(gcs_client, "pause", lambda _: None)
    monkeypatch.setattr(presigned, "PAUSE_S", 0)
    made: Where = request.param(request)
    return made


@contextmanager
def behind(where: Where, tamper: Callable[[Request, Forward], Reply | None]) -> Iterator[tuple[Store, str]]:
    """Yield the store behind a proxy."""
    with proxy(where.endpoint, tamper) as endpoint, pytest.MonkeyPatch.context() as patch:
        if where.environ:
            patch.setenv("STORAGE_EMULATOR_HOST", endpoint)
        yield open_store(where.uri(endpoint))


def flipping(times: int) -> Callable[[Request, Forward], Reply]:
    """Damage bodies that are sent, so many times."""
    left = [times]

    def tamper(request: Request, forward: Forward) -> Reply:
        if MINE in request.body and request.method in {"PUT", "POST"} and left[0]:
            left[0] -= 1
            return forward(request._replace(body=request.body.replace(MINE, OTHER)))
        return forward(request)

    return tamper


WRITES: dict[str, Callable[[Store, str], Tag | None]] = {
    "a new object": lambda store, path: store.put(path, of_bytes(MINE), if_absent=True),
    "any object": lambda store, path: store.put(path, of_bytes(MINE)),
    "an odd key": lambda store, path: store.put(path.replace("-", " "), of_bytes(MINE), if_absent=True),
    "a large object": lambda store, path: store.put(path, of_bytes(LARGE), if_absent=True),
}


def content(store: Store, prefix: str) -> list[bytes]:
    return [entry.content() for entry in store.scan(prefix).values() if isinstance(entry, File)]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_is_damaged_on_its_way_is_sent_again(where: Where, write: Callable[[Store, str], Tag | None]) -> None:
    with behind(where, flipping(1)) as (store, prefix):
        store.put(f"{prefix}.tritonrepo/lock.json", of_bytes(b"{}"))  # as a push begins; it shows what tags say
        write(store, f"{prefix}/m-1")
        assert content(store, prefix) in ([MINE], [LARGE])


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_is_damaged_each_time_is_told_and_not_left(
    where: Where, write: Callable[[Store, str], Tag | None]
) -> None:
    with behind(where, flipping(ALWAYS)) as (store, prefix):
        store.put(f"{prefix}.tritonrepo/lock.json", of_bytes(b"{}"))
        with pytest.raises(Stop) as stop:
            write(store, f"{prefix}/m-1")
        (told,) = stop.value.diagnostics
        assert f": {prefix}/m" in told.at.path
        assert "damage" in told.message
        assert "Check the network" in told.hint
        assert store.scan(prefix) == {}


def test_a_prepared_write_that_is_damaged_is_told(where: Where) -> None:
    with behind(where, flipping(ALWAYS)) as (store, prefix):
        seen = store.put(f"{prefix}/a", of_bytes(b"seen"))
        with pytest.raises(Stop, match="damage"):
            store.ticket(Write(f"{prefix}/a", of_bytes(MINE), if_match=seen), 60)()


def test_tags_that_are_no_md5_are_believed_once_one_was_read_back(moto_server: S3Server) -> None:
    """As those of objects that a store encrypts with a key of its user."""
    asked: list[Request] = []
    direct = moto_server.fresh()

    def tamper(request: Request, forward: Forward) -> Reply:
        asked.append(request)
        parts = re.sub(rb"(?<=<ETag>)\w+", lambda match: match[0][::-1], request.body[:1000])
        reply = forward(request._replace(body=parts + request.body[1000:]))
        headers = {name: value[::-1] if name.lower() == "etag" else value for name, value in reply.headers.items()}
        return reply._replace(headers=headers)

    where = Where(moto_server.endpoint, lambda endpoint: direct.replace(moto_server.endpoint, endpoint))
    with behind(where, tamper) as (store, prefix):
        for name in "abc":
            store.put(f"{prefix}/{name}", of_bytes(name.encode()))
        store.put(f"{prefix}/w", of_bytes(LARGE), if_absent=True)
    bodies = [
        request.key.rpartition("/")[2] for request in asked if request.method == "GET" and "?" not in request.path
    ]
    assert bodies == ["a"]


def changing(size: int) -> File:
    """A file that a disk returns with another last byte each time."""
    count = [0]

    def read(offset: int, n: int) -> bytes:
        count[0] += 1
        body = b"x" * min(n, max(0, size - offset))
        return body[:-1] + bytes([count[0]]) if offset + n >= size else body

    return File(size, read)


@pytest.mark.parametrize("size", [10, 9 << 20], ids=["small", "large"])
def test_what_a_disk_returns_is_what_was_planned_or_not_sent(where: Where, size: int) -> None:
    def untouched(request: Request, forward: Forward) -> Reply:
        return forward(request)

    file = changing(size)
    assert file.sha256
    with behind(where, untouched) as (store, prefix):
        with pytest.raises(OSError, match="the file has changed since it was first read"):
            store.put(f"{prefix}/m-1", file, if_absent=True)
        assert store.scan(prefix) == {}
        new = changing(size)
        store.put(f"{prefix}/m-1", new, if_absent=True)
        (entry,) = store.scan(prefix).values()
        assert isinstance(entry, File)
        assert entry.sha256 == new.sha256


def test_a_directory_gets_what_was_planned_or_nothing(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    file = changing(10)
    assert file.sha256
    with pytest.raises(Stop, match="cannot write"):
        store.put("r/a", file)
    assert store.scan("r") == {}


def test_a_file_that_a_push_counts_is_read_once_for_the_store_and_the_record() -> None:
    read = [0]

    def counted(offset: int, n: int) -> bytes:
        read[0] += len(body := MINE[offset : offset + n])
        return body

    file = File(len(MINE), counted)
    with Meter(lambda _: None, 1).counted(file) as given:
        assert whole(given) == MINE
    assert (file.sha256, read) == (of_bytes(MINE).sha256, [len(MINE)])
