"""URIs of S3 buckets, read as Triton reads them: one string works for push, validate, serve and the server itself.

Source: core, src/filesystem/implementations/s3.h, S3FileSystem::CleanPath and ParsePath; api.cc, GetFileSystem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.diagnostics import fatal

SCHEME = "s3://"
WHOLE = re.compile(r"s3://(http://|https://|)([0-9a-zA-Z\-.]+):([0-9]+)/([0-9a-z.\-]+)(((/[0-9a-zA-Z.\-_]+)*)?)")
"""The only form with an endpoint; a URI that does not match it in full is read as bucket and key on AWS."""

ENDPOINT = re.compile(
    r"(?P<scheme>https?://|)(?P<host>[^/]*?)(?::(?P<port>[0-9]*))?(?:/(?P<bucket>[^/]*)(?P<path>(?:/.*)?))?",
    re.DOTALL,
)
SAFE = re.compile(r"[0-9a-zA-Z.\-_]+")
AWS_BUCKET = re.compile(r"[0-9a-zA-Z.\-_]{3,255}")
ELSEWHERE = "s3://http://HOST:PORT/BUCKET/PREFIX"
FORM = f"`s3://BUCKET/PREFIX` on AWS, or `{ELSEWHERE}` for any other store"
KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or select a profile with AWS_PROFILE."


class Address(NamedTuple):
    """Where a URI leads: endpoint "" is AWS; the key has no slash at its start or end."""

    endpoint: str
    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """The URI that the server parses back to this address."""
        return SCHEME + "/".join(filter(None, [self.endpoint, self.bucket, self.key]))


def as_triton(uri: str) -> Address:
    """Return where Triton looks for an s3:// URI, however wrong that is."""
    clean = _clean(uri)
    if match := WHOLE.fullmatch(clean):
        scheme, host, port, bucket, path = match[1], match[2], match[3], match[4], match[5]
        return Address(f"{scheme or 'http://'}{host}:{port}", bucket, path.removeprefix("/"))
    bucket, _, key = clean.removeprefix(SCHEME).partition("/")
    return Address("", bucket, key)


def _clean(uri: str) -> str:
    """Do what CleanPath does: cut everything before the inner scheme, trim slashes at the ends, merge them inside."""
    path = uri.removeprefix(SCHEME)
    scheme = ""
    for inner in ("https://", "http://"):
        if inner in path:
            scheme, path = inner, path[path.index(inner) + len(inner) :]
            break
    return SCHEME + scheme + re.sub(r"/+", "/", path.strip("/"))


def parse(uri: str, environment: Mapping[str, str]) -> Address:
    """Return the address of an s3:// URI; raise Stop if Triton would look elsewhere than it says."""
    address = as_triton(uri)
    reason, cure = _misread(uri, address) or ("", "")
    if not reason and not address.endpoint and (name := _own_endpoint(environment)):
        reason = f"Triton does not read {name} and would look for this bucket on AWS"
        cure = f"Add the endpoint to the URI, with host and port: `{ELSEWHERE}`."
    if reason:
        raise fatal("store-uri", uri, reason, cure)
    return address


def _own_endpoint(environment: Mapping[str, str]) -> str:
    return next((name for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if environment.get(name)), "")


def _misread(uri: str, address: Address) -> tuple[str, str] | None:
    rest = uri.removeprefix(SCHEME).lstrip("/")
    inner = re.search("https?://", rest)
    if inner and inner.start():
        return f'Triton would ignore "{rest[: inner.start()]}", which is before {inner[0]}', f"Use {FORM}."
    if rest.startswith("arn:"):
        return "an ARN is not a bucket name", "Use the name of the bucket, or the alias of the access point."
    if not address.endpoint and (inner or ":" in rest.partition("/")[0]):
        return _endpoint_fault(rest, address)
    if not address.bucket:
        return "the URI has no bucket", f"Use {FORM}."
    return _names_fault(address)


def _names_fault(address: Address) -> tuple[str, str] | None:
    if dots := {".", ".."} & {*address.key.split("/")}:
        return f'a prefix cannot contain "{dots.pop()}", because clients remove it', "Use the full prefix without it."
    if not address.endpoint and not AWS_BUCKET.fullmatch(address.bucket):
        hint = "Use a name of at least three letters, digits, dots and hyphens."
        return f'"{address.bucket}" is not a bucket name', hint
    return None


def _endpoint_fault(rest: str, address: Address) -> tuple[str, str] | None:
    """Return which part of a URI with an endpoint keeps Triton from seeing the endpoint, and the hint."""
    wrong = f'Triton would read "{address.bucket}" as a bucket on AWS'
    match = ENDPOINT.fullmatch(rest)
    parts = match.groupdict(default="") if match else {}
    if match is None or not SAFE.fullmatch(parts["host"]) or "_" in parts["host"]:
        hint = "Use a host name or an IPv4 address."
        return f"{wrong}: the host must consist of letters, digits, dots and hyphens", hint
    if not parts["port"]:
        port = "443" if parts["scheme"] == "https://" else "80"
        return f"{wrong}: the endpoint has no port", f"Add the port: `{parts['host']}:{port}/…`."
    if not re.fullmatch(r"[0-9a-z.\-]+", parts["bucket"]):
        what = f'bucket "{parts["bucket"]}" must consist of a-z, 0-9, dots and hyphens'
        return f"{wrong}: {what}", "Choose another bucket. With an endpoint, Triton accepts no other bucket names."
    bad = next((part for part in parts["path"].split("/") if part and not SAFE.fullmatch(part)), "")
    what = f'"{bad}" has characters other than letters, digits, ".", "-" and "_"'
    return f"{wrong}: {what}", "Choose another prefix."
