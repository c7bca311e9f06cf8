"""An S3 bucket as a Store: boto3 for listings and for small or conditional objects, obstore for bodies.

obstore writes many objects several times faster; boto3 has exact keys, conditions, and the user's own credentials
(environment, profiles, SSO), which it passes on to obstore.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tritonrepo.stores import listing, presigned
from tritonrepo.stores.s3_refusals import Busy, busy, conditions, explained, lacking, missing_extra
from tritonrepo.stores.s3_uri import Address, parse
from tritonrepo.stores.store import Capabilities, Conflict, Fetched, Send, Stored, Tag, Unconditional, Write, changed
from tritonrepo.tree import File, Tree

if TYPE_CHECKING:
    import obstore.store

    from tritonrepo.stores.store import Store

PLAIN_KEY = re.compile(r"[0-9A-Za-z_\-][0-9A-Za-z._\-]*(/\.*[0-9A-Za-z_\-][0-9A-Za-z._\-]*)*")
"""Keys that obstore writes unchanged; it escapes others, so boto3 writes those. No part of them is only dots."""

CONNECT_S, ANSWER_S = 1.4, 20
"""How long the first request may take: a missing endpoint is reported at once. Two addresses are tried."""

WHOLE_BYTES = 8 << 20
PARTS_AT_ONCE, MOST_PARTS = 4, 10_000
READS = 4
NO_CODE = "404"
"""The code of a refusal whose text was cut off."""


def open_uri(uri: str) -> tuple[S3Store, str]:
    """Return the Store of the bucket that an s3:// URI names, and the prefix in it."""
    address = parse(uri, os.environ)
    return S3Store(address), address.key


class S3Store:
    """The Store of a bucket."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._met = False
        self._skew_s = 0.0
        with missing_extra(address.uri):
            import boto3
            import obstore  # noqa: F401  both are needed, so both are checked at once
        with explained(address.uri, "open"):
            self.session = boto3.session.Session()

    @property
    def caps(self) -> Capabilities:
        """What a bucket can do; a tag is an ETag without its quotes."""
        return Capabilities(stray=Tag("0" * 32), sees_changes=True)

    def scan(self, prefix: str) -> Tree:
        """Return every object under the prefix from one listing; a zero-byte "directory/" is an empty directory."""
        objects = ((str(item["Key"]), self._stored(item)) for item in self._listed(listing.head(prefix)))
        return listing.as_tree(prefix, objects)

    def _listed(self, head: str) -> Iterator[dict[str, Any]]:
        parameters: dict[str, Any] = {"Prefix": head}
        while True:
            with explained(self.address.uri, "list"):
                page = self._ask("list_objects_v2", **parameters)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token or token == parameters.get("ContinuationToken"):
                raise lacking(self.address.uri, "list", "continuation token")
            parameters["ContinuationToken"] = token

    def _stored(self, item: dict[str, Any]) -> Stored:
        if missing := next((name for name in ("ETag", "Size") if item.get(name) is None), ""):
            raise lacking(f"{self.address.uri}: {item['Key']}", "list", missing)
        key, tag = str(item["Key"]), str(item["ETag"])

        def read(offset: int, n: int) -> bytes:
            if offset >= int(item["Size"]):
                return b""
            at = f"{self.address.uri}: {key}"
            try:
                with explained(at, "read"), conditions(key):
                    return self._got(key, Range=f"bytes={offset}-{offset + n - 1}", IfMatch=tag).content
            except Conflict:
                raise changed(at) from None

        return Stored(int(item["Size"]), read, tag=Tag(tag.strip('"')))

    def fetch(self, path: str) -> Fetched | None:
        """Return the content of an object and its ETag; None if it does not exist."""
        with explained(f"{self.address.uri}: {path}", "read"):
            try:
                return self._got(path)
            except self._client().exceptions.NoSuchKey:
                return None

    def _got(self, key: str, **parameters: str) -> Fetched:
        """Read an object or a part of it, again if the body is cut off, which boto3 does not do."""
        from botocore import exceptions as known

        cut = (
            known.IncompleteReadError,
            known.ResponseStreamingError,
            known.ReadTimeoutError,
            known.ConnectionClosedError,
        )
        for left in reversed(range(READS)):
            try:
                answer = self._ask("get_object", Key=key, **parameters)
                return Fetched(bytes(answer["Body"].read()), self._tag(answer, key))
            except cut:
                if not left:
                    raise
            except known.ClientError as error:
                if not left or error.response.get("Error", {}).get("Code") != NO_CODE:
                    raise
        raise AssertionError  # the last round returns or raises

    def _tag(self, answer: dict[str, Any], path: str) -> Tag:
        if not answer.get("ETag"):
            raise lacking(f"{self.address.uri}: {path}", "continue", "ETag")
        return Tag(str(answer["ETag"]).strip('"'))

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        """Write an object by one PUT or one completed multipart upload; the tag is its ETag."""
        condition = {"IfNoneMatch": "*"} if if_absent else {} if if_match is None else {"IfMatch": f'"{if_match}"'}
        with explained(f"{self.address.uri}: {path}", "write"), conditions(path):
            if if_absent and file.size > WHOLE_BYTES:
                return self._in_parts(path, file)
            if if_match is None and PLAIN_KEY.fullmatch(path):
                return self._bulk(path, file, if_absent=if_absent)
            return self._tag(self._ask("put_object", Key=path, Body=file.content(), **condition), path)

    def _bulk(self, path: str, file: File, *, if_absent: bool) -> Tag:
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError

        body = file.content() if file.size <= WHOLE_BYTES else file.chunks()
        try:
            done = obstore.put(self._objects, path, body, mode="create" if if_absent else "overwrite")
        except AlreadyExistsError:
            raise Conflict(path) from None
        except GenericError as error:
            if "501 Not Implemented" in str(error):
                raise Unconditional(path) from None
            raise
        return self._tag({"ETag": done["e_tag"]}, path)

    def _in_parts(self, path: str, file: File) -> Tag:
        """Write a large object where none exists; obstore supports this condition only for objects of one part."""
        call = {"Key": path, "UploadId": self._ask("create_multipart_upload", Key=path)["UploadId"]}
        step = max(WHOLE_BYTES, -(-file.size // MOST_PARTS))

        def send(number: int) -> dict[str, Any]:
            body = file.read((number - 1) * step, step)
            tag = self._tag(self._ask("upload_part", Body=body, PartNumber=number, **call), path)
            return {"PartNumber": number, "ETag": tag}

        try:
            with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
                parts = list(pool.map(send, range(1, -(-file.size // step) + 1)))
            done = self._ask("complete_multipart_upload", MultipartUpload={"Parts": parts}, IfNoneMatch="*", **call)
        except BaseException:
            with suppress(Exception):  # nobody sees what is not completed; the first error is reported
                self._ask("abort_multipart_upload", **call)
            raise
        return self._tag(done, path)

    def ticket(self, write: Write, seconds: int) -> Send:
        """Sign a write now; the store refuses it once its time is over, by its own clock."""
        at = f"{self.address.uri}: {write.path}"
        verb = "delete" if write.file is None else "write"
        with explained(at, verb):
            send = presigned.prepare(self._client(), self.address.bucket, write, seconds, self._skew_s)

        def sent() -> Tag | None:
            with explained(at, verb), conditions(write.path):
                tag = send()
            return None if write.file is None else self._tag({"ETag": tag}, write.path)

        return sent

    def revoke(self, directory: str, there: Store | None = None) -> None:
        """Do nothing: the store checks the time of a prepared write."""

    def delete(self, path: str) -> None:
        """Remove an object."""
        with explained(f"{self.address.uri}: {path}", "delete"):
            self._ask("delete_object", Key=path)

    def tidy(self) -> None:
        """Do nothing: nobody sees an upload that was not completed."""

    def server_environment(self) -> Mapping[str, str]:
        """Return the environment that gives Triton the credentials found here, also those of a profile or SSO.

        Source: core, src/filesystem/implementations/s3.h, S3Credential: only these names are read.
        """
        with explained(self.address.uri, "open"):
            found = self.session.get_credentials()
            frozen = found.get_frozen_credentials() if found else None
        if frozen is None:
            return {}
        # without a token, an empty one: the environment may have that of other keys
        keys = {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
        return keys | {"AWS_SESSION_TOKEN": frozen.token or "", "AWS_DEFAULT_REGION": self._region}

    @property
    def _region(self) -> str:
        return str(self.session.region_name or "us-east-1")

    def _ask(self, operation: str, **parameters: Any) -> Any:  # noqa: ANN401  boto3's replies
        """Send one request. The first one has a short timeout; a store that is there but busy is asked again."""
        from botocore import exceptions as known

        call = {"Bucket": self.address.bucket, **parameters}
        if not self._met:
            with suppress(known.ConnectionClosedError, known.ReadTimeoutError, Busy), busy():
                return self._dated(getattr(self._client(patient=False), operation)(**call))
        return self._dated(getattr(self._client(), operation)(**call))

    def _dated(self, answer: Any) -> Any:  # noqa: ANN401  boto3's replies
        """Remember, from the reply's date, how far the store's clock is ahead of this machine's, in seconds."""
        self._met = True
        with suppress(KeyError, TypeError, ValueError):
            date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            self._skew_s = date.timestamp() - time.time()
        return answer

    def _client(self, *, patient: bool = True) -> Any:  # noqa: ANN401  made by boto3 at run time
        return self._patient if patient else self._made(connect_timeout=CONNECT_S, read_timeout=ANSWER_S, tries=1)

    @cached_property
    def _patient(self) -> Any:  # noqa: ANN401  made by boto3 at run time
        return self._made(connect_timeout=5, read_timeout=60, tries=5)

    def _made(self, *, connect_timeout: float, read_timeout: float, tries: int) -> Any:  # noqa: ANN401
        from botocore.config import Config

        # Triton reads no endpoint from the environment, so neither do we; only AWS supports the default checksums
        config = Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"total_max_attempts": tries, "mode": "standard"},
            s3={"addressing_style": "path" if self.address.endpoint else "auto"},
            ignore_configured_endpoint_urls=True,
            signature_version="s3v4",  # also for URLs, which are signed the old way by default
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
        )
        endpoint = self.address.endpoint or None
        return self.session.client("s3", endpoint_url=endpoint, region_name=self._region, config=config)

    @cached_property
    def _objects(self) -> obstore.store.S3Store:
        from obstore.auth.boto3 import Boto3CredentialProvider
        from obstore.store import S3Store as Objects

        return Objects(
            self.address.bucket,
            region=self._bucket_region(),
            virtual_hosted_style_request=False,
            credential_provider=Boto3CredentialProvider(self.session),
            client_options={"allow_http": True, "connect_timeout": "5s", "timeout": "600s"},
            retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=120)},
            endpoint=self.address.endpoint or None,
        )

    def _bucket_region(self) -> str:
        """Return the bucket's region: boto3 follows a redirect to it, obstore does not."""
        if self.address.endpoint:
            return self._region
        head = self._ask("head_bucket")["ResponseMetadata"]["HTTPHeaders"]
        return str(head.get("x-amz-bucket-region", self._region))
