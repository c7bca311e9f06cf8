"""Where a running server is, and how it is asked."""

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
"""What http.client refuses to put into a request."""

NO_GRPC = "none"


class Tls(NamedTuple):
    """Whom to trust and who we are, each a PEM file; without them whom the system trusts, and nobody."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return the settings as the standard library has them; raise Stop where a file cannot be used."""
        file = self.ca
        try:
            context = ssl.create_default_context(cafile=file)
            if file := self.certificate:
                context.load_cert_chain(file, self.key)
        except OSError as error:
            hint = "Name PEM files that this user may read, a key with its own certificate."
            raise fatal("server-tls", str(file), f"cannot be used for TLS: {error.strerror or error}", hint) from None
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
    """One server: its HTTP address and its gRPC port, what every request carries, and how long an answer may take.

    `timeout_s` is the longest silence: of a connect, an answer, a gap between tokens. `whole_s` is the longest that a
    whole answer may take, a stream up to its end; without it a stream over HTTP may go on, and gRPC has `timeout_s`.
    `grpc` is HOST:PORT, "none", or None for the port after HTTP's.
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
        """Return the HTTP address; raise Stop where the URL is not one of a server."""
        url = self.whole_url
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # a port that is no number, brackets that hold no address
            parts, port = urlsplit(""), -1
        if hidden(url) != url:
            hint = "Name the server without them: they would not be sent"
            raise fatal("server-url", url, "user and password in the URL of a server are not supported", hint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1 or UNSENDABLE.search(url):
            raise fatal("server-url", url, "this is not the URL of a server", "Write it as http://HOST:PORT")
        return Address(parts.hostname, port, parts.path.rstrip("/"), parts.scheme == "https")

    def grpc_address(self) -> str:
        """Return HOST:PORT of gRPC; raise Stop where there is none."""
        host, port, *_ = self.address()
        if self.grpc:
            address = self.grpc.rpartition("://")[2].rstrip("/")
        else:
            address = f"{f'[{host}]' if ':' in host else host}:{(port or HTTP_PORT) + 1}"
        if "@" in address:
            hint = "Write it as HOST:PORT"
            raise fatal("server-url", f"grpc://{address}", "user and password of a gRPC server are not supported", hint)
        return address
