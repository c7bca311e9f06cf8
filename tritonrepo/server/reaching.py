"""Why a server cannot be reached: what listens on its port, and what is wrong with TLS, each in its own words.

Both clients use it after a failure: HTTP's errors name little, gRPC's less. The numbers of verification are those of
OpenSSL (include/openssl/x509_vfy.h), and what begins HTTP/2 is that of RFC 9113, 3.4 and 6.5.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from tritonrepo.server.endpoint import Tls

GLANCE_S = 3.0
"""Maximum wait for what a port says."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""How a client begins HTTP/2, which gRPC speaks: with a line, and settings that say nothing."""

SETTINGS = b"\4"
"""The type of the frame with which an HTTP/2 server begins."""

GET = b"GET /v2/health/live HTTP/1.0\r\n\r\n"

CERTIFICATE = "Name a client certificate with `--cert FILE`, and its key with `--key FILE`."

GRPC = "Name gRPC's port, by default 8001, with `--grpc HOST:PORT`, or use only HTTP with `--grpc none`."

EXPIRED, NOT_YET = 10, 9
UNTRUSTED = {18, 19, 20, 21}
OTHER_NAME = {62, 64}


class Port(NamedTuple):
    """Where a server should be, and over which protocol."""

    host: str
    port: int
    grpc: bool
    secure: bool
    tls: Tls


class Cause(NamedTuple):
    """Why a server cannot be reached, and what to do; `away`: nothing answers at all."""

    message: str
    hint: str
    away: bool = False


def cause(at: Port) -> Cause | None:
    """Return what is wrong with a port on which a request has failed; None if nothing is found."""
    try:
        with _connected(at) as wire:
            if at.secure:
                return _secured(wire, at)
        return _plain(at)  # only now: a server may serve one connection at a time
    except ssl.SSLError as error:
        speaks_tls = isinstance(error, ssl.SSLCertVerificationError) or "ALERT" in (error.reason or "")
        return (None if speaks_tls else _mismatch(at)) or of_tls(error, at)
    except OSError as error:
        return _away(error, at)


def _secured(wire: socket.socket, at: Port) -> Cause | None:
    """Return what is wrong after a handshake; a server may reject a client only in its first answer (TLS 1.3)."""
    context = at.tls.context()
    context.set_alpn_protocols(["h2"] if at.grpc else ["http/1.1"])
    with context.wrap_socket(wire, server_hostname=at.host) as secured:
        if at.grpc and secured.selected_alpn_protocol() != "h2":
            hint = "Name gRPC's port with `--grpc grpcs://HOST:PORT`, or use only HTTP with `--grpc none`."
            return Cause("the port uses TLS, but does not offer HTTP/2, which gRPC needs", hint)
        try:
            secured.sendall(PREFACE if at.grpc else GET)
            secured.recv(64)
        except TimeoutError:
            return None
        except OSError:
            if at.tls.certificate is None:  # the alert that says so may be lost when the server closes
                return Cause("the server requires a client certificate", CERTIFICATE)
            raise
    return None


def of_tls(error: ssl.SSLError, at: Port) -> Cause:
    """Return what an error of TLS means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, at)
    name = (error.reason or "").upper()
    if ("CERTIFICATE_REQUIRED" in name or "HANDSHAKE_FAILURE" in name) and at.tls.certificate is None:
        return Cause("the server requires a client certificate", CERTIFICATE)
    if "ALERT" in name:
        alert = name.partition("ALERT_")[2].lower().replace("_", " ")
        hint = "Use a client certificate that the server trusts: `--cert FILE`, `--key FILE`."
        return Cause(f"the server does not accept the client certificate: {alert}", hint)
    said = error.reason or error.strerror or str(error)
    return Cause(f"the TLS handshake failed: {said}", "Check the server's TLS settings and its log.")


def _certificate(error: ssl.SSLCertVerificationError, at: Port) -> Cause:
    said, code = error.verify_message, error.verify_code
    if code == EXPIRED:
        return Cause("the server's certificate has expired", "Renew the certificate on the server.")
    if code == NOT_YET:
        return Cause("the server's certificate is not valid yet", "Check the clocks of both machines.")
    if code in OTHER_NAME:
        hint = "Use the name that the certificate is for in the URL, or a certificate for this name."
        return Cause(f"the server's certificate is for another host than {at.host}", hint)
    if code in UNTRUSTED:
        trusted, hint = "that this machine trusts", "Name the PEM file of its authority with `--ca FILE`."
        if at.tls.ca:
            trusted = f"in {at.tls.ca}"
            hint = f"Check that {at.tls.ca} has the authority of this server, which must send its whole chain."
        return Cause(f"the server's certificate is not signed by an authority {trusted}: {said}", hint)
    return Cause(f"the server's certificate is rejected: {said}", "Check the certificate.")


def _mismatch(at: Port) -> Cause | None:
    """Return what a port without TLS is, where TLS was expected."""
    if _says(at, GET).startswith(b"HTTP/1"):
        hint = "Use `http://` in the URL." if not at.grpc else "Name gRPC's port with `--grpc HOST:PORT`."
        return Cause("the port speaks HTTP without TLS", hint)
    if _is_http2(_says(at, PREFACE)):
        hint = "Use `--grpc grpc://HOST:PORT`." if at.grpc else "Use HTTP's port, by default 8000."
        return Cause("the port speaks gRPC without TLS", hint)
    return None


def _plain(at: Port) -> Cause | None:
    """Return what a port is that does not speak a protocol without TLS."""
    if _handshakes(at):
        hint = "Use `--grpc grpcs://HOST:PORT`." if at.grpc else "Use `https://` in the URL."
        return Cause("the port uses TLS, but the request was sent without it", hint)
    if at.grpc:
        if not _says(at, GET).startswith(b"HTTP/1"):
            return None
        return Cause("the port speaks HTTP, not gRPC", GRPC)
    if _is_http2(_says(at, PREFACE)):
        return Cause("the port speaks gRPC, not HTTP", "Use the server's HTTP port in the URL, by default 8000.")
    return None


def _away(error: OSError, at: Port) -> Cause | None:
    if isinstance(error, socket.gaierror):
        return Cause(
            f'the host name "{at.host}" is not known: {error.strerror}', "Check the spelling of the host.", away=True
        )
    if isinstance(error, ConnectionRefusedError):
        hint = "Check that the server is running on this port."
        return Cause(f"nothing listens on port {at.port}", f"{hint} {GRPC}" if at.grpc else hint, away=True)
    return _mismatch(at) if at.secure and isinstance(error, ConnectionError) else None


@contextmanager
def _connected(at: Port) -> Iterator[socket.socket]:
    with socket.create_connection((at.host, at.port), GLANCE_S) as wire:
        yield wire


def _handshakes(at: Port) -> bool:
    """Return whether a port uses TLS, whatever its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _connected(at) as wire, context.wrap_socket(wire, server_hostname=at.host):
            return True
    except OSError as error:  # an alert is an answer of TLS as well
        return "ALERT" in (getattr(error, "reason", None) or "")


def _says(at: Port, words: bytes) -> bytes:
    """Return the first bytes with which a port answers."""
    with suppress(OSError), _connected(at) as wire:
        wire.sendall(words)
        return wire.recv(64)
    return b""


def _is_http2(said: bytes) -> bool:
    return said[3:4] == SETTINGS and said[5:9] == b"\0\0\0\0"
