"""Bucket URIs are read as Triton reads them, and rejected if that is not what they say."""

from __future__ import annotations

import pytest

from tritonrepo.diagnostics import Stop
from tritonrepo.stores import is_remote, open_store
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
}


@pytest.mark.parametrize(("uri", "address"), READ.values(), ids=READ)
def test_a_uri_leads_where_triton_goes(uri: str, address: Address) -> None:
    assert as_triton(uri) == address


GOOD = [
    "s3://bucket/a b/c=d",
    "s3://minio:9000/models/repo",
    "s3://https://h.example:443/b/r/",
    "s3://http://h:80/b//r",
]


@pytest.mark.parametrize("uri", GOOD)
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
    "a scheme in the middle": ("s3://bucket/http://h:80/b", 'Triton would ignore "bucket/"'),
    "no bucket name": ("s3://a/b", '"a" is not a bucket name'),
    "capitals in the scheme": ("S3://bucket/r", 'Triton does not know the scheme "S3"'),
    "another scheme": ("https://h/b/r", 'Triton does not know the scheme "https"'),
    "one slash": ("s3:/bucket/r", "Triton would read this as a local path because a URI needs two slashes"),
    "no slash": ("S3:bucket/r", "Triton would read this as a local path because a URI needs two slashes"),
    "a step up": ("s3://h:9000/b/../r", 'a prefix cannot contain ".."'),
    "a step nowhere": ("s3://bucket/./r", 'a prefix cannot contain "."'),
    "not yet": ("gs://bucket/r", "gs:// buckets are not supported yet"),
}


@pytest.mark.parametrize(("uri", "message"), REFUSED.values(), ids=REFUSED)
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


def test_an_endpoint_that_triton_does_not_read_from_the_environment_is_refused() -> None:
    variables = {"AWS_ENDPOINT_URL": "http://h:9000"}
    with pytest.raises(Stop, match="Triton does not read AWS_ENDPOINT_URL"):
        parse("s3://bucket/r", variables)
    assert parse("s3://h:9000/bucket/r", variables).endpoint == "http://h:9000"
