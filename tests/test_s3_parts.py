"""Large objects on S3: uploads that are continued after an interruption, and the parts that nobody will need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fake_store import Fake
from tests.proxy import Forward, Reply, Request, proxy
from tests.pushes import push, repository
from tests.servers.s3 import S3Server
from tritonrepo.diagnostics import Stop
from tritonrepo.stores import open_store, s3_parts
from tritonrepo.stores.s3 import S3Store
from tritonrepo.stores.store import Conflict
from tritonrepo.tree import File, of_bytes

MIB = 1 << 20
STEP = 8 * MIB
DENIED = Reply(403, {}, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
CONTENT = b"a" * STEP + b"b" * STEP + b"c"
Tamper = Callable[[Request, Forward], Reply | None]


def forwarded(request: Request, forward: Forward) -> Reply:
    return forward(request)


@pytest.fixture(params=["s3_server", "moto_server"], ids=["seaweedfs", "moto"])
def server(request: pytest.FixtureRequest) -> S3Server:
    given: S3Server = request.getfixturevalue(request.param)
    return given


@contextmanager
def behind(server: S3Server, uri: str, tamper: Tamper = forwarded) -> Iterator[Fake]:
    """Yield the store of a URI, and what it is asked on the way."""
    asked: list[Request] = []

    def noted(request: Request, forward: Forward) -> Reply | None:
        asked.append(request)
        return tamper(request, forward)

    with proxy(server.endpoint, noted) as endpoint:
        yield Fake(*open_store(uri.replace(server.endpoint, endpoint)), asked)


def parts(asked: list[Request]) -> list[int]:
    found = [re.search(r"partNumber=(\d+)", request.path) for request in asked if request.method == "PUT"]
    return sorted(int(match[1]) for match in found if match)


def last_denied(request: Request, forward: Forward) -> Reply:
    return DENIED if "partNumber=3" in request.path else forward(request)


def left(server: S3Server, uri: str) -> list[Any]:
    """Return the keys of uploads that were not completed."""
    bucket, _, prefix = uri.removeprefix(f"s3://{server.endpoint}/").partition("/")
    found = server.client().list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    return [each["Key"].removeprefix(f"{prefix}/") for each in found]


def interrupted(server: S3Server, content: bytes = CONTENT) -> str:
    """Return the URI of a prefix with an upload that lacks its third part."""
    uri = server.fresh()
    with behind(server, uri, last_denied) as fake, pytest.raises(Stop, match=r"/w: fatal: cannot write: this account"):
        fake.store.put(f"{fake.prefix}/w", of_bytes(content), if_absent=True)
    assert left(server, uri) == ["w"]
    return uri


def stored(fake: Fake) -> bytes:
    entry = fake.store.scan(fake.prefix)["w"]
    assert isinstance(entry, File)
    return entry.content()


def test_only_parts_that_have_not_arrived_are_sent(server: S3Server) -> None:
    uri = interrupted(server)
    with behind(server, uri) as fake:
        assert fake.store.scan(fake.prefix) == {}
        tag = fake.store.put(f"{fake.prefix}/w", of_bytes(CONTENT), if_absent=True)
        assert parts(fake.asked) == [3]
        assert (stored(fake), fake.store.fetch(f"{fake.prefix}/w")) == (CONTENT, (CONTENT, tag))
    assert left(server, uri) == []


def test_parts_with_other_content_are_sent_again(server: S3Server) -> None:
    """A flipped bit, on either side, is another content."""
    uri = interrupted(server)
    new = b"a" * STEP + b"x" + b"b" * (STEP - 1) + b"c"
    with behind(server, uri) as fake:
        fake.store.put(f"{fake.prefix}/w", of_bytes(new), if_absent=True)
        assert parts(fake.asked) == [2, 3]
        assert stored(fake) == new


def test_a_shorter_file_is_not_completed_with_parts_of_a_longer_one(server: S3Server) -> None:
    uri = interrupted(server)
    with behind(server, uri) as fake:
        fake.store.put(f"{fake.prefix}/w", of_bytes(CONTENT[: STEP + 1]), if_absent=True)
        assert parts(fake.asked) == [2]
        assert stored(fake) == CONTENT[: STEP + 1]


def test_parts_of_another_size_are_not_taken_for_those_of_this_file(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = interrupted(server)
    monkeypatch.setattr(s3_parts, "PART_BYTES", 6 * MIB)
    with behind(server, uri) as fake:
        fake.store.put(f"{fake.prefix}/w", of_bytes(CONTENT), if_absent=True)
        assert parts(fake.asked) == [1, 2, 3]
        assert stored(fake) == CONTENT


def test_a_condition_holds_when_an_upload_is_completed(server: S3Server) -> None:
    uri = interrupted(server)
    with behind(server, uri) as fake:
        fake.store.put(f"{fake.prefix}/w", of_bytes(b"theirs"))
        with pytest.raises(Conflict):
            fake.store.put(f"{fake.prefix}/w", of_bytes(CONTENT), if_absent=True)
        assert stored(fake) == b"theirs"
    assert left(server, uri) == []


def test_an_upload_whose_last_reply_is_lost_is_complete(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    lost: list[Request] = []

    def tamper(request: Request, forward: Forward) -> Reply | None:
        if request.method == "POST" and "uploadId" in request.path and not lost:
            lost.append(request)
            forward(request)
            return None
        return forward(request)

    uri = server.fresh()
    with behind(server, uri, tamper) as fake:
        tag = fake.store.put(f"{fake.prefix}/w", of_bytes(CONTENT), if_absent=True)
        assert fake.store.fetch(f"{fake.prefix}/w") == (CONTENT, tag)
    assert len(lost) == 1


LISTS = {"uploads": re.compile(r"\?.*uploads"), "parts": re.compile(r"\?.*uploadId")}


@pytest.mark.parametrize("what", LISTS)
def test_who_may_not_list_sends_everything(server: S3Server, what: str) -> None:
    uri = interrupted(server)

    def tamper(request: Request, forward: Forward) -> Reply:
        return DENIED if request.method == "GET" and LISTS[what].search(request.path) else forward(request)

    with behind(server, uri, tamper) as fake:
        fake.store.put(f"{fake.prefix}/w", of_bytes(CONTENT), if_absent=True)
        assert parts(fake.asked) == [1, 2, 3]
        assert stored(fake) == CONTENT


def test_who_may_not_list_leaves_nothing_that_nobody_could_continue(server: S3Server) -> None:
    def tamper(request: Request, forward: Forward) -> Reply:
        is_list = request.method == "GET" and LISTS["uploads"].search(request.path)
        return DENIED if is_list else last_denied(request, forward)

    uri = server.fresh()
    with behind(server, uri, tamper) as fake, pytest.raises(Stop, match="cannot write: this account"):
        fake.store.put(f"{fake.prefix}/w", of_bytes(CONTENT), if_absent=True)
    assert left(server, uri) == []


def test_a_file_that_changes_while_it_is_sent_leaves_nothing(server: S3Server) -> None:
    uri = server.fresh()
    shorter = File(2 * STEP, lambda offset, n: b"x" * min(n, STEP + 1 - offset))
    with behind(server, uri) as fake, pytest.raises(OSError, match="the file has changed"):
        fake.store.put(f"{fake.prefix}/w", shorter, if_absent=True)
    assert left(server, uri) == []


def test_an_upload_that_another_run_removed_is_begun_again(s3_server: S3Server) -> None:
    uri = interrupted(s3_server)
    bucket, _, prefix = uri.removeprefix(f"s3://{s3_server.endpoint}/").partition("/")
    own = s3_server.client()
    removed: list[str] = []

    def tamper(request: Request, forward: Forward) -> Reply:
        if "partNumber=3" in request.path and not removed:
            (each,) = own.list_multipart_uploads(Bucket=bucket, Prefix=prefix)["Uploads"]
            removed.append(each["UploadId"])
            own.abort_multipart_upload(Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"])
        return forward(request)

    with behind(s3_server, uri, tamper) as fake:
        fake.store.put(f"{fake.prefix}/w", of_bytes(CONTENT), if_absent=True)
        assert stored(fake) == CONTENT
    assert len(removed) == 1


def test_parts_that_nobody_will_need_are_removed_and_those_of_others_are_not(server: S3Server) -> None:
    uri = server.fresh()
    store, prefix = open_store(uri)
    assert isinstance(store, S3Store)
    bucket = uri.removeprefix(f"s3://{server.endpoint}/").partition("/")[0]
    for path in ("m/7/w", "other/1/w", "m2/1/w"):
        server.client().create_multipart_upload(Bucket=bucket, Key=f"{prefix}/{path}")
    store.scan(prefix)
    store._at.began_s += 3600  # noqa: SLF001  as if all these were begun an hour ago
    assert store.tidy(prefix, ["m"]) == ""
    assert sorted(left(server, uri)) == ["m2/1/w", "other/1/w"]


def test_parts_that_somebody_sends_right_now_are_left_alone(s3_server: S3Server) -> None:
    uri = s3_server.fresh()
    store, prefix = open_store(uri)
    assert isinstance(store, S3Store)
    store.scan(prefix)
    store._at.began_s -= 3600  # noqa: SLF001  as if this run took an hour
    bucket = uri.removeprefix(f"s3://{s3_server.endpoint}/").partition("/")[0]
    s3_server.client().create_multipart_upload(Bucket=bucket, Key=f"{prefix}/m/7/w")
    assert store.tidy(prefix, ["m"]) == ""
    assert left(s3_server, uri) == ["m/7/w"]


def test_a_push_removes_what_killed_ones_left_of_its_models_or_says_why_not(
    tmp_path: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = s3_server.fresh()
    bucket, _, prefix = uri.removeprefix(f"s3://{s3_server.endpoint}/").partition("/")
    for model in ("leaf", "foreign"):
        s3_server.client().create_multipart_upload(Bucket=bucket, Key=f"{prefix}/{model}/1/w")
    monkeypatch.setattr(s3_parts, "YOUNG_S", -3600)

    def tamper(request: Request, forward: Forward) -> Reply:
        return DENIED if request.method == "GET" and LISTS["uploads"].search(request.path) else forward(request)

    with behind(s3_server, uri, tamper) as fake:
        assert isinstance(fake.store, S3Store)
        endpoint = fake.store.address.uri
        assert push(repository(tmp_path / "m", 1), endpoint, "-v") == 0
        said = capsys.readouterr().err
        assert "info: cannot remove the parts of unfinished uploads: this account does not have the permission" in said
        assert "s3:AbortMultipartUpload" in said
        assert push(repository(tmp_path / "n", 2), endpoint) == 0
        assert "unfinished uploads" not in capsys.readouterr().err
    assert sorted(left(s3_server, uri)) == ["foreign/1/w", "leaf/1/w"]
    assert push(repository(tmp_path / "o", 3), uri) == 0
    assert left(s3_server, uri) == ["foreign/1/w"]
