"""Writes to S3 that the store itself refuses once their time is over: requests whose signature expires.

A request that is signed in its headers is valid for 15 minutes, and a client that slept signs it again. One that is
signed in its URL carries the time of its signing, and the store counts from there by its own clock.

Source: AWS, Signature Version 4, "Authenticating Requests: Using Query Parameters", X-Amz-Expires.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tritonrepo.stores.directory import awake
from tritonrepo.stores.store import Late, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.awsrequest import AWSResponse

TRIES = 4
GRACE_S = 1.0
"""What a store that counts in whole seconds may add to a request's time."""

PAUSE_S = 0.5
FORBIDDEN, BUSY, FAILED = 403, 429, 500


def prepare(client: Any, bucket: str, write: Write, seconds: int, skew_s: float) -> Callable[[], str | None]:  # noqa: ANN401  made by boto3
    """Sign a write now and return a function that sends it and returns the reply's ETag, None if it has none.

    `skew_s` is how far the store's clock is ahead of this machine's. The function raises ClientError, as boto3 does,
    and Late.
    """
    operation = "delete_object" if write.file is None else "put_object"
    parameters, headers = {"Bucket": bucket, "Key": write.path}, {}
    if write.if_absent:
        parameters["IfNoneMatch"] = headers["If-None-Match"] = "*"
    if write.if_match is not None:
        parameters["IfMatch"] = headers["If-Match"] = f'"{write.if_match}"'
    good_s = max(1, round(seconds + skew_s))
    url = client.generate_presigned_url(operation, Params=parameters, ExpiresIn=good_s)
    return partial(_send, client, url, headers, write, awake() + seconds)


def _send(client: Any, url: str, headers: Mapping[str, str], write: Write, end: float) -> str | None:  # noqa: ANN401
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import ClientError, HTTPClientError

    session = client._endpoint.http_session  # noqa: SLF001  only it has the user's proxies and certificates
    method, body = ("DELETE", b"") if write.file is None else ("PUT", write.file.content())
    for left in reversed(range(TRIES)):
        try:
            reply = session.send(AWSRequest(method, url, data=body, headers=dict(headers)).prepare())
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
                raise Late(write.path)
            if not left or (reply.status_code < FAILED and reply.status_code != BUSY):
                raise ClientError({"Error": said}, method)
        time.sleep(PAUSE_S * (TRIES - left))
    raise AssertionError  # the last round returns or raises


def _said(reply: AWSResponse) -> dict[str, str]:
    text = reply.content[:10_000].decode("utf-8", "replace")
    found = {name: re.search(f"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message")}
    return {name: match[1] if match else "" for name, match in found.items()} | (
        {} if found["Code"] else {"Code": str(reply.status_code)}
    )
