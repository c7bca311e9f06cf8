"""What an object store and its clients refuse, as one message with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.stores.store import Conflict, Unconditional

KEYS = "Give the key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile in AWS_PROFILE."
GRANTS = "Grant it s3:ListBucket, s3:GetObject and, to push, s3:PutObject and s3:DeleteObject."
BUCKET = "Create it, or mend the URI; an own endpoint is written s3://http://HOST:PORT/BUCKET/PREFIX."
SCHEME = "Is the scheme right, http or https?"
API = "Is this the S3 API of a store? Its log says more."
CODES = {
    "NoSuchBucket": ("there is no such bucket", BUCKET),
    "AccessDenied": ("this account may not do that", GRANTS),
    "InvalidAccessKeyId": ("the access key is not known there", KEYS),
    "SignatureDoesNotMatch": ("the secret does not belong to the access key", KEYS),
    "ExpiredToken": ("the session has expired", "Log in again."),
    "InvalidToken": ("the session token is not known there", KEYS),
    "RequestTimeTooSkewed": ("this machine's clock differs too much from the store's", "Set the clock."),
    "SlowDown": ("the store asks for fewer requests, again and again", "Run it again later; it goes on from there."),
}
FAILED = 500
UNKNOWN = {"NotImplemented", "501"}
REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409"}
ABSENT = {"404": "NoSuchBucket", "403": "AccessDenied", "Forbidden": "AccessDenied", "NotFound": "NoSuchBucket"}


@contextmanager
def missing_extra(uri: str) -> Iterator[None]:
    """Turn the lack of the clients into the command that installs them."""
    try:
        yield
    except ImportError as error:
        message = f"s3:// needs boto3 and obstore: {error}"
        raise fatal("store-extra", uri, message, "pip install 'tritonrepo[s3]'") from None


@contextmanager
def explained(at: str, verb: str) -> Iterator[None]:
    """Turn what boto3, obstore and the store say into one message that names the place."""
    from botocore.exceptions import BotoCoreError, ClientError
    from obstore.exceptions import BaseError

    try:
        yield
    except ClientError as error:
        raise _refused(at, verb, error.response.get("Error", {})) from error
    except BotoCoreError as error:
        message, hint = _unsent(error)
        raise fatal("store-access", at, f"cannot {verb}: {message}", hint) from error
    except RecursionError as error:  # boto3 follows such an answer for ever
        message = f"cannot {verb}: the endpoint sends every request elsewhere"
        raise fatal("store-access", at, message, f"{SCHEME} {API}") from error
    except BaseError as error:
        lines = str(error).splitlines()
        hint = "What was written whole stays; run it again, and it goes on from there."
        raise fatal(
            "store-access", at, f"cannot {verb}: {lines[0] if lines else type(error).__name__}", hint
        ) from error


def lacking(at: str, verb: str, what: str) -> Stop:
    """Return the Stop for a reply that says less than a store must say."""
    return fatal("store-reply", at, f"cannot {verb}: the store's reply has no {what}", API)


def _refused(at: str, verb: str, said: dict[str, str]) -> Stop:
    code = said.get("Code", "")
    code = ABSENT.get(code, code)
    reason, hint = CODES.get(code, (said.get("Message", "") or "the store refused", API))
    return fatal("store-access", at, f"cannot {verb}: {reason} ({code})", hint)


def _unsent(error: Exception) -> tuple[str, str]:
    """Return message and next step for what failed before a store answered."""
    from botocore import exceptions as known

    text = str(error)
    silent = "nobody answers at the endpoint"
    kinds = [
        (known.NoCredentialsError, "there are no credentials", KEYS),
        (known.PartialCredentialsError, text, KEYS),
        (known.ProfileNotFound, text, "Mend AWS_PROFILE."),
        (known.EndpointConnectionError, silent, "Is the store running, and are host and port those of its S3 API?"),
        (known.ConnectTimeoutError, silent, "Is the store reachable from here?"),
        (known.SSLError, text, SCHEME),
        (known.HTTPClientError, text, f"{SCHEME} {API}"),
        (known.SSOError, text, "Log in again: aws sso login"),
        (known.TokenRetrievalError, text, "Log in again: aws sso login"),
    ]
    return next(((message, hint) for kind, message, hint in kinds if isinstance(error, kind)), (text, ""))


class Busy(Exception):  # noqa: N818  an answer of the store, not an error
    """The store answered that it cannot at this moment."""


@contextmanager
def busy() -> Iterator[None]:
    """Raise Busy where a store answers that it cannot."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) < FAILED:
            raise
        raise Busy from error


@contextmanager
def conditions(path: str) -> Iterator[None]:
    """Tell what a store says of a condition from what it refuses."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code in REFUSED:
            raise Conflict(path) from None
        if code in UNKNOWN:
            raise Unconditional(path) from None
        raise
