"""URIs of GCS buckets are read as Triton reads them, and rejected if that is not what they say."""

from __future__ import annotations

import pytest

from tests.tabled import tabled
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.stores import open_store
from tritonrepo.stores.gcs_uri import Address, as_triton, parse

READ = {
    "a bucket and a key": ("gs://bucket/models/prod", Address("bucket", "models/prod")),
    "a bucket": ("gs://bucket", Address("bucket", "")),
    "a bucket's root": ("gs://bucket/", Address("bucket", "")),
    "a slash at the end": ("gs://bucket/r/", Address("bucket", "r/")),
    "two slashes": ("gs://bucket//r", Address("bucket", "/r")),
    "any key": ("gs://bucket/a b/c=d?e#f", Address("bucket", "a b/c=d?e#f")),
    "a slash in front": ("gs:///bucket/r", Address("/bucket/r", "")),
    "an endpoint": ("gs://http://h:4443/b/r", Address("http:", "/h:4443/b/r")),
}


@tabled(("uri", "address"), READ.values(), ids=READ)
def test_a_uri_leads_where_triton_goes(uri: str, address: Address) -> None:
    assert as_triton(uri) == address


GOOD = {
    "gs://bucket": Address("bucket", ""),
    "gs://bucket/": Address("bucket", ""),
    "gs://bucket/r": Address("bucket", "r"),
    "gs://bucket/r/": Address("bucket", "r"),
    "gs://b_u.c-9/a b/c=d": Address("b_u.c-9", "a b/c=d"),
    f"gs://{'a' * 222}/r": Address("a" * 222, "r"),
}


@tabled(("uri", "address"), GOOD.items())
def test_a_slash_at_the_end_makes_no_difference_and_the_form_that_is_printed_leads_there_too(
    uri: str, address: Address
) -> None:
    assert parse(uri) == address
    assert as_triton(address.uri) == address


ENDPOINT = "For an emulator, set STORAGE_EMULATOR_HOST to its URL."
NAME = "Use a name of at least three lowercase letters, digits, dots, hyphens and underscores."
FORM = "Use `gs://BUCKET/PREFIX` on Google Cloud Storage."
KEYS = "Set GOOGLE_APPLICATION_CREDENTIALS to the path of a key file, or run `gcloud auth application-default login`."
SLASHES = "Triton does not merge slashes and would look for keys with an empty name between two of them"
REFUSED = {
    "no bucket": ("gs://", "the URI has no bucket", FORM),
    "a slash in front": ("gs:///bucket/r", "the URI has no bucket", FORM),
    "an endpoint": (
        "gs://http://h:4443/b/r",
        'Triton would read "http:" as the bucket, because gs:// URIs have no endpoint',
        f"{FORM} {ENDPOINT}",
    ),
    "a host and a port": (
        "gs://h:4443/b/r",
        'Triton would read "h:4443" as the bucket, because gs:// URIs have no endpoint',
        f"{FORM} {ENDPOINT}",
    ),
    "capitals": ("gs://Bucket/r", '"Bucket" is not a bucket name', NAME),
    "two characters": ("gs://ab/r", '"ab" is not a bucket name', NAME),
    "too many characters": (f"gs://{'a' * 223}/r", f'"{"a" * 223}" is not a bucket name', NAME),
    "a hyphen at the end": ("gs://bucket-/r", '"bucket-" is not a bucket name', NAME),
    "two slashes": ("gs://bucket//r", SLASHES, "Use single slashes."),
    "two slashes at the end": ("gs://bucket/r//", SLASHES, "Use single slashes."),
    "a step up": ("gs://bucket/a/../r", 'a prefix cannot contain "..", because clients remove it', ""),
    "a step nowhere": ("gs://bucket/./r", 'a prefix cannot contain ".", because clients remove it', ""),
    "capitals in the scheme": ("GS://bucket/r", 'Triton does not know the scheme "GS"', ""),
    "another name of it": ("gcs://bucket/r", 'Triton does not know the scheme "gcs"', ""),
    "one slash": ("gs:/bucket/r", "Triton would read this as a local path because a URI needs two slashes", ""),
    "a password": ("gs://user:secret@bucket/r", "the URI has a user or password, which Triton does not support", KEYS),
}


@tabled(("uri", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_uri_that_triton_would_misread_is_refused_with_the_reason(uri: str, message: str, hint: str) -> None:
    with pytest.raises(Stop) as stop:
        open_store(uri)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity) == ("store-uri", Severity.FATAL)
    assert told.message.startswith(message)
    assert told.hint == hint if hint else told.hint
    assert "secret" not in str(stop.value)
