"""Files from web servers, which the stack file pins by digest, and objects in buckets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import ranged, sha256
from tests.servers.gcs import GCSServer
from tests.servers.s3 import S3Server
from tests.servers.serving import free_ports
from tests.speaking import Asked, Said, Speaking, speaking
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.sources import patience
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.resolve import Resolved, resolve
from tritonrepo.spec.lock import Pin
from tritonrepo.spec.source import parse_source
from tritonrepo.tree import digest

AT = Span("stack.yaml", 3, 5)
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def own(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between requests, which nobody waits for."""
    pauses: list[float] = []
    monkeypatch.setattr(patience, "pause", pauses.append)
    return pauses


def got(cache: Cache, text: str, pin: Pin | None = None) -> Resolved:
    return resolve(parse_source(text), "x86_64", cache, pin, AT)


def contents(resolved: Resolved) -> dict[str, bytes]:
    return {path: file.content() for path, file in resolved.files.items()}


def fault(cache: Cache, text: str, pin: Pin | None = None) -> tuple[str, str, str]:
    """Return rule, message and hint of the one refusal, at the place of the source."""
    with pytest.raises(Stop) as stop:
        got(cache, text, pin)
    (told,) = stop.value.diagnostics
    assert (told.at, told.severity) == (AT, "fatal")
    return told.rule, told.message, told.hint


def kept(cache: Cache) -> list[Path]:
    return [path for name in ("blobs", "partial") for path in (cache.root / name).rglob("*") if path.is_file()]


@pytest.fixture
def web() -> Iterator[Speaking]:
    """A server with one file under every name; it knows ranges."""
    with speaking(lambda asked: ranged(asked, CONTENT)) as server:
        yield server


def pinned(url: str, content: bytes = CONTENT) -> str:
    return f"{url}#sha256={sha256(content)}"


def test_a_file_is_fetched_once_and_verified(web: Speaking, tmp_path: Path) -> None:
    said: list[str] = []
    counts: list[tuple[str, int, int]] = []
    own = Cache(tmp_path / "cache", said.append, lambda *count: counts.append(count))
    for _ in range(2):
        found = got(own, pinned(f"{web.url}/a/model%20q4.gguf?download=1").replace("sha256=", "sha256="))
        assert (contents(found), found.single) == ({"model q4.gguf": CONTENT}, True)
        assert found.pin == Pin(sha256=sha256(CONTENT), size=len(CONTENT))
    assert [asked.path for asked in web.asked] == ["/a/model%20q4.gguf?download=1"]
    assert contents(got(own, pinned(f"{web.url}/b/other").upper().replace("HTTP", "http").replace("SHA256", "sha256")))
    assert len(web.asked) == 1
    assert said == [f"downloading {web.url}/a/model%20q4.gguf?download=1"]
    assert counts[-1] == (said[0], len(CONTENT), len(CONTENT))
    assert counts == sorted(counts)


LEFT = {
    "of something else": (b"x" * 1000, [f"bytes={1000}-", None]),
    "longer than the file": (b"x" * (len(CONTENT) + 1), [f"bytes={len(CONTENT) + 1}-", None]),
    "all of it": (CONTENT, []),
}


@pytest.mark.parametrize(("left", "ranges"), LEFT.values(), ids=LEFT)
def test_what_a_killed_run_left_is_verified_as_a_whole(
    web: Speaking, own: Cache, left: bytes, ranges: list[str | None]
) -> None:
    place = own.root / "partial" / f"sha256-{sha256(CONTENT)}"
    place.parent.mkdir(parents=True)
    place.write_bytes(left)
    assert contents(got(own, pinned(f"{web.url}/m"))) == {"m": CONTENT}
    assert [asked.head.get("range") for asked in web.asked] == ranges
    assert not place.exists()


def test_another_digest_than_the_stack_names_keeps_nothing(web: Speaking, own: Cache) -> None:
    rule, message, hint = fault(own, pinned(f"{web.url}/m", b"other"))
    assert (rule, message) == (
        "source-web",
        f"{web.url}/m does not have the SHA-256 {sha256(b'other')[:12]}…, so it was not kept",
    )
    assert hint == "Check why the file has changed. To accept it, set #sha256= to its new digest."
    assert kept(own) == []


def test_a_broken_connection_is_continued_also_by_the_next_run(own: Cache) -> None:
    said = iter([Said(CONTENT[:1000], head={"Content-Length": str(len(CONTENT))}), *[Said(b"", 503)] * 5])
    with speaking(lambda asked: next(said, None) or ranged(asked, CONTENT)) as server:
        rule, message, hint = fault(own, pinned(f"{server.url}/m"))
        assert (rule, message) == (
            "source-web",
            f"{server.url}/m cannot be downloaded: the server replies with status 503",
        )
        assert hint == "Check the network connection. What was downloaded is kept: run the command again."
        assert contents(got(own, pinned(f"{server.url}/m"))) == {"m": CONTENT}
        assert server.asked[-1].head["range"] == "bytes=1000-"


def test_a_body_without_a_length_is_read_to_its_end(own: Cache) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (CONTENT[:5000], CONTENT[5000:])) + b"0\r\n\r\n"
    said = iter([Said(chunks[:6000], head={"Transfer-Encoding": "chunked"})])
    with speaking(lambda _: next(said, None) or Said(chunks, head={"Transfer-Encoding": "chunked"})) as server:
        assert contents(got(own, pinned(f"{server.url}/m"))) == {"m": CONTENT}


def test_a_server_that_is_not_there_is_told_at_once(own: Cache, waited: list[float]) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}/m"
    assert fault(own, pinned(url))[1] == f"{url} cannot be downloaded: Connection refused"
    assert waited == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_told(own: Cache, status: int) -> None:
    with speaking(lambda _: Said(b"", status)) as server:
        found = fault(own, pinned(f"{server.url}/m"))
    message = f"{server.url}/m cannot be downloaded: the server replies with status {status}"
    assert found == ("source-web", message, "Check the URL. It must be public.")


def test_a_redirect_is_followed_on_this_machine_and_not_to_an_unencrypted_one(web: Speaking, own: Cache) -> None:
    def moved(asked: Asked) -> Said:
        return Said(b"", 302, {"Location": f"{web.url}/x" if asked.path == "/m" else "http://192.0.2.1/x"})

    with speaking(moved) as server:
        assert contents(got(own, pinned(f"{server.url}/m"))) == {"m": CONTENT}
        assert fault(own, pinned(f"{server.url}/n", b"other"))[1].endswith("http://192.0.2.1/x, which is not encrypted")


def test_a_proxy_is_not_used_for_this_machine(web: Speaking, own: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:1")
    assert contents(got(own, pinned(f"{web.url}/m"))) == {"m": CONTENT}


@pytest.mark.parametrize("name", ["%2e%2e", "a%00b", "%1b[31m", "a%5Cb"])
def test_a_name_that_could_not_be_a_file_here_is_refused(web: Speaking, own: Cache, name: str) -> None:
    rule, message, _ = fault(own, pinned(f"{web.url}/{name}"))
    assert rule == "source-web"
    assert "which cannot be a file here" in message
    assert web.asked == []


@pytest.fixture(params=["s3_server", "gcs_server"], ids=["s3", "gcs"])
def server(request: pytest.FixtureRequest) -> S3Server | GCSServer:
    """A store of each kind."""
    found: S3Server | GCSServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def prefix(server: S3Server | GCSServer) -> str:
    """The URI of a prefix with three objects."""
    uri = server.fresh()
    for path, content in OBJECTS.items():
        server.write(f"{uri}/{path}", content)
    return uri


OBJECTS = {"config.json": b"{}", "sub/a": CONTENT, "sub/b": b""}


def test_all_objects_under_a_prefix_are_fetched_and_pinned_by_their_tree(prefix: str, tmp_path: Path) -> None:
    said: list[str] = []
    own = Cache(tmp_path / "cache", said.append)
    found = got(own, prefix)
    assert (contents(found), found.single) == (OBJECTS, False)
    assert found.pin == Pin(sha256=digest(found.files), size=2 + len(CONTENT))
    assert contents(got(own, prefix)) == OBJECTS
    assert said == [f"downloading {prefix}: 3 files, 10.0 KiB"]
    assert not list((own.root / "partial").iterdir())


def test_an_object_is_a_source_too(prefix: str, own: Cache) -> None:
    pin = None
    for _ in ("downloaded", "pinned"):
        found = got(own, f"{prefix}/sub/a", pin)
        assert (contents(found), found.single) == ({"a": CONTENT}, True)
        pin = found.pin
    assert contents(got(own, f"{prefix}/sub")) == {"a": CONTENT, "b": b""}
    rule, message, _ = fault(own, f"{prefix}/su")
    assert (rule, message) == ("source-missing", f"{prefix}/su does not exist")


def test_pinned_objects_come_from_the_cache_and_other_ones_are_refused(
    server: S3Server | GCSServer, prefix: str, own: Cache, tmp_path: Path
) -> None:
    pin = got(own, prefix).pin
    server.write(f"{prefix}/config.json", b"[]")
    assert contents(got(own, prefix, pin)) == OBJECTS
    rule, message, hint = fault(Cache(tmp_path / "other"), prefix, pin)
    assert rule == "source-changed"
    assert message.endswith(f"but the lock pins {pin.sha256[:12]}…")
    assert hint.startswith("Check why its objects have changed.")
    assert contents(got(own, prefix)) == {**OBJECTS, "config.json": b"[]"}


def test_an_object_is_continued_where_a_killed_run_left_it(
    prefix: str, own: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Stop([])

    with monkeypatch.context() as patched:
        patched.setattr(Cache, "keep", full)
        with pytest.raises(Stop):
            got(own, f"{prefix}/sub/a")
    (part,) = (own.root / "partial").iterdir()
    assert part.read_bytes() == CONTENT
    part.write_bytes(b"!" * 3000)
    seen = contents(got(own, f"{prefix}/sub/a"))["a"]
    assert seen == b"!" * 3000 + CONTENT[3000:]  # the rest alone was read
    assert contents(got(Cache(tmp_path / "other"), f"{prefix}/sub/a")) == {"a": CONTENT}


def test_a_bucket_of_google_that_refuses_is_told_at_the_source(
    gcs_server: GCSServer, own: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = gcs_server.uri("none-at-all", "x")
    assert fault(own, none)[:2] == ("store-access", f"{none}: cannot list: the bucket does not exist (404)")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{free_ports(1)[0]}")
    rule, message, hint = fault(own, none)
    assert (rule, message) == ("store-access", f"{none}: cannot list: the store does not respond")
    assert hint == "Check the network and, if it is set, STORAGE_EMULATOR_HOST."
    assert fault(own, "gs://models//x")[0] == "store-uri"


def test_a_store_that_refuses_is_told_at_the_source(s3_server: S3Server, own: Cache) -> None:
    none = s3_server.uri(f"none-{uuid.uuid4().hex[:8]}", "x")
    rule, message, _ = fault(own, none)
    assert rule in {"store-access", "source-missing"}
    assert message.startswith(none)
    url = f"s3://http://127.0.0.1:{free_ports(1)[0]}/b/k"
    rule, message, hint = fault(own, url)
    assert (rule, message) == ("store-access", f"{url}: cannot list: the endpoint does not respond")
    assert hint.startswith("Check that the store runs")
    assert fault(own, "s3://b:1/c//d/../e")[0] == "store-uri"


def test_a_key_that_could_not_be_a_file_here_is_refused(server: S3Server | GCSServer, own: Cache) -> None:
    uri = server.fresh()
    for key in ("x", "X"):
        server.write(f"{uri}/{key}", key.encode())
    rule, message, _ = fault(own, uri)
    assert (rule, message) == (
        "source-bucket",
        f'{uri} contains both "X" and "x", which is one file where case does not count',
    )
