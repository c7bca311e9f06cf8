"""An S3 bucket as a Store: boto3 for what is listed, small or conditional, obstore for bodies.

obstore writes many objects several times faster; boto3 has exact keys, conditions, and the user's own credentials
(environment, profiles, SSO), which obstore is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tritonrepo.stores.refusals import explained, missing_extra
from tritonrepo.stores.store import Capabilities, Conflict, Stored, Unconditional
from tritonrepo.stores.uri import Address
from tritonrepo.tree import Directory, Entry, File, Tree, in_order

if TYPE_CHECKING:
    import obstore.store

PLAIN_KEY = re.compile(r"[0-9A-Za-z_\-][0-9A-Za-z._\-]*(/[0-9A-Za-z_\-.]*[0-9A-Za-z_\-][0-9A-Za-z._\-]*)*")
"""Keys that obstore writes as they are; it escapes others, so those go by boto3."""

CONNECT_S, ANSWER_S = 1.4, 20
"""How long the first request may take: nobody listening at the endpoint is told at once. Two addresses are tried."""

WHOLE_BYTES = 8 << 20
UNKNOWN = {"NotImplemented", "501"}
REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409"}


class S3Store:
    """The Store of a bucket."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._met = False
        with missing_extra(address.uri):
            import boto3
            import obstore  # noqa: F401  both are needed, so both are missed at once
        with explained(address.uri, "open"):
            self.session = boto3.session.Session()

    @property
    def caps(self) -> Capabilities:
        """Conditions, no empty directories, tags."""
        return Capabilities(conditions=True, directories=False, tags=True)

    def scan(self, prefix: str) -> Tree:
        """Give every object under the prefix by one listing; a zero-byte "directory/" is an empty directory."""
        head = f"{prefix}/" if prefix else ""
        found: dict[str, Entry] = {}
        for item in self._listed(head):
            path = str(item["Key"]).removeprefix(head)
            if "__pycache__" not in path.split("/")[:-1] and path:
                found[path] = self._stored(item)
        markers = [path for path in found if path.endswith("/")]
        for marker in markers:
            del found[marker]
            if not any(path.startswith(marker) for path in found) and marker[:-1] not in found:
                found[marker[:-1]] = Directory()
        return dict(in_order(found))

    def _listed(self, head: str) -> Iterator[dict[str, Any]]:
        parameters: dict[str, Any] = {"Prefix": head}
        while True:
            with explained(self.address.uri, "list"):
                page = self._ask("list_objects_v2", **parameters)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = page["NextContinuationToken"]

    def _stored(self, item: dict[str, Any]) -> Stored:
        key, tag = str(item["Key"]), str(item["ETag"])

        def read(offset: int, n: int) -> bytes:
            if offset >= int(item["Size"]):
                return b""
            with explained(f"{self.address.uri}: {key}", "read"):
                part = f"bytes={offset}-{offset + n - 1}"
                answer = self._ask("get_object", Key=key, Range=part, IfMatch=tag)
                return bytes(answer["Body"].read())

        return Stored(int(item["Size"]), read, tag=tag.strip('"'))

    def read(self, path: str) -> bytes | None:
        """Give the content of an object; None where there is none."""
        with explained(self.address.uri, f"read {path}"):
            try:
                return bytes(self._ask("get_object", Key=path)["Body"].read())
            except self._client().exceptions.NoSuchKey:
                return None

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write an object by one PUT or one completed multipart upload; the tag is its ETag."""
        with explained(f"{self.address.uri}: {path}", "write"):
            if if_absent:
                return self._conditional(path, file, IfNoneMatch="*")
            if if_match is not None:
                return self._conditional(path, file, IfMatch=f'"{if_match}"')
            if PLAIN_KEY.fullmatch(path):
                return self._bulk(path, file)
            return str(self._ask("put_object", Key=path, Body=file.content())["ETag"]).strip('"')

    def _conditional(self, path: str, file: File, **condition: str) -> str:
        from botocore.exceptions import ClientError

        try:
            return str(self._ask("put_object", Key=path, Body=file.content(), **condition)["ETag"]).strip('"')
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code in REFUSED:
                raise Conflict(path) from None
            if code in UNKNOWN:
                raise Unconditional(path) from None
            raise

    def _bulk(self, path: str, file: File) -> str:
        import obstore

        body = file.content() if file.size <= WHOLE_BYTES else file.chunks()
        return str(obstore.put(self._objects, path, body)["e_tag"]).strip('"')

    def delete(self, path: str) -> None:
        """Remove an object."""
        with explained(f"{self.address.uri}: {path}", "delete"):
            self._ask("delete_object", Key=path)

    def tidy(self) -> None:
        """Do nothing: an upload that was not completed is seen by nobody."""

    def environment(self) -> dict[str, str]:
        """Give the variables by which Triton finds the credentials that were found here, by profile or SSO too.

        Source: core, src/filesystem/implementations/s3.h, S3Credential: these names alone are read.
        """
        with explained(self.address.uri, "open"):
            found = self.session.get_credentials()
            frozen = found.get_frozen_credentials() if found else None
        if frozen is None:
            return {}
        token = {"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {}
        keys = {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
        return keys | token | {"AWS_DEFAULT_REGION": self._region}

    @property
    def _region(self) -> str:
        return str(self.session.region_name or "us-east-1")

    def _ask(self, operation: str, **parameters: Any) -> Any:  # noqa: ANN401  boto3's answers
        """Do one request. The first one is impatient; a store that then answers "not now" is asked with patience."""
        from botocore.exceptions import ClientError

        call = {"Bucket": self.address.bucket, **parameters}
        if not self._met:
            try:
                answer = getattr(self._client(patient=False), operation)(**call)
            except ClientError as error:
                if int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) < 500:  # noqa: PLR2004
                    raise
            else:
                self._met = True
                return answer
        self._met = True
        return getattr(self._client(), operation)(**call)

    def _client(self, *, patient: bool = True) -> Any:  # noqa: ANN401  made by boto3 at run time
        return self._patient if patient else self._made(connect_timeout=CONNECT_S, read_timeout=ANSWER_S, tries=1)

    @cached_property
    def _patient(self) -> Any:  # noqa: ANN401  made by boto3 at run time
        return self._made(connect_timeout=5, read_timeout=60, tries=5)

    def _made(self, *, connect_timeout: float, read_timeout: float, tries: int) -> Any:  # noqa: ANN401
        from botocore.config import Config

        # Triton reads no endpoint from the environment, so nor do we; other stores than AWS know no default checksums
        config = Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"total_max_attempts": tries, "mode": "standard"},
            s3={"addressing_style": "path" if self.address.endpoint else "auto"},
            ignore_configured_endpoint_urls=True,
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
        """Give where the bucket is: boto3 follows a redirect to its region, obstore does not."""
        if self.address.endpoint:
            return self._region
        head = self._ask("head_bucket")["ResponseMetadata"]["HTTPHeaders"]
        return str(head.get("x-amz-bucket-region", self._region))
