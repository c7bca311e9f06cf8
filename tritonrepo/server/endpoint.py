"""The address of a running server, and how requests are sent to it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tritonrepo.diagnostics import fatal
from tritonrepo.plain import hidden
from tritonrepo.server.secrets import hideable, without

HTTP_PORT = 8000
UNSENDABLE = re.compile(r"[\0- \x7f]")
"""Characters that http.client refuses to send in a request."""

NO_GRPC = "none"
GRPC_FORM = "Use the form `HOST:PORT`, or `grpcs://HOST:PORT` for TLS."

SCHEMES = {"": None, "grpc": False, "http": False, "grpcs": True, "https": True}
"""Scheme of a gRPC address → whether it uses TLS; None: as the URL does."""

NO_METRICS = "none"


class Tls(NamedTuple):
    """PEM files: the trusted CA (by default the system's), and our certificate with its key (by default none)."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return the settings for the standard library; raise Stop if a file cannot be used."""
        file = self.ca
        try:
            context = ssl.create_default_context(cafile=file)
            if file := self.certificate:
                context.load_cert_chain(file, self.key, _no_password)
        except (OSError, ValueError) as error:  # the latter for a key that needs a password
            message = f"the file cannot be used for TLS: {getattr(error, 'strerror', '') or error}"
            hint = "Use PEM files that this user can read, and a key that belongs to its certificate."
            raise fatal("server-tls", str(file), message, hint) from None
        return context


PLAIN_TLS = Tls()


def _no_password() -> str:
    raise ValueError("the key is encrypted with a password")  # OpenSSL would ask for it on the terminal


class Address(NamedTuple):
    """An HTTP address, taken apart."""

    host: str
    port: int | None
    path: str
    secure: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server: its HTTP address and its gRPC port, the headers of every request, and how long a response may take.

    `timeout_s` is the longest silence: of a connect, a response, a gap between tokens. `whole_s` is the maximum time
    for a complete response, a stream up to its end; without it, a stream over HTTP is unlimited, and gRPC has
    `timeout_s`. `grpc` is HOST:PORT, also with a scheme (`grpc://`, `grpcs://`), "none", or None for the port after
    HTTP's. `variables`: header → its value as everything that is printed shows it, as in `Bearer $TOKEN`. `metrics` is
    a URL, "none", or None for the second port after HTTP's.
    """

    url: str
    timeout_s: float = 60
    whole_s: float | None = None
    grpc: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: Tls = PLAIN_TLS
    variables: Mapping[str, str] = field(default_factory=dict)
    metrics: str | None = None

    @property
    def whole_url(self) -> str:
        """The URL with its scheme, as messages name the server."""
        return self.url if "://" in self.url else f"http://{self.url}"

    def address(self) -> Address:
        """Return the HTTP address; raise Stop if the URL is not one of a server."""
        url = self.whole_url
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # a port that is not a number, brackets without an address
            parts, port = urlsplit(""), -1
        if hidden(url) != url:
            hint = "Remove them. They would not be sent."
            raise fatal("server-url", url, "user and password in the URL of a server are not supported", hint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1 or UNSENDABLE.search(url):
            raise fatal("server-url", url, "this is not the URL of a server", "Use the form `http://HOST:PORT`.")
        return Address(parts.hostname, port, parts.path.rstrip("/"), parts.scheme == "https")

    def without_secrets(self, text: str) -> str:
        """Return the text with what stands for each secret in the headers, as a server may have repeated it."""
        return without(text, hideable(self.headers, self.variables)) if self.headers else text

    def grpc_secure(self) -> bool:
        """Return whether gRPC uses TLS: as its address says, else as the URL does."""
        scheme, separator, _ = (self.grpc or "").rpartition("://")
        if scheme not in SCHEMES or (separator and not scheme):
            raise fatal("server-url", str(self.grpc), "this is not the address of a gRPC server", GRPC_FORM)
        said = SCHEMES[scheme]
        return self.address().secure if said is None else said

    def grpc_address(self) -> str:
        """Return HOST:PORT of gRPC; raise Stop if it is not a valid address."""
        host, port, *_ = self.address()
        if self.grpc:
            address = self.grpc.rpartition("://")[2].rstrip("/")
        else:
            address = f"{f'[{host}]' if ':' in host else host}:{(port or HTTP_PORT) + 1}"
        if "@" in address:
            message = "user and password in the address of a gRPC server are not supported"
            raise fatal("server-url", f"grpc://{address}", message, "Use the form `HOST:PORT`.")
        if not re.fullmatch(r"[^/\s]*[^/:\s]:[0-9]{1,5}", address):
            raise fatal("server-url", address, "this is not the address of a gRPC server", GRPC_FORM)
        return address

    def metrics_url(self) -> str:
        """Return the URL of the metrics; raise Stop if it is not valid."""
        host, port, _, secure = self.address()
        if self.metrics is None:
            named = f"[{host}]" if ":" in host else host
            return f"http{'s' if secure else ''}://{named}:{(port or HTTP_PORT) + 2}/metrics"
        there = replace(self, url=self.metrics)
        return there.whole_url if there.address().path else f"{there.whole_url.rstrip('/')}/metrics"
