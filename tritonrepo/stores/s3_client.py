"""The connection to an S3 bucket: whose credentials, which endpoint, what is sent again, and what tags say.

Every body has its SHA-256 in the signature of its request, which a store compares with what arrived; a request that was
damaged on its way is sent again. Newer checksums (x-amz-checksum-…) are not sent, since some stores reject requests
that have them: iterate-ch/cyberduck#16107.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tritonrepo.stores import s3_pages
from tritonrepo.stores.s3_refusals import DAMAGED, Busy, busy, code_of, explained, lacking, missing_extra
from tritonrepo.stores.s3_uri import Address
from tritonrepo.stores.store import Tag

if TYPE_CHECKING:
    import obstore.store

CONNECT_S, ANSWER_S = 1.4, 20
"""How long the first request may take: a missing endpoint is reported at once. Two addresses are tried."""

TRIES = 3
"""How often a request is sent that is damaged on its way."""

MD5 = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")
"""Tags that can be the MD5 of a content, or that of the MD5s of its parts and their number.

Source: AWS, API reference, Object, ETag: those of objects that are encrypted with SSE-C or SSE-KMS are not.
"""


def md5(content: bytes) -> str:
    """Return the MD5 of a content in hex, which is its tag in most stores."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def plain(tag: str) -> Tag:
    """Return a tag without its quotes, and without what a proxy adds that compresses replies: `W/"…"`."""
    return Tag(tag.removeprefix("W/").strip('"'))


class Connection:
    """How a bucket is reached; nothing is sent before the first request.

    `opaque`: whether the store's tags are known to say nothing about contents; None as long as none was compared.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.skew_s = 0.0
        self.opaque: bool | None = None
        self.began_s = 0.0
        with missing_extra(address.uri):
            import boto3
            import obstore  # noqa: F401  both are needed, so both are checked at once
        with explained(address.uri, "open"):
            self.session = boto3.session.Session()

    def at(self, key: str) -> str:
        """Return how messages name an object."""
        return f"{self.address.uri}: {key}"

    def tag(self, answer: Mapping[str, Any], key: str) -> Tag:
        """Return the tag in a reply; raise Stop if it has none."""
        if not answer.get("ETag"):
            raise lacking(self.at(key), "continue", "ETag")
        return plain(str(answer["ETag"]))

    def doubtful(self, tag: Tag, expected: str) -> bool:
        """Whether a tag says that the store holds something else than what has the expected tag."""
        if tag == expected:
            self.opaque = False
        return tag != expected and not self.opaque and MD5.fullmatch(tag) is not None

    def ask(self, operation: str, **parameters: Any) -> Any:  # noqa: ANN401  boto3's replies
        """Send one request, again if it was damaged on its way."""
        from botocore.exceptions import ClientError

        for left in reversed(range(TRIES)):
            try:
                return self._ask(operation, **parameters)
            except ClientError as error:
                if not left or code_of(error) not in DAMAGED:
                    raise
        raise AssertionError  # the last round returns or raises

    def _ask(self, operation: str, **parameters: Any) -> Any:  # noqa: ANN401  boto3's replies
        """Send one request. The first one has a short timeout; a store that is there but busy is asked again."""
        from botocore import exceptions as known

        call = {"Bucket": self.address.bucket, **parameters}
        if not self.began_s:
            with suppress(known.ConnectionClosedError, known.ReadTimeoutError, Busy), busy():
                return self._dated(getattr(self._hasty(), operation)(**call))
        return self._dated(getattr(self.client, operation)(**call))

    def _dated(self, answer: Any) -> Any:  # noqa: ANN401  boto3's replies
        """Remember, from the reply's date, how far the store's clock is ahead of this machine's, in seconds."""
        with suppress(KeyError, TypeError, ValueError):
            date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            self.skew_s = date.timestamp() - time.time()
        self.began_s = self.began_s or time.time() + self.skew_s
        return answer

    def _hasty(self) -> Any:  # noqa: ANN401  made by boto3 at run time
        return self._made(connect_timeout=CONNECT_S, read_timeout=ANSWER_S, tries=1)

    @cached_property
    def client(self) -> Any:  # noqa: ANN401  made by boto3 at run time
        """The client of boto3, which sends a request again if it is lost or the store is busy."""
        return self._made(connect_timeout=5, read_timeout=60, tries=5)

    def _made(self, *, connect_timeout: float, read_timeout: float, tries: int) -> Any:  # noqa: ANN401
        from botocore.config import Config

        # Triton reads no endpoint from the environment, so neither do we; only AWS supports the default checksums
        config = Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"total_max_attempts": tries, "mode": "standard"},
            s3={"addressing_style": "path" if self.address.endpoint else "auto", "payload_signing_enabled": True},
            ignore_configured_endpoint_urls=True,
            signature_version="s3v4",  # also for URLs, which are signed the old way by default
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
        )
        endpoint = self.address.endpoint or None
        client = self.session.client("s3", endpoint_url=endpoint, region_name=self.region, config=config)
        client.meta.events.register_first("before-parse.s3.ListObjectsV2", s3_pages.taken)
        return client

    @cached_property
    def objects(self) -> obstore.store.S3Store:
        """The client of obstore, which signs the SHA-256 of bodies by default (object_store, unsigned_payload)."""
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

    @property
    def region(self) -> str:
        """The region of the user's configuration."""
        return str(self.session.region_name or "us-east-1")

    def _bucket_region(self) -> str:
        """Return the bucket's region: boto3 follows a redirect to it, obstore does not."""
        if self.address.endpoint:
            return self.region
        head = self.ask("head_bucket")["ResponseMetadata"]["HTTPHeaders"]
        return str(head.get("x-amz-bucket-region", self.region))
