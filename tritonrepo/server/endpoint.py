"""The address of a running server, and how requests are sent to it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tritonrepo.diagnostics import fatal
from tritonrepo.plain import hidden

HTTP_PORT = 8000
UNSENDABLE = re.compile(r"[\0- \x7f]")
"""Characters that http.client refuses to send in a request."""

NO_GRPC = "none"


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
                context.load_cert_chain(file, self.key)
        except OSError as error:
            message = f"the file cannot be used for TLS: {error.strerror or error}"
            hint = "Use PEM files that this user can read, and a key that belongs to its certificate."
            raise fatal("server-tls", str(file), message, hint) from None
        return context


PLAIN_TLS = Tls()


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
    `timeout_s`. `grpc` is HOST:PORT, "none", or None for the port after HTTP's.
    """

    url: str
    timeout_s: float = 60
    whole_s: float | None = None
    grpc: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: Tls = PLAIN_TLS

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
        return address
