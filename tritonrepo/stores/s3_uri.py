"""URIs of S3 buckets, read as Triton reads them: one string serves push, validate, serve and the server itself.

Source: core, src/filesystem/implementations/s3.h, S3FileSystem::CleanPath and ParsePath; api.cc, GetFileSystem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.diagnostics import fatal

SCHEME = "s3://"
WHOLE = re.compile(r"s3://(http://|https://|)([0-9a-zA-Z\-.]+):([0-9]+)/([0-9a-z.\-]+)(((/[0-9a-zA-Z.\-_]+)*)?)")
"""The one form with an endpoint; a URI that is not it as a whole is read as bucket and key on AWS."""

ENDPOINT = re.compile(
    r"(?P<scheme>https?://|)(?P<host>[^/]*?)(?::(?P<port>[0-9]*))?(?:/(?P<bucket>[^/]*)(?P<path>(?:/.*)?))?",
    re.DOTALL,
)
SAFE = re.compile(r"[0-9a-zA-Z.\-_]+")
AWS_BUCKET = re.compile(r"[0-9a-zA-Z.\-_]{3,255}|arn:.*")
FORM = "s3://BUCKET/PREFIX on AWS, s3://http://HOST:PORT/BUCKET/PREFIX anywhere else"


class Address(NamedTuple):
    """Where a URI leads: endpoint "" is AWS; the key has no slash at either end."""

    endpoint: str
    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """The URI in the form that the server parses back to this address."""
        return SCHEME + "/".join(filter(None, [self.endpoint, self.bucket, self.key]))


def as_triton(uri: str) -> Address:
    """Return where Triton goes with an s3:// URI, however wrong that is."""
    clean = _clean(uri)
    if match := WHOLE.fullmatch(clean):
        scheme, host, port, bucket, path = match[1], match[2], match[3], match[4], match[5]
        return Address(f"{scheme or 'http://'}{host}:{port}", bucket, path.removeprefix("/"))
    bucket, _, key = clean.removeprefix(SCHEME).partition("/")
    return Address("", bucket, key)


def _clean(uri: str) -> str:
    """Do what CleanPath does: cut before the inner scheme, trim slashes at the ends, fold them inside."""
    path = uri.removeprefix(SCHEME)
    scheme = ""
    for inner in ("https://", "http://"):
        if inner in path:
            scheme, path = inner, path[path.index(inner) + len(inner) :]
            break
    return SCHEME + scheme + re.sub(r"/+", "/", path.strip("/"))


def parse(uri: str, environment: Mapping[str, str]) -> Address:
    """Return the address of an s3:// URI; raise Stop where Triton would go elsewhere than it says."""
    address = as_triton(uri)
    reason, cure = _misread(uri, address) or ("", "")
    if not reason and not address.endpoint and (name := _own_endpoint(environment)):
        reason = f"Triton does not read {name} and would look for this bucket on AWS"
        cure = f"Write the endpoint into the URI, host, port and all: {FORM}"
    if reason:
        raise fatal("store-uri", uri, reason, cure)
    return address


def _own_endpoint(environment: Mapping[str, str]) -> str:
    return next((name for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if environment.get(name)), "")


def _misread(uri: str, address: Address) -> tuple[str, str] | None:
    rest = uri.removeprefix(SCHEME).lstrip("/")
    inner = re.search("https?://", rest)
    if inner and inner.start():
        return f'Triton drops "{rest[: inner.start()]}", all that stands before {inner[0]}', f"Write {FORM}."
    if not address.endpoint and (inner or ":" in rest.partition("/")[0]):
        return _endpoint_fault(rest, address)
    if not address.bucket:
        return "there is no bucket in it", f"Write {FORM}."
    return _names_fault(address)


def _names_fault(address: Address) -> tuple[str, str] | None:
    if dots := {".", ".."} & {*address.key.split("/")}:
        return f'"{dots.pop()}" is no step in a bucket, and clients drop it', "Write the prefix out."
    if not address.endpoint and not AWS_BUCKET.fullmatch(address.bucket):
        return f'"{address.bucket}" is no bucket name', "A name has letters, digits, dots and hyphens, three at least."
    return None


def _endpoint_fault(rest: str, address: Address) -> tuple[str, str] | None:
    """Say which part of a URI with an endpoint keeps Triton from seeing the endpoint."""
    wrong = f'Triton would read "{address.bucket}" as a bucket on AWS'
    match = ENDPOINT.fullmatch(rest)
    parts = match.groupdict(default="") if match else {}
    if match is None or not SAFE.fullmatch(parts["host"]) or "_" in parts["host"]:
        return f"{wrong}: the host may have letters, digits, dots and hyphens only", "Name the host so, without IPv6."
    if not parts["port"]:
        port = "443" if parts["scheme"] == "https://" else "80"
        return f"{wrong}: an endpoint needs its port", f"Write {parts['host']}:{port}/…"
    if not re.fullmatch(r"[0-9a-z.\-]+", parts["bucket"]):
        what = f'bucket "{parts["bucket"]}" has other characters than a-z, 0-9, dot and hyphen'
        return f"{wrong}: {what}", "With an endpoint Triton takes no other bucket names; choose another bucket."
    bad = next((part for part in parts["path"].split("/") if part and not SAFE.fullmatch(part)), "")
    return f'{wrong}: "{bad}" has other characters than letters, digits, ".", "-" and "_"', "Choose another prefix."
