"""What object stores and their clients refuse: each in one message, with the next step."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from botocore import exceptions as known
from hypothesis import given
from hypothesis import strategies as st
from obstore import exceptions as bulk
from obstore import put
from obstore.store import MemoryStore

from tests.tabled import tabled
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.stores import open_store, s3
from tritonrepo.stores.s3_refusals import Busy, busy, conditions, explained
from tritonrepo.stores.store import Conflict, Stored, Tag, Unconditional, glimpse, tag_of
from tritonrepo.tree import File, of_bytes

KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or select a profile with AWS_PROFILE."
GRANT = "Grant this account s3:ListBucket, s3:GetObject and, to push, s3:PutObject and s3:DeleteObject."
CREATE = "Create the bucket, or fix the URI. For a store other than AWS, use `s3://http://HOST:PORT/BUCKET/PREFIX`."
API = "Check that this is the S3 API of a store, and read the store's log."
SCHEME = "Check the scheme of the endpoint, http or https."
LOGIN = "Run `aws sso login`."


def refused(code: str, message: str = "", status: int = 400) -> known.ClientError:
    said: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return known.ClientError(said, "PutObject")


URL = {"endpoint_url": "http://h:1"}
SAID: dict[str, tuple[Exception, str, str]] = {
    "no bucket": (refused("NoSuchBucket"), "the bucket does not exist (NoSuchBucket)", CREATE),
    "no bucket, without words": (refused("404"), "the bucket does not exist (NoSuchBucket)", CREATE),
    "no bucket, in other words": (refused("NotFound"), "the bucket does not exist (NoSuchBucket)", CREATE),
    "no permission": (refused("AccessDenied"), "this account does not have the permission (AccessDenied)", GRANT),
    "no permission, without words": (refused("403"), "this account does not have the permission (AccessDenied)", GRANT),
    "no permission, in other words": (
        refused("Forbidden"),
        "this account does not have the permission (AccessDenied)",
        GRANT,
    ),
    "an unknown key": (
        refused("InvalidAccessKeyId"),
        "the store does not know the access key (InvalidAccessKeyId)",
        KEYS,
    ),
    "a wrong secret": (
        refused("SignatureDoesNotMatch"),
        "the secret key does not match the access key (SignatureDoesNotMatch)",
        KEYS,
    ),
    "a session that is over": (refused("ExpiredToken"), "the session has expired (ExpiredToken)", "Log in again."),
    "an unknown session": (refused("InvalidToken"), "the store does not know the session token (InvalidToken)", KEYS),
    "another time": (
        refused("RequestTimeTooSkewed"),
        "this machine's clock differs too much from the store's (RequestTimeTooSkewed)",
        "Set this machine's clock.",
    ),
    "too much": (
        refused("SlowDown"),
        "the store keeps asking for fewer requests (SlowDown)",
        "Run the command again later to continue.",
    ),
    "anything else": (refused("Other", "in its own words"), "in its own words (Other)", API),
    "anything else, without words": (refused("Other"), "the store refused the request (Other)", API),
    "no credentials": (known.NoCredentialsError(), "no credentials were found", KEYS),
    "half of the credentials": (
        known.PartialCredentialsError(provider="env", cred_var="secret_key"),
        "Partial credentials found in env, missing: secret_key",
        KEYS,
    ),
    "no such profile": (
        known.ProfileNotFound(profile="own"),
        "The config profile (own) could not be found",
        "Fix AWS_PROFILE.",
    ),
    "nobody listens": (
        known.EndpointConnectionError(**URL),
        "the endpoint does not respond",
        "Check that the store runs and that host and port are its S3 API's.",
    ),
    "nobody answers": (
        known.ConnectTimeoutError(**URL),
        "the endpoint does not respond",
        "Check that the store is reachable from this machine.",
    ),
    "another certificate": (
        known.SSLError(**URL, error="wrong version"),
        "SSL validation failed for http://h:1 wrong version",
        SCHEME,
    ),
    "no HTTP": (
        known.HTTPClientError(error="no HTTP"),
        "An HTTP Client raised an unhandled exception: no HTTP",
        f"{SCHEME} {API}",
    ),
    "a single sign-on that is over": (
        known.UnauthorizedSSOTokenError(),
        str(known.UnauthorizedSSOTokenError()),
        LOGIN,
    ),
    "a token that cannot be had": (
        known.TokenRetrievalError(provider="sso", error_msg="gone"),
        "Error when retrieving token from sso: gone",
        LOGIN,
    ),
    "an error of another kind": (known.DataNotFoundError(data_path="x"), "Unable to load data for: x", ""),
    "redirects without end": (RecursionError(), "the endpoint redirects every request", f"{SCHEME} {API}"),
    "the other client": (
        bulk.GenericError("first line\n\nDebug source"),
        "first line",
        "Run the command again. It continues from this point, because complete files are kept.",
    ),
    "the other client, without words": (
        bulk.PermissionDeniedError(""),
        "PermissionDeniedError",
        "Run the command again. It continues from this point, because complete files are kept.",
    ),
}


@tabled(("error", "message", "hint"), SAID.values(), ids=SAID)
def test_a_refusal_is_one_message_with_the_next_step(error: Exception, message: str, hint: str) -> None:
    with pytest.raises(Stop) as stop, explained("s3://b/r", "read"):
        raise error
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("store-access", Severity.FATAL, "s3://b/r")
    assert (told.message, told.hint) == (f"cannot read: {message}", hint)


def test_what_is_no_refusal_is_not_explained() -> None:
    with pytest.raises(Conflict), explained("s3://b/r", "read"):
        raise Conflict


CONDITIONS: dict[str, type[Exception]] = {
    "PreconditionFailed": Conflict,
    "412": Conflict,
    "ConditionalRequestConflict": Conflict,
    "409": Conflict,
    "NoSuchKey": Conflict,
    "NotImplemented": Unconditional,
    "501": Unconditional,
    "NoSuchBucket": known.ClientError,
    "404": known.ClientError,
    "AccessDenied": known.ClientError,
    "500": known.ClientError,
}


@tabled(("code", "kind"), CONDITIONS.items(), ids=CONDITIONS)
def test_a_reply_to_a_condition_is_told_apart_from_other_refusals(code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind), conditions("r/a"):
        raise refused(code)


@pytest.mark.parametrize(("status", "kind"), [(499, known.ClientError), (500, Busy), (503, Busy)])
def test_a_store_that_fails_by_itself_is_busy(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind), busy():
        raise refused("x", status=status)


@pytest.mark.parametrize("module", ["boto3", "obstore"])
def test_each_client_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Stop) as stop:
        open_store("s3://bucket/prefix")
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("store-extra", Severity.FATAL, "s3://bucket/prefix")
    assert told.message.startswith(f"s3:// URIs need boto3 and obstore: import of {module} halted")
    assert told.hint == "Run `pip install 'tritonrepo[s3]'`."


PLAIN = ["a", "a/b", "r/a-1/model.onnx", "r/.hidden", "r/..a", "r/a..b", "_/-", "r/1/"[:-1]]
ODD = [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    ".",
    "..",
    "a/.",
    "a/..",
    "./a",
    "a/../b",
    "a b",
    "a%20b",
    "a+b",
    "é",
    "a\n",
    "a:b",
    "a~b",
]


def kept(key: str) -> bool:
    """Whether the other client writes a key unchanged."""
    memory = MemoryStore()
    put(memory, key, b"x")
    return [item["path"] for page in memory.list() for item in page] == [key]


def plain(key: str) -> bool:
    """Whether a key is plain, as a function: from a pattern's own method, Hypothesis would derive texts for seconds."""
    return bool(s3.PLAIN_KEY.fullmatch(key))


@tabled("key", PLAIN)
def test_a_plain_key_is_written_in_bulk(key: str) -> None:
    assert s3.PLAIN_KEY.fullmatch(key)
    assert kept(key)


@tabled("key", ODD)
def test_an_odd_key_is_not_written_in_bulk(key: str) -> None:
    assert not s3.PLAIN_KEY.fullmatch(key)


@given(st.text("ab1./_-% é~", min_size=1, max_size=8).filter(plain))
def test_what_counts_as_a_plain_key_is_written_unchanged(key: str) -> None:
    assert kept(key)


def test_the_pieces_of_a_stored_file_are_large_and_end_with_it() -> None:
    asked: list[tuple[int, int]] = []

    def read(offset: int, n: int) -> bytes:
        asked.append((offset, n))
        return bytes(min(n, 20_000_000 - offset))

    assert sum(map(len, Stored(20_000_000, read, tag=Tag("t")).chunks())) == 20_000_000
    assert asked == [(0, 8_388_608), (8_388_608, 8_388_608), (16_777_216, 8_388_608)]
    asked.clear()
    assert list(Stored(0, read, tag=Tag("t")).chunks()) == []
    assert asked == []
    assert b"".join(Stored(5, lambda offset, _: b"abc"[offset:]).chunks()) == b"abc"


def test_a_tag_is_the_stores_own_or_the_digest() -> None:
    stored, plain = Stored(3, lambda *_: b"abc", tag=Tag("t")), of_bytes(b"abc")
    assert (tag_of(stored), glimpse(stored)) == ("t", (3, "t"))
    assert tag_of(plain) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert glimpse(plain) == (3, None)
    assert isinstance(stored, File)
