"""Writes to S3 that the store itself refuses once their time is over: requests whose signature expires.

A request that is signed in its headers is valid for 15 minutes, and a client that slept signs it again. One that is
signed in its URL carries the time of its signing, and the store counts from there by its own clock. Its body is not in
the signature, so it has the MD5 of the body, by which the store finds what was damaged on the way.

Source: AWS, Signature Version 4, "Authenticating Requests: Using Query Parameters", X-Amz-Expires.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.stores.directory import awake
from tritonrepo.stores.s3_refusals import DAMAGED
from tritonrepo.stores.store import Late, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.awsrequest import AWSResponse

    from tritonrepo.stores.s3_client import Connection

TRIES = 4
GRACE_S = 1.0
"""What a store that counts in whole seconds may add to a request's time."""

PAUSE_S = 0.5
TOGETHER = 64 << 10
"""A larger body is read in pieces: boto3 would copy it to send it together with the headers."""

FORBIDDEN, BUSY, FAILED = 403, 429, 500


def prepare(at: Connection, write: Write, body: bytes | None, seconds: int) -> Callable[[], str | None]:
    """Sign a write now and return a function that sends it and returns the reply's ETag, None if it has none.

    The body is that of the file, None for a removal. The function raises ClientError, as boto3 does, and Late.
    """
    operation = "delete_object" if body is None else "put_object"
    parameters, headers = {"Bucket": at.address.bucket, "Key": write.path}, {}
    if body is not None:
        sum_ = hashlib.md5(body, usedforsecurity=False).digest()
        parameters["ContentMD5"] = headers["Content-MD5"] = base64.b64encode(sum_).decode()
    if write.if_absent:
        parameters["IfNoneMatch"] = headers["If-None-Match"] = "*"
    if write.if_match is not None:
        parameters["IfMatch"] = headers["If-Match"] = f'"{write.if_match}"'
    good_s = max(1, round(seconds + at.skew_s))
    url = at.client.generate_presigned_url(operation, Params=parameters, ExpiresIn=good_s)
    method = "DELETE" if body is None else "PUT"
    return partial(_send, at.client, Signed(method, url, headers, body or b"", write.path, awake() + seconds))


class Signed(NamedTuple):
    """A request that is signed, and when its time is over."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    path: str
    end: float


def _send(client: Any, signed: Signed) -> str | None:  # noqa: ANN401  made by boto3
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import ClientError, HTTPClientError

    session = client._endpoint.http_session  # noqa: SLF001  only it has the user's proxies and certificates
    method, url, headers, body, path, end = signed
    for left in reversed(range(TRIES)):
        try:
            data = body if len(body) <= TOGETHER else BytesIO(body)
            reply = session.send(AWSRequest(method, url, data=data, headers=dict(headers)).prepare())
        except HTTPClientError:
            if not left:
                # the write may still be on its way, and a caller that sees a failure lets others write
                time.sleep(max(0.0, end + GRACE_S - awake()))
                raise
        else:
            if reply.status_code < 300:  # noqa: PLR2004
                tag = reply.headers.get("ETag")
                return tag and str(tag)
            said = _said(reply)
            if reply.status_code == FORBIDDEN and ("expired" in said["Message"].lower() or awake() > end):
                raise Late(path)
            if not left or not _is_passing(reply.status_code, said["Code"]):
                raise ClientError({"Error": said}, method)
        time.sleep(PAUSE_S * (TRIES - left))
    raise AssertionError  # the last round returns or raises


def _is_passing(status: int, code: str) -> bool:
    return status >= FAILED or status == BUSY or code in DAMAGED


def _said(reply: AWSResponse) -> dict[str, str]:
    text = reply.content[:10_000].decode("utf-8", "replace")
    found = {name: re.search(f"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message")}
    return {name: match[1] if match else "" for name, match in found.items()} | (
        {} if found["Code"] else {"Code": str(reply.status_code)}
    )
