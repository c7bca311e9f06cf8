"""What an S3 store and its clients refuse, each as one message with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.stores.s3_uri import ELSEWHERE, KEYS
from tritonrepo.stores.store import Conflict, Unconditional
from tritonrepo.stores.store import lacking as without

GRANTS = "Grant this account s3:ListBucket, s3:GetObject and, to push, s3:PutObject and s3:DeleteObject."
BUCKET = f"Create the bucket, or fix the URI. For a store other than AWS, use `{ELSEWHERE}`."
SCHEME = "Check the scheme of the endpoint, http or https."
AGAIN = "Run the command again. It continues from this point, because complete files are kept."
API = "Check that this is the S3 API of a store, and read the store's log."
WAY = ("the content was damaged on its way", "Check the network and proxies, and run the command again.")
CODES = {
    "NoSuchBucket": ("the bucket does not exist", BUCKET),
    "AccessDenied": ("this account does not have the permission", GRANTS),
    "InvalidAccessKeyId": ("the store does not know the access key", KEYS),
    "SignatureDoesNotMatch": ("the secret key does not match the access key", KEYS),
    "ExpiredToken": ("the session has expired", "Log in again."),
    "InvalidToken": ("the store does not know the session token", KEYS),
    "RequestTimeTooSkewed": ("this machine's clock differs too much from the store's", "Set this machine's clock."),
    "BadDigest": WAY,
    "XAmzContentSHA256Mismatch": WAY,
    "SlowDown": ("the store keeps asking for fewer requests", "Run the command again later to continue."),
}
DAMAGED = {"BadDigest", "XAmzContentSHA256Mismatch", "InvalidPart", "MalformedXML"}
"""What a store may say of a request that was damaged on its way; the last two also of one that was not."""

UNFIT = {"NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall"}
"""Refusals of an upload that no repetition completes."""

FAILED = 500
UNKNOWN = {"NotImplemented", "501"}
REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409"}
ABSENT = {"404": "NoSuchBucket", "403": "AccessDenied", "Forbidden": "AccessDenied", "NotFound": "NoSuchBucket"}


@contextmanager
def missing_extra(uri: str) -> Iterator[None]:
    """Turn missing clients into a message with the command that installs them."""
    try:
        yield
    except ImportError as error:
        message = f"s3:// URIs need boto3 and obstore: {error}"
        raise fatal("store-extra", uri, message, "Run `pip install 'tritonrepo[s3]'`.") from None


@contextmanager
def explained(at: str, verb: str) -> Iterator[None]:
    """Turn errors of boto3, obstore and the store into one message that names the place."""
    from botocore.exceptions import BotoCoreError, ClientError
    from obstore.exceptions import BaseError

    try:
        yield
    except ClientError as error:
        raise _refused(at, verb, error.response.get("Error", {})) from error
    except BotoCoreError as error:
        message, hint = _unsent(error)
        raise fatal("store-access", at, f"cannot {verb}: {message}", hint) from error
    except RecursionError as error:  # boto3 follows such redirects forever
        message = f"cannot {verb}: the endpoint redirects every request"
        raise fatal("store-access", at, message, f"{SCHEME} {API}") from error
    except BaseError as error:
        message, hint = _unwritten(str(error)) if str(error) else (type(error).__name__, AGAIN)
        raise fatal("store-access", at, f"cannot {verb}: {message}", hint) from error


def code_of(error: Any) -> str:  # noqa: ANN401  boto3's errors, whose types need boto3
    """Return the code of a refusal, "" if it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def lacking(at: str, verb: str, what: str) -> Stop:
    """Return the Stop for a reply that lacks what a store must send."""
    return without(at, verb, what, API)


def _refused(at: str, verb: str, said: dict[str, str]) -> Stop:
    code = said.get("Code", "")
    code = ABSENT.get(code, code)
    reason, hint = CODES.get(code, (said.get("Message", "") or "the store refused the request", API))
    return fatal("store-access", at, f"cannot {verb}: {reason} ({code})", hint)


def _unwritten(text: str) -> tuple[str, str]:
    """Return the message and hint for what obstore says, which has the store's reply in it."""
    return WAY if any(code in text for code, known in CODES.items() if known is WAY) else (text.splitlines()[0], AGAIN)


def _unsent(error: Exception) -> tuple[str, str]:
    """Return the message and hint for a failure before the store responded."""
    from botocore import exceptions as known

    text = str(error)
    silent = "the endpoint does not respond"
    kinds = [
        (known.NoCredentialsError, "no credentials were found", KEYS),
        (known.PartialCredentialsError, text, KEYS),
        (known.ProfileNotFound, text, "Fix AWS_PROFILE."),
        (known.EndpointConnectionError, silent, "Check that the store runs and that host and port are its S3 API's."),
        (known.ConnectTimeoutError, silent, "Check that the store is reachable from this machine."),
        (known.SSLError, text, SCHEME),
        (known.HTTPClientError, text, f"{SCHEME} {API}"),
        (known.SSOError, text, "Run `aws sso login`."),
        (known.TokenRetrievalError, text, "Run `aws sso login`."),
    ]
    return next(((message, hint) for kind, message, hint in kinds if isinstance(error, kind)), (text, ""))


class Busy(Exception):  # noqa: N818  a reply of the store, not an error
    """The store replied that it cannot handle the request at the moment."""


@contextmanager
def busy() -> Iterator[None]:
    """Raise Busy if a store replies that it cannot handle the request."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) < FAILED:
            raise
        raise Busy from error


@contextmanager
def conditions(path: str) -> Iterator[None]:
    """Turn a store's reply about a condition into Conflict or Unconditional; other refusals stay as they are."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in REFUSED:
            raise Conflict(path) from None
        if code in UNKNOWN:
            raise Unconditional(path) from None
        raise
