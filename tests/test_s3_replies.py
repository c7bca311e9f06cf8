"""What an S3 store may reply: asked again, understood, or told; and what is sent to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from boto3.session import Session

from tests.fake_store import Fake, Then, Told
from tests.proxy import Reply, Request, proxy
from tests.tabled import tabled
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.stores import presigned, s3, s3_client, s3_parts
from tritonrepo.stores.store import Conflict, Late, Store, Tag, Unconditional, Write
from tritonrepo.tree import File, of_bytes

MIB = 1 << 20
LISTED = Reply(200, {}, b"<ListBucketResult></ListBucketResult>")
WRITTEN = Reply(200, {"ETag": '"new"'}, b"")
BODY = Reply(200, {"ETag": '"tag"'}, b"0123456789")


def refusal(status: int, code: str = "", message: str = "") -> Reply:
    return Reply(
        status, {}, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode() if code else b""
    )


BUSY = refusal(503, "SlowDown", "fewer")
DENIED = refusal(403, "AccessDenied", "no")


TOLD = Told()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A fake store: one for all tests, as it takes half a second to end."""
    with proxy("http://127.0.0.1:1", TOLD.reply) as given:
        yield given


@pytest.fixture(scope="module")
def session() -> Session:
    """The clients' common part, which takes long to make."""
    return Session()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, endpoint: str, session: Session) -> None:
    """Try again without a pause."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr(presigned, "PAUSE_S", 0)
    monkeypatch.setattr("boto3.session.Session", lambda: session)
    monkeypatch.setattr("tests.test_s3_replies.FAKE", f"s3://{endpoint}/models/prod")


FAKE = ""


def answering(*replies: Reply | None, then: Then = LISTED) -> AbstractContextManager[Fake]:
    return TOLD.answering(FAKE, *replies, then=then)


def test_a_store_that_never_has_time_is_asked_six_times_and_then_told() -> None:
    """Once for an absent endpoint, then five times."""
    with answering(*[BUSY] * 5) as fake:
        assert fake.store.scan(fake.prefix) == {}
        assert len(fake.asked) == 6
    with answering(then=BUSY) as fake, pytest.raises(Stop) as stop:
        fake.store.scan(fake.prefix)
    assert len(fake.asked) == 6
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity) == ("store-access", Severity.FATAL)
    assert told.message == "cannot list: the store keeps asking for fewer requests (SlowDown)"
    assert told.hint == "Run the command again later to continue."


def test_a_store_that_has_replied_once_is_asked_five_times() -> None:
    with answering(LISTED, *[BUSY] * 4) as fake:
        for _ in range(2):
            assert fake.store.scan(fake.prefix) == {}
        assert len(fake.asked) == 6
    with answering(LISTED, *[BUSY] * 5) as fake:
        fake.store.scan(fake.prefix)
        with pytest.raises(Stop, match="the store keeps asking for fewer requests"):
            fake.store.scan(fake.prefix)
        assert len(fake.asked) == 6


def test_a_connection_that_is_lost_is_made_again() -> None:
    with answering(None, None) as fake:
        assert fake.store.scan(fake.prefix) == {}
    assert len(fake.asked) == 3


@pytest.mark.parametrize("status", [400, 403, 499])
def test_a_refusal_is_not_asked_again(status: int) -> None:
    with answering(then=refusal(status, "AccessDenied")) as fake, pytest.raises(Stop, match=r"\(AccessDenied\)"):
        fake.store.scan(fake.prefix)
    assert len(fake.asked) == 1


def test_a_token_that_comes_again_ends_the_listing() -> None:
    page = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        b'<Contents><Key>prod/a</Key><ETag>"x"</ETag><Size>1</Size></Contents></ListBucketResult>'
    )
    with answering(*[Reply(200, {}, page)] * 4) as fake, pytest.raises(Stop) as stop:
        fake.store.scan(fake.prefix)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.message) == ("store-reply", "cannot list: the store's reply has no continuation token")
    assert told.hint == "Check that this is the S3 API of a store, and read the store's log."
    asked = [parse_qs(urlsplit(request.path).query) for request in fake.asked]
    assert [each.get("continuation-token") for each in asked] == [None, ["t"]]
    assert [each["prefix"] for each in asked] == [["prod/"]] * 2


def test_a_body_that_is_cut_off_is_asked_for_four_times() -> None:
    with answering(*[BODY._replace(sent=4)] * 3, then=BODY) as fake:
        assert fake.store.fetch("r/a") == (b"0123456789", "tag")
        assert len(fake.asked) == 4
    with answering(then=BODY._replace(sent=4)) as fake:
        with pytest.raises(Stop, match="r/a: fatal: cannot read: "):
            fake.store.fetch("r/a")
        assert len(fake.asked) == 4


def test_a_refusal_without_its_text_is_asked_for_four_times() -> None:
    with answering(*[refusal(404)] * 3, then=BODY) as fake:
        assert fake.store.fetch("r/a") == (b"0123456789", "tag")
    with answering(then=refusal(404)) as fake:
        with pytest.raises(Stop, match=r"cannot read: the bucket does not exist \(NoSuchBucket\)"):
            fake.store.fetch("r/a")
        assert len(fake.asked) == 4


def test_a_refusal_with_its_text_is_asked_for_once() -> None:
    with answering(then=refusal(404, "NoSuchKey")) as fake:
        assert fake.store.fetch("r/a") is None
        assert len(fake.asked) == 1
    with answering(then=DENIED) as fake:
        with pytest.raises(Stop, match=r"r/a: fatal: cannot read: this account does not have the permission"):
            fake.store.fetch("r/a")
        assert len(fake.asked) == 1


def test_a_part_is_asked_for_by_its_bytes_and_only_of_the_content_that_was_listed() -> None:
    item = b'<Contents><Key>prod/a</Key><ETag>"listed"</ETag><Size>10</Size></Contents>'
    with answering(Reply(200, {}, b"<ListBucketResult>" + item + b"</ListBucketResult>"), then=BODY) as fake:
        entry = fake.store.scan(fake.prefix)["a"]
        assert isinstance(entry, File)
        entry.read(2, 5)
        assert entry.read(10, 5) == b""
    (_, part) = fake.asked
    assert (part.headers["Range"], part.headers["If-Match"].strip('"')) == ("bytes=2-6", "listed")


@pytest.mark.parametrize("reply", [refusal(404, "NoSuchKey"), refusal(412, "PreconditionFailed")])
def test_an_object_that_is_gone_or_another_since_its_scan_is_a_failure_of_this_run(reply: Reply) -> None:
    item = b'<Contents><Key>prod/a</Key><ETag>"listed"</ETag><Size>10</Size></Contents>'
    with answering(Reply(200, {}, b"<ListBucketResult>" + item + b"</ListBucketResult>"), then=reply) as fake:
        entry = fake.store.scan(fake.prefix)["a"]
        assert isinstance(entry, File)
        with pytest.raises(Stop) as stop:
            entry.read(0, 5)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity) == ("store-changed", Severity.ERROR)
    assert told.message == "the object was overwritten or removed while it was being read"
    assert told.hint == "Run the command again when no push is running."


FILE = of_bytes(b"mine")
TAG = Tag("seen")
ABSENT = ("If-None-Match", "*")
MATCH = ("If-Match", '"seen"')
WRITES: dict[str, tuple[Callable[[Store], object], tuple[str, str]]] = {
    "a plain key": (lambda store: store.put("r/a", FILE, if_absent=True), ABSENT),
    "an odd key": (lambda store: store.put("r/a b", FILE, if_absent=True), ABSENT),
    "over what was seen": (lambda store: store.put("r/a", FILE, if_match=TAG), MATCH),
    "a ticket": (lambda store: store.ticket(Write("r/a", FILE, if_absent=True), 60)(), ABSENT),
    "a ticket over what was seen": (lambda store: store.ticket(Write("r/a", FILE, if_match=TAG), 60)(), MATCH),
    "a ticket to remove what was seen": (lambda store: store.ticket(Write("r/a", None, if_match=TAG), 60)(), MATCH),
}
UNMET = {
    "the condition failed": refusal(412, "PreconditionFailed"),
    "the condition failed, without words": refusal(412),
    "another write at the same time": refusal(409, "ConditionalRequestConflict"),
    "another write at the same time, without words": refusal(409),
}


@pytest.mark.parametrize(("write", "condition"), WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("reply", UNMET.values(), ids=UNMET)
def test_a_condition_that_is_not_met_is_a_conflict(
    write: Callable[[Store], object], condition: tuple[str, str], reply: Reply
) -> None:
    with answering(then=reply) as fake:
        with pytest.raises(Conflict, match=r"^r/a"):
            write(fake.store)
        name, value = condition
        headers = {each.lower(): said for each, said in fake.asked[-1].headers.items()}
        assert headers[name.lower()] == value


@pytest.mark.parametrize(("write", "condition"), WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("reply", [refusal(501, "NotImplemented"), refusal(501)], ids=["with words", "without"])
def test_a_condition_that_is_unknown_is_no_conflict(
    write: Callable[[Store], object], condition: tuple[str, str], reply: Reply
) -> None:
    assert condition
    with answering(then=reply) as fake, pytest.raises(Unconditional, match=r"^r/a"):
        write(fake.store)


def test_what_was_to_be_overwritten_and_is_gone_is_a_conflict() -> None:
    with answering(then=refusal(404, "NoSuchKey")) as fake:
        with pytest.raises(Conflict):
            fake.store.put("r/a", FILE, if_match=TAG)
        with pytest.raises(Conflict):
            fake.store.ticket(Write("r/a", FILE, if_match=TAG), 60)()


@tabled(("write", "condition"), WRITES.values(), ids=WRITES)
def test_any_other_refusal_of_a_write_is_told(write: Callable[[Store], object], condition: tuple[str, str]) -> None:
    assert condition
    with (
        answering(then=DENIED) as fake,
        pytest.raises(Stop, match=r"/models/prod: r/a( b)?: fatal: cannot (write|delete): "),
    ):
        write(fake.store)


@pytest.mark.parametrize("path", ["r/a", "r/a b"], ids=["a plain key", "an odd key"])
def test_a_write_without_a_condition_sends_none(path: str) -> None:
    with answering(then=WRITTEN) as fake:
        assert fake.store.put(path, FILE) == "new"
        assert fake.store.ticket(Write(path, FILE), 60)() == "new"
    assert [unquote(request.key) for request in fake.asked] == [f"/models/{path}"] * 2
    assert [request.body for request in fake.asked] == [b"mine"] * 2
    assert not [request for request in fake.asked if request.is_conditional]


@pytest.mark.parametrize("path", ["r/a", "r/a b"], ids=["a plain key", "an odd key"])
def test_a_write_that_gets_no_tag_is_told(path: str) -> None:
    with answering(then=Reply(200, {}, b"")) as fake:
        for write in (lambda: fake.store.put(path, FILE), fake.store.ticket(Write(path, FILE), 60)):
            with pytest.raises(Stop, match=r"r/a.*: fatal: cannot .* ETag"):
                write()


SENT = {
    "busy": (refusal(429), 3),
    "failing": (refusal(500, "InternalError"), 3),
    "lost": (None, 3),
}


@pytest.mark.parametrize(("reply", "times"), SENT.values(), ids=SENT)
def test_a_prepared_write_is_sent_four_times(monkeypatch: pytest.MonkeyPatch, reply: Reply | None, times: int) -> None:
    slept: list[float] = []
    monkeypatch.setattr(presigned, "time", SimpleNamespace(sleep=slept.append))
    with answering(*[reply] * times, then=WRITTEN) as fake:
        assert fake.store.ticket(Write("r/a", FILE), 60)() == "new"
    with answering(*[reply] * (times + 1), then=WRITTEN) as fake:
        with pytest.raises(Stop, match="r/a: fatal: cannot write: "):
            fake.store.ticket(Write("r/a", FILE), 60)()
        assert len(fake.asked) == 4


def test_the_pauses_of_a_prepared_write_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(presigned, "time", SimpleNamespace(sleep=slept.append))
    monkeypatch.setattr(presigned, "PAUSE_S", 2)
    with answering(*[BUSY] * 3, then=WRITTEN) as fake:
        fake.store.ticket(Write("r/a", FILE), 60)()
    assert slept == [2, 4, 6]


def test_a_prepared_write_that_may_be_on_its_way_is_given_up_only_after_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store may have taken it: whoever sees it fail lets others write."""
    slept: list[float] = []
    monkeypatch.setattr(presigned, "time", SimpleNamespace(sleep=slept.append))
    with answering(*[None] * 4) as fake, pytest.raises(Stop):
        fake.store.ticket(Write("r/a", FILE), 600)()
    assert slept[:3] == [0, 0, 0]
    assert 500 < slept[3] <= 601
    assert len(slept) == 4
    with answering(*[None] * 4) as fake, pytest.raises(Stop):
        fake.store.ticket(Write("r/a", FILE), -600)()
    assert slept[7] == 0


EXPIRED = refusal(403, "AccessDenied", "Request has expired")


@pytest.mark.parametrize(("reply", "seconds"), [(EXPIRED, 60), (DENIED, -1)], ids=["by its words", "by its time"])
def test_a_prepared_write_that_comes_too_late_is_told_apart_and_sent_once(reply: Reply, seconds: int) -> None:
    with answering(then=reply) as fake:
        with pytest.raises(Late, match="r/a"):
            fake.store.ticket(Write("r/a", FILE), seconds)()
        assert len(fake.asked) == 1


def test_a_prepared_write_that_is_refused_in_time_is_not_late() -> None:
    with answering(then=DENIED) as fake:
        with pytest.raises(Stop, match=r"this account does not have the permission \(AccessDenied\)"):
            fake.store.ticket(Write("r/a", FILE), 60)()
        assert len(fake.asked) == 1


def test_a_prepared_write_follows_no_redirect_and_tells_a_refusal_without_words() -> None:
    with answering(then=Reply(307, {"Location": "/elsewhere"}, b"")) as fake:
        with pytest.raises(Stop, match=r"cannot write: the store refused the request \(307\)"):
            fake.store.ticket(Write("r/a", FILE), 60)()
        assert len(fake.asked) == 1


def test_a_removal_is_prepared_too() -> None:
    with answering(then=Reply(204, {}, b"")) as fake:
        assert fake.store.ticket(Write("r/a", None), 60)() is None
    (request,) = fake.asked
    assert (request.method, request.key, request.body) == ("DELETE", "/models/r/a", b"")


NOON_S = 1_700_049_600
SKEWS = {"equal clocks": (0, 60), "the store's is ahead": (3600, 3660), "the store's is behind": (-3600, 1)}
"""Seconds of a write that is prepared for 60 s; the shortest time that can be signed is 1 s."""


@pytest.mark.parametrize(("ahead_s", "expires"), SKEWS.values(), ids=SKEWS)
def test_a_prepared_write_expires_by_the_stores_clock(
    monkeypatch: pytest.MonkeyPatch, ahead_s: int, expires: int
) -> None:
    """The store counts from the time of the signing, which is this machine's: AWS, X-Amz-Expires. Both stand still."""
    monkeypatch.setattr(s3_client, "time", SimpleNamespace(time=lambda: float(NOON_S)))
    date = formatdate(NOON_S + ahead_s, usegmt=True)
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda _: date)
    with answering(LISTED, then=WRITTEN) as fake:
        fake.store.scan(fake.prefix)
        fake.store.ticket(Write("r/a", FILE), 60)()
    (said,) = parse_qs(urlsplit(fake.asked[-1].path).query)["X-Amz-Expires"]
    assert int(said) == expires


PARTS = {
    "one request": (1000, 10_000, [1000]),
    "two parts": (1001, 10_000, [1000, 1]),
    "three parts": (2002, 10_000, [1000, 1000, 2]),
    "no more parts than the store takes": (2002, 2, [1001, 1001]),
    "no more parts than the store takes, rounded up": (2003, 2, [1002, 1001]),
}


def uploaded(request: Request) -> Reply:
    """Reply as a store does to an upload in parts; the tag of each part is its number."""
    asked = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
    if request.method == "PUT":
        return Reply(200, {"ETag": f'"{asked.get("partNumber", ["whole"])[0]}"'}, b"")
    if "uploads" in asked:
        return Reply(200, {}, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    return Reply(200, {}, b'<CompleteMultipartUploadResult><ETag>"done"</ETag></CompleteMultipartUploadResult>')


@pytest.mark.parametrize(("size", "most", "expected"), PARTS.values(), ids=PARTS)
def test_a_large_object_is_written_where_none_is_in_parts(
    monkeypatch: pytest.MonkeyPatch, size: int, most: int, expected: list[int]
) -> None:
    monkeypatch.setattr(s3, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(s3_parts, "PART_BYTES", 1000)
    monkeypatch.setattr(s3_parts, "MOST_PARTS", most)
    content = bytes(number % 251 for number in range(size))
    with answering(then=uploaded) as fake:
        tag = fake.store.put("r/w", of_bytes(content), if_absent=True)
    puts = sorted((request.path, request.body) for request in fake.asked if request.method == "PUT")
    assert [len(body) for _, body in puts] == expected
    assert b"".join(body for _, body in puts) == content
    last = fake.asked[-1]
    assert last.is_conditional or last.headers["If-None-Match"] == "*"
    if len(expected) > 1:
        assert tag == "done"
        assert "uploadId=u" in last.path
        assert re.findall(rb"<PartNumber>(\d)", last.body) == [b"%d" % n for n in range(1, len(expected) + 1)]
    else:
        assert tag == "whole"


def weak(reply: Reply) -> Reply:
    return reply._replace(headers={"ETag": 'W/"seen"'})


def test_a_weak_tag_is_the_tag() -> None:
    """As a proxy makes it that compresses replies; a condition on a weak one never holds."""
    with answering(weak(BODY), then=weak(WRITTEN)) as fake:
        found = fake.store.fetch("r/a")
        assert found
        assert found.tag == "seen"
        assert fake.store.put("r/a", FILE, if_match=found.tag) == "seen"
        assert fake.asked[-1].headers["If-Match"] == '"seen"'
        assert fake.store.ticket(Write("r/a", FILE, if_match=found.tag), 60)() == "seen"
        assert fake.store.put("r/b", FILE) == "seen"


DAMAGED = refusal(400, "BadDigest", "x")


@tabled(("write", "condition"), WRITES.values(), ids=WRITES)
def test_a_body_that_the_store_finds_damaged_is_sent_again_and_then_told(
    write: Callable[[Store], object], condition: tuple[str, str]
) -> None:
    assert condition
    with answering(DAMAGED, then=WRITTEN) as fake:
        write(fake.store)
        assert len(fake.asked) == 2
    with answering(then=DAMAGED) as fake, pytest.raises(Stop, match="the content was damaged on its way"):
        write(fake.store)


def test_a_body_is_signed_with_its_digest_and_a_prepared_one_has_it() -> None:
    with answering(then=WRITTEN) as fake:
        fake.store.put("r/a", FILE)
        fake.store.put("r/a b", FILE)
        fake.store.ticket(Write("r/a", FILE), 60)()
    plain, odd, prepared = ({name.lower(): value for name, value in each.headers.items()} for each in fake.asked)
    assert plain["x-amz-content-sha256"] == odd["x-amz-content-sha256"] == FILE.sha256
    assert prepared["content-md5"] == "kYuB216R0DFUi5Y8k4ReWw=="
