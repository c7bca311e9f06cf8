"""Bucket URIs are read as Triton reads them, and rejected if that is not what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tabled import tabled
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.stores import gcs_uri, is_remote, open_store, s3_uri
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.s3_uri import Address, as_triton, parse

READ = {
    "AWS takes any key": ("s3://bucket/a b/c=d", Address("", "bucket", "a b/c=d")),
    "a host with port": ("s3://minio:9000/models/repo", Address("http://minio:9000", "models", "repo")),
    "https, slash at the end": ("s3://https://h.example:443/b/r/", Address("https://h.example:443", "b", "r")),
    "two slashes": ("s3://http://h:80/b//r", Address("http://h:80", "b", "r")),
    "a host without port": ("s3://minio/models/repo", Address("", "minio", "models/repo")),
    "https without port": ("s3://https://h.example/b/r", Address("", "https:", "/h.example/b/r")),
    "a bucket with capitals": ("s3://h:9000/My_bucket/r", Address("", "h:9000", "My_bucket/r")),
    "a prefix with =": ("s3://h:9000/b/year=2025", Address("", "h:9000", "b/year=2025")),
    "a bucket's root": ("s3://h:9000/b", Address("http://h:9000", "b", "")),
    "slashes in front": ("s3:///bucket/r", Address("", "bucket", "r")),
    "slashes behind": ("s3://bucket/r//", Address("", "bucket", "r")),
    "a bucket on AWS": ("s3://bucket", Address("", "bucket", "")),
    "http": ("s3://http://h:80/b/r/s", Address("http://h:80", "b", "r/s")),
    "https within http": ("s3://http://a:1/b/https://c:2/d/e", Address("https://c:2", "d", "e")),
    "what is before the endpoint": ("s3://bucket/http://h:80/b/r", Address("http://h:80", "b", "r")),
    "an underscore in the prefix": ("s3://h:80/b/a_b-C.d", Address("http://h:80", "b", "a_b-C.d")),
    "an underscore in the bucket": ("s3://h:80/b_c/r", Address("", "h:80", "b_c/r")),
    "a port of letters": ("s3://h:http/b/r", Address("", "h:http", "b/r")),
}


@tabled(("uri", "address"), READ.values(), ids=READ)
def test_a_uri_leads_where_triton_goes(uri: str, address: Address) -> None:
    assert as_triton(uri) == address


GOOD = [
    "s3://bucket",
    "s3://h:9000/b",
    "s3://h:9000/b.c-d/r.s_t/u",
    "s3://bucket/a b/c=d",
    "s3://minio:9000/models/repo",
    "s3://https://h.example:443/b/r/",
    "s3://http://h:80/b//r",
]


@tabled("uri", GOOD)
def test_the_form_that_is_printed_leads_there_too(uri: str) -> None:
    assert as_triton(parse(uri, {}).uri) == as_triton(uri)


REFUSED = {
    "https without port": (
        "s3://https://h.example/b/r",
        'read "https:" as a bucket on AWS: the endpoint has no port',
    ),
    "an empty port": ("s3://h:/b/r", 'read "h:" as a bucket on AWS: the endpoint has no port'),
    "a bucket with capitals": ("s3://h:9000/My_bucket/r", 'bucket "My_bucket" must consist of a-z'),
    "no bucket behind the endpoint": ("s3://http://h:80", 'bucket "" must consist of a-z'),
    "a prefix with =": ("s3://h:9000/b/year=2025", '"year=2025" has characters other than'),
    "IPv6": ("s3://http://[::1]:9000/b/r", "the host must consist of letters, digits, dots and hyphens"),
    "an underscore in the host": ("s3://my_minio:9000/b/r", "the host must consist of"),
    "no bucket": ("s3://", "the URI has no bucket"),
    "the ARN of an access point": (
        "s3://arn:aws:s3:eu-west-1:1:accesspoint/x/r",
        "an ARN is not a bucket name",
    ),
    "a scheme in the middle": ("s3://bucket/http://h:80/b", 'Triton would ignore "bucket/"'),
    "no bucket name": ("s3://a/b", '"a" is not a bucket name'),
    "capitals in the scheme": ("S3://bucket/r", 'Triton does not know the scheme "S3"'),
    "another scheme": ("https://h/b/r", 'Triton does not know the scheme "https"'),
    "one slash": ("s3:/bucket/r", "Triton would read this as a local path because a URI needs two slashes"),
    "no slash": ("S3:bucket/r", "Triton would read this as a local path because a URI needs two slashes"),
    "a step up": ("s3://h:9000/b/../r", 'a prefix cannot contain ".."'),
    "a step nowhere": ("s3://bucket/./r", 'a prefix cannot contain "."'),
    "not yet": ("as://account/r", "as:// buckets are not supported yet"),
}


@tabled(("uri", "message"), REFUSED.values(), ids=REFUSED)
def test_a_uri_that_triton_would_misread_is_refused_with_the_reason(uri: str, message: str) -> None:
    with pytest.raises(Stop) as stop:
        open_store(uri)
    (told,) = stop.value.diagnostics
    assert str(told).startswith(f"{uri}: fatal: ")
    assert message in told.message
    assert told.hint


def test_what_was_meant_as_a_uri_is_never_taken_for_a_path() -> None:
    meant = ["s3://b/r", "s3:/b/r", "S3:b", "gs:b/r", "as:b", "x://y"]
    assert [text for text in (*meant, "r", "./s3:r", "a:b", "C:/r", "") if is_remote(text)] == meant


ELSEWHERE = "s3://http://HOST:PORT/BUCKET/PREFIX"
FORM = f"`s3://BUCKET/PREFIX` on AWS, or `{ELSEWHERE}` for any other store"
FORMS = f"{FORM}, or `gs://BUCKET/PREFIX` on Google Cloud Storage"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_that_triton_does_not_read_from_the_environment_is_refused(name: str) -> None:
    variables = {name: "http://h:9000"}
    with pytest.raises(Stop) as stop:
        parse("s3://bucket/r", variables)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("store-uri", Severity.FATAL, "s3://bucket/r")
    assert told.message == f"Triton does not read {name} and would look for this bucket on AWS"
    assert told.hint == f"Add the endpoint to the URI, with host and port: `{ELSEWHERE}`."
    assert parse("s3://h:9000/bucket/r", variables) == ("http://h:9000", "bucket", "r")
    assert parse("s3://bucket/r", {name: ""}) == ("", "bucket", "r")


def test_a_uri_is_opened_with_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://h:9000")
    with pytest.raises(Stop, match="Triton does not read AWS_ENDPOINT_URL_S3"):
        open_store("s3://bucket/r")


HINTS = {
    "https without port": ("s3://https://h.example/b/r", "Add the port: `h.example:443/…`."),
    "http without port": ("s3://http://h.example/b/r", "Add the port: `h.example:80/…`."),
    "no scheme and an empty port": ("s3://h:/b/r", "Add the port: `h:80/…`."),
    "an ARN": (
        "s3://arn:aws:s3:eu-west-1:1:accesspoint:x/r",
        "Use the name of the bucket, or the alias of the access point.",
    ),
    "a bad host": ("s3://my_minio:9000/b/r", "Use a host name or an IPv4 address."),
    "a bad bucket": (
        "s3://h:9000/My_bucket/r",
        "Choose another bucket. With an endpoint, Triton accepts no other bucket names.",
    ),
    "a bad prefix": ("s3://h:9000/b/a/b=c", "Choose another prefix."),
    "no bucket": ("s3://", f"Use {FORM}."),
    "a scheme in the middle": ("s3://bucket/http://h:80/b", f"Use {FORM}."),
    "a short bucket": ("s3://ab/r", "Use a name of at least three letters, digits, dots and hyphens."),
    "a step up": ("s3://bucket/a/../r", "Use the full prefix without it."),
    "another scheme": ("ftp://h/r", f"Use {FORMS}."),
    "one slash": ("s3:/bucket/r", f"Use {FORMS}."),
    "not yet": ("as://account/r", "Use a directory or an s3:// or gs:// URI."),
    "a password": (
        "s3://user:secret@h:9000/b/r",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or select a profile with AWS_PROFILE.",
    ),
    "a password in an unknown scheme": (
        "ftp://user:secret@h/r",
        f"{s3_uri.KEYS} {gcs_uri.KEYS}",
    ),
}


@tabled(("uri", "hint"), HINTS.values(), ids=HINTS)
def test_a_refused_uri_comes_with_the_next_step(uri: str, hint: str) -> None:
    with pytest.raises(Stop) as stop:
        open_store(uri)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.hint) == ("store-uri", Severity.FATAL, hint)
    assert ("has a user or password, which Triton does not support" in told.message) == ("secret" in uri)


NAMES = {
    "two characters": ("ab", False),
    "three": ("abc", True),
    "255": ("a" * 255, True),
    "256": ("a" * 256, False),
    "capitals and underscores of old": ("My_bucket", True),
    "a space": ("a bucket", False),
}


@tabled(("name", "good"), NAMES.values(), ids=NAMES)
def test_a_bucket_on_aws_has_a_name_of_aws(name: str, *, good: bool) -> None:
    if good:
        assert parse(f"s3://{name}/r", {}) == ("", name, "r")
    else:
        with pytest.raises(Stop):
            parse(f"s3://{name}/r", {})


def test_a_refusal_shows_no_password() -> None:
    with pytest.raises(Stop) as stop:
        open_store("s3://user:secret@h:9000/b/r")
    assert "secret" not in str(stop.value)


def test_a_path_is_a_name_in_the_directory_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text, root, name in (
        (f"{tmp_path}/a/r", tmp_path / "a", "r"),
        ("a/r", tmp_path / "a", "r"),
        ("r", tmp_path, "r"),
        ("r/", tmp_path, "r"),
    ):
        store, prefix = open_store(text)
        assert isinstance(store, DirectoryStore)
        assert (store.root, prefix) == (root, name)
