"""URIs of Google Cloud Storage buckets, read as Triton reads them: one string works everywhere.

Source: core, src/filesystem/implementations/gcs.h, GCSFileSystem::ParsePath, AppendSlash in common.h; api.cc,
GetFileSystem. Nothing is cleaned: a key is what follows the bucket, with every slash.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tritonrepo.diagnostics import fatal

SCHEME = "gs://"
FORM = "`gs://BUCKET/PREFIX` on Google Cloud Storage"
KEYS = "Set GOOGLE_APPLICATION_CREDENTIALS to the path of a key file, or run `gcloud auth application-default login`."
BUCKET = re.compile(r"[a-z0-9][a-z0-9._\-]{1,220}[a-z0-9]")
"""Source: Google Cloud, "About Cloud Storage buckets", Bucket names."""


class Address(NamedTuple):
    """Where a URI leads."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """The URI that the server parses back to this address."""
        return SCHEME + "/".join(filter(None, self))


def as_triton(uri: str) -> Address:
    """Return where Triton looks for a gs:// URI, however wrong that is."""
    rest = uri.removeprefix(SCHEME)
    bucket, _, key = rest.partition("/")
    return Address(bucket, key) if bucket else Address(rest, "")


def parse(uri: str) -> Address:
    """Return the address of a gs:// URI, whose key has no slash at its end; raise Stop if Triton would misread it."""
    address = as_triton(uri)
    if fault := _misread(address):
        raise fatal("store-uri", uri, *fault)
    return address._replace(key=address.key.removesuffix("/"))


def _misread(address: Address) -> tuple[str, str] | None:
    bucket = address.bucket
    if not bucket or "/" in bucket:
        return "the URI has no bucket", f"Use {FORM}."
    if ":" in bucket:
        message = f'Triton would read "{bucket}" as the bucket, because gs:// URIs have no endpoint'
        return message, f"Use {FORM}. For an emulator, set STORAGE_EMULATOR_HOST to its URL."
    if not BUCKET.fullmatch(bucket):
        hint = "Use a name of at least three lowercase letters, digits, dots, hyphens and underscores."
        return f'"{bucket}" is not a bucket name', hint
    return _names_fault(address)


def _names_fault(address: Address) -> tuple[str, str] | None:
    names = address.key.removesuffix("/").split("/")
    if "" in names and address.key:
        message = "Triton does not merge slashes and would look for keys with an empty name between two of them"
        return message, "Use single slashes."
    if dots := {".", ".."} & {*names}:
        return f'a prefix cannot contain "{dots.pop()}", because clients remove it', "Use the full prefix without it."
    return None
