"""The connection to a bucket of Google Cloud Storage: whose credentials, which endpoint, and what is sent again."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from time import sleep as pause
from typing import Any, TypeVar

from tritonrepo.diagnostics import fatal
from tritonrepo.stores import gcs_refusals as refusals
from tritonrepo.stores.directory import awake
from tritonrepo.stores.gcs_uri import Address
from tritonrepo.stores.store import Late

KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
EMULATOR = "STORAGE_EMULATOR_HOST"
"""Read by Google's clients; the one in Triton reads the next."""

SERVERS_EMULATOR = "CLOUD_STORAGE_EMULATOR_ENDPOINT"
"""Source: google-cloud-cpp, google/cloud/storage/client.cc, DefaultOptions."""

UNASKED = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
"""Keeps the client from a request of its own about the bucket, which needs a permission that others do not need.

Source: google-cloud-storage 3.17, google/cloud/storage/_opentelemetry_tracing.py.
"""

READ_BY_TRITON = {"authorized_user", "service_account"}
"""Types of key files. Source: core, src/filesystem/implementations/gcs.h, GCSFileSystem::GCSFileSystem."""

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
TIMEOUT_S = {False: (1.4, 20.0), True: (5.0, 60.0)}
"""To connect and to read; short ones until the store has replied, so that an absent one is reported at once."""

TRIES = 6
PAUSE_S = 0.5
"""The first pause; each is twice as long as the one before."""

CONNECTIONS = 32

T = TypeVar("T")


class Connection:
    """How a bucket is reached; nothing is sent and no credentials are read before the first request."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.endpoint = _emulator(os.environ)
        self._met = False
        with refusals.missing_extra(address.uri):
            import google.cloud.storage  # noqa: F401

    def explained(self, at: str, verb: str) -> AbstractContextManager[None]:
        """Turn errors of the client and the store into one message; `at` is a key, or "" for the bucket."""
        place = f"{self.address.uri}: {at}" if at else self.address.uri
        return refusals.explained(place, verb, lambda: self.anonymous)

    def ask(self, call: Callable[..., T], end: float | None = None, tries: int = TRIES) -> T:
        """Send a request, again if the store is there but busy; raise Late instead of sending it after `end`."""
        for left in reversed(range(tries)):
            if end is not None and awake() > end:
                raise Late(self.address.uri)
            try:
                answer = call(timeout=TIMEOUT_S[self._met], retry=None)
            except Exception as error:
                absent = not self._met and refusals.is_absent(error)
                if absent or not left or not refusals.is_passing(error):
                    raise
                pause(PAUSE_S * 2 ** (TRIES - 1 - left))
            else:
                self._met = True
                return answer
        raise AssertionError  # the last round returns or raises

    @property
    def anonymous(self) -> bool:
        """Whether requests are sent without credentials."""
        return self._credentials is None

    @cached_property
    def client(self) -> Any:  # noqa: ANN401  made by a library without types
        """The client of the whole store."""
        from google.auth.credentials import AnonymousCredentials
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud.storage import Client
        from requests.adapters import HTTPAdapter

        os.environ.setdefault(UNASKED, "true")
        credentials = self._credentials or AnonymousCredentials()
        session = AuthorizedSession(credentials)
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=CONNECTIONS, pool_maxsize=CONNECTIONS))
        options = {"api_endpoint": self.endpoint} if self.endpoint else None
        # requests on objects name no project, but the client asks for one
        return Client("none", credentials, _http=session, client_options=options)

    @cached_property
    def bucket(self) -> Any:  # noqa: ANN401  made by a library without types
        """The client's view of the bucket, which sends nothing by itself."""
        return self.client.bucket(self.address.bucket)

    @cached_property
    def _credentials(self) -> Any:  # noqa: ANN401  made by a library without types
        """Return the user's credentials, as any of Google's clients finds them; None if there are none.

        A key file that cannot be read is an error, unlike in Triton, which goes on without it.
        """
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        if self.endpoint:
            return None
        logging.getLogger("google.auth").setLevel(logging.ERROR)  # no credentials are no fault, and no project either
        try:
            with warnings.catch_warnings(action="ignore"):  # about quotas of users, which storage does not count
                return google.auth.default(scopes=[SCOPE])[0]
        except DefaultCredentialsError:
            if os.environ.get(KEY_FILE):
                raise
            return None

    def server_environment(self) -> Mapping[str, str]:
        """Return the environment by which Triton finds the emulator, or the key file that is used here.

        Triton knows two types of key files, but not the others that Google's clients read, such as those of a
        federation, and does not look where gcloud puts them.
        """
        if self.endpoint:
            return {SERVERS_EMULATOR: self.endpoint}
        path = _key_file(os.environ)
        if path is None:
            return {}
        kind = _kind(path)
        if kind not in READ_BY_TRITON:
            message = f"Triton cannot read the credentials in {path}: it knows those of a user or a service account"
            raise fatal("store-access", self.address.uri, message, f"Set {KEY_FILE} to the path of such a key file.")
        return {KEY_FILE: str(path)}


def _emulator(environ: Mapping[str, str]) -> str:
    """Return the URL of an emulator; "" without one."""
    given = environ.get(EMULATOR) or environ.get(SERVERS_EMULATOR) or ""
    return given.rstrip("/") if "://" in given or not given else f"http://{given.rstrip('/')}"


def _key_file(environ: Mapping[str, str]) -> Path | None:
    """Return the key file that is named, or else the one of gcloud; None if neither exists.

    Source: google-auth, google/auth/_cloud_sdk.py, get_application_default_credentials_path.
    """
    if named := environ.get(KEY_FILE):
        return Path(named).absolute()
    config = environ.get("CLOUDSDK_CONFIG")
    path = (Path(config) if config else Path.home() / ".config" / "gcloud") / "application_default_credentials.json"
    return path if path.exists() else None


def _kind(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())["type"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
