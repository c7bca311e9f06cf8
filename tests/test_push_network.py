"""`tritonrepo push` over a bad network and to limited stores: the real store behind a proxy that damages traffic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults import FAULTS, Place, impatient, place, through
from tests.proxy import Forward, Reply, Request, Tamper, proxy
from tests.pushes import beside, own_files, push, repository, stored
from tests.servers.s3 import S3Server
from tritonrepo.sync import holder, lock
from tritonrepo.sync.revision import record_path

DENIED = Reply(403, {}, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")


KINDS = ("s3_server", "gcs_server")
CLOCK = "this machine's clock is ahead"
"""Of which only what is signed depends, so only S3."""

SURVIVED = (
    "each request is reset once",
    "the reply to each conditional write is lost once",
    "each body is cut off once",
    "a bit of each upload is flipped once",
    CLOCK,
)
REPORTED = (
    "403 to writes in the middle",
    "lists are those of the beginning",
)
"""All of tests/faults.py is in benchmarks/store_faults.md, with more operations; these are different in kind."""


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest) -> Place:
    """An unused prefix of each kind of store."""
    return place(request.getfixturevalue(request.param))


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Let nobody wait between attempts."""
    with impatient():
        yield


@pytest.mark.parametrize(
    ("there", "fault"),
    [(kind, fault) for fault in SURVIVED for kind in KINDS if kind == "s3_server" or fault != CLOCK],
    indirect=["there"],
)
def test_what_a_network_loses_is_sent_again(tmp_path: Path, there: Place, fault: str) -> None:
    with through(there, FAULTS[fault]) as uri:
        assert push(repository(tmp_path / "m", 1), uri) == 0
        assert push(repository(tmp_path / "n", 2), uri) == 0
    assert beside(there.direct) == ["release.json"]
    assert stored(there.direct).items() >= own_files(tmp_path / "n").items()


@pytest.mark.parametrize("fault", REPORTED)
def test_what_a_push_cannot_survive_is_reported_and_the_next_one_completes_it(
    tmp_path: Path, there: Place, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    assert push(repository(tmp_path / "m", 1), there.direct) == 0
    with through(there, FAULTS[fault]) as uri:
        assert push(repository(tmp_path / "n", 2), uri) in {1, 2}
    said = capsys.readouterr().err
    assert re.search("(error|fatal): ", said)  # fatal if not even the first write was allowed
    assert "Traceback" not in said
    assert push(tmp_path / "n", there.direct) == 0
    assert beside(there.direct) == ["release.json"]
    assert stored(there.direct).items() >= own_files(tmp_path / "n").items()


def careless(server: S3Server) -> Tamper:
    """A store that ignores conditions: what the real one refused is written anyway."""

    def tamper(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if reply.status != 412:
            return reply
        bucket, _, key = request.key.strip("/").partition("/")
        done = server.client().put_object(Bucket=bucket, Key=key, Body=request.body)
        return Reply(200, {"ETag": done["ETag"]}, b"")

    return tamper


def test_a_store_that_ignores_conditions_is_refused_unless_told_otherwise(
    tmp_path: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    direct, made = s3_server.fresh(), repository(tmp_path / "m", 1)
    with proxy(s3_server.endpoint, careless(s3_server)) as endpoint:
        uri = direct.replace(s3_server.endpoint, endpoint)
        assert push(made, uri) == 1
        said = capsys.readouterr().err
        assert f"{uri}: error: the store ignores conditional writes, so it cannot prevent two concurrent pushes" in said
        assert "add --no-lock" in said
        assert stored(direct) == {}
        assert beside(direct) == []
        assert push(made, uri, "--no-lock") == 0
    assert beside(direct) == ["release.json"]
    assert push(made, direct) == 0


def test_a_store_that_knows_no_conditions_is_refused_unless_told_otherwise(
    tmp_path: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def tamper(request: Request, forward: Forward) -> Reply:
        unknown = Reply(501, {}, b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>")
        return unknown if request.is_conditional else forward(request)

    direct, made = s3_server.fresh(), repository(tmp_path / "m", 1)
    with proxy(s3_server.endpoint, tamper) as endpoint:
        uri = direct.replace(s3_server.endpoint, endpoint)
        assert push(made, uri) == 1
        assert "[push-unconditional]" in capsys.readouterr().err
        assert push(made, uri, "--no-lock") == 0
    assert beside(direct) == ["release.json"]


def test_a_refusal_in_the_middle_is_exit_1_and_leaves_no_lock(
    tmp_path: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    direct, made = s3_server.fresh(), repository(tmp_path / "m", 1)
    refused = re.compile("/leaf/1/")

    def tamper(request: Request, forward: Forward) -> Reply:
        return DENIED if request.method == "PUT" and refused.search(request.key) else forward(request)

    with proxy(s3_server.endpoint, tamper) as endpoint:
        assert push(made, direct.replace(s3_server.endpoint, endpoint)) == 1
    said = capsys.readouterr().err
    assert "cannot write: " in said
    assert "[push-broken-off]" in said
    assert "Traceback" not in said
    assert "lock.json" not in beside(direct)
    assert push(made, direct) == 0


def without(pattern: bytes, header: str = "") -> Tamper:
    """Remove something from every reply."""

    def tamper(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        headers = {name: value for name, value in reply.headers.items() if name.lower() != header}
        return reply._replace(headers=headers, body=re.sub(pattern, b"", reply.body))

    return tamper


def endless(request: Request, forward: Forward) -> Reply:
    reply = forward(request)
    return reply._replace(body=reply.body.replace(b"<IsTruncated>false", b"<IsTruncated>true"))


LACKING: dict[str, tuple[Tamper, str]] = {
    "no ETag in headers": (without(b"(?!)", "etag"), "the store's reply has no ETag"),
    "no ETag in listings": (without(b"<ETag>.*?</ETag>"), "the store's reply has no ETag"),
    "no size in listings": (without(b"<Size>.*?</Size>"), "the store's reply has no Size"),
    "no continuation token": (endless, "the store's reply has no continuation token"),
    "listings cut off": (without(b"</ListBucketResult>"), "cannot list: "),
}


@pytest.mark.parametrize(("tamper", "message"), LACKING.values(), ids=LACKING)
def test_a_reply_that_lacks_something_is_one_message(
    tmp_path: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str], tamper: Tamper, message: str
) -> None:
    direct, made = s3_server.fresh(), repository(tmp_path / "m", 1)
    assert push(made, direct) == 0
    with proxy(s3_server.endpoint, tamper) as endpoint:
        assert push(repository(tmp_path / "n", 2), direct.replace(s3_server.endpoint, endpoint)) in {1, 2}
    assert message in capsys.readouterr().err


DEEP = b"[" * 10_000 + b"]" * 10_000
FOREIGN = {
    "nested deep": DEEP,
    "nested deep inside": b'{"by": ' + DEEP + b"}",
    "a NUL": b'{"machine": "MACHINE", "pid": "1\\u0000", "born": ""}',
    "a raw NUL": b"\0",
    "a path for a process": b'{"machine": "MACHINE", "pid": "../../etc", "born": "x"}',
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_lock_or_a_record_of_any_content_is_no_bug(
    tmp_path: Path,
    s3_server: S3Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:
    monkeypatch.setattr(lock, "SILENT_S", 0)
    monkeypatch.setattr(lock, "GRACE_S", -lock.VALID_S)
    uri, made = s3_server.fresh(), repository(tmp_path / "m", 1)
    machine = json.dumps(holder.machine()).encode()[1:-1]
    bucket, _, prefix = urlsplit(uri.removeprefix("s3://")).path.strip("/").partition("/")
    put = s3_server.client().put_object
    put(Bucket=bucket, Key=f"{prefix}.tritonrepo/lock.json", Body=content.replace(b"MACHINE", machine))
    assert push(made, uri) == 0
    put(Bucket=bucket, Key=record_path(prefix), Body=content)
    assert push(made, uri) == 2
    assert "the file is not a release record" in capsys.readouterr().err
