"""What Google Cloud Storage and its client refuse, each as one message with the next step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from tritonrepo.diagnostics import fatal
from tritonrepo.stores.gcs_uri import KEYS
from tritonrepo.stores.store import Conflict, Late, lacking

LOGIN = "Run `gcloud auth application-default login`."
GRANTS = (
    "Grant this account storage.objects.list, storage.objects.get and, to push, storage.objects.create and"
    " storage.objects.delete. A server also needs storage.buckets.get."
)
"""Source of the last one: core, src/filesystem/implementations/gcs.h, IsDirectory reads the bucket's metadata."""

API = "Check that this is the API of Google Cloud Storage or of an emulator: STORAGE_EMULATOR_HOST is its URL."
AGAIN = "Run the command again later to continue."
SILENT = ("the store does not respond", "Check the network and, if it is set, STORAGE_EMULATOR_HOST.")
NOBODY = ("the bucket is not public, and no credentials were found", KEYS)
UNKNOWN = ("the store does not accept the credentials", KEYS)
ABSENT = ("the bucket does not exist", "Create the bucket, or fix the URI.")
BUSY = ("the store keeps asking for fewer requests", AGAIN)
FAILING = ("the store cannot handle the request at the moment", AGAIN)
CLOCK = ("this machine's clock differs too much from the store's", "Set this machine's clock.")
NO_TOKENS = ("the server that renews the credentials does not respond", "Check the network.")
EMULATOR = "Set STORAGE_EMULATOR_HOST to a URL such as `http://127.0.0.1:4443`."
DAMAGED = ("the content was damaged on its way", "Check the network and proxies, and run the command again.")
MISMATCH = "match calculated"
"""In the words of a refusal because of a checksum: googleapis/python-storage#1541."""

EXPIRED = ("the login has expired", LOGIN)
NO_ACCESS = {"", "forbidden", "insufficientPermissions"}
"""Reasons of a 403 that are about permissions; others have words of their own, such as those about billing."""

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TIMED_OUT, TOO_MANY, FAILED = 401, 403, 404, 408, 429, 500
UNMET = {409, 412}
LOST = {404, 412}
GONE = {404, 409, 412}
"""How a store replies for an object that should have a generation: it is gone, is being written, or has another one."""


@contextmanager
def missing_extra(uri: str) -> Iterator[None]:
    """Turn a missing client into a message with the command that installs it."""
    try:
        yield
    except ImportError as error:
        message = f"gs:// URIs need google-cloud-storage: {error}"
        raise fatal("store-extra", uri, message, "Run `pip install 'tritonrepo[gcs]'`.") from None


@contextmanager
def explained(at: str, verb: str, anonymous: Callable[[], bool]) -> Iterator[None]:
    """Turn errors of the client and the store into one message that names the place."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError, InvalidOperation
    from google.cloud.storage.exceptions import DataCorruption
    from requests.exceptions import InvalidJSONError, RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except GoogleAPICallError as error:
        message, hint = _refused(error, anonymous=anonymous())
        raise fatal("store-access", at, f"cannot {verb}: {message} ({error.code})", hint) from error
    except GoogleAuthError as error:
        message, hint = NOBODY if isinstance(error, InvalidOperation) else _unknown(error)
        raise fatal("store-access", at, f"cannot {verb}: {message}", hint) from error
    except InvalidJSONError as error:
        raise lacking(at, verb, "JSON", API) from error
    except (RequestException, HTTPError) as error:
        message, hint = _unsent(error)
        raise fatal("store-access", at, f"cannot {verb}: {message}", hint) from error
    except DataCorruption as error:
        message, hint = DAMAGED
        raise fatal("store-access", at, f"cannot {verb}: {message}", hint) from error


def _refused(error: Any, *, anonymous: bool) -> tuple[str, str]:  # noqa: ANN401  an error of google.api_core
    code, (words, reason) = int(error.code or 0), _said(error)
    if code in {UNAUTHORIZED, FORBIDDEN} and anonymous:
        return NOBODY
    if code == FORBIDDEN:
        return ("this account does not have the permission", GRANTS) if reason in NO_ACCESS else (words, API)
    if MISMATCH in words:
        return DAMAGED
    if code >= FAILED:
        return FAILING
    known = {UNAUTHORIZED: UNKNOWN, NOT_FOUND: ABSENT, TOO_MANY: BUSY}
    return known.get(code, (words, API))


def _said(error: Any) -> tuple[str, str]:  # noqa: ANN401  an error of google.api_core
    """Return the store's own words and the reason that it gives."""
    try:
        said = error.response.json()["error"]
        return str(said["message"]), str(said["errors"][0]["reason"])
    except (AttributeError, ValueError, LookupError, TypeError):
        return "the store refused the request", ""


def _unknown(error: Exception) -> tuple[str, str]:
    """Return the message and hint for credentials that cannot be used.

    Source: Google Cloud, "Using OAuth 2.0 for Server to Server Applications", JWT error codes; google-auth,
    google/oauth2/reauth.py for invalid_rapt.
    """
    from google.auth.exceptions import DefaultCredentialsError, TransportError

    text = str(error.args[0]) if error.args else type(error).__name__
    if isinstance(error, TransportError):
        return NO_TOKENS
    if isinstance(error, DefaultCredentialsError):
        return text.rstrip("."), "Fix GOOGLE_APPLICATION_CREDENTIALS."
    if "reasonable timeframe" in text:
        return CLOCK
    if "expired" in text or "rapt" in text or "reauth" in text.lower():
        return EXPIRED
    return text, KEYS


def _unsent(error: Exception) -> tuple[str, str]:
    """Return the message and hint for a failure before the store responded."""
    from requests.exceptions import ConnectionError as Unconnected
    from requests.exceptions import ProxyError, SSLError, Timeout
    from urllib3.exceptions import ProtocolError

    if isinstance(error, ProxyError):
        return "the proxy does not respond", "Check HTTPS_PROXY and HTTP_PROXY."
    if isinstance(error, SSLError):
        return str(getattr(error.args[0], "reason", error)), "Check the certificates, and the scheme of the emulator."
    if isinstance(error, ValueError):  # so requests tells of a wrong URL, and the only one that users set is that
        return f"the emulator's URL cannot be used: {error}", EMULATOR
    return SILENT if isinstance(error, Unconnected | Timeout | ProtocolError) else (str(error), API)


def is_absent(error: Exception) -> bool:
    """Whether nobody listens where the store should be."""
    from requests.exceptions import ConnectTimeout
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    refused = isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    return refused or isinstance(error, ConnectTimeout)


def is_passing(error: Exception) -> bool:
    """Whether a request that failed in this way should be sent again."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import TransportError
    from google.cloud.storage.exceptions import DataCorruption
    from requests.exceptions import ChunkedEncodingError, SSLError, Timeout
    from requests.exceptions import ConnectionError as Unconnected
    from urllib3.exceptions import ProtocolError

    if isinstance(error, GoogleAPICallError):
        code = int(error.code or 0)
        return code in {TIMED_OUT, TOO_MANY} or code >= FAILED or is_damage(error)
    lost = (Unconnected, Timeout, ChunkedEncodingError, ProtocolError, TransportError, DataCorruption)
    return isinstance(error, lost) and not isinstance(error, SSLError)


def is_damage(error: Exception) -> bool:
    """Whether a body was damaged on its way."""
    from google.cloud.storage.exceptions import DataCorruption

    # the client removes what was damaged, which may not be there
    return (
        isinstance(error, DataCorruption)
        or isinstance(error.__context__, DataCorruption)
        or MISMATCH in _said(error)[0]
    )


@contextmanager
def conditions(path: str, unmet: Collection[int] = UNMET) -> Iterator[None]:
    """Turn a store's reply that a condition does not hold into Conflict; other refusals stay as they are."""
    from google.api_core.exceptions import GoogleAPICallError

    try:
        yield
    except GoogleAPICallError as error:
        if error.code in unmet:
            raise Conflict(path) from None
        raise


@contextmanager
def revoked(path: str) -> Iterator[None]:
    """Turn a store's reply that a prepared write is gone into Late."""
    from google.api_core.exceptions import NotFound

    try:
        yield
    except NotFound:
        raise Late(path) from None
